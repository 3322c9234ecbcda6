/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is written to a TAP that is down still runs through its XDP program, and a redirect from there is carried out.
 * After XDP_PASS the write fails.  So bpf/device.h looks itself whether the device is up.
 */
#include "fact.h"

/* Writes a frame to t1 under the program; -errno of the write, and what t2 got. */
static int carry(int prog, int t1, int t2, ssize_t *got)
{
	uint8_t frame[FRAME_LEN], buf[256];
	int link = must(attach_xdp(prog, "t1", XDP_FLAGS_DRV_MODE), "attach"), ret;

	udp_frame(frame, 1);
	ret = write(t1, frame, sizeof(frame)) < 0 ? -errno : 0;
	*got = next_frame(t2, 0x0800, 0, buf, sizeof(buf), 100);
	close(link);
	return ret;
}

int main(void)
{
	ssize_t by_redirect, by_pass;

	probe_begin();
	int t1 = tap("t1", 0), t2 = tap("t2", 0), devmap = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, 8, 0);

	sh("ip link set t2 up");
	must(devmap_set(devmap, 1, ifindex("t2")), "entry");
	const struct bpf_insn pass[] = { SET(0, XDP_PASS), EXIT };
	const struct bpf_insn redirect[] = { MAP(1, devmap), SET(2, 1), SET(3, XDP_DROP), CALL(redirect_map), EXIT };
	int sent = carry(LOAD_PROG(BPF_PROG_TYPE_XDP, redirect), t1, t2, &by_redirect);
	int passed = carry(LOAD_PROG(BPF_PROG_TYPE_XDP, pass), t1, t2, &by_pass);

	if (passed != -EIO || by_pass)
		broken("XDP_PASS on a TAP that is down: the write gave %d, %zd bytes arrived", passed, by_pass);
	return holds("a write to a TAP that is down fails after XDP_PASS; redirected by XDP it gives %d, and %zd bytes "
		     "arrive", sent, by_redirect);
}
