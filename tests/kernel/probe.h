/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the probes share.  A probe is one fact about the kernel that vpeer relies on: it prints a line that says what was
 * seen and exits 0 (it holds), 77 (cannot be asked here) or 1 (it does not).  Each enters a network namespace of its
 * own, which goes with it.  Programs are written as instructions, so that a probe needs no compiler.
 */
#ifndef PROBE_H
#define PROBE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- instructions: destination register first ---- */

#define INSN(c, d, s, o, i) ((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define WIDE(d, s, i, next)                                                                                            \
	INSN(BPF_LD | BPF_DW | BPF_IMM, d, s, 0, i), INSN(0, 0, 0, 0, next)
#define SET(d, value) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, (__s32)(value))
#define MOVE(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ADD(d, value) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, value)
#define LOAD(size, d, s, at) INSN(BPF_LDX | BPF_MEM | (size), d, s, at, 0)
#define STORE(size, d, at, s) INSN(BPF_STX | BPF_MEM | (size), d, s, at, 0)
#define STORE_IMM(size, d, at, value) INSN(BPF_ST | BPF_MEM | (size), d, 0, at, value)
#define ATOMIC_ADD(size, d, at, s) INSN(BPF_STX | BPF_ATOMIC | (size), d, s, at, BPF_ADD)
#define JUMP_NE(d, value, over) INSN(BPF_JMP | BPF_JNE | BPF_K, d, 0, over, value)
#define CALL(helper) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_##helper)
#define KFUNC(id) INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, id)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define MAP(d, fd) WIDE(d, BPF_PSEUDO_MAP_FD, fd, 0)
#define MAP_VALUE(d, fd, at) WIDE(d, BPF_PSEUDO_MAP_VALUE, fd, at)
#define FUNCTION(d, ahead) WIDE(d, BPF_PSEUDO_FUNC, (ahead) - 1, 0) /* the function `ahead` slots after this one */

/* ---- verdicts ---- */

static inline void say(const char *mark, const char *fmt, va_list ap)
{
	printf("%s", mark);
	vprintf(fmt, ap);
	printf("\n");
	fflush(stdout);
}

/* The fact holds, and this was seen; returns the exit code. */
__attribute__((format(printf, 1, 2))) static inline int holds(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
	return 0;
}

__attribute__((format(printf, 1, 2), noreturn)) static inline void broken(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("does not hold: ", fmt, ap);
	va_end(ap);
	exit(1);
}

__attribute__((format(printf, 1, 2), noreturn)) static inline void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("not asked: ", fmt, ap);
	va_end(ap);
	exit(77);
}

/* Preparation that must not fail: takes -1 with errno or -errno, and returns what it was given. */
static inline int must(int ret, const char *what)
{
	if (ret < 0)
		broken("%s: %s", what, strerror(ret == -1 ? errno : -ret));
	return ret;
}

/* ---- surroundings ---- */

static inline uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline void sleep_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

static inline void write_file(const char *path, const char *text)
{
	int fd = must(open(path, O_WRONLY | O_CLOEXEC), path);

	must(write(fd, text, strlen(text)) < 0 ? -errno : 0, path);
	close(fd);
}

/* A shell command that must succeed. */
__attribute__((format(printf, 1, 2))) static inline void sh(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	if (system(cmd))
		broken("%s", cmd);
}

/* A namespace of our own, in which the host says nothing of itself. */
static inline void probe_begin(void)
{
	must(unshare(CLONE_NEWNET), "a network namespace");
	if (access("/proc/sys/net/ipv6", F_OK))
		return;
	write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}

/* ---- devices ---- */

static inline uint32_t ifindex(const char *device)
{
	uint32_t index = if_nametoindex(device);

	if (!index)
		broken("no device %s", device);
	return index;
}

/* A TAP with a non-blocking reader, still down. */
static inline int tap(const char *name, short flags)
{
	struct ifreq ifr = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags) };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		skip("/dev/net/tun: %s", strerror(errno));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	must(ioctl(fd, TUNSETIFF, &ifr), "TUNSETIFF");
	return fd;
}

static inline void ethtool(const char *device, void *request)
{
	struct ifreq ifr = { .ifr_data = request };
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", device);
	must(ioctl(fd, SIOCETHTOOL, &ifr), "ethtool");
	close(fd);
}

/* ---- frames ---- */

#define FRAME_LEN 74
#define CSUM_START 34
#define CSUM_OFFSET 6

