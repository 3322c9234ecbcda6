/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "unit.h"

#define HEAD "version: 1\nsegments:\n  - name: lan\n  - name: dmz\nports:\n"

/* The text is well formed; `expected` is all that checking it says. */
static void check_text(const char *text, int ret, const char *expected)
{
	struct model m = model_of(text);

	listen(false);
	assert_int_equal(model_check(&m), ret);
	assert_heard(expected);
	model_free(&m);
}

static void a_good_plane_says_nothing(void **state)
{
	(void)state;
	check_text(HEAD "  - {name: a, device: t0, segment: lan, mac: \"52:54:00:00:00:01\"}\n"
			"  - {name: b, device: t1, segment: dmz, mac: \"52:54:00:00:00:01\"}\n"
			"  - {name: vp0, kind: host, segment: lan, mac: auto}\n"
			"  - {name: c, device: t2, mode: generic, carrier: tc}\n"
			"  - {name: w, kind: uplink, device: eth1}\n"
			"bindings: [{a: c, b: w}]\n",
		   0, "");
}

static void names_are_unique(void **state)
{
	(void)state;
	check_text("version: 1\nsegments: [{name: lan}, {name: lan}]\nports:\n"
		   "  - {name: a, device: t0, segment: lan}\n  - {name: a, device: t1, segment: lan}\n",
		   -EINVAL,
		   "vpeer: plane.yaml:2:25: segment lan: this name is taken by another segment (plane.yaml:2:12)\n"
		   "vpeer: plane.yaml:5:5: port a: this name is taken by another port (plane.yaml:4:5)\n");
}

static void aliases_are_unique(void **state)
{
	(void)state;
	check_text(HEAD "  - {name: b, device: t0, segment: lan, alias: /dev/qvm/g/n}\n"
			"  - {name: c, device: t1, segment: lan, alias: /dev/qvm/g/m}\n"
			"  - {name: a, device: t2, segment: lan, alias: /dev/qvm/g/n}\n",
		   -EINVAL,
		   "vpeer: plane.yaml:8:5: port a: alias /dev/qvm/g/n is already that of port b (plane.yaml:6:5)\n");
}

static void a_device_belongs_to_one_port(void **state)
{
	(void)state;
	check_text(HEAD "  - {name: a, device: t0, segment: lan}\n  - {name: b, device: t0, segment: lan}\n", -EINVAL,
		   "vpeer: plane.yaml:7:5: port b: device t0 is already used by port a (plane.yaml:6:5)\n");
	check_text(HEAD "  - {name: vp0, kind: host, segment: lan}\n  - {name: b, device: vp0-p, segment: lan}\n",
		   -EINVAL,
		   "vpeer: plane.yaml:7:5: port b: device vp0-p is already used by port vp0 (plane.yaml:6:5)\n");
	check_text(HEAD "  - {name: vp0, kind: host, segment: lan}\n  - {name: b, device: vp0, segment: lan}\n",
		   -EINVAL, "vpeer: plane.yaml:7:5: port b: device vp0 is already used by port vp0 (plane.yaml:6:5)\n");
}

static void guests_and_uplinks_need_a_device(void **state)
{
	(void)state;
	check_text(HEAD "  - {name: a, segment: lan}\n  - {name: b, kind: uplink, segment: lan}\n", -EINVAL,
		   "vpeer: plane.yaml:6:5: port a: a guest port needs `device`: its TAP or veth end\n"
		   "vpeer: plane.yaml:7:5: port b: an uplink needs `device`: the NIC it stands for\n");
}

static void a_host_port_is_its_interface(void **state)
{
	(void)state;
	check_text(HEAD "  - {name: vp0, kind: host, device: eth0, segment: lan}\n", -EINVAL,
		   "vpeer: plane.yaml:6:5: port vp0: a host port's device is its own name; "
		   "leave `device` out or make them equal\n");
	check_text(HEAD "  - {name: fourteenletter, kind: host, segment: lan}\n", -EINVAL,
		   "vpeer: plane.yaml:6:5: port fourteenletter: the name of a host port is its interface's "
		   "and has at most 13 characters\n");
	check_text(HEAD "  - {name: thirteenlette, kind: host, segment: lan}\n", 0, "");
}

