/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A device that is moved to another namespace loses its tc programs and keeps its XDP program, whose redirects still
 * work.  In there, its namespace's cookie is another one: bpf/device.h compares it.
 */
#include <sys/socket.h>

#include "fact.h"

static uint64_t cookie(void)
{
	uint64_t c = 0;
	socklen_t len = sizeof(c);
	int s = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");

	must(getsockopt(s, SOL_SOCKET, SO_NETNS_COOKIE, &c, &len), "SO_NETNS_COOKIE");
	close(s);
	return c;
}

int main(void)
{
	uint8_t frame[FRAME_LEN], buf[256];
	int map;

	probe_begin();
	volatile uint64_t *tc_runs = shared_page(&map);
	int t1 = tap("t1", 0), t2 = tap("t2", 0), devmap = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, 8, 0);
	int home = must(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "namespace");
	uint64_t here = cookie();

	sh("ip link set t1 up && ip link set t2 up");
	must(devmap_set(devmap, 1, ifindex("t2")), "entry");
	const struct bpf_insn redirect[] = { MAP(1, devmap), SET(2, 1), SET(3, XDP_DROP), CALL(redirect_map), EXIT };
	const struct bpf_insn count[] = {
		MAP_VALUE(1, map, 0), SET(2, 1), ATOMIC_ADD(BPF_DW, 1, 0, 2), SET(0, 2 /* TC_ACT_SHOT */), EXIT,
	};

	attach_tc(LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, count), "t1", BPF_TC_INGRESS);
	int link = must(attach_xdp(LOAD_PROG(BPF_PROG_TYPE_XDP, redirect), "t1", XDP_FLAGS_DRV_MODE), "attach");

	must(unshare(CLONE_NEWNET), "unshare");
	uint64_t there = cookie();

	sh("nsenter --net=/proc/%d/fd/%d ip link set t1 netns %d && ip link set t1 up", getpid(), home, getpid());
	udp_frame(frame, 1);
	must(write(t1, frame, sizeof(frame)) == sizeof(frame) ? 0 : -errno, "write");
	ssize_t by_xdp = next_frame(t2, 0x0800, 0, buf, sizeof(buf), 500);

	close(link);
	sleep_ms(50);
	must(write(t1, frame, sizeof(frame)) == sizeof(frame) ? 0 : -errno, "write");
	if (by_xdp != FRAME_LEN || *tc_runs || here == there || !here || !there)
		broken("of a moved TAP's frame %zd bytes came by XDP, its tc program ran %llu times; cookies %llx %llx",
		       by_xdp, (unsigned long long)*tc_runs, (unsigned long long)here, (unsigned long long)there);
	return holds("a moved TAP's XDP program still redirects, its tc program is gone, the cookie is another one");
}
