/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does the object mean the same by include/vp_abi.h as this program?  Compared with the object's BTF: each member's
 * offset and size, each struct's size and number of members, and the maps' shapes.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "plane_bound.h"
#include "vector.h"

struct member_row {
	const char *type, *member;
	uint32_t offset, size;
};

#define ROW(t, m)                                                         \
	{                                                                 \
#t, #m, offsetof(struct t, m), sizeof(((struct t *)0)->m) \
	}

static const struct member_row members[] = {
	ROW(vp_plane, abi),
	ROW(vp_plane, bank),
	ROW(vp_plane, netns),
	ROW(vp_plane, tick),
	ROW(vp_plane, epoch),
	ROW(vp_plane, name),
	ROW(vp_port, ifindex),
	ROW(vp_port, flags),
	ROW(vp_port, segment),
	ROW(vp_port, peer),
	ROW(vp_port, kind),
	ROW(vp_port, incarnation),
	ROW(vp_port, quota),
	ROW(vp_port, broadcast_pps),
	ROW(vp_port, mtu),
	ROW(vp_port, pad),
	ROW(vp_segment, age_ticks),
	ROW(vp_segment, flags),
	ROW(vp_segment, vlan),
	ROW(vp_segment, first),
	ROW(vp_segment, count),
	ROW(vp_segment, pad),
	ROW(vp_member, port),
	ROW(vp_member, vid),
	ROW(vp_guard_key, port),
	ROW(vp_guard_key, mac),
	ROW(vp_mac_key, segment),
	ROW(vp_mac_key, mac),
	ROW(vp_mac, port),
	ROW(vp_mac, flags),
	ROW(vp_mac, incarnation),
	ROW(vp_mac, tick),
	ROW(vp_state, learned),
	ROW(vp_state, unfinished),
	ROW(vp_state, storm_tick),
	ROW(vp_state, storm_count),
	ROW(vp_counters, rx_packets),
	ROW(vp_counters, rx_bytes),
	ROW(vp_counters, tx_packets),
	ROW(vp_counters, tx_bytes),
	ROW(vp_counters, forwarded),
	ROW(vp_counters, flooded),
	ROW(vp_counters, passed),
	ROW(vp_counters, events),
	ROW(vp_counters, drops),
	ROW(vp_told, tick),
	ROW(vp_told, count),
	ROW(vp_told, missed),
	ROW(vp_told, pad),
	ROW(vp_record, number),
	ROW(vp_record, ktime),
	ROW(vp_record, what),
	ROW(vp_record, port),
	ROW(vp_record, other),
	ROW(vp_record, segment),
	ROW(vp_record, mac),
	ROW(vp_record, incarnation),
	ROW(vp_record, other_incarnation),
	ROW(vp_record, missed),
	ROW(vp_record, generation),
	ROW(vp_record, name),
	ROW(vp_events, head),
	ROW(vp_events, generation),
	ROW(vp_events, pad),
	ROW(vp_events, record),
	ROW(vp_port_info, name),
	ROW(vp_port_info, device),
	ROW(vp_port_info, egress_base),
	ROW(vp_port_info, incarnation),
	ROW(vp_port_info, flags),
	ROW(vp_port_info, attached),
	ROW(vp_port_info, told),
	ROW(vp_seg_info, name),
	ROW(vp_conf, len),
	ROW(vp_conf, pad),
	ROW(vp_conf, text),
};

static const struct {
	const char *type;
	uint32_t size;
} types[] = {
#define TYPE(t)                      \
	{                            \
#t, sizeof(struct t) \
	}
	TYPE(vp_plane), TYPE(vp_port),	TYPE(vp_segment),  TYPE(vp_member),    TYPE(vp_guard_key), TYPE(vp_mac_key),
	TYPE(vp_mac),	TYPE(vp_state), TYPE(vp_counters), TYPE(vp_port_info), TYPE(vp_seg_info),  TYPE(vp_conf),
	TYPE(vp_told),	TYPE(vp_record), TYPE(vp_events),
#undef TYPE
};

static const struct btf_type *find_struct(const struct btf *btf, const char *name)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);

	return id > 0 ? btf__type_by_id(btf, id) : NULL;
}

/* NULL, or what is wrong. */
static const char *row_wrong(const struct btf *btf, const struct member_row *row)
{
	const struct btf_type *t = find_struct(btf, row->type);

	if (!t)
		return "no such struct";
	for (uint16_t i = 0; i < btf_vlen(t); i++) {
		const struct btf_member *m = &btf_members(t)[i];

		if (strcmp(btf__name_by_offset(btf, m->name_off), row->member))
			continue;
		if (btf_member_bit_offset(t, i) != row->offset * 8)
			return "another offset";
		return btf__resolve_size(btf, m->type) == row->size ? NULL : "another size";
	}
	return "no such member";
}

static unsigned int rows_of(const char *type)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		n += !strcmp(members[i].type, type);
	return n;
}

static void layouts(const struct btf *btf)
{
	if (!test_begin("abi_structs_are_the_same_in_the_object"))
		return;
	for (unsigned int i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const char *why = row_wrong(btf, &members[i]);

		if (why)
			test_fail("%s.%s: %s", members[i].type, members[i].member, why);
	}
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		const struct btf_type *t = find_struct(btf, types[i].type);

		if (!t)
			continue; /* said above */
		expect_u64(types[i].type, t->size, types[i].size);
		expect_u64(types[i].type, btf_vlen(t), rows_of(types[i].type));
	}
	test_end();
}

