/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Configurations of virtual machines: qvmconf and libvirt. */
#include "importing.h"

/* ---- qvmconf ---- */

#define ARM                           \
	"system qnx7-arm-guest\n"     \
	"vdev virtio-net\n"           \
	"\tloc 0x1c0c0000\n"          \
	"\tintr gic:40\n"             \
	"\tmac aa:aa:aa:aa:aa:aa\n"   \
	"\tname p2p\n"                \
	"\tpeer /dev/vdevpeers/vp0\n" \
	"\tpeerfeats 0x3\n"
#define CURLY                         \
	"system qnx71-x86_64-guest\n" \
	"vdev virtio-net\n"           \
	"  mac 56:4d:51:ae:23:0e\n"   \
	"  name curly\n"              \
	"  peer /dev/qvm/qnx71-x86_64-guest/moe\n"
#define MOE                           \
	"system qnx71-x86_64-guest\n" \
	"vdev virtio-net\n"           \
	"  mac 56:4d:51:87:3d:ac\n"   \
	"  name moe\n"                \
	"  peer /dev/qvm/qnx71-x86_64-guest/curly\n"
#define VDEV(name, peer) "vdev virtio-net\n name " name "\n peer " peer "\n"

static const struct good {
	const char *text, *second, *plane, *said;
} goods[] = {
	{ ARM, NULL,
	  "ports:\n"
	  "  - {name: qnx7-arm-guest.p2p, device: qnx7-arm-g-f3ad, alias: /dev/qvm/qnx7-arm-guest/p2p, "
	  "mac: \"aa:aa:aa:aa:aa:aa\"}\n"
	  "  - {name: vp0, kind: host, alias: /dev/vdevpeers/vp0, mac: auto}\n"
	  "bindings: [{a: qnx7-arm-guest.p2p, b: vp0}]\n",
	  "" },
	{ CURLY, MOE,
	  "ports:\n"
	  "  - {name: qnx71-x86_64-guest.curly, device: qnx71-x86_-4a5b, alias: /dev/qvm/qnx71-x86_64-guest/curly, "
	  "mac: \"56:4d:51:ae:23:0e\"}\n"
	  "  - {name: qnx71-x86_64-guest.moe, device: qnx71-x86_-abb4, alias: /dev/qvm/qnx71-x86_64-guest/moe, "
	  "mac: \"56:4d:51:87:3d:ac\"}\n"
	  "bindings: [{a: qnx71-x86_64-guest.moe, b: qnx71-x86_64-guest.curly}]\n",
	  "" },
	/* a Linux guest; comments; the other name of the type; a vdev of another type; `system` behind its vdevs */
	{ "# of a PC\nvdev vdev-virtio-net\npeer /dev/vdevpeers/vp0 # the host\npeerfeats 0x00007fc3\nloc pci:0:1\n"
	  "name guest_to_host\nlegacy\nbind-mode 0660\nvdev pl011\nname con\npeer x\nsystem linux\nram 512m\npeer y\n",
	  NULL,
	  "ports:\n  - {name: linux.guest_to_host, device: linux-gues-a1e5, alias: /dev/qvm/linux/guest_to_host}\n"
	  "  - {name: vp0, kind: host, alias: /dev/vdevpeers/vp0, mac: auto}\n"
	  "bindings: [{a: linux.guest_to_host, b: vp0}]\n",
	  "" },
	/* two guests' ends that are called alike on the host, two NICs of one guest, and a TAP */
	{ "system a\n" VDEV("n", "/x/vp0") VDEV("m", "/y/vp0") "vdev virtio-net\nname t\ntapdev tap4\n", NULL,
	  "ports:\n  - {name: a.n, device: a-n, alias: /dev/qvm/a/n}\n  - {name: a.m, device: a-m, alias: "
	  "/dev/qvm/a/m}\n"
	  "  - {name: a.t, device: tap4, alias: /dev/qvm/a/t}\n"
	  "  - {name: vp0, kind: host, alias: /x/vp0, mac: auto}\n"
	  "  - {name: vp0-2401, kind: host, alias: /y/vp0, mac: auto}\n"
	  "bindings: [{a: a.n, b: vp0}, {a: a.m, b: vp0-2401}]\n",
	  "vpeer: a:8:6: warning: port a.t: is in no segment and no binding: all its frames will be dropped "
	  "(`unbound`)\n" },
	{ "system a\nvdev virtio-net\npeer /vp0\n", NULL,
	  "ports:\n  - {name: a.virtio-net_0, device: a-virtio-net_0, alias: /dev/qvm/a/virtio-net_0}\n"
	  "  - {name: vp0, kind: host, alias: /vp0, mac: auto}\nbindings: [{a: a.virtio-net_0, b: vp0}]\n",
	  "vpeer: a:2:6: warning: vdev: has no name; /dev/qvm/a/virtio-net_0 is taken for its path\n"
	  "    vdev virtio-net\n"
	  "         ^~~~~~~~~~\n" },
	{ CURLY "peerfeats 0x19c3\n", MOE "peerfeats 0x10003\n",
	  "ports:\n"
	  "  - {name: qnx71-x86_64-guest.curly, device: qnx71-x86_-4a5b, alias: /dev/qvm/qnx71-x86_64-guest/curly, "
	  "mac: \"56:4d:51:ae:23:0e\"}\n"
	  "  - {name: qnx71-x86_64-guest.moe, device: qnx71-x86_-abb4, alias: /dev/qvm/qnx71-x86_64-guest/moe, "
	  "mac: \"56:4d:51:87:3d:ac\"}\n"
	  "bindings: [{a: qnx71-x86_64-guest.moe, b: qnx71-x86_64-guest.curly}]\n",
	  "vpeer: a:6:11: warning: peerfeats: the other end, /dev/qvm/qnx71-x86_64-guest/moe, has another mask "
	  "(0x10003)\n"
	  "    peerfeats 0x19c3\n"
	  "              ^~~~~~\n"
	  "vpeer: b:6:11: warning: peerfeats: bit 16: beyond 0x7fc3, the most that is documented\n"
	  "    peerfeats 0x10003\n"
	  "              ^~~~~~~\n" },
};

