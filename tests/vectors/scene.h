/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A scene is the whole state that a vector starts from: configuration of one bank, MAC table, what the datapath
 * remembers.  `scene_apply` writes it and fills the other bank with a configuration that sends everything to X, so that
 * one read from the wrong bank shows at once.
 *
 *   lan        A B C H N in segment 1, unknown unicast flooded; B static, C H N learned 10 ticks ago, A not known
 *   lan_xdp    A B C in segment 1, flooded by XDP; B static, C learned
 *   wire       A bound to B, C bound to H, N bound to E
 *   (more are made from these in the tests)
 */
#ifndef SCENE_H
#define SCENE_H

#include "rig.h"

#define SCENE_AGE   300
#define SCENE_QUOTA 64

struct scene_mac {
	struct vp_mac_key key;
	struct vp_mac mac;
};

struct scene {
	uint32_t now;
	struct vp_port ports[RIG_PORTS];
	struct vp_segment segments[3];
	struct vp_member members[16];
	struct scene_mac macs[12];
	struct {
		struct vp_guard_key key;
		bool elsewhere; /* admitted by the other bank only */
	} guards[8];
	struct {
		uint16_t port, vid, segment;
	} vlans[8];
	struct vp_state state[RIG_PORTS];
	unsigned int n_members, n_macs, n_guards, n_vlans;
	bool elsewhere; /* the plane lives in another namespace than the devices */
};

typedef void (*scene_fn)(struct scene *s);

void lan(struct scene *s);
void lan_xdp(struct scene *s);
void wire(struct scene *s);

void scene_ports(struct scene *s);					      /* every port up, in nothing */
void scene_join(struct scene *s, unsigned int segment, const uint8_t *ports); /* ends with 0; once per segment */
void scene_tag(struct scene *s, unsigned int segment, uint16_t vlan, const uint8_t *ports); /* right after scene_join */
void scene_bind(struct scene *s, unsigned int a, unsigned int b);
void scene_static(struct scene *s, unsigned int segment, const uint8_t mac[6], unsigned int port);
void scene_learned(struct scene *s, unsigned int segment, const uint8_t mac[6], unsigned int port, uint32_t age);
void scene_guard(struct scene *s, unsigned int port, const uint8_t mac[6], bool elsewhere);

/* 0 or -errno. Counters, tickets and what waits in the TAPs are cleared, too. */
int scene_apply(const struct scene *s, uint32_t bank);

#endif
