/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames that end too early and fields that lie.  The switch forwards them, being no judge of IP; but XDP must not
 * vouch for what it could not read, and nothing may ever count as internal.
 */
#include "vector.h"

static void lies(void)
{
	const struct vector v[] = {
		V("total_length_beyond_the_frame_goes_by_tc", lan, A, ip_len(udp4(eth(MAC_B, MAC_A), 20, FULL), 49),
		  PASSED, FORWARD, NONE, LEARNED, OUT(B)),
		V("total_length_65535_goes_by_tc", lan, A, ip_len(udp4(eth(MAC_B, MAC_A), 20, FULL), 65535), PASSED,
		  FORWARD, NONE, LEARNED, OUT(B)),
		V("total_length_below_the_header_goes_by_tc", lan, A, ip_len(ip4(eth(MAC_B, MAC_A), 1, 20), 19), PASSED,
		  FORWARD, NONE, LEARNED, OUT(B)),
		V("total_length_zero_goes_by_tc", lan, A, ip_len(udp4(eth(MAC_B, MAC_A), 20, FULL), 0), PASSED, FORWARD,
		  NONE, LEARNED, OUT(B)),
		V("total_length_that_leaves_half_a_udp_header_goes_by_tc", lan, A,
		  ip_len(udp4(eth(MAC_B, MAC_A), 20, FULL), 24), PASSED, FORWARD, NONE, LEARNED, OUT(B)),
		V("icmp_beyond_the_frame_goes_by_tc", lan, A, ip_len(ip4(eth(MAC_B, MAC_A), 1, 20), 41), PASSED,
		  FORWARD, NONE, LEARNED, OUT(B)),
		V("fragment_beyond_the_frame_goes_by_tc", lan, A, ip_len(fragment4(eth(MAC_B, MAC_A), 20, 0x2000), 41),
		  PASSED, FORWARD, NONE, LEARNED, OUT(B)),
		V("header_length_4_goes_by_tc", lan, A, poke8(udp4(eth(MAC_B, MAC_A), 20, FULL), 14, 0x44), PASSED,
		  FORWARD, NONE, LEARNED, OUT(B)),
		V("header_length_0_goes_by_tc", lan, A, poke8(ip4(eth(MAC_B, MAC_A), 1, 20), 14, 0x40), PASSED, FORWARD,
		  NONE, LEARNED, OUT(B)),
		V("header_length_15_of_a_short_frame_goes_by_tc", lan, A,
		  poke8(udp4(eth(MAC_B, MAC_A), 20, FULL), 14, 0x4f), PASSED, FORWARD, NONE, LEARNED, OUT(B)),
		V("ip_version_5_goes_by_tc", lan, A, poke8(ip4(eth(MAC_B, MAC_A), 1, 20), 14, 0x55), PASSED, FORWARD,
		  NONE, LEARNED, OUT(B)),
		V("ipv6_under_the_ethertype_of_ipv4_goes_by_tc", lan, A,
		  poke16(ip6(eth(MAC_B, MAC_A), 58, 20), 12, 0x0800), PASSED, FORWARD, NONE, LEARNED, OUT(B)),
		V("ipv4_under_the_ethertype_of_ipv6_goes_by_tc", lan, A,
		  poke16(ip4(eth(MAC_B, MAC_A), 1, 40), 12, 0x86dd), PASSED, FORWARD, NONE, LEARNED, OUT(B)),
		V("udp_length_beyond_the_packet_goes_by_tc", lan, A, udp_len(udp4(eth(MAC_B, MAC_A), 20, FULL), 29),
		  PASSED, FORWARD, NONE, LEARNED, OUT(B)),
		V("udp_length_in_the_padding_goes_by_tc", lan, A,
		  udp_len(pad(udp4(eth(MAC_B, MAC_A), 4, FULL), 60), 13), PASSED, FORWARD, NONE, LEARNED, OUT(B)),
		V("udp_length_7_goes_by_tc", lan, A, udp_len(udp4(eth(MAC_B, MAC_A), 20, FULL), 7), PASSED, FORWARD,
		  NONE, LEARNED, OUT(B)),
		V("udp_length_zero_goes_by_tc", lan, A, udp_len(udp6(eth(MAC_B, MAC_A), 20, FULL), 0), PASSED, FORWARD,
		  NONE, LEARNED, OUT(B)),
		V("payload_length_beyond_the_frame_goes_by_tc", lan, A, ip_len(ip6(eth(MAC_B, MAC_A), 58, 20), 21),
		  PASSED, FORWARD, NONE, LEARNED, OUT(B)),
		V("jumbo_payload_length_zero_of_udp_goes_by_tc", lan, A, ip_len(udp6(eth(MAC_B, MAC_A), 20, FULL), 0),
		  PASSED, FORWARD, NONE, LEARNED, OUT(B)),
		V("lying_length_from_the_nic_goes_by_xdp", lan, N, ip_len(udp4(eth(MAC_B, MAC_N), 20, FULL), 65535),
		  FORWARD, FORWARD, NONE, REFRESHED, OUT(B)),
		V("arp_with_padding_goes_by_xdp", lan, A, pad(arp(eth(MAC_B, MAC_A)), 60), FORWARD, FORWARD, NONE,
		  LEARNED, OUT(B)),
	};

	RUN(v);
}

