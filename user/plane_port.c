/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One port's device: tc filters in and out, and the XDP program as a pinned link (or shared: plane_shared.c).
 *
 * tc comes first and goes last, because XDP passes to tc what it does not carry.  The XDP link is made with the
 * driver-mode flag: without it the kernel would fall to generic mode and say nothing.  A pinned link whose device is
 * gone stays behind as a file; it is recognised by its ifindex of 0 and replaced.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plane_bound.h"
#include "plane_health.h"
#include "plane_priv.h"
#include "vpeer.skel.h"

#ifndef BPF_F_XDP_DEV_BOUND_ONLY
#define BPF_F_XDP_DEV_BOUND_ONLY (1U << 6)
#endif

void plane_xdp_pin(const struct plane *p, const char *port, char path[PATH_MAX])
{
	char leaf[VP_NAME_LEN + 8];

	snprintf(leaf, sizeof(leaf), "xdp_%s", port);
	plane_path(path, p->name, "links", leaf);
}

/* Which device the pinned link holds, and which program: ifindex 0 = none (no pin, or the device is gone). */
static uint32_t xdp_link(const struct plane *p, const char *port, uint32_t *prog)
{
	char path[PATH_MAX];
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);

	plane_xdp_pin(p, port, path);
	int fd = bpf_obj_get(path);

	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		info.xdp.ifindex = 0;
	close(fd);
	if (prog)
		*prog = info.prog_id;
	return info.xdp.ifindex;
}

/* No filter, no qdisc, no device: what is not there is nothing to find, and nothing to take away. */
static int gone_is_fine(int err)
{
	return err == -ENOENT || err == -EINVAL || err == -ENODEV ? 0 : err;
}

/* No answer that says what is there is an error, and what it says of either hook counts. */
static int first_error(const struct link_filters *f)
{
	int in = gone_is_fine(f->err[HOOK_IN]);

	return in ? in : gone_is_fine(f->err[HOOK_OUT]);
}

static int get_filters(uint32_t ifindex, struct link_filters *f)
{
	int err;

	*f = (struct link_filters){.ifindex = ifindex};
	err = link_filters_get(f, 1);
	return err ? err : first_error(f);
}

bool plane_made(const struct plane *p, uint32_t prog_id)
{
	int fd = prog_id ? bpf_prog_get_fd_by_id(prog_id) : -1;
	bool ours = fd >= 0 && plane_owns(p, fd);

	if (fd >= 0)
		close(fd);
	return ours;
}

/*
 * A former build's uses no map, so its name must do, beside one that does.  Where libbpf's probe for names has failed,
 * as it does when memory is short, programs have none.
 */
static bool is_tc_out(uint32_t prog_id)
{
	int fd = prog_id ? bpf_prog_get_fd_by_id(prog_id) : -1;
	struct bpf_prog_info info;
	bool is = fd >= 0 && !plane_prog_info(fd, &info) &&
		  (!info.name[0] || !strcmp(info.name, plane_progs[PROG_TC_OUT]));

	if (fd >= 0)
		close(fd);
	return is;
}

/* The two filters of this plane, or those they have replaced (old). */
static void judge_filters(const struct plane *p, const struct link_filters *f, struct attachment *out)
{
	uint32_t in = f->prog[HOOK_IN], to = f->prog[HOOK_OUT];
	bool in_old = in != p->prog_id[PROG_TC_IN] && plane_made(p, in), to_old;

	out->tc_in = in_old || (in && in == p->prog_id[PROG_TC_IN]);
	to_old = to != p->prog_id[PROG_TC_OUT] && out->tc_in && is_tc_out(to);
	out->tc_out = to_old || (to && to == p->prog_id[PROG_TC_OUT]);
	out->old |= in_old || to_old;
}

/* Programs in generic mode, bound to a device or behind a dispatcher are copies, pinned nowhere: their age tells. */
bool plane_is_late(const struct plane *p, uint32_t prog_id)
{
	struct bpf_prog_info ours, it;
	int fd = bpf_prog_get_fd_by_id(prog_id);
	bool late = fd >= 0 && !plane_prog_info(fd, &it) && !plane_prog_info(p->prog[PROG_TC_IN], &ours) &&
		    it.load_time >= ours.load_time;

	if (fd >= 0)
		close(fd);
	return late;
}

