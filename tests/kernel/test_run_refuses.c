/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * BPF_PROG_TEST_RUN refuses frames shorter than an Ethernet header and a context with a tag beside the frame: what
 * tests/vectors cannot state, and tests/netns must.  Newer kernels also refuse, at tc only, a frame that ends within
 * the IP header its Ethertype promises; that is printed and may be either way.
 */
#include "fact.h"

static int run_tagged(int prog, uint32_t vlan_present)
{
	uint8_t frame[FRAME_LEN];
	struct __sk_buff ctx = { .vlan_present = vlan_present };

	udp_frame(frame, 1);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx));
	return bpf_prog_test_run_opts(prog, &opts);
}

int main(void)
{
	const struct bpf_insn insns[] = { SET(0, 0), EXIT };
	uint8_t frame[FRAME_LEN];

	probe_begin();
	udp_frame(frame, 1);
	frame[13] = 0x06; /* ARP: see above */
	int tc = LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, insns), xdp = LOAD_PROG(BPF_PROG_TYPE_XDP, insns);
	int whole_tc = run_prog(tc, frame, 14), whole_xdp = run_prog(xdp, frame, 14);
	int cut_tc = run_prog(tc, frame, 13), cut_xdp = run_prog(xdp, frame, 13);
	int plain = run_tagged(tc, 0), tagged = run_tagged(tc, 1);

	if (whole_tc || whole_xdp || plain)
		broken("controls: 14 bytes at tc %d, at XDP %d, a context without tag %d", whole_tc, whole_xdp, plain);
	if (cut_tc != -EINVAL || cut_xdp != -EINVAL || tagged != -EINVAL)
		broken("13 bytes at tc %d, at XDP %d, context with vlan_present %d", cut_tc, cut_xdp, tagged);
	frame[13] = 0x00;
	int cut_ip = run_prog(tc, frame, 33);

	return holds("test_run says EINVAL to 13 bytes (tc, XDP) and to vlan_present; IPv4 cut in its header: %s at tc",
		     cut_ip ? "refused too" : "taken");
}
