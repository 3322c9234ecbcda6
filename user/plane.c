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
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "plane_priv.h"
#include "value.h"
#include "vpeer.skel.h"

const struct plane_map_spec plane_maps[MAP_COUNT] = {
	[MAP_PLANE] = {"vp_plane", sizeof(struct vp_plane), 1, 0},
	[MAP_IFACES] = {"vp_ifaces", 0, 0, 0},
	[MAP_NEAR] = {"vp_near", sizeof(uint64_t), VP_MAX_NEAR, 0},
	[MAP_MEMORY] = {"vp_memory", 0, 0, 3},
	[MAP_PORTS] = {"vp_ports", sizeof(struct vp_port), 2 * VP_MAX_PORTS, 0},
	[MAP_SEGMENTS] = {"vp_segments", sizeof(struct vp_segment), 2 * VP_MAX_SEGMENTS, 0},
	[MAP_MEMBERS] = {"vp_members", sizeof(struct vp_member), 2 * VP_MAX_MEMBERS, 0},
	[MAP_VLANS] = {"vp_vlans", 0, 0, 0},
	[MAP_GUARDS] = {"vp_guards", 0, 0, 0},
	[MAP_MACS] = {"vp_macs", 0, 0, 0},
	[MAP_SWEEP] = {"vp_sweep", 0, 0, 0},
	[MAP_STATE] = {"vp_state", sizeof(struct vp_state), VP_MAX_PORTS, 0},
	[MAP_COUNTERS] = {"vp_counters", 0, 0, 0},
	[MAP_TIMER] = {"vp_timer", 0, 0, 0},
	[MAP_TOLD] = {"vp_told", 0, 0, 1},
	[MAP_EVENTS] = {"vp_events", sizeof(struct vp_events), 1, 1},
	[MAP_TARGETS] = {"vp_targets", 0, 0, 0},
	[MAP_FLOODS] = {"vp_floods", 0, 0, 0},
	[MAP_PORT_INFO] = {"vp_port_info", sizeof(struct vp_port_info), VP_MAX_PORTS, 0},
	[MAP_SEG_INFO] = {"vp_seg_info", sizeof(struct vp_seg_info), VP_MAX_SEGMENTS, 0},
	[MAP_CONF] = {"vp_conf", sizeof(struct vp_conf), 2, 0},
};
_Static_assert(sizeof(plane_maps) / sizeof(plane_maps[0]) == MAP_COUNT, "a map without a name");

const char *const plane_progs[PROG_COUNT] = {
	[PROG_XDP] = "vp_xdp",
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
	link_filters_close();
	plane_init(p);
}

static int quiet_print(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	/* Else our own message says it, with the object's name. */
	return log_verbose() ? vfprintf(stderr, fmt, args) : 0;
}

void plane_remove_tree(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char sub[PATH_MAX];

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (unlink(sub))
			plane_remove_tree(sub);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

/*
 * Does the running kernel have the kfunc that lets the programs look at a device as it is now?  Linux 6.2 brought it.
 * Only an older one, which may have it from a distributor, is worth the reading of all its types.
 */
bool plane_sees_devices(void)
{
	unsigned int major, minor;
	struct utsname u;
	struct btf *btf;
	bool has;

	if (!uname(&u) && sscanf(u.release, "%u.%u", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 2)))
		return true;
	btf = btf__load_vmlinux_btf();
	has = btf && btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;
	btf__free(btf);
	return has;
}

void plane_prepare(struct vpeer_bpf *skel)
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

int plane_report_load(const char *plane, int err)
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

int plane_prog_info(int prog, struct bpf_prog_info *info)
{
	__u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(prog, info, &len) ? -errno : 0;
}

static int read_prog_ids(const int prog[PROG_COUNT], uint32_t prog_id[PROG_COUNT])
{
	for (int i = 0; i < PROG_COUNT; i++) {
		struct bpf_prog_info info;
		int err = plane_prog_info(prog[i], &info);

		if (err)
			return err;
		prog_id[i] = info.id;
	}
	return 0;
}

int plane_take_progs(struct vpeer_bpf *skel, int prog[PROG_COUNT], uint32_t prog_id[PROG_COUNT])
{
	for (int i = 0; i < PROG_COUNT; i++) {
		struct bpf_program *found = bpf_object__find_program_by_name(skel->obj, plane_progs[i]);

		prog[i] = found ? fcntl(bpf_program__fd(found), F_DUPFD_CLOEXEC, 3) : -1;
		if (prog[i] < 0)
			return -ENOENT;
	}
	return read_prog_ids(prog, prog_id);
}

static int take_fds(struct plane *p, struct vpeer_bpf *skel)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, plane_maps[i].name);

		p->map[i] = map ? fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3) : -1;
		if (p->map[i] < 0)
			return -ENOENT;
	}
	return plane_take_progs(skel, p->prog, p->prog_id);
}

