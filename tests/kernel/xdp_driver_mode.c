/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An XDP link with XDP_FLAGS_DRV_MODE: TAP and veth take it, devices without XDP in the driver refuse it.  Without the
 * flag such a device falls to generic mode and says nothing; hence the flag in user/plane_port.c.
 */
#include "fact.h"

static void expect(int prog, const char *device, int result)
{
	int link = attach_xdp(prog, device, XDP_FLAGS_DRV_MODE);

	if (link >= 0)
		close(link);
	if ((link < 0 ? link : 0) != result)
		broken("%s: %s instead of %s", device, link < 0 ? strerror(-link) : "attached",
		       result ? strerror(-result) : "attached");
}

int main(void)
{
	const struct bpf_insn pass[] = { SET(0, XDP_PASS), EXIT };

	probe_begin();
	int prog = LOAD_PROG(BPF_PROG_TYPE_XDP, pass);

	tap("t1", 0);
	sh("ip link add v1 type veth peer name v2 && ip link add br1 type bridge");
	expect(prog, "t1", 0);
	expect(prog, "v1", 0);
	expect(prog, "br1", -EOPNOTSUPP);

	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int link = must(attach_xdp(prog, "br1", 0), "a link without the flag");

	must(bpf_xdp_query((int)ifindex("br1"), 0, &query), "query");
	close(link);
	if (query.attach_mode != XDP_ATTACHED_SKB)
		broken("bridge without the flag: mode %u instead of generic", query.attach_mode);
	return holds("driver mode: TAP and veth take it, a bridge says EOPNOTSUPP; no flag = generic in silence");
}
