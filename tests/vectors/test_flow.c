/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a program remembers of a frame (bpf/flow.h): a frame, a change, and a second frame that may or may not be like
 * the first.  The second must fare as if nothing was remembered, for all changes that count at once; what a device does
 * counts a jiffy later.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "vector.h"

#define A_JIFFY 20000 /* us: longer than one, whatever CONFIG_HZ */

struct flow_case {
	const char *name;
	scene_fn scene;
	struct frame *first; /* from A */
	int (*change)(void); /* NULL = none; 0 or -errno */
	unsigned int in;     /* of the second frame */
	struct frame *second;
	enum fate fate;
	enum vp_reason reason;
	unsigned int out;
	int (*restore)(void);
};

static int plane_change(void (*change)(struct vp_plane *plane))
{
	struct vp_plane plane;
	uint32_t zero = 0;
	int ret = bpf_map_lookup_elem(rig.map.plane, &zero, &plane);

	change(&plane);
	return ret ? ret : bpf_map_update_elem(rig.map.plane, &zero, &plane, BPF_ANY);
}

/* As plane_flip() does. */
static void flip(struct vp_plane *plane)
{
	plane->bank = !plane->bank;
	plane->epoch++;
}

static void next_tick(struct vp_plane *plane)
{
	plane->tick++;
}

static int configuration_switched(void)
{
	return plane_change(flip);
}

static int a_tick_later(void)
{
	usleep(A_JIFFY);
	return plane_change(next_tick);
}

static int c_moves_to_n(void)
{
	struct rig_run run = { 0 };

	return rig_run(PROG_XDP, N, arp(eth(MAC_B, MAC_C)), &run);
}

static int b_is_no_target(void)
{
	uint32_t id = B;

	return bpf_map_delete_elem(rig.map.targets, &id);
}

static int b_is_one_again(void)
{
	uint32_t id = B, value[2] = { rig.ifindex[B], 0 };

	return bpf_map_update_elem(rig.map.targets, &id, value, BPF_ANY);
}

static int b_goes_down(void)
{
	int ret = rig_link("set %s down", rig_device(B));

	usleep(A_JIFFY);
	return ret;
}

static int b_comes_up(void)
{
	return rig_link("set %s up", rig_device(B));
}

#define SLOTS 1024

/* struct vp_flow: three words of keys and stamp, then four ids. */
typedef uint64_t flow_slot[4];

static uint32_t newest; /* the slot that was written last: that of the first frame, whatever the CPU */

/* Finds it, and what stands there. */
static int slot_find(flow_slot found)
{
	int cpus = libbpf_num_possible_cpus(), ret = 0;
	flow_slot *slot = calloc(cpus, sizeof(*slot));

	memset(found, 0, sizeof(flow_slot));
	for (uint32_t i = 0; slot && i < SLOTS && !ret; i++) {
		ret = bpf_map_lookup_elem(rig.map.flows, &i, slot);
		for (int cpu = 0; cpu < cpus; cpu++)
			if (slot[cpu][2] > found[2]) {
				memcpy(found, slot[cpu], sizeof(flow_slot));
				newest = i;
			}
	}
	free(slot);
	return ret;
}

/* On each CPU the memory of the first frame now says X. */
static int forge(void)
{
	int cpus = libbpf_num_possible_cpus(), ret;
	flow_slot *slot = calloc(cpus, sizeof(*slot));

	if (!slot)
		return -1;
	ret = bpf_map_lookup_elem(rig.map.flows, &newest, slot);
	for (int cpu = 0; cpu < cpus; cpu++)
		((uint16_t *)&slot[cpu][3])[2] = X;
	if (!ret)
		ret = bpf_map_update_elem(rig.map.flows, &newest, slot, BPF_ANY);
	free(slot);
	return ret;
}

/* Wherever a frame is looked up, it finds the memory of the first one. */
static int collide(void)
{
	int cpus = libbpf_num_possible_cpus(), ret;
	flow_slot *slot = calloc(cpus, sizeof(*slot)), first;

	ret = slot ? slot_find(first) : -1;
	for (int cpu = 0; cpu < cpus && !ret; cpu++)
		memcpy(slot[cpu], first, sizeof(first));
	for (uint32_t i = 0; i < SLOTS && !ret; i++)
		ret = bpf_map_update_elem(rig.map.flows, &i, slot, BPF_ANY);
	free(slot);
	return ret;
}

static void lan_with_a(struct scene *s)
{
	lan(s);
	scene_learned(s, 1, MAC_A, A, 0);
}

