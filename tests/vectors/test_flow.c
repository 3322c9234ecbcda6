/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a program remembers of a frame (bpf/flow.h): a frame, a change, and a second frame that may or may not be like
 * the first.  The second must fare as if nothing was remembered, for all changes that count at once; what a device does
 * counts a jiffy later.
 */
#include <errno.h>
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

static uint32_t epoch;

static void epoch_read(struct vp_plane *plane)
{
	epoch = plane->epoch;
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

/* All slots of all CPUs at once: one by one would take longer than a memory holds. */
struct slots {
	int cpus;
	uint32_t key[SLOTS];
	flow_slot *value;
};

static uint32_t written; /* the slot of the first frame, whatever the CPU */

static int slots_new(struct slots *all)
{
	all->cpus = libbpf_num_possible_cpus();
	all->value = calloc((size_t)SLOTS * all->cpus, sizeof(flow_slot));
	for (uint32_t i = 0; i < SLOTS; i++)
		all->key[i] = i;
	return all->value ? 0 : -1;
}

/* Ends with it. */
static int slots_write(struct slots *all)
{
	uint32_t n = SLOTS;
	int ret = bpf_map_update_batch(rig.map.flows, all->key, all->value, &n, NULL);

	free(all->value);
	return ret;
}

static int slots_clear(void)
{
	struct slots all;
	int ret = slots_new(&all);

	return ret ? ret : slots_write(&all);
}

/* Finds the one that was written since, and what stands there. */
static int slot_find(flow_slot found)
{
	struct slots all;
	uint32_t next, n = SLOTS;
	int ret = slots_new(&all);

	memset(found, 0, sizeof(flow_slot));
	if (!ret)
		ret = bpf_map_lookup_batch(rig.map.flows, NULL, &next, all.key, all.value, &n, NULL);
	if (ret == -ENOENT) /* that was the last one */
		ret = 0;
	for (uint32_t i = 0; i < n * all.cpus && !ret; i++)
		if (all.value[i][2]) {
			memcpy(found, all.value[i], sizeof(flow_slot));
			written = all.key[i / all.cpus];
		}
	free(all.value);
	return ret;
}

/* On each CPU the memory of the first frame now says X. */
static int forge(void)
{
	int cpus = libbpf_num_possible_cpus(), ret;
	flow_slot *slot = calloc(cpus, sizeof(*slot));

	if (!slot)
		return -1;
	ret = bpf_map_lookup_elem(rig.map.flows, &written, slot);
	for (int cpu = 0; cpu < cpus; cpu++)
		((uint16_t *)&slot[cpu][3])[2] = X;
	if (!ret)
		ret = bpf_map_update_elem(rig.map.flows, &written, slot, BPF_ANY);
	free(slot);
	return ret;
}

/* Wherever a frame is looked up, it finds the memory of the first one. */
static int collide(void)
{
	struct slots all;
	flow_slot first;
	int ret = slot_find(first);

	if (!ret)
		ret = slots_new(&all);
	for (int i = 0; i < SLOTS * all.cpus && !ret; i++)
		memcpy(all.value[i], first, sizeof(first));
	return ret ? ret : slots_write(&all);
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

static void lan_flooded(struct scene *s)
{
	lan_xdp(s);
	scene_learned(s, 1, MAC_A, A, 0);
}

static void lan_flooded_small(struct scene *s)
{
	static const uint8_t ports[] = { A, B, C, SMALL, 0 };

	scene_ports(s);
	scene_join(s, 1, ports);
	s->segments[1].flags |= VP_SEG_XDP_FLOOD;
	scene_learned(s, 1, MAC_A, A, 0);
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
	if (!ret)
		ret = slots_clear();
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
	if (c->fate == FLOOD) { /* lan_flooded() */
		want[c->in].flooded++;
		want[B].tx_packets++;
		want[B].tx_bytes += len;
		want[C].tx_packets++;
		want[C].tx_bytes += len;
	}
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

/* No segment is X: what finds a forged memory cannot be flooded, and is passed. */
static void flood_memory_is_used(void)
{
	struct flow_case c = { .scene = lan_flooded, .first = arp(eth(MAC_GROUP, MAC_A)), .in = A };
	struct vp_counters before[RIG_PORTS];
	struct rig_run run = { 0 };
	bool passed = false;
	flow_slot slot;

	if (!test_begin("flow_memory_of_a_flood_is_used%s", rig.live ? "" : " [blind]"))
		return;
	c.second = c.first;
	expect_ok("run", run_case(&c, PROG_XDP, PROG_XDP, before, &run));
	expect_ok("slot", slot_find(slot));
	expect_ok("plane", plane_change(epoch_read));
	expect_true("a program of ABI 1.2 does not find it", (uint32_t)slot[2] != epoch);
	c.change = forge;
	for (int i = 0; i < 200 && !passed; i++)
		passed = expect_ok("run", run_case(&c, PROG_XDP, PROG_XDP, before, &run)) && run.retval == XDP_PASS;
	expect_true("a forged memory leads XDP astray", passed);
	test_end();
}

static void broadcasts_are_counted_each(void)
{
	struct scene s = { .now = RIG_NOW };
	struct vp_counters have[RIG_PORTS];
	struct rig_run run = { 0 };

	if (!test_begin("flow_of_broadcasts_is_not_remembered%s", rig.live ? "" : " [blind]"))
		return;
	lan_flooded(&s);
	s.ports[A].broadcast_pps = 2;
	expect_ok("scene", scene_apply(&s, 0));
	for (int i = 0; i < 5; i++)
		expect_ok("run", rig_run(PROG_XDP, A, arp(eth(MAC_BROADCAST, MAC_A)), &run));
	counters_read(have);
	expect_u64("flooded", have[A].flooded, 2);
	expect_u64("dropped", have[A].drops[VP_DROP_STORM], 3);
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

/* tc's are not remembered. */
static void floods(void)
{
	struct frame *to_all = arp(eth(MAC_GROUP, MAC_A));
	const struct flow_case cases[] = {
		{ "flood_again", lan_flooded, to_all, NULL, A, to_all, FLOOD, NONE, 0, NULL },
		{ "flood_configuration_switched", lan_flooded, to_all, configuration_switched, A, to_all, FORWARD, NONE,
		  X, NULL },
		{ "flood_too_large_is_still_passed", lan_flooded_small, to_all, NULL, A,
		  udp4(eth(MAC_GROUP, MAC_A), 900, FULL), PASSED, NONE, 0, NULL },
		{ "flooded_tcp_is_still_passed", lan_flooded, to_all, NULL, A, tcp4(eth(MAC_GROUP, MAC_A), 100, FULL),
		  PASSED, NONE, 0, NULL },
	};
	const struct flow_case member = { "member_down_a_jiffy_ago", lan_flooded, to_all, b_goes_down, A, to_all,
					  PASSED,		     NONE,	  0,	  b_comes_up };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		flow_case(&cases[i], PROG_XDP);
	if (rig.live)
		flow_case(&member, PROG_XDP);
	flood_memory_is_used();
	broadcasts_are_counted_each();
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
	floods();
	frames_reset();
}
