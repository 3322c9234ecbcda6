/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Command lines and scripts of a QNX host: every vector of the grammar, as words and as text. */
#include "importing.h"

#define GUEST(name, device, path) "  - {name: " name ", device: " device ", alias: \"" path "\"}\n"
#define HOST(name, path)	  "  - {name: " name ", kind: host, alias: \"" path "\", mac: auto}\n"
#define VP(n)			  HOST("vp" n, "/dev/vdevpeers/vp" n)
#define IO_PKT			  "io-pkt-v6-hc -d vdevpeer-net "

static const struct vector {
	const char *name, *text, *plane;
} vectors[] = {
	{ "T1", "io-pkt-v6-hc -d vdevpeer-net peer=/dev/qvm/vt1,bind=/pkt/vp0,mac=a0b0c0d0e0f0",
	  "ports:\n" GUEST("vt1", "vt1",
			   "/dev/qvm/vt1") "  - {name: vp0, kind: host, alias: /pkt/vp0, mac: \"a0:b0:c0:d0:e0:f0\"}\n"
					   "bindings: [{a: vt1, b: vp0}]\n" },
	{ "T2",
	  "io-pkt-v6-hc -d vdevpeer-net peer=/dev/qvm/qnx7-arm-guest/p2p,bind=/dev/vdevpeers/vp0,mac=a0b0c0d0e0f0",
	  "ports:\n" GUEST("qnx7-arm-guest.p2p", "qnx7-arm-g-f3ad",
			   "/dev/qvm/qnx7-arm-guest/p2p") "  - {name: vp0, kind: host, alias: /dev/vdevpeers/vp0, mac: "
							  "\"a0:b0:c0:d0:e0:f0\"}\n"
							  "bindings: [{a: qnx7-arm-guest.p2p, b: vp0}]\n" },
	{ "T3",
	  "io-pkt-v6-hc -d e1000 -d vdevpeer-net peer=/dev/qvm/qnx7-guest1/p2p,bind=/dev/vdevpeers/vp0,"
	  "peer=/dev/qvm/qnx7-guest2/p2p,bind=/dev/vdevpeers/vp1,peer=/dev/qvm/linux-guest/p2p,"
	  "bind=/dev/vdevpeers/vp2",
	  "ports:\n" GUEST("qnx7-guest1.p2p", "qnx7-guest1-p2p", "/dev/qvm/qnx7-guest1/p2p")
		  GUEST("qnx7-guest2.p2p", "qnx7-guest2-p2p", "/dev/qvm/qnx7-guest2/p2p")
			  GUEST("linux-guest.p2p", "linux-guest-p2p", "/dev/qvm/linux-guest/p2p") VP("0") VP("1")
				  VP("2") "bindings: [{a: qnx7-guest1.p2p, b: vp0}, {a: qnx7-guest2.p2p, b: vp1}, {a: "
					  "linux-guest.p2p, b: vp2}]\n" },
	{ "T4", "io-pkt-v4-hc -d vdevpeer-net peer=/dev/qvm/vt1,bind=/pkt/vp0",
	  "ports:\n" GUEST("vt1", "vt1", "/dev/qvm/vt1") HOST("vp0", "/pkt/vp0") "bindings: [{a: vt1, b: vp0}]\n" },
	{ "T5", "io-pkt-v6-hc -d vdevpeer peer=/dev/qvm/qnx7-arm-guest/p2p,bind=/dev/vdevpeers/vp0",
	  "ports:\n" GUEST("qnx7-arm-guest.p2p", "qnx7-arm-g-f3ad", "/dev/qvm/qnx7-arm-guest/p2p")
		  VP("0") "bindings: [{a: qnx7-arm-guest.p2p, b: vp0}]\n" },
	{ "T6",
	  "io-pkt-v6-hc -v -p tcpip stacksize=8192,pagesize=65536,pkt_cache=1024,mbuf_cache=1024 -ppf-v6 "
	  "-dvdevpeer peer=/dev/qvm/agl_1/agl_to_host,bind=/dev/vdevpeers/vp0,mac=a0b0c0d0e0f0,name=vp "
	  "-dvdevpeer peer=/dev/qvm/agl_1/agl_to_host_eth1,bind=/dev/vdevpeers/ntn_vp0,mac=a0b0c0d0e5ff,name=ntn_vp "
	  "-dntn-eth fw=/lib64/firmware/ntn_firmware.bin -U 37:37,21,35,77,87,46,40",
	  "ports:\n" GUEST("agl_1.agl_to_host", "agl_1-agl_-46d6", "/dev/qvm/agl_1/agl_to_host")
		  GUEST("agl_1.agl_to_host_eth1", "agl_1-agl_-a9fc",
			"/dev/qvm/agl_1/agl_to_host_eth1") "  - {name: vp0, kind: host, alias: /dev/vdevpeers/vp0, "
							   "mac: \"a0:b0:c0:d0:e0:f0\"}\n"
							   "  - {name: ntn_vp0, kind: host, alias: "
							   "/dev/vdevpeers/ntn_vp0, mac: \"a0:b0:c0:d0:e5:ff\"}\n"
							   "bindings: [{a: agl_1.agl_to_host, b: vp0}, {a: "
							   "agl_1.agl_to_host_eth1, b: ntn_vp0}]\n" },
	{ "T7", "mount -T io-pkt -o peer=/dev/qvm/linux-fuzzer/net_g1,bind=/dev/vdevpeers/vp0 devnp-vdevpeer-net.so",
	  "ports:\n" GUEST("linux-fuzzer.net_g1", "linux-fuzz-82e6", "/dev/qvm/linux-fuzzer/net_g1")
		  VP("0") "bindings: [{a: linux-fuzzer.net_g1, b: vp0}]\n" },
	{ "T8",
	  "mount -T io-pkt -o peer=/dev/qvm/la/net,bind=/dev/vdevpeers/vp0,mac=020102030405,name=vp "
	  "/lib/dll/devnp-vdevpeer-net.so",
	  "ports:\n" GUEST("la.net", "la-net", "/dev/qvm/la/net") "  - {name: vp0, kind: host, alias: "
								  "/dev/vdevpeers/vp0, mac: \"02:01:02:03:04:05\"}\n"
								  "bindings: [{a: la.net, b: vp0}]\n" },
	{ "T9", "io-pkt-v6-hc -d e1000 -d vdevpeer-net", "" },
	{ "T10", "vpctl vp0 peer=/dev/qvm/mkqnximage-guest/network bind=/dev/vdevpeers/vp0",
	  "ports:\n" GUEST("mkqnximage-guest.network", "mkqnximage-a3a1", "/dev/qvm/mkqnximage-guest/network")
		  VP("0") "bindings: [{a: mkqnximage-guest.network, b: vp0}]\n" },
	{ "T11", "vpctl vp1 peer=/dev/qvm/mkqnximage-guest-non-safety/network bind=/dev/vdevpeers/vp1",
	  "ports:\n" GUEST("mkqnximage-guest-non-safet-82cc", "mkqnximage-82cc",
			   "/dev/qvm/mkqnximage-guest-non-safety/network")
		  VP("1") "bindings: [{a: mkqnximage-guest-non-safet-82cc, b: vp1}]\n" },
	{ "T12", "vpctl vp0 peer=/dev/qvm/qnx-guest/vp0",
	  "ports:\n" GUEST("qnx-guest.vp0", "qnx-guest-vp0",
			   "/dev/qvm/qnx-guest/vp0") "  - {name: vp0, kind: host, mac: auto}\nbindings: [{a: "
						     "qnx-guest.vp0, b: vp0}]\n" },
	{ "T13", "vpctl vp0", "" },
	{ "T14", "io-sock -m vdevpeer-net", "" },
	{ "T15", "io-sock -m phy -m fdt -m vdevpeer-net -d vtnet_mmio", "" },
	{ "T16", "mount -T io-sock -o prefix=/alt vdevpeer-net", "" },
	{ "T17", "io-pkt-v6-hc -d vdevpeer-net peer=/dev/qvm/g/p2p,bind=/dev/vdevpeers/vp0,legacy,priority=21",
	  "ports:\n" GUEST("g.p2p", "g-p2p", "/dev/qvm/g/p2p") VP("0") "bindings: [{a: g.p2p, b: vp0}]\n" },
	/* beyond the list: any order of options, a full path to the program, several mounts in one script */
	{ "order", "/sbin/io-pkt-v6-hc -d vdevpeer-net peer=/dev/qvm/g/n,legacy,name=x,mac=0A0000000001,bind=/x0",
	  "ports:\n" GUEST("g.n", "g-n", "/dev/qvm/g/n") "  - {name: x0, kind: host, alias: /x0, mac: "
							 "\"0a:00:00:00:00:01\"}\nbindings: [{a: g.n, b: x0}]\n" },
	{ "numbers",
	  "mount -Tio-pkt -opeer=/dev/qvm/a/n,bind=/d/vp0 devnp-vdevpeer-net.so ; "
	  "mount -T io-pkt -o peer=/dev/qvm/b/n,bind=/d/vp1 devnp-vdevpeer-net.so",
	  "ports:\n" GUEST("a.n", "a-n", "/dev/qvm/a/n") GUEST("b.n", "b-n", "/dev/qvm/b/n") HOST("vp0", "/d/vp0")
		  HOST("vp1", "/d/vp1") "bindings: [{a: a.n, b: vp0}, {a: b.n, b: vp1}]\n" },
	/* two ports of different names whose devices would be one */
	{ "devices", IO_PKT "peer=/dev/qvm/a-b/n,bind=/d/vp0,peer=/dev/qvm/a/b-n,bind=/d/vp1",
	  "ports:\n" GUEST("a-b.n", "a-b-n", "/dev/qvm/a-b/n") GUEST("a.b-n", "a-b-n-89a3", "/dev/qvm/a/b-n")
		  HOST("vp0", "/d/vp0") HOST("vp1", "/d/vp1") "bindings: [{a: a-b.n, b: vp0}, {a: a.b-n, b: vp1}]\n" },
	/* a guest of the host interface's name, and one whose name is taken by another path's */
	{ "taken", "io-pkt-v6-hc -d vdevpeer-net peer=/dev/qvm/vp0,bind=/d/vp0,peer=/dev/qvm/VP0,bind=/d/vp1",
	  "ports:\n" GUEST("vp0-a873", "vp0-a873", "/dev/qvm/vp0") GUEST("vp0-d2d5", "vp0-d2d5", "/dev/qvm/VP0") HOST(
		  "vp0", "/d/vp0") HOST("vp1", "/d/vp1") "bindings: [{a: vp0-a873, b: vp0}, {a: vp0-d2d5, b: vp1}]\n" },
};