static void guests_become_ports_and_their_links_bindings(void **state)
{
	char yaml[2048];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(goods) / sizeof(*goods); i++) {
		struct input in = { .format = IMPORT_QVMCONF, .text = goods[i].text, .second = goods[i].second };
		struct outcome o = run(&in);

		snprintf(yaml, sizeof(yaml), "version: 1\n%s", goods[i].plane);
		expect_plane(&in, yaml);
		assert_string_equal(o.said, goods[i].said);
		assert_false(o.partial);
		outcome_free(&o);
	}
}

static void peerfeats_are_told_by_name(void **state)
{
	struct input in = { .format = IMPORT_QVMCONF, .text = ARM "legacy\nbind-mode 0600\n" };
	struct outcome o = run(&in);

	(void)state;
	assert_says(o.yaml,
		    "# /dev/qvm/qnx7-arm-guest/p2p: peerfeats 0x3 (CSUM GUEST_CSUM): not needed, no end has to know "
		    "what the other can do\n"
		    "# /dev/qvm/qnx7-arm-guest/p2p: legacy is left out: the length of the virtio header is settled by "
		    "VMM and TAP\n"
		    "# /dev/qvm/qnx7-arm-guest/p2p: bind-mode (a:10) is left out: ");
	assert_says(o.yaml,
		    "    mac: \"aa:aa:aa:aa:aa:aa\"            # mac, a:5: this guest sends from no other address\n");
	outcome_free(&o);
}

/* What is not connected is told, and the rest becomes a plane. */
static void dangling_ends_are_told(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ CURLY, "vpeer: a:5:8: warning: link: dangling: /dev/qvm/qnx71-x86_64-guest/curly is not connected: "
			 "its peer is "
			 "in none of the files\n" },
		{ "system a\nvdev virtio-net\nname n\n",
		  "vpeer: a:2:6: warning: link: dangling: /dev/qvm/a/n is not connected: it has no peer\n" },
		{ "system a\n" VDEV("n", "/dev/qvm/a/m") "vdev virtio-net\nname m\n",
		  "vpeer: a:4:7: warning: link: dangling: /dev/qvm/a/n is not connected: its peer names no peer "
		  "itself\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct outcome o = run(&(struct input){ .format = IMPORT_QVMCONF, .text = cases[i].text });

		assert_int_equal(o.ret, 0);
		assert_true(o.partial);
		assert_int_equal(o.m.n_bindings, 0);
		assert_says(o.said, cases[i].said);
		assert_says(o.yaml, "# not connected: /dev/qvm/");
		outcome_free(&o);
	}
}