/* Is the program of the port's own XDP link one that was replaced since? */
static bool is_old(const struct plane *p, const struct link_info *l, uint32_t prog_id)
{
	bool copy = l->xdp_generic || l->type == LINK_VETH;

	return copy ? !plane_is_late(p, prog_id) : prog_id != p->prog_id[PROG_XDP];
}

/*
 * Which program the port's own XDP link has put on the device, 0 = none.  A link holds its device from before the plane
 * is told of it until its pin goes, and the program with it: where the plane's own program is on the device that the
 * plane was told, nobody needs to ask the link.
 */
static uint32_t own_xdp(const struct plane *p, const char *port, const struct link_info *l)
{
	uint32_t ours = p->prog_id[PROG_XDP], prog = 0;
	const struct vp_port *told = l->xdp_prog == ours ? plane_port(p, plane_port_id(p, port)) : NULL;

	if (told && told->ifindex == l->ifindex && told->flags & VP_PORT_XDP)
		return ours;
	return l->xdp_prog && xdp_link(p, port, &prog) == l->ifindex ? prog : 0;
}

static void judge_xdp(const struct plane *p, const char *port, const struct link_info *l, struct attachment *out)
{
	uint32_t prog = own_xdp(p, port, l);

	out->xdp = prog;
	if (prog && is_old(p, l, prog))
		out->old = true;
	if (l->xdp_prog && !prog)
		plane_shared_look(p, l->ifindex, out);
	out->generic = out->xdp && l->xdp_generic;
}

int plane_look(const struct plane *p, struct plane_look *list, size_t n)
{
	struct link_filters *f = calloc(n + 1, sizeof(*f));
	int err = f ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < n; i++)
		f[i].ifindex = list[i].link->ifindex;
	if (!err)
		err = link_filters_get(f, n);
	for (size_t i = 0; !err && i < n; i++) {
		struct attachment *out = list[i].out;

		memset(out, 0, sizeof(*out));
		list[i].err = first_error(&f[i]);
		if (list[i].err)
			continue;
		judge_filters(p, &f[i], out);
		judge_xdp(p, list[i].port, list[i].link, out);
	}
	free(f);
	return err;
}

int plane_attached(const struct plane *p, const char *port, const struct link_info *l, struct attachment *out)
{
	struct plane_look look = {.port = port, .link = l, .out = out};
	int err = plane_look(p, &look, 1);

	return err ? err : look.err;
}

/* As libbpf would call them. */
static int put_filters(const struct plane *p, uint32_t ifindex, const bool replace[HOOK_COUNT], int *qdisc)
{
	static const enum plane_prog which[HOOK_COUNT] = {PROG_TC_IN, PROG_TC_OUT};
	struct link_program progs[HOOK_COUNT];
	char name[HOOK_COUNT][32];

	for (int hook = 0; hook < HOOK_COUNT; hook++) {
		snprintf(name[hook], sizeof(name[hook]), "%s:[%u]", plane_progs[which[hook]], p->prog_id[which[hook]]);
		progs[hook] = (struct link_program){p->prog[which[hook]], name[hook]};
	}
	return link_filters_put(ifindex, progs, replace, qdisc);
}

/* Filters of anybody: then the qdisc is not one that we are about to make. Where there is none it is EINVAL. */
static bool has_qdisc(const struct link_filters *f)
{
	return f->err[HOOK_IN] != -EINVAL || f->err[HOOK_OUT] != -EINVAL;
}

static int attach_tc(const struct plane *p, uint16_t id, uint32_t ifindex)
{
	struct vp_port_info *info = plane_port_info(p, id);
	bool begun = info->flags & VP_INFO_PENDING;
	struct link_filters there;
	struct attachment is = {0};
	int qdisc, err = get_filters(ifindex, &there);

	if (err)
		return err;
	judge_filters(p, &there, &is);
	if (!has_qdisc(&there))
		info->flags |= VP_INFO_PENDING;
	/* What is somebody else's, be it another plane that attaches at this moment, is not replaced: -EEXIST. */
	err = put_filters(p, ifindex, (const bool[HOOK_COUNT]){is.tc_in, is.tc_out}, &qdisc);
	if (!qdisc || (qdisc == -EEXIST && begun))
		info->flags |= VP_INFO_CLSACT;
	else
		info->flags &= ~(__u32)VP_INFO_PENDING;
	if (!err)
		info->flags &= ~(__u32)VP_INFO_PENDING;
	return err;
}

