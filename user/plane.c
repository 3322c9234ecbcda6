/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Life of a plane in the kernel.
 *
 * A plane appears at once: everything is loaded and pinned in a directory `+PLANE` that nobody looks at, which then is
 * renamed to PLANE.  A loader that dies before the rename leaves only `+PLANE`, and the next one removes it.
 * A plane disappears in the reverse manner: renamed to `+PLANE`, then unpinned.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "plane_priv.h"
#include "vpeer.skel.h"

#define BPF_FS_MAGIC_NUMBER 0xcafe4a11
#define BPFFS_OURS PLANE_RUN "/.bpffs"

const struct plane_map_spec plane_maps[MAP_COUNT] = {
	[MAP_PLANE] = {"vp_plane", sizeof(struct vp_plane), 1},
	[MAP_IFACES] = {"vp_ifaces", 0, 0},
	[MAP_NEAR] = {"vp_near", sizeof(uint64_t), VP_MAX_NEAR},
	[MAP_PORTS] = {"vp_ports", sizeof(struct vp_port), 2 * VP_MAX_PORTS},
	[MAP_SEGMENTS] = {"vp_segments", sizeof(struct vp_segment), 2 * VP_MAX_SEGMENTS},
	[MAP_MEMBERS] = {"vp_members", sizeof(struct vp_member), 2 * VP_MAX_MEMBERS},
	[MAP_VLANS] = {"vp_vlans", 0, 0},
	[MAP_GUARDS] = {"vp_guards", 0, 0},
	[MAP_MACS] = {"vp_macs", 0, 0},
	[MAP_SWEEP] = {"vp_sweep", 0, 0},
	[MAP_STATE] = {"vp_state", sizeof(struct vp_state), VP_MAX_PORTS},
	[MAP_COUNTERS] = {"vp_counters", 0, 0},
	[MAP_TIMER] = {"vp_timer", 0, 0},
	[MAP_TARGETS] = {"vp_targets", 0, 0},
	[MAP_FLOODS] = {"vp_floods", 0, 0},
	[MAP_PORT_INFO] = {"vp_port_info", sizeof(struct vp_port_info), VP_MAX_PORTS},
	[MAP_SEG_INFO] = {"vp_seg_info", sizeof(struct vp_seg_info), VP_MAX_SEGMENTS},
	[MAP_CONF] = {"vp_conf", sizeof(struct vp_conf), 2},
};
_Static_assert(sizeof(plane_maps) / sizeof(plane_maps[0]) == MAP_COUNT, "a map without a name");

const char *const plane_progs[PROG_COUNT] = {
	[PROG_XDP] = "vp_xdp",
	[PROG_XDP_SKB] = "vp_xdp_skb",
	[PROG_TC_IN] = "vp_tc_in",
	[PROG_TC_OUT] = "vp_tc_out",
};

void plane_path(char buf[PATH_MAX], const char *plane, const char *sub, const char *leaf)
{
	snprintf(buf, PATH_MAX, "%s/%s%s%s%s%s", PLANE_ROOT, plane, sub ? "/" : "", sub ? sub : "", leaf ? "/" : "",
		 leaf ? leaf : "");
	for (char *c = buf + strlen(PLANE_ROOT); *c; c++)
		if (*c == '.')
			*c = ':';
}

void plane_init(struct plane *p)
{
	memset(p, 0, sizeof(*p));
	p->lock = -1;
	for (int i = 0; i < MAP_COUNT; i++)
		p->map[i] = -1;
	for (int i = 0; i < PROG_COUNT; i++)
		p->prog[i] = -1;
}

void plane_close(struct plane *p)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		if (p->mem[i])
			munmap(p->mem[i], p->mem_len[i]);
		if (p->map[i] >= 0)
			close(p->map[i]);
	}
	for (int i = 0; i < PROG_COUNT; i++)
		if (p->prog[i] >= 0)
			close(p->prog[i]);
	if (p->lock >= 0)
		close(p->lock);
	plane_init(p);
}

int plane_lock(struct plane *p, const char *name)
{
	char path[PATH_MAX];
	struct stat open_one, named;

	snprintf(path, sizeof(path), "%s/%s", PLANE_RUN, name);
	for (;;) {
		if ((mkdir(PLANE_RUN, 0755) && errno != EEXIST) || (mkdir(path, 0755) && errno != EEXIST)) {
			int err = errno;

			fail(path, "cannot make the plane's directory: %s%s", strerror(err),
			     err == EACCES || err == EPERM ? "; run as root" : "");
			return -err;
		}
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0 && errno == ENOENT)
			continue; /* `down` of another loader took it away between the two calls */
		if (fd < 0 || flock(fd, LOCK_EX)) {
			int err = errno;

			if (fd >= 0)
				close(fd);
			fail(path, "cannot lock the plane: %s%s", strerror(err),
			     err == EACCES || err == EPERM ? "; run as root" : "");
			return -err;
		}
		/* The one who held the lock may have removed the directory: then ours is nobody's lock. */
		if (!fstat(fd, &open_one) && !stat(path, &named) && open_one.st_ino == named.st_ino) {
			p->lock = fd;
			return 0;
		}
		close(fd);
	}
}

