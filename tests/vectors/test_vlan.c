/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Segments that are tagged on some ports: which segment a frame belongs to, and in which form each port gets it.
 *
 *   trunks    segment 1 (vlan 10): A C untagged, B N tagged; segment 2 (vlan 20): E untagged, B N tagged
 *             MAC_B is B's in segment 1 (static), MAC_C C's and MAC_N N's there (learned), MAC_D E's in segment 2
 */
#include "vector.h"

#define DOT1Q 0x8100

static void trunks(struct scene *s)
{
	static const uint8_t access1[] = { A, C, 0 }, access2[] = { E, 0 }, both[] = { B, N, 0 };

	scene_ports(s);
	scene_join(s, 1, access1);
	scene_tag(s, 1, 10, both);
	scene_join(s, 2, access2);
	scene_tag(s, 2, 20, both);
	scene_static(s, 1, MAC_B, B);
	scene_learned(s, 1, MAC_C, C, 10);
	scene_learned(s, 1, MAC_N, N, 10);
	scene_static(s, 2, MAC_D, E);
}

/* B and N carry segment 2 untagged beside segment 1 tagged: a native VLAN. */
static void native(struct scene *s)
{
	static const uint8_t access[] = { A, C, 0 }, both[] = { B, N, 0 }, untagged[] = { B, N, E, 0 };

	scene_ports(s);
	scene_join(s, 1, access);
	scene_tag(s, 1, 10, both);
	scene_join(s, 2, untagged);
	scene_static(s, 1, MAC_B, B);
	scene_static(s, 2, MAC_D, E);
}

static void b_left_segment_1(struct scene *s)
{
	trunks(s);
	s->vlans[0] = s->vlans[3]; /* B's tag 10 is gone, the member is not */
}

static void b_was_another(struct scene *s)
{
	trunks(s);
	s->macs[0].mac.incarnation++;
}

static void all_tagged(struct scene *s)
{
	static const uint8_t none[] = { 0 }, trunk[] = { A, B, C, 0 };

	scene_ports(s);
	scene_join(s, 1, none);
	scene_tag(s, 1, 10, trunk);
	s->segments[1].flags |= VP_SEG_XDP_FLOOD;
}

static void one_access_port(struct scene *s)
{
	static const uint8_t access[] = { A, 0 }, trunk[] = { B, C, 0 };

	scene_ports(s);
	scene_join(s, 1, access);
	scene_tag(s, 1, 10, trunk);
	s->segments[1].flags |= VP_SEG_XDP_FLOOD;
}

static void small_trunk(struct scene *s)
{
	static const uint8_t access[] = { A, 0 }, trunk[] = { SMALL, 0 };

	scene_ports(s);
	scene_join(s, 1, access);
	scene_tag(s, 1, 10, trunk);
	scene_static(s, 1, MAC_S, SMALL);
}

static void small_access(struct scene *s)
{
	static const uint8_t access[] = { SMALL, 0 }, trunk[] = { A, 0 };

	scene_ports(s);
	scene_join(s, 1, access);
	scene_tag(s, 1, 10, trunk);
	scene_static(s, 1, MAC_S, SMALL);
}

static void trunk_and_host(struct scene *s)
{
	static const uint8_t access[] = { H, 0 }, trunk[] = { A, 0 };

	scene_ports(s);
	scene_join(s, 1, access);
	scene_tag(s, 1, 10, trunk);
	scene_static(s, 1, MAC_H, H);
}

static struct frame *vlan(const uint8_t *dst, const uint8_t *src, uint16_t tci)
{
	return tag(eth(dst, src), DOT1Q, tci);
}

