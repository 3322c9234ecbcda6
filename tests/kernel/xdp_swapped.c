/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A program that takes another's place by BPF_LINK_UPDATE misses no frame, and no frame meets both: what
 * `vpeer upgrade` stands on.  (Emulated with two processors, Linux 6.12 dies of it: tests/vm/vmlab.py.)
 */
#include <pthread.h>
#include <stdatomic.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "fact.h"

#define SWAPS 100

static int from;
static atomic_bool stop;
static uint64_t sent;

static void *keep_sending(void *arg)
{
	uint8_t frame[FRAME_LEN];

	(void)arg;
	udp_frame(frame, 1);
	while (!stop)
		sent += write(from, frame, sizeof(frame)) == sizeof(frame);
	return NULL;
}

static bool is_emulated(void)
{
	unsigned int a = 0, b = 0, c = 0, d = 0;

#ifdef __x86_64__
	__cpuid(0x40000000, a, b, c, d);
#endif
	return b == 0x54474354 && c == 0x43544743 && d == 0x47435447; /* "TCGTCGTCGTCG" */
}

int main(void)
{
	pthread_t thread;
	int map, prog[2];

	probe_begin();
	if (is_emulated())
		skip("QEMU runs instructions that were just replaced, of which Linux 6.12 dies");
	volatile uint64_t *met = shared_page(&map);

	for (int i = 0; i < 2; i++) {
		const struct bpf_insn count[] = {
			MAP_VALUE(1, map, 8 * i), SET(2, 1), ATOMIC_ADD(BPF_DW, 1, 0, 2), SET(0, XDP_DROP), EXIT,
		};

		prog[i] = LOAD_PROG(BPF_PROG_TYPE_XDP, count);
	}
	from = tap("t1", 0);
	sh("ip link set t1 up");
	int link = must(attach_xdp(prog[0], "t1", XDP_FLAGS_DRV_MODE), "attach");

	must(-pthread_create(&thread, NULL, keep_sending, NULL), "thread");
	for (int i = 1; i <= SWAPS; i++)
		must(bpf_link_update(link, prog[i & 1], NULL) ? -errno : 0, "update");
	stop = true;
	pthread_join(thread, NULL);
	close(link);
	if (met[0] + met[1] != sent || !met[0] || !met[1])
		broken("of %llu frames %llu met one program and %llu the other", (unsigned long long)sent,
		       (unsigned long long)met[0], (unsigned long long)met[1]);
	return holds("each frame meets one of the programs that change places");
}
