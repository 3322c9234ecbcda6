/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pure: a model and what the loader knows of its devices become the arrays of one bank.
 * A port keeps the id it has; a new one takes the lowest id that is free and not being freed, so that an id is
 * never reused before its MAC entries are gone.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "model.h"

/* What the loader found out about a port's device; index = position in model.ports. */
struct port_facts {
	uint32_t ifindex; /* 0 = waiting */
	bool attached;
	bool kept;	 /* attached already when this run began, and nothing says that it is not in order */
	bool xdp;	 /* its frames are taken by the XDP program */
	bool xdp_target; /* XDP may send to it */
	bool finished;	 /* physical NIC */
	uint32_t mtu;
};

struct layout {
	struct vp_port ports[VP_MAX_PORTS];
	struct vp_segment segments[VP_MAX_SEGMENTS];
	struct vp_member members[VP_MAX_MEMBERS];
	struct vp_port_info port_info[VP_MAX_PORTS];
	struct vp_seg_info seg_info[VP_MAX_SEGMENTS];
	uint16_t n_members;
	uint16_t top_port, top_segment; /* highest ids in use */
	uint16_t *port_id; /* by position in model.ports */
	bool kept[VP_MAX_PORTS]; /* port_facts.kept */
	struct guard {
		uint16_t port;
		struct mac mac;
	} *guards; /* every (port, mac) that a guard admits */
	size_t n_guards;
	struct statics {
		uint16_t segment, port;
		struct mac mac;
	} *statics; /* MAC table entries that follow from `mac` of ports in segments */
	size_t n_statics;
};

/*
 * `old` may be NULL (no plane yet); else its port_info and seg_info say which names have which ids, and ids in use
 * there by names that are not in `m` are left unused this time. -ENOSPC: too many ports, segments or members: reported.
 */
int layout_make(struct layout *l, const struct model *m, const struct port_facts *facts, const struct layout *old);
void layout_free(struct layout *l);
uint16_t layout_find_port(const struct vp_port_info *info, const char *name); /* of VP_MAX_PORTS; 0 = none */
uint16_t layout_port_id(const struct layout *l, const char *name);    /* 0 = none */
uint16_t layout_segment_id(const struct layout *l, const char *name); /* 0 = none */

#endif