static int quiet_print(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	/* Else our own message says it, with the object's name. */
	return log_verbose() ? vfprintf(stderr, fmt, args) : 0;
}

/* bpffs at its usual place, mounted if nothing of that kind is there. */
static int need_bpffs(void)
{
	struct statfs fs;

	if (!statfs("/sys/fs/bpf", &fs) && (uint32_t)fs.f_type == BPF_FS_MAGIC_NUMBER)
		return 0;
	/* `down` of the last plane unmounts what we mounted: noted first, so that dying in between loses nothing. */
	int fd = open(BPFFS_OURS, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	if (fd >= 0)
		close(fd);
	if (mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700")) {
		int err = errno;

		unlink(BPFFS_OURS);
		fail("/sys/fs/bpf", "no bpffs there, and mounting it failed: %s; run: mount -t bpf bpf /sys/fs/bpf",
		     strerror(err));
		return -err;
	}
	return 0;
}

/* Nothing of any plane is left, one half made included: then what we made to hold the pins goes, too. */
static void leave_bpffs(void)
{
	if (rmdir(PLANE_ROOT) && errno != ENOENT)
		return;
	/* Somebody else's programs may live there by now: then it stays, and is no longer ours. */
	bool empty = plane_shared_leave();

	if (!unlink(BPFFS_OURS) && empty)
		umount2("/sys/fs/bpf", MNT_DETACH);
}

static void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char sub[PATH_MAX];

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (unlink(sub))
			remove_tree(sub);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

/* Does the running kernel have the kfunc that lets the programs look at a device as it is now? */
bool plane_sees_devices(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool has = btf && btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return has;
}

static void prepare(struct vpeer_bpf *skel)
{
	struct bpf_map *map;

	skel->rodata->vp_live = plane_sees_devices();
	for (int i = 0; i < MAP_COUNT; i++) {
		map = bpf_object__find_map_by_name(skel->obj, plane_maps[i].name);
		if (map && plane_maps[i].entries)
			bpf_map__set_map_flags(map, bpf_map__map_flags(map) | BPF_F_MMAPABLE);
	}
}

static void report(const char *plane, const char *what, int err)
{
	char object[VP_NAME_LEN + 8];

	snprintf(object, sizeof(object), "plane %s", plane);
	fail(object, "%s: %s", what, strerror(-err));
}

static int report_load(const char *plane, int err)
{
	char object[VP_NAME_LEN + 8];

	snprintf(object, sizeof(object), "plane %s", plane);
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		fail(object, "this kernel has no BTF (/sys/kernel/btf/vmlinux); "
			     "one built with CONFIG_DEBUG_INFO_BTF=y is needed");
	else if (err == -EPERM || (err == -EACCES && geteuid())) /* EACCES is also the verifier's word */
		fail(object, "the kernel refuses to load programs: run as root, "
			     "or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
	else
		fail(object, "the kernel refuses the programs or maps: %s; -v shows its log", strerror(-err));
	return err;
}

static int take_fds(struct plane *p, struct vpeer_bpf *skel)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, plane_maps[i].name);

		p->map[i] = map ? fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3) : -1;
		if (p->map[i] < 0)
			return -ENOENT;
	}
	for (int i = 0; i < PROG_COUNT; i++) {
		struct bpf_program *prog = bpf_object__find_program_by_name(skel->obj, plane_progs[i]);

		p->prog[i] = prog ? fcntl(bpf_program__fd(prog), F_DUPFD_CLOEXEC, 3) : -1;
		if (p->prog[i] < 0)
			return -ENOENT;
	}
	return 0;
}

static int map_memory(struct plane *p)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		size_t stride = (plane_maps[i].value_size + 7) & ~(size_t)7;
		size_t page = (size_t)sysconf(_SC_PAGESIZE);

		if (!plane_maps[i].entries)
			continue;
		p->mem_len[i] = (stride * plane_maps[i].entries + page - 1) / page * page;
		p->mem[i] = mmap(NULL, p->mem_len[i], PROT_READ | PROT_WRITE, MAP_SHARED, p->map[i], 0);
		if (p->mem[i] == MAP_FAILED) {
			p->mem[i] = NULL;
			return -errno;
		}
	}
	return 0;
}