int plane_map_memory(struct plane *p)
{
	for (int i = 0; i < MAP_COUNT; i++) {
		size_t stride = (plane_maps[i].value_size + 7) & ~(size_t)7;
		size_t page = (size_t)sysconf(_SC_PAGESIZE);

		if (!plane_maps[i].entries || p->map[i] < 0 || p->mem[i])
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

int plane_pin_progs(const int prog[PROG_COUNT], const char *plane, const char *sub)
{
	char path[PATH_MAX];

	for (int i = 0; i < PROG_COUNT; i++) {
		plane_path(path, plane, sub, plane_progs[i]);
		int err = bpf_obj_pin(prog[i], path);

		if (err)
			return err;
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
	return plane_pin_progs(p->prog, dir, "progs");
}

/* The sweep's timer is armed by a program that is run once; from then on it arms itself. */
int plane_start_sweep(struct vpeer_bpf *skel)
{
	unsigned char frame[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
	int err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.vp_start), &opts);

	return err ? err : -(int)opts.retval;
}

static int fill_plane(struct plane *p, const char *name)
{
	struct vp_plane *self = p->mem[MAP_PLANE];

	if (!self)
		return -EIO;
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
		return plane_report_load(name, -errno);
	plane_prepare(skel);
	err = vpeer_bpf__load(skel);
	if (err) {
		plane_report_load(name, err);
		goto out;
	}
	err = take_fds(p, skel);
	if (!err)
		err = plane_map_memory(p);
	if (!err)
		err = fill_plane(p, name);
	if (!err)
		err = pin_all(p, fresh);
	if (!err)
		err = plane_start_sweep(skel);
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
	err = plane_need_bpffs();
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
	plane_remove_tree(from);
	snprintf(p->name, sizeof(p->name), "%s", name);
	err = build(p, name, fresh);
	if (!err && rename(from, to)) {
		err = -errno;
		report(name, "cannot name the plane's pins", err);
	}
	if (err) {
		plane_remove_tree(from);
		plane_leave_bpffs();
	}
	return err;
}

void plane_sweep(const char *name)
{
	char rest[VP_NAME_LEN + 1], path[PATH_MAX];

	snprintf(rest, sizeof(rest), "+%s", name);
	plane_path(path, rest, NULL, NULL);
	plane_remove_tree(path);
	plane_leave_bpffs();
}

/* The version is the first word of the first map whatever else has become of it; nothing else is looked at before. */
static int read_version(const struct plane *p, uint32_t *abi)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info), zero = 0;
	void *value;

	if (bpf_obj_get_info_by_fd(p->map[MAP_PLANE], &info, &len))
		return -errno;
	value = calloc(1, info.value_size + sizeof(*abi));
	if (!value)
		return -ENOMEM;
	int err = bpf_map_lookup_elem(p->map[MAP_PLANE], &zero, value) ? -errno : 0;

	memcpy(abi, value, sizeof(*abi));
	free(value);
	return err;
}

static int check_version(const struct plane *p, const char *object, uint32_t abi, bool older)
{
	char run[COMMAND_TEXT];
	uint32_t major = VP_ABI_MAJOR_OF(abi), minor = VP_ABI_MINOR_OF(abi);
	enum vp_abi_fit fit = vp_abi_fit(abi, VP_ABI_VERSION);

	if (fit == VP_ABI_FOREIGN)
		fail(object,
		     "was made by a vpeer with ABI %u.%u, this one has %u.%u, and the two do not fit together; "
		     "use that vpeer, or change over with a gap: its `showconf` and `down`, then `up` with this one",
		     major, minor, VP_ABI_MAJOR, VP_ABI_MINOR);
	else if (fit == VP_ABI_NEWER)
		fail(object, "was made by a newer vpeer with ABI %u.%u, this one has %u.%u; use that one", major, minor,
		     VP_ABI_MAJOR, VP_ABI_MINOR);
	else if (fit == VP_ABI_OLDER && !older)
		fail(object, "was made by an older vpeer with ABI %u.%u, this one has %u.%u; run: %s", major, minor,
		     VP_ABI_MAJOR, VP_ABI_MINOR, value_command(run, p->name, "upgrade"));
	else
		return 0;
	return -EPROTO;
}

static int open_pin(int *fd, const char *plane, const char *sub, const char *leaf)
{
	char path[PATH_MAX];

	plane_path(path, plane, sub, leaf);
	*fd = bpf_obj_get(path);
	return *fd < 0 ? -errno : 0;
}

static int open_pins(struct plane *p, const char *name, uint32_t abi)
{
	int err = 0;

	for (int i = 0; !err && i < MAP_COUNT; i++) {
		if (p->map[i] < 0)
			err = open_pin(&p->map[i], name, "maps", plane_maps[i].name);
		/* It came later than the plane: plane_next_migrate() makes it. */
		if (err == -ENOENT && plane_maps[i].since > VP_ABI_MINOR_OF(abi))
			err = 0;
	}
	for (int i = 0; !err && i < PROG_COUNT; i++)
		err = open_pin(&p->prog[i], name, "progs", plane_progs[i]);
	if (!err)
		err = plane_map_memory(p);
	return err ? err : read_prog_ids(p->prog, p->prog_id);
}

