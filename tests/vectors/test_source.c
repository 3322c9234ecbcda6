/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who may send, and what the MAC table makes of it: guard, source rules, learning, moving, quota. */
#include "vector.h"

static void lan_guarded(struct scene *s)
{
	lan(s);
	s->ports[A].flags |= VP_PORT_GUARD_MAC;
	scene_guard(s, A, MAC_A, false);
	scene_guard(s, A, MAC_NEW, true);      /* admitted by the other bank's configuration */
	scene_guard(s, C, MAC_UNKNOWN, false); /* admitted at another port */
}

static void lan_c_guarded(struct scene *s)
{
	lan(s);
	s->ports[C].flags |= VP_PORT_GUARD_MAC;
	scene_guard(s, C, MAC_C, false);
	scene_guard(s, A, MAC_NEW, false);
}

static void wire_guarded(struct scene *s)
{
	wire(s);
	s->ports[A].flags |= VP_PORT_GUARD_MAC;
	scene_guard(s, A, MAC_A, false);
}

static void lan_a_full(struct scene *s)
{
	lan(s);
	s->state[A].learned = SCENE_QUOTA;
}

static void lan_a_almost_full(struct scene *s)
{
	lan(s);
	s->state[A].learned = SCENE_QUOTA - 1;
}

static void lan_a_learns_nothing(struct scene *s)
{
	lan(s);
	s->ports[A].quota = 0;
}

static void lan_c_just_seen(struct scene *s)
{
	lan(s);
	s->macs[1].mac.tick = s->now;
}

static void lan_c_too_old(struct scene *s)
{
	lan(s);
	s->macs[1].mac.tick = s->now - SCENE_AGE - 1;
}

static void lan_c_was_another(struct scene *s)
{
	lan(s);
	s->macs[1].mac.incarnation++;
}

static void lan_b_was_another(struct scene *s)
{
	lan(s);
	s->macs[0].mac.incarnation++;
}

static void lan_d_is_at_e(struct scene *s)
{
	lan(s);
	scene_static(s, 1, MAC_D, E); /* not a member */
}

static void c_seen(struct scene *s, uint16_t policy, uint32_t age)
{
	lan(s);
	s->segments[1].flags |= policy;
	s->macs[1].mac.tick = s->now - age;
}

static void move_c_just_seen(struct scene *s)
{
	c_seen(s, 0, 0);
}

static void drop_c_just_seen(struct scene *s)
{
	c_seen(s, VP_SEG_DUP_DROP, 0);
}

static void ignore_c_just_seen(struct scene *s)
{
	c_seen(s, VP_SEG_DUP_IGNORE, 0);
}

static void drop_c_seen_a_tick_ago(struct scene *s)
{
	c_seen(s, VP_SEG_DUP_DROP, 1);
}

static void drop_c_seen_two_ticks_ago(struct scene *s)
{
	c_seen(s, VP_SEG_DUP_DROP, 2);
}

static void ignore_c_seen_two_ticks_ago(struct scene *s)
{
	c_seen(s, VP_SEG_DUP_IGNORE, 2);
}

/* Another CPU's tick may be ahead of this one's. */
static void drop_c_seen_by_a_faster_cpu(struct scene *s)
{
	c_seen(s, VP_SEG_DUP_DROP, -1);
}

static void drop_c_down(struct scene *s)
{
	drop_c_just_seen(s);
	s->ports[C].flags &= ~VP_PORT_UP;
}

static void drop_c_was_another(struct scene *s)
{
	drop_c_just_seen(s);
	s->macs[1].mac.incarnation++;
}

static void drop_c_left(struct scene *s)
{
	drop_c_just_seen(s);
	s->ports[C].segment = 2;
}

static void c_moved(struct scene *s, unsigned int moves, uint32_t age)
{
	c_seen(s, 0, age);
	s->macs[1].mac.flags = moves << VP_MAC_MOVES_SHIFT;
}

static void c_moved_four_times(struct scene *s)
{
	c_moved(s, 4, 0);
}

static void c_moved_five_times(struct scene *s)
{
	c_moved(s, 5, 0);
}

static void c_moved_five_times_before(struct scene *s)
{
	c_moved(s, 5, 1);
}

