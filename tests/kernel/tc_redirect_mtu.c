/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * bpf_redirect() from tc into a TAP makes no check of its MTU: the guest would get what it cannot hold.  A veth refuses
 * what exceeds its other end's MTU by more than a tag.  So the plane compares itself (device_fits in bpf/device.h).
 */
#include <linux/if_packet.h>
#include <linux/if_ether.h>

#include "fact.h"

#define MTU   100
#define LARGE (MTU + 14 + 5)

static int redirect_to(const char *device)
{
	const struct bpf_insn insns[] = { SET(1, ifindex(device)), SET(2, 0), CALL(redirect), EXIT };

	return LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, insns);
}

/* What arrives of a frame of `len` bytes that is written to t1 under this program. */
static ssize_t carry(int prog, int from, int to, size_t len)
{
	uint8_t frame[LARGE] = { 0 }, buf[256];

	udp_frame(frame, 1);
	attach_tc(prog, "t1", BPF_TC_INGRESS);
	must(write(from, frame, len) == (ssize_t)len ? 0 : -errno, "write");
	ssize_t n = next_frame(to, 0x0800, 0, buf, sizeof(buf), 200);

	sh("tc qdisc del dev t1 clsact");
	return n;
}

int main(void)
{
	probe_begin();
	int t1 = tap("t1", 0), t2 = tap("t2", 0);

	sh("ip link add v1 type veth peer name v2 && ip link set v1 mtu %d up && ip link set v2 mtu %d up", MTU, MTU);
	sh("ip link set t1 up && ip link set t2 mtu %d up", MTU);
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_ifindex = (int)ifindex("v2"), .sll_protocol = htons(ETH_P_ALL),
	};
	int raw = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "packet socket");

	must(bind(raw, (struct sockaddr *)&at, sizeof(at)), "bind");
	int to_tap = redirect_to("t2"), to_veth = redirect_to("v1");
	ssize_t tap_large = carry(to_tap, t1, t2, LARGE);
	ssize_t veth_large = carry(to_veth, t1, raw, LARGE), veth_tag = carry(to_veth, t1, raw, LARGE - 1);

	if (tap_large != LARGE || veth_large || veth_tag != LARGE - 1)
		broken("of %d bytes for MTU %d %zd reached a TAP, %zd a veth; of one less %zd", LARGE, MTU, tap_large,
		       veth_large, veth_tag);
	return holds("%d bytes cross to a TAP of MTU %d; to a veth not, but one less does", LARGE, MTU);
}