static void unicast(void)
{
	const struct vector v[] = {
		V("access_to_trunk_gets_the_tag", trunks, A, arp(eth(MAC_B, MAC_A)), FORWARD, FORWARD, NONE, LEARNED,
		  OTHER(arp(vlan(MAC_B, MAC_A, 10)), B)),
		V("trunk_to_access_loses_the_tag", trunks, N, arp(vlan(MAC_C, MAC_N, 10)), FORWARD, FORWARD, NONE,
		  REFRESHED, .segment = 1, OTHER(arp(eth(MAC_C, MAC_N)), C)),
		V("priority_goes_with_the_tag", trunks, N, arp(vlan(MAC_C, MAC_N, 0xe00a)), FORWARD, FORWARD, NONE,
		  REFRESHED, .segment = 1, OTHER(arp(eth(MAC_C, MAC_N)), C)),
		V("trunk_to_trunk_keeps_the_whole_tag", trunks, N, arp(vlan(MAC_B, MAC_N, 0xf00a)), FORWARD, FORWARD,
		  NONE, REFRESHED, .segment = 1, OUT(B)),
		V("priority_tag_becomes_the_vlans_with_its_priority", trunks, A, arp(vlan(MAC_B, MAC_A, 0x7000)),
		  FORWARD, FORWARD, NONE, LEARNED, OTHER(arp(vlan(MAC_B, MAC_A, 0x700a)), B)),
		V("priority_tag_stays_between_access_ports", trunks, A, arp(vlan(MAC_C, MAC_A, 0x7000)), FORWARD,
		  FORWARD, NONE, LEARNED, OUT(C)),
		V("each_tag_has_its_segment", trunks, N, arp(vlan(MAC_D, MAC_N, 20)), FORWARD, FORWARD, NONE, LEARNED,
		  .segment = 2, OTHER(arp(eth(MAC_D, MAC_N)), E)),
		V("address_of_one_segment_is_unknown_in_the_other", trunks, N, arp(vlan(MAC_C, MAC_N, 20)), PASSED,
		  FLOOD, NONE, LEARNED, .segment = 2, OUT(B), OTHER(arp(eth(MAC_C, MAC_N)), E)),
		V("udp_gets_the_tag_by_xdp", trunks, A, udp4(eth(MAC_B, MAC_A), 50, FULL), FORWARD, FORWARD, NONE,
		  LEARNED, OTHER(udp4(vlan(MAC_B, MAC_A, 10), 50, FULL), B)),
		V("tagged_udp_loses_it_by_xdp", trunks, N, udp4(vlan(MAC_C, MAC_N, 10), 50, FULL), FORWARD, FORWARD,
		  NONE, REFRESHED, .segment = 1, OTHER(udp4(eth(MAC_C, MAC_N), 50, FULL), C)),
		V("tagged_udp_over_ipv6_too", trunks, N, udp6(vlan(MAC_C, MAC_N, 10), 50, FULL), FORWARD, FORWARD,
		  NONE, REFRESHED, .segment = 1, OTHER(udp6(eth(MAC_C, MAC_N), 50, FULL), C)),
		V("tagged_tcp_is_left_to_tc", trunks, N, tcp4(vlan(MAC_C, MAC_N, 10), 50, FULL), PASSED, FORWARD, NONE,
		  REFRESHED, .segment = 1, OTHER(tcp4(eth(MAC_C, MAC_N), 50, FULL), C)),
		V("tagged_unfinished_udp_is_left_to_tc", trunks, B, udp4(vlan(MAC_C, MAC_B, 10), 50, PARTIAL), PASSED,
		  FORWARD, NONE, UNTOUCHED, OTHER(udp4(eth(MAC_C, MAC_B), 50, PARTIAL), C), .taints = true),
		V("tag_with_nothing_behind_it_leaves_a_bare_header", trunks, B,
		  raw(vlan(MAC_C, MAC_B, 10), 0x88b5, 0), FORWARD, FORWARD, NONE, UNTOUCHED,
		  OTHER(raw(eth(MAC_C, MAC_B), 0x88b5, 0), C)),
		V("superframe_loses_a_tag_per_segment", trunks, B, tcp4(vlan(MAC_C, MAC_B, 10), 2896, PARTIAL), PASSED,
		  FORWARD, NONE, UNTOUCHED, OTHER(tcp4(eth(MAC_C, MAC_B), 2896, PARTIAL), C), .gso_size = 1448,
		  .packets = 2, .bytes = 58 * 2 + 2896),
		V("superframe_gets_a_tag_per_segment", trunks, A, tcp4(eth(MAC_B, MAC_A), 2896, PARTIAL), PASSED,
		  FORWARD, NONE, LEARNED, OTHER(tcp4(vlan(MAC_B, MAC_A, 10), 2896, PARTIAL), B), .gso_size = 1448,
		  .packets = 2, .bytes = 54 * 2 + 2896),
	};

	RUN(v);
}

