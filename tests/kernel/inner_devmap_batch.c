/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DEVMAP_HASHes are inner maps of different sizes, bpf_redirect_map() takes one that was looked up, and one batch
 * update swaps many: user/plane_table.c writes the flood maps of a bank so (one by one each waits for a grace period).
 */
#include "fact.h"

#define MAPS 64
#define ENOTSUPP_IN_KERNEL 524 /* no batch for maps of maps before Linux 5.19 */

static int outer_map(int inner)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = (__u32)inner);

	return must(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "probe", 4, 4, MAPS, &opts), "map of maps");
}

/* Verdict XDP_REDIRECT if entry 1 of the last inner map is there, XDP_DROP if not, XDP_ABORTED if no map is. */
static int redirect_prog(int outer)
{
	const struct bpf_insn insns[] = {
		STORE_IMM(BPF_W, 10, -4, MAPS - 1), MAP(1, outer), MOVE(2, 10), ADD(2, -4), CALL(map_lookup_elem),
		JUMP_NE(0, 0, 2), SET(0, XDP_ABORTED), EXIT,
		MOVE(1, 0), SET(2, 1), SET(3, XDP_DROP), CALL(redirect_map), EXIT,
	};

	return LOAD_PROG(BPF_PROG_TYPE_XDP, insns);
}

static int update_all(int outer, int inner)
{
	uint32_t keys[MAPS], n = MAPS;
	int fds[MAPS];

	for (uint32_t i = 0; i < MAPS; i++) {
		keys[i] = i;
		fds[i] = inner;
	}
	int err = bpf_map_update_batch(outer, keys, fds, &n, NULL);

	if (err == -ENOTSUPP_IN_KERNEL)
		skip("no batch update of maps of maps (before Linux 5.19)");
	return err;
}

int main(void)
{
	uint8_t frame[FRAME_LEN];

	probe_begin();
	udp_frame(frame, 1);
	sh("ip link add br1 type bridge");
	int with = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, 8, 0);
	int without = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, 128, 0);
	int outer = outer_map(with);
	int prog = redirect_prog(outer);

	must(devmap_set(with, 1, ifindex("br1")), "entry");
	int none = run_prog(prog, frame, sizeof(frame));
	int first_err = update_all(outer, with);
	int first = run_prog(prog, frame, sizeof(frame));
	int second_err = update_all(outer, without);
	int second = run_prog(prog, frame, sizeof(frame));

	if (none != XDP_ABORTED || first_err || first != XDP_REDIRECT || second_err || second != XDP_DROP)
		broken("verdict without map %d; batch %d, verdict %d; next batch %d, verdict %d", none, first_err,
		       first, second_err, second);
	return holds("a batch of %d DEVMAP_HASHes is in force at once: redirect, then none after the next batch", MAPS);
}