static void every_vector_gives_its_plane(void **state)
{
	char yaml[4096];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		struct input in = { .format = IMPORT_IO_PKT, .text = vectors[i].text };

		snprintf(yaml, sizeof(yaml), "version: 1\n%s", vectors[i].plane);
		expect_plane(&in, yaml);
		in.words = true;
		expect_plane(&in, yaml);
		in.format = IMPORT_VPCTL;
		expect_plane(&in, yaml);
	}
}

static const struct refusal {
	const char *name, *text, *said;
} refusals[] = {
	{ "N1", IO_PKT "peer=,bind=/b",
	  "vpeer: a:1:35: peer: has no path behind it\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=,bind=/b\n"
	  "                                      ^\n" },
	{ "N2", IO_PKT "peer=/a,legacy,peer=/c,bind=/d",
	  "vpeer: a:1:30: peer: has no bind= with it; write peer=PATH,bind=PATH\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,legacy,peer=/c,bind=/d\n"
	  "                                 ^~~~~~~\n" },
	{ "N3", IO_PKT "peer=/a,bind=/b,mac=a0b0c0d0e0",
	  "vpeer: a:1:50: mac: \"a0b0c0d0e0\" is no address: 12 hexadecimal digits, or six pairs with colons between "
	  "them\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/b,mac=a0b0c0d0e0\n"
	  "                                                     ^~~~~~~~~~\n" },
	{ "N4", IO_PKT "peer=/a,bind=/b,mac=a0b0c0d0e0g0",
	  "vpeer: a:1:50: mac: \"a0b0c0d0e0g0\" has characters that are no hexadecimal digits\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/b,mac=a0b0c0d0e0g0\n"
	  "                                                     ^~~~~~~~~~~~\n" },
	{ "N5", IO_PKT "peer=/a,bind=/b,mac=01b0c0d0e0f0",
	  "vpeer: a:1:50: mac: \"01b0c0d0e0f0\" is a group address\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/b,mac=01b0c0d0e0f0\n"
	  "                                                     ^~~~~~~~~~~~\n" },
	{ "N6", IO_PKT "peer=/a,bind=/vp0,peer=/c,bind=/vp0",
	  "vpeer: a:1:61: warning: bind: ends in vp0, but the interface is called vp1: its name comes from name= and "
	  "the order\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/vp0,peer=/c,bind=/vp0\n"
	  "                                                                ^~~~\n"
	  "vpeer: a:1:61: bind: /vp0 is already another link's (a:1)\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/vp0,peer=/c,bind=/vp0\n"
	  "                                                                ^~~~\n" },
	{ "N7", IO_PKT "peer=/a,bind=/vp0,peer=/a,bind=/vp1",
	  "vpeer: a:1:53: peer: /a already has a link (a:1); a guest's end has one peer\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/vp0,peer=/a,bind=/vp1\n"
	  "                                                        ^~\n" },
	{ "N8", IO_PKT "bind=/b,peer=/a",
	  "vpeer: a:1:30: option: bind=/b stands before the first peer=; it belongs behind "
	  "one\n"
	  "    io-pkt-v6-hc -d vdevpeer-net bind=/b,peer=/a\n"
	  "                                 ^~~~~~~\n" },
	{ "N9", IO_PKT "peer=/a,,bind=/b",
	  "vpeer: a:1:37: option: nothing between two commas\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,,bind=/b\n"
	  "                                        ^\n" },
	{ "N9b", IO_PKT "peer=/a,bind=/b,",
	  "vpeer: a:1:45: option: nothing behind this comma; if the next line goes on, it must begin in column 1, or "
	  "the "
	  "shell makes two words of it\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/b,\n"
	  "                                                ^\n" },
	{ "N10", IO_PKT "peer=/a,bind=/b,name=abcdefghijklmno",
	  "vpeer: a:1:51: name: abcdefghijklmno and a number are more than the 13 characters of a host port's name\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/b,name=abcdefghijklmno\n"
	  "                                                      ^~~~~~~~~~~~~~~\n" },
	{ "N11", IO_PKT "peer=dev/qvm/a,bind=/b",
	  "vpeer: a:1:35: peer: dev/qvm/a is no absolute path; it must begin with /\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=dev/qvm/a,bind=/b\n"
	  "                                      ^~~~~~~~~\n" },
	{ "N12", IO_PKT "peer=/a,bind=/a",
	  "vpeer: a:1:43: bind: peer and bind are the same path: a link of an end to itself\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/a\n"
	  "                                              ^~\n" },
	{ "N14", IO_PKT "peer=/a,bind=/vp0, peer=/c,bind=/vp1",
	  "vpeer: a:1:47: option: nothing behind this comma; if the next line goes on, it must begin in column 1, or "
	  "the "
	  "shell makes two words of it\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/vp0, peer=/c,bind=/vp1\n"
	  "                                                  ^\n" },
	{ "N15", IO_PKT "peer=/a,bind=/b,mac=000000000000",
	  "vpeer: a:1:50: mac: \"000000000000\" is all zero\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/b,mac=000000000000\n"
	  "                                                     ^~~~~~~~~~~~\n" },
	{ "N16", IO_PKT "peer=/a,bind=/b,mac=ffffffffffff",
	  "vpeer: a:1:50: mac: \"ffffffffffff\" is the broadcast address\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/b,mac=ffffffffffff\n"
	  "                                                     ^~~~~~~~~~~~\n" },
	{ "N17", IO_PKT "peer=/a,bind=/b,foo=1",
	  "vpeer: a:1:46: option: \"foo\" is none of peer, bind, mac, name, legacy, priority\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/b,foo=1\n"
	  "                                                 ^~~~~\n" },
	{ "N18", IO_PKT "peer=/a,bind=/b,priority=abc",
	  "vpeer: a:1:55: priority: \"abc\" is no number from 0 to 255\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/b,priority=abc\n"
	  "                                                          ^~~\n" },
	{ "N19", IO_PKT "peer=/a,bind=/b,legacy=1",
	  "vpeer: a:1:46: legacy: takes no value\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/b,legacy=1\n"
	  "                                                 ^~~~~~~~\n" },
	/* beyond the list */
	{ "split", IO_PKT "peer=/a,bind=/vp0 peer=/c,bind=/vp1",
	  "vpeer: a:1:48: vdevpeer-net: takes its options as one word; join this one with a comma and no blank\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/vp0 peer=/c,bind=/vp1\n"
	  "                                                   ^~~~~~~~~~~~~~~~~\n" },
	{ "twice", IO_PKT "peer=/a,bind=/b,bind=/c",
	  "vpeer: a:1:51: bind: is given twice for one link\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/b,bind=/c\n"
	  "                                                      ^~\n" },
	{ "no value", IO_PKT "peer=/a,bind",
	  "vpeer: a:1:38: bind: has no value; write bind=...\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind\n"
	  "                                         ^~~~\n"
	  "vpeer: a:1:30: peer: has no bind= with it; write peer=PATH,bind=PATH\n"
	  "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind\n"
	  "                                 ^~~~~~~\n" },
	{ "no driver", "io-pkt-v6-hc -d",
	  "vpeer: a:1:14: -d: has no driver behind it\n"
	  "    io-pkt-v6-hc -d\n"
	  "                 ^~\n" },
	{ "commas", "vpctl vp0 peer=/a,bind=/b",
	  "vpeer: a:1:11: vpctl: takes its assignments apart by blanks, not by commas\n"
	  "    vpctl vp0 peer=/a,bind=/b\n"
	  "              ^~~~~~~~~~~~~~~\n" },
	{ "no interface", "vpctl peer=/a bind=/b",
	  "vpeer: a:1:7: vpctl: an interface's name belongs before this: vpctl vp0 peer=PATH\n"
	  "    vpctl peer=/a bind=/b\n"
	  "          ^~~~~~~\n" },
	{ "no peer", "vpctl vp0 bind=/b",
	  "vpeer: a:1:7: vpctl: has no peer= for vp0\n"
	  "    vpctl vp0 bind=/b\n"
	  "          ^~~\n" },
	{ "other peer", "vpctl vp0 peer=/a ; vpctl vp0 peer=/b",
	  "vpeer: a:1:27: interface: vp0 is already another link's (a:1)\n"
	  "    vpctl vp0 peer=/a ; vpctl vp0 peer=/b\n"
	  "                              ^~~\n" },
	{ "no command", "qemu-system-x86_64 -m 512",
	  "vpeer: a:1:1: input: has none of the commands io-pkt-*, io-sock, "
	  "mount, vpctl, ifconfig, brconfig\n"
	  "    qemu-system-x86_64 -m 512\n"
	  "    ^~~~~~~~~~~~~~~~~~\n" },
};