/* Filters of this plane under a qdisc of somebody else. */
static int delete_filters(uint32_t ifindex, const struct attachment *is)
{
	const bool ours[HOOK_COUNT] = {is->tc_in, is->tc_out};
	int errs[HOOK_COUNT], err = link_filters_delete(ifindex, ours, errs);

	for (int hook = 0; !err && hook < HOOK_COUNT; hook++)
		err = gone_is_fine(errs[hook]);
	return err;
}

/* Is the qdisc ours? Then it takes the filters with it, all in one. */
static bool goes_whole(uint32_t flags, const struct attachment *is)
{
	return flags & VP_INFO_PENDING || (flags & VP_INFO_CLSACT && (is->tc_in || is->tc_out));
}

/*
 * tc of ports whose XDP is off.  Only where a filter of this plane is: the number may have gone to somebody else's
 * device meanwhile.
 */
static int detach_tc(const struct plane *p, struct plane_gone **list, struct link_filters *there, size_t n)
{
	struct plane_gone *whole[VP_MAX_PORTS];
	uint32_t ifindex[VP_MAX_PORTS];
	int errs[VP_MAX_PORTS] = {0}, err = link_filters_get(there, n);
	size_t n_whole = 0;

	for (size_t i = 0; !err && i < n; i++) {
		uint32_t flags = plane_port_info(p, list[i]->id)->flags;
		struct attachment is = {0};

		list[i]->err = first_error(&there[i]);
		judge_filters(p, &there[i], &is);
		if (!list[i]->err && goes_whole(flags, &is)) {
			ifindex[n_whole] = there[i].ifindex;
			whole[n_whole++] = list[i];
		} else if (!list[i]->err && !(flags & VP_INFO_CLSACT)) {
			list[i]->err = delete_filters(there[i].ifindex, &is);
		}
	}
	if (!err)
		err = link_clsact_delete(ifindex, n_whole, errs);
	for (size_t i = 0; !err && i < n_whole; i++)
		whole[i]->err = gone_is_fine(errs[i]);
	return err;
}

/* Pages that the kernel gives a program of `len` bytes; its header is somewhere near 80 bytes long. */
static size_t prog_pages(size_t header, size_t len)
{
	return (header + len + 4095) / 4096;
}

/*
 * The kernel keeps a device-bound program's address from before verification and follows it when the device goes.
 * Had the program outgrown its pages meanwhile, it would have been moved, and that address freed.  vp_room in the
 * program makes sure that it can grow in place; this is the proof that it did.  It is largest either at the end or
 * when loops have been written out, which is before the dead instructions go.
 */
#define LOOPS_WRITTEN_OUT 1024

bool plane_bound_stays(size_t handed_in, size_t grown)
{
	size_t most = handed_in + LOOPS_WRITTEN_OUT;

	if (grown > most)
		most = grown;
	for (size_t header = 48; header <= 160; header += 8)
		if (prog_pages(header, most) > prog_pages(header, handed_in))
			return false;
	return true;
}

static int check_unmoved(int fd, size_t handed_in)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);
	size_t before = handed_in * sizeof(struct bpf_insn);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (!plane_bound_stays(before, info.xlated_prog_len))
		return -EOVERFLOW;
	debug("bound program: %zu bytes handed in, %u after verification: not moved", before, info.xlated_prog_len);
	return 0;
}

int plane_reuse_maps(const struct plane *p, struct vpeer_bpf *skel)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, plane_maps[i].name);
		int err = map ? 0 : -ENOENT;

		if (!err && p->map[i] >= 0) /* else it is newer than the plane, and about to be made */
			err = bpf_map__reuse_fd(map, p->map[i]);
		if (err)
			return err;
	}
	return 0;
}

/* One program alone, over the plane's maps. */
static int load_copy(const struct plane *p, struct vpeer_bpf *skel, const struct bpf_program *copy)
{
	struct bpf_program *prog;
	int err;

	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, prog == copy);
	err = plane_reuse_maps(p, skel);
	return err ? err : vpeer_bpf__load(skel);
}

static int keep_copy(const struct bpf_program *copy, int *fd)
{
	*fd = fcntl(bpf_program__fd(copy), F_DUPFD_CLOEXEC, 3);
	return *fd < 0 ? -errno : 0;
}

