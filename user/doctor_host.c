/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rules about the host and about what loaders left behind. Pure. */
#include <string.h>

#include "doctor.h"

#define CAP_NET_ADMIN_BIT 12
#define CAP_SYS_ADMIN_BIT 21
#define CAP_PERFMON_BIT	  38
#define CAP_BPF_BIT	  39

/* Locked memory that the maps of a plane take on kernels that charge it: `bpftool map show` adds up to 63 MB. */
#define MEMLOCK_NEED ((uint64_t)64 << 20)

static bool has_cap(const struct doctor_host *h, unsigned int bit)
{
	return h->caps >> bit & 1;
}

/* CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON. */
static bool capabilities(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_host *h = &f->host;
	bool admin = has_cap(h, CAP_SYS_ADMIN_BIT), bpf = admin || has_cap(h, CAP_BPF_BIT),
	     net = has_cap(h, CAP_NET_ADMIN_BIT), perf = admin || has_cap(h, CAP_PERFMON_BIT);

	(void)i;
	if (bpf && net && perf)
		return false;
	doctor_run(out, "sudo vpeer doctor");
	return doctor_say(
		out, "this process lacks%s%s%s: without them planes can be neither made nor changed, nor seen whole",
		bpf ? "" : " CAP_BPF", net ? "" : " CAP_NET_ADMIN", perf ? "" : " CAP_PERFMON");
}

static bool btf(const struct doctor_facts *f, size_t i, struct finding *out)
{
	(void)i;
	return !f->host.has.btf &&
	       doctor_say(out,
			  "kernel %s has no BTF (/sys/kernel/btf/vmlinux), without which the programs cannot be "
			  "loaded: one built with CONFIG_DEBUG_INFO_BTF=y is needed",
			  f->host.release);
}

/* Nothing of BTF can be said without BTF. */
static bool live_devices(const struct doctor_facts *f, size_t i, struct finding *out)
{
	(void)i;
	return f->host.has.btf && !f->host.has.live_devices &&
	       doctor_say(out,
			  "kernel %s lacks bpf_rdonly_cast (Linux 6.2): the plane does not see by itself that a "
			  "device went down, and frames to it are lost until `vpeer up`",
			  f->host.release);
}

static bool veth_tags(const struct doctor_facts *f, size_t i, struct finding *out)
{
	(void)i;
	return f->host.has.btf && !f->host.has.veth_tags &&
	       doctor_say(out,
			  "kernel %s lacks bpf_xdp_metadata_rx_vlan_tag (Linux 6.8): `carrier: xdp` is refused on "
			  "veths, whose VLAN tags it would lose",
			  f->host.release);
}

static bool netdev(const struct doctor_facts *f, size_t i, struct finding *out)
{
	(void)i;
	return !f->host.netdev &&
	       doctor_say(out,
			  "kernel %s does not tell what XDP can do on a device (netdev family, Linux 6.3): on "
			  "`carrier: auto` NICs are carried by tc, and XDP sends to TAPs only",
			  f->host.release);
}

static bool jit(const struct doctor_facts *f, size_t i, struct finding *out)
{
	(void)i;
	if (f->host.jit != NO)
		return false;
	doctor_run(out, "sysctl -w net.core.bpf_jit_enable=1");
	return doctor_say(out,
			  "the kernel interprets BPF programs instead of compiling them, which costs several times "
			  "the CPU; a plane that is loaded already has to be made anew afterwards (down, up)");
}

static bool notes_of_planes(const struct doctor_facts *f)
{
	for (size_t i = 0; i < f->n_traces; i++)
		if (f->traces[i].notes && !f->traces[i].busy)
			return true;
	return false;
}

static bool bpffs_hidden(const struct doctor_facts *f, size_t i, struct finding *out)
{
	(void)i;
	if (f->host.bpffs || !notes_of_planes(f))
		return false;
	doctor_run(out, "nsenter --net=/run/netns/NAME vpeer doctor");
	return doctor_say(
		out, "no bpffs is at /sys/fs/bpf, yet /run/vpeer has notes of planes: their pins are hidden "
		     "here, as `ip netns exec` does, which mounts its own /sys; or bpffs was unmounted under them");
}

static bool bpffs_missing(const struct doctor_facts *f, size_t i, struct finding *out)
{
	(void)i;
	if (f->host.bpffs || notes_of_planes(f))
		return false;
	doctor_run(out, "mount -t bpf bpf /sys/fs/bpf");
	return doctor_say(out, "no bpffs is at /sys/fs/bpf; `vpeer up` mounts one, and `down` of the last plane "
			       "unmounts it");
}