enum opening { AS_IT_IS, TO_UPGRADE, TO_REMOVE };

/* The kernel has taken its last device out of vp_targets: then nothing of it is attached anywhere. */
static bool has_device(const struct plane *p)
{
	uint32_t id;

	return !bpf_map_get_next_key(p->map[MAP_TARGETS], NULL, &id);
}

static int check_netns(struct plane *p, const char *object, enum opening how)
{
	const struct vp_plane *self = p->mem[MAP_PLANE];
	uint64_t cookie;
	int err = link_netns_cookie(&cookie);

	if (err || !self)
		return err ? err : -EIO;
	p->orphan = self->netns != cookie && !has_device(p);
	if (self->netns == cookie || (p->orphan && how == TO_REMOVE))
		return 0;
	fail(object, p->orphan ? "its network namespace is gone, or has none of its devices any more; "
				 "`down` removes it from here, too"
			       : "lives in another network namespace; run vpeer there (nsenter --net=...)");
	return -EXDEV;
}

/* An exchange of programs that was cut short: those that were not taken, or are not in use any more. */
static void tidy(const struct plane *p)
{
	char path[PATH_MAX];

	plane_path(path, p->name, NEXT_PROGS, NULL);
	if (p->lock >= 0 && !access(path, F_OK))
		plane_remove_tree(path);
}

static int open_plane(struct plane *p, const char *name, enum opening how)
{
	char object[VP_NAME_LEN + 8], path[PATH_MAX];
	uint32_t abi = 0;
	int err;

	libbpf_set_print(quiet_print);
	snprintf(object, sizeof(object), "plane %s", name);
	plane_path(path, name, NULL, NULL);
	if (!plane_exists(name)) {
		err = plane_check_seen();
		return err ? err : -ENOENT;
	}
	snprintf(p->name, sizeof(p->name), "%s", name);
	err = open_pin(&p->map[MAP_PLANE], name, "maps", plane_maps[MAP_PLANE].name);
	if (!err)
		err = read_version(p, &abi);
	if (!err && check_version(p, object, abi, how != AS_IT_IS))
		return -EPROTO;
	if (!err)
		err = open_pins(p, name, abi);
	if (err) {
		fail(object, "cannot open its pins under %s: %s%s", path, strerror(-err),
		     err == -EPERM || err == -EACCES ? "; run as root" : "");
		return err == -ENOENT ? -EIO : err;
	}
	tidy(p);
	return check_netns(p, object, how);
}

int plane_open(struct plane *p, const char *name)
{
	return open_plane(p, name, AS_IT_IS);
}

int plane_open_older(struct plane *p, const char *name)
{
	return open_plane(p, name, TO_UPGRADE);
}

int plane_open_to_remove(struct plane *p, const char *name)
{
	return open_plane(p, name, TO_REMOVE);
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
	plane_remove_tree(to);
	if (rename(from, to)) {
		int err = -errno;

		fail(p->name, "cannot take the plane's pins away: %s", strerror(-err));
		return err;
	}
	plane_remove_tree(to);
	plane_leave_bpffs();
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

/* A plane of this namespace that is not `self`, for plane_of_device(); else its files are closed again. */
static bool open_other(struct plane_other *o, const char *name, uint64_t netns)
{
	struct vp_plane about = {0};
	uint32_t zero = 0;
	char path[PATH_MAX];

	memcpy(o->name, name, VP_NAME_LEN);
	plane_path(path, name, "maps", "vp_plane");
	int fd = bpf_obj_get(path);
	bool here = fd >= 0 && !bpf_map_lookup_elem(fd, &zero, &about) && about.netns == netns;

	if (fd >= 0)
		close(fd);
	plane_path(path, name, "maps", "vp_ifaces");
	o->ifaces = here ? bpf_obj_get(path) : -1;
	return o->ifaces >= 0;
}

void plane_others_open(struct plane_others *o, const char *self)
{
	char(*names)[VP_NAME_LEN] = NULL;
	uint64_t cookie;
	size_t n;

	memset(o, 0, sizeof(*o));
	if (link_netns_cookie(&cookie) || plane_names(&names, &n))
		return;
	o->list = calloc(n + 1, sizeof(*o->list));
	for (size_t i = 0; o->list && i < n; i++)
		if (strcmp(names[i], self) != 0 && open_other(&o->list[o->n], names[i], cookie))
			o->n++;
	free(names);
}

void plane_others_close(struct plane_others *o)
{
	for (size_t i = 0; i < o->n; i++)
		close(o->list[i].ifaces);
	free(o->list);
}

bool plane_of_device(const struct plane_others *o, uint32_t ifindex, const char **plane, char port[VP_NAME_LEN])
{
	uint32_t id = 0;

	for (size_t i = 0; i < o->n; i++) {
		if (bpf_map_lookup_elem(o->list[i].ifaces, &ifindex, &id))
			continue;
		*plane = o->list[i].name;
		snprintf(port, VP_NAME_LEN, "#%u", id);
		return true;
	}
	return false;
}

uint32_t plane_tick(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)(((uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec) >> VP_TICK_SHIFT);
}