/* UDP from port `sport`, its checksum left unfinished as a guest's driver leaves it. */
static inline void udp_frame(uint8_t *frame, uint16_t sport)
{
	static const uint8_t head[FRAME_LEN] = {
		0x02, 0x76, 0x70, 0, 0, 2, 0x02, 0x76, 0x70, 0, 0, 1, 0x08, 0x00, /* Ethernet */
		0x45, 0, 0, FRAME_LEN - 14, 0, 0, 0, 0, 64, 17, 0xee, 0x98, 198, 18, 0, 1, 198, 18, 0, 2, /* IPv4 */
		0, 0, 0, 9, 0, FRAME_LEN - 34, 0, 0, /* UDP */
	};
	uint32_t sum = 0;

	memcpy(frame, head, FRAME_LEN);
	memset(frame + 42, 0x5a, FRAME_LEN - 42);
	frame[34] = (uint8_t)(sport >> 8);
	frame[35] = (uint8_t)sport;
	for (int i = 26; i < 34; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	sum += 17 + FRAME_LEN - 34;
	sum = (sum & 0xffff) + (sum >> 16);
	frame[CSUM_START + CSUM_OFFSET] = (uint8_t)(sum >> 8);
	frame[CSUM_START + CSUM_OFFSET + 1] = (uint8_t)sum;
}

/* The next frame of that EtherType within `ms`, with `header` bytes before it; 0 = none came. */
static inline ssize_t next_frame(int fd, uint16_t ethertype, size_t header, uint8_t *buf, size_t size, unsigned int ms)
{
	uint64_t end = now_ms() + ms, now;

	while ((now = now_ms()) < end) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, (int)(end - now)) <= 0)
			break;
		ssize_t n = read(fd, buf, size);

		if (n >= (ssize_t)header + 14 && (buf[header + 12] << 8 | buf[header + 13]) == ethertype)
			return n;
	}
	return 0;
}

/* ---- maps ---- */

static inline int make_map(enum bpf_map_type type, uint32_t value_size, uint32_t entries, uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);

	return must(bpf_map_create(type, "probe", 4, value_size, entries, &opts), "map");
}

/* An array of one page that the program and we share; its fd goes to `map`. */
static inline volatile uint64_t *shared_page(int *map)
{
	void *page;

	*map = make_map(BPF_MAP_TYPE_ARRAY, 4096, 1, BPF_F_MMAPABLE);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, *map, 0);
	must(page == MAP_FAILED ? -errno : 0, "mmap");
	return page;
}

static inline int devmap_set(int map, uint32_t key, uint32_t device)
{
	uint32_t value[2] = { device, 0 };

	return bpf_map_update_elem(map, &key, value, BPF_ANY);
}

/* 0 = no entry. */
static inline uint32_t devmap_get(int map, uint32_t key)
{
	uint32_t value[2] = { 0 };

	return bpf_map_lookup_elem(map, &key, value) ? 0 : value[0];
}

/* ---- programs ---- */

#define LOAD_PROG(type, insns) must(try_load(type, insns, COUNT(insns)), "program")

static inline int load_with(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n,
			    struct bpf_prog_load_opts *opts)
{
	int fd = bpf_prog_load(type, "probe", "GPL", insns, n, opts);

	return fd < 0 ? -errno : fd;
}

/* The program's fd or -errno. */
static inline int try_load(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);

	return load_with(type, insns, n, &opts);
}

/* A program whose second function begins at instruction `start`: such need BTF, and the second one to be static. */
static inline int load_with_callback(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n, size_t start)
{
	struct btf *btf = btf__new_empty();
	int number = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	int proto = btf__add_func_proto(btf, number);
	struct bpf_func_info info[2] = { { .insn_off = 0 }, { .insn_off = (uint32_t)start } };

	info[0].type_id = (uint32_t)must(btf__add_func(btf, "probe", BTF_FUNC_GLOBAL, proto), "BTF");
	info[1].type_id = (uint32_t)must(btf__add_func(btf, "callback", BTF_FUNC_STATIC, proto), "BTF");
	must(btf__load_into_kernel(btf), "BTF");
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_btf_fd = (uint32_t)btf__fd(btf), .func_info = info,
		    .func_info_cnt = 2, .func_info_rec_size = sizeof(info[0]));
	int fd = must(load_with(type, insns, n, &opts), "program with a callback");

	btf__free(btf);
	return fd;
}

/* A link's fd or -errno; `flags` as XDP_FLAGS_DRV_MODE. */
static inline int attach_xdp(int prog, const char *device, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	int fd = bpf_link_create(prog, (int)ifindex(device), BPF_XDP, &opts);

	return fd < 0 ? -errno : fd;
}

static inline void attach_tc(int prog, const char *device, enum bpf_tc_attach_point where)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex(device), .attach_point = where);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog);
	int err = bpf_tc_hook_create(&hook);

	must(err == -EEXIST ? 0 : err, "clsact");
	must(bpf_tc_attach(&hook, &opts), "tc filter");
}

/* One test run: the program's verdict, or -errno. */
static inline int run_with(int prog, const uint8_t *frame, size_t len, const void *ctx, size_t ctx_len)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len, .ctx_in = ctx,
		    .ctx_size_in = (uint32_t)ctx_len, .repeat = 1);

	return bpf_prog_test_run_opts(prog, &opts) ? -errno : (int)opts.retval;
}

static inline int run_prog(int prog, const uint8_t *frame, size_t len)
{
	return run_with(prog, frame, len, NULL, 0);
}

#endif
