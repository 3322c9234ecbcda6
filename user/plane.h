/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A plane in the kernel: its programs, maps and links, pinned under /sys/fs/bpf/vpeer/PLANE.  Only plane*.c include
 * libbpf.  The configuration arrays are memory-mapped, so that reading and writing a bank is memory access; what a
 * program reads is switched by plane_flip() alone.  All calls return 0 or -errno and print only where it says so.
 */
#ifndef PLANE_H
#define PLANE_H

#include "layout.h"
#include "link.h"
#include "model.h"

enum plane_map {
	MAP_PLANE,
	MAP_IFACES,
	MAP_NEAR,
	MAP_MEMORY,
	MAP_PORTS,
	MAP_SEGMENTS,
	MAP_MEMBERS,
	MAP_VLANS,
	MAP_GUARDS,
	MAP_MACS,
	MAP_SWEEP,
	MAP_STATE,
	MAP_COUNTERS,
	MAP_TIMER,
	MAP_TOLD,
	MAP_EVENTS,
	MAP_TARGETS,
	MAP_FLOODS,
	MAP_PORT_INFO,
	MAP_SEG_INFO,
	MAP_CONF,
	MAP_COUNT
};

enum plane_prog { PROG_XDP, PROG_TC_IN, PROG_TC_OUT, PROG_COUNT };

struct plane {
	char name[VP_NAME_LEN];
	int lock; /* -1 = not held */
	int map[MAP_COUNT];
	int prog[PROG_COUNT];
	uint32_t prog_id[PROG_COUNT];
	void *mem[MAP_COUNT]; /* mapped arrays, NULL for the others */
	size_t mem_len[MAP_COUNT];
	bool orphan; /* of another network namespace, with no device left there */
	bool guards_differ; /* between the banks, which plane_share() ends; plane_write() has seen it */
	char why[240]; /* what plane_attach() was refused, where an errno would not say it; else "" */
};

void plane_init(struct plane *p);
void plane_close(struct plane *p); /* closes files, mappings and the lock; the plane in the kernel lives on */

/* Life. Report themselves (object "plane NAME"), since only they know what the kernel refused. */
int plane_lock(struct plane *p, const char *name); /* waits for another loader */
int plane_create(struct plane *p, const char *name); /* mounts bpffs if absent; loads, pins, starts the sweep */
int plane_open(struct plane *p, const char *name);   /* -ENOENT silently; -EXDEV: other namespace, -EPROTO: other ABI */
int plane_destroy(struct plane *p);		     /* pins away; ports must be detached before */
void plane_sweep(const char *name); /* what a loader left that died while it made or unpinned the plane */
int plane_open_older(struct plane *p, const char *name); /* the same, but also one with an earlier minor ABI number */
int plane_open_to_remove(struct plane *p, const char *name); /* the same, but also one whose devices are all gone */
bool plane_exists(const char *name);
int plane_names(char (**names)[VP_NAME_LEN], size_t *n); /* every plane pinned here; free() */
/* The planes of this namespace other than `self`: which of them uses a device? */
struct plane_other {
	char name[VP_NAME_LEN];
	int ifaces;
};
struct plane_others {
	struct plane_other *list;
	size_t n;
};
void plane_others_open(struct plane_others *o, const char *self);
void plane_others_close(struct plane_others *o);
bool plane_of_device(const struct plane_others *o, uint32_t ifindex, const char **plane, char port[VP_NAME_LEN]);

/* The live configuration. */
static inline uint32_t plane_bank(const struct plane *p)
{
	return __atomic_load_n(&((struct vp_plane *)p->mem[MAP_PLANE])->bank, __ATOMIC_ACQUIRE) & 1;
}
const struct vp_port *plane_port(const struct plane *p, uint16_t id);	     /* active bank */
const struct vp_segment *plane_segment(const struct plane *p, uint16_t id); /* active bank */
bool plane_is_member(const struct plane *p, uint16_t port, uint16_t segment); /* in the active bank, tagged or not */
struct vp_port_info *plane_port_info(const struct plane *p, uint16_t id);
struct vp_seg_info *plane_seg_info(const struct plane *p, uint16_t id);
struct vp_state *plane_state(const struct plane *p, uint16_t id);
uint16_t plane_port_id(const struct plane *p, const char *name);    /* 0 = none */
uint16_t plane_segment_id(const struct plane *p, const char *name); /* 0 = none */
const char *plane_text(const struct plane *p, size_t *len); /* the live text; not terminated; *len 0 = none yet */
int plane_model(const struct plane *p, struct model *m);	    /* parse the live text; m initialised */
void plane_layout_ids(const struct plane *p, struct layout *l);	    /* port_info, seg_info and tops only */

/* The other bank, written whole: ports, segments, members, VLANs, floods, guards, text; then active at once. */
int plane_write(struct plane *p, const struct layout *l, const char *text, size_t len);
bool plane_same(const struct plane *p, const struct layout *l); /* active bank equals the layout */
int plane_flip(struct plane *p); /* returns after no program reads the old bank any more */
int plane_share(struct plane *p); /* guards and VLANs: the old bank becomes as the new one */
int plane_targets(struct plane *p, const struct layout *l); /* vp_ifaces and vp_targets for the attached ports */
void plane_drop_iface(struct plane *p, uint32_t ifindex, uint16_t id); /* if that number is still this port's */
void plane_forget_port(struct plane *p, uint16_t id); /* state, counters, target; then its name: the id is free */

