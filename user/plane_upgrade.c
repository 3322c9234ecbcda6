/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Other programs for a plane that is at work.  The new ones are loaded over the plane's maps, so that configuration,
 * MAC table and counters stay where they are; pinned beside the old ones; and exchanged with them in one rename.  Which
 * programs are this plane's is told by the maps they use, whatever their generation (plane_owns), so nothing needs to
 * be noted: hooks that still have the former programs are found by looking.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plane_priv.h"
#include "vpeer.skel.h"

void plane_next_init(struct plane_next *next)
{
	memset(next, 0, sizeof(*next));
	for (int i = 0; i < PROG_COUNT; i++)
		next->prog[i] = -1;
}

void plane_next_close(struct plane_next *next)
{
	for (int i = 0; i < PROG_COUNT; i++)
		if (next->prog[i] >= 0)
			close(next->prog[i]);
	vpeer_bpf__destroy(next->skel);
	plane_next_init(next);
}

/* The ABI version promises it; a mistake in numbering must not become a wild write. */
static int check_shapes(const struct plane *p, const struct vpeer_bpf *skel)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		const struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, plane_maps[i].name);
		struct bpf_map_info is = {0};
		__u32 len = sizeof(is);

		if (p->map[i] < 0)
			continue;
		if (!map)
			return -ENOENT;
		if (bpf_obj_get_info_by_fd(p->map[i], &is, &len))
			return -errno;
		if (is.type == bpf_map__type(map) && is.key_size == bpf_map__key_size(map) &&
		    is.value_size == bpf_map__value_size(map) && is.max_entries == bpf_map__max_entries(map))
			continue;
		fail(p->name,
		     "its map %s has another shape than this vpeer's (%u entries of %u bytes, %u of %u), "
		     "although both say ABI %u.%u; use the vpeer that made it",
		     plane_maps[i].name, is.max_entries, is.value_size, bpf_map__max_entries(map),
		     bpf_map__value_size(map), VP_ABI_MAJOR, VP_ABI_MINOR);
		return -EPROTO;
	}
	return 0;
}

/* The tag is the kernel's hash of a program's instructions. */
static bool same_progs(const struct plane *p, const struct plane_next *next)
{
	for (int i = 0; i < PROG_COUNT; i++) {
		struct bpf_prog_info a, b;

		if (plane_prog_info(p->prog[i], &a) || plane_prog_info(next->prog[i], &b) ||
		    memcmp(a.tag, b.tag, sizeof(a.tag)) != 0)
			return false;
	}
	return true;
}

int plane_next_load(struct plane *p, struct plane_next *next)
{
	int err;

	next->skel = vpeer_bpf__open();
	if (!next->skel)
		return plane_report_load(p->name, -errno);
	plane_prepare(next->skel);
	err = check_shapes(p, next->skel);
	if (err == -EPROTO)
		return err;
	if (!err)
		err = plane_reuse_maps(p, next->skel);
	if (!err)
		err = vpeer_bpf__load(next->skel);
	if (!err)
		err = plane_take_progs(next->skel, next->prog, next->prog_id);
	if (err)
		return plane_report_load(p->name, err);
	next->same = same_progs(p, next);
	return 0;
}

static int take_new_maps(struct plane *p, const struct plane_next *next)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		const struct bpf_map *map = bpf_object__find_map_by_name(next->skel->obj, plane_maps[i].name);
		char path[PATH_MAX];

		if (p->map[i] >= 0)
			continue;
		p->map[i] = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);
		if (p->map[i] < 0)
			return -errno;
		plane_path(path, p->name, "maps", plane_maps[i].name);
		if (bpf_obj_pin(p->map[i], path))
			return -errno;
	}
	return plane_map_memory(p);
}

/* Maps of earlier minor versions. What still runs has its own hold on them. */
static void leave_old_maps(const struct plane *p)
{
	static const char *const gone[] = {"vp_flows"}; /* until 1.2 */
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		plane_path(path, p->name, "maps", gone[i]);
		unlink(path);
	}
}

int plane_next_migrate(struct plane *p, struct plane_next *next)
{
	struct vp_plane *self = p->mem[MAP_PLANE];
	int err = take_new_maps(p, next);

	if (err)
		return err;
	/* from now on an older vpeer refuses the plane, and this one does not ask for an upgrade */
	__atomic_store_n(&self->abi, VP_ABI_VERSION, __ATOMIC_RELEASE);
	leave_old_maps(p);
	return 0;
}

int plane_next_sweep(struct plane *p, struct plane_next *next)
{
	(void)p;
	return plane_start_sweep(next->skel);
}

void plane_swap(struct plane *p, struct plane_next *next)
{
	for (int i = 0; i < PROG_COUNT; i++) {
		int fd = p->prog[i];
		uint32_t id = p->prog_id[i];

		p->prog[i] = next->prog[i];
		p->prog_id[i] = next->prog_id[i];
		next->prog[i] = fd;
		next->prog_id[i] = id;
	}
}

int plane_repin(const struct plane *p)
{
	char now[PATH_MAX], fresh[PATH_MAX];
	int err;

	plane_path(now, p->name, "progs", NULL);
	plane_path(fresh, p->name, NEXT_PROGS, NULL);
	plane_remove_tree(fresh);
	if (mkdir(fresh, 0700))
		return -errno;
	err = plane_pin_progs(p->prog, p->name, NEXT_PROGS);
	if (!err && renameat2(AT_FDCWD, fresh, AT_FDCWD, now, RENAME_EXCHANGE))
		err = -errno;
	plane_remove_tree(fresh); /* the former ones now, or those that could not be taken */
	return err;
}

int plane_adopt(struct plane *p, struct plane_next *next)
{
	int err;

	plane_swap(p, next);
	err = plane_repin(p);
	if (err)
		plane_swap(p, next);
	return err;
}