static void c_moved_five_times_limited(struct scene *s)
{
	c_moved(s, 5, 0);
	s->ports[C].broadcast_pps = 10; /* each broadcast is counted */
}

static void c_moved_five_times_a_full(struct scene *s)
{
	c_moved(s, 5, 0);
	s->state[A].learned = SCENE_QUOTA;
}

static void move_c_just_seen_a_full(struct scene *s)
{
	move_c_just_seen(s);
	s->state[A].learned = SCENE_QUOTA;
}

/* C's address is at A in segment 1, N's at E in segment 2, both just seen; E carries both segments with their tags. */
static void drop_two_segments(struct scene *s)
{
	static const uint8_t one[] = { A, C, 0 }, two[] = { B, 0 }, trunk[] = { E, 0 };

	scene_ports(s);
	scene_join(s, 1, one);
	scene_tag(s, 1, 10, trunk);
	scene_join(s, 2, two);
	s->members[s->n_members++] = (struct vp_member){ E, 20 };
	s->segments[2].count++;
	s->segments[2].vlan = 20;
	s->vlans[s->n_vlans].port = E;
	s->vlans[s->n_vlans].vid = 20;
	s->vlans[s->n_vlans++].segment = 2;
	s->segments[1].flags |= VP_SEG_DUP_DROP;
	s->segments[2].flags |= VP_SEG_DUP_DROP;
	scene_static(s, 1, MAC_H, C);
	scene_learned(s, 1, MAC_C, A, 0);
	scene_learned(s, 2, MAC_N, E, 0);
}

static void guards(void)
{
	const struct vector v[] = {
		V("guarded_port_may_send_from_its_address", lan_guarded, A, arp(eth(MAC_B, MAC_A)), FORWARD, FORWARD,
		  NONE, LEARNED, OUT(B)),
		V("guest_cannot_send_with_a_foreign_mac", lan_guarded, A, arp(eth(MAC_B, MAC_C)), DROP, DROP,
		  VP_DROP_FOREIGN_MAC, UNTOUCHED, OUT()),
		V("foreign_mac_in_tcp_is_dropped_by_tc", lan_guarded, A, tcp4(eth(MAC_B, MAC_C), 10, FULL), PASSED,
		  DROP, VP_DROP_FOREIGN_MAC, UNTOUCHED, OUT()),
		V("address_admitted_in_the_other_bank_is_foreign", lan_guarded, A, arp(eth(MAC_B, MAC_NEW)), DROP, DROP,
		  VP_DROP_FOREIGN_MAC, UNTOUCHED, OUT()),
		V("address_admitted_at_another_port_is_foreign", lan_guarded, A, arp(eth(MAC_B, MAC_UNKNOWN)), DROP,
		  DROP, VP_DROP_FOREIGN_MAC, UNTOUCHED, OUT()),
		V("guard_of_one_port_is_not_for_others", lan_guarded, C, arp(eth(MAC_B, MAC_NEW)), FORWARD, FORWARD,
		  NONE, LEARNED, OUT(B)),
		V("each_guarded_port_has_its_own_list", lan_c_guarded, C, arp(eth(MAC_B, MAC_C)), FORWARD, FORWARD,
		  NONE, REFRESHED, OUT(B)),
		V("list_of_a_lower_port_is_not_for_a_higher", lan_c_guarded, C, arp(eth(MAC_B, MAC_NEW)), DROP, DROP,
		  VP_DROP_FOREIGN_MAC, UNTOUCHED, OUT()),
		V("guard_is_asked_before_the_source_rule", lan_guarded, A, arp(eth(MAC_B, MAC_GROUP)), DROP, DROP,
		  VP_DROP_FOREIGN_MAC, UNTOUCHED, OUT()),
		V("guard_is_asked_before_the_tag", lan_guarded, A, arp(tag(eth(MAC_B, MAC_C), 0x8100, 5)), DROP, DROP,
		  VP_DROP_FOREIGN_MAC, UNTOUCHED, OUT()),
		V("guard_applies_to_a_cut_tag", lan_guarded, A, raw(eth(MAC_B, MAC_C), 0x8100, 1), DROP, DROP,
		  VP_DROP_FOREIGN_MAC, UNTOUCHED, OUT()),
		V("guard_applies_in_a_binding", wire_guarded, A, arp(eth(MAC_B, MAC_C)), DROP, DROP,
		  VP_DROP_FOREIGN_MAC, UNTOUCHED, OUT()),
		V("guarded_binding_carries_the_right_address", wire_guarded, A, arp(eth(MAC_B, MAC_A)), FORWARD,
		  FORWARD, NONE, UNTOUCHED, OUT(B)),
	};

	RUN(v);
}

