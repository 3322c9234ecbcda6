/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a frame goes in a segment: lookup, flood, tags, reserved groups, storms. */
#include "vector.h"

static void lan_without_flood(struct scene *s)
{
	lan(s);
	s->segments[1].flags = 0;
}

static void lan_d_behind_a(struct scene *s)
{
	lan(s);
	scene_learned(s, 1, MAC_D, A, 10);
}

static void lan_c_aged(struct scene *s, uint32_t age)
{
	lan(s);
	s->macs[1].mac.tick = s->now - age;
}

static void lan_c_at_limit(struct scene *s)
{
	lan_c_aged(s, SCENE_AGE);
}

static void lan_c_too_old(struct scene *s)
{
	lan_c_aged(s, SCENE_AGE + 1);
}

static void lan_never_ages(struct scene *s)
{
	lan_c_aged(s, 1000000);
	s->segments[1].age_ticks = 0;
}

static void lan_b_ancient(struct scene *s)
{
	lan(s);
	s->macs[0].mac.tick = s->now - 1000000;
}

/* Another CPU was a little faster. */
static void lan_c_seen_next_tick(struct scene *s)
{
	lan_c_aged(s, (uint32_t)-1);
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

static void lan_b_not_up(struct scene *s)
{
	lan(s);
	s->ports[B].flags &= ~VP_PORT_UP;
}

static void two_lans(struct scene *s)
{
	static const uint8_t one[] = { A, B, 0 }, two[] = { C, E, 0 };

	scene_ports(s);
	scene_join(s, 1, one);
	scene_join(s, 2, two);
	scene_static(s, 1, MAC_B, B);
	scene_static(s, 2, MAC_C, C);
	scene_static(s, 2, MAC_D, E);
	scene_static(s, 1, MAC_N, B); /* one address, two segments */
	scene_static(s, 2, MAC_N, E);
}

static void lonely(struct scene *s)
{
	static const uint8_t ports[] = { A, 0 };

	scene_ports(s);
	scene_join(s, 1, ports);
}

static void nobody_there(struct scene *s)
{
	static const uint8_t ports[] = { A, WAITING, GONE, 0 };

	scene_ports(s);
	scene_join(s, 1, ports);
}

static void lan_limited(struct scene *s, uint32_t tick, uint32_t count)
{
	lan(s);
	s->ports[A].broadcast_pps = 10;
	s->state[A].storm_tick = tick;
	s->state[A].storm_count = count;
}

static void lan_limited_almost(struct scene *s)
{
	lan_limited(s, s->now, 9);
}

static void lan_limited_over(struct scene *s)
{
	lan_limited(s, s->now, 10);
}

static void lan_limited_before(struct scene *s)
{
	lan_limited(s, s->now - 1, 1000);
}

static void lan_xdp_limited_over(struct scene *s)
{
	lan_xdp(s);
	s->ports[A].broadcast_pps = 10;
	s->state[A].storm_tick = s->now;
	s->state[A].storm_count = 10;
}

static void lan_xdp_with_h(struct scene *s)
{
	static const uint8_t ports[] = { A, B, H, 0 };

	scene_ports(s);
	scene_join(s, 1, ports);
	s->segments[1].flags |= VP_SEG_XDP_FLOOD; /* a lie of the loader: H takes no XDP frames */
}

static void lookups(void)
{
	const struct vector v[] = {
		V("static_address_goes_to_its_port_only", lan, A, arp(eth(MAC_B, MAC_A)), FORWARD, FORWARD, NONE,
		  LEARNED, OUT(B)),
		V("learned_address_goes_to_its_port_only", lan, A, arp(eth(MAC_C, MAC_A)), FORWARD, FORWARD, NONE,
		  LEARNED, OUT(C)),
		V("host_port_is_served_by_tc", lan, A, arp(eth(MAC_H, MAC_A)), PASSED, FORWARD, NONE, LEARNED, OUT(H)),
		V("host_port_sends_by_tc", lan, H, arp(eth(MAC_B, MAC_H)), PASSED, FORWARD, NONE, REFRESHED, OUT(B)),
		V("nic_is_a_target_like_others", lan, A, arp(eth(MAC_N, MAC_A)), FORWARD, FORWARD, NONE, LEARNED,
		  OUT(N)),
		V("entry_at_its_age_limit_still_holds", lan_c_at_limit, A, arp(eth(MAC_C, MAC_A)), FORWARD, FORWARD,
		  NONE, LEARNED, OUT(C)),
		V("entry_past_its_age_limit_is_unknown", lan_c_too_old, A, arp(eth(MAC_C, MAC_A)), PASSED, FLOOD, NONE,
		  LEARNED, OUT(B, C, H, N)),
		V("entry_seen_in_the_next_tick_is_not_aged", lan_c_seen_next_tick, A, arp(eth(MAC_C, MAC_A)), FORWARD,
		  FORWARD, NONE, LEARNED, OUT(C)),
		V("age_zero_is_for_ever", lan_never_ages, A, arp(eth(MAC_C, MAC_A)), FORWARD, FORWARD, NONE, LEARNED,
		  OUT(C)),
		V("static_address_never_ages", lan_b_ancient, A, arp(eth(MAC_B, MAC_A)), FORWARD, FORWARD, NONE,
		  LEARNED, OUT(B)),
		V("learned_entry_of_another_incarnation_is_unknown", lan_c_was_another, A, arp(eth(MAC_C, MAC_A)),
		  PASSED, FLOOD, NONE, LEARNED, OUT(B, C, H, N)),
		V("static_entry_of_another_incarnation_is_unknown", lan_b_was_another, A, arp(eth(MAC_B, MAC_A)),
		  PASSED, FLOOD, NONE, LEARNED, OUT(B, C, H, N)),
		V("entry_of_a_port_outside_the_segment_is_unknown", lan_d_is_at_e, A, arp(eth(MAC_D, MAC_A)), PASSED,
		  FLOOD, NONE, LEARNED, OUT(B, C, H, N)),
		V("entry_of_a_port_that_is_not_up_is_unknown", lan_b_not_up, A, arp(eth(MAC_B, MAC_A)), PASSED, FLOOD,
		  NONE, LEARNED, OUT(C, H, N)),
		V("address_behind_the_ingress_port_is_not_sent_back", lan_d_behind_a, A, arp(eth(MAC_D, MAC_A)), DROP,
		  DROP, VP_DROP_SAME_PORT, LEARNED, OUT()),
		V("frame_to_its_own_sender_is_not_sent_back", lan, C, arp(eth(MAC_C, MAC_C)), DROP, DROP,
		  VP_DROP_SAME_PORT, REFRESHED, OUT()),
		V("address_of_another_segment_is_unknown", two_lans, A, arp(eth(MAC_C, MAC_A)), PASSED, FLOOD, NONE,
		  LEARNED, OUT(B)),
		V("one_address_in_two_segments_first", two_lans, A, arp(eth(MAC_N, MAC_A)), FORWARD, FORWARD, NONE,
		  LEARNED, OUT(B)),
		V("one_address_in_two_segments_second", two_lans, C, arp(eth(MAC_N, MAC_C)), FORWARD, FORWARD, NONE,
		  UNTOUCHED, OUT(E)),
	};

	RUN(v);
}

static void floods(void)
{
	const struct vector v[] = {
		V("unknown_unicast_floods_to_all_other_ports_once", lan, A, arp(eth(MAC_UNKNOWN, MAC_A)), PASSED, FLOOD,
		  NONE, LEARNED, OUT(B, C, H, N)),
		V("broadcast_floods_to_all_other_ports_once", lan, C, arp(eth(MAC_BROADCAST, MAC_C)), PASSED, FLOOD,
		  NONE, REFRESHED, OUT(A, B, H, N)),
		V("group_floods_to_all_other_ports_once", lan, N, udp4(eth(MAC_GROUP, MAC_N), 20, FULL), PASSED, FLOOD,
		  NONE, REFRESHED, OUT(A, B, C, H)),
		V("group_of_ipv6_floods", lan, A, ip6(eth((const uint8_t *)"\x33\x33\0\0\0\x01", MAC_A), 58, 24),
		  PASSED, FLOOD, NONE, LEARNED, OUT(B, C, H, N)),
		V("xdp_floods_where_all_members_are_its_targets", lan_xdp, A, arp(eth(MAC_BROADCAST, MAC_A)), FLOOD,
		  FLOOD, NONE, LEARNED, OUT(B, C)),
		V("xdp_floods_unknown_unicast_too", lan_xdp, C, arp(eth(MAC_UNKNOWN, MAC_C)), FLOOD, FLOOD, NONE,
		  REFRESHED, OUT(A, B)),
		V("xdp_does_not_flood_tcp", lan_xdp, A, tcp4(eth(MAC_UNKNOWN, MAC_A), 10, FULL), PASSED, FLOOD, NONE,
		  LEARNED, OUT(B, C)),
		V("xdp_does_not_flood_without_the_segment_flag", two_lans, A, arp(eth(MAC_BROADCAST, MAC_A)), PASSED,
		  FLOOD, NONE, LEARNED, OUT(B)),
		V("xdp_leaves_a_flood_to_a_member_without_xdp_to_tc", lan_xdp_with_h, A, arp(eth(MAC_BROADCAST, MAC_A)),
		  PASSED, FLOOD, NONE, LEARNED, OUT(B, H)),
		V("frame_from_one_segment_stays_there", two_lans, C, arp(eth(MAC_BROADCAST, MAC_C)), PASSED, FLOOD,
		  NONE, UNTOUCHED, OUT(E)),
		V("unknown_unicast_is_dropped_without_flood", lan_without_flood, A, arp(eth(MAC_UNKNOWN, MAC_A)), DROP,
		  DROP, VP_DROP_UNKNOWN_UNICAST, LEARNED, OUT()),
		V("known_unicast_needs_no_flood", lan_without_flood, A, arp(eth(MAC_B, MAC_A)), FORWARD, FORWARD, NONE,
		  LEARNED, OUT(B)),
		V("broadcast_floods_whatever_flood_says", lan_without_flood, A, arp(eth(MAC_BROADCAST, MAC_A)), PASSED,
		  FLOOD, NONE, LEARNED, OUT(B, C, H, N)),
		V("group_floods_whatever_flood_says", lan_without_flood, A, udp4(eth(MAC_GROUP, MAC_A), 9, FULL),
		  PASSED, FLOOD, NONE, LEARNED, OUT(B, C, H, N)),
		V("flood_leaves_out_a_port_that_is_not_up", lan_b_not_up, A, arp(eth(MAC_BROADCAST, MAC_A)), PASSED,
		  FLOOD, NONE, LEARNED, OUT(C, H, N)),
		V("flood_of_a_single_member_reaches_nobody", lonely, A, arp(eth(MAC_BROADCAST, MAC_A)), PASSED, DROP,
		  VP_DROP_NO_MEMBER, LEARNED, OUT()),
		V("flood_among_waiting_and_gone_ports_reaches_nobody", nobody_there, A, arp(eth(MAC_UNKNOWN, MAC_A)),
		  PASSED, DROP, VP_DROP_NO_MEMBER, LEARNED, OUT()),
	};

	RUN(v);
}

static void tags(void)
{
	const struct vector v[] = {
		V("tagged_frame_is_dropped", lan, A, arp(tag(eth(MAC_B, MAC_A), 0x8100, 5)), DROP, DROP,
		  VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("tagged_frame_with_highest_vid_is_dropped", lan, A, arp(tag(eth(MAC_B, MAC_A), 0x8100, 0x0fff)),
		  DROP, DROP, VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("service_tag_is_a_tag", lan, A, arp(tag(eth(MAC_B, MAC_A), 0x88a8, 7)), PASSED, DROP,
		  VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("old_service_tag_is_a_tag", lan, A, arp(tag(eth(MAC_B, MAC_A), 0x9100, 7)), PASSED, DROP,
		  VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("neighbour_number_of_a_tag_is_none", lan, A, raw(eth(MAC_B, MAC_A), 0x9101, 40), PASSED, FORWARD,
		  NONE, LEARNED, OUT(B)),
		V("two_tags_are_dropped", lan, A, arp(tag(tag(eth(MAC_B, MAC_A), 0x88a8, 7), 0x8100, 5)), PASSED, DROP,
		  VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("priority_tag_is_forwarded_as_it_is", lan, A, arp(tag(eth(MAC_B, MAC_A), 0x8100, 0xe000)), FORWARD,
		  FORWARD, NONE, LEARNED, OUT(B)),
		V("priority_tag_is_flooded_as_it_is", lan_xdp, A, arp(tag(eth(MAC_BROADCAST, MAC_A), 0x8100, 0)),
		  FLOOD, FLOOD, NONE, LEARNED, OUT(B, C)),
		V("tag_behind_a_priority_tag_is_dropped", lan, A,
		  arp(tag(tag(eth(MAC_B, MAC_A), 0x8100, 0), 0x8100, 5)), PASSED, DROP, VP_DROP_VLAN_NOT_ALLOWED,
		  UNTOUCHED, OUT()),
		V("service_tag_behind_a_priority_tag_is_dropped", lan, A,
		  arp(tag(tag(eth(MAC_B, MAC_A), 0x8100, 0), 0x88a8, 5)), PASSED, DROP, VP_DROP_VLAN_NOT_ALLOWED,
		  UNTOUCHED, OUT()),
		V("cut_tag_behind_a_priority_tag_is_dropped", lan, A, raw(tag(eth(MAC_B, MAC_A), 0x8100, 0), 0x8100, 2),
		  PASSED, DROP, VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("tag_from_the_nic_is_dropped", lan, N, arp(tag(eth(MAC_B, MAC_N), 0x8100, 5)), DROP, DROP,
		  VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("cut_tag_is_malformed", lan, A, raw(eth(MAC_B, MAC_A), 0x8100, 3), DROP, DROP, VP_DROP_MALFORMED,
		  UNTOUCHED, OUT()),
		V("missing_tag_is_malformed", lan, A, raw(eth(MAC_B, MAC_A), 0x88a8, 0), DROP, DROP,
		  VP_DROP_MALFORMED, UNTOUCHED, OUT()),
		V("tag_with_nothing_behind_it_is_a_tag", lan, A, raw(eth(MAC_B, MAC_A), 0x8100, 4), DROP, DROP,
		  VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("source_is_judged_before_the_tag", lan, A, arp(tag(eth(MAC_B, MAC_GROUP), 0x8100, 5)), DROP, DROP,
		  VP_DROP_SRC_MULTICAST, UNTOUCHED, OUT()),
		V("tag_is_judged_before_the_reserved_group", lan, A, arp(tag(eth(MAC_BPDU, MAC_A), 0x8100, 5)), DROP,
		  DROP, VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
	};

	RUN(v);
}

static void reserved(void)
{
	const struct vector v[] = {
		V("bpdu_is_not_forwarded", lan, A, raw(eth(MAC_BPDU, MAC_A), 38, 38), PASSED, DROP,
		  VP_DROP_RESERVED_GROUP, UNTOUCHED, OUT()),
		V("bpdu_from_the_nic_is_dropped_by_xdp", lan, N, raw(eth(MAC_BPDU, MAC_N), 38, 38), DROP, DROP,
		  VP_DROP_RESERVED_GROUP, UNTOUCHED, OUT()),
		V("lldp_is_not_forwarded", lan, A, raw(eth(MAC_LLDP, MAC_A), 0x88cc, 46), PASSED, DROP,
		  VP_DROP_RESERVED_GROUP, UNTOUCHED, OUT()),
		V("last_reserved_group_is_not_forwarded", lan, A,
		  arp(eth((const uint8_t *)"\x01\x80\xc2\0\0\x0f", MAC_A)), DROP, DROP, VP_DROP_RESERVED_GROUP,
		  UNTOUCHED, OUT()),
		V("first_group_after_the_reserved_ones_floods", lan, A, arp(eth(MAC_AFTER_RESERVED, MAC_A)), PASSED,
		  FLOOD, NONE, LEARNED, OUT(B, C, H, N)),
		V("group_with_the_reserved_ending_only_floods", lan, A,
		  arp(eth((const uint8_t *)"\x01\x80\xc2\0\1\0", MAC_A)), PASSED, FLOOD, NONE, LEARNED,
		  OUT(B, C, H, N)),
	};

	RUN(v);
}

static void storms(void)
{
	const struct vector v[] = {
		V("last_broadcast_within_the_rate_floods", lan_limited_almost, A, arp(eth(MAC_BROADCAST, MAC_A)),
		  PASSED, FLOOD, NONE, LEARNED, OUT(B, C, H, N)),
		V("first_broadcast_over_the_rate_is_dropped", lan_limited_over, A, arp(eth(MAC_BROADCAST, MAC_A)),
		  PASSED, DROP, VP_DROP_STORM, UNTOUCHED, OUT()),
		V("xdp_drops_a_storm", lan_xdp_limited_over, A, arp(eth(MAC_BROADCAST, MAC_A)), DROP, DROP,
		  VP_DROP_STORM, UNTOUCHED, OUT()),
		V("next_second_starts_from_zero", lan_limited_before, A, arp(eth(MAC_BROADCAST, MAC_A)), PASSED, FLOOD,
		  NONE, LEARNED, OUT(B, C, H, N)),
		V("group_is_not_limited", lan_limited_over, A, udp4(eth(MAC_GROUP, MAC_A), 9, FULL), PASSED, FLOOD,
		  NONE, LEARNED, OUT(B, C, H, N)),
		V("unicast_is_not_limited", lan_limited_over, A, arp(eth(MAC_B, MAC_A)), FORWARD, FORWARD, NONE,
		  LEARNED, OUT(B)),
		V("rate_is_per_port", lan_limited_over, C, arp(eth(MAC_BROADCAST, MAC_C)), PASSED, FLOOD, NONE,
		  REFRESHED, OUT(A, B, H, N)),
	};

	RUN(v);
}

void vectors_segment(void)
{
	lookups();
	floods();
	tags();
	reserved();
	storms();
}
