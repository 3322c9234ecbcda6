/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "rig.h"
#include "vpeer.skel.h"

struct rig rig;
static struct vpeer_bpf *skel;

const char *const rig_port_name[RIG_PORTS] = { [A] = "A",
					       [B] = "B",
					       [C] = "C",
					       [H] = "H",
					       [N] = "N",
					       [DOWN] = "DOWN",
					       [SMALL] = "SMALL",
					       [GONE] = "GONE",
					       [PULLED] = "PULLED",
					       [E] = "E",
					       [WAITING] = "WAITING",
					       [X] = "X" };

static const char *const device[RIG_PORTS] = {
	[A] = "tapa",		[B] = "tapb",	    [C] = "tapc",	  [H] = "vethh",
	[N] = "tapn",		[DOWN] = "tapdown", [SMALL] = "tapsmall", [GONE] = "tapgone",
	[PULLED] = "tappulled", [E] = "tape",	    [X] = "tapx"
};

const char *rig_device(unsigned int port)
{
	return device[port];
}

int rig_link(const char *fmt, ...)
{
	char cmd[256] = "ip link ";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd + 8, sizeof(cmd) - 8, fmt, ap);
	va_end(ap);
	return system(cmd) ? -EIO : 0;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

static int tap_open(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &ifr)) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	return fd;
}

/* A persistent TAP whose reader went away is up but has no carrier. */
static void tap_pull(unsigned int port)
{
	ioctl(rig.tap[port], TUNSETPERSIST, 1);
	close(rig.tap[port]);
	rig.tap[port] = -1;
}

static int devices_make(void)
{
	unsigned int i;

	for (i = 1; i < RIG_PORTS; i++) {
		if (!device[i])
			continue;
		if (i == H) {
			if (rig_link("add vethh type veth peer name vethh2") || rig_link("set vethh2 up"))
				return -EIO;
		} else {
			rig.tap[i] = tap_open(device[i]);
			if (rig.tap[i] < 0)
				return rig.tap[i];
		}
		rig.ifindex[i] = if_nametoindex(device[i]);
		if (i != DOWN && rig_link("set %s up", device[i]))
			return -EIO;
	}
	tap_pull(PULLED);
	close(rig.tap[GONE]);
	rig.tap[GONE] = -1;
	return rig_link("set tapsmall mtu %d", SMALL_MTU);
}

static int map_fd(const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(rig.obj, name);

	if (fd < 0)
		fprintf(stderr, "the object has no map %s\n", name);
	return fd;
}

static int maps_find(void)
{
	struct {
		int *fd;
		const char *name;
	} want[] = {
		{ &rig.map.plane, "vp_plane" },	    { &rig.map.ifaces, "vp_ifaces" },
		{ &rig.map.near, "vp_near" },	    { &rig.map.memory, "vp_memory" },
		{ &rig.map.ports, "vp_ports" },	    { &rig.map.segments, "vp_segments" },
		{ &rig.map.members, "vp_members" }, { &rig.map.vlans, "vp_vlans" },
		{ &rig.map.guards, "vp_guards" },
		{ &rig.map.macs, "vp_macs" },	    { &rig.map.sweep, "vp_sweep" },
		{ &rig.map.state, "vp_state" },	    { &rig.map.counters, "vp_counters" },
		{ &rig.map.targets, "vp_targets" }, { &rig.map.floods, "vp_floods" },
		{ &rig.map.told, "vp_told" },	    { &rig.map.events, "vp_events" },
	};
	unsigned int i;

	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		*want[i].fd = map_fd(want[i].name);
		if (*want[i].fd < 0)
			return -ENOENT;
	}
	return 0;
}

static int prog_fd(const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(rig.obj, name);

	if (!p)
		fprintf(stderr, "the object has no program %s\n", name);
	return p ? bpf_program__fd(p) : -ENOENT;
}

/* Flood map of segment 1 in both banks: A, B and C.  test_run sends nothing through it, live tests do. */
static int floods_fill(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	unsigned int bank, port;

	for (bank = 0; bank < 2; bank++) {
		__u32 key = vp_bank_index(bank, VP_MAX_SEGMENTS, 1);
		int inner = bpf_map_create(BPF_MAP_TYPE_DEVMAP_HASH, "vp_flood", 4, 8, 8, &opts);
		int ret = inner < 0 ? -errno : 0;

		for (port = A; port <= C && !ret; port++) {
			__u32 value[2] = { rig.ifindex[port], 0 };

			ret = bpf_map_update_elem(inner, &port, value, BPF_ANY);
		}
		if (!ret)
			ret = bpf_map_update_elem(rig.map.floods, &key, &inner, BPF_ANY);
		if (inner >= 0)
			close(inner);
		if (ret)
			return ret;
	}
	return 0;
}

