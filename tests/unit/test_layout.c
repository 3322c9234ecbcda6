/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "layout.h"
#include "unit.h"

/* Too large for the stack of every test. */
static struct layout now, before;

static const char text[] = "version: 1\n"
			   "segments:\n  - {name: dmz, age: 0}\n  - {name: lan, age: 300, flood: false, vlan: 9}\n"
			   "ports:\n"
			   "  - {name: a, device: t0, segment: lan, mac: \"02:00:00:00:00:01\"}\n"
			   "  - {name: b, device: t1, mac: \"02:00:00:00:00:02\", quota: 5}\n"
			   "  - {name: c, device: t2}\n"
			   "  - {name: vp0, kind: host, segment: lan, mac: \"02:00:00:00:00:03\"}\n"
			   "  - {name: w, kind: uplink, device: eth1, segment: dmz}\n"
			   "bindings: [{a: b, b: c}]\n";

static const struct port_facts facts[] = {
	{ .ifindex = 11, .attached = true, .xdp = true, .xdp_target = true, .mtu = 1500 },
	{ .ifindex = 12, .attached = true, .mtu = 1400 },
	{ .ifindex = 0 },
	{ .ifindex = 14, .attached = true, .xdp_target = true, .mtu = 1500 },
	{ .ifindex = 15, .attached = true, .xdp = true, .xdp_target = true, .finished = true, .mtu = 9000 },
};

static void ports_say_what_the_model_and_the_facts_say(void **state)
{
	struct model m = model_of(text);

	(void)state;
	assert_int_equal(layout_make(&now, &m, facts, NULL), 0);
	assert_int_equal(now.top_port, 5);
	assert_int_equal(now.top_segment, 2);
	assert_int_equal(layout_port_id(&now, "a"), 1);
	assert_int_equal(layout_port_id(&now, "w"), 5);
	assert_int_equal(layout_port_id(&now, "x"), 0);
	assert_int_equal(layout_port_id(&now, ""), 0);
	assert_int_equal(layout_segment_id(&now, "lan"), 2);
	assert_int_equal(now.port_id[3], 4);

	assert_int_equal(now.ports[1].ifindex, 11);
	assert_int_equal(now.ports[1].flags, VP_PORT_UP | VP_PORT_XDP | VP_PORT_XDP_TARGET | VP_PORT_GUARD_MAC);
	assert_int_equal(now.ports[1].segment, 2);
	assert_int_equal(now.ports[1].peer, 0);
	assert_int_equal(now.ports[1].quota, QUOTA_GUEST);
	assert_int_equal(now.ports[1].broadcast_pps, BROADCAST_PPS);
	assert_int_equal(now.ports[1].incarnation, 1);
	assert_int_equal(now.ports[2].flags, VP_PORT_UP | VP_PORT_GUARD_MAC);
	assert_int_equal(now.ports[2].peer, 3);
	assert_int_equal(now.ports[2].quota, 5);
	assert_int_equal(now.ports[2].mtu, 1400);
	assert_int_equal(now.ports[3].flags, 0);
	assert_int_equal(now.ports[3].ifindex, 0);
	assert_int_equal(now.ports[3].peer, 2);
	assert_int_equal(now.ports[4].flags, VP_PORT_UP | VP_PORT_XDP_TARGET);
	assert_int_equal(now.ports[4].kind, VP_KIND_HOST);
	assert_int_equal(now.ports[5].flags, VP_PORT_UP | VP_PORT_XDP | VP_PORT_XDP_TARGET | VP_PORT_FINISHED);
	assert_int_equal(now.ports[5].quota, QUOTA_UPLINK);
	assert_string_equal(now.port_info[1].device, "t0");
	assert_string_equal(now.port_info[4].device, "vp0-p");
	layout_free(&now);
	model_free(&m);
}

static void duplicates_are_flags(void **state)
{
	struct model m = model_of(text);

	(void)state;
	for (int i = DUPLICATE_MOVE; i <= DUPLICATE_IGNORE; i++) {
		static const uint16_t expected[] = { 0, VP_SEG_DUP_DROP, VP_SEG_DUP_IGNORE };

		m.segments[1].duplicate = (enum duplicate)i;
		assert_int_equal(layout_make(&now, &m, facts, NULL), 0);
		assert_int_equal(now.segments[2].flags, VP_SEG_XDP_FLOOD | expected[i]);
		layout_free(&now);
	}
	model_free(&m);
}

