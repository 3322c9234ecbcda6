/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "carrier.h"
#include "vp_abi.h"
#include "unit.h"

#define BASIC	 1
#define REDIRECT 2
#define NDO_XMIT 4
#define UNSAID	 (1ULL << 63) /* the kernel does not report features */

static struct carrier_choice choice(enum vp_kind kind, enum carrier carrier, enum xdp_mode mode, enum link_type type,
				    uint64_t features)
{
	struct link_info l = { .ifindex = 5, .type = type };
	struct carrier_choice out;
	struct port p;

	port_init(&p, kind);
	p.carrier = carrier;
	p.mode = mode;
	l.has_xdp_features = features != UNSAID;
	l.xdp_features = features == UNSAID ? 0 : features;
	carrier_choose(&p, &l, 0, &out);
	assert_non_null(out.why);
	assert_non_null(out.target_why);
	assert_true(!out.refused || out.carrier == CARRIER_TC);
	return out;
}

static void each_device_has_its_best_carrier_and_target(void **state)
{
	static const struct {
		enum vp_kind kind;
		enum carrier asked;
		enum xdp_mode mode;
		enum link_type type;
		uint64_t features;
		enum carrier carrier;
		bool target, refused;
	} rows[] = {
		/* TAP */
		{ VP_KIND_GUEST, CARRIER_AUTO, 0, LINK_TAP, BASIC | REDIRECT | NDO_XMIT, CARRIER_XDP, true, false },
		{ VP_KIND_GUEST, CARRIER_AUTO, 0, LINK_TAP, UNSAID, CARRIER_XDP, true, false },
		{ VP_KIND_GUEST, CARRIER_AUTO, 0, LINK_TAP, 0, CARRIER_TC, false, false },
		{ VP_KIND_UPLINK, CARRIER_AUTO, 0, LINK_TAP, BASIC | REDIRECT | NDO_XMIT, CARRIER_XDP, true, false },
		{ VP_KIND_GUEST, CARRIER_TC, 0, LINK_TAP, BASIC | REDIRECT | NDO_XMIT, CARRIER_TC, true, false },
		/* veth */
		{ VP_KIND_GUEST, CARRIER_AUTO, 0, LINK_VETH, BASIC | REDIRECT, CARRIER_TC, false, false },
		{ VP_KIND_GUEST, CARRIER_AUTO, 0, LINK_VETH, BASIC | REDIRECT | NDO_XMIT, CARRIER_TC, true, false },
		{ VP_KIND_HOST, CARRIER_AUTO, 0, LINK_VETH, UNSAID, CARRIER_TC, false, false },
		{ VP_KIND_UPLINK, CARRIER_AUTO, 0, LINK_VETH, BASIC | REDIRECT, CARRIER_TC, false, false },
		{ VP_KIND_GUEST, CARRIER_XDP, 0, LINK_VETH, BASIC | REDIRECT, CARRIER_XDP, false, false },
		/* NIC: the bit for sending appears with our program */
		{ VP_KIND_UPLINK, CARRIER_AUTO, 0, LINK_PHYSICAL, BASIC | REDIRECT, CARRIER_XDP, true, false },
		{ VP_KIND_UPLINK, CARRIER_AUTO, 0, LINK_PHYSICAL, BASIC, CARRIER_TC, false, false },
		{ VP_KIND_UPLINK, CARRIER_AUTO, 0, LINK_PHYSICAL, UNSAID, CARRIER_TC, false, false },
		{ VP_KIND_UPLINK, CARRIER_TC, 0, LINK_PHYSICAL, BASIC | REDIRECT, CARRIER_TC, false, false },
		{ VP_KIND_UPLINK, CARRIER_XDP, 0, LINK_PHYSICAL, BASIC, CARRIER_XDP, false, false },
		{ VP_KIND_UPLINK, CARRIER_XDP, 0, LINK_PHYSICAL, UNSAID, CARRIER_XDP, false, false },
		{ VP_KIND_UPLINK, CARRIER_XDP, 0, LINK_PHYSICAL, 0, CARRIER_TC, false, true },
		{ VP_KIND_UPLINK, CARRIER_XDP, MODE_GENERIC, LINK_PHYSICAL, BASIC | REDIRECT, CARRIER_XDP, false,
		  false },
		/* others */
		{ VP_KIND_UPLINK, CARRIER_AUTO, 0, LINK_OTHER, 0, CARRIER_TC, false, false },
		{ VP_KIND_UPLINK, CARRIER_XDP, 0, LINK_OTHER, 0, CARRIER_TC, false, true },
		/* generic only where tags lie in the frame, and tc is obeyed everywhere */
		{ VP_KIND_GUEST, CARRIER_AUTO, MODE_GENERIC, LINK_TAP, BASIC, CARRIER_XDP, false, false },
		{ VP_KIND_UPLINK, CARRIER_AUTO, MODE_GENERIC, LINK_PHYSICAL, 0, CARRIER_XDP, false, false },
		{ VP_KIND_UPLINK, CARRIER_AUTO, MODE_GENERIC, LINK_OTHER, 0, CARRIER_TC, false, true },
		{ VP_KIND_UPLINK, CARRIER_XDP, MODE_GENERIC, LINK_OTHER, 0, CARRIER_TC, false, true },
		{ VP_KIND_GUEST, CARRIER_AUTO, MODE_GENERIC, LINK_VETH, BASIC, CARRIER_TC, false, true },
		{ VP_KIND_UPLINK, CARRIER_TC, MODE_GENERIC, LINK_OTHER, 0, CARRIER_TC, false, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct carrier_choice c =
			choice(rows[i].kind, rows[i].asked, rows[i].mode, rows[i].type, rows[i].features);

		if (c.carrier != rows[i].carrier || c.target != rows[i].target || !c.refused != !rows[i].refused)
			fail_msg("row %zu: carrier %s, target %d, refused %s", i, carrier_word(c.carrier), c.target,
				 c.refused ? c.refused : "-");
	}
}

static void a_refusal_says_what_to_do(void **state)
{
	struct carrier_choice c = choice(VP_KIND_UPLINK, CARRIER_XDP, MODE_NATIVE, LINK_OTHER, 0);

	(void)state;
	assert_says(c.refused, "no XDP");
	assert_says(c.refused, "carrier: tc");
	c = choice(VP_KIND_UPLINK, CARRIER_XDP, MODE_NATIVE, LINK_PHYSICAL, 0);
	assert_says(c.refused, "mode: generic");
	c = choice(VP_KIND_GUEST, CARRIER_AUTO, MODE_GENERIC, LINK_VETH, BASIC);
	assert_says(c.refused, "VLAN tags");
	assert_says(c.refused, "leave `mode` out");
}

static void a_veth_without_napi_says_whose_end_it_is(void **state)
{
	struct carrier_choice guest = choice(VP_KIND_GUEST, CARRIER_AUTO, MODE_NATIVE, LINK_VETH, BASIC | REDIRECT);
	struct carrier_choice host = choice(VP_KIND_HOST, CARRIER_AUTO, MODE_NATIVE, LINK_VETH, BASIC | REDIRECT);

	(void)state;
	assert_says(guest.target_why, "the guest's end of the veth has no NAPI");
	assert_says(host.target_why, "the host's end of the veth has no NAPI");
}

static void large_frames_take_a_flow_to_tc(void **state)
{
	struct link_info l = { .has_xdp_features = true, .xdp_features = BASIC | REDIRECT | NDO_XMIT };
	struct port p = { .kind = VP_KIND_GUEST };
	struct carrier_choice c;

	(void)state;
	for (l.type = LINK_TAP; l.type <= LINK_PHYSICAL; l.type += LINK_PHYSICAL - LINK_TAP) {
		l.mtu = 2982;
		carrier_choose(&p, &l, 0, &c);
		assert_int_equal(c.carrier, CARRIER_XDP);
		l.mtu = 2983;
		carrier_choose(&p, &l, 0, &c);
		assert_int_equal(c.carrier, CARRIER_TC);
		assert_says(c.why, "its MTU");
		p.carrier = CARRIER_XDP;
		carrier_choose(&p, &l, 0, &c);
		assert_int_equal(c.carrier, CARRIER_XDP);
		p.carrier = CARRIER_AUTO;
	}
}

static void what_a_tap_shows_is_weighed(void **state)
{
	static const struct {
		uint32_t seen;
		bool unfinished;
		uint64_t frames, super;
		uint32_t then;
	} rows[] = {
		{ 0, false, 0, 0, 0 },
		{ 0, false, 999, 999, 0 },
		{ 0, false, 1000, 1000, VP_INFO_SUPER },
		{ 0, false, 14000, 13000, VP_INFO_SUPER },
		{ 0, false, 14000, 12999, 0 },
		{ VP_INFO_SUPER, false, 14000, 12999, VP_INFO_SUPER },
		{ VP_INFO_SUPER, false, 14000, 7001, VP_INFO_SUPER },
		{ VP_INFO_SUPER, false, 14000, 7000, 0 },
		{ VP_INFO_SUPER, false, 999, 0, VP_INFO_SUPER },
		{ 0, true, 0, 0, VP_INFO_GENERIC },
		{ VP_INFO_GENERIC, false, 2000, 0, VP_INFO_GENERIC },
		{ VP_INFO_SUPER, true, 2000, 0, VP_INFO_GENERIC },
		{ 0, true, 2000, 2000, VP_INFO_SEEN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(carrier_weigh(rows[i].seen, rows[i].unfinished, rows[i].frames, rows[i].super),
				 rows[i].then);
}

static void what_was_seen_chooses_for_a_tap_on_auto(void **state)
{
	struct link_info l = { .type = LINK_TAP, .has_xdp_features = true, .xdp_features = BASIC | REDIRECT };
	struct port p = { .kind = VP_KIND_GUEST };
	struct carrier_choice c;

	(void)state;
	carrier_choose(&p, &l, VP_INFO_SUPER, &c);
	assert_int_equal(c.carrier, CARRIER_TC);
	assert_says(c.why, "superframes");
	carrier_choose(&p, &l, VP_INFO_SEEN, &c);
	assert_int_equal(c.carrier, CARRIER_TC);
	assert_says(c.why, "generic path");
	p.carrier = CARRIER_XDP;
	carrier_choose(&p, &l, VP_INFO_SEEN, &c);
	assert_int_equal(c.carrier, CARRIER_XDP);
	p.carrier = CARRIER_AUTO;
	l.type = LINK_PHYSICAL;
	carrier_choose(&p, &l, VP_INFO_SEEN, &c);
	assert_int_equal(c.carrier, CARRIER_XDP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_device_has_its_best_carrier_and_target),
		cmocka_unit_test(what_a_tap_shows_is_weighed),
		cmocka_unit_test(what_was_seen_chooses_for_a_tap_on_auto),
		cmocka_unit_test(a_refusal_says_what_to_do),
		cmocka_unit_test(a_veth_without_napi_says_whose_end_it_is),
		cmocka_unit_test(large_frames_take_a_flow_to_tc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
