/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Work for `vpeer bench`: TAPs as a VMM holds them, and bursts of frames through whatever joins them.  All of it in the
 * caller's network namespace; the TAPs go with their descriptors.  Calls return 0 or -errno and print nothing.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_RECEIVERS 8

/* One kind of frame, from one TAP to the one or the eight others. */
struct bench_work {
	const char *name;
	uint32_t len;	 /* bytes of frame, without the virtio-net header */
	uint32_t gso;	 /* TCP superframe: bytes in a segment; 0 = UDP */
	bool unfinished; /* the checksum is left to whoever needs it, as guests do by default */
	bool flood;
	uint32_t burst; /* frames in a row; no more than a TAP's queue holds */
};

struct bench_side {
	char prefix[8]; /* devices PREFIX0 (it sends), PREFIX1, ... */
	int fd[1 + BENCH_RECEIVERS];
};

struct bench_result {
	uint64_t sent, received, bytes; /* frames, as often as they arrived; bytes of those */
	double seconds;			/* CPU time in write(), where the kernel forwards */
};

/* Makes the devices and brings them up. */
int bench_open(struct bench_side *side, const char *prefix);
void bench_close(struct bench_side *side);

/* Each receiver sends one frame, so that its address is known. */
int bench_greet(const struct bench_side *side);

/* Bursts of the work's frames for `ms` milliseconds of wall clock. */
int bench_run(const struct bench_side *side, const struct bench_work *work, unsigned int ms, struct bench_result *out);

/* A kernel bridge `name` over the side's devices. */
int bench_bridge(const struct bench_side *side, const char *name);

/*
 * This process into namespaces of its own, with a /sys (where a plane then mounts a bpffs) and a /run of their own:
 * nothing that it makes is seen from outside, and all of it goes when it ends, however it does.
 */
int bench_isolate(void);

#endif