static int read_prog_ids(struct plane *p)
{
	for (int i = 0; i < PROG_COUNT; i++) {
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);
		int err = bpf_obj_get_info_by_fd(p->prog[i], &info, &len);

		if (err)
			return err;
		p->prog_id[i] = info.id;
	}
	return 0;
}

static int pin_all(const struct plane *p, const char *dir)
{
	char path[PATH_MAX];
	int err;

	plane_path(path, dir, NULL, NULL);
	if (mkdir(path, 0700))
		return -errno;
	const char *const subs[] = {"maps", "progs", "links"};

	for (size_t i = 0; i < 3; i++) {
		plane_path(path, dir, subs[i], NULL);
		if (mkdir(path, 0700))
			return -errno;
	}
	for (int i = 0; i < MAP_COUNT; i++) {
		plane_path(path, dir, "maps", plane_maps[i].name);
		err = bpf_obj_pin(p->map[i], path);
		if (err)
			return err;
	}
	for (int i = 0; i < PROG_COUNT; i++) {
		plane_path(path, dir, "progs", plane_progs[i]);
		err = bpf_obj_pin(p->prog[i], path);
		if (err)
			return err;
	}
	return 0;
}

/* The sweep's timer is armed by a program that is run once; from then on it arms itself. */
static int start_sweep(struct vpeer_bpf *skel)
{
	unsigned char frame[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
	int err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.vp_start), &opts);

	return err ? err : -(int)opts.retval;
}

static int fill_plane(struct plane *p, const char *name)
{
	struct vp_plane *self = p->mem[MAP_PLANE];

	self->abi = VP_ABI_VERSION;
	snprintf(self->name, sizeof(self->name), "%s", name);
	uint64_t cookie;
	int err = link_netns_cookie(&cookie);

	self->netns = cookie;
	return err;
}

static int build(struct plane *p, const char *name, const char *fresh)
{
	struct vpeer_bpf *skel = vpeer_bpf__open();
	int err;

	if (!skel)
		return report_load(name, -errno);
	prepare(skel);
	err = vpeer_bpf__load(skel);
	if (err) {
		report_load(name, err);
		goto out;
	}
	err = take_fds(p, skel);
	if (!err)
		err = map_memory(p);
	if (!err)
		err = read_prog_ids(p);
	if (!err)
		err = fill_plane(p, name);
	if (!err)
		err = pin_all(p, fresh);
	if (!err)
		err = start_sweep(skel);
	if (err)
		report(name, "cannot set the plane up", err);
out:
	vpeer_bpf__destroy(skel);
	return err;
}

int plane_create(struct plane *p, const char *name)
{
	char fresh[VP_NAME_LEN + 1], from[PATH_MAX], to[PATH_MAX];
	int err;

	libbpf_set_print(quiet_print);
	err = need_bpffs();
	if (err)
		return err;
	if (mkdir(PLANE_ROOT, 0700) && errno != EEXIST) {
		err = -errno;
		fail(PLANE_ROOT, "cannot make the directory of pins: %s", strerror(-err));
		return err;
	}
	snprintf(fresh, sizeof(fresh), "+%s", name);
	plane_path(from, fresh, NULL, NULL);
	plane_path(to, name, NULL, NULL);
	remove_tree(from);
	snprintf(p->name, sizeof(p->name), "%s", name);
	err = build(p, name, fresh);
	if (!err && rename(from, to)) {
		err = -errno;
		report(name, "cannot name the plane's pins", err);
	}
	if (err) {
		remove_tree(from);
		leave_bpffs();
	}
	return err;
}

void plane_sweep(const char *name)
{
	char rest[VP_NAME_LEN + 1], path[PATH_MAX];

	snprintf(rest, sizeof(rest), "+%s", name);
	plane_path(path, rest, NULL, NULL);
	remove_tree(path);
	leave_bpffs();
}

static int open_pins(struct plane *p, const char *name)
{
	char path[PATH_MAX];

	for (int i = 0; i < MAP_COUNT; i++) {
		plane_path(path, name, "maps", plane_maps[i].name);
		p->map[i] = bpf_obj_get(path);
		if (p->map[i] < 0)
			return -errno;
	}
	for (int i = 0; i < PROG_COUNT; i++) {
		plane_path(path, name, "progs", plane_progs[i]);
		p->prog[i] = bpf_obj_get(path);
		if (p->prog[i] < 0)
			return -errno;
	}
	return 0;
}

