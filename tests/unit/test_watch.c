/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which events concern which port; when a device is held down and when it is released. */
#include "hold.h"
#include "watch.h"

#include "unit.h"

/* g1 is attached to tap1 (index 11), g2 waits for tap2, up0 is an uplink (13), vp0 a host port (14). */
static struct watch table(void)
{
	struct watch w;

	watch_init(&w);
	assert_int_equal(watch_add(&w, "g2", "tap2", VP_KIND_GUEST, 0), 0);
	assert_int_equal(watch_add(&w, "g1", "tap1", VP_KIND_GUEST, 11), 0);
	assert_int_equal(watch_add(&w, "up0", "eth1", VP_KIND_UPLINK, 13), 0);
	assert_int_equal(watch_add(&w, "vp0", "vp0-p", VP_KIND_HOST, 14), 0);
	assert_int_equal(watch_ready(&w), 0);
	return w;
}

static struct link_info device(const char *name, uint32_t ifindex)
{
	struct link_info l = { .ifindex = ifindex, .mtu = 1500, .up = true, .running = true, .promiscuity = 1 };

	snprintf(l.name, sizeof(l.name), "%s", name);
	return l;
}

static void see(struct watch *w, enum link_event_kind kind, struct link_info l)
{
	watch_see(w, &(struct link_event){ .kind = kind, .link = l });
}

/* The table when all that there is has been looked at. */
static struct watch seen(void)
{
	struct link_info all[] = { device("lo", 1), device("tap1", 11), device("eth1", 13), device("vp0-p", 14) };
	struct watch w = table();

	watch_look(&w, all, 4);
	for (size_t i = 0; i < w.n; i++)
		w.ports[i].dirty = false;
	w.dirty = 0;
	w.carriers = false;
	return w;
}

/* Exactly these ports are marked ("" = none); then they are not any more. */
static void assert_marked(struct watch *w, const char *want)
{
	char got[80] = "";
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (!w->ports[i].dirty)
			continue;
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", n++ ? " " : "", w->ports[i].name);
		w->ports[i].dirty = false;
	}
	assert_string_equal(got, want);
	assert_int_equal(w->dirty, n);
	w->dirty = 0;
}

static void a_device_that_comes_goes_or_is_exchanged(void **state)
{
	struct watch w = seen();

	(void)state;
	see(&w, LINK_CHANGED, device("tap2", 12));
	assert_marked(&w, "g2");
	see(&w, LINK_CHANGED, device("tap2", 12));
	assert_marked(&w, ""); /* it was refused, and nothing has changed since */
	see(&w, LINK_CHANGED, device("tap2", 20));
	assert_marked(&w, "g2");
	see(&w, LINK_GONE, device("tap1", 11));
	assert_marked(&w, "g1");
	see(&w, LINK_CHANGED, device("tap1", 11)); /* from another namespace, with its old index */
	assert_marked(&w, "g1");
	see(&w, LINK_CHANGED, device("tap1", 21)); /* the old one is called something else now */
	assert_marked(&w, "g1");
	see(&w, LINK_GONE, device("nobody's", 99));
	see(&w, LINK_CHANGED, device("nobody's", 98));
	see(&w, LINK_GONE, device("tap2", 19));
	assert_marked(&w, "");
	watch_free(&w);
}

static void a_change_that_attach_answers_to(void **state)
{
	struct watch w = seen();
	struct link_info l = device("tap1", 11);

	(void)state;
	see(&w, LINK_CHANGED, l);
	assert_marked(&w, "");
	l.mtu = 9000;
	see(&w, LINK_CHANGED, l);
	assert_marked(&w, "g1");
	l.master = 5;
	see(&w, LINK_CHANGED, l);
	assert_marked(&w, "g1");
	l.xdp_prog = 7; /* our own */
	see(&w, LINK_CHANGED, l);
	assert_marked(&w, "");
	l.xdp_prog = 0;
	see(&w, LINK_CHANGED, l);
	assert_marked(&w, "g1");
	l.promiscuity = 0; /* a guest port need not be */
	l.up = l.running = false;
	snprintf(l.name, sizeof(l.name), "renamed");
	see(&w, LINK_CHANGED, l);
	assert_marked(&w, "");
	l = device("eth1", 13);
	l.promiscuity = 0;
	see(&w, LINK_CHANGED, l);
	assert_marked(&w, "up0");
	see(&w, LINK_ABILITY, (struct link_info){ .ifindex = 14 });
	see(&w, LINK_ABILITY, (struct link_info){ .ifindex = 15 });
	assert_marked(&w, "vp0");
	watch_free(&w);
}