int plane_load_bound(const struct plane *p, uint32_t ifindex, int *fd)
{
	struct vpeer_bpf *skel = vpeer_bpf__open();
	struct bpf_program *prog;
	int err;

	if (!skel)
		return -errno;
	skel->rodata->vp_live = 1;
	prog = skel->progs.vp_xdp_bound;
	bpf_program__set_ifindex(prog, ifindex);
	bpf_program__set_flags(prog, bpf_program__flags(prog) | BPF_F_XDP_DEV_BOUND_ONLY);
	err = load_copy(p, skel, prog);
	if (!err)
		err = check_unmoved(bpf_program__fd(prog), bpf_program__insn_cnt(prog));
	if (!err)
		err = keep_copy(prog, fd);
	vpeer_bpf__destroy(skel);
	return err;
}

static int load_generic(const struct plane *p, int *fd)
{
	struct vpeer_bpf *skel = vpeer_bpf__open();
	int err;

	if (!skel)
		return -errno;
	skel->rodata->vp_live = plane_sees_devices();
	err = load_copy(p, skel, skel->progs.vp_xdp_skb);
	if (!err)
		err = keep_copy(skel->progs.vp_xdp_skb, fd);
	vpeer_bpf__destroy(skel);
	return err;
}

static int pin_xdp(const struct plane *p, const char *port, uint32_t ifindex, int prog, enum xdp_mode mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = mode == MODE_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	char path[PATH_MAX];
	int link, err = 0;

	plane_xdp_pin(p, port, path);
	(void)plane_unpin_xdp(p, port); /* its device is gone, or it has the other mode */
	link = bpf_link_create(prog, (int)ifindex, BPF_XDP, &opts);
	if (link < 0)
		return -errno;
	if (bpf_obj_pin(link, path))
		err = -errno;
	close(link);
	return err;
}

/* One pointer in the driver: no frame finds neither program. */
static int update_link(const struct plane *p, const char *port, int prog)
{
	char path[PATH_MAX];
	int link, err;

	plane_xdp_pin(p, port, path);
	link = bpf_obj_get(path);
	if (link < 0)
		return -errno;
	err = bpf_link_update(link, prog, NULL) ? -errno : 0;
	close(link);
	return err;
}

static int put_xdp(const struct plane *p, const char *port, uint32_t ifindex, int prog, enum xdp_mode mode, bool there)
{
	return there ? update_link(p, port, prog) : pin_xdp(p, port, ifindex, prog, mode);
}

/* Until Linux 7.2 queues that a veth gets later run without the program: `doctor` compares. */
static void note_queues(const struct plane *p, uint16_t id, const struct link_info *l)
{
	struct vp_port_info *info = plane_port_info(p, id);
	uint32_t rx = 0, tx;

	if (link_get_queues(l->name, &rx, &tx) || rx > UINT16_MAX)
		rx = 0;
	info->flags = (info->flags & ((1U << VP_INFO_QUEUES_SHIFT) - 1)) | rx << VP_INFO_QUEUES_SHIFT;
}

/*
 * Most ports share the plane's program.  In generic mode, which few ask for, a port has a copy that takes one buffer; a
 * veth hands over its VLAN tags beside the frame, and only a program bound to the device can ask for them.  *copy stays
 * -1 where none is needed.
 */
static int load_for(const struct plane *p, const struct link_info *l, enum xdp_mode mode, int *copy)
{
	if (mode == MODE_GENERIC)
		return load_generic(p, copy);
	if (l->type == LINK_VETH && plane_load_bound(p, l->ifindex, copy))
		return -EPROTONOSUPPORT;
	return 0;
}

static int attach_xdp(const struct plane *p, uint16_t id, const char *port, const struct link_info *l,
		      enum xdp_mode mode)
{
	uint32_t prog = 0;
	bool there = l->xdp_prog && xdp_link(p, port, &prog) == l->ifindex &&
		     l->xdp_generic == (mode == MODE_GENERIC);
	int copy = -1, err;

	if (there && !is_old(p, l, prog))
		return 0;
	err = load_for(p, l, mode, &copy);
	if (!err)
		err = put_xdp(p, port, l->ifindex, copy < 0 ? p->prog[PROG_XDP] : copy, mode, there);
	if (copy >= 0)
		close(copy);
	if (!err && l->type == LINK_VETH)
		note_queues(p, id, l);
	return err;
}

