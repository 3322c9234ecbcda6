/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by plane*.c only: paths of pins and access to the mapped arrays. */
#ifndef PLANE_PRIV_H
#define PLANE_PRIV_H

#include <limits.h>
#include "plane.h"

#define PLANE_ROOT "/sys/fs/bpf/vpeer"
#define PLANE_RUN "/run/vpeer"

struct plane_map_spec {
	const char *name;
	size_t value_size, entries; /* entries != 0: an array mapped into memory */
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

/* Load a copy of vp_xdp bound to one device, over the plane's maps; *fd is the caller's. */
int plane_load_bound(const struct plane *p, uint32_t ifindex, int *fd);

#endif
