/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * bpf_clone_redirect() to a device that is down says so, and the next one in the same run arrives: a flood in bpf/tc.h
 * serves who can be served and counts only them.  (A TAP's answer is a positive number: its queue is the "noop" one.)
 */
#include "fact.h"

#define CLONE_TO(device, cell, map)                                                                                    \
	MOVE(1, 6), SET(2, device), SET(3, 0), CALL(clone_redirect), MAP_VALUE(1, map, 8 * (cell)),                    \
		STORE(BPF_DW, 1, 0, 0)

int main(void)
{
	uint8_t frame[FRAME_LEN], got[256];
	int map;

	probe_begin();
	volatile uint64_t *result = shared_page(&map);

	tap("down1", 0);
	int up = tap("up1", 0);

	sh("ip link add down2 type veth peer name b && ip link set up1 up");
	const struct bpf_insn insns[] = {
		MOVE(6, 1),	CLONE_TO(ifindex("down1"), 0, map), CLONE_TO(ifindex("down2"), 1, map),
		CLONE_TO(ifindex("up1"), 2, map), SET(0, 0), EXIT,
	};
	int prog = LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, insns);

	udp_frame(frame, 1);
	must(run_prog(prog, frame, sizeof(frame)), "run");
	ssize_t n = next_frame(up, 0x0800, 0, got, sizeof(got), 500);
	int results[] = { (int)result[0], (int)result[1], (int)result[2] };

	if (!results[0] || !results[1] || results[2] || n != FRAME_LEN || memcmp(got, frame, FRAME_LEN))
		broken("TAP down %d, veth down %d, TAP up %d; %zd bytes arrived", results[0], results[1], results[2],
		       n);
	return holds("clone_redirect: TAP down %d, veth down %d, then TAP up 0 and the frame is there", results[0],
		     results[1]);
}
