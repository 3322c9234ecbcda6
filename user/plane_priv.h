/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by plane*.c only: paths of pins and access to the mapped arrays. */
#ifndef PLANE_PRIV_H
#define PLANE_PRIV_H

#include <limits.h>
#include "keys.h"
#include "plane.h"

#define PLANE_ROOT "/sys/fs/bpf/vpeer"
#define PLANE_RUN "/run/vpeer"

struct plane_map_spec {
	const char *name;
	size_t value_size, entries; /* entries != 0: an array mapped into memory */
	uint32_t since;		    /* minor ABI number that brought it */
};
extern const struct plane_map_spec plane_maps[MAP_COUNT];
extern const char *const plane_progs[PROG_COUNT];

/* A mapped array's element; BPF arrays space their elements at multiples of 8 bytes. */
static inline void *plane_cell(const struct plane *p, enum plane_map map, uint32_t index)
{
	size_t stride = (plane_maps[map].value_size + 7) & ~(size_t)7;

	return (char *)p->mem[map] + stride * index;
}

/* PLANE_ROOT/PLANE/SUB/LEAF into buf (SUB and LEAF may be NULL); dots become colons, since bpffs refuses dots. */
void plane_path(char buf[PATH_MAX], const char *plane, const char *sub, const char *leaf);

void plane_xdp_pin(const struct plane *p, const char *port, char path[PATH_MAX]); /* where a port's XDP link is */

/* Every entry of a hash table with keys of KEY_BYTES, in no order; those seen may be deleted meanwhile. */
typedef int (*plane_see)(void *ctx, const void *key, const void *value);
int plane_walk(const struct plane *p, enum plane_map map, size_t value_size, plane_see see, void *ctx);

/* Made or replaced, in one call. */
int plane_put(const struct plane *p, enum plane_map map, const void *keys, const void *values, uint32_t n);

/* What of these tables a bank shall hold: the rest goes, what is there stays. */
int plane_write_guards(struct plane *p, uint32_t bank, const struct layout *l);
int plane_write_vlans(const struct plane *p, uint32_t bank, const struct layout *l);

struct vpeer_bpf;
struct bpf_prog_info;
void plane_prepare(struct vpeer_bpf *skel); /* what is set before a load */
int plane_take_progs(struct vpeer_bpf *skel, int prog[PROG_COUNT], uint32_t prog_id[PROG_COUNT]);
int plane_pin_progs(const int prog[PROG_COUNT], const char *plane, const char *sub);
int plane_map_memory(struct plane *p); /* of maps that are open and not mapped yet */
int plane_start_sweep(struct vpeer_bpf *skel);
int plane_report_load(const char *plane, int err);
void plane_remove_tree(const char *path);

/* plane_place.c: bpffs. */
int plane_check_seen(void); /* is it hidden from here? Then it says so: -ENOTSUP */
int plane_need_bpffs(void); /* mount it if it is not there; reports itself */
void plane_leave_bpffs(void); /* unmount it again if we have mounted it and nothing is left */

int plane_prog_info(int prog, struct bpf_prog_info *info); /* without any array */
bool plane_owns(const struct plane *p, int prog);	    /* does the program use this plane's maps? */
bool plane_is_late(const struct plane *p, uint32_t prog_id); /* loaded not before the plane's own programs? */
#define NEXT_PROGS "+progs" /* where programs are pinned that are about to be exchanged */
int plane_reuse_maps(const struct plane *p, struct vpeer_bpf *skel); /* before a further load of the programs */
bool plane_sees_devices(void); /* does this kernel have what vp_live needs? */

/* plane_shared.c: behind libxdp's dispatcher. Those that take a writable plane say in p->why what failed. */
bool plane_shared_any(void); /* is there a dispatcher, of anybody? Else nothing here has work */
void plane_shared_look(const struct plane *p, uint32_t ifindex, struct attachment *out); /* if ours is there */
int plane_shared_probe(struct plane *p); /* would the kernel take it? Touches no device */
int plane_shared_attach(struct plane *p, uint32_t ifindex, enum xdp_mode mode);
int plane_shared_detach(const struct plane *p, uint32_t ifindex); /* ours only; 0 if it is not there */
int plane_shared_replace(struct plane *p, uint32_t ifindex, enum xdp_mode mode); /* ours that is old */
struct xdp_multiprog *plane_shared_take(uint32_t ifindex); /* the device's dispatcher as it is; NULL = none */
int plane_shared_put(const struct plane *p, uint32_t ifindex, const struct xdp_multiprog *was); /* ours of it */
void plane_shared_close(struct xdp_multiprog *was);
void plane_shared_sweep(const struct plane *p); /* our programs in dispatchers that are on no device */
bool plane_shared_leave(void); /* no plane is left: is nothing of libxdp's left in bpffs either? */

/* Load a copy of vp_xdp bound to one device, over the plane's maps; *fd is the caller's. */
int plane_load_bound(const struct plane *p, uint32_t ifindex, int *fd);

#endif
