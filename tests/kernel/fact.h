/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the probes of the kernel share.  A probe looks at one fact that vpeer relies on; it prints one line and ends
 * with 0 = the fact holds, 1 = it does not (or the probe could not be set up), 77 = this kernel cannot be asked.
 * Each runs in a network namespace of its own, where devices vanish with the process; programs are written as
 * instructions, so that no compiler for BPF stands between the fact and us.
 */
#ifndef FACT_H
#define FACT_H

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
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
#include <time.h>
#include <unistd.h>

#define FACT_SKIP 77
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- verdicts ---------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static inline int holds(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("holds: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	return 0;
}

__attribute__((format(printf, 1, 2), noreturn)) static inline void broken(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("does not hold: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(1);
}

__attribute__((format(printf, 1, 2), noreturn)) static inline void skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("skipped: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(FACT_SKIP);
}

/* A step of the set-up: its failure says nothing about the fact, but nothing can be said then. */
static inline int must(int result, const char *what)
{
	if (result < 0) {
		printf("cannot set up: %s: %s\n", what, strerror(result == -1 ? errno : -result));
		exit(1);
	}
	return result;
}

/* ---- surroundings ------------------------------------------------------------------------------------------------ */

static inline void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		must(-errno, path);
	close(fd);
}

/* A new namespace, with no chatter of the host's IPv6 in it. */
static inline void probe_begin(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	libbpf_set_print(NULL);
	must(unshare(CLONE_NEWNET), "unshare");
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}

__attribute__((format(printf, 1, 2))) static inline void sh(const char *format, ...)
{
	char command[256];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command)) {
		printf("cannot set up: %s\n", command);
		exit(1);
	}
}

static inline void sleep_ms(unsigned int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static inline uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline uint32_t ifindex(const char *device)
{
	uint32_t i = if_nametoindex(device);

	return (uint32_t)must(i ? (int)i : -ENODEV, device);
}

/* A TAP, down, whose descriptor never blocks. */
static inline int tap(const char *name, int flags)
{
	struct ifreq r = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags) };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		skip("no /dev/net/tun: %s", strerror(errno));
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	must(ioctl(fd, TUNSETIFF, &r), name);
	return fd;
}

static inline void ethtool(const char *device, void *command)
{
	struct ifreq r = { 0 };
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", device);
	r.ifr_data = command;
	must(ioctl(fd, SIOCETHTOOL, &r), "SIOCETHTOOL");
	close(fd);
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

#define FRAME_LEN 64
#define CSUM_START 34 /* of a UDP frame without tag or options */
#define CSUM_OFFSET 6
#define CSUM_UNFINISHED 0x1234

/* UDP from 198.18.0.1 to 198.18.0.2; its checksum is nonsense, which no switch minds. */
static inline void udp_frame(uint8_t frame[FRAME_LEN], uint16_t source_port)
{
	static const uint8_t start[] = {
		0x02, 0x76, 0x70, 0, 0, 2, 0x02, 0x76, 0x70, 0, 0, 1, 0x08, 0x00, /* Ethernet */
		0x45, 0, 0, FRAME_LEN - 14, 0, 0, 0, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2,
	};

	memset(frame, 0, FRAME_LEN);
	memcpy(frame, start, sizeof(start));
	frame[34] = (uint8_t)(source_port >> 8);
	frame[35] = (uint8_t)source_port;
	frame[37] = 9;
	frame[39] = FRAME_LEN - 34;
	frame[40] = CSUM_UNFINISHED >> 8;
	frame[41] = CSUM_UNFINISHED & 0xff;
}

/* The next frame with this Ethertype that comes within `ms`, its headers of `skip_len` bytes included; 0 = none. */
static inline ssize_t next_frame(int fd, uint16_t ethertype, size_t skip_len, uint8_t *buf, size_t size,
				 unsigned int ms)
{
	uint64_t end = now_ms() + ms;

	for (;;) {
		uint64_t now = now_ms();
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, now < end ? (int)(end - now) : 0) <= 0)
			return 0;
		ssize_t n = read(fd, buf, size);

		if (n >= (ssize_t)skip_len + 14 && buf[skip_len + 12] == ethertype >> 8 &&
		    buf[skip_len + 13] == (ethertype & 0xff))
			return n;
	}
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

#define INSN(code_, dst_, src_, off_, imm_)                                                                            \
	{                                                                                                              \
		.code = (code_), .dst_reg = (dst_), .src_reg = (src_), .off = (off_), .imm = (__s32)(imm_)             \
	}