static void refused(void)
{
	const struct vector v[] = {
		V("tag_that_the_trunk_does_not_list_is_dropped", trunks, B, arp(vlan(MAC_C, MAC_B, 30)), DROP, DROP,
		  VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("listed_tag_at_an_access_port_is_dropped", trunks, A, arp(vlan(MAC_B, MAC_A, 10)), DROP, DROP,
		  VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("untagged_frame_of_a_trunk_without_native_vlan_is_dropped", trunks, B, arp(eth(MAC_C, MAC_B)), DROP,
		  DROP, VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("priority_tag_of_a_trunk_without_native_vlan_is_dropped", trunks, B, arp(vlan(MAC_C, MAC_B, 0x2000)),
		  DROP, DROP, VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("second_tag_is_no_way_to_hop", native, B, arp(tag(vlan(MAC_D, MAC_NEW, 10), DOT1Q, 20)), PASSED,
		  DROP, VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("service_tag_behind_a_listed_one_is_dropped", trunks, B, arp(tag(vlan(MAC_C, MAC_B, 10), 0x88a8, 20)),
		  PASSED, DROP, VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("service_tag_with_a_listed_number_is_dropped", trunks, B,
		  arp(tag(eth(MAC_C, MAC_B), 0x88a8, 10)), PASSED, DROP, VP_DROP_VLAN_NOT_ALLOWED, UNTOUCHED, OUT()),
		V("cut_tag_of_a_trunk_is_malformed", trunks, B, raw(eth(MAC_C, MAC_B), DOT1Q, 3), DROP, DROP,
		  VP_DROP_MALFORMED, UNTOUCHED, OUT()),
		V("static_address_is_another_trunks", trunks, N, arp(vlan(MAC_C, MAC_B, 10)), DROP, DROP,
		  VP_DROP_MAC_STATIC, UNTOUCHED, OUT()),
		V("static_address_is_free_in_another_segment", trunks, N, arp(vlan(MAC_D, MAC_B, 20)), FORWARD, FORWARD,
		  NONE, LEARNED, .segment = 2, OTHER(arp(eth(MAC_D, MAC_B)), E)),
		V("reserved_group_is_dropped_with_a_listed_tag", trunks, B, arp(vlan(MAC_BPDU, MAC_B, 10)), DROP, DROP,
		  VP_DROP_RESERVED_GROUP, UNTOUCHED, OUT()),
		V("back_to_the_trunk_it_came_from_is_same_port", trunks, N, arp(vlan(MAC_N, MAC_NEW, 10)), DROP, DROP,
		  VP_DROP_SAME_PORT, LEARNED, .segment = 1, OUT()),
	};

	RUN(v);
}

static void members(void)
{
	const struct vector v[] = {
		V("native_vlan_is_untagged", native, B, arp(eth(MAC_D, MAC_NEW)), FORWARD, FORWARD, NONE, LEARNED,
		  OUT(E)),
		V("priority_tag_belongs_to_the_native_vlan", native, B, arp(vlan(MAC_D, MAC_NEW, 0x4000)), FORWARD,
		  FORWARD, NONE, LEARNED, OUT(E)),
		V("native_vlan_floods_untagged", native, E, arp(eth(MAC_BROADCAST, MAC_D)), PASSED, FLOOD, NONE,
		  UNTOUCHED, OUT(B, N)),
		V("entry_of_a_trunk_that_left_is_unknown", b_left_segment_1, A, arp(eth(MAC_B, MAC_A)), PASSED, FLOOD,
		  NONE, LEARNED, OUT(C), OTHER(arp(vlan(MAC_B, MAC_A, 10)), B, N)),
		V("static_entry_of_a_trunk_that_left_guards_nothing", b_left_segment_1, A, arp(eth(MAC_C, MAC_B)),
		  FORWARD, FORWARD, NONE, UNTOUCHED, OUT(C)),
		V("entry_of_a_former_trunk_is_unknown", b_was_another, A, arp(eth(MAC_B, MAC_A)), PASSED, FLOOD, NONE,
		  LEARNED, OUT(C), OTHER(arp(vlan(MAC_B, MAC_A, 10)), B, N)),
	};

	RUN(v);
}

static void floods(void)
{
	const struct vector v[] = {
		V("flood_from_access_reaches_trunks_tagged", trunks, A, arp(eth(MAC_BROADCAST, MAC_A)), PASSED, FLOOD,
		  NONE, LEARNED, OUT(C), OTHER(arp(vlan(MAC_BROADCAST, MAC_A, 10)), B, N)),
		V("flood_from_a_trunk_reaches_access_untagged", trunks, N, arp(vlan(MAC_BROADCAST, MAC_N, 10)), PASSED,
		  FLOOD, NONE, REFRESHED, .segment = 1, OUT(B), OTHER(arp(eth(MAC_BROADCAST, MAC_N)), A, C)),
		V("flood_of_a_priority_tag_keeps_the_priority", trunks, A, arp(vlan(MAC_BROADCAST, MAC_A, 0x6000)),
		  PASSED, FLOOD, NONE, LEARNED, OUT(C), OTHER(arp(vlan(MAC_BROADCAST, MAC_A, 0x600a)), B, N)),
		V("flood_stays_in_its_segment", trunks, E, arp(eth(MAC_BROADCAST, MAC_D)), PASSED, FLOOD, NONE,
		  UNTOUCHED, OTHER(arp(vlan(MAC_BROADCAST, MAC_D, 20)), B, N)),
		V("xdp_floods_where_all_have_one_form", all_tagged, A, arp(vlan(MAC_BROADCAST, MAC_A, 10)), FLOOD,
		  FLOOD, NONE, LEARNED, .segment = 1, OUT(B, C)),
		V("xdp_leaves_another_form_to_tc", one_access_port, A, arp(eth(MAC_BROADCAST, MAC_A)), PASSED, FLOOD,
		  NONE, LEARNED, OTHER(arp(vlan(MAC_BROADCAST, MAC_A, 10)), B, C)),
		V("xdp_leaves_two_forms_to_tc", one_access_port, B, arp(vlan(MAC_BROADCAST, MAC_B, 10)), PASSED, FLOOD,
		  NONE, LEARNED, .segment = 1, OUT(C), OTHER(arp(eth(MAC_BROADCAST, MAC_B)), A)),
	};

	RUN(v);
}

static struct frame *sized(struct frame *f, uint32_t n)
{
	return ip4(f, 1, n - 20);
}

/* Under 20 bytes the kernel frees a tagged frame on its way to tc, so that XDP has to count what it can't send on. */
static void runts(void)
{
	const struct vector v[] = {
		V("runt_for_a_target_of_tc_is_counted", trunk_and_host, A, raw(vlan(MAC_H, MAC_A, 10), 0x88b5, 1), DROP,
		  DROP, VP_DROP_MALFORMED, UNTOUCHED, OUT(), .xdp_only = true),
		V("runt_for_two_forms_is_counted", one_access_port, B, raw(vlan(MAC_BROADCAST, MAC_B, 10), 0x88b5, 1),
		  DROP, DROP, VP_DROP_MALFORMED, UNTOUCHED, OUT(), .xdp_only = true),
		V("one_byte_more_is_for_tc", trunk_and_host, A, raw(vlan(MAC_H, MAC_A, 10), 0x88b5, 2), PASSED, FORWARD,
		  NONE, LEARNED, .segment = 1, OTHER(raw(eth(MAC_H, MAC_A), 0x88b5, 2), H)),
	};

	RUN(v);
}

static void sizes(void)
{
	const struct vector v[] = {
		V("full_frame_still_fits_when_it_gets_a_tag", small_trunk, A, sized(eth(MAC_S, MAC_A), SMALL_MTU),
		  FORWARD, FORWARD, NONE, LEARNED, OTHER(sized(vlan(MAC_S, MAC_A, 10), SMALL_MTU), SMALL)),
		V("one_byte_more_does_not", small_trunk, A, sized(eth(MAC_S, MAC_A), SMALL_MTU + 1), PASSED, DROP,
		  VP_DROP_MTU, LEARNED, OUT()),
		V("full_tagged_frame_fits_when_it_loses_it", small_access, A, sized(vlan(MAC_S, MAC_A, 10), SMALL_MTU),
		  FORWARD, FORWARD, NONE, LEARNED, .segment = 1, OTHER(sized(eth(MAC_S, MAC_A), SMALL_MTU), SMALL)),
		V("one_byte_more_does_not_either", small_access, A, sized(vlan(MAC_S, MAC_A, 10), SMALL_MTU + 1),
		  PASSED, DROP, VP_DROP_MTU, LEARNED, .segment = 1, OUT()),
	};

	RUN(v);
}

void vectors_vlan(void)
{
	unicast();
	refused();
	members();
	floods();
	runts();
	sizes();
}
