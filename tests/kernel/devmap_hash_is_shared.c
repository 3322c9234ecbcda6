/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A DEVMAP_HASH may be read by a tc program and redirected through by XDP programs with and without frags, all at once.
 * A plain DEVMAP ties itself to the first of them (the control): that is why bpf/maps.h has none.
 */
#include "probe.h"

#define XDP_FRAGS (1U << 5)

/* -errno of the first program that is refused, 0 if none is. */
static int share(enum bpf_map_type type)
{
	int map = probe_devmap(type, 4), ret = 0, fd[3] = { -1, -1, -1 };
	struct bpf_insn xdp[] = { REDIRECT(map, 1) };
	struct bpf_insn tc[] = { LOOKUP(map, 1, TC_ACT_SHOT), MOV(BPF_REG_0, TC_ACT_SHOT), EXIT };

	fd[0] = probe_load(BPF_PROG_TYPE_XDP, xdp, sizeof(xdp) / sizeof(xdp[0]), XDP_FRAGS);
	fd[1] = probe_load(BPF_PROG_TYPE_SCHED_CLS, tc, sizeof(tc) / sizeof(tc[0]), 0);
	fd[2] = probe_load(BPF_PROG_TYPE_XDP, xdp, sizeof(xdp) / sizeof(xdp[0]), 0);
	for (int i = 2; i >= 0; i--) {
		if (fd[i] < 0)
			ret = fd[i];
		else
			close(fd[i]);
	}
	close(map);
	return ret;
}

int main(void)
{
	int hash = share(BPF_MAP_TYPE_DEVMAP_HASH), plain = share(BPF_MAP_TYPE_DEVMAP);

	if (hash)
		probe_fail("a DEVMAP_HASH cannot be shared: %s", strerror(-hash));
	return probe_ok("DEVMAP_HASH shared by XDP, XDP with frags and tc; a plain DEVMAP: %s",
			plain ? strerror(-plain) : "shared too");
}
