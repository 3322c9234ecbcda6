/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `attach: shared`: the XDP program behind libxdp's dispatcher, after the programs of others (xdp-filter and the like).
 *
 * The dispatcher is an XDP program with ten slots, and each program on the device replaces one of them as an extension.
 * For every change libxdp builds a new dispatcher, pins its parts under /sys/fs/bpf/xdp and swaps it in whole.  Nothing
 * of that needs a pin of ours: a program is this plane's if it uses this plane's map vp_plane.  So a loader that died
 * between any two steps left either a dispatcher with our program in it, which the next one finds there, or pins of one
 * that is on no device, which it sweeps.
 *
 * Where the kernel refuses extensions libxdp would attach the bare program, and nobody else could come after it.  The
 * program therefore comes with an attach target, which the kernel accepts from an extension only: no way round.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "plane_priv.h"
#include "vpeer.skel.h"

#define SLOTS	     10
#define RUN_LAST     INT_MAX
#define DIR_OURS     PLANE_RUN "/.xdp" /* libxdp's directory is there because of us */
#define MOST_MAP_IDS 64

static int quiet_print(enum libxdp_print_level level, const char *fmt, va_list args)
{
	(void)level;
	return log_verbose() ? vfprintf(stderr, fmt, args) : 0;
}

/* Where libxdp keeps its pins, for every program that uses it. */
static void pins(char buf[PATH_MAX], const char *sub, const char *leaf)
{
	const char *root = secure_getenv(XDP_BPFFS_ENVVAR);

	snprintf(buf, PATH_MAX, "%s/xdp%s%s%s%s", root ? root : "/sys/fs/bpf", sub ? "/" : "", sub ? sub : "",
		 leaf ? "/" : "", leaf ? leaf : "");
}

bool plane_shared_any(void)
{
	char path[PATH_MAX];

	pins(path, NULL, NULL);
	return !access(path, F_OK);
}

bool plane_owns(const struct plane *p, int prog)
{
	struct bpf_map_info self = {0};
	__u32 ids[MOST_MAP_IDS], len = sizeof(self);
	struct bpf_prog_info info = {.nr_map_ids = MOST_MAP_IDS, .map_ids = (uintptr_t)ids};

	if (bpf_obj_get_info_by_fd(p->map[MAP_PLANE], &self, &len))
		return false;
	len = sizeof(info);
	if (bpf_obj_get_info_by_fd(prog, &info, &len))
		return false;
	for (__u32 i = 0; i < info.nr_map_ids && i < MOST_MAP_IDS; i++)
		if (ids[i] == self.id)
			return true;
	return false;
}

/*
 * Whether a dispatcher may be on a device.  libxdp asks the kernel about all devices to learn of one, and its directory
 * stays for good where any program has used it: so not where there is no program, or a plain one of this plane.
 */
static bool may_be_shared(const struct plane *p, uint32_t ifindex)
{
	uint32_t id = 0;

	if (!plane_shared_any() || link_get_xdp(ifindex, &id) || !id)
		return false;
	int fd = bpf_prog_get_fd_by_id(id);
	bool plain = fd >= 0 && plane_owns(p, fd);

	if (fd >= 0)
		close(fd);
	return !plain;
}

/* The dispatcher on a device with its programs; NULL = none, or a program that is no dispatcher. */
static struct xdp_multiprog *on_device(uint32_t ifindex)
{
	struct xdp_multiprog *mp;

	libxdp_set_print(quiet_print);
	mp = xdp_multiprog__get_from_ifindex((int)ifindex);
	if (libxdp_get_error(mp))
		return NULL;
	if (!xdp_multiprog__is_legacy(mp))
		return mp;
	xdp_multiprog__close(mp);
	return NULL;
}

/* The next one that is ours, and not the one with the id `but` (0 = any). */
static struct xdp_program *next_ours(const struct plane *p, const struct xdp_multiprog *mp, struct xdp_program *prog,
				     uint32_t but)
{
	while ((prog = xdp_multiprog__next_prog(prog, mp)))
		if (plane_owns(p, xdp_program__fd(prog)) && xdp_program__id(prog) != but)
			break;
	return prog;
}

int plane_dispatcher(uint32_t ifindex)
{
	struct xdp_multiprog *mp = plane_shared_any() ? on_device(ifindex) : NULL;
	int n = mp ? xdp_multiprog__program_count(mp) : -ENOENT;

	xdp_multiprog__close(mp);
	return n;
}