/* A typical frame and from which length on XDP may carry it; 0 = never. */
struct sweep {
	const char *name;
	struct frame *frame;
	uint32_t xdp_from;
	enum vp_reason short_tag; /* of a frame that ends in its tag */
	enum vp_reason reason;
	bool taints;
};

static struct vector sweep_vector(const struct sweep *s, struct frame *f)
{
	enum vp_reason why = f->len < 18 ? s->short_tag : s->reason;
	bool xdp = (s->xdp_from && f->len >= s->xdp_from) || (s->short_tag && f->len < 20);
	struct vector v = V(s->name, lan, A, f, PASSED, FORWARD, NONE, LEARNED, OUT(B));

	if (why) {
		v.tc = DROP;
		v.reason = why;
		v.source = UNTOUCHED;
		v.out[0] = 0;
	}
	if (xdp) /* a tagged frame under 20 bytes would not reach tc */
		v.xdp = v.tc;
	v.taints = s->taints && f->len == s->frame->len;
	return v;
}

/* A test run of a tc program refuses IP frames that end in the IP header; test_live.c sends those through a TAP. */
static uint32_t shortest(const struct frame *f, enum prog prog)
{
	if (prog == PROG_TC && f->b[12] == 0x08 && f->b[13] == 0x00)
		return 14 + 20;
	if (prog == PROG_TC && f->b[12] == 0x86 && f->b[13] == 0xdd)
		return 14 + 40;
	return 14;
}

static void sweep(const struct sweep *s, enum prog prog)
{
	struct frame *f = copy(s->frame);

	if (!test_begin("every_prefix_of_%s_is_safe [%s%s]", s->name, prog == PROG_XDP ? "xdp" : "tc",
			rig.live ? "" : ", blind"))
		return;
	for (uint32_t len = shortest(s->frame, prog); len <= s->frame->len; len++) {
		struct vector v;

		f->len = len;
		v = sweep_vector(s, f);
		if (!vector_once(&v, prog, len & 1)) {
			test_fail("that was length %u", len);
			break;
		}
	}
	test_end();
}

static void sweeps(void)
{
	const struct sweep s[] = {
		{ "arp", arp(eth(MAC_B, MAC_A)), 14, NONE, NONE, false },
		{ "icmp", ip4(eth(MAC_B, MAC_A), 1, 20), 54, NONE, NONE, false },
		{ "udp", udp4(eth(MAC_B, MAC_A), 20, FULL), 62, NONE, NONE, false },
		{ "udp_with_padding", pad(udp4(eth(MAC_B, MAC_A), 4, FULL), 60), 46, NONE, NONE, false },
		{ "udp_with_options", options4(eth(MAC_B, MAC_A), 4, FULL), 50, NONE, NONE, false },
		{ "unfinished_udp", udp4(eth(MAC_B, MAC_A), 20, PARTIAL), 0, NONE, NONE, true },
		{ "tcp", tcp4(eth(MAC_B, MAC_A), 20, FULL), 0, NONE, NONE, false },
		{ "fragment", fragment4(eth(MAC_B, MAC_A), 20, 0x2000), 54, NONE, NONE, false },
		{ "icmpv6", ip6(eth(MAC_B, MAC_A), 58, 20), 74, NONE, NONE, false },
		{ "udp_over_ipv6", udp6(eth(MAC_B, MAC_A), 20, FULL), 82, NONE, NONE, false },
		{ "tcp_over_ipv6", tcp6(eth(MAC_B, MAC_A), 20, FULL), 0, NONE, NONE, false },
		{ "priority_tagged_udp", udp4(tag(eth(MAC_B, MAC_A), 0x8100, 0), 20, FULL), 66, VP_DROP_MALFORMED, NONE,
		  false },
		{ "tagged_udp", udp4(tag(eth(MAC_B, MAC_A), 0x8100, 5), 20, FULL), 66, VP_DROP_MALFORMED,
		  VP_DROP_VLAN_NOT_ALLOWED, false },
		{ "unknown_ethertype", raw(eth(MAC_B, MAC_A), 0x88b5, 50), 0, NONE, NONE, false },
	};

	for (unsigned int i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		sweep(&s[i], PROG_XDP);
		sweep(&s[i], PROG_TC);
	}
	frames_reset();
}

void vectors_headers(void)
{
	lies();
	sweeps();
}