#define MOVE(dst, src) INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_##dst, BPF_REG_##src, 0, 0)
#define SET(dst, imm) INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_##dst, 0, 0, imm)
#define ADD(dst, imm) INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_##dst, 0, 0, imm)
#define LOAD(size, dst, src, off) INSN(BPF_LDX | BPF_MEM | (size), BPF_REG_##dst, BPF_REG_##src, off, 0)
#define STORE(size, dst, off, src) INSN(BPF_STX | BPF_MEM | (size), BPF_REG_##dst, BPF_REG_##src, off, 0)
#define STORE_IMM(size, dst, off, imm) INSN(BPF_ST | BPF_MEM | (size), BPF_REG_##dst, 0, off, imm)
#define ATOMIC_ADD(size, dst, off, src) INSN(BPF_STX | BPF_ATOMIC | (size), BPF_REG_##dst, BPF_REG_##src, off, BPF_ADD)
#define JUMP_NE(dst, imm, off) INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_##dst, 0, off, imm)
#define CALL(helper) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_##helper)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define WIDE(dst, kind, low, high) INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_##dst, kind, 0, low), INSN(0, 0, 0, 0, high)
#define MAP(dst, fd) WIDE(dst, BPF_PSEUDO_MAP_FD, fd, 0)
#define MAP_VALUE(dst, fd, off) WIDE(dst, BPF_PSEUDO_MAP_VALUE, fd, off) /* of an array's element 0 */
#define FUNCTION(dst, distance) WIDE(dst, BPF_PSEUDO_FUNC, (distance) - 1, 0)

#define LICENSE "Dual BSD/GPL"
#define LOAD_PROG(type, insns) load_prog(type, insns, COUNT(insns))

/* Descriptor or -errno. */
static inline int try_load(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n)
{
	return bpf_prog_load(type, "probe", LICENSE, insns, n, NULL);
}

static inline int load_or_log(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n,
			      struct bpf_prog_load_opts *opts)
{
	static char log[16384];
	int fd;

	opts->log_buf = log;
	opts->log_size = sizeof(log);
	opts->log_level = 1;
	fd = bpf_prog_load(type, "probe", LICENSE, insns, n, opts);
	if (fd < 0)
		printf("%s", log);
	return must(fd, "the probe's program");
}

static inline int load_prog(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);

	return load_or_log(type, insns, n, &opts);
}

/* A program whose instructions from `callback` on are a function that a helper calls: that needs type information. */
static inline int load_with_callback(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n, uint32_t callback)
{
	struct btf *btf = btf__new_empty();
	int number = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	int proto = btf__add_func_proto(btf, number);
	struct bpf_func_info info[2] = {
		{ .insn_off = 0, .type_id = (__u32)btf__add_func(btf, "probe", BTF_FUNC_GLOBAL, proto) },
		{ .insn_off = callback, .type_id = (__u32)btf__add_func(btf, "callback", BTF_FUNC_STATIC, proto) },
	};

	must(btf__load_into_kernel(btf), "BTF");
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_btf_fd = (__u32)btf__fd(btf), .func_info = info,
		    .func_info_cnt = COUNT(info), .func_info_rec_size = sizeof(info[0]));
	int fd = load_or_log(type, insns, n, &opts);

	btf__free(btf);
	return fd;
}

/* Runs a program once over a frame; its verdict, or -errno. */
static inline int run_prog(int prog, const void *frame, size_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (__u32)len);
	int err = bpf_prog_test_run_opts(prog, &opts);

	return err ? err : (int)opts.retval;
}

/* Descriptor of the link or -errno. */
static inline int attach_xdp(int prog, const char *device, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);

	return bpf_link_create(prog, (int)ifindex(device), BPF_XDP, &opts);
}

static inline void attach_tc(int prog, const char *device, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex(device), .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog);
	int err = bpf_tc_hook_create(&hook);

	must(err == -EEXIST ? 0 : err, "clsact");
	hook.attach_point = point;
	must(bpf_tc_attach(&hook, &opts), "tc filter");
}

/* ---- maps -------------------------------------------------------------------------------------------------------- */

static inline int make_map(enum bpf_map_type type, uint32_t value_size, uint32_t entries, uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);

	return must(bpf_map_create(type, "probe", 4, value_size, entries, &opts), "map");
}

/* A page of memory that programs reach by MAP_VALUE() and we by the pointer. */
static inline volatile uint64_t *shared_page(int *fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *memory;

	*fd = make_map(BPF_MAP_TYPE_ARRAY, (uint32_t)page, 1, BPF_F_MMAPABLE);
	memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	must(memory == MAP_FAILED ? -errno : 0, "mmap");
	return memory;
}

static inline int devmap_set(int map, uint32_t key, uint32_t device)
{
	struct bpf_devmap_val value = { .ifindex = device };

	return bpf_map_update_elem(map, &key, &value, BPF_ANY);
}

/* Which device an entry names; 0 = there is no such entry. */
static inline uint32_t devmap_get(int map, uint32_t key)
{
	struct bpf_devmap_val value = { 0 };

	return bpf_map_lookup_elem(map, &key, &value) ? 0 : value.ifindex;
}

#endif