static bool memlock(const struct doctor_facts *f, size_t i, struct finding *out)
{
	(void)i;
	if (f->host.kernel >= KERNEL(5, 11) || f->host.memlock >= MEMLOCK_NEED)
		return false;
	doctor_run(out, "ulimit -l unlimited");
	return doctor_say(out,
			  "kernel %s counts BPF maps against the limit of locked memory (until Linux 5.11), which is "
			  "%llu KiB here; a plane needs %llu KiB",
			  f->host.release, (unsigned long long)(f->host.memlock >> 10),
			  (unsigned long long)(MEMLOCK_NEED >> 10));
}

static bool other_abi(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct plane_trace *t = &f->traces[i];

	if (!t->pinned || !t->abi || t->abi == VP_ABI_VERSION)
		return false;
	if (vp_abi_fit(t->abi, VP_ABI_VERSION) == VP_ABI_OLDER) {
		doctor_vpeer(out, t->name, "upgrade");
		return doctor_say(out,
				  "was made by an older vpeer with ABI %u.%u, this one has %u.%u and wants it upgraded",
				  VP_ABI_MAJOR_OF(t->abi), VP_ABI_MINOR_OF(t->abi), VP_ABI_MAJOR, VP_ABI_MINOR);
	}
	doctor_vpeer(out, t->name, "down");
	return doctor_say(out,
			  "was made by a vpeer with ABI %u.%u, this one has %u.%u and refuses to touch it; "
			  "use the vpeer that made it for the command",
			  VP_ABI_MAJOR_OF(t->abi), VP_ABI_MINOR_OF(t->abi), VP_ABI_MAJOR, VP_ABI_MINOR);
}

static bool half_made(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct plane_trace *t = &f->traces[i];

	if (!t->half_made || t->pinned || t->busy)
		return false;
	doctor_vpeer(out, t->name, "down");
	return doctor_say(out,
			  "a loader died while it made this plane or took it away: nobody uses "
			  "/sys/fs/bpf/vpeer/+%s, which holds its programs and maps in memory",
			  t->name);
}

static bool leftover(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct plane_trace *t = &f->traces[i];

	if (!f->host.bpffs || !t->notes || t->pinned || t->half_made || t->busy)
		return false;
	doctor_vpeer(out, t->name, "down");
	if (t->changes)
		return doctor_say(out,
				  "there is no such plane any more, but settings that it changed on devices were "
				  "never put back: /run/vpeer/%s/undo",
				  t->name);
	return doctor_say(out,
			  "there is no such plane, only its empty directory /run/vpeer/%s: a loader died before it "
			  "had made anything",
			  t->name);
}

const struct doctor_rule doctor_host_rules[] = {
	{ "no-capability", DOCTOR_ERROR, SCOPE_HOST, FIX_NONE, capabilities },
	{ "no-btf", DOCTOR_ERROR, SCOPE_HOST, FIX_NONE, btf },
	{ "bpffs-hidden", DOCTOR_ERROR, SCOPE_HOST, FIX_NONE, bpffs_hidden },
	{ "memlock-low", DOCTOR_ERROR, SCOPE_HOST, FIX_NONE, memlock },
	{ "jit-off", DOCTOR_WARNING, SCOPE_HOST, FIX_NONE, jit },
	{ "kernel-live-devices", DOCTOR_WARNING, SCOPE_HOST, FIX_NONE, live_devices },
	{ "kernel-xdp-features", DOCTOR_NOTE, SCOPE_HOST, FIX_NONE, netdev },
	{ "kernel-veth-tags", DOCTOR_NOTE, SCOPE_HOST, FIX_NONE, veth_tags },
	{ "bpffs-missing", DOCTOR_NOTE, SCOPE_HOST, FIX_NONE, bpffs_missing },
	{ "plane-other-abi", DOCTOR_ERROR, SCOPE_TRACE, FIX_NONE, other_abi },
	{ "plane-half-made", DOCTOR_WARNING, SCOPE_TRACE, FIX_SWEEP, half_made },
	{ "plane-leftover", DOCTOR_WARNING, SCOPE_TRACE, FIX_NONE, leftover },
	{ NULL, DOCTOR_NOTE, SCOPE_HOST, FIX_NONE, NULL },
};