static int targets_fill(void)
{
	unsigned int port;

	for (port = 1; port < RIG_PORTS; port++) {
		__u32 value[2] = { rig.ifindex[port], 0 };
		uint64_t near = port;
		int ret = 0;

		if (rig.ifindex[port])
			ret = bpf_map_update_elem(rig.map.ifaces, &rig.ifindex[port], &port, BPF_ANY);
		if (!ret && rig.ifindex[port])
			ret = bpf_map_update_elem(rig.map.near, &rig.ifindex[port], &near, BPF_ANY);
		if (!ret && rig.ifindex[port] && port != GONE)
			ret = bpf_map_update_elem(rig.map.targets, &port, value, BPF_ANY);
		if (ret)
			return ret;
	}
	return 0;
}

int rig_devices(void)
{
	unsigned int i;

	for (i = 0; i < RIG_PORTS; i++)
		rig.tap[i] = -1;
	if (unshare(CLONE_NEWNET))
		return -errno;
	/* Else the host would talk into the TAPs. */
	write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	return devices_make();
}

bool rig_kernel_has_live(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool has = btf && btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return has;
}

int rig_load(bool live)
{
	size_t bound, alone;
	int ret;

	skel = vpeer_bpf__open();
	if (!skel)
		return -errno;
	skel->rodata->vp_live = live;
	bound = bpf_program__insn_cnt(skel->progs.vp_xdp_bound);
	alone = bpf_program__insn_cnt(skel->progs.vp_xdp);
	ret = vpeer_bpf__load(skel);
	if (ret)
		return ret;
	rig.bound_bytes = (bound + bpf_program__insn_cnt(skel->progs.vp_xdp) - alone) * sizeof(struct bpf_insn);
	rig.live = live;
	rig.obj = skel->obj;
	rig.prog[PROG_XDP] = prog_fd("vp_xdp");
	rig.prog[PROG_TC] = prog_fd("vp_tc_in");
	if (rig.prog[PROG_XDP] < 0 || rig.prog[PROG_TC] < 0 || maps_find())
		return -ENOENT;
	ret = targets_fill();
	return ret ? ret : floods_fill();
}

void rig_unload(void)
{
	vpeer_bpf__destroy(skel);
	skel = NULL;
}

void rig_free(void)
{
	unsigned int i;

	rig_unload();
	for (i = 0; i < RIG_PORTS; i++)
		if (rig.tap[i] >= 0)
			close(rig.tap[i]);
}

void rig_drain(void)
{
	static uint8_t sink[70000];
	unsigned int i;

	for (i = 0; i < RIG_PORTS; i++)
		while (rig.tap[i] >= 0 && read(rig.tap[i], sink, sizeof(sink)) > 0)
			;
}

int rig_run(enum prog prog, unsigned int port, const struct frame *f, struct rig_run *run)
{
	struct xdp_md xdp = { .data_end = f->len, .ingress_ifindex = rig.ifindex[port] };
	struct __sk_buff skb = { .ifindex = rig.ifindex[port],
				 .ingress_ifindex = rig.ifindex[port],
				 .gso_size = run->gso_size,
				 .gso_segs = run->gso_segs };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->b, .data_size_in = f->len, .data_out = run->out,
		    .data_size_out = sizeof(run->out), .repeat = 1);

	memset(run->out, 0xaa, sizeof(run->out)); /* poison: what the kernel doesn't write can't look right */
	opts.ctx_in = prog == PROG_XDP ? (void *)&xdp : (void *)&skb;
	opts.ctx_size_in = prog == PROG_XDP ? sizeof(xdp) : sizeof(skb);
	if (bpf_prog_test_run_opts(rig.prog[prog], &opts))
		return -errno;
	run->retval = opts.retval;
	run->out_len = opts.data_size_out;
	return 0;
}

uint32_t rig_tick(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec * 1000000000ULL + ts.tv_nsec) >> VP_TICK_SHIFT;
}
