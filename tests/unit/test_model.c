/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "unit.h"

static void a_port_keeps_its_addresses_sorted_and_once(void **state)
{
	struct mac a = mac_of("02:00:00:00:00:01"), b = mac_of("02:00:00:00:00:02"), c = mac_of("02:00:00:00:00:03");
	struct port p;

	(void)state;
	port_init(&p, VP_KIND_GUEST);
	assert_int_equal(port_add_mac(&p, &b), 0);
	assert_int_equal(port_add_mac(&p, &c), 0);
	assert_int_equal(port_add_mac(&p, &a), 0);
	assert_int_equal(port_add_mac(&p, &b), -EEXIST);
	assert_int_equal(p.n_macs, 3);
	assert_memory_equal(&p.macs[0], &a, sizeof(a));
	assert_memory_equal(&p.macs[1], &b, sizeof(b));
	assert_memory_equal(&p.macs[2], &c, sizeof(c));
	port_free(&p);
	port_free(&p);
}

static void defaults_follow_the_kind(void **state)
{
	struct port guest, host, uplink;

	(void)state;
	port_init(&guest, VP_KIND_GUEST);
	port_init(&host, VP_KIND_HOST);
	port_init(&uplink, VP_KIND_UPLINK);
	assert_int_equal(guest.quota, QUOTA_GUEST);
	assert_int_equal(uplink.quota, QUOTA_UPLINK);
	assert_int_equal(guest.broadcast_pps, BROADCAST_PPS);
	assert_int_equal(host.broadcast_pps, 0);
	assert_int_equal(uplink.broadcast_pps, 0);
}

static void a_copy_is_equal_and_stands_alone(void **state)
{
	struct model m =
		model_of("version: 1\nsegments: [{name: lan}]\nports:\n  - {name: a, device: t0, segment: lan, "
			 "mac: [\"02:00:00:00:00:02\", \"02:00:00:00:00:01\"], tagged: [y, x]}\n"
			 "  - {name: b, device: t1}\n"
			 "  - {name: c, device: t2}\nbindings: [{a: b, b: c}]\n");
	struct model copy;

	(void)state;
	assert_int_equal(model_copy(&copy, &m), 0);
	assert_models_equal(&m, &copy);
	assert_int_equal(copy.ports[0].at.line, 4);
	model_free(&m);
	assert_ptr_equal(copy.ports[0].at.file, copy.file);
	assert_ptr_equal(copy.segments[0].at.file, copy.file);
	assert_ptr_equal(copy.bindings[0].at.file, copy.file);
	assert_string_equal(copy.file, "plane.yaml");
	assert_int_equal(copy.ports[0].n_macs, 2);
	assert_true(port_in_segment(&copy.ports[0], "y") && port_in_segment(&copy.ports[0], "lan"));
	assert_false(port_in_segment(&copy.ports[0], "z") || port_in_segment(&copy.ports[1], ""));
	assert_true(port_in_any(&copy.ports[0]) && !port_in_any(&copy.ports[1]));
	model_free(&copy);
	model_free(&copy);
}

static void growth_and_removal_keep_the_rest(void **state)
{
	struct model m;
	char name[16];
	int i;

	(void)state;
	model_init(&m);
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "p%02d", i);
		assert_non_null(make_port(&m, name, VP_KIND_GUEST, ""));
	}
	for (i = 0; i < 100; i += 2) {
		snprintf(name, sizeof(name), "p%02d", i);
		model_del_port(&m, name);
	}
	assert_int_equal(m.n_ports, 50);
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "q%02d", i);
		assert_non_null(make_port(&m, name, VP_KIND_GUEST, ""));
	}
	assert_null(model_port(&m, "p00"));
	assert_non_null(model_port(&m, "p99"));
	assert_non_null(model_port(&m, "q49"));
	model_del_port(&m, "nobody");
	assert_int_equal(m.n_ports, 100);
	model_free(&m);
}