static void segments_hold_their_members(void **state)
{
	struct model m = model_of(text);

	(void)state;
	assert_int_equal(layout_make(&now, &m, facts, NULL), 0);
	assert_int_equal(now.segments[1].age_ticks, 0);
	assert_int_equal(now.segments[1].flags, VP_SEG_FLOOD_UNKNOWN | VP_SEG_XDP_FLOOD);
	assert_int_equal(now.segments[2].age_ticks, 280); /* 300 s / 1.0737 s, rounded up */
	assert_int_equal(now.segments[2].vlan, 9);
	assert_int_equal(now.segments[2].flags, VP_SEG_XDP_FLOOD);
	assert_int_equal(now.n_members, 3);
	assert_int_equal(now.segments[1].first, 0);
	assert_int_equal(now.segments[1].count, 1);
	assert_int_equal(now.segments[2].first, 1);
	assert_int_equal(now.segments[2].count, 2);
	assert_int_equal(now.members[0].port, 5);
	assert_int_equal(now.members[1].port, 1);
	assert_int_equal(now.members[2].port, 4);
	layout_free(&now);
	model_free(&m);
}

static void trunks_carry_segments_tagged(void **state)
{
	struct model m = model_of("version: 1\nsegments:\n  - {name: dmz, vlan: 20}\n"
				  "  - {name: lan, vlan: 10}\nports:\n"
				  "  - {name: a, device: t0, segment: lan}\n"
				  "  - {name: b, device: t1, tagged: [lan, dmz], mac: \"02:00:00:00:00:01\"}\n"
				  "  - {name: w, device: e1, kind: uplink, segment: dmz, tagged: [lan]}\n");

	(void)state;
	assert_int_equal(layout_make(&now, &m, NULL, NULL), 0);
	assert_int_equal(now.ports[1].flags & VP_PORT_TRUNK, 0);
	assert_int_equal(now.ports[2].flags & VP_PORT_TRUNK, VP_PORT_TRUNK);
	assert_int_equal(now.ports[2].segment, 0);
	assert_int_equal(now.ports[3].segment, 1);
	assert_int_equal(now.n_members, 5);
	assert_int_equal(now.segments[1].first, 0);
	assert_int_equal(now.segments[1].count, 2);
	assert_int_equal(now.segments[2].first, 2);
	assert_int_equal(now.segments[2].count, 3);
	static const struct vp_member members[] = { { 2, 20 }, { 3, 0 }, { 1, 0 }, { 2, 10 }, { 3, 10 } };

	assert_memory_equal(now.members, members, sizeof(members));
	assert_int_equal(now.n_statics, 2);
	assert_int_equal(now.statics[0].segment, 1);
	assert_int_equal(now.statics[1].segment, 2);
	assert_int_equal(now.n_guards, 1);
	layout_free(&now);
	model_free(&m);
}

static void assert_xdp_flood(const struct model *m, const struct port_facts *f, bool expected)
{
	assert_int_equal(layout_make(&now, m, f, NULL), 0);
	assert_int_equal(!!(now.segments[2].flags & VP_SEG_XDP_FLOOD), expected);
	layout_free(&now);
}

static void xdp_floods_only_where_it_reaches_everyone(void **state)
{
	struct model m = model_of(text), empty = model_of("version: 1\nsegments: [{name: a}, {name: lan}]\n");
	struct port_facts f[5];

	(void)state;
	memcpy(f, facts, sizeof(f));
	assert_xdp_flood(&m, f, true);
	f[3].xdp_target = false;
	assert_xdp_flood(&m, f, false);
	f[3] = (struct port_facts){ .xdp_target = true }; /* waiting */
	assert_xdp_flood(&m, f, false);
	assert_xdp_flood(&m, NULL, false);
	assert_xdp_flood(&empty, NULL, false);
	model_free(&m);
	model_free(&empty);
}

static void guards_are_for_guests_and_statics_for_segments(void **state)
{
	struct mac a = mac_of("02:00:00:00:00:01"), b = mac_of("02:00:00:00:00:02"), vp0 = mac_of("02:00:00:00:00:03");
	struct model m = model_of(text);

	(void)state;
	assert_int_equal(layout_make(&now, &m, facts, NULL), 0);
	assert_int_equal(now.n_guards, 2);
	assert_int_equal(now.guards[0].port, 1);
	assert_memory_equal(&now.guards[0].mac, &a, sizeof(a));
	assert_int_equal(now.guards[1].port, 2);
	assert_memory_equal(&now.guards[1].mac, &b, sizeof(b));
	assert_int_equal(now.n_statics, 2);
	assert_int_equal(now.statics[0].port, 1);
	assert_int_equal(now.statics[0].segment, 2);
	assert_memory_equal(&now.statics[0].mac, &a, sizeof(a));
	assert_int_equal(now.statics[1].port, 4);
	assert_memory_equal(&now.statics[1].mac, &vp0, sizeof(vp0));
	layout_free(&now);
	model_free(&m);
}

