/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What cannot be stated to BPF_PROG_TEST_RUN, and so has tests of another kind: a tag beside the frame, frames below 14
 * bytes, and for tc programs IP frames that end inside the IP header (tests/vectors/test_headers.c).  All are EINVAL.
 */
#include "probe.h"

#define VERDICT 7

static int run_tagged(int prog, uint32_t present)
{
	struct __sk_buff skb = { .vlan_present = present, .vlan_tci = present ? 5 : 0 };
	uint8_t frame[FRAME_LEN];

	udp_frame(frame, 1);
	return run_with(prog, frame, sizeof(frame), &skb, sizeof(skb));
}

static void expect(const char *what, int seen, int wanted)
{
	if (seen != wanted)
		broken("%s: %d instead of %d", what, seen, wanted);
}

int main(void)
{
	const struct bpf_insn insns[] = { SET(0, VERDICT), EXIT };
	uint8_t frame[FRAME_LEN];

	probe_begin();
	int tc = LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, insns), xdp = LOAD_PROG(BPF_PROG_TYPE_XDP, insns);

	udp_frame(frame, 1);
	expect("tc with a tag beside the frame", run_tagged(tc, 1), -EINVAL);
	expect("tc with a context without one", run_tagged(tc, 0), VERDICT);
	expect("tc with 13 bytes", run_prog(tc, frame, 13), -EINVAL);
	expect("XDP with 13 bytes", run_prog(xdp, frame, 13), -EINVAL);
	expect("XDP with 14 bytes", run_prog(xdp, frame, 14), VERDICT);
	expect("tc with half an IP header", run_prog(tc, frame, 24), -EINVAL);
	expect("tc with an IP header", run_prog(tc, frame, 34), VERDICT);
	memcpy(frame + 12, "\x88\xb5", 2);
	expect("tc with 14 bytes", run_prog(tc, frame, 14), VERDICT);
	memcpy(frame + 12, "\x81\x00\x00\x05", 4);
	expect("tc with a tag in the frame", run_prog(tc, frame, sizeof(frame)), VERDICT);
	return holds("a tag beside the frame, 13 bytes and half an IP header are refused, a tag in the frame is taken");
}
