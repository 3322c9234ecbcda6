/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a frame can go at this moment: MTU, devices that are down, without carrier, gone or no XDP target. */
#include <net/if.h>
#include <string.h>
#include <linux/pkt_cls.h>

#include "vector.h"

static void lan_small(struct scene *s)
{
	static const uint8_t ports[] = { A, B, SMALL, 0 };

	scene_ports(s);
	scene_join(s, 1, ports);
	s->segments[1].flags |= VP_SEG_XDP_FLOOD;
	scene_static(s, 1, MAC_S, SMALL);
	scene_static(s, 1, MAC_A, A);
}

static void only_small(struct scene *s)
{
	static const uint8_t ports[] = { A, SMALL, 0 };

	scene_ports(s);
	scene_join(s, 1, ports);
	scene_static(s, 1, MAC_A, A);
}

static void small_and_down(struct scene *s)
{
	static const uint8_t ports[] = { A, SMALL, DOWN, GONE, 0 };

	scene_ports(s);
	scene_join(s, 1, ports);
	scene_static(s, 1, MAC_A, A);
}

static void wire_small(struct scene *s)
{
	scene_ports(s);
	scene_bind(s, A, SMALL);
}

static void lan_down(struct scene *s)
{
	static const uint8_t ports[] = { A, B, DOWN, PULLED, 0 };

	scene_ports(s);
	scene_join(s, 1, ports);
	s->segments[1].flags |= VP_SEG_XDP_FLOOD;
	scene_static(s, 1, MAC_A, A);
	scene_static(s, 1, MAC_D, DOWN);
	scene_static(s, 1, MAC_C, PULLED);
}

static void only_down(struct scene *s)
{
	static const uint8_t ports[] = { A, DOWN, PULLED, 0 };

	scene_ports(s);
	scene_join(s, 1, ports);
	scene_static(s, 1, MAC_A, A);
}

static void wire_down(struct scene *s)
{
	scene_ports(s);
	scene_bind(s, A, DOWN);
	scene_bind(s, B, PULLED);
}

static void wire_elsewhere(struct scene *s)
{
	wire(s);
	s->elsewhere = true;
}

static void lan_h_said_to_be_target(struct scene *s)
{
	lan(s);
	s->ports[H].flags |= VP_PORT_XDP_TARGET; /* but its peer has neither a program nor GRO */
}

static void lan_wrong_mtu(struct scene *s)
{
	lan(s);
	s->ports[B].mtu = 100; /* what the loader saw once */
}

/* `len` bytes in all, carried by XDP if its target can be. */
static struct frame *sized(const uint8_t *dst, uint32_t len)
{
	return ip4(eth(dst, MAC_A), 1, len - 34);
}

static struct frame *sized_tag(const uint8_t *dst, uint32_t len)
{
	return raw(tag(eth(dst, MAC_A), 0x8100, 0), 0x88b5, len - 18);
}

