/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The value of a DEVMAP_HASH lies in a `bpf_dtab_netdev`, which points to the net_device: by bpf_rdonly_cast() a
 * program reads the device's MTU as it is now.  bpf/device.h looks so at the state of a target.
 */
#include "kernel_btf.h"

/* Verdict: the MTU of the device at entry 1, 0 without one. */
static int mtu_prog(int map)
{
	const int cast = type_id("bpf_rdonly_cast", BTF_KIND_FUNC);
	const struct bpf_insn insns[] = {
		STORE_IMM(BPF_W, 10, -4, 1), MAP(1, map), MOVE(2, 10), ADD(2, -4), CALL(map_lookup_elem),
		JUMP_NE(0, 0, 1), EXIT,
		MOVE(1, 0), ADD(1, -offset_of("bpf_dtab_netdev", "val")),
		SET(2, type_id("bpf_dtab_netdev", BTF_KIND_STRUCT)), CALL_KERNEL(cast),
		LOAD(BPF_DW, 1, 0, offset_of("bpf_dtab_netdev", "dev")),
		SET(2, type_id("net_device", BTF_KIND_STRUCT)), CALL_KERNEL(cast),
		LOAD(BPF_W, 0, 0, offset_of("net_device", "mtu")), EXIT,
	};

	return LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, insns);
}

int main(void)
{
	uint8_t frame[FRAME_LEN];

	kernel_begin();
	probe_begin();
	int map = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, 8, 0), prog = mtu_prog(map);

	udp_frame(frame, 1);
	tap("t1", 0);
	int none = run_prog(prog, frame, sizeof(frame));

	must(devmap_set(map, 1, ifindex("t1")), "entry");
	int before = run_prog(prog, frame, sizeof(frame));

	sh("ip link set t1 mtu 1234");
	int after = run_prog(prog, frame, sizeof(frame));

	btf__free(kernel);
	if (none || before != 1500 || after != 1234)
		broken("the program read MTU %d without an entry, %d, and %d when it was 1234", none, before, after);
	return holds("the program read the device's MTU as it was, %d, and as it became, %d", before, after);
}