/* Asked before anything is taken away: what is there works, and stays if the kernel refuses. */
static int attach_shared(struct plane *p, const char *port, const struct link_info *l, enum xdp_mode mode)
{
	struct attachment is = {0};
	int err;

	plane_shared_look(p, l->ifindex, &is);
	if (is.shared && l->xdp_generic == (mode == MODE_GENERIC))
		return is.old ? plane_shared_replace(p, l->ifindex, mode) : 0;
	if (l->type == LINK_VETH) {
		snprintf(p->why, sizeof(p->why),
			 "XDP on a veth needs a program bound to the device, and libxdp's dispatcher takes none; "
			 "use `attach: link`, or `carrier: tc`");
		return -EPROTONOSUPPORT;
	}
	err = plane_shared_probe(p);
	if (err)
		return err;
	(void)plane_unpin_xdp(p, port);
	err = plane_shared_detach(p, l->ifindex); /* it may be there in the other mode */
	return err ? err : plane_shared_attach(p, l->ifindex, mode);
}

int plane_attach(struct plane *p, uint16_t id, const char *port, const struct link_info *l, bool xdp,
		 enum xdp_mode mode, enum xdp_attach how)
{
	int err = attach_tc(p, id, l->ifindex);

	p->why[0] = 0;
	if (!err && xdp && how == ATTACH_SHARED)
		return attach_shared(p, port, l, mode);
	if (!err)
		err = plane_shared_detach(p, l->ifindex);
	if (!err && xdp)
		err = attach_xdp(p, id, port, l, mode);
	if (!err && !xdp)
		err = plane_unpin_xdp(p, port);
	return err;
}

void plane_former_init(struct plane_former *f)
{
	*f = (struct plane_former){.xdp = -1};
}

void plane_former_close(struct plane_former *f)
{
	if (f->xdp >= 0)
		close(f->xdp);
	plane_shared_close(f->shared);
	plane_former_init(f);
}

int plane_former_take(const struct plane *p, const char *port, const struct link_info *l,
		      const struct attachment *had, struct plane_former *f)
{
	uint32_t prog = had->xdp && !had->shared ? own_xdp(p, port, l) : 0;

	if (prog) {
		f->xdp = bpf_prog_get_fd_by_id(prog);
		if (f->xdp < 0)
			return -errno;
	}
	if (had->shared) {
		f->shared = plane_shared_take(l->ifindex);
		if (!f->shared)
			return -ENOENT;
	}
	f->had = *had;
	return 0;
}

int plane_former_put(const struct plane *p, uint16_t id, const char *port, const struct link_info *l,
		     const struct plane_former *f)
{
	int err = f->had.old ? attach_tc(p, id, l->ifindex) : 0;

	if (!err && f->xdp >= 0)
		err = update_link(p, port, f->xdp);
	if (!err && f->shared)
		err = plane_shared_put(p, l->ifindex, f->shared);
	return err;
}

/* XDP first: what it passes until then must not reach the host's stack. Returns how many have tc left, in `left`. */
static size_t detach_xdp(const struct plane *p, struct plane_gone *list, size_t n, struct plane_gone **left,
			 struct link_filters *there)
{
	bool shared = plane_shared_any();
	size_t n_left = 0;

	for (size_t i = 0; i < n; i++) {
		struct plane_gone *g = &list[i];

		g->err = plane_unpin_xdp(p, g->port);
		if (!g->err && g->link && shared)
			g->err = plane_shared_detach(p, g->link->ifindex);
		if (g->err || !g->link)
			continue;
		there[n_left].ifindex = g->link->ifindex;
		left[n_left++] = g;
	}
	if (shared)
		plane_shared_sweep(p);
	return n_left;
}

void plane_detach_many(struct plane *p, struct plane_gone *list, size_t n)
{
	struct plane_gone **left = calloc(n + 1, sizeof(struct plane_gone *));
	struct link_filters *there = calloc(n + 1, sizeof(*there));
	size_t n_left = 0;
	int err = left && there ? 0 : -ENOMEM;

	if (!err) {
		n_left = detach_xdp(p, list, n, left, there);
		err = detach_tc(p, left, there, n_left);
	}
	for (size_t i = 0; i < n_left; i++)
		if (!err && !left[i]->err)
			plane_port_info(p, left[i]->id)->flags &= ~(__u32)(VP_INFO_CLSACT | VP_INFO_PENDING);
	for (size_t i = 0; err && i < n; i++)
		list[i].err = list[i].err ? list[i].err : err;
	free(left);
	free(there);
}

int plane_detach(struct plane *p, uint16_t id, const char *port, const struct link_info *l)
{
	struct plane_gone gone = {.id = id, .port = port, .link = l};

	plane_detach_many(p, &gone, 1);
	return gone.err;
}
