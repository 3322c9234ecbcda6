/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The value of a DEVMAP_HASH lies in a `bpf_dtab_netdev`, which points to the net_device: by bpf_rdonly_cast a program
 * reads the device's MTU as it is now (bpf/device.h).
 */
#include <bpf/btf.h>

#include "probe.h"

#define KFUNC(id) OP(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, id)

static struct btf *kernel;

static int type_id(const char *name, __u32 kind)
{
	int id = btf__find_by_name_kind(kernel, name, kind);

	if (id <= 0)
		probe_skip("this kernel has no %s", name);
	return id;
}

/* Offset in bytes; looks into anonymous members as well. -1 = none. */
static int offset_in(int id, const char *member)
{
	const struct btf_type *t = btf__type_by_id(kernel, id);

	while (btf_is_mod(t) || btf_is_typedef(t))
		t = btf__type_by_id(kernel, t->type);
	for (int i = 0; btf_is_composite(t) && i < btf_vlen(t); i++) {
		const struct btf_member *m = &btf_members(t)[i];
		const char *name = btf__name_by_offset(kernel, m->name_off);
		int at = btf_member_bit_offset(t, i) / 8, inner;

		if (!strcmp(name, member))
			return at;
		inner = *name ? -1 : offset_in(m->type, member);
		if (inner >= 0)
			return at + inner;
	}
	return -1;
}

static int offset_of(const char *type, const char *member)
{
	int at = offset_in(type_id(type, BTF_KIND_STRUCT), member);

	if (at < 0)
		probe_skip("struct %s has no member %s", type, member);
	return at;
}

static int mtu_seen(int prog)
{
	uint8_t frame[64];

	probe_frame(frame, sizeof(frame));
	return probe_run(prog, frame, sizeof(frame), NULL, 0);
}

int main(void)
{
	int map, prog, cast, slot, dev, before, after;

	kernel = btf__load_vmlinux_btf();
	if (!kernel)
		probe_skip("this kernel has no BTF");
	cast = type_id("bpf_rdonly_cast", BTF_KIND_FUNC);
	slot = type_id("bpf_dtab_netdev", BTF_KIND_STRUCT);
	dev = type_id("net_device", BTF_KIND_STRUCT);
	probe_netns();
	probe_tap_up("probe0", true, false);
	map = probe_devmap(BPF_MAP_TYPE_DEVMAP_HASH, 4);
	probe_devmap_set(map, 7, "probe0");
	struct bpf_insn insns[] = {
		LOOKUP(map, 7, 0),
		MOVR(BPF_REG_1, BPF_REG_0),
		ADD(BPF_REG_1, -offset_of("bpf_dtab_netdev", "val")),
		MOV(BPF_REG_2, slot),
		KFUNC(cast),
		LOAD(BPF_DW, BPF_REG_1, BPF_REG_0, offset_of("bpf_dtab_netdev", "dev")),
		MOV(BPF_REG_2, dev),
		KFUNC(cast),
		LOAD(BPF_W, BPF_REG_0, BPF_REG_0, offset_of("net_device", "mtu")),
		EXIT,
	};
	prog = PROG(BPF_PROG_TYPE_SCHED_CLS, insns);
	before = mtu_seen(prog);
	probe_ip("link set probe0 mtu 1234");
	after = mtu_seen(prog);
	if (before != 1500 || after != 1234)
		probe_fail("the program saw MTU %d and %d, not 1500 and 1234", before, after);
	btf__free(kernel);
	return probe_ok("a program read MTU %d, and %d once it was changed", before, after);
}
