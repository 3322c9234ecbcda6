/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * membarrier(MEMBARRIER_CMD_GLOBAL) returns 0, and only after a BPF program that was running has ended: the grace
 * period after a flip of vp_plane.bank (user/plane_table.c), after which nobody reads the old bank.
 */
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "fact.h"

#define TURNS 4000000 /* some 100 ms */

enum { ENTERED, TURN, LEFT };

/* Says that it has entered, turns for long, says that it has left. */
static int slow_prog(int map)
{
	const struct bpf_insn insns[] = {
		MAP_VALUE(1, map, 0), SET(2, 1), STORE(BPF_DW, 1, 8 * ENTERED, 2),
		SET(1, TURNS), FUNCTION(2, 11), SET(3, 0), SET(4, 0), CALL(loop),
		MAP_VALUE(1, map, 0), SET(2, 1), STORE(BPF_DW, 1, 8 * LEFT, 2), SET(0, 0), EXIT,
		/* callback */
		CALL(ktime_get_ns), MAP_VALUE(1, map, 0), STORE(BPF_DW, 1, 8 * TURN, 0), SET(0, 0), EXIT,
	};

	return load_with_callback(BPF_PROG_TYPE_SCHED_CLS, insns, COUNT(insns), COUNT(insns) - 6);
}

static void *run_slowly(void *arg)
{
	uint8_t frame[FRAME_LEN];

	udp_frame(frame, 1);
	run_prog(*(int *)arg, frame, sizeof(frame));
	return NULL;
}

/* One trial: -EAGAIN if the program had ended before we could ask. */
static int wait_for(int prog, volatile uint64_t *cell, unsigned int *ms)
{
	pthread_t runner;

	cell[ENTERED] = cell[LEFT] = 0;
	must(-pthread_create(&runner, NULL, run_slowly, &prog), "thread");
	for (uint64_t end = now_ms() + 2000; !cell[ENTERED];) {
		must(now_ms() < end ? 0 : -ETIMEDOUT, "the program's start");
		sched_yield();
	}
	uint64_t start = now_ms(), left_before = cell[LEFT];
	long ret = syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	uint64_t left_after = cell[LEFT];

	*ms = (unsigned int)(now_ms() - start);
	pthread_join(runner, NULL);
	if (ret)
		broken("membarrier returned %ld: %s", ret, strerror(errno));
	if (!left_after)
		broken("membarrier returned after %u ms while the program was still running", *ms);
	return left_before ? -EAGAIN : 0;
}

int main(void)
{
	unsigned int ms;
	int map, err = -EAGAIN;

	probe_begin();
	if (sysconf(_SC_NPROCESSORS_ONLN) == 1)
		skip("one CPU: no program can be running beside the loader");
	volatile uint64_t *cell = shared_page(&map);
	int prog = slow_prog(map);

	for (int i = 0; i < 5 && err; i++)
		err = wait_for(prog, cell, &ms);
	must(err, "a program that still runs");
	return holds("membarrier returned 0 after %u ms, when the running program had ended", ms);
}
