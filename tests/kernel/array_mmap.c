/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An array mapped into memory is one memory for the loader and the programs, both ways and at once: the loader writes a
 * bank by plain stores and flips vp_plane.bank by another.
 */
#include "fact.h"

int main(void)
{
	uint8_t frame[FRAME_LEN];
	int map;

	probe_begin();
	volatile uint64_t *cell = shared_page(&map);
	const struct bpf_insn insns[] = {
		MAP_VALUE(1, map, 0), LOAD(BPF_DW, 0, 1, 0), SET(2, 77), STORE(BPF_DW, 1, 8, 2), EXIT,
	};
	int prog = LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, insns);

	udp_frame(frame, 1);
	for (uint64_t i = 1; i <= 1000; i++) {
		cell[0] = i;
		cell[1] = 0;
		int seen = run_prog(prog, frame, sizeof(frame));

		if (seen != (int)i || cell[1] != 77)
			broken("stored %u, the program saw %d; it stored 77, we see %u", (unsigned int)i, seen,
			       (unsigned int)cell[1]);
	}
	return holds("1000 stores by mmap were seen by the program's next run, and its stores by us");
}
