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

/* As bpf/flow.h has it. */
struct flow {
	uint64_t addr;
	uint32_t more;
	uint16_t segment, pad;
	uint64_t stamp;
	uint16_t in, flags, out, mtu;
};

#define IS_TO(flow) ((flow)->more & 0x10000)

/* All that all CPUs remember, in one call: one by one would take longer than a memory holds. */
static struct flow *memory; /* [cpu * SLOTS + slot] */
static uint32_t no_key;

static size_t memory_slots(void)
{
	return (size_t)SLOTS * libbpf_num_possible_cpus();
}

static int memory_read(void)
{
	if (!memory)
		memory = calloc(memory_slots(), sizeof(*memory));
	return memory ? bpf_map_lookup_elem(rig.map.memory, &no_key, memory) : -1;
}

static int memory_write(void)
{
	return bpf_map_update_elem(rig.map.memory, &no_key, memory, BPF_ANY);
}

static int memory_clear(void)
{
	int ret = memory_read();

	if (!ret)
		memset(memory, 0, memory_slots() * sizeof(*memory));
	return ret ? ret : memory_write();
}

/* Whatever is remembered now says X: as the receiver's port, and as the segment of what goes to all. */
static int forge(void)
{
	int ret = memory_read();

	for (size_t i = 0; !ret && i < memory_slots(); i++)
		if (memory[i].stamp && memory[i].out)
			memory[i].out = X;
		else if (memory[i].stamp && !IS_TO(&memory[i]))
			memory[i].segment = X;
	return ret ? ret : memory_write();
}

/* Wherever else something is looked up, this memory is found: the sender's, or the receiver's. */
static int collide(bool to)
{
	int ret = memory_read();
	struct flow found = { 0 };

	for (size_t i = 0; !ret && i < memory_slots(); i++)
		if (memory[i].stamp && !!IS_TO(&memory[i]) == to)
			found = memory[i];
	for (size_t i = 0; i < memory_slots() && !ret; i++)
		if (!memory[i].stamp)
			memory[i] = found;
	return ret ? ret : memory_write();
}

static int senders_collide(void)
{
	return collide(false);
}

static int receivers_collide(void)
{
	return collide(true);
}

/* Port `in` sends until both programs remember it. */
static int has_sent(unsigned int in, const struct frame *f)
{
	static const enum prog progs[] = { PROG_XDP, PROG_XDP, PROG_TC, PROG_TC };
	struct rig_run run = { 0 };
	int ret = 0;

	for (size_t i = 0; !ret && i < sizeof(progs) / sizeof(progs[0]); i++)
		ret = rig_run(progs[i], in, f, &run);
	return ret;
}

static int b_sends(void)
{
	return has_sent(B, arp(eth(MAC_A, MAC_B)));
}

static int c_sends(void)
{
	return has_sent(C, arp(eth(MAC_A, MAC_C)));
}

static int n_sends(void)
{
	return has_sent(N, arp(eth(MAC_D, MAC_N)));
}

