/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A bug to know of: rx channels that a veth gets while an XDP program is on it run without the program until it is
 * attached again (6.18: present).  The probe tells which it is, and holds either way; what must hold is that attaching
 * anew covers every queue.
 */
#include <linux/if_packet.h>

#include "fact.h"

#define FRAMES 200
#define QUEUES 4

static void set_channels(const char *device, uint32_t n)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_SCHANNELS, .rx_count = n, .tx_count = n };

	ethtool(device, &c);
}

/* How many of FRAMES frames of as many flows, sent from v2, the program on v1 sees. */
static unsigned int seen(int raw, volatile uint64_t *counter)
{
	uint8_t frame[FRAME_LEN];
	uint64_t before = *counter;

	for (uint16_t i = 0; i < FRAMES; i++) {
		udp_frame(frame, (uint16_t)(1000 + i));
		must(send(raw, frame, sizeof(frame), 0) == sizeof(frame) ? 0 : -errno, "send");
		if (i % 20 == 19)
			sleep_ms(1);
	}
	for (int i = 0; i < 20 && *counter - before < FRAMES; i++)
		sleep_ms(10);
	return (unsigned int)(*counter - before);
}

int main(void)
{
	int map;

	probe_begin();
	volatile uint64_t *counter = shared_page(&map);
	const struct bpf_insn insns[] = {
		MAP_VALUE(1, map, 0), SET(2, 1), ATOMIC_ADD(BPF_DW, 1, 0, 2), SET(0, XDP_DROP), EXIT,
	};
	int prog = LOAD_PROG(BPF_PROG_TYPE_XDP, insns);

	sh("ip link add v1 numrxqueues %d numtxqueues %d type veth peer name v2 numrxqueues %d numtxqueues %d", QUEUES,
	   QUEUES, QUEUES, QUEUES);
	set_channels("v1", 1);
	set_channels("v2", 1);
	sh("ip link set v1 up && ip link set v2 up");
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_ifindex = (int)ifindex("v2") };
	int raw = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "packet socket");

	must(bind(raw, (struct sockaddr *)&at, sizeof(at)), "bind");
	int link = must(attach_xdp(prog, "v1", XDP_FLAGS_DRV_MODE), "attach");
	unsigned int one_queue = seen(raw, counter);

	set_channels("v1", QUEUES);
	set_channels("v2", QUEUES);
	unsigned int raised = seen(raw, counter);

	close(link);
	link = must(attach_xdp(prog, "v1", XDP_FLAGS_DRV_MODE), "attach again");
	unsigned int anew = seen(raw, counter);

	if (one_queue != FRAMES || anew != FRAMES)
		broken("of %d frames: %u with one queue, %u with %d, %u after attaching again", FRAMES, one_queue,
		       raised, QUEUES, anew);
	return holds("of %d frames %u were seen after the channels were raised: the bug is %s; attached again: all",
		     FRAMES, raised, raised == FRAMES ? "fixed" : "present");
}
