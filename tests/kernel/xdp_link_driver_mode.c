/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A bpf_link of XDP with the driver-mode flag attaches to a TAP and to a veth, and is refused, instead of falling back
 * to the generic mode, where the driver knows nothing of XDP (dummy; the control).
 */
#include "probe.h"

int main(void)
{
	struct bpf_insn pass[] = { MOV(BPF_REG_0, XDP_PASS), EXIT };
	int prog, tap, veth, dummy;

	probe_netns();
	prog = PROG(BPF_PROG_TYPE_XDP, pass);
	probe_tap("probe0", true, false);
	probe_ip("link add probe1 type veth peer name probe2");
	tap = probe_attach_xdp(prog, "probe0");
	veth = probe_attach_xdp(prog, "probe1");
	if (tap < 0 || veth < 0)
		probe_fail("TAP: %s, veth: %s", tap < 0 ? strerror(-tap) : "attached",
			   veth < 0 ? strerror(-veth) : "attached");
	if (system("ip link add probe3 type dummy 2>/dev/null"))
		return probe_ok("TAP and veth attached in driver mode; no dummy device here for the control");
	dummy = probe_attach_xdp(prog, "probe3");
	if (dummy != -EOPNOTSUPP)
		probe_fail("a dummy device: %s, expected EOPNOTSUPP", dummy < 0 ? strerror(-dummy) : "attached");
	return probe_ok("TAP and veth attached in driver mode, a dummy device refused");
}
