/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A DEVMAP_HASH may be used by an XDP and by a tc program, a DEVMAP only by one kind: a map that can hold programs gets
 * an owner at first use.  vp_targets (bpf/maps.h) is read by both of ours.
 */
#include "fact.h"

static int load_redirect(int map)
{
	const struct bpf_insn insns[] = { MAP(1, map), SET(2, 0), SET(3, 0), CALL(redirect_map), EXIT };

	return try_load(BPF_PROG_TYPE_XDP, insns, COUNT(insns));
}

static int load_lookup(int map)
{
	const struct bpf_insn insns[] = {
		STORE_IMM(BPF_W, 10, -4, 0), MAP(1, map), MOVE(2, 10), ADD(2, -4), CALL(map_lookup_elem),
		SET(0, 0), EXIT,
	};

	return try_load(BPF_PROG_TYPE_SCHED_CLS, insns, COUNT(insns));
}

int main(void)
{
	probe_begin();
	int hash = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, 8, 0);
	int array = make_map(BPF_MAP_TYPE_DEVMAP, 8, 8, 0);
	int fresh = make_map(BPF_MAP_TYPE_DEVMAP, 8, 8, 0);

	must(load_lookup(fresh), "a tc program alone with a DEVMAP");
	int xdp = load_redirect(hash), tc = load_lookup(hash);

	if (xdp < 0 || tc < 0)
		broken("DEVMAP_HASH: XDP program %d, tc program %d", xdp, tc);
	must(load_redirect(array), "an XDP program with a DEVMAP");
	tc = load_lookup(array);
	if (tc != -EINVAL)
		broken("a DEVMAP of an XDP program is now good for a tc program too (%d)", tc);
	return holds("DEVMAP_HASH is shared by XDP and tc, DEVMAP is refused with EINVAL");
}