static void sizes(void)
{
	const struct vector v[] = {
		V("frame_of_the_target_mtu_fits", lan_small, A, sized(MAC_S, SMALL_MTU + 14), FORWARD, FORWARD, NONE,
		  UNTOUCHED, OUT(SMALL)),
		V("frame_one_byte_over_the_mtu_is_dropped_by_tc", lan_small, A, sized(MAC_S, SMALL_MTU + 15), PASSED,
		  DROP, VP_DROP_MTU, UNTOUCHED, OUT()),
		V("tag_in_the_frame_has_four_bytes_of_its_own", lan_small, A, sized_tag(MAC_S, SMALL_MTU + 18), PASSED,
		  FORWARD, NONE, UNTOUCHED, OUT(SMALL)),
		V("tagged_frame_one_byte_over_the_mtu_is_dropped", lan_small, A, sized_tag(MAC_S, SMALL_MTU + 19),
		  PASSED, DROP, VP_DROP_MTU, UNTOUCHED, OUT()),
		V("wire_drops_what_its_end_cannot_take", wire_small, A, sized(MAC_S, SMALL_MTU + 15), PASSED, DROP,
		  VP_DROP_MTU, UNTOUCHED, OUT()),
		V("wire_carries_the_full_mtu", wire_small, A, sized(MAC_S, SMALL_MTU + 14), FORWARD, FORWARD, NONE,
		  UNTOUCHED, OUT(SMALL)),
		V("flood_that_fits_reaches_all", lan_small, A, sized(MAC_BROADCAST, SMALL_MTU + 14), FLOOD, FLOOD, NONE,
		  UNTOUCHED, OUT(B, SMALL)),
		V("flood_leaves_out_who_cannot_take_it", lan_small, A, sized(MAC_BROADCAST, SMALL_MTU + 15), PASSED,
		  FLOOD, NONE, UNTOUCHED, OUT(B)),
		V("flood_that_nobody_can_take_is_too_large", only_small, A, sized(MAC_BROADCAST, SMALL_MTU + 15),
		  PASSED, DROP, VP_DROP_MTU, UNTOUCHED, OUT()),
		V("one_live_member_makes_it_too_large", small_and_down, A, sized(MAC_BROADCAST, SMALL_MTU + 15), PASSED,
		  DROP, VP_DROP_MTU, UNTOUCHED, OUT(), .live_only = true),
		V("live_mtu_counts_not_the_one_seen_at_attach", lan_wrong_mtu, A, sized(MAC_B, 400), FORWARD, FORWARD,
		  NONE, LEARNED, OUT(B), .live_only = true),
		V("superframe_fits_by_its_segments", wire_small, A, tcp4(eth(MAC_S, MAC_A), 3000, PARTIAL), PASSED,
		  FORWARD, NONE, UNTOUCHED, OUT(SMALL), .gso_size = 536, .packets = 6, .bytes = 6 * 54 + 3000),
		V("superframe_of_too_large_segments_is_dropped", wire_small, A, tcp4(eth(MAC_S, MAC_A), 3000, PARTIAL),
		  PASSED, DROP, VP_DROP_MTU, UNTOUCHED, OUT(), .gso_size = 537, .packets = 6, .bytes = 6 * 54 + 3000),
		V("superframe_with_a_tag_fits_by_its_segments", wire_small, A,
		  tcp4(tag(eth(MAC_S, MAC_A), 0x8100, 0), 3000, PARTIAL), PASSED, FORWARD, NONE, UNTOUCHED, OUT(SMALL),
		  .gso_size = 536, .packets = 6, .bytes = 6 * 58 + 3000),
		V("superframe_with_a_tag_of_too_large_segments_is_dropped", wire_small, A,
		  tcp4(tag(eth(MAC_S, MAC_A), 0x8100, 0), 3000, PARTIAL), PASSED, DROP, VP_DROP_MTU, UNTOUCHED, OUT(),
		  .gso_size = 537, .packets = 6, .bytes = 6 * 58 + 3000),
	};

	RUN(v);
}

static void devices(void)
{
	const struct vector v[] = {
		V("entry_of_a_device_set_down_is_unknown", lan_down, A, arp(eth(MAC_D, MAC_A)), PASSED, FLOOD, NONE,
		  UNTOUCHED, OUT(B), .live_only = true),
		V("entry_of_a_device_without_carrier_is_unknown", lan_down, A, arp(eth(MAC_C, MAC_A)), PASSED, FLOOD,
		  NONE, UNTOUCHED, OUT(B), .live_only = true),
		V("flood_leaves_out_devices_that_are_down", lan_down, A, arp(eth(MAC_BROADCAST, MAC_A)), PASSED, FLOOD,
		  NONE, UNTOUCHED, OUT(B), .live_only = true),
		V("flood_among_down_devices_reaches_nobody", only_down, A, arp(eth(MAC_BROADCAST, MAC_A)), PASSED, DROP,
		  VP_DROP_NO_MEMBER, UNTOUCHED, OUT(), .live_only = true),
		V("peer_set_down_is_down", wire_down, A, arp(eth(MAC_B, MAC_A)), DROP, DROP, VP_DROP_PEER_DOWN,
		  UNTOUCHED, OUT(), .live_only = true),
		V("peer_without_carrier_is_down", wire_down, B, arp(eth(MAC_A, MAC_B)), DROP, DROP, VP_DROP_PEER_DOWN,
		  UNTOUCHED, OUT(), .live_only = true),
		V("veth_without_napi_at_its_peer_is_served_by_tc", lan_h_said_to_be_target, A, arp(eth(MAC_H, MAC_A)),
		  PASSED, FORWARD, NONE, LEARNED, OUT(H), .live_only = true),
		V("frame_of_a_device_that_is_down_is_not_for_xdp", wire_down, DOWN, arp(eth(MAC_A, MAC_D)), PASSED,
		  FORWARD, NONE, UNTOUCHED, OUT(A), .live_only = true),
		V("frame_of_a_device_in_another_namespace_is_not_for_xdp", wire_elsewhere, A, arp(eth(MAC_B, MAC_A)),
		  PASSED, FORWARD, NONE, UNTOUCHED, OUT(B), .live_only = true),
	};

	RUN(v);
}