static const struct refusal {
	enum import_format format;
	const char *text, *said;
} refusals[] = {
	{ IMPORT_QVMCONF, "system a\n" VDEV("n", "/dev/qvm/a/n"),
	  "vpeer: a:4:7: link: self: /dev/qvm/a/n is its own peer\n"
	  "     peer /dev/qvm/a/n\n"
	  "          ^~~~~~~~~~~~\n" },
	{ IMPORT_QVMCONF, "system a\n" VDEV("x", "/dev/qvm/a/y") VDEV("y", "/dev/qvm/a/z") VDEV("z", "/vp0"),
	  "vpeer: a:4:7: link: crossed: the peer of /dev/qvm/a/x is /dev/qvm/a/y, but the peer of that is /dev/qvm/a/z "
	  "(a:7)\n"
	  "     peer /dev/qvm/a/y\n"
	  "          ^~~~~~~~~~~~\n"
	  "vpeer: a:7:7: link: crossed: the peer of /dev/qvm/a/y is /dev/qvm/a/z, but the peer of that is /vp0 (a:10)\n"
	  "     peer /dev/qvm/a/z\n"
	  "          ^~~~~~~~~~~~\n" },
	{ IMPORT_QVMCONF, "system a\n" VDEV("x", "/dev/qvm/a/y") VDEV("y", "/dev/qvm/a/x") VDEV("z", "/dev/qvm/a/y"),
	  "vpeer: a:10:7: link: doubled: /dev/qvm/a/z claims /dev/qvm/a/y, and so does /dev/qvm/a/x (a:4); its own "
	  "peer is "
	  "/dev/qvm/a/x\n"
	  "     peer /dev/qvm/a/y\n"
	  "          ^~~~~~~~~~~~\n" },
	{ IMPORT_QVMCONF, "system a\n" VDEV("x", "/vp0") VDEV("y", "/vp0"),
	  "vpeer: a:7:7: link: doubled: /dev/qvm/a/y and /dev/qvm/a/x (a:4) both claim /vp0\n"
	  "     peer /vp0\n"
	  "          ^~~~\n" },
	{ IMPORT_QVMCONF, "system a\n" VDEV("x", "/vp0") VDEV("x", "/vp1"),
	  "vpeer: a:6:7: name: /dev/qvm/a/x is already the path of another vdev (a:2)\n"
	  "     name x\n"
	  "          ^\n" },
	{ IMPORT_QVMCONF,
	  "system a\n" VDEV("x", "/dev/qvm/a/y") "mac 02:00:00:00:00:01\n" VDEV("y",
										"/dev/qvm/a/x") "mac 020000000001\n",
	  "vpeer: a:9:5: mac: is also that of the other end, /dev/qvm/a/x (a:5)\n"
	  "    mac 020000000001\n"
	  "        ^~~~~~~~~~~~\n" },
	{ IMPORT_QVMCONF, VDEV("x", "/vp0"),
	  "vpeer: a:1:6: vdev: the file has no `system` line, and without it this end has no path\n"
	  "    vdev virtio-net\n"
	  "         ^~~~~~~~~~\n" },
	{ IMPORT_QVMCONF, "system a\nvdev virtio-net\nmac 01:00:00:00:00:00\nmac 02:00:00:00:00:00\n",
	  "vpeer: a:3:5: mac: \"01:00:00:00:00:00\" is a group address\n"
	  "    mac 01:00:00:00:00:00\n"
	  "        ^~~~~~~~~~~~~~~~~\n"
	  "vpeer: a:4:1: mac: is given twice for one vdev\n"
	  "    mac 02:00:00:00:00:00\n"
	  "    ^~~\n" },
	{ IMPORT_QVMCONF, "system a\nvdev virtio-net\npeer vp0\npeerfeats 3x\nmac\n",
	  "vpeer: a:3:6: peer: vp0 is no absolute path; it must begin with /\n"
	  "    peer vp0\n"
	  "         ^~~\n"
	  "vpeer: a:4:11: peerfeats: \"3x\" is no mask such as 0x3\n"
	  "    peerfeats 3x\n"
	  "              ^~\n"
	  "vpeer: a:5:1: mac: has no value\n"
	  "    mac\n"
	  "    ^~~\n" },
	{ IMPORT_QVMCONF, "system a\nvdev virtio-net\npere /vp0\n",
	  "vpeer: a:3:1: vdev: \"pere\" is no option of a virtio-net vdev; did you mean "
	  "\"peer\"?\n"
	  "    pere /vp0\n"
	  "    ^~~~\n" },
	{ IMPORT_QVMCONF, "system a/b\nsystem\n",
	  "vpeer: a:1:8: system: a/b is no name of a guest: it has a slash\n"
	  "    system a/b\n"
	  "           ^~~\n"
	  "vpeer: a:2:1: system: has no name\n"
	  "    system\n"
	  "    ^~~~~~\n"
	  "vpeer: a: warning: input: has no virtio-net vdev\n" },
	/* libvirt */
	{ IMPORT_LIBVIRT,
	  "<?xml version='1.0'?>\n<!DOCTYPE d [<!ENTITY a \"b\"><!ENTITY c \"&a;&a;\">]>\n<domain>&c;</domain>",
	  "vpeer: a:2:1: XML: has a document type; a domain needs none, and it is not read\n"
	  "    <!DOCTYPE d [<!ENTITY a \"b\"><!ENTITY c \"&a;&a;\">]>\n"
	  "    ^\n" },
	{ IMPORT_LIBVIRT, "<network/>",
	  "vpeer: a:1:1: XML: <network> is no <domain>; virsh dumpxml prints one\n"
	  "    <network/>\n"
	  "    ^~~~~~~~~~\n" },
	{ IMPORT_LIBVIRT, "<domain/>",
	  "vpeer: a:1:1: domain: has no <name>\n"
	  "    <domain/>\n"
	  "    ^~~~~~~~~\n" },
	{ IMPORT_LIBVIRT,
	  "<domain><name>g</name><devices>\n"
	  "<interface type='bridge'><target dev='a b'/></interface>\n"
	  "<interface type='bridge'><source bridge='br0'/>\n"
	  "  <mac  address = \"52:54:00:00:00:zz\"/>\n"
	  "  <vlan><tag id='4095'/></vlan><target dev='t'/>\n"
	  "</interface></devices></domain>",
	  "vpeer: a:2:1: interface: type bridge, but it has no <source bridge='...'/>\n"
	  "    <interface type='bridge'><target dev='a b'/></interface>\n"
	  "    ^~~~~~~~~~~~~~~~~~~~~~~~~\n"
	  "vpeer: a:2:39: target: \"a b\" is no name of a network interface\n"
	  "    <interface type='bridge'><target dev='a b'/></interface>\n"
	  "                                          ^~~\n"
	  "vpeer: a:4:20: mac: \"52:54:00:00:00:zz\" is no address: 12 hexadecimal digits, or six pairs with colons "
	  "between "
	  "them\n"
	  "      <mac  address = \"52:54:00:00:00:zz\"/>\n"
	  "                       ^~~~~~~~~~~~~~~~~\n"
	  "vpeer: a:5:18: vlan: \"4095\" is no number from 1 to 4094\n"
	  "      <vlan><tag id='4095'/></vlan><target dev='t'/>\n"
	  "                     ^~~~\n" },
	{ IMPORT_LIBVIRT,
	  "<domain><name>g</name><devices><interface type='bridge'><source bridge='b'/><target dev='t'/>\n"
	  "<vlan><tag id='7'/><tag id='7'/></vlan></interface></devices></domain>",
	  "vpeer: a:2:29: vlan: 7 is listed twice\n"
	  "    <vlan><tag id='7'/><tag id='7'/></vlan></interface></devices></domain>\n"
	  "                                ^\n" },
};

