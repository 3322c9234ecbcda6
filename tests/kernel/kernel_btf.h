/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For probes of what a program may read of the kernel's own structures: where the members lie, by the kernel's BTF. */
#ifndef KERNEL_BTF_H
#define KERNEL_BTF_H

#include "fact.h"

#define CALL_KERNEL(id) INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, id)

static struct btf *kernel;

static inline void kernel_begin(void)
{
	kernel = btf__load_vmlinux_btf();
	if (!kernel)
		skip("this kernel has no BTF");
}

static inline int type_id(const char *name, uint32_t kind)
{
	int id = btf__find_by_name_kind(kernel, name, kind);

	if (id <= 0)
		skip("this kernel has no %s", name);
	return id;
}

static inline int size_of(const char *type)
{
	return (int)btf__type_by_id(kernel, (uint32_t)type_id(type, BTF_KIND_STRUCT))->size;
}

/* Offset in bytes, also inside anonymous members; -1 = none. */
static inline int offset_in(uint32_t id, const char *member)
{
	const struct btf_type *t = btf__type_by_id(kernel, id);

	for (uint16_t i = 0; btf_is_composite(t) && i < btf_vlen(t); i++) {
		const struct btf_member *m = &btf_members(t)[i];
		const char *name = btf__name_by_offset(kernel, m->name_off);
		int at = (int)btf_member_bit_offset(t, i) / 8;
		int inner = strcmp(name, member) ? -1 : 0;

		if (!*name)
			inner = offset_in(m->type, member);
		if (inner >= 0)
			return at + inner;
	}
	return -1;
}

static inline int offset_of(const char *type, const char *member)
{
	int at = offset_in((uint32_t)type_id(type, BTF_KIND_STRUCT), member);

	if (at < 0)
		skip("struct %s has no member %s", type, member);
	return at;
}

#endif