/* Attachment of one port's device. */
struct attachment {
	bool tc_in, tc_out, xdp, generic, shared; /* generic, shared: how xdp is there */
	unsigned int others;			  /* shared: programs beside ours */
	bool old; /* a program of ours that the plane has replaced since: an upgrade was cut short */
};
bool plane_made(const struct plane *p, uint32_t prog_id); /* is it this plane's, or was it before an upgrade? */
int plane_attached(const struct plane *p, const char *port, const struct link_info *l, struct attachment *out);
/* The same of many, asked for in few messages. An error of one device is told there; `out` is then empty. */
struct plane_look {
	const char *port;
	const struct link_info *link;
	struct attachment *out;
	int err;
};
int plane_look(const struct plane *p, struct plane_look *list, size_t n);
/* Make the attachment what it should be: tc always, XDP as told. -EPROTONOSUPPORT: not without losing VLAN tags. */
int plane_attach(struct plane *p, uint16_t id, const char *port, const struct link_info *l, bool xdp,
		 enum xdp_mode mode, enum xdp_attach how);
int plane_detach(struct plane *p, uint16_t id, const char *port, const struct link_info *l); /* l may be NULL: gone */
/* The same of many, up to VP_MAX_PORTS, each with its own error. */
struct plane_gone {
	uint16_t id;
	const char *port;
	const struct link_info *link;
	int err;
};
void plane_detach_many(struct plane *p, struct plane_gone *list, size_t n);

/*
 * What plane_attach() is about to replace, for putting it back: XDP programs that are bound to a device, or behind a
 * dispatcher, are copies that nobody else keeps, and their build's alone.
 */
struct plane_former {
	struct attachment had; /* old: something is kept here */
	int xdp;	       /* the program of the port's own link, -1 = none */
	struct xdp_multiprog *shared; /* the dispatcher with its programs, NULL = none */
};
void plane_former_init(struct plane_former *f);
int plane_former_take(const struct plane *p, const char *port, const struct link_info *l,
		      const struct attachment *had, struct plane_former *f);
/* tc's filters become the plane's own ones again, XDP what it was. Nothing to do where nothing was taken. */
int plane_former_put(const struct plane *p, uint16_t id, const char *port, const struct link_info *l,
		     const struct plane_former *f);
void plane_former_close(struct plane_former *f);

/*
 * Upgrade: this build's programs over the plane's maps, step by step; a loader that dies between any two leaves a plane
 * that forwards, by programs of either build at each hook.  From plane_adopt() on the plane's programs are the new
 * ones: what has others is `old`, and plane_attach() replaces them without a gap.
 */
struct plane_next {
	struct vpeer_bpf *skel;
	int prog[PROG_COUNT];
	uint32_t prog_id[PROG_COUNT];
	bool same; /* as those of the plane */
};
void plane_next_init(struct plane_next *next);
/* Load, for the kernel to refuse before anything is changed; -EPROTO: the maps are of another shape. Reports. */
int plane_next_load(struct plane *p, struct plane_next *next);
int plane_next_migrate(struct plane *p, struct plane_next *next); /* pin maps that are new, note the ABI version */
int plane_next_sweep(struct plane *p, struct plane_next *next);	  /* the timer calls the new programs' sweep */
int plane_adopt(struct plane *p, struct plane_next *next);	  /* exchange: `next` then holds the former programs */
void plane_swap(struct plane *p, struct plane_next *next);	  /* the same for this process alone, ... */
int plane_repin(const struct plane *p);				  /* ... until it pins what it has */
void plane_next_close(struct plane_next *next);

/* How many programs does libxdp's dispatcher on the device hold? -ENOENT: there is none. */
int plane_dispatcher(uint32_t ifindex);

/* MAC table. */
struct mac_row {
	struct vp_mac_key key;
	struct vp_mac value;
};
int plane_mac_add(struct plane *p, uint16_t segment, const struct mac *mac, uint16_t port); /* static; -E2BIG full */
/* The same for many; *done: how many of them were made, in their order. */
int plane_mac_add_many(struct plane *p, const struct statics *list, size_t n, size_t *done);
int plane_mac_del(struct plane *p, uint16_t segment, const struct mac *mac);		     /* -ENOENT */
int plane_mac_get(const struct plane *p, uint16_t segment, const struct mac *mac, struct vp_mac *out);
bool plane_mac_is(const struct plane *p, const struct mac_row *row, uint16_t port); /* what plane_mac_add() makes? */
int plane_mac_list(const struct plane *p, struct mac_row **rows, size_t *n); /* unsorted; free() */
/* Delete learned entries of a segment and/or port (0 = any); with `statics` those too. Returns how many or -errno. */
int plane_mac_flush(struct plane *p, uint16_t segment, uint16_t port, bool statics);
int plane_mac_drop_ports(struct plane *p, const bool gone[VP_MAX_PORTS]); /* every entry of the marked ports */

uint32_t plane_seen(const struct plane *p, const char *port, const struct link_info *l); /* VP_INFO_SEEN */
int plane_counters(const struct plane *p, uint16_t id, struct vp_counters *sum); /* over all CPUs */
uint32_t plane_tick(void); /* the datapath's clock now */

#endif