static void sources(void)
{
	const struct vector v[] = {
		V("group_cannot_be_a_source", lan, A, arp(eth(MAC_B, MAC_GROUP)), DROP, DROP, VP_DROP_SRC_MULTICAST,
		  UNTOUCHED, OUT()),
		V("broadcast_cannot_be_a_source", lan, A, arp(eth(MAC_B, MAC_BROADCAST)), DROP, DROP,
		  VP_DROP_SRC_MULTICAST, UNTOUCHED, OUT()),
		V("zero_cannot_be_a_source", lan, A, arp(eth(MAC_B, MAC_ZERO)), DROP, DROP, VP_DROP_SRC_MULTICAST,
		  UNTOUCHED, OUT()),
		V("source_with_one_bit_is_fine", lan, A, arp(eth(MAC_B, (const uint8_t *)"\0\0\0\0\0\1")), FORWARD,
		  FORWARD, NONE, LEARNED, OUT(B)),
		V("static_address_of_another_port_cannot_be_taken", lan, A, arp(eth(MAC_C, MAC_B)), DROP, DROP,
		  VP_DROP_MAC_STATIC, UNTOUCHED, OUT()),
		V("static_address_cannot_be_taken_by_broadcast", lan, A, arp(eth(MAC_BROADCAST, MAC_B)), DROP, DROP,
		  VP_DROP_MAC_STATIC, UNTOUCHED, OUT()),
		V("static_address_sends_from_its_own_port", lan, B, arp(eth(MAC_C, MAC_B)), FORWARD, FORWARD, NONE,
		  UNTOUCHED, OUT(C)),
		V("static_entry_of_another_incarnation_blocks_nobody", lan_b_was_another, A, arp(eth(MAC_C, MAC_B)),
		  FORWARD, FORWARD, NONE, UNTOUCHED, OUT(C)),
		V("static_entry_outside_the_segment_blocks_nobody", lan_d_is_at_e, A, arp(eth(MAC_B, MAC_D)), FORWARD,
		  FORWARD, NONE, UNTOUCHED, OUT(B)),
	};

	RUN(v);
}

static void learning(void)
{
	const struct vector v[] = {
		V("new_address_is_learned_by_tc_when_xdp_passes", lan, A, tcp4(eth(MAC_B, MAC_NEW), 10, FULL), PASSED,
		  FORWARD, NONE, LEARNED, OUT(B)),
		V("known_address_gets_the_new_tick", lan, C, arp(eth(MAC_B, MAC_C)), FORWARD, FORWARD, NONE, REFRESHED,
		  OUT(B)),
		V("address_seen_in_this_tick_is_not_written", lan_c_just_seen, C, arp(eth(MAC_B, MAC_C)), FORWARD,
		  FORWARD, NONE, UNTOUCHED, OUT(B)),
		V("aged_address_revives_when_it_sends", lan_c_too_old, C, arp(eth(MAC_B, MAC_C)), FORWARD, FORWARD,
		  NONE, REFRESHED, OUT(B)),
		V("learned_address_moves_with_its_station", lan, A, arp(eth(MAC_B, MAC_C)), FORWARD, FORWARD, NONE,
		  MOVED, OUT(B)),
		V("learned_address_moves_by_broadcast", lan, A, arp(eth(MAC_BROADCAST, MAC_C)), PASSED, FLOOD, NONE,
		  MOVED, OUT(B, C, H, N)),
		V("entry_of_a_former_port_is_taken_over", lan_c_was_another, A, arp(eth(MAC_B, MAC_C)), FORWARD,
		  FORWARD, NONE, MOVED, OUT(B)),
		V("entry_of_a_former_port_of_the_same_id_is_taken_over", lan_c_was_another, C, arp(eth(MAC_B, MAC_C)),
		  FORWARD, FORWARD, NONE, MOVED, OUT(B)),
		V("last_place_of_the_quota_is_used", lan_a_almost_full, A, arp(eth(MAC_B, MAC_A)), FORWARD, FORWARD,
		  NONE, LEARNED, OUT(B)),
		V("beyond_the_quota_frames_go_but_are_not_learned", lan_a_full, A, arp(eth(MAC_B, MAC_A)), FORWARD,
		  FORWARD, NONE, OVER_QUOTA, OUT(B)),
		V("beyond_the_quota_nothing_moves_here", lan_a_full, A, arp(eth(MAC_B, MAC_C)), FORWARD, FORWARD, NONE,
		  OVER_QUOTA, OUT(B)),
		V("quota_zero_learns_nothing", lan_a_learns_nothing, A, arp(eth(MAC_B, MAC_A)), FORWARD, FORWARD, NONE,
		  OVER_QUOTA, OUT(B)),
		V("quota_of_one_port_is_not_for_others", lan_a_full, C, arp(eth(MAC_B, MAC_NEW)), FORWARD, FORWARD,
		  NONE, LEARNED, OUT(B)),
	};

	RUN(v);
}

