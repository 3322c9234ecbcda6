/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A binding is a wire; a port in nothing is a dead end. */
#include "vector.h"

static void wire_b_not_up(struct scene *s)
{
	wire(s);
	s->ports[B].flags &= ~VP_PORT_UP;
}

static void wire_b_replaced(struct scene *s)
{
	wire(s);
	s->ports[B].ifindex = rig.ifindex[C]; /* not what vp_targets holds */
}

static void wire_to_gone(struct scene *s)
{
	scene_ports(s);
	scene_bind(s, A, GONE);
}

static void wire_to_waiting(struct scene *s)
{
	scene_ports(s);
	scene_bind(s, A, WAITING);
}

static void wire_limited(struct scene *s)
{
	wire(s);
	s->ports[A].broadcast_pps = 10; /* for segments only */
	s->state[A].storm_tick = s->now;
	s->state[A].storm_count = 10;
	s->ports[A].quota = 0;
}

static void wire_beside_macs(struct scene *s)
{
	wire(s);
	scene_static(s, 0, MAC_B, C);
	scene_static(s, 0, MAC_A, C);
}

static void wires(void)
{
	const struct vector v[] = {
		V("wire_carries_arp", wire, A, arp(eth(MAC_BROADCAST, MAC_A)), FORWARD, FORWARD, NONE, UNTOUCHED,
		  OUT(B)),
		V("wire_carries_the_other_way", wire, B, arp(eth(MAC_A, MAC_B)), FORWARD, FORWARD, NONE, UNTOUCHED,
		  OUT(A)),
		V("wire_carries_tcp_by_tc", wire, A, tcp4(eth(MAC_B, MAC_A), 100, PARTIAL), PASSED, FORWARD, NONE,
		  UNTOUCHED, OUT(B)),
		V("wire_carries_udp_by_xdp", wire, A, udp4(eth(MAC_B, MAC_A), 100, FULL), FORWARD, FORWARD, NONE,
		  UNTOUCHED, OUT(B)),
		V("wire_carries_bpdus", wire, A, raw(eth(MAC_BPDU, MAC_A), 38, 38), PASSED, FORWARD, NONE, UNTOUCHED,
		  OUT(B)),
		V("wire_carries_bpdus_from_the_nic", wire, N, raw(eth(MAC_BPDU, MAC_N), 38, 38), FORWARD, FORWARD, NONE,
		  UNTOUCHED, OUT(E)),
		V("wire_carries_lldp", wire, A, raw(eth(MAC_LLDP, MAC_A), 0x88cc, 46), PASSED, FORWARD, NONE, UNTOUCHED,
		  OUT(B)),
		V("wire_carries_tags", wire, A, arp(tag(eth(MAC_B, MAC_A), 0x8100, 5)), FORWARD, FORWARD, NONE,
		  UNTOUCHED, OUT(B)),
		V("wire_carries_service_tags", wire, A, arp(tag(tag(eth(MAC_B, MAC_A), 0x88a8, 7), 0x8100, 5)), PASSED,
		  FORWARD, NONE, UNTOUCHED, OUT(B)),
		V("wire_carries_tags_from_the_nic", wire, N, arp(tag(eth(MAC_B, MAC_N), 0x8100, 5)), FORWARD,
		  FORWARD, NONE, UNTOUCHED, OUT(E)),
		V("wire_carries_cut_tags", wire, A, raw(eth(MAC_B, MAC_A), 0x8100, 3), FORWARD, FORWARD, NONE,
		  UNTOUCHED, OUT(B)),
		V("wire_carries_group_sources", wire, A, arp(eth(MAC_B, MAC_GROUP)), FORWARD, FORWARD, NONE, UNTOUCHED,
		  OUT(B)),
		V("wire_carries_zero_sources", wire, A, arp(eth(MAC_B, MAC_ZERO)), FORWARD, FORWARD, NONE, UNTOUCHED,
		  OUT(B)),
		V("wire_carries_frames_to_their_sender", wire, A, arp(eth(MAC_A, MAC_A)), FORWARD, FORWARD, NONE,
		  UNTOUCHED, OUT(B)),
		V("wire_carries_any_ethertype", wire, A, raw(eth(MAC_B, MAC_A), 0xffff, 50), PASSED, FORWARD, NONE,
		  UNTOUCHED, OUT(B)),
		V("wire_carries_a_bare_header", wire, A, raw(eth(MAC_B, MAC_A), 0x1234, 0), PASSED, FORWARD, NONE,
		  UNTOUCHED, OUT(B)),
		V("wire_to_a_host_port_goes_by_tc", wire, C, arp(eth(MAC_H, MAC_C)), PASSED, FORWARD, NONE, UNTOUCHED,
		  OUT(H)),
		V("wire_from_a_host_port_goes_by_tc", wire, H, arp(eth(MAC_C, MAC_H)), PASSED, FORWARD, NONE, UNTOUCHED,
		  OUT(C)),
		V("wire_has_no_rate_and_no_quota", wire_limited, A, arp(eth(MAC_BROADCAST, MAC_A)), FORWARD, FORWARD,
		  NONE, UNTOUCHED, OUT(B)),
		V("wire_does_not_read_the_mac_table", wire_beside_macs, A, arp(eth(MAC_B, MAC_A)), FORWARD, FORWARD,
		  NONE, UNTOUCHED, OUT(B)),
	};

	RUN(v);
}

static void dead_ends(void)
{
	const struct vector v[] = {
		V("peer_that_is_not_up_is_down", wire_b_not_up, A, arp(eth(MAC_B, MAC_A)), DROP, DROP,
		  VP_DROP_PEER_DOWN, UNTOUCHED, OUT()),
		V("peer_down_is_said_for_tcp_too", wire_b_not_up, A, tcp4(eth(MAC_B, MAC_A), 10, FULL), PASSED, DROP,
		  VP_DROP_PEER_DOWN, UNTOUCHED, OUT()),
		V("peer_whose_device_was_replaced_is_down", wire_b_replaced, A, arp(eth(MAC_B, MAC_A)), DROP, DROP,
		  VP_DROP_PEER_DOWN, UNTOUCHED, OUT()),
		V("peer_whose_device_is_gone_is_down", wire_to_gone, A, arp(eth(MAC_B, MAC_A)), DROP, DROP,
		  VP_DROP_PEER_DOWN, UNTOUCHED, OUT()),
		V("peer_that_waits_is_down", wire_to_waiting, A, arp(eth(MAC_B, MAC_A)), DROP, DROP, VP_DROP_PEER_DOWN,
		  UNTOUCHED, OUT()),
		V("port_in_nothing_is_unbound", scene_ports, A, arp(eth(MAC_B, MAC_A)), DROP, DROP, VP_DROP_UNBOUND,
		  UNTOUCHED, OUT()),
		V("port_in_nothing_is_unbound_for_tcp", scene_ports, A, tcp4(eth(MAC_B, MAC_A), 10, FULL), PASSED, DROP,
		  VP_DROP_UNBOUND, UNTOUCHED, OUT()),
	};

	RUN(v);
}

void vectors_binding(void)
{
	wires();
	dead_ends();
}
