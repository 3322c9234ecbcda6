/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "plan.h"
#include "unit.h"

static const char base[] =
	"version: 1\n"
	"segments:\n  - {name: dmz}\n  - {name: lan}\n"
	"ports:\n"
	"  - {name: a, device: t0, segment: lan, mac: [\"02:00:00:00:00:01\", \"02:00:00:00:00:02\"]}\n"
	"  - {name: b, device: t1}\n"
	"  - {name: c, device: t2}\n"
	"  - {name: d, device: t3}\n"
	"  - {name: vp0, kind: host, segment: dmz, mac: auto}\n"
	"bindings: [{a: b, b: c}]\n";

static struct model base_model(void)
{
	struct model m = model_of(base);

	assert_int_equal(model_derive(&m, "p"), 0);
	model_sort(&m);
	return m;
}

/* One line per change: "set port a: carrier auto -> tc". */
static char *plan_text(const struct model *have, const struct model *want)
{
	static const char *const kinds[] = { "add", "set", "del" }, *const objects[] = { "segment", "port", "binding" };
	char *text = NULL;
	size_t len, i;
	struct plan p;
	FILE *f = open_memstream(&text, &len);

	plan_init(&p);
	assert_int_equal(plan_make(&p, have, want), 0);
	for (i = 0; i < p.n; i++)
		fprintf(f, "%s %s %s%s%s\n", kinds[p.changes[i].kind], objects[p.changes[i].object], p.changes[i].name,
			p.changes[i].detail[0] ? ": " : "", p.changes[i].detail);
	fclose(f);
	plan_free(&p);
	plan_free(&p);
	return text;
}

static void assert_plan(const struct model *have, const struct model *want, const char *expected)
{
	char *text = plan_text(have, want);

	assert_string_equal(text, expected);
	free(text);
}

static void equal_planes_give_an_empty_plan(void **state)
{
	struct model a = base_model(), b = base_model(), none;

	(void)state;
	assert_plan(&a, &b, "");
	model_init(&none);
	assert_plan(&none, &none, "");
	model_free(&a);
	model_free(&b);
}

static void from_nothing_and_to_nothing_is_in_the_order_of_need(void **state)
{
	struct model m = base_model(), none;

	(void)state;
	model_init(&none);
	assert_plan(&none, &m,
		    "add segment dmz\nadd segment lan\nadd port a\nadd port b\nadd port c\nadd port d\nadd port vp0\n"
		    "add binding b c\n");
	assert_plan(&m, &none,
		    "del binding b c\ndel port a\ndel port b\ndel port c\ndel port d\ndel port vp0\n"
		    "del segment dmz\ndel segment lan\n");
	model_free(&m);
}

/* ---- each field of each struct, changed alone ---- */

static void s_vlan(struct model *m)
{
	m->segments[1].vlan = 10;
}

static void s_age(struct model *m)
{
	m->segments[1].age = 0;
}

static void s_flood(struct model *m)
{
	m->segments[1].flood = false;
}

static void s_duplicate(struct model *m)
{
	m->segments[1].duplicate = DUPLICATE_DROP;
}

static void p_device(struct model *m)
{
	strcpy(m->ports[0].device, "t9");
}

static void p_kind(struct model *m)
{
	m->ports[0].kind = VP_KIND_UPLINK;
}

static void p_segment(struct model *m)
{
	strcpy(m->ports[0].segment, "dmz");
}

static void p_segment_none(struct model *m)
{
	strcpy(m->ports[0].segment, "");
}

static void p_tagged(struct model *m)
{
	port_add_tagged(&m->ports[0], "lan");
	port_add_tagged(&m->ports[0], "dmz");
}

static void p_mac_more(struct model *m)
{
	struct mac mac = mac_of("02:00:00:00:00:03");

	port_add_mac(&m->ports[0], &mac);
}

static void p_mac_other(struct model *m)
{
	m->ports[0].macs[1].b[5] = 9;
}

static void p_mac_none(struct model *m)
{
	port_free(&m->ports[0]);
}

static void p_mac_first(struct model *m)
{
	struct mac mac = mac_of("02:00:00:00:00:03");

	port_add_mac(&m->ports[1], &mac);
}

static void p_mac_auto(struct model *m)
{
	m->ports[1].mac_auto = true;
}

static void p_alias(struct model *m)
{
	strcpy(m->ports[0].alias, "/dev/qvm/g1/net0");
}

static void p_carrier(struct model *m)
{
	m->ports[0].carrier = CARRIER_TC;
}

static void p_mode(struct model *m)
{
	m->ports[0].mode = MODE_GENERIC;
}

static void p_attach(struct model *m)
{
	m->ports[0].attach = ATTACH_SHARED;
}

static void p_quota(struct model *m)
{
	m->ports[0].quota = 1;
}

static void p_broadcast(struct model *m)
{
	m->ports[0].broadcast_pps = 0;
}

static void b_other_end(struct model *m)
{
	strcpy(m->bindings[0].b, "d");
}

static void places(struct model *m)
{
	m->ports[0].at.line = 99;
	m->segments[0].at.file = NULL;
	m->bindings[0].at.column = 77;
}