static void every_fault_is_named_and_marked(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		expect_refusal(&(struct input){ .format = IMPORT_IO_PKT, .text = refusals[i].text }, refusals[i].said);
}

static void a_command_line_is_its_own_place(void **state)
{
	struct input in = { .format = IMPORT_IO_PKT, .text = IO_PKT "peer=/a,bind=/b,legacy=1", .words = true };

	(void)state;
	expect_refusal(&in, "vpeer: command line:1:46: legacy: takes no value\n"
			    "    io-pkt-v6-hc -d vdevpeer-net peer=/a,bind=/b,legacy=1\n"
			    "                                                 ^~~~~~~~\n");
}

/* N13 is a fault where the two ends meet; two wires may have one address each. */
static void one_address_twice_is_a_fault_in_a_segment_only(void **state)
{
	struct input in = { .format = IMPORT_IO_PKT,
			    .text = IO_PKT "peer=/a,bind=/vp0,mac=020000000001,peer=/b,bind=/vp1,mac=020000000001" };
	struct outcome o = run(&in);

	(void)state;
	assert_int_equal(o.ret, 0);
	assert_says(o.said, "warning: mac: is also that of vp0 (a:1): right only while nothing joins the two\n");
	outcome_free(&o);
	in.bridge = true;
	o = run(&in);
	assert_int_equal(o.ret, -EINVAL);
	assert_says(o.said, "mac: is also that of vp0 (a:1), in the same segment\n");
	outcome_free(&o);
}