static void lan_guarded(struct scene *s)
{
	lan_with_a(s);
	s->ports[A].flags |= VP_PORT_GUARD_MAC;
	scene_guard(s, A, MAC_A, false);
}

static void wire_to_small(struct scene *s)
{
	scene_ports(s);
	scene_bind(s, A, SMALL);
}

static int run_case(const struct flow_case *c, enum prog first, enum prog second, struct vp_counters *before,
		    struct rig_run *run)
{
	struct scene s = { .now = RIG_NOW };
	int ret;

	c->scene(&s);
	ret = scene_apply(&s, 0);
	for (int i = 0; i < 2 && !ret; i++) /* the first may be the one that is learned from */
		ret = rig_run(first, A, c->first, run);
	if (!ret && c->change)
		ret = c->change();
	counters_read(before);
	return ret ? ret : rig_run(second, c->in, c->second, run);
}

static void check_counters(const struct flow_case *c, struct vp_counters *want)
{
	uint32_t len = c->second->len;

	if (c->fate != PASSED) {
		want[c->in].rx_packets++;
		want[c->in].rx_bytes += len;
	}
	if (c->fate == DROP)
		want[c->in].drops[c->reason]++;
	if (c->fate == FORWARD) {
		want[c->in].forwarded++;
		want[c->out].tx_packets++;
		want[c->out].tx_bytes += len;
	}
	counters_expect(want);
}

static void flow_case(const struct flow_case *c, enum prog prog)
{
	struct vp_counters want[RIG_PORTS];
	struct rig_run run = { 0 };

	if (!test_begin("flow_%s [%s]%s", c->name, prog == PROG_TC ? "tc" : "xdp", rig.live ? "" : " [blind]"))
		return;
	if (expect_ok("run", run_case(c, prog, prog, want, &run))) {
		expect_u64("action", run.retval, action_of(prog, c->fate));
		check_counters(c, want);
	}
	if (c->restore)
		expect_ok("restore", c->restore());
	test_end();
}

/* Does a memory that was forged lead the frame astray? Often enough: a jiffy may end in between. */
static bool goes_astray(enum prog first, enum prog second)
{
	struct flow_case c = { .scene = lan_with_a, .first = arp(eth(MAC_B, MAC_A)), .in = A };
	struct vp_counters before[RIG_PORTS], after[RIG_PORTS];
	struct rig_run run = { 0 };
	flow_slot slot;

	c.second = c.first;
	expect_ok("run", run_case(&c, first, first, before, &run));
	expect_ok("slot", slot_find(slot));
	c.change = forge;
	for (int i = 0; i < 200; i++) {
		if (!expect_ok("run", run_case(&c, first, second, before, &run)))
			break;
		counters_read(after);
		if (after[X].tx_packets == before[X].tx_packets + 1)
			return true;
	}
	return false;
}

/* Were nothing remembered, all other tests here would be green. */
static void memory_is_used(void)
{
	if (!test_begin("flow_memory_is_used%s", rig.live ? "" : " [blind]"))
		return;
	expect_true("a forged memory leads XDP astray", goes_astray(PROG_XDP, PROG_XDP));
	expect_true("a forged memory leads tc astray", goes_astray(PROG_TC, PROG_TC));
	expect_true("that of XDP does not lead tc astray", !goes_astray(PROG_XDP, PROG_TC));
	expect_true("that of tc does not lead XDP astray", !goes_astray(PROG_TC, PROG_XDP));
	test_end();
}

static void over_quota_is_not_remembered(void)
{
	struct scene s = { .now = RIG_NOW };
	struct vp_counters have[RIG_PORTS];
	struct rig_run run = { 0 };

	if (!test_begin("flow_of_a_source_over_quota_is_not_remembered%s", rig.live ? "" : " [blind]"))
		return;
	lan(&s);
	s.ports[A].quota = 0;
	expect_ok("scene", scene_apply(&s, 0));
	for (int i = 0; i < 3; i++)
		expect_ok("run", rig_run(PROG_XDP, A, arp(eth(MAC_B, MAC_A)), &run));
	counters_read(have);
	expect_u64("quota", have[A].events[VP_EVENT_QUOTA], 3);
	test_end();
}

