/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A failed bpf_clone_redirect (device down) reports its error, and the next one still delivers: floods reach the rest. */
#include "probe.h"

#define CLONE(ifindex)                                                                                                 \
	MOVR(BPF_REG_1, BPF_REG_6), MOV(BPF_REG_2, ifindex), MOV(BPF_REG_3, 0), CALL(BPF_FUNC_clone_redirect)

int main(void)
{
	uint8_t frame[60], got[2048];
	int up, error;

	probe_netns();
	probe_quiet();
	probe_tap("probe0", true, false); /* stays down */
	up = probe_tap_up("probe1", true, false);
	struct bpf_insn insns[] = {
		MOVR(BPF_REG_6, BPF_REG_1),
		CLONE(probe_ifindex("probe0")),
		MOVR(BPF_REG_7, BPF_REG_0),
		CLONE(probe_ifindex("probe1")),
		OP(BPF_ALU64 | BPF_NEG, BPF_REG_7, 0, 0, 0),
		MOVR(BPF_REG_0, BPF_REG_7),
		EXIT,
	};

	probe_frame(frame, sizeof(frame));
	error = probe_run(PROG(BPF_PROG_TYPE_SCHED_CLS, insns), frame, sizeof(frame), NULL, 0);
	if (error <= 0)
		probe_fail("cloning to a device that is down returned %d", -error);
	if (probe_read(up, got, sizeof(got), 500) != sizeof(frame) || memcmp(got, frame, sizeof(frame)))
		probe_fail("the second copy did not arrive");
	return probe_ok("the copy to a device that is down failed (%s), the next one arrived", strerror(error));
}