static void a_deleted_port_takes_its_binding_along(void **state)
{
	struct model m;

	(void)state;
	model_init(&m);
	make_port(&m, "a", VP_KIND_GUEST, "");
	make_port(&m, "b", VP_KIND_HOST, "");
	make_port(&m, "c", VP_KIND_GUEST, "");
	make_port(&m, "d", VP_KIND_HOST, "");
	make_binding(&m, "a", "b");
	make_binding(&m, "d", "c");
	assert_string_equal(model_peer(&m, "b"), "a");
	assert_string_equal(model_peer(&m, "d"), "c");
	assert_null(model_peer(&m, "e"));
	model_del_port(&m, model_port(&m, "b")->name);
	assert_int_equal(m.n_bindings, 1);
	assert_null(model_peer(&m, "a"));
	assert_string_equal(model_peer(&m, "c"), "d");
	model_del_binding(&m, "c");
	assert_int_equal(m.n_bindings, 0);
	model_free(&m);
}

static void sorting_orders_names_and_ends(void **state)
{
	struct model m;

	(void)state;
	model_init(&m);
	make_segment(&m, "z");
	make_segment(&m, "a");
	make_port(&m, "y", VP_KIND_GUEST, "z");
	make_port(&m, "b", VP_KIND_GUEST, "a");
	make_binding(&m, "y", "b");
	make_binding(&m, "b", "a");
	model_sort(&m);
	assert_string_equal(m.segments[0].name, "a");
	assert_string_equal(m.ports[0].name, "b");
	assert_string_equal(m.bindings[0].a, "a");
	assert_string_equal(m.bindings[0].b, "b");
	assert_string_equal(m.bindings[1].a, "b");
	assert_string_equal(m.bindings[1].b, "y");
	model_free(&m);
}

static void derived(struct model *m, const char *plane, size_t ports)
{
	char name[32];
	size_t i;

	model_init(m);
	for (i = 0; i < ports; i++) {
		snprintf(name, sizeof(name), "vp%zu", i);
		make_port(m, name, VP_KIND_HOST, "lan")->mac_auto = true;
	}
	assert_int_equal(model_derive(m, plane), 0);
}

static void derived_addresses_are_stable_local_and_different(void **state)
{
	struct model a, b, other;
	size_t i, j;

	(void)state;
	derived(&a, "default", 300);
	derived(&b, "default", 300);
	derived(&other, "second", 300);
	assert_int_equal(model_derive(&a, "default"), 0); /* once more changes nothing */
	for (i = 0; i < 300; i++) {
		assert_int_equal(a.ports[i].n_macs, 1);
		assert_int_equal(a.ports[i].macs[0].b[0] & 3, 2);
		assert_int_equal(mac_cmp(&a.ports[i].macs[0], &b.ports[i].macs[0]), 0);
		for (j = 0; j < 300; j++) {
			assert_int_not_equal(mac_cmp(&a.ports[i].macs[0], &other.ports[j].macs[0]), 0);
			assert_true(i == j || mac_cmp(&a.ports[i].macs[0], &a.ports[j].macs[0]));
		}
	}
	model_free(&a);
	model_free(&b);
	model_free(&other);
}

