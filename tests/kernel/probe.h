/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the probes share.  A probe is one fact about the kernel that vpeer relies on: it prints a line that says what was
 * seen and exits 0 (as expected), 77 (cannot be asked here) or 1 (not so).  Each enters a network namespace of its own,
 * which goes with it.  Programs are written as instructions, so that a probe needs no compiler.
 */
#ifndef PROBE_H
#define PROBE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/pkt_cls.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define PROBE_XDP_LINK 37 /* BPF_XDP as attach type of a link */
#define PROBE_DRIVER 4	  /* XDP_FLAGS_DRV_MODE */

/* ---- instructions ---- */

#define OP(c, d, s, o, i) ((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define MOV(d, i) OP(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOVR(d, s) OP(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ADD(d, i) OP(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define LOAD(size, d, s, o) OP(BPF_LDX | BPF_MEM | (size), d, s, o, 0)
#define STORE(size, d, s, o) OP(BPF_STX | BPF_MEM | (size), d, s, o, 0)
#define STOREI(size, d, o, i) OP(BPF_ST | BPF_MEM | (size), d, 0, o, i)
#define JUMP(op, d, i, o) OP(BPF_JMP | (op) | BPF_K, d, 0, o, i)
#define JUMPR(op, d, s, o) OP(BPF_JMP | (op) | BPF_X, d, s, o, 0)
#define CALL(f) OP(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define MAP(d, fd) OP(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), OP(0, 0, 0, 0, 0)
#define EXIT OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* r0 = map_lookup(map, &key); leaves the program with `otherwise` if there is none. */
#define LOOKUP(map, key, otherwise)                                                                                    \
	STOREI(BPF_W, BPF_REG_10, -4, key), MOVR(BPF_REG_2, BPF_REG_10), ADD(BPF_REG_2, -4), MAP(BPF_REG_1, map),      \
		CALL(BPF_FUNC_map_lookup_elem), JUMP(BPF_JNE, BPF_REG_0, 0, 2), MOV(BPF_REG_0, otherwise), EXIT

/* return redirect_map(map, key, 0) */
#define REDIRECT(map, key)                                                                                             \
	MAP(BPF_REG_1, map), MOV(BPF_REG_2, key), MOV(BPF_REG_3, 0), CALL(BPF_FUNC_redirect_map), EXIT

#define PROG(type, insns) probe_prog(type, insns, sizeof(insns) / sizeof((insns)[0]))

/* ---- verdicts ---- */

/* The fact holds, with what was seen. */
static inline int probe_ok(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* It does not, or could not be asked because something else failed: print, exit 1. */
static inline void probe_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static inline void probe_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

static inline void probe_say(const char *mark, const char *fmt, va_list ap)
{
	printf("%s", mark);
	vprintf(fmt, ap);
	printf("\n");
	fflush(stdout);
}

static inline int probe_ok(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	probe_say("seen: ", fmt, ap);
	va_end(ap);
	return 0;
}

static inline void probe_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	probe_say("not so: ", fmt, ap);
	va_end(ap);
	exit(1);
}

static inline void probe_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	probe_say("skipped: ", fmt, ap);
	va_end(ap);
	exit(77);
}

/* Preparation that must succeed; returns what it was given. */
static inline int probe_must(const char *what, int ret)
{
	if (ret < 0)
		probe_fail("%s: %s", what, strerror(ret == -1 ? errno : -ret));
	return ret;
}

/* ---- devices ---- */

static inline void probe_netns(void)
{
	probe_must("a network namespace of our own", unshare(CLONE_NEWNET));
}

static inline void probe_quiet(void)
{
	const char *const files[] = { "/proc/sys/net/ipv6/conf/all/disable_ipv6",
				      "/proc/sys/net/ipv6/conf/default/disable_ipv6" };

	for (int i = 0; i < 2; i++) {
		int fd = open(files[i], O_WRONLY | O_CLOEXEC);

		if (fd >= 0 && write(fd, "1", 1) != 1)
			probe_fail("%s", files[i]);
		if (fd >= 0)
			close(fd);
	}
}

static inline void probe_ip(const char *args)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "ip %s", args);
	if (system(cmd))
		probe_fail("%s", cmd);
}

static inline int probe_ifindex(const char *name)
{
	int i = if_nametoindex(name);

	if (!i)
		probe_fail("no device %s", name);
	return i;
}

/* `vnet`: frames with a virtio header in front. The device is left down. */
static inline int probe_tap(const char *name, bool nonblock, bool vnet)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0) };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | (nonblock ? O_NONBLOCK : 0));

	if (fd < 0)
		probe_skip("/dev/net/tun: %s", strerror(errno));
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	probe_must("TUNSETIFF", ioctl(fd, TUNSETIFF, &ifr));
	return fd;
}

static inline int probe_tap_up(const char *name, bool nonblock, bool vnet)
{
	char args[64];
	int fd = probe_tap(name, nonblock, vnet);

	snprintf(args, sizeof(args), "link set %s up", name);
	probe_ip(args);
	return fd;
}

/* What can be read within `ms`; 0 = nothing. */
static inline ssize_t probe_read(int fd, void *buf, size_t size, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, ms) <= 0)
		return 0;
	return read(fd, buf, size);
}

/* ---- programs ---- */

static inline int probe_load(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n, __u32 flags)
{
	static char log[65536];
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_buf = log, .log_size = sizeof(log), .log_level = 1,
		    .prog_flags = flags);
	int fd = bpf_prog_load(type, "probe", "GPL", insns, n, &opts);

	return fd < 0 ? -errno : fd;
}

static inline int probe_prog(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n)
{
	return probe_must("load", probe_load(type, insns, n, 0));
}

static inline int probe_devmap(enum bpf_map_type type, __u32 entries)
{
	int fd = bpf_map_create(type, "probe", 4, 8, entries, NULL);

	return probe_must("devmap", fd < 0 ? -errno : fd);
}

static inline void probe_devmap_set(int map, __u32 key, const char *device)
{
	__u32 value[2] = { probe_ifindex(device), 0 };

	probe_must("devmap entry", bpf_map_update_elem(map, &key, value, BPF_ANY));
}

/* Attach in driver mode; the link's fd or -errno. */
static inline int probe_attach_xdp(int prog, const char *device)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = PROBE_DRIVER);
	int fd = bpf_link_create(prog, probe_ifindex(device), PROBE_XDP_LINK, &opts);

	return fd < 0 ? -errno : fd;
}

static inline void probe_attach_tc(int prog, const char *device, enum bpf_tc_attach_point where)
{
	struct bpf_tc_hook hook = { .sz = sizeof(hook), .ifindex = probe_ifindex(device), .attach_point = where };
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog);

	probe_must("clsact", bpf_tc_hook_create(&hook));
	probe_must("tc filter", bpf_tc_attach(&hook, &opts));
}

/* The program's return value, or -errno. `ctx` may be NULL. */
static inline int probe_run(int prog, const void *data, __u32 len, const void *ctx, __u32 ctx_len)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = len, .ctx_in = ctx, .ctx_size_in = ctx_len,
		    .repeat = 1);

	return bpf_prog_test_run_opts(prog, &opts) ? -errno : (int)opts.retval;
}

/* ---- frames ---- */

/* A frame of the experimental EtherType to everybody. */
static inline void probe_frame(uint8_t *frame, size_t len)
{
	memset(frame, 0x5a, len);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, "\x52\x54\0\0\0\x01", 6);
	frame[12] = 0x88;
	frame[13] = 0xb5;
}

#endif