static void only_devices_of_others_are_shared(void **state)
{
	(void)state;
	check_text(HEAD "  - {name: vp0, kind: host, segment: lan, attach: shared}\n", -EINVAL,
		   "vpeer: plane.yaml:6:5: port vp0: `attach: shared` is for uplinks: "
		   "a host port's veth is the plane's own, "
		   "and nobody else has a program there; leave it out\n");
	check_text(HEAD "  - {name: w, kind: uplink, device: eth1, segment: lan, attach: shared}\n"
			"  - {name: a, device: t0, segment: lan, attach: shared}\n"
			"  - {name: vp0, kind: host, segment: lan, attach: link}\n", 0, "");
}

static void a_host_port_has_no_generic_mode(void **state)
{
	static const char refusal[] =
		"vpeer: plane.yaml:6:5: port vp0: `mode: generic` can't be had on a host port: on its veth VLAN tags "
		"travel beside the frame, where generic XDP doesn't see them; leave `mode` out\n";

	(void)state;
	check_text(HEAD "  - {name: vp0, kind: host, segment: lan, carrier: xdp, mode: generic}\n", -EINVAL, refusal);
	check_text(HEAD "  - {name: vp0, kind: host, segment: lan, mode: generic}\n", -EINVAL, refusal);
	check_text(HEAD "  - {name: vp0, kind: host, segment: lan, carrier: tc, mode: generic}\n"
			"  - {name: vp1, kind: host, segment: lan, carrier: xdp, mode: native}\n"
			"  - {name: a, device: t0, segment: lan, carrier: xdp, mode: generic}\n", 0, "");
}

static void membership_is_in_something_that_exists_and_one_thing(void **state)
{
	(void)state;
	check_text(HEAD "  - {name: a, device: t0, segment: lna}\n", -EINVAL,
		   "vpeer: plane.yaml:6:5: port a: there is no segment lna; add it under `segments`\n");
	check_text(HEAD
		   "  - {name: a, device: t0, segment: lan}\n  - {name: b, device: t1}\nbindings: [{a: b, b: a}]\n",
		   -EINVAL,
		   "vpeer: plane.yaml:6:5: port a: is in segment lan and also bound to b (plane.yaml:8:12); "
		   "a port can be one of the two\n");
	check_text(HEAD "  - {name: a, device: t0}\n", 0,
		   "vpeer: plane.yaml:6:5: warning: port a: is in no segment and no binding: all its frames will be "
		   "dropped (`unbound`)\n");
}

#define TWO_VLANS "version: 1\nsegments:\n  - {name: lan, vlan: 10}\n  - {name: dmz, vlan: 20}\nports:\n"

static void a_tag_means_one_segment_of_a_port(void **state)
{
	(void)state;
	check_text(TWO_VLANS "  - {name: w, device: e1, kind: uplink, tagged: [lan, dmz]}\n", 0, "");
	check_text(TWO_VLANS "  - {name: w, device: e1, kind: uplink, segment: lan, tagged: [dmz]}\n", 0, "");
	check_text(TWO_VLANS "  - {name: w, device: e1, tagged: [lna]}\n", -EINVAL,
		   "vpeer: plane.yaml:6:5: port w: tagged: there is no segment lna; add it under `segments`\n");
	check_text(TWO_VLANS "  - {name: w, device: e1, segment: lan, tagged: [lan]}\n", -EINVAL,
		   "vpeer: plane.yaml:6:5: port w: segment lan is given as `segment` and under `tagged`; "
		   "a port carries it one way\n");
	check_text("version: 1\nsegments: [{name: lan}]\nports:\n  - {name: w, device: e1, tagged: [lan]}\n", -EINVAL,
		   "vpeer: plane.yaml:4:5: port w: tagged: segment lan has no `vlan`, "
		   "so nobody could tell its frames; give it one\n");
	check_text("version: 1\nsegments: [{name: a, vlan: 7}, {name: b, vlan: 7}]\nports:\n"
		   "  - {name: w, device: e1, tagged: [b, a]}\n",
		   -EINVAL,
		   "vpeer: plane.yaml:4:5: port w: tagged: segments a and b both have vlan 7; "
		   "on one port a tag means one segment\n");
	check_text(TWO_VLANS "  - {name: w, device: e1, tagged: [lan]}\n  - {name: x, device: e2}\n"
			     "bindings: [{a: w, b: x}]\n",
		   -EINVAL,
		   "vpeer: plane.yaml:6:5: port w: is in segment lan and also bound to x (plane.yaml:8:12); "
		   "a port can be one of the two\n");
}