/* vp0 and vp1 differ in one bit; in a good hash about half of all bits follow. */
/* Computed apart from our code: whoever needs the address of a port elsewhere computes it likewise. */
static void derived_addresses_are_those_that_were_published(void **state)
{
	static const struct {
		const char *machine, *plane, *port;
		uint32_t turn;
		const char *mac;
	} vectors[] = {
		{ "0123456789abcdef0123456789abcdef", "default", "vp0", 0, "56:9c:62:9e:07:49" },
		{ "0123456789abcdef0123456789abcdef", "default", "vp0", 1, "5a:b1:1b:39:61:2a" },
		{ "0123456789abcdef0123456789abcdef", "default", "vp1", 0, "d2:c5:88:5d:33:32" },
		{ "0123456789abcdef0123456789abcdef", "lab", "vp0", 0, "86:38:ac:64:bc:61" },
		{ "", "default", "vp0", 0, "4a:46:45:fc:5f:9b" },
		{ "0123456789abcdef0123456789abcdef", "default", "qnx7-guest1.p2p", 0, "56:3d:5a:86:3f:1a" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		char text[MAC_TEXT];
		struct mac mac;

		model_auto_mac(vectors[i].machine, vectors[i].plane, vectors[i].port, vectors[i].turn, &mac);
		assert_string_equal(value_mac_text(&mac, text), vectors[i].mac);
	}
}

/* Two names of sixteen million whose addresses are one; the later name gives way, in whatever order they stand. */
static void derived_addresses_never_collide(void **state)
{
	static const char machine[] = "0123456789abcdef0123456789abcdef";
	struct mac first = mac_of("ee:dd:46:e4:9d:22"), next = mac_of("42:71:0d:43:b3:bc");
	int turn;

	(void)state;
	for (turn = 0; turn < 2; turn++) {
		struct model m;

		model_init(&m);
		make_segment(&m, "lan");
		make_port(&m, turn ? "p177963" : "p10667368", VP_KIND_HOST, "lan")->mac_auto = true;
		make_port(&m, turn ? "p10667368" : "p177963", VP_KIND_HOST, "lan")->mac_auto = true;
		assert_int_equal(port_add_tagged(&m.ports[0], "x"), 0);
		assert_int_equal(model_derive_for(&m, machine, "default"), 0);
		assert_int_equal(model_derive_for(&m, machine, "default"), 0);
		assert_int_equal(m.ports[0].n_tagged, 1);
		assert_int_equal(m.ports[0].n_macs, 1);
		assert_memory_equal(model_port(&m, "p10667368")->macs, &first, sizeof(first));
		assert_memory_equal(model_port(&m, "p177963")->macs, &next, sizeof(next));
		model_free(&m);
	}
}

static void derived_addresses_are_well_spread(void **state)
{
	unsigned int count[46] = { 0 }, i, bit;
	struct model m;

	(void)state;
	derived(&m, "default", 2000);
	for (i = 0; i < 2000; i++)
		for (bit = 2; bit < 48; bit++)
			count[bit - 2] += m.ports[i].macs[0].b[bit / 8] >> (bit % 8) & 1;
	for (bit = 0; bit < 46; bit++)
		assert_in_range(count[bit], 850, 1150);
	model_free(&m);
}

static void only_auto_ports_get_an_address(void **state)
{
	struct mac mac = mac_of("02:00:00:00:00:01");
	struct model m;

	(void)state;
	model_init(&m);
	make_port(&m, "a", VP_KIND_GUEST, "");
	port_add_mac(make_port(&m, "b", VP_KIND_GUEST, ""), &mac);
	assert_int_equal(model_derive(&m, "default"), 0);
	assert_int_equal(m.ports[0].n_macs, 0);
	assert_int_equal(mac_cmp(&m.ports[1].macs[0], &mac), 0);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_keeps_its_addresses_sorted_and_once),
		cmocka_unit_test(defaults_follow_the_kind),
		cmocka_unit_test(a_copy_is_equal_and_stands_alone),
		cmocka_unit_test(growth_and_removal_keep_the_rest),
		cmocka_unit_test(a_deleted_port_takes_its_binding_along),
		cmocka_unit_test(sorting_orders_names_and_ends),
		cmocka_unit_test(derived_addresses_are_stable_local_and_different),
		cmocka_unit_test(derived_addresses_are_those_that_were_published),
		cmocka_unit_test(derived_addresses_never_collide),
		cmocka_unit_test(derived_addresses_are_well_spread),
		cmocka_unit_test(only_auto_ports_get_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