static void every_fault_is_named_and_marked(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		expect_refusal(&(struct input){ .format = refusals[i].format, .text = refusals[i].text },
			       refusals[i].said);
}

/* ---- libvirt ---- */

/* The words are the library's. */
static void broken_xml_is_refused_where_it_breaks(void **state)
{
	struct outcome o = run(&(struct input){ .format = IMPORT_LIBVIRT, .text = "<domain>\n<name>x</domain>" });

	(void)state;
	assert_int_equal(o.ret, -EINVAL);
	assert_says(o.said, "vpeer: a:2:");
	assert_says(o.said, ": XML: ");
	assert_says(o.said, "    <name>x</domain>\n");
	outcome_free(&o);
}

#define DOMAIN(name, interfaces) "<domain type='kvm'><name>" name "</name><devices>" interfaces "</devices></domain>\n"
#define NIC(bridge, dev, rest) \
	"<interface type='bridge'><source bridge='" bridge "'/><target dev='" dev "'/>" rest "</interface>\n"

static void bridges_and_their_vlans_become_segments(void **state)
{
	struct input in = {
		.format = IMPORT_LIBVIRT,
		.text = DOMAIN("web", NIC("br0", "web0", "<mac address='52:54:00:00:00:01'/>")
					      NIC("br0", "web1", "<vlan><tag id='42'/></vlan>")),
		.second = DOMAIN(
			"FW:1",
			NIC("br0", "fw0",
			    "<vlan trunk='yes'><tag id='42' nativeMode='untagged'/>"
			    "<tag id='43'/></vlan>")
				NIC("br1", "fw1",
				    "<vlan trunk='yes'><tag id='42'/></vlan>") "<interface type='ethernet'><target "
									       "dev='fw2' managed='no'/></interface>"),
		.uplinks = { "br0=eth1" },
		.segment = "lan",
	};

	(void)state;
	expect_plane(
		&in,
		"version: 1\n"
		"segments: [{name: br0}, {name: br0.42, vlan: 42}, {name: br0.43, vlan: 43}, {name: br1.42, vlan: 42}, "
		"{name: lan}]\n"
		"ports:\n"
		"  - {name: eth1, kind: uplink, device: eth1, segment: br0, tagged: [br0.42, br0.43]}\n"
		"  - {name: web.0, device: web0, segment: br0, mac: \"52:54:00:00:00:01\"}\n"
		"  - {name: web.1, device: web1, segment: br0.42}\n"
		"  - {name: fw-1.0, device: fw0, segment: br0.42, tagged: [br0.43]}\n"
		"  - {name: fw-1.1, device: fw1, tagged: [br1.42]}\n"
		"  - {name: fw-1.2, device: fw2, segment: lan}\n");
}

