/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What cannot be stated to BPF_PROG_TEST_RUN, and so needs other tests: a tag beside the frame, frames below 14 bytes,
 * and for tc programs IP frames that end in the IP header.  All are EINVAL; an in-band tag and 14 bytes are fine.
 */
#include "probe.h"

static void expect(const char *what, int got, int want)
{
	if (got != want)
		probe_fail("%s: %d, expected %d", what, got, want);
}

int main(void)
{
	struct bpf_insn tc[] = { MOV(BPF_REG_0, 7), EXIT }, xdp[] = { MOV(BPF_REG_0, XDP_PASS), EXIT };
	int t = PROG(BPF_PROG_TYPE_SCHED_CLS, tc), x = PROG(BPF_PROG_TYPE_XDP, xdp);
	struct __sk_buff tagged = { .vlan_present = 1, .vlan_tci = 5 };
	uint8_t frame[64];

	probe_frame(frame, sizeof(frame));
	expect("tc with vlan_present", probe_run(t, frame, sizeof(frame), &tagged, sizeof(tagged)), -EINVAL);
	expect("tc with 13 bytes", probe_run(t, frame, 13, NULL, 0), -EINVAL);
	expect("XDP with 13 bytes", probe_run(x, frame, 13, NULL, 0), -EINVAL);
	expect("tc with 14 bytes", probe_run(t, frame, 14, NULL, 0), 7);
	expect("XDP with 14 bytes", probe_run(x, frame, 14, NULL, 0), XDP_PASS);
	memcpy(frame + 12, "\x81\x00\x00\x05", 4);
	expect("tc with an in-band tag", probe_run(t, frame, sizeof(frame), NULL, 0), 7);
	memcpy(frame + 12, "\x08\x00\x45\x00", 4);
	expect("XDP with half an IP header", probe_run(x, frame, 24, NULL, 0), XDP_PASS);
	expect("tc with an IP header", probe_run(t, frame, 34, NULL, 0), 7);
	return probe_ok("test_run refuses tags beside the frame and 13 bytes; with half an IP header tc returns %d",
			probe_run(t, frame, 24, NULL, 0));
}