static void an_interface_is_not_called_as_its_bind_path_says(void **state)
{
	struct input in = { .format = IMPORT_IO_PKT, .text = IO_PKT "peer=/dev/qvm/g/n,bind=/dev/vdevpeers/hc_vp0" };
	struct outcome o = run(&in);

	(void)state;
	assert_int_equal(o.ret, 0);
	assert_says(o.said,
		    "vpeer: a:1:53: warning: bind: ends in hc_vp0, but the interface is called vp0: its name comes "
		    "from name= and the order\n");
	outcome_free(&o);
}

/* ---- scripts ---- */

#define T3_LINES                                                     \
	"io-pkt-v6-hc -d e1000 -d vdevpeer-net \\\n"                 \
	"peer=/dev/qvm/qnx7-guest1/p2p,bind=/dev/vdevpeers/vp0,\\\n" \
	"peer=/dev/qvm/qnx7-guest2/p2p,bind=/dev/vdevpeers/vp1,\\\n" \
	"peer=/dev/qvm/linux-guest/p2p,bind=/dev/vdevpeers/vp2\n"

static void lines_are_joined_as_a_shell_joins_them(void **state)
{
	struct input in = { .format = IMPORT_IO_PKT, .text = "#!/bin/sh\n" T3_LINES };
	char yaml[4096];

	(void)state;
	snprintf(yaml, sizeof(yaml), "version: 1\n%s", vectors[2].plane);
	expect_plane(&in, yaml);
	in.text = "io-pkt-v6-hc -d e1000 -d vdevpeer-net \\\r\n\t\t"
		  "peer=/dev/qvm/qnx7-guest1/p2p,bind=/dev/vdevpeers/vp0,\\\r\n"
		  "peer=/dev/qvm/qnx7-guest2/p2p,'bind=/dev/vdevpeers/vp1,'\\\r\n"
		  "peer=/dev/qvm/linux-guest/p2p,bind=/dev/vdevpeers/vp2";
	expect_plane(&in, yaml);
}