static void what_is_libvirts_own_is_told(void **state)
{
	struct input in = {
		.format = IMPORT_LIBVIRT,
		.text = DOMAIN(
			"g",
			NIC("br0", "vnet3",
			    "<mtu size='1400'/><virtualport type='openvswitch'/>") "<interface type='bridge'><source "
										   "bridge='br0'/></interface>"
										   "<interface type='network'><source "
										   "network='default'/></interface>"),
		.devices = { "g.1=tap7" }
	};
	struct outcome o = run(&in);

	(void)state;
	assert_int_equal(o.ret, 0);
	assert_true(o.partial);
	assert_says(o.said, "target: libvirt gives names with vnet anew at each start; choose another\n");
	assert_says(
		o.said,
		"interface: has no <target dev='...'/>, so libvirt names its device anew at each start; give it one, "
		"tap7 is expected\n");
	assert_says(o.said, "interface: type network of g is left out: ");
	assert_says(o.yaml, "# Made by vpeer import libvirt.\n# left out: an interface of type network of g\n"
			    "# g.0: <mtu size='1400'/> is libvirt's to set; the plane goes by the device's\n"
			    "# g.0: <virtualport type='openvswitch'> is left out: it is for another switch\n");
	assert_says(o.yaml, "# bridge br0: a NIC in it is not in a domain's XML: --uplink br0=IF\n");
	assert_string_equal(o.m.ports[1].device, "tap7");
	outcome_free(&o);
}

/* Nobody's name ends a comment early, or is what a reader of YAML takes for no text. */
static void odd_names_stay_in_their_comments(void **state)
{
	struct input in = { .format = IMPORT_LIBVIRT,
			    .text = DOMAIN("f\xc3\xa4&#10;bindings: [", NIC("br0", "t0", "")) };
	struct outcome o = run(&in);

	(void)state;
	assert_int_equal(o.ret, 0);
	assert_string_equal(o.m.ports[0].name, "f---bindings---.0");
	assert_says(o.yaml, "# interface 0 of domain f???bindings: [, a:1\n");
	outcome_free(&o);
}

/* Nothing is made of nothing. */
static void a_domain_without_interfaces_is_no_plane_to_speak_of(void **state)
{
	struct outcome o = run(&(struct input){ .format = IMPORT_LIBVIRT, .text = "<domain><name>g</name></domain>" });

	(void)state;
	assert_int_equal(o.ret, 0);
	assert_says(o.said, "warning: domain: g has no interfaces\n");
	assert_int_equal(o.m.n_ports, 0);
	outcome_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guests_become_ports_and_their_links_bindings),
		cmocka_unit_test(peerfeats_are_told_by_name),
		cmocka_unit_test(dangling_ends_are_told),
		cmocka_unit_test(every_fault_is_named_and_marked),
		cmocka_unit_test(broken_xml_is_refused_where_it_breaks),
		cmocka_unit_test(bridges_and_their_vlans_become_segments),
		cmocka_unit_test(what_is_libvirts_own_is_told),
		cmocka_unit_test(odd_names_stay_in_their_comments),
		cmocka_unit_test(a_domain_without_interfaces_is_no_plane_to_speak_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
