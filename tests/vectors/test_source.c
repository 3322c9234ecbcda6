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

void vectors_source(void)
{
	guards();
	sources();
	learning();
}