static void a_fault_behind_a_joined_line_has_its_own_line(void **state)
{
	struct input in = { .format = IMPORT_IO_PKT,
			    .text = IO_PKT "\\\npeer=/a,bind=/vp0,\\\npeer=/b,bind=/vp1,mac=1\n" };

	(void)state;
	expect_refusal(&in, "vpeer: a:3:23: mac: \"1\" is no address: 12 hexadecimal digits, or six pairs with colons "
			    "between them\n"
			    "    peer=/b,bind=/vp1,mac=1\n"
			    "                          ^\n");
	in.text = IO_PKT "\\\npeer=/a,bind=/vp0,\\\n  peer=/b,bind=/vp1\n";
	expect_refusal(&in,
		       "vpeer: a:2:18: option: nothing behind this comma; if the next line goes on, it must begin in "
		       "column 1, or the shell makes two words of it\n"
		       "    peer=/a,bind=/vp0,\\\n"
		       "                     ^\n");
}

static void an_open_quote_and_a_variable_are_faults(void **state)
{
	struct input in = { .format = IMPORT_IO_PKT, .text = IO_PKT "'peer=/a,bind=/b\n" };

	(void)state;
	expect_refusal(&in, "vpeer: a:1:30: quote: is never closed\n"
			    "    io-pkt-v6-hc -d vdevpeer-net 'peer=/a,bind=/b\n"
			    "                                 ^\n");
	in.text = "mount -t qnx6 $DISK /\nio-pkt-v6-hc -d vdevpeer-net \"peer=$P,bind=/b\"\n";
	expect_refusal(&in, "vpeer: a:2:31: io-pkt-v6-hc: the shell puts something in the place of this; fill it in\n"
			    "    io-pkt-v6-hc -d vdevpeer-net \"peer=$P,bind=/b\"\n"
			    "                                  ^~~~~~~~~~~~~~~\n");
}