static void each_field_changed_alone_is_one_change(void **state)
{
	static const struct {
		void (*change)(struct model *);
		const char *expected;
	} changes[] = {
		{ s_vlan, "set segment lan: vlan none -> 10\n" },
		{ s_age, "set segment lan: age 300 -> never\n" },
		{ s_flood, "set segment lan: flood true -> false\n" },
		{ s_duplicate, "set segment lan: duplicate move -> drop\n" },
		{ p_device, "set port a: device t0 -> t9\n" },
		{ p_kind, "set port a: kind guest -> uplink\n" },
		{ p_segment, "set port a: segment lan -> dmz\n" },
		{ p_segment_none, "set port a: segment lan -> none\n" },
		{ p_tagged, "set port a: tagged none -> dmz,lan\n" },
		{ p_mac_more, "set port a: mac 02:00:00:00:00:01 +1 -> 02:00:00:00:00:01 +2\n" },
		{ p_mac_other, "set port a: mac 02:00:00:00:00:01 +1 -> as many others\n" },
		{ p_mac_none, "set port a: mac 02:00:00:00:00:01 +1 -> any\n" },
		{ p_mac_first, "set port b: mac any -> 02:00:00:00:00:03\n" },
		{ p_mac_auto, "set port b: mac any -> auto\n" },
		{ p_alias, "set port a: alias none -> /dev/qvm/g1/net0\n" },
		{ p_carrier, "set port a: carrier auto -> tc\n" },
		{ p_mode, "set port a: mode native -> generic\n" },
		{ p_attach, "set port a: attach link -> shared\n" },
		{ p_quota, "set port a: quota 64 -> 1\n" },
		{ p_broadcast, "set port a: broadcast_pps 1000 -> unlimited\n" },
		{ b_other_end, "add binding b d\ndel binding b c\n" },
		{ places, "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct model have = base_model(), want = base_model();

		changes[i].change(&want);
		assert_plan(&have, &want, changes[i].expected);
		model_free(&have);
		model_free(&want);
	}
}

static void several_fields_of_a_port_are_one_change(void **state)
{
	struct model have = base_model(), want = base_model();

	(void)state;
	p_carrier(&want);
	p_mac_none(&want);
	p_quota(&want);
	assert_plan(&have, &want, "set port a: mac 02:00:00:00:00:01 +1 -> any, carrier auto -> tc, quota 64 -> 1\n");
	model_free(&have);
	model_free(&want);
}

static void a_name_changed_is_one_gone_and_one_new(void **state)
{
	struct model have = base_model(), want = base_model();

	(void)state;
	strcpy(want.ports[3].name, "e");
	assert_plan(&have, &want, "add port e\ndel port d\n");
	model_free(&have);
	model_free(&want);
}

static void a_port_moves_from_a_binding_into_a_segment_and_back(void **state)
{
	struct model have = base_model(), want = base_model();

	(void)state;
	model_del_binding(&want, "b");
	strcpy(model_port(&want, "b")->segment, "lan");
	assert_plan(&have, &want, "set port b: segment none -> lan\ndel binding b c\n");
	assert_plan(&want, &have, "set port b: segment lan -> none\nadd binding b c\n");
	model_free(&have);
	model_free(&want);
}

static void propagate_alone_is_a_change(void **state)
{
	struct model have = base_model(), want = base_model();

	(void)state;
	want.bindings[0].propagate = true;
	assert_plan(&have, &want, "set binding b c: propagate false -> true\n");
	assert_plan(&want, &have, "set binding b c: propagate true -> false\n");
	assert_plan(&want, &want, "");
	model_free(&have);
	model_free(&want);
}

static void the_ends_of_a_binding_have_no_order(void **state)
{
	struct model have = base_model(), want = base_model();

	(void)state;
	strcpy(want.bindings[0].a, "c");
	strcpy(want.bindings[0].b, "b");
	assert_plan(&have, &want, "");
	model_free(&have);
	model_free(&want);
}

static void what_is_too_long_ends_in_dots(void **state)
{
	struct model have = base_model(), want = base_model();
	char *text;

	(void)state;
	p_kind(&want);
	strcpy(want.ports[0].segment, "a-segment-with-31-letters-in-it");
	p_mac_more(&want);
	p_carrier(&want);
	p_mode(&want);
	p_quota(&want);
	p_broadcast(&want);
	text = plan_text(&have, &want);
	assert_int_equal(strlen(text), strlen("set port a: ") + sizeof(((struct change *)0)->detail));
	assert_says(text, "...\n");
	assert_says(text, "kind guest -> uplink, segment lan -> a-segment");
	free(text);
	model_free(&have);
	model_free(&want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_planes_give_an_empty_plan),
		cmocka_unit_test(from_nothing_and_to_nothing_is_in_the_order_of_need),
		cmocka_unit_test(each_field_changed_alone_is_one_change),
		cmocka_unit_test(several_fields_of_a_port_are_one_change),
		cmocka_unit_test(a_name_changed_is_one_gone_and_one_new),
		cmocka_unit_test(a_port_moves_from_a_binding_into_a_segment_and_back),
		cmocka_unit_test(propagate_alone_is_a_change),
		cmocka_unit_test(the_ends_of_a_binding_have_no_order),
		cmocka_unit_test(what_is_too_long_ends_in_dots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