static int small_floods(void)
{
	return has_sent(SMALL, udp4(eth(MAC_GROUP, MAC_S), 900, FULL));
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

/* Each has a station with address B. */
static void two_lans(struct scene *s)
{
	static const uint8_t one[] = { A, B, 0 }, two[] = { N, E, 0 };

	scene_ports(s);
	scene_join(s, 1, one);
	scene_join(s, 2, two);
	scene_learned(s, 1, MAC_A, A, 0);
	scene_static(s, 1, MAC_B, B);
	scene_learned(s, 2, MAC_N, N, 0);
	scene_static(s, 2, MAC_B, E);
	scene_static(s, 2, MAC_D, E);
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
		ret = memory_clear();
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
	/* A jiffy may end in between, and with it the memory by which alone tc sends to a target that is gone. */
	const unsigned int tries = prog == PROG_TC && c->change == b_is_no_target ? 20 : 1;
	struct vp_counters want[RIG_PORTS];
	struct rig_run run = { 0 };

	if (!test_begin("flow_%s [%s]%s", c->name, prog == PROG_TC ? "tc" : "xdp", rig.live ? "" : " [blind]"))
		return;
	for (unsigned int i = 0; i < tries; i++) {
		bool ran = expect_ok("run", run_case(c, prog, prog, want, &run));

		if (c->restore)
			expect_ok("restore", c->restore());
		if (!ran || (int)run.retval == action_of(prog, c->fate))
			break;
	}
	expect_u64("action", run.retval, action_of(prog, c->fate));
	check_counters(c, want);
	test_end();
}

/* Does what it finds forged lead the second frame astray? Often enough: a jiffy may end in between. */
static bool goes_astray(const struct flow_case *c, enum prog first, enum prog second)
{
	struct vp_counters before[RIG_PORTS], after[RIG_PORTS];
	struct rig_run run = { 0 };

	for (int i = 0; i < 200; i++) {
		if (!expect_ok("run", run_case(c, first, second, before, &run)))
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
	const struct flow_case c = { .scene = lan_with_a, .first = arp(eth(MAC_B, MAC_A)), .change = forge, .in = A,
				     .second = c.first };

	if (!test_begin("flow_memory_is_used%s", rig.live ? "" : " [blind]"))
		return;
	expect_true("a forged memory leads XDP astray", goes_astray(&c, PROG_XDP, PROG_XDP));
	expect_true("a forged memory leads tc astray", goes_astray(&c, PROG_TC, PROG_TC));
	expect_true("that of XDP does not lead tc astray", !goes_astray(&c, PROG_XDP, PROG_TC));
	expect_true("that of tc does not lead XDP astray", !goes_astray(&c, PROG_TC, PROG_XDP));
	test_end();
}

static int c_sends_and_all_is_forged(void)
{
	int ret = c_sends();

	return ret ? ret : forge();
}

/* n senders to m receivers are n + m memories: what A has found out of B, C knows. */
static void memory_is_shared(void)
{
	const struct flow_case c = { .scene = lan_with_a, .first = arp(eth(MAC_B, MAC_A)),
				     .change = c_sends_and_all_is_forged, .in = C, .second = arp(eth(MAC_B, MAC_C)) };

	if (!test_begin("flow_memory_is_shared_by_senders%s", rig.live ? "" : " [blind]"))
		return;
	expect_true("XDP", goes_astray(&c, PROG_XDP, PROG_XDP));
	expect_true("tc", goes_astray(&c, PROG_TC, PROG_TC));
	test_end();
}

/* No segment is X: what finds a forged memory cannot be flooded, and is passed. */
static void flood_memory_is_used(void)
{
	struct flow_case c = { .scene = lan_flooded, .first = arp(eth(MAC_GROUP, MAC_A)), .in = A };
	struct vp_counters before[RIG_PORTS];
	struct rig_run run = { 0 };
	bool passed = false;

	if (!test_begin("flow_memory_of_a_flood_is_used%s", rig.live ? "" : " [blind]"))
		return;
	c.second = c.first;
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
		{ "flood_as_large_as_another_port_may", lan_flooded_small, to_all, small_floods, A,
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
		{ "other_source", lan_guarded, a_to_b, senders_collide, A, arp(eth(MAC_B, MAC_S)), DROP,
		  VP_DROP_FOREIGN_MAC, 0, NULL },
		{ "other_destination", lan_with_a, a_to_b, receivers_collide, A, a_to_c, FORWARD, NONE, C, NULL },
		{ "other_port", wire, a_to_b, senders_collide, N, a_to_b, FORWARD, NONE, E, NULL },
		{ "other_sender_to_the_same", lan_with_a, a_to_b, c_sends, C, arp(eth(MAC_B, MAC_C)), FORWARD, NONE, B,
		  NULL },
		{ "other_segment", two_lans, a_to_b, n_sends, N, arp(eth(MAC_B, MAC_N)), FORWARD, NONE, E, NULL },
		{ "receiver_sends_to_itself", lan_with_a, a_to_b, b_sends, B, arp(eth(MAC_B, MAC_B)), DROP,
		  VP_DROP_SAME_PORT, 0, NULL },
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
	memory_is_shared();
	over_quota_is_not_remembered();
	source_is_seen_in_each_tick();
	floods();
	frames_reset();
}
