/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * XDP finishes UDP checksums: frames written into TAP A as a guest leaves them, which come by the native path, and what
 * the readers get.  The TAPs have no virtio-net header: an unfinished frame that tc carried looks here as it was
 * written, so that the two ways can be told apart.
 */
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "vector.h"

#define LONGEST 3300

static void lan_b_no_target(struct scene *s)
{
	lan(s);
	s->ports[B].flags &= ~VP_PORT_XDP_TARGET;
}

static void lan_given_up(struct scene *s)
{
	lan(s);
	s->state[A].unfinished = 1;
}

static void a_tagged(struct scene *s)
{
	static const uint8_t access[] = { B, C, 0 }, trunk[] = { A, 0 };

	scene_ports(s);
	scene_join(s, 1, access);
	scene_tag(s, 1, 10, trunk);
	scene_static(s, 1, MAC_B, B);
}

static void b_tagged(struct scene *s)
{
	static const uint8_t access[] = { A, C, 0 }, trunk[] = { B, 0 };

	scene_ports(s);
	scene_join(s, 1, access);
	scene_tag(s, 1, 10, trunk);
	scene_static(s, 1, MAC_B, B);
}

static void lan_big(struct scene *s)
{
	lan(s);
	s->ports[B].mtu = 9000;
}

/* What XDP notes about port A after that. */
static void given_up(const char *name, bool want)
{
	struct vp_state state = { 0 };
	__u32 id = A;

	if (!test_begin("%s: given_up%s", name, rig.live ? "" : " [blind]"))
		return;
	expect_ok("vp_state", bpf_map_lookup_elem(rig.map.state, &id, &state));
	expect_u64("unfinished", state.unfinished, want);
	test_end();
}

/* What `input` with an unfinished checksum becomes: `other`, finished, or, where XDP can't, unfinished as it was. */
#define FINISHED_AS(name, scene, fate, out, input, other)                                                              \
	do {                                                                                                           \
		enum csum c = PARTIAL;                                                                                 \
		const struct frame *f = input, *becomes;                                                               \
		c = rig.live ? FULL : PARTIAL;                                                                         \
		becomes = other;                                                                                       \
		live_deliver(name, scene, f, becomes, fate, out);                                                      \
		given_up(name, !rig.live);                                                                             \
	} while (0)
#define FINISHED(name, scene, fate, out, same) FINISHED_AS(name, scene, fate, out, same, same)

static void forms(void)
{
	static const uint8_t to_b[] = { B, 0 }, to_bc[] = { B, C, 0 };

	FINISHED("finish_udp", lan, FORWARD, to_b, udp4(eth(MAC_B, MAC_A), 64, c));
	FINISHED("finish_udp_over_ipv6", lan, FORWARD, to_b, udp6(eth(MAC_B, MAC_A), 64, c));
	FINISHED("finish_udp_of_full_size", lan, FORWARD, to_b, udp4(eth(MAC_B, MAC_A), 1472, c));
	FINISHED("finish_udp_behind_ip_options", lan, FORWARD, to_b, options4(eth(MAC_B, MAC_A), 41, c));
	FINISHED("finish_udp_with_padding_behind_it", lan, FORWARD, to_b, pad(udp4(eth(MAC_B, MAC_A), 5, c), 60));
	FINISHED("finish_udp_shorter_than_its_packet", lan, FORWARD, to_b,
		 ip_len(pad(udp4(eth(MAC_B, MAC_A), 21, c), 80), 60));
	FINISHED("finish_udp_over_ipv6_shorter_than_its_packet", lan, FORWARD, to_b,
		 ip_len(pad(udp6(eth(MAC_B, MAC_A), 20, c), 100), 40));
	FINISHED("finished_zero_is_ffff", lan, FORWARD, to_b, sum_zero(udp4(eth(MAC_B, MAC_A), 64, FULL), c));
	FINISHED("finished_zero_over_ipv6_is_ffff", lan, FORWARD, to_b, sum_zero(udp6(eth(MAC_B, MAC_A), 64, FULL), c));
	FINISHED("finish_udp_in_a_wire", wire, FORWARD, to_b, udp4(eth(MAC_B, MAC_A), 64, c));
	FINISHED_AS("finish_udp_that_loses_its_tag", a_tagged, FORWARD, to_b,
		    udp4(tag(eth(MAC_B, MAC_A), 0x8100, 10), 64, c), udp4(eth(MAC_B, MAC_A), 64, c));
	FINISHED_AS("finish_udp_that_gets_a_tag", b_tagged, FORWARD, to_b, udp4(eth(MAC_B, MAC_A), 64, c),
		    udp4(tag(eth(MAC_B, MAC_A), 0x8100, 10), 64, c));
	FINISHED_AS("finish_udp_over_ipv6_that_gets_a_tag", b_tagged, FORWARD, to_b, udp6(eth(MAC_B, MAC_A), 64, c),
		    udp6(tag(eth(MAC_B, MAC_A), 0x8100, 10), 64, c));
	FINISHED("finish_udp_that_keeps_its_tag", wire, FORWARD, to_b,
		 udp4(tag(eth(MAC_B, MAC_A), 0x8100, 10), 64, c));
	FINISHED("finish_flooded_udp", lan_xdp, FLOOD, to_bc, udp4(eth(MAC_GROUP, MAC_A), 64, c));
	FINISHED("finish_flooded_udp_over_ipv6", lan_xdp, FLOOD, to_bc, udp6(eth(MAC_BROADCAST, MAC_A), 65, c));
}