void plane_shared_look(const struct plane *p, uint32_t ifindex, struct attachment *out)
{
	struct xdp_multiprog *mp = may_be_shared(p, ifindex) ? on_device(ifindex) : NULL;
	struct xdp_program *ours = NULL;

	out->others = mp ? (unsigned int)xdp_multiprog__program_count(mp) : 0;
	while (mp && (ours = next_ours(p, mp, ours, 0))) { /* two, if a loader died between them */
		out->xdp = out->shared = true;
		out->old |= !plane_is_late(p, xdp_program__id(ours));
		out->others--;
	}
	xdp_multiprog__close(mp);
}

static struct vpeer_bpf *open_extension(const struct plane *p)
{
	struct vpeer_bpf *skel = vpeer_bpf__open();
	struct bpf_program *prog;
	int err;

	if (!skel)
		return NULL;
	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, prog == skel->progs.vp_xdp_ext);
	skel->rodata->vp_live = plane_sees_devices();
	prog = skel->progs.vp_xdp_ext;
	bpf_program__set_type(prog, BPF_PROG_TYPE_EXT);
	bpf_program__set_expected_attach_type(prog, 0);
	err = plane_reuse_maps(p, skel);
	if (!err)
		err = bpf_program__set_attach_target(prog, p->prog[PROG_XDP], plane_progs[PROG_XDP]);
	if (!err)
		return skel;
	vpeer_bpf__destroy(skel);
	errno = -err;
	return NULL;
}

int plane_shared_probe(struct plane *p)
{
	struct vpeer_bpf *skel = open_extension(p);
	int err = skel ? bpf_object__load(skel->obj) : -errno;

	vpeer_bpf__destroy(skel);
	if (err)
		snprintf(p->why, sizeof(p->why),
			 "`attach: shared` needs a program that extends libxdp's dispatcher, "
			 "and this kernel refuses to load one: %s; use `attach: link`",
			 strerror(-err));
	return err;
}

/* Why libxdp would not have it. A driver without XDP is told as for any other attachment. */
static void explain(struct plane *p, int err)
{
	const char *tried = "libxdp's dispatcher (`attach: shared`) does not take the program";

	if (err == -E2BIG)
		snprintf(p->why, sizeof(p->why), "%s: its %d slots are taken; see xdp-loader status", tried, SLOTS);
	else if (err == -EBUSY)
		snprintf(p->why, sizeof(p->why), "%s: another kind of program or dispatcher is there; unload it first",
			 tried);
	else if (err == -ENOENT)
		snprintf(p->why, sizeof(p->why), "%s: its file xdp-dispatcher.o is missing; install libxdp1, "
			 "or use `attach: link`", tried);
	else if (err != -EOPNOTSUPP)
		snprintf(p->why, sizeof(p->why), "%s: %s; -v shows more; `attach: link` does without it", tried,
			 strerror(-err));
}

/* The last of them, so that the others see every frame before it. Generic mode: in one buffer (see vp_xdp_skb). */
static struct xdp_program *make_last(struct vpeer_bpf *skel, enum xdp_mode mode)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .obj = skel->obj, .prog_name = "vp_xdp_ext");
	struct xdp_program *prog = xdp_program__create(&opts);

	if (libxdp_get_error(prog) || !prog)
		return NULL;
	if (xdp_program__set_run_prio(prog, RUN_LAST) || xdp_program__set_chain_call_enabled(prog, XDP_PASS, true) ||
	    xdp_program__set_xdp_frags_support(prog, mode == MODE_NATIVE)) {
		xdp_program__close(prog);
		return NULL;
	}
	return prog;
}

