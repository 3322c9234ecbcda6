/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The host's IPv6 speaks to a guest when its TAP comes up.  An egress program that shoots what has no ingress device
 * keeps it away, and lets pass what came in by a port: vp_tc_out (bpf/tc.h).
 */
#include "fact.h"

#define ETH_IPV6 0x86dd
#define ETH_IPV4 0x0800

/* SHOT, and counted, where ingress_ifindex is 0. */
static int egress_prog(int map)
{
	const struct bpf_insn insns[] = {
		LOAD(BPF_W, 1, 1, offsetof(struct __sk_buff, ingress_ifindex)), SET(0, 0), JUMP_NE(1, 0, 5),
		MAP_VALUE(1, map, 0), SET(2, 1), ATOMIC_ADD(BPF_DW, 1, 0, 2), SET(0, 2 /* TC_ACT_SHOT */), EXIT,
	};

	return LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, insns);
}

int main(void)
{
	uint8_t frame[FRAME_LEN], got[2048];
	int map;

	probe_begin();
	if (access("/proc/sys/net/ipv6", F_OK))
		skip("this kernel has no IPv6");
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0");
	volatile uint64_t *shot = shared_page(&map);
	int open_guest = tap("t1", 0), shut_guest = tap("t2", 0), sender = tap("t3", 0);
	const struct bpf_insn to_t2[] = { SET(1, ifindex("t2")), SET(2, 0), CALL(redirect), EXIT };

	attach_tc(egress_prog(map), "t2", BPF_TC_EGRESS);
	attach_tc(LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, to_t2), "t3", BPF_TC_INGRESS);
	sh("ip link set t1 up && ip link set t2 up && ip link set t3 up");
	ssize_t heard = next_frame(open_guest, ETH_IPV6, 0, got, sizeof(got), 2000);

	for (int i = 0; i < 100 && !*shot; i++)
		sleep_ms(10);
	ssize_t leaked = next_frame(shut_guest, ETH_IPV6, 0, got, sizeof(got), 300);

	udp_frame(frame, 1);
	must(write(sender, frame, sizeof(frame)) == sizeof(frame) ? 0 : -errno, "write");
	ssize_t passed = next_frame(shut_guest, ETH_IPV4, 0, got, sizeof(got), 500);

	if (!heard || !*shot || leaked || passed != FRAME_LEN)
		broken("open TAP heard %zd bytes; behind the program %u frames were shot, %zd bytes leaked, %zd passed",
		       heard, (unsigned int)*shot, leaked, passed);
	return holds("the host speaks IPv6 to a TAP; behind the program %u frames shot, none leaked, the port's passed",
		     (unsigned int)*shot);
}