static const char script[] = "#!/bin/sh\n"
			     "IP=192.168.1.1 # of the host\n"
			     "io-sock -m phy -m vdevpeer-net -d vtnet_mmio >/dev/null 2>&1 &\n"
			     "waitfor /dev/io-sock/mods-vdevpeer-net.so\n"
			     "if ! ifconfig vp0 create; then exit 1; fi\n"
			     "vpctl vp0 peer=/dev/qvm/a/net bind=/dev/vdevpeers/vp0\n"
			     "vpctl vp0 peer=/dev/qvm/a/net bind=/dev/vdevpeers/vp0\n"
			     "ifconfig vp1 create && vpctl vp1 peer=/dev/qvm/b/net bind=/dev/vdevpeers/vp1\n"
			     "ifconfig vp0 $IP/24 up\n"
			     "ifconfig lo0 127.0.0.1\n";

static void a_script_of_8_0_is_read_past_what_is_not_ours(void **state)
{
	struct input in = { .format = IMPORT_VPCTL, .text = script };
	struct outcome o;

	(void)state;
	expect_plane(&in, "version: 1\nports:\n" GUEST("a.net", "a-net", "/dev/qvm/a/net")
				  GUEST("b.net", "b-net", "/dev/qvm/b/net") VP("0")
					  VP("1") "bindings: [{a: a.net, b: vp0}, {a: b.net, b: vp1}]\n");
	o = run(&in);
	assert_string_equal(o.said, "");
	assert_says(o.yaml, "# Made by vpeer import vpctl.\n");
	assert_says(o.yaml,
		    "# uplink vtnet_mmio (a:3) is in no bridge: the NIC stays with the host's stack; --bridge joins "
		    "it with the guests\n# left to you (a:9): ifconfig vp0 $IP/24 up\nversion: 1\n");
	outcome_free(&o);
}