static int check_plane(const struct plane *p, const char *object)
{
	const struct vp_plane *self = p->mem[MAP_PLANE];
	uint64_t cookie;
	int err = link_netns_cookie(&cookie);

	if (err || !self)
		return err ? err : -EIO;
	if (self->abi != VP_ABI_VERSION) {
		fail(object, "was made by a vpeer with ABI %u, this one has %u; use that vpeer, or its `down` first",
		     self->abi, VP_ABI_VERSION);
		return -EPROTO;
	}
	if (self->netns != cookie) {
		fail(object, "lives in another network namespace; run vpeer there (nsenter --net=...)");
		return -EXDEV;
	}
	return 0;
}

int plane_open(struct plane *p, const char *name)
{
	char object[VP_NAME_LEN + 8], path[PATH_MAX];
	int err;

	libbpf_set_print(quiet_print);
	snprintf(object, sizeof(object), "plane %s", name);
	plane_path(path, name, NULL, NULL);
	if (!plane_exists(name))
		return -ENOENT;
	snprintf(p->name, sizeof(p->name), "%s", name);
	err = open_pins(p, name);
	if (!err)
		err = map_memory(p);
	if (!err)
		err = read_prog_ids(p);
	if (err) {
		fail(object, "cannot open its pins under %s: %s%s", path, strerror(-err),
		     err == -EPERM || err == -EACCES ? "; run as root" : "");
		return err == -ENOENT ? -EIO : err;
	}
	return check_plane(p, object);
}

bool plane_exists(const char *name)
{
	char path[PATH_MAX];

	plane_path(path, name, NULL, NULL);
	return !access(path, F_OK) || (errno != ENOENT && errno != ENOTDIR);
}

int plane_destroy(struct plane *p)
{
	char from[PATH_MAX], to[PATH_MAX], gone[VP_NAME_LEN + 1];

	snprintf(gone, sizeof(gone), "+%s", p->name);
	plane_path(from, p->name, NULL, NULL);
	plane_path(to, gone, NULL, NULL);
	remove_tree(to);
	if (rename(from, to)) {
		int err = -errno;

		fail(p->name, "cannot take the plane's pins away: %s", strerror(-err));
		return err;
	}
	remove_tree(to);
	leave_bpffs();
	return 0;
}

int plane_names(char (**names)[VP_NAME_LEN], size_t *n)
{
	DIR *d = opendir(PLANE_ROOT);
	struct dirent *e;

	*names = NULL;
	*n = 0;
	while (d && (e = readdir(d))) {
		void *more;

		if (e->d_name[0] == '.' || e->d_name[0] == '+' || strlen(e->d_name) >= VP_NAME_LEN)
			continue;
		more = realloc(*names, (*n + 1) * sizeof(**names));
		if (!more)
			break;
		*names = more;
		snprintf((*names)[*n], VP_NAME_LEN, "%s", e->d_name);
		for (char *c = (*names)[(*n)++]; *c; c++)
			if (*c == ':')
				*c = '.';
	}
	if (d)
		closedir(d);
	return 0;
}

int plane_of_device(uint32_t ifindex, const char *self, char plane[VP_NAME_LEN], char port[VP_NAME_LEN])
{
	char(*names)[VP_NAME_LEN];
	char path[PATH_MAX];
	size_t n;
	uint64_t cookie;
	int found = 0;

	if (link_netns_cookie(&cookie) || plane_names(&names, &n))
		return 0;
	for (size_t i = 0; i < n && !found; i++) {
		struct vp_plane about = {0};
		uint32_t zero = 0, id = 0;

		if (!strcmp(names[i], self))
			continue;
		plane_path(path, names[i], "maps", "vp_plane");
		int plane_fd = bpf_obj_get(path);

		plane_path(path, names[i], "maps", "vp_ifaces");
		int ifaces_fd = bpf_obj_get(path);

		if (plane_fd >= 0 && ifaces_fd >= 0 && !bpf_map_lookup_elem(plane_fd, &zero, &about) &&
		    about.netns == cookie && !bpf_map_lookup_elem(ifaces_fd, &ifindex, &id)) {
			found = 1;
			snprintf(plane, VP_NAME_LEN, "%s", names[i]);
			snprintf(port, VP_NAME_LEN, "#%u", id);
		}
		if (plane_fd >= 0)
			close(plane_fd);
		if (ifaces_fd >= 0)
			close(ifaces_fd);
	}
	free(names);
	return found;
}

uint32_t plane_tick(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)(((uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec) >> VP_TICK_SHIFT);
}
