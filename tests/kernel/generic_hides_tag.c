/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A tag that a veth hands over beside the frame is invisible to generic XDP: it sees the frame as an untagged one.
 * Hence `mode: generic` is refused on such devices.
 */
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

#include "fact.h"

#define JUMP_BEYOND(a, b, off) INSN(BPF_JMP | BPF_JGT | BPF_X, BPF_REG_##a, BPF_REG_##b, off, 0)

int main(void)
{
	int map;

	probe_begin();
	volatile uint64_t *page = shared_page(&map);
	const struct bpf_insn push[] = {
		SET(2, htons(ETH_P_8021Q)), SET(3, 7), CALL(skb_vlan_push), SET(0, TC_ACT_OK), EXIT,
	};
	const struct bpf_insn look[] = {
		LOAD(BPF_W, 2, 1, offsetof(struct xdp_md, data)),
		LOAD(BPF_W, 3, 1, offsetof(struct xdp_md, data_end)),
		MOVE(4, 2), ADD(4, 14), JUMP_BEYOND(4, 3, 4),
		LOAD(BPF_H, 5, 2, 12),
		MAP_VALUE(1, map, 0), STORE(BPF_H, 1, 0, 5),
		SET(0, XDP_DROP), EXIT,
	};

	sh("ip link add v1 type veth peer name v2 && ip link set v1 up && ip link set v2 up");
	attach_tc(LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, push), "v2", BPF_TC_EGRESS);
	must(attach_xdp(LOAD_PROG(BPF_PROG_TYPE_XDP, look), "v1", XDP_FLAGS_SKB_MODE), "attach");
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_ifindex = (int)ifindex("v2") };
	int raw = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "packet socket");
	uint8_t frame[FRAME_LEN];

	must(bind(raw, (struct sockaddr *)&at, sizeof(at)), "bind");
	udp_frame(frame, 1);
	must(send(raw, frame, sizeof(frame), 0) == sizeof(frame) ? 0 : -errno, "send");
	for (int i = 0; i < 50 && !*page; i++)
		sleep_ms(10);
	uint16_t type = ntohs((uint16_t)*page);

	if (type != ETH_P_IP)
		broken("generic XDP sees EtherType %04x of a frame with a tag beside it", type);
	return holds("generic XDP sees a frame with a tag beside it as an untagged one");
}