static void ids_stay_with_their_names(void **state)
{
	struct model m = model_of(text);

	(void)state;
	assert_int_equal(layout_make(&before, &m, facts, NULL), 0);
	before.port_info[5].egress_base = 42;
	before.port_info[5].flags = VP_INFO_CLSACT;
	model_del_port(&m, "a");
	make_port(&m, "aa", VP_KIND_GUEST, "");
	strcpy(model_port(&m, "w")->device, "eth2");
	m.segments[0] = m.segments[1];
	m.n_segments = 1;
	make_segment(&m, "new");
	strcpy(model_port(&m, "w")->segment, "new");
	assert_int_equal(layout_make(&now, &m, NULL, &before), 0);
	assert_int_equal(layout_port_id(&now, "b"), 2);
	assert_int_equal(layout_port_id(&now, "w"), 5);
	assert_int_equal(now.port_info[5].egress_base, 42);
	assert_int_equal(now.port_info[5].flags, VP_INFO_CLSACT);
	assert_int_equal(now.port_info[5].incarnation, 1);
	assert_string_equal(now.port_info[5].device, "eth2");
	assert_int_equal(layout_segment_id(&now, "lan"), 2);
	/* a's id 1 and dmz's id 1 are being freed and not yet given away. */
	assert_int_equal(layout_port_id(&now, "aa"), 6);
	assert_int_equal(layout_segment_id(&now, "new"), 3);
	assert_string_equal(now.port_info[1].name, "");
	assert_int_equal(now.port_info[1].incarnation, 1);
	assert_int_equal(now.top_port, 6);
	layout_free(&now);
	layout_free(&before);
	model_free(&m);
}

static void a_freed_id_comes_back_as_another_incarnation(void **state)
{
	struct model m = model_of(text);

	(void)state;
	assert_int_equal(layout_make(&before, &m, facts, NULL), 0);
	/* As plane_forget_port() leaves it. */
	before.port_info[1] = (struct vp_port_info){ .incarnation = 255 };
	model_del_port(&m, "a");
	make_port(&m, "aa", VP_KIND_GUEST, "");
	assert_int_equal(layout_make(&now, &m, NULL, &before), 0);
	assert_int_equal(layout_port_id(&now, "aa"), 1);
	assert_int_equal(now.port_info[1].incarnation, 256);
	assert_int_equal(now.ports[1].incarnation, 0);
	layout_free(&now);
	layout_free(&before);
	model_free(&m);
}

static void every_id_can_be_used_and_no_more(void **state)
{
	struct model m;
	char name[16], *said_text;
	int i;

	(void)state;
	model_init(&m);
	for (i = 1; i < VP_MAX_SEGMENTS; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		make_segment(&m, name);
	}
	for (i = 1; i < VP_MAX_PORTS; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		make_port(&m, name, VP_KIND_GUEST, "s1");
	}
	assert_int_equal(layout_make(&before, &m, NULL, NULL), 0);
	assert_int_equal(before.top_port, VP_MAX_PORTS - 1);
	assert_int_equal(before.top_segment, VP_MAX_SEGMENTS - 1);
	assert_int_equal(before.segments[1].count, VP_MAX_PORTS - 1);
	strcpy(m.ports[0].name, "other"); /* its id would be free only after p1 is gone */
	listen(false);
	assert_int_equal(layout_make(&now, &m, NULL, &before), -ENOSPC);
	said_text = heard();
	assert_says(said_text, "no free id for other: 2047 ports");
	free(said_text);
	strcpy(m.ports[0].name, "p1");
	strcpy(m.segments[0].name, "other");
	listen(false);
	assert_int_equal(layout_make(&now, &m, NULL, &before), -ENOSPC);
	said_text = heard();
	assert_says(said_text, "no free id for other: 511 segments");
	free(said_text);
	layout_free(&before);
	model_free(&m);
}

static void age_is_rounded_up_to_ticks(void **state)
{
	static const struct {
		uint32_t seconds, ticks;
	} rows[] = { { 0, 0 }, { 1, 1 }, { 2, 2 }, { 15, 14 }, { 300, 280 }, { 4294967295U, 4000000000U } };
	struct model m = model_of("version: 1\nsegments: [{name: a}]\n");
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		m.segments[0].age = rows[i].seconds;
		assert_int_equal(layout_make(&now, &m, NULL, NULL), 0);
		assert_int_equal(now.segments[1].age_ticks, rows[i].ticks);
		layout_free(&now);
	}
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_say_what_the_model_and_the_facts_say),
		cmocka_unit_test(duplicates_are_flags),
		cmocka_unit_test(segments_hold_their_members),
		cmocka_unit_test(trunks_carry_segments_tagged),
		cmocka_unit_test(xdp_floods_only_where_it_reaches_everyone),
		cmocka_unit_test(guards_are_for_guests_and_statics_for_segments),
		cmocka_unit_test(ids_stay_with_their_names),
		cmocka_unit_test(a_freed_id_comes_back_as_another_incarnation),
		cmocka_unit_test(every_id_can_be_used_and_no_more),
		cmocka_unit_test(age_is_rounded_up_to_ticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