/* An address belongs to every segment that its port is in. */
static void a_tagged_address_is_unique_in_its_segment(void **state)
{
	(void)state;
	check_text(TWO_VLANS "  - {name: a, device: t0, tagged: [lan, dmz], mac: \"52:54:00:00:00:01\"}\n"
			     "  - {name: b, device: t1, segment: dmz, mac: \"52:54:00:00:00:01\"}\n",
		   -EINVAL,
		   "vpeer: plane.yaml:7:5: port b: 52:54:00:00:00:01 is already the address of port a "
		   "(plane.yaml:6:5)\n");
	check_text(TWO_VLANS "  - {name: a, device: t0, tagged: [lan], mac: \"52:54:00:00:00:01\"}\n"
			     "  - {name: b, device: t1, segment: dmz, mac: \"52:54:00:00:00:01\"}\n",
		   0, "");
}

static void a_binding_has_two_free_ends(void **state)
{
	(void)state;
	check_text("version: 1\nports:\n  - {name: a, device: t0}\n  - {name: b, device: t1}\n"
		   "  - {name: c, device: t2}\nbindings:\n  - {a: a, b: b}\n  - {a: b, b: c}\n",
		   -EINVAL, "vpeer: plane.yaml:8:5: binding b c: port b is already bound to a (plane.yaml:7:5)\n");
	check_text("version: 1\nports:\n  - {name: a, device: t0}\nbindings:\n  - {a: a, b: a}\n", -EINVAL,
		   "vpeer: plane.yaml:5:5: binding a a: a port can't be bound to itself\n");
	check_text("version: 1\nports:\n  - {name: a, device: t0}\nbindings:\n  - {a: a, b: x}\n", -EINVAL,
		   "vpeer: plane.yaml:5:5: binding a x: there is no port x\n");
	check_text("version: 1\nports:\n  - {name: a, device: t0}\n  - {name: b, device: t1}\nbindings:\n"
		   "  - {a: a, b: b}\n  - {a: b, b: a}\n",
		   -EINVAL,
		   "vpeer: plane.yaml:7:5: binding b a: port b is already bound to a (plane.yaml:6:5)\n"
		   "vpeer: plane.yaml:7:5: binding b a: port a is already bound to b (plane.yaml:6:5)\n");
}

static void an_address_is_unique_in_its_segment(void **state)
{
	(void)state;
	check_text(HEAD
		   "  - {name: a, device: t0, segment: lan, mac: \"52:54:00:00:00:01\"}\n"
		   "  - {name: b, device: t1, segment: lan, mac: [\"52:54:00:00:00:01\", \"52:54:00:00:00:02\"]}\n",
		   -EINVAL,
		   "vpeer: plane.yaml:7:5: port b: 52:54:00:00:00:01 is already the address of port a "
		   "(plane.yaml:6:5)\n");
}

static void an_address_must_be_possible(void **state)
{
	struct mac group = mac_of("01:00:00:00:00:01"), zero = mac_of("00:00:00:00:00:00");
	struct model m;
	struct port *p;

	(void)state;
	model_init(&m);
	make_segment(&m, "lan");
	p = make_port(&m, "a", VP_KIND_GUEST, "lan");
	port_add_mac(p, &group);
	port_add_mac(p, &zero);
	listen(false);
	assert_int_equal(model_check(&m), -EINVAL);
	assert_heard("vpeer: port a: mac: 00:00:00:00:00:00 is all zero; it can be nobody's address\n"
		     "vpeer: port a: mac: 01:00:00:00:00:01 is a group address; it can be nobody's address\n");
	model_free(&m);
}