/* What XDP does not send on it does not edit. */
static void untouched(void)
{
	static const uint8_t to_b[] = { B, 0 };
	const struct frame *partial = udp4(eth(MAC_B, MAC_A), 64, PARTIAL);
	const struct frame *bad = udp4(eth(MAC_B, MAC_A), 64, BAD), *zero = udp4(eth(MAC_B, MAC_A), 64, ZERO);
	const struct frame *tunnel = tunnel4(eth(MAC_B, MAC_A), 4789, PARTIAL);
	const struct frame *tcp = tcp4(eth(MAC_B, MAC_A), 64, PARTIAL);

	live_deliver("unfinished_udp_to_a_port_that_takes_no_xdp", lan_b_no_target, partial, partial, FORWARD, to_b);
	live_deliver("unfinished_udp_of_a_port_that_xdp_gave_up", lan_given_up, partial, partial, FORWARD, to_b);
	live_deliver("a_wrong_checksum_stays_wrong", lan, bad, bad, FORWARD, to_b);
	given_up("a_wrong_checksum_stays_wrong", false);
	live_deliver("no_checksum_stays_none", lan, zero, zero, FORWARD, to_b);
	given_up("no_checksum_stays_none", false);
	live_deliver("the_outer_checksum_of_a_tunnel_stays", lan, tunnel, tunnel, FORWARD, to_b);
	given_up("the_outer_checksum_of_a_tunnel_stays", false);
	live_deliver("unfinished_tcp_stays_unfinished", lan, tcp, tcp, FORWARD, to_b);
}

/* Every rung of the ladder in csum.h, alone and with any other. */
static void lengths(const char *name, struct frame *(*udp)(struct frame *f, uint32_t n, enum csum c))
{
	static uint8_t got[FRAME_MAX];

	if (!test_begin("%s", name))
		return;
	expect_ok("mtu", rig_link("set tapb mtu 9000"));
	expect_ok("scene", live_scene(lan_big));
	for (uint32_t n = 0; n <= LONGEST; n++) {
		const struct frame *f = udp(eth(MAC_B, MAC_A), n, PARTIAL), *done = udp(eth(MAC_B, MAC_A), n, FULL);
		ssize_t len = write(rig.tap[A], f->b, f->len) < 0 ? 0 : read(rig.tap[B], got, sizeof(got));

		if (!expect_bytes("B", got, len > 0 ? len : 0, done->b, done->len)) {
			test_fail("that was a payload of %u bytes", n);
			break;
		}
		frames_reset();
	}
	expect_ok("mtu", rig_link("set tapb mtu 1500"));
	test_end();
}

void vectors_finish(void)
{
	int ret = live_attach();

	if (ret && test_begin("finish_attach")) {
		expect_ok("attach to TAP A in driver mode", ret);
		test_end();
	}
	if (!ret) {
		forms();
		untouched();
	}
	if (!ret && rig.live) {
		lengths("every_length_is_finished", udp4);
		lengths("every_length_over_ipv6_is_finished", udp6);
	}
	live_detach();
	frames_reset();
}