static void carriers_are_noticed(void **state)
{
	struct watch w = seen();
	struct link_info l = device("tap1", 11);

	(void)state;
	see(&w, LINK_CHANGED, l);
	assert_false(w.carriers);
	l.running = false;
	see(&w, LINK_CHANGED, l);
	assert_true(w.carriers);
	w.carriers = false;
	see(&w, LINK_CHANGED, device("else", 50));
	assert_false(w.carriers);
	see(&w, LINK_GONE, l);
	assert_true(w.carriers);
	watch_free(&w);
}

static void a_look_finds_what_events_did_not_say(void **state)
{
	struct link_info some[] = { device("tap2", 10), device("eth1", 13), device("tap1", 21) };
	struct watch w = seen();

	(void)state;
	some[1].mtu = 1400;
	watch_look(&w, some, 3);
	assert_marked(&w, "up0 g1 g2 vp0");
	watch_look(&w, NULL, 0);
	assert_marked(&w, "up0 g1 vp0");
	watch_free(&w);
	watch_init(&w);
	watch_look(&w, some, 3);
	assert_marked(&w, "");
	watch_free(&w);
}

static void a_wire_has_two_ends(void **state)
{
	struct watch w = table();

	(void)state;
	assert_int_equal(watch_add_wire(&w, "g1", "vp0"), 0);
	assert_int_equal(watch_add_wire(&w, "g1", "nobody"), -ENOENT);
	assert_int_equal(w.n_wires, 1);
	assert_string_equal(w.wires[0].end[0]->device, "tap1");
	assert_string_equal(w.wires[0].end[1]->device, "vp0-p");
	watch_free(&w);
}

/* ---- holding ---- */

/* p present, u up, r running, h held, s settling */
static struct hold_end end(const char *letters)
{
	return (struct hold_end){ .present = strchr(letters, 'p'),
				  .up = strchr(letters, 'u'),
				  .running = strchr(letters, 'r'),
				  .held = strchr(letters, 'h'),
				  .settling = strchr(letters, 's') };
}

static void one_end_without_carrier_takes_the_other_down(void **state)
{
	static const struct {
		const char *a, *b;
		enum hold_act at_a, at_b;
	} cases[] = {
		{ "pur", "pur", HOLD_NOTHING, HOLD_NOTHING },
		{ "pu", "pur", HOLD_NOTHING, HOLD_DOWN }, /* no carrier */
		{ "p", "pur", HOLD_NOTHING, HOLD_DOWN },  /* taken down by somebody */
		{ "", "pur", HOLD_NOTHING, HOLD_DOWN },	  /* absent */
		{ "pur", "pu", HOLD_DOWN, HOLD_NOTHING },
		{ "pu", "ph", HOLD_NOTHING, HOLD_NOTHING },  /* held, and rightly */
		{ "pur", "ph", HOLD_NOTHING, HOLD_RELEASE }, /* the cause is over */
		{ "pu", "purh", HOLD_NOTHING, HOLD_DOWN },   /* put up by hand */
		{ "pu", "pu", HOLD_NOTHING, HOLD_NOTHING },  /* nobody to tell; who returns first, is seen */
		{ "", "", HOLD_NOTHING, HOLD_NOTHING },
		{ "", "pu", HOLD_NOTHING, HOLD_NOTHING },
		{ "ph", "ph", HOLD_RELEASE, HOLD_RELEASE },   /* neither can be a cause */
		{ "pur", "pus", HOLD_NOTHING, HOLD_NOTHING }, /* released a moment ago */
		{ "pu", "pus", HOLD_NOTHING, HOLD_DOWN },     /* and the cause is back */
		{ "", "h", HOLD_NOTHING, HOLD_NOTHING },      /* held, and gone since */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hold_end ends[2] = { end(cases[i].a), end(cases[i].b) }, turned[2] = { ends[1], ends[0] };
		enum hold_act acts[2];

		hold_decide(ends, acts);
		if (acts[0] != cases[i].at_a || acts[1] != cases[i].at_b)
			fail_msg("\"%s\" and \"%s\": %d, %d", cases[i].a, cases[i].b, (int)acts[0], (int)acts[1]);
		hold_decide(turned, acts);
		assert_true(acts[1] == cases[i].at_a && acts[0] == cases[i].at_b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_that_comes_goes_or_is_exchanged),
		cmocka_unit_test(a_change_that_attach_answers_to),
		cmocka_unit_test(carriers_are_noticed),
		cmocka_unit_test(a_look_finds_what_events_did_not_say),
		cmocka_unit_test(a_wire_has_two_ends),
		cmocka_unit_test(one_end_without_carrier_takes_the_other_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
