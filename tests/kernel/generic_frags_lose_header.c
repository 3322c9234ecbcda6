/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Generic XDP before tc on one device: a program that takes frames in several buffers (xdp.frags) gets a copy of the
 * frame, and where the kernel makes that copy without noting the header's length, tc sees the frame from behind its
 * Ethernet header (6.18: so; kernels before 6.9 make no such copy).  A program without the flag leaves the header to
 * tc everywhere, which is why `mode: generic` has a program of its own (vp_xdp_skb).
 */
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

#include "fact.h"

/* The first four bytes that tc sees of a frame after XDP_PASS, in wire order. */
static uint32_t first_bytes(int raw, volatile uint64_t *page, uint32_t prog_flags)
{
	const struct bpf_insn pass[] = { SET(0, XDP_PASS), EXIT };
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = prog_flags);
	int link = must(attach_xdp(load_or_log(BPF_PROG_TYPE_XDP, pass, COUNT(pass), &opts), "v1", XDP_FLAGS_SKB_MODE),
			"attach");
	uint8_t frame[FRAME_LEN];

	*page = 0;
	udp_frame(frame, 1);
	must(send(raw, frame, sizeof(frame), 0) == sizeof(frame) ? 0 : -errno, "send");
	for (int i = 0; i < 50 && !*page; i++)
		sleep_ms(10);
	close(link);
	return ntohl((uint32_t)*page);
}

int main(void)
{
	int map;

	probe_begin();
	volatile uint64_t *page = shared_page(&map);
	const struct bpf_insn look[] = {
		SET(2, 0), MOVE(3, 10), ADD(3, -8), SET(4, 4), CALL(skb_load_bytes), LOAD(BPF_W, 2, 10, -8),
		MAP_VALUE(1, map, 0), STORE(BPF_W, 1, 0, 2), SET(0, TC_ACT_SHOT), EXIT,
	};

	sh("ip link add v1 type veth peer name v2 && ip link set v1 up && ip link set v2 up");
	attach_tc(LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, look), "v1", BPF_TC_INGRESS);
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_ifindex = (int)ifindex("v2") };
	int raw = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "packet socket");

	must(bind(raw, (struct sockaddr *)&at, sizeof(at)), "bind");
	uint32_t whole = first_bytes(raw, page, 0), frags = first_bytes(raw, page, BPF_F_XDP_HAS_FRAGS);

	if (whole != 0x02767000)
		broken("without the flag tc sees %08x at the start of a frame to 02:76:70:00:00:02", whole);
	return holds("tc sees the Ethernet header behind a program without the flag; behind one with it: %s",
		     frags == whole ? "too" : "no");
}