/* The comparison itself must be able to refuse. */
static void layout_check_can_fail(const struct btf *btf)
{
	struct member_row right = ROW(vp_port, quota), wrong;

	if (!test_begin("abi_comparison_refuses_a_wrong_expectation"))
		return;
	expect_true("the right row is accepted", !row_wrong(btf, &right));
	wrong = right;
	wrong.offset += 4;
	expect_true("another offset is refused", row_wrong(btf, &wrong) != NULL);
	wrong = right;
	wrong.size = 8;
	expect_true("another size is refused", row_wrong(btf, &wrong) != NULL);
	wrong = right;
	wrong.member = "quotas";
	expect_true("another name is refused", row_wrong(btf, &wrong) != NULL);
	wrong = right;
	wrong.type = "vp_prot";
	expect_true("another struct is refused", row_wrong(btf, &wrong) != NULL);
	test_end();
}

static void maps(void)
{
	static const struct {
		const char *name;
		uint32_t type, key, value, entries;
	} want[] = {
		{ "vp_plane", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct vp_plane), 1 },
		{ "vp_ifaces", BPF_MAP_TYPE_HASH, 4, 4, 4096 },
		{ "vp_near", BPF_MAP_TYPE_ARRAY, 4, 8, VP_MAX_NEAR },
		{ "vp_memory", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 32768, 1 },
		{ "vp_ports", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct vp_port), 2 * VP_MAX_PORTS },
		{ "vp_segments", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct vp_segment), 2 * VP_MAX_SEGMENTS },
		{ "vp_members", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct vp_member), 2 * VP_MAX_MEMBERS },
		{ "vp_vlans", BPF_MAP_TYPE_HASH, sizeof(struct vp_vlan_key), 4, 2 * VP_MAX_MEMBERS },
		{ "vp_guards", BPF_MAP_TYPE_HASH, sizeof(struct vp_guard_key), 4, VP_MAX_GUARDS },
		{ "vp_macs", BPF_MAP_TYPE_HASH, sizeof(struct vp_mac_key), sizeof(struct vp_mac), VP_MAX_MACS },
		{ "vp_sweep", BPF_MAP_TYPE_QUEUE, 0, sizeof(struct vp_mac_key), VP_MAX_MACS },
		{ "vp_state", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct vp_state), VP_MAX_PORTS },
		{ "vp_counters", BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct vp_counters), VP_MAX_PORTS },
		{ "vp_told", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct vp_told), VP_MAX_PORTS },
		{ "vp_events", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct vp_events), 1 },
		{ "vp_targets", BPF_MAP_TYPE_DEVMAP_HASH, 4, 8, VP_MAX_PORTS },
		{ "vp_floods", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 2 * VP_MAX_SEGMENTS },
		{ "vp_port_info", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct vp_port_info), VP_MAX_PORTS },
		{ "vp_seg_info", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct vp_seg_info), VP_MAX_SEGMENTS },
		{ "vp_conf", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct vp_conf), 2 },
	};

	if (!test_begin("abi_maps_have_their_shapes"))
		return;
	for (unsigned int i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct bpf_map_info info = { 0 };
		__u32 size = sizeof(info);
		int fd = bpf_object__find_map_fd_by_name(rig.obj, want[i].name);

		if (!expect_ok(want[i].name, fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, &info, &size)))
			continue;
		expect_u64(want[i].name, info.type, want[i].type);
		expect_u64(want[i].name, info.key_size, want[i].key);
		expect_u64(want[i].name, info.value_size, want[i].value);
		expect_u64(want[i].name, info.max_entries, want[i].entries);
	}
	test_end();
}

/* Operators see these names in bpftool, which cuts at 15. */
static void names(void)
{
	struct bpf_program *p;
	struct bpf_map *m;

	if (!test_begin("abi_names_are_at_most_15_characters"))
		return;
	bpf_object__for_each_program(p, rig.obj) if (strlen(bpf_program__name(p)) > 15 ||
						     strncmp(bpf_program__name(p), "vp_", 3))
		test_fail("program %s", bpf_program__name(p));
	bpf_object__for_each_map(m, rig.obj) if (!bpf_map__is_internal(m) &&
						 (strlen(bpf_map__name(m)) > 15 || strncmp(bpf_map__name(m), "vp_", 3)))
		test_fail("map %s", bpf_map__name(m));
	test_end();
}

/*
 * Would vp_xdp_bound stay where it is?  It is too dangerous to be loaded here (tests/matrix/test_bound.py does it), but
 * it becomes what vp_xdp becomes, and a few instructions more.
 */
static void bound_room(void)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	if (!test_begin("bound_program_has_room"))
		return;
	if (expect_ok("prog info", bpf_obj_get_info_by_fd(rig.prog[PROG_XDP], &info, &len)) &&
	    !plane_bound_stays(rig.bound_bytes, info.xlated_prog_len + 64 * sizeof(struct bpf_insn)))
		test_fail("%zu bytes handed in, about %u in the end: change .rept in vp_xdp_bound", rig.bound_bytes,
			  info.xlated_prog_len);
	test_end();
}

void vectors_abi(void)
{
	const struct btf *btf = bpf_object__btf(rig.obj);

	layouts(btf);
	layout_check_can_fail(btf);
	maps();
	names();
	bound_room();
}