/* The same vector on a device whose state changes under the programs' feet, with nothing told to them. */
static void changes(void)
{
	struct frame *f = arp(eth(MAC_B, MAC_A)), *h = arp(eth(MAC_H, MAC_A)), *large = sized(MAC_B, 83);
	const struct vector served = V("control_device_is_served_before_it_changes", lan, A, f, FORWARD, FORWARD, NONE,
				       LEARNED, OUT(B)),
			    down = V("device_set_down_counts_as_unknown_at_once", lan, A, f, PASSED, FLOOD, NONE,
				     LEARNED, OUT(C, H, N)),
			    up = V("device_set_up_again_is_served_at_once", lan, A, f, FORWARD, FORWARD, NONE, LEARNED,
				   OUT(B)),
			    small = V("mtu_lowered_later_is_obeyed_at_once", lan, A, large, PASSED, DROP, VP_DROP_MTU,
				      LEARNED, OUT()),
			    raised = V("mtu_raised_again_is_obeyed_at_once", lan, A, large, FORWARD, FORWARD, NONE,
				       LEARNED, OUT(B)),
			    half = V("veth_whose_other_end_is_down_has_no_carrier", lan, A, h, PASSED, FLOOD, NONE,
				     LEARNED, OUT(B, C, N));

	if (!rig.live)
		return;
	vector_run(&served);
	rig_link("set tapb down");
	vector_run(&down);
	rig_link("set tapb up");
	vector_run(&up);
	rig_link("set tapb mtu 68");
	vector_run(&small);
	rig_link("set tapb mtu 1500");
	vector_run(&raised);
	rig_link("set vethh2 down");
	vector_run(&half);
	rig_link("set vethh2 up");
	frames_reset();
}

/* A frame from a device that is no port of ours: not our business in XDP, and never let through by tc. */
static void stranger(const char *what, const struct scene *s, unsigned int in)
{
	struct vp_counters nothing[RIG_PORTS] = { 0 };
	struct frame *f = arp(eth(MAC_B, MAC_A));
	struct rig_run run = { 0 };

	if (test_begin("%s_is_passed_by_xdp%s", what, rig.live ? "" : " [blind]")) {
		expect_ok("scene", scene_apply(s, 0));
		expect_ok("test_run", rig_run(PROG_XDP, in, f, &run));
		expect_u64("action", run.retval, XDP_PASS);
		counters_expect(nothing);
		test_end();
	}
	if (test_begin("%s_is_dropped_by_tc%s", what, rig.live ? "" : " [blind]")) {
		expect_ok("scene", scene_apply(s, 0));
		expect_ok("test_run", rig_run(PROG_TC, in, f, &run));
		expect_u64("action", run.retval, TC_ACT_SHOT);
		counters_expect(nothing);
		test_end();
	}
}

static void strangers(void)
{
	unsigned int saved = rig.ifindex[GONE];
	struct scene s = { .now = RIG_NOW };

	lan(&s);
	rig.ifindex[GONE] = if_nametoindex("vethh2"); /* in no port, but there */
	stranger("device_of_no_port", &s, GONE);
	rig.ifindex[GONE] = saved;
	s.ports[A].ifindex = rig.ifindex[C]; /* the port is about to get A's device, or has had it */
	stranger("device_of_another_configuration", &s, A);
	frames_reset();
}

void vectors_target(void)
{
	sizes();
	devices();
	changes();
	strangers();
}