static void an_address_of_hardware_is_warned_about(void **state)
{
	(void)state;
	check_text(HEAD "  - {name: a, device: t0, segment: lan, mac: \"a0:b0:c0:d0:e0:f0\"}\n", 0,
		   "vpeer: plane.yaml:6:5: warning: port a: mac: a0:b0:c0:d0:e0:f0 lacks the locally administered bit "
		   "(02 in its first byte): it may be the address of real hardware\n");
}

static void too_many_ports_or_segments_are_refused(void **state)
{
	struct model m;
	char name[16], *text;
	int i;

	(void)state;
	model_init(&m);
	for (i = 0; i < VP_MAX_SEGMENTS - 1; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		make_segment(&m, name);
	}
	for (i = 0; i < VP_MAX_PORTS - 1; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		make_port(&m, name, VP_KIND_GUEST, "s0");
	}
	listen(false);
	assert_int_equal(model_check(&m), 0);
	make_segment(&m, "more");
	make_port(&m, "more", VP_KIND_GUEST, "s0");
	assert_int_equal(model_check(&m), -EINVAL);
	text = heard();
	assert_string_equal(text, "vpeer: ports: 2048 are configured; a plane holds 2047: use two planes\n"
				  "vpeer: segments: 512 are configured; a plane holds 511: use two planes\n");
	free(text);
	model_free(&m);
}

static void too_many_addresses_are_refused(void **state)
{
	struct model m;
	struct mac mac;
	struct port *p;
	unsigned int i;

	(void)state;
	model_init(&m);
	make_segment(&m, "lan");
	p = make_port(&m, "a", VP_KIND_GUEST, "lan");
	for (i = 0; i < VP_MAX_MACS; i++) {
		mac = (struct mac){ { 2, 0, 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i } };
		port_add_mac(p, &mac);
	}
	listen(false);
	assert_int_equal(model_check(&m), 0);
	mac = mac_of("02:ff:00:00:00:00");
	port_add_mac(p, &mac);
	assert_int_equal(model_check(&m), -EINVAL);
	assert_heard("vpeer: mac: ports bring 65537 addresses into segments; the MAC table holds 65536\n");
	model_free(&m);
}

/* What the parser refuses may still come from an importer or a verb. */
static void bad_names_are_refused_without_a_file_too(void **state)
{
	struct model m;
	char *text;

	(void)state;
	model_init(&m);
	make_segment(&m, "LAN")->vlan = 4095;
	strcpy(make_port(&m, "a b", VP_KIND_GUEST, "LAN")->device, "t0");
	strcpy(make_port(&m, "c", VP_KIND_GUEST, "LAN")->device, "t/0");
	make_binding(&m, "c", "");
	listen(false);
	assert_int_equal(model_check(&m), -EINVAL);
	text = heard();
	assert_says(text, "segment LAN: not a name");
	assert_says(text, "segment LAN: vlan 4095 is not");
	assert_says(text, "port a b: not a name");
	assert_says(text, "port c: `device` is no interface name");
	assert_says(text, "a binding needs two ports");
	free(text);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_plane_says_nothing),
		cmocka_unit_test(names_are_unique),
		cmocka_unit_test(aliases_are_unique),
		cmocka_unit_test(a_device_belongs_to_one_port),
		cmocka_unit_test(guests_and_uplinks_need_a_device),
		cmocka_unit_test(a_host_port_is_its_interface),
		cmocka_unit_test(only_devices_of_others_are_shared),
		cmocka_unit_test(a_host_port_has_no_generic_mode),
		cmocka_unit_test(membership_is_in_something_that_exists_and_one_thing),
		cmocka_unit_test(a_tag_means_one_segment_of_a_port),
		cmocka_unit_test(a_tagged_address_is_unique_in_its_segment),
		cmocka_unit_test(a_binding_has_two_free_ends),
		cmocka_unit_test(an_address_is_unique_in_its_segment),
		cmocka_unit_test(an_address_must_be_possible),
		cmocka_unit_test(an_address_of_hardware_is_warned_about),
		cmocka_unit_test(too_many_ports_or_segments_are_refused),
		cmocka_unit_test(too_many_addresses_are_refused),
		cmocka_unit_test(bad_names_are_refused_without_a_file_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