static void source_is_seen_in_each_tick(void)
{
	struct vp_mac_key key = { .segment = 1 };
	struct vp_counters before[RIG_PORTS];
	const struct flow_case c = {
		.scene = lan_with_a, .first = arp(eth(MAC_B, MAC_A)), .change = a_tick_later, .in = A, .second = c.first
	};
	struct rig_run run = { 0 };
	struct vp_mac mac = { 0 };

	if (!test_begin("flow_source_is_seen_in_each_tick%s", rig.live ? "" : " [blind]"))
		return;
	memcpy(key.mac, MAC_A, sizeof(key.mac));
	expect_ok("run", run_case(&c, PROG_XDP, PROG_XDP, before, &run));
	expect_ok("entry", bpf_map_lookup_elem(rig.map.macs, &key, &mac));
	expect_u64("tick", mac.tick, RIG_NOW + 1);
	test_end();
}

void vectors_flow(void)
{
	struct frame *a_to_b = arp(eth(MAC_B, MAC_A)), *a_to_c = arp(eth(MAC_C, MAC_A));
	const struct flow_case cases[] = {
		{ "again", lan_with_a, a_to_b, NULL, A, a_to_b, FORWARD, NONE, B, NULL },
		{ "again_in_a_binding", wire, a_to_b, NULL, A, a_to_b, FORWARD, NONE, B, NULL },
		{ "configuration_switched", lan_with_a, a_to_b, configuration_switched, A, a_to_b, FORWARD, NONE, X,
		  NULL },
		{ "address_moved", lan_with_a, a_to_c, c_moves_to_n, A, a_to_c, FORWARD, NONE, N, NULL },
		{ "target_vanished", wire, a_to_b, b_is_no_target, A, a_to_b, DROP, VP_DROP_PEER_DOWN, 0,
		  b_is_one_again },
		{ "other_source", lan_guarded, a_to_b, collide, A, arp(eth(MAC_B, MAC_S)), DROP, VP_DROP_FOREIGN_MAC, 0,
		  NULL },
		{ "other_destination", lan_with_a, a_to_b, collide, A, a_to_c, FORWARD, NONE, C, NULL },
		{ "other_port", wire, a_to_b, collide, N, a_to_b, FORWARD, NONE, E, NULL },
		{ "tag", lan_with_a, a_to_b, NULL, A, arp(tag(eth(MAC_B, MAC_A), 0x8100, 5)), DROP,
		  VP_DROP_VLAN_NOT_ALLOWED, 0, NULL },
		{ "tcp_is_still_passed", lan_with_a, a_to_b, NULL, A, tcp4(eth(MAC_B, MAC_A), 100, FULL), PASSED, NONE,
		  0, NULL },
		{ "unfinished_udp_is_still_passed", lan_with_a, udp4(eth(MAC_B, MAC_A), 100, FULL), NULL, A,
		  udp4(eth(MAC_B, MAC_A), 100, PARTIAL), PASSED, NONE, 0, NULL },
		{ "wrong_udp_is_still_passed", lan_with_a, udp4(eth(MAC_B, MAC_A), 100, FULL), NULL, A,
		  udp4(eth(MAC_B, MAC_A), 100, BAD), PASSED, NONE, 0, NULL },
		{ "too_large_is_still_passed", wire_to_small, a_to_b, NULL, A, udp4(eth(MAC_B, MAC_A), 900, FULL),
		  PASSED, NONE, 0, NULL },
	};
	const struct flow_case down = { "device_down_a_jiffy_ago", wire, a_to_b,    b_goes_down, A, a_to_b, DROP,
					VP_DROP_PEER_DOWN,	   0,	 b_comes_up };

	/* What tc hands over when the target has just gone, the kernel drops. */
	const struct flow_case tc[] = {
		{ "target_vanished", wire, a_to_b, b_is_no_target, A, a_to_b, FORWARD, NONE, B, b_is_one_again },
		{ "too_large", wire_to_small, a_to_b, NULL, A, udp4(eth(MAC_B, MAC_A), 900, FULL), DROP, VP_DROP_MTU, 0,
		  NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		flow_case(&cases[i], PROG_XDP);
		if (cases[i].fate != PASSED && cases[i].change != b_is_no_target)
			flow_case(&cases[i], PROG_TC);
	}
	for (size_t i = 0; i < sizeof(tc) / sizeof(tc[0]); i++)
		flow_case(&tc[i], PROG_TC);
	if (rig.live) {
		flow_case(&down, PROG_XDP);
		flow_case(&down, PROG_TC);
	}
	memory_is_used();
	over_quota_is_not_remembered();
	source_is_seen_in_each_tick();
	frames_reset();
}