/* Noted before it comes into being: else `down` would not know that it can go again. */
static void note_dir(void)
{
	int fd = plane_shared_any() ? -1 : open(DIR_OURS, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	if (fd >= 0)
		close(fd);
}

/* `id`: the program's, once it is there. */
static int attach(struct plane *p, uint32_t ifindex, enum xdp_mode mode, uint32_t *id)
{
	struct vpeer_bpf *skel;
	struct xdp_program *prog;
	int err;

	libxdp_set_print(quiet_print);
	plane_shared_sweep(p);
	skel = open_extension(p);
	if (!skel)
		return -errno;
	prog = make_last(skel, mode);
	if (prog) {
		note_dir();
		err = xdp_program__attach(prog, (int)ifindex,
					  mode == MODE_GENERIC ? XDP_MODE_SKB : XDP_MODE_NATIVE, 0);
	} else {
		err = -EINVAL;
	}
	if (err)
		explain(p, err);
	else
		*id = xdp_program__id(prog);
	xdp_program__close(prog);
	vpeer_bpf__destroy(skel);
	return err;
}

int plane_shared_attach(struct plane *p, uint32_t ifindex, enum xdp_mode mode)
{
	uint32_t id;

	return attach(p, ifindex, mode, &id);
}

static int detach_ours(const struct plane *p, uint32_t ifindex, uint32_t but)
{
	int err = 0;

	for (int i = 0; !err && i < SLOTS && may_be_shared(p, ifindex); i++) {
		struct xdp_multiprog *mp = on_device(ifindex);
		struct xdp_program *ours = mp ? next_ours(p, mp, NULL, but) : NULL;

		if (ours)
			err = xdp_program__detach(ours, (int)ifindex, xdp_multiprog__attach_mode(mp), 0);
		xdp_multiprog__close(mp);
		if (!ours)
			break;
	}
	return err;
}

int plane_shared_detach(const struct plane *p, uint32_t ifindex)
{
	return detach_ours(p, ifindex, 0);
}

/* For a moment both are there: the first one that redirects a frame ends its way, and passing has no side effect. */
int plane_shared_replace(struct plane *p, uint32_t ifindex, enum xdp_mode mode)
{
	uint32_t id = 0;
	int err = attach(p, ifindex, mode, &id);

	return err ? err : detach_ours(p, ifindex, id);
}

struct xdp_multiprog *plane_shared_take(uint32_t ifindex)
{
	return on_device(ifindex);
}

void plane_shared_close(struct xdp_multiprog *was)
{
	xdp_multiprog__close(was);
}

static bool has_program(uint32_t ifindex, uint32_t id)
{
	struct xdp_multiprog *mp = on_device(ifindex);
	struct xdp_program *prog = NULL;

	while (mp && (prog = xdp_multiprog__next_prog(prog, mp)))
		if (xdp_program__id(prog) == id)
			break;
	xdp_multiprog__close(mp);
	return prog;
}

/* As it was: its place among the others, and what it stands for, are noted beside it in the dispatcher. */
int plane_shared_put(const struct plane *p, uint32_t ifindex, const struct xdp_multiprog *was)
{
	struct xdp_program *ours = next_ours(p, was, NULL, 0);
	uint32_t id = ours ? xdp_program__id(ours) : 0;
	int err = 0;

	if (!ours)
		return -ENOENT;
	if (!has_program(ifindex, id))
		err = xdp_program__attach(ours, (int)ifindex, xdp_multiprog__attach_mode(was), 0);
	return err ? err : detach_ours(p, ifindex, id);
}

/* The slot of a dispatcher's directory that holds a program of this plane, -1 = none. */
static int slot_of_ours(const struct plane *p, const char *dir)
{
	char leaf[16], path[PATH_MAX];

	for (int i = 0; i < SLOTS; i++) {
		snprintf(leaf, sizeof(leaf), "prog%d-prog", i);
		pins(path, dir, leaf);
		int fd = bpf_obj_get(path);
		bool ours = fd >= 0 && plane_owns(p, fd);

		if (fd >= 0)
			close(fd);
		if (ours)
			return i;
	}
	return -1;
}

static void unpin_slot(const char *dir, int slot)
{
	static const char *const parts[] = {"link", "prog"};
	char leaf[16], path[PATH_MAX];

	for (size_t i = 0; i < 2; i++) {
		snprintf(leaf, sizeof(leaf), "prog%d-%s", slot, parts[i]);
		pins(path, dir, leaf);
		unlink(path);
	}
}

/*
 * A dispatcher with our program that is on no device any more.  If its device is here, it was replaced by somebody who
 * died before he took it away: all of it goes.  If the device is not here it may be elsewhere, with the programs of
 * others at work on it: only what is ours goes.
 */
static void sweep_dir(const struct plane *p, const char *dir)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, now);
	unsigned int ifindex, id;
	char name[IF_NAMESIZE], path[PATH_MAX];
	int ours;

	if (sscanf(dir, "dispatch-%u-%u", &ifindex, &id) != 2)
		return;
	if (!bpf_xdp_query((int)ifindex, 0, &now) && (now.drv_prog_id == id || now.skb_prog_id == id))
		return;
	ours = slot_of_ours(p, dir);
	if (ours < 0)
		return;
	for (int i = 0; i < SLOTS; i++)
		if (i == ours || if_indextoname(ifindex, name))
			unpin_slot(dir, i);
	pins(path, dir, NULL);
	rmdir(path);
}

void plane_shared_sweep(const struct plane *p)
{
	char path[PATH_MAX];
	DIR *d;
	struct dirent *e;

	pins(path, NULL, NULL);
	d = opendir(path);
	if (!d)
		return;
	flock(dirfd(d), LOCK_EX); /* libxdp's own lock */
	while ((e = readdir(d)))
		sweep_dir(p, e->d_name);
	closedir(d);
}

bool plane_shared_leave(void)
{
	char path[PATH_MAX];

	pins(path, NULL, NULL);
	if (!access(DIR_OURS, F_OK))
		rmdir(path);
	unlink(DIR_OURS);
	return !plane_shared_any();
}