/* An address that moves to and fro. */
static void flapping(void)
{
	const struct vector v[] = {
		V("fifth_move_in_a_tick_is_made", c_moved_four_times, A, arp(eth(MAC_B, MAC_C)), FORWARD, FORWARD, NONE,
		  MOVED, OUT(B), .duplicate = true),
		V("sixth_move_in_a_tick_is_not_made", c_moved_five_times, A, arp(eth(MAC_B, MAC_C)), FORWARD, FORWARD,
		  NONE, FLAPPING, OUT(B), .duplicate = true),
		V("sixth_move_by_broadcast_is_not_made", c_moved_five_times, A, arp(eth(MAC_BROADCAST, MAC_C)), PASSED,
		  FLOOD, NONE, FLAPPING, OUT(B, C, H, N), .duplicate = true),
		V("sixth_move_costs_no_quota", c_moved_five_times_a_full, A, arp(eth(MAC_B, MAC_C)), FORWARD, FORWARD,
		  NONE, FLAPPING, OUT(B), .duplicate = true),
		V("in_the_next_tick_it_moves_again", c_moved_five_times_before, A, arp(eth(MAC_B, MAC_C)), FORWARD,
		  FORWARD, NONE, MOVED, OUT(B), .duplicate = true),
		V("who_stays_a_tick_has_not_moved", c_moved_five_times_before, C, arp(eth(MAC_B, MAC_C)), FORWARD,
		  FORWARD, NONE, REFRESHED, OUT(B)),
		V("moves_are_not_forgotten_by_a_broadcast", c_moved_five_times_limited, C,
		  arp(eth(MAC_BROADCAST, MAC_C)), PASSED, FLOOD, NONE, UNTOUCHED, OUT(A, B, H, N)),
		V("flapping_address_is_forwarded_to_where_it_is", c_moved_five_times, A, arp(eth(MAC_C, MAC_NEW)),
		  FORWARD, FORWARD, NONE, LEARNED, OUT(C)),
	};

	RUN(v);
}