static void every_line_says_where_it_came_from(void **state)
{
	struct input in = { .format = IMPORT_IO_PKT, .text = T3_LINES };
	struct outcome o = run(&in);
	char *line, *save = NULL;

	(void)state;
	for (line = strtok_r(o.yaml, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (*line == ' ' && !strstr(line, "  # "))
			fail_msg("no comment: %s", line);
	outcome_free(&o);
}

/* ---- bridges ---- */

#define BRIDGED(name, device, path) "  - {name: " name ", device: " device ", alias: \"" path "\", segment: bridge0}\n"

static const char bridged[] = "version: 1\nsegments: [{name: bridge0}]\nports:\n" BRIDGED("qnx7-guest1.p2p", "tap0",
											  "/dev/qvm/qnx7-guest1/p2p")
	BRIDGED("qnx7-guest2.p2p", "qnx7-guest2-p2p", "/dev/qvm/qnx7-guest2/p2p")
		BRIDGED("linux-guest.p2p", "tap2",
			"/dev/qvm/linux-guest/p2p") "  - {name: vp0, kind: host, alias: /dev/vdevpeers/vp0, segment: "
						    "bridge0, mac: auto}\n";

static void a_bridge_is_a_segment_with_one_host_port(void **state)
{
	struct input in = { .format = IMPORT_IO_PKT,
			    .text = T3_LINES,
			    .bridge = true,
			    .devices = { "/dev/qvm/qnx7-guest1/p2p=tap0", "linux-guest.p2p=tap2" },
			    .uplinks = { "e1000=eth1" } };
	char yaml[2048];

	(void)state;
	snprintf(yaml, sizeof(yaml), "%s  - {name: e1000, kind: uplink, device: eth1, segment: bridge0}\n", bridged);
	expect_plane(&in, yaml);
	in.text = T3_LINES "ifconfig bridge0 create\nbrconfig bridge0 add vp0 add vp1 up\n"
			   "brconfig bridge0 add vp2 add wm0 up\n";
	in.bridge = false;
	snprintf(yaml, sizeof(yaml), "%s  - {name: wm0, kind: uplink, device: eth1, segment: bridge0}\n", bridged);
	expect_plane(&in, yaml);
	in.uplinks[0] = "wm0=eth1";
	expect_plane(&in, yaml);
	in.text = T3_LINES "ifconfig bridge0 addm vp0 addm vp1 addm vp2 addm wm0 up\n";
	expect_plane(&in, yaml);
}

static void who_is_not_bridged_keeps_its_wire(void **state)
{
	struct input in = { .format = IMPORT_IO_PKT,
			    .text = IO_PKT "peer=/dev/qvm/a/n,bind=/d/vp0,peer=/dev/qvm/b/n,bind=/d/vp1\n"
					   "brconfig bridge0 add vp1 up\n" };

	(void)state;
	expect_plane(&in,
		     "version: 1\nsegments: [{name: bridge0}]\nports:\n" GUEST("a.n", "a-n", "/dev/qvm/a/n") BRIDGED(
			     "b.n", "b-n", "/dev/qvm/b/n")
			     HOST("vp0",
				  "/d/vp0") "  - {name: vp1, kind: host, alias: /d/vp1, segment: bridge0, mac: auto}\n"
					    "bindings: [{a: a.n, b: vp0}]\n");
}

static void a_nic_without_a_bridge_is_taken_when_it_is_asked_for(void **state)
{
	struct input in = { .format = IMPORT_IO_PKT,
			    .text = "io-pkt-v6-hc -d e1000 -d vdevpeer-net",
			    .uplinks = { "e1000=eth1" } };

	(void)state;
	expect_plane(&in, "version: 1\nsegments: [{name: e1000}]\nports:\n"
			  "  - {name: e1000h, kind: host, segment: e1000, mac: auto}\n"
			  "  - {name: e1000, kind: uplink, device: eth1, segment: e1000}\n");
}

static void an_interface_is_in_one_bridge(void **state)
{
	struct input in = { .format = IMPORT_IO_PKT,
			    .text = IO_PKT "peer=/a,bind=/vp0\nbrconfig bridge0 add vp0\nbrconfig bridge1 add vp0\n" };

	(void)state;
	expect_refusal(&in, "vpeer: a:3:22: bridge: vp0 is already in bridge0\n"
			    "    brconfig bridge1 add vp0\n"
			    "                         ^~~\n");
}

static void an_option_about_nothing_is_a_fault(void **state)
{
	struct input in = { .format = IMPORT_IO_PKT,
			    .text = IO_PKT "peer=/dev/qvm/a/n,bind=/vp0",
			    .devices = { "/dev/qvm/b/n=tap0" },
			    .uplinks = { "e1000=eth1" } };

	(void)state;
	expect_refusal(&in,
		       "vpeer: --device: /dev/qvm/b/n is neither a guest's path in the input nor the name of a port "
		       "made from it\n"
		       "vpeer: --uplink: e1000 is nothing in the input that could be an uplink\n");
}

/* ---- anything at all ---- */

static void what_is_no_text_or_too_much_is_refused(void **state)
{
	static char big[IMPORT_MAX_TEXT + 1];
	struct import_opts opts = { 0 };
	struct import im;

	(void)state;
	memset(big, ' ', sizeof(big));
	import_init(&im, IMPORT_IO_PKT, &opts);
	listen(false);
	import_text(&im, "a", big, sizeof(big));
	import_text(&im, "b", "io-pkt\0x", 8);
	assert_int_equal(import_finish(&im), -EINVAL);
	assert_heard("vpeer: a: input: is larger than 1 MiB\n"
		     "vpeer: b:1:7: input: is no text: a NUL character\n"
		     "    io-pkt\n"
		     "          ^\n");
	import_free(&im);
}

static void faults_beyond_a_hundred_are_counted_only(void **state)
{
	struct import_opts opts = { 0 };
	char *text = malloc(64 * 300), *to = text, *told;
	struct import im;
	int i;

	(void)state;
	for (i = 0; i < 300; i++)
		to += sprintf(to, "vpctl vp%d peer=x\n", i);
	import_init(&im, IMPORT_VPCTL, &opts);
	listen(false);
	import_text(&im, "a", text, (size_t)(to - text));
	assert_int_equal(import_finish(&im), -EINVAL);
	told = heard();
	assert_says(told, "more than 99 faults; the rest is not shown\n");
	assert_int_equal(lines(told), 99 * 3 + 1);
	free(told);
	free(text);
	import_free(&im);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_vector_gives_its_plane),
		cmocka_unit_test(every_fault_is_named_and_marked),
		cmocka_unit_test(a_command_line_is_its_own_place),
		cmocka_unit_test(one_address_twice_is_a_fault_in_a_segment_only),
		cmocka_unit_test(an_interface_is_not_called_as_its_bind_path_says),
		cmocka_unit_test(lines_are_joined_as_a_shell_joins_them),
		cmocka_unit_test(a_fault_behind_a_joined_line_has_its_own_line),
		cmocka_unit_test(an_open_quote_and_a_variable_are_faults),
		cmocka_unit_test(a_script_of_8_0_is_read_past_what_is_not_ours),
		cmocka_unit_test(every_line_says_where_it_came_from),
		cmocka_unit_test(a_bridge_is_a_segment_with_one_host_port),
		cmocka_unit_test(who_is_not_bridged_keeps_its_wire),
		cmocka_unit_test(a_nic_without_a_bridge_is_taken_when_it_is_asked_for),
		cmocka_unit_test(an_interface_is_in_one_bridge),
		cmocka_unit_test(an_option_about_nothing_is_a_fault),
		cmocka_unit_test(what_is_no_text_or_too_much_is_refused),
		cmocka_unit_test(faults_beyond_a_hundred_are_counted_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