/* An address that is at two ports at a time, by the segment's policy. */
static void duplicates(void)
{
	const struct vector v[] = {
		V("duplicate_moves_by_default", move_c_just_seen, A, arp(eth(MAC_B, MAC_C)), FORWARD, FORWARD, NONE,
		  MOVED, OUT(B), .duplicate = true),
		V("duplicate_is_counted_beyond_the_quota", move_c_just_seen_a_full, A, arp(eth(MAC_B, MAC_C)), FORWARD,
		  FORWARD, NONE, OVER_QUOTA, OUT(B), .duplicate = true),
		V("duplicate_is_dropped", drop_c_just_seen, A, arp(eth(MAC_B, MAC_C)), DROP, DROP, VP_DROP_DUPLICATE,
		  UNTOUCHED, OUT(), .duplicate = true),
		V("duplicate_broadcast_is_dropped", drop_c_just_seen, A, arp(eth(MAC_BROADCAST, MAC_C)), DROP, DROP,
		  VP_DROP_DUPLICATE, UNTOUCHED, OUT(), .duplicate = true),
		V("duplicate_in_tcp_is_dropped_by_tc", drop_c_just_seen, A, tcp4(eth(MAC_B, MAC_C), 10, FULL), PASSED,
		  DROP, VP_DROP_DUPLICATE, UNTOUCHED, OUT(), .duplicate = true),
		V("duplicate_is_forwarded_and_not_learned", ignore_c_just_seen, A, arp(eth(MAC_B, MAC_C)), FORWARD,
		  FORWARD, NONE, UNTOUCHED, OUT(B), .duplicate = true),
		V("duplicate_is_flooded_and_not_learned", ignore_c_just_seen, A, arp(eth(MAC_BROADCAST, MAC_C)), PASSED,
		  FLOOD, NONE, UNTOUCHED, OUT(B, C, H, N), .duplicate = true),
		V("seen_a_tick_ago_is_a_duplicate", drop_c_seen_a_tick_ago, A, arp(eth(MAC_B, MAC_C)), DROP, DROP,
		  VP_DROP_DUPLICATE, UNTOUCHED, OUT(), .duplicate = true),
		V("seen_by_a_faster_cpu_is_a_duplicate", drop_c_seen_by_a_faster_cpu, A, arp(eth(MAC_B, MAC_C)), DROP,
		  DROP, VP_DROP_DUPLICATE, UNTOUCHED, OUT(), .duplicate = true),
		V("silent_for_two_ticks_has_moved", drop_c_seen_two_ticks_ago, A, arp(eth(MAC_B, MAC_C)), FORWARD,
		  FORWARD, NONE, MOVED, OUT(B)),
		V("silent_for_two_ticks_has_moved_where_ignored", ignore_c_seen_two_ticks_ago, A,
		  arp(eth(MAC_B, MAC_C)), FORWARD, FORWARD, NONE, MOVED, OUT(B)),
		V("station_at_its_own_port_is_no_duplicate", drop_c_seen_a_tick_ago, C, arp(eth(MAC_B, MAC_C)), FORWARD,
		  FORWARD, NONE, REFRESHED, OUT(B)),
		V("station_of_a_port_that_is_down_has_moved", drop_c_down, A, arp(eth(MAC_B, MAC_C)), FORWARD, FORWARD,
		  NONE, MOVED, OUT(B)),
		V("entry_of_a_former_port_is_no_duplicate", drop_c_was_another, A, arp(eth(MAC_B, MAC_C)), FORWARD,
		  FORWARD, NONE, MOVED, OUT(B)),
		V("entry_of_a_port_that_left_is_no_duplicate", drop_c_left, A, arp(eth(MAC_B, MAC_C)), FORWARD, FORWARD,
		  NONE, MOVED, OUT(B)),
		V("static_address_of_another_port_is_no_duplicate", drop_c_just_seen, A, arp(eth(MAC_C, MAC_B)), DROP,
		  DROP, VP_DROP_MAC_STATIC, UNTOUCHED, OUT()),
		V("address_in_two_segments_is_no_duplicate", drop_two_segments, E,
		  arp(tag(eth(MAC_BROADCAST, MAC_C), 0x8100, 20)), PASSED, FLOOD, NONE, LEARNED, .segment = 2,
		  OTHER(arp(eth(MAC_BROADCAST, MAC_C)), B)),
		V("duplicate_on_a_trunk_is_dropped", drop_two_segments, E, arp(tag(eth(MAC_H, MAC_C), 0x8100, 10)),
		  DROP, DROP, VP_DROP_DUPLICATE, UNTOUCHED, OUT(), .segment = 1, .duplicate = true),
		V("duplicate_of_a_trunks_station_is_dropped", drop_two_segments, B, arp(eth(MAC_BROADCAST, MAC_N)),
		  DROP, DROP, VP_DROP_DUPLICATE, UNTOUCHED, OUT(), .duplicate = true),
	};

	RUN(v);
}

void vectors_source(void)
{
	guards();
	sources();
	learning();
	flapping();
	duplicates();
}
