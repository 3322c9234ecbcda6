/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <dirent.h>

#include "conf_key.h"
#include "unit.h"

/* ---- what is read ---- */

static void every_key_reaches_the_model(void **state)
{
	struct model m = model_of("version: 1\n"
				  "segments:\n"
				  "  - {name: lan, vlan: 10, age: 0, flood: false, duplicate: ignore}\n"
				  "ports:\n"
				  "  - name: g1\n"
				  "    broadcast_pps: 7\n"
				  "    quota: 9\n"
				  "    device: 'eth1'\n"
				  "    kind: uplink\n"
				  "    alias: '/dev/qvm/g1/net0'\n"
				  "    segment: \"lan\"\n"
				  "    tagged: [iot, \"dmz\"]\n"
				  "    mac: [\"02-00-00-00-00-0B\", 02:00:00:00:00:0a]\n"
				  "    carrier: xdp\n"
				  "    mode: generic\n"
				  "    attach: shared\n"
				  "  - {name: vp0, kind: host, mac: auto}\n"
				  "bindings:\n"
				  "  - {b: g1, a: vp0}\n");
	struct mac a = mac_of("02:00:00:00:00:0a");
	struct port *p = &m.ports[0];

	(void)state;
	assert_string_equal(m.segments[0].name, "lan");
	assert_int_equal(m.segments[0].vlan, 10);
	assert_int_equal(m.segments[0].age, 0);
	assert_false(m.segments[0].flood);
	assert_int_equal(m.segments[0].duplicate, DUPLICATE_IGNORE);
	assert_int_equal(m.segments[0].at.line, 3);
	assert_int_equal(m.segments[0].at.column, 5);
	assert_string_equal(p->name, "g1");
	assert_string_equal(p->device, "eth1");
	assert_int_equal(p->kind, VP_KIND_UPLINK);
	assert_string_equal(p->alias, "/dev/qvm/g1/net0");
	assert_string_equal(p->segment, "lan");
	assert_int_equal(p->n_tagged, 2);
	assert_string_equal(p->tagged[0].s, "dmz");
	assert_string_equal(p->tagged[1].s, "iot");
	assert_int_equal(p->n_macs, 2);
	assert_memory_equal(&p->macs[0], &a, sizeof(a));
	assert_int_equal(p->carrier, CARRIER_XDP);
	assert_int_equal(p->mode, MODE_GENERIC);
	assert_int_equal(p->attach, ATTACH_SHARED);
	assert_int_equal(p->quota, 9);
	assert_int_equal(p->broadcast_pps, 7);
	assert_true(m.ports[1].mac_auto);
	assert_int_equal(m.ports[1].n_macs, 0);
	assert_string_equal(m.ports[1].device, "vp0");
	assert_string_equal(m.bindings[0].a, "vp0");
	assert_string_equal(m.bindings[0].b, "g1");
	model_free(&m);
}

static void what_is_absent_has_its_default(void **state)
{
	struct model m = model_of("version: 1\nsegments: [{name: lan}]\nports:\n  - {name: g, device: t}\n"
				  "  - {name: w, quota: 64, kind: uplink, device: e}\nbindings:\n");
	struct segment s;
	struct port p;

	(void)state;
	segment_init(&s);
	strcpy(s.name, "lan");
	assert_true(segment_equal(&s, &m.segments[0]));
	port_init(&p, VP_KIND_GUEST);
	strcpy(p.name, "g");
	strcpy(p.device, "t");
	assert_true(port_equal(&p, &m.ports[0]));
	assert_int_equal(m.ports[1].quota, 64); /* given, though it is the default of another kind */
	assert_int_equal(m.n_bindings, 0);
	model_free(&m);
}

static void a_list_of_only_auto_is_auto(void **state)
{
	struct model m = model_of("version: 1\nports: [{name: vp0, kind: host, mac: [auto]}]\n");

	(void)state;
	assert_true(m.ports[0].mac_auto);
	model_free(&m);
}

static void a_byte_order_mark_is_no_fault(void **state)
{
	struct model m = model_of("\xef\xbb\xbfversion: 1\n");

	(void)state;
	model_free(&m);
}

/* ---- what is refused ---- */

static const struct refusal {
	const char *text, *expected;
} refusals[] = {
	/* as YAML */
	{ "", "plane.yaml:1:1: configuration: is empty; the least that is a configuration is `version: 1`\n" },
	{ "# only a comment\n",
	  "plane.yaml:1:1: configuration: is empty; the least that is a configuration is `version: 1`\n" },
	{ "version: 1\nports: [\n", "plane.yaml:3:1: configuration: not valid YAML: while parsing a flow node: "
				    "did not find expected node content\n" },
	{ "version: 1\n\tports: []\n", "plane.yaml:2:1: configuration: not valid YAML: while scanning a plain scalar: "
				       "found a tab character that violates indentation\n" },
	{ "version: 1\nports: \xff\n", "plane.yaml:2:8: configuration: not UTF-8 text: "
				       "invalid leading UTF-8 octet\n" },
	{ "version: 1\n---\nversion: 1\n",
	  "plane.yaml:2:1: configuration: a second document (---); a configuration is one document\n" },
	{ "version: 1\nports:\n  - &a {name: a}\n  - *a\n",
	  "plane.yaml:3:5: configuration: anchors (&) and aliases (*) are not used in a configuration; "
	  "write the value out\n" },
	{ "version: !!int 1\n", "plane.yaml:1:10: configuration: tags (!) are not used in a configuration; "
				"leave it out\n" },
	{ "version: 1\nports: [[[[[[[[[[[[\n", "plane.yaml:2:15: configuration: nested too deeply\n" },
	/* as a whole */
	{ "- version: 1\n", "plane.yaml:1:1: configuration: a list where a mapping with `version: 1` belongs\n" },
	{ "hello\n", "plane.yaml:1:1: configuration: a single value where a mapping with `version: 1` belongs\n" },
	{ "ports: []\n", "plane.yaml:1:1: configuration: has no `version`; begin with `version: 1`\n" },
	{ "version: 2\n",
	  "plane.yaml:1:10: version: \"2\" is not a version that this build reads; it reads 1 (a number)\n" },
	{ "version: \"1\"\n",
	  "plane.yaml:1:10: version: \"1\" is not a version that this build reads; it reads 1 (a number)\n" },
	{ "version: 1\nversion: 1\n", "plane.yaml:2:1: configuration: key \"version\" is given twice\n" },
	{ "version: 1\nport: []\n", "plane.yaml:2:1: configuration: unknown key \"port\"; did you mean \"ports\"?\n" },
	{ "version: 1\n[a]: 1\n", "plane.yaml:2:1: configuration: a list as a key; keys are words\n" },
	{ "version: 1\nports: {name: a}\n", "plane.yaml:2:8: ports: a mapping where a list belongs\n" },
	{ "version: 1\nports: [a]\n",
	  "plane.yaml:2:9: ports: a single value where a mapping such as {name: x} belongs\n" },
	/* keys */
	{ "version: 1\nports:\n  - name: guest1\n    devise: tap0\n",
	  "plane.yaml:4:5: port guest1: unknown key \"devise\"; did you mean \"device\"?\n" },
	{ "version: 1\nports:\n  - name: guest1\n    colour: red\n",
	  "plane.yaml:4:5: port guest1: unknown key \"colour\"\n" },
	{ "version: 1\nports:\n  - {name: a, device: t, device: u}\n",
	  "plane.yaml:3:26: port a: key \"device\" is given twice\n" },
	{ "version: 1\nports:\n  - {device: t}\n", "plane.yaml:3:5: port #1: has no `name`\n" },
	{ "version: 1\nbindings:\n  - {a: x}\n", "plane.yaml:3:5: binding #1: has no `b`\n" },
	{ "version: 1\nports:\n  - {name: w, tagged: [Lan]}\n",
	  "plane.yaml:3:24: port w: tagged: \"Lan\" is not a name: [a-z0-9][a-z0-9_.-]*, at most 31 characters\n" },
	{ "version: 1\nports:\n  - {name: w, tagged: [lan, dmz, lan]}\n",
	  "plane.yaml:3:34: port w: tagged: \"lan\" is listed twice\n" },
	{ "version: 1\nports:\n  - {name: w, tagged: [[lan]]}\n",
	  "plane.yaml:3:24: port w: tagged: a list where one value belongs\n" },
	{ "version: 1\nports:\n  - {name: w, tagged: {lan: 1}}\n",
	  "plane.yaml:3:23: port w: tagged: a mapping where one value belongs\n" },
	{ "version: 1\nports:\n  - {name: w, tagged: }\n", "plane.yaml:3:23: port w: tagged: has no value\n" },
	{ "version: 1\nports:\n  - {name: w, addresses: [\"198.18.0.1/32\"]}\n",
	  "plane.yaml:3:15: port w: this build does not have `addresses` yet\n" },
	{ "version: 1\nbindings:\n  - {a: x, b: y, propagate: maybe}\n",
	  "plane.yaml:3:29: binding x y: propagate: \"maybe\" is not true or false\n" },
	/* values */
	{ "version: 1\nports:\n  - {name: A}\n",
	  "plane.yaml:3:12: port A: name: \"A\" is not a name: [a-z0-9][a-z0-9_.-]*, at most 31 characters\n" },
	{ "version: 1\nports:\n  - {name: a, device: [t]}\n",
	  "plane.yaml:3:23: port a: device: a list where one value belongs\n" },
	{ "version: 1\nports:\n  - {name: a, device: }\n", "plane.yaml:3:23: port a: device: has no value\n" },
	{ "version: 1\nports:\n  - {name: a, device: \"t\\0\"}\n",
	  "plane.yaml:3:23: port a: device: a NUL character in the value\n" },
	{ "version: 1\nports:\n  - {name: a, device: a/b}\n",
	  "plane.yaml:3:23: port a: device: \"a/b\" is not the name of a network interface (at most 15 characters; "
	  "no PCI address: see vpeer doctor --vfio)\n" },
	{ "version: 1\nports:\n  - {name: a, kind: gest}\n",
	  "plane.yaml:3:21: port a: kind: \"gest\" is not guest, host or uplink\n" },
	{ "version: 1\nports:\n  - {name: a, carrier: fast}\n",
	  "plane.yaml:3:24: port a: carrier: \"fast\" is not auto, xdp or tc\n" },
	{ "version: 1\nports:\n  - {name: a, attach: together}\n",
	  "plane.yaml:3:23: port a: attach: \"together\" is not link or shared\n" },
	{ "version: 1\nports:\n  - {name: a, mode: skb}\n",
	  "plane.yaml:3:21: port a: mode: \"skb\" is not native or generic\n" },
	{ "version: 1\nports:\n  - {name: a, quota: 65537}\n",
	  "plane.yaml:3:22: port a: quota: \"65537\" is not a number from 0 to 65536\n" },
	{ "version: 1\nports:\n  - {name: a, quota: \"10\"}\n",
	  "plane.yaml:3:22: port a: quota: \"10\" in quotes is text and not a number from 0 to 65536; "
	  "leave the quotes out\n" },
	{ "version: 1\nsegments:\n  - {name: a, vlan: 4095}\n",
	  "plane.yaml:3:21: segment a: vlan: \"4095\" is not a number from 1 to 4094\n" },
	{ "version: 1\nsegments:\n  - {name: a, vlan: 0}\n",
	  "plane.yaml:3:21: segment a: vlan: \"0\" is not a number from 1 to 4094\n" },
	{ "version: 1\nsegments:\n  - {name: a, flood: maybe}\n",
	  "plane.yaml:3:22: segment a: flood: \"maybe\" is not true or false\n" },
	{ "version: 1\nsegments:\n  - {name: a, flood: \"true\"}\n",
	  "plane.yaml:3:22: segment a: flood: \"true\" in quotes is text and not true or false; "
	  "leave the quotes out\n" },
	{ "version: 1\nsegments:\n  - {name: a, duplicate: deny}\n",
	  "plane.yaml:3:26: segment a: duplicate: \"deny\" is not move, drop or ignore\n" },
	{ "version: 1\nsegments:\n  - {name: a, age: -1}\n",
	  "plane.yaml:3:20: segment a: age: \"-1\" is not a number of seconds (0 = never)\n" },
	/* addresses, each at its own place */
	{ "version: 1\nports:\n  - {name: a, mac: 1}\n",
	  "plane.yaml:3:20: port a: mac: \"1\" is not a MAC address such as 52:54:00:00:00:11\n" },
	{ "version: 1\nports:\n  - name: a\n    mac:\n      - \"02:00:00:00:00:01\"\n      - \"03:00:00:00:00:01\"\n",
	  "plane.yaml:6:9: port a: mac: 03:00:00:00:00:01 is a group address; it can be nobody's address\n" },
	{ "version: 1\nports:\n  - name: a\n    mac:\n      - \"02:00:00:00:00:01\"\n      - \"02-00-00-00-00-01\"\n",
	  "plane.yaml:6:9: port a: mac: \"02-00-00-00-00-01\" is listed twice\n" },
	{ "version: 1\nports:\n  - {name: a, alias: \"two words\"}\n",
	  "plane.yaml:3:22: port a: alias: \"two words\" is not a text of at most 95 printable characters without "
	  "blanks\n" },
	{ "version: 1\nports:\n  - {name: a, alias: "
	  "/23456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456}\n",
	  "plane.yaml:3:22: port a: alias: "
	  "\"/23456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456\" "
	  "is not a text of at most 95 printable characters without blanks\n" },
	{ "version: 1\nports:\n  - {name: a, mac: [auto, \"02:00:00:00:00:01\"]}\n",
	  "plane.yaml:3:21: port a: mac: \"auto\" is not a MAC address such as 52:54:00:00:00:11, "
	  "and auto can't be one of several\n" },
	{ "version: 1\nports:\n  - {name: a, mac: []}\n",
	  "plane.yaml:3:20: port a: mac: an empty list; leave `mac` out to admit any address\n" },
	{ "version: 1\nports:\n  - {name: a, mac: {x: y}}\n",
	  "plane.yaml:3:20: port a: mac: a mapping where one value belongs\n" },
};

static void each_fault_has_one_message_at_its_place(void **state)
{
	char expected[400];
	struct model m;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		model_init(&m);
		listen(false);
		ret = conf_read_text(refusals[i].text, strlen(refusals[i].text), "plane.yaml", &m);
		snprintf(expected, sizeof(expected), "vpeer: %s", refusals[i].expected);
		assert_heard(expected);
		assert_int_equal(ret, -EINVAL);
		model_free(&m);
	}
}

static void every_fault_is_reported_not_only_the_first(void **state)
{
	static const char text[] = "version: 3\nsegments: 1\nports:\n  - {name: a, kind: x, mode: y, qota: 1}\n  - 5\n"
				   "bindings:\n  - {a: x, c: y}\n";
	struct model m;

	(void)state;
	model_init(&m);
	listen(false);
	assert_int_equal(conf_read_text(text, strlen(text), "f", &m), -EINVAL);
	assert_heard("vpeer: f:1:10: version: \"3\" is not a version that this build reads; it reads 1 (a number)\n"
		     "vpeer: f:2:11: segments: a single value where a list belongs\n"
		     "vpeer: f:4:21: port a: kind: \"x\" is not guest, host or uplink\n"
		     "vpeer: f:4:30: port a: mode: \"y\" is not native or generic\n"
		     "vpeer: f:4:33: port a: unknown key \"qota\"; did you mean \"quota\"?\n"
		     "vpeer: f:5:5: ports: a single value where a mapping such as {name: x} belongs\n"
		     "vpeer: f:7:5: binding #1: has no `b`\n"
		     "vpeer: f:7:12: binding #1: unknown key \"c\"\n");
	model_free(&m);
}

/* ---- size ---- */

static char *repeated(const char *head, const char *part, size_t times, size_t *len)
{
	size_t n = strlen(part), i;
	char *text = malloc(strlen(head) + n * times + 1), *to = text;

	assert_non_null(text);
	to = stpcpy(to, head);
	for (i = 0; i < times; i++)
		to = stpcpy(to, part);
	*len = (size_t)(to - text);
	return text;
}

static void large_and_deep_input_is_refused_in_time(void **state)
{
	static const struct {
		const char *head, *part;
		size_t times;
	} inputs[] = {
		{ "version: 1\n", "# 10 MB\n", 1250000 },
		{ "version: 1\nports: ", "[", 1000000 },
		{ "", "- ", 1000000 },
		{ "", "? ", 1000000 },
		{ "version: 1\nx: ", "aaaaaaaa", 500000 },
		{ "version: 1\nports:\n", "  - {name: a}\n", 40000 },
		{ "version: 1\nports:\n", "  - 1\n", 60000 },
		{ "version: 1\n", "x: 1\n", 80000 },
	};
	char *text, *messages;
	struct model m;
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(inputs) / sizeof(*inputs); i++) {
		text = repeated(inputs[i].head, inputs[i].part, inputs[i].times, &len);
		model_init(&m);
		listen(false);
		if (!conf_read_text(text, len, "big", &m))
			assert_int_equal(model_check(&m), -EINVAL);
		messages = heard();
		assert_true(*messages);
		assert_true(lines(messages) <= 200);
		free(messages);
		model_free(&m);
		free(text);
	}
}

static void a_stream_that_never_ends_is_refused(void **state)
{
	FILE *zero = fopen("/dev/zero", "r");
	struct model m;

	(void)state;
	model_init(&m);
	assert_non_null(zero);
	listen(false);
	assert_int_equal(conf_read(zero, "zero", &m), -EINVAL);
	assert_heard("vpeer: zero: configuration: is larger than 4 MiB\n");
	fclose(zero);
	model_free(&m);
}

/* ---- files ---- */

static void a_file_that_cannot_be_read_says_why(void **state)
{
	struct model m;

	(void)state;
	model_init(&m);
	listen(false);
	assert_int_equal(conf_load("/nonexistent/x.yaml", "default", &m), -ENOENT);
	assert_int_equal(conf_load("/", "default", &m), -EISDIR);
	assert_heard("vpeer: /nonexistent/x.yaml: configuration: cannot be read: No such file or directory\n"
		     "vpeer: /: configuration: cannot be read: Is a directory\n");
	model_free(&m);
}

static void load_example(const char *path)
{
	struct model m;

	model_init(&m);
	listen(false);
	assert_int_equal(conf_load(path, "default", &m), 0);
	assert_heard("");
	assert_true(m.n_ports > 0);
	model_free(&m);
}

static void the_examples_load_without_a_word(void **state)
{
	DIR *dir = opendir("configs");
	struct dirent *e;
	char path[300];
	int n = 0;

	(void)state;
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		if (!strstr(e->d_name, ".yaml"))
			continue;
		snprintf(path, sizeof(path), "configs/%s", e->d_name);
		load_example(path);
		n++;
	}
	closedir(dir);
	assert_true(n >= 3);
}

/* ---- what is written ---- */

static void only_what_differs_from_the_default_is_written(void **state)
{
	struct model m =
		model_of("version: 1\nsegments: [{name: \"no\", vlan: 3}, {name: lan, age: 300, flood: true}]\n"
			 "ports:\n  - {name: z, device: t1, carrier: auto, mode: native, attach: link, "
			 "quota: 64, mac: auto}\n"
			 "  - {name: vp0, kind: host, mac: [\"02:00:00:00:00:02\", \"02:00:00:00:00:01\"]}\n"
			 "  - {name: 7up, device: 7up, segment: lan, mac: 02-00-00-00-00-0A, "
			 "attach: shared, broadcast_pps: 0}\n"
			 "bindings: [{a: z, b: vp0, propagate: true}]\n");
	char *text = text_of_model(&m);

	(void)state;
	assert_string_equal(text, "version: 1\nsegments:\n  - name: lan\n  - name: \"no\"\n    vlan: 3\nports:\n"
				  "  - name: \"7up\"\n    device: \"7up\"\n    segment: lan\n"
				  "    mac: \"02:00:00:00:00:0a\"\n    attach: shared\n    broadcast_pps: 0\n"
				  "  - name: vp0\n    kind: host\n    mac:\n      - \"02:00:00:00:00:01\"\n"
				  "      - \"02:00:00:00:00:02\"\n"
				  "  - name: z\n    device: t1\n    mac: auto\n"
				  "bindings:\n  - a: vp0\n    b: z\n    propagate: true\n");
	assert_string_equal(m.ports[0].name, "z"); /* and the model stays as it is */
	free(text);
	model_free(&m);
}

static void nothing_is_written_as_a_version(void **state)
{
	struct model m;
	char *text;

	(void)state;
	model_init(&m);
	text = text_of_model(&m);
	assert_string_equal(text, "version: 1\n");
	free(text);
}

static void a_full_disk_is_an_error(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct model m;

	(void)state;
	model_init(&m);
	assert_non_null(full);
	assert_int_equal(conf_write(full, &m), -ENOSPC);
	fclose(full);
}

static uint32_t seed = 1;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 4) * n >> 28);
}

static void random_name(char *to, size_t most, size_t number)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789", rest[] = "anoyesful0123456789_.-";
	static const char *const odd[] = { "no", "yes", "true", "null", "on", "y", "1e3", "0x1f", "1.5", "12_3", "n" };
	size_t n = dice((uint32_t)most - 5), i;

	if (!dice(8) && number < sizeof(odd) / sizeof(*odd)) {
		strcpy(to, odd[number]);
		return;
	}
	to[0] = first[dice(36)];
	for (i = 1; i <= n; i++)
		to[i] = rest[dice(22)];
	snprintf(to + n + 1, 5, "%zu", number % 1000);
}

static void random_device(char to[VP_DEV_LEN], size_t number)
{
	static const char odd[] = "-#&*!|>'\"\\@`{}[],?x9~=<";
	size_t i;

	to[0] = odd[dice(23)];
	for (i = 1; i < 1 + dice(9); i++)
		to[i] = odd[dice(23)];
	snprintf(to + i, 5, "%zu", number % 1000);
}

static void random_port(struct port *p, const struct model *m, size_t number)
{
	uint32_t n = dice(3) ? 0 : dice(5);
	struct mac mac;

	port_init(p, (enum vp_kind)dice(VP_KIND_COUNT));
	random_name(p->name, p->kind == VP_KIND_HOST ? 13 : 31, number);
	if (p->kind == VP_KIND_HOST)
		memcpy(p->device, p->name, 14);
	else
		random_device(p->device, number);
	if (m->n_segments && dice(2))
		memcpy(p->segment, m->segments[dice((uint32_t)m->n_segments)].name, sizeof(p->segment));
	if (!dice(3))
		snprintf(p->alias, sizeof(p->alias), "/dev/qvm/%s/%zu\"#'\\", p->name, number);
	p->mac_auto = !dice(3);
	while (!p->mac_auto && n--) {
		mac = (struct mac){ { (uint8_t)(dice(128) * 2), 1, (uint8_t)dice(256), (uint8_t)dice(256), 5, 6 } };
		port_add_mac(p, &mac);
	}
	p->carrier = (enum carrier)dice(3);
	p->mode = (enum xdp_mode)dice(2);
	p->attach = (enum xdp_attach)dice(2);
	if (!dice(2))
		p->quota = dice(3) * 64;
	if (!dice(2))
		p->broadcast_pps = dice(3) * 500;
}

static void random_model(struct model *m)
{
	size_t segments = dice(5), ports = dice(12), i;
	struct segment s;
	struct port p;

	model_init(m);
	for (i = 0; i < segments; i++) {
		segment_init(&s);
		random_name(s.name, 31, i);
		s.vlan = (uint16_t)(dice(2) * dice(4095));
		s.age = dice(3) * 150;
		s.flood = dice(2);
		s.duplicate = (enum duplicate)dice(3);
		model_add_segment(m, &s);
	}
	for (i = 0; i < ports; i++) {
		random_port(&p, m, i);
		model_add_port(m, &p);
	}
	for (i = 1; i < ports; i += 2)
		if (dice(2))
			make_binding(m, m->ports[i].name, m->ports[i - 1].name);
}

static void what_is_written_reads_back_equal(void **state)
{
	struct model m, back;
	char *text, *again;
	int i;

	(void)state;
	for (i = 0; i < 2000; i++) {
		random_model(&m);
		text = text_of_model(&m);
		back = model_of(text);
		again = text_of_model(&back);
		assert_string_equal(text, again);
		model_sort(&m);
		assert_models_equal(&m, &back);
		assert_int_equal(model_derive(&m, "p"), 0);
		assert_int_equal(model_derive(&back, "p"), 0);
		assert_models_equal(&m, &back);
		free(text);
		free(again);
		model_free(&m);
		model_free(&back);
	}
}

/* ---- arguments ---- */

static struct port port_of_args(int n, char *const *args, int expected)
{
	struct port p;

	port_init(&p, VP_KIND_GUEST);
	strcpy(p.name, "g");
	assert_int_equal(conf_port_args(&p, n, args), expected);
	return p;
}

static void arguments_are_the_keys_of_the_file(void **state)
{
	char *args[] = { "quota=5",
			 "device=eth1",
			 "kind=uplink",
			 "segment=lan",
			 "mac=02:00:00:00:00:02,02:00:00:00:00:01",
			 "carrier=tc",
			 "mode=generic",
			 "attach=shared",
			 "broadcast_pps=3" };
	struct model m =
		model_of("version: 1\nports:\n  - {name: g, quota: 5, device: eth1, kind: uplink, segment: lan, "
			 "mac: [\"02:00:00:00:00:01\", \"02:00:00:00:00:02\"], carrier: tc, mode: generic, "
			 "attach: shared, broadcast_pps: 3}\n");
	struct port p = port_of_args(9, args, 0);

	(void)state;
	assert_true(port_equal(&p, &m.ports[0]));
	/* Empty: any address, no segment; and a port can go back to auto. */
	assert_int_equal(conf_port_arg(&p, "mac="), 0);
	assert_int_equal(p.n_macs, 0);
	assert_int_equal(conf_port_arg(&p, "segment="), 0);
	assert_int_equal(conf_port_arg(&p, "alias=/x"), 0);
	assert_string_equal(p.alias, "/x");
	assert_int_equal(conf_port_arg(&p, "alias=/23456789012345678901234567890123456789012"
					   "34567890123456789012345678901234567890123456789012345"),
			 0);
	assert_int_equal(strlen(p.alias), 95);
	assert_int_equal(conf_port_arg(&p, "alias="), 0);
	assert_string_equal(p.alias, "");
	assert_string_equal(p.segment, "");
	assert_int_equal(conf_port_arg(&p, "mac=auto"), 0);
	assert_true(p.mac_auto);
	assert_int_equal(conf_port_arg(&p, "mac=02:00:00:00:00:02"), 0);
	assert_false(p.mac_auto);
	port_free(&p);
	model_free(&m);
}

static void the_kind_acts_first_and_brings_its_defaults(void **state)
{
	char *uplink[] = { "quota=64", "kind=uplink", "device=e" }, *host[] = { "kind=host" };
	struct port p = port_of_args(3, uplink, 0);

	(void)state;
	assert_int_equal(p.quota, 64);
	assert_int_equal(p.broadcast_pps, 0);
	p = port_of_args(1, host, 0);
	assert_string_equal(p.device, "g");
	assert_int_equal(conf_port_arg(&p, "kind=uplink"), 0);
	assert_int_equal(p.quota, QUOTA_UPLINK);
}

static void bad_arguments_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *arg, *message;
	} bad[] = {
		{ "device", "\"device\" is not key=value" },
		{ "devise=x", "unknown key \"devise\"; did you mean \"device\"?" },
		{ "colour=x", "unknown key \"colour\"" },
		{ "=x", "unknown key \"\"" },
		{ "a-key-that-is-longer-than-any-key-there-is=x", "unknown key \"a-key-that-is-longer-than-any-k\"" },
		{ "name=x", "name: a port keeps its name; delete it and add another" },
		{ "tagged=lan,", "tagged: \"\" is not a name: [a-z0-9][a-z0-9_.-]*, at most 31 characters" },
		{ "tagged=lan,lan", "tagged: \"lan\" is listed twice" },
		{ "device=", "device: \"\" is not the name of a network interface (at most 15 characters; "
			     "no PCI address: see vpeer doctor --vfio)" },
		{ "attach=both", "attach: \"both\" is not link or shared" },
		{ "quota=x", "quota: \"x\" is not a number from 0 to 65536" },
		{ "mac=02:00:00:00:00:01,", "mac: \"\" is not a MAC address such as 52:54:00:00:00:11" },
		{ "mac=ff:ff:ff:ff:ff:ff",
		  "mac: ff:ff:ff:ff:ff:ff is the broadcast address; it can be nobody's address" },
		{ "mac=02:00:00:00:00:01,02:00:00:00:00:01", "mac: \"02:00:00:00:00:01\" is listed twice" },
	};
	char expected[200], *twice[] = { "quota=1", "device=x", "quota=2" };
	struct port p, was;
	size_t i;

	(void)state;
	port_init(&p, VP_KIND_GUEST);
	strcpy(p.name, "g");
	was = p;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		listen(false);
		assert_int_equal(conf_port_arg(&p, bad[i].arg), -EINVAL);
		snprintf(expected, sizeof(expected), "vpeer: port g: %s\n", bad[i].message);
		assert_heard(expected);
		assert_true(port_equal(&p, &was));
	}
	listen(false);
	port_of_args(3, twice, -EINVAL);
	assert_heard("vpeer: port g: key \"quota\" is given twice\n");
}

static void shells_learn_the_keys_and_their_words(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	key_complete(out);
	fclose(out);
	assert_string_equal(text, "device=\t\nkind=\tguest|host|uplink\nalias=\t\nsegment=\t\ntagged=\t\nmac=\t\n"
				  "carrier=\tauto|xdp|tc\nmode=\tnative|generic\nattach=\tlink|shared\nquota=\t\n"
				  "broadcast_pps=\t\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_reaches_the_model),
		cmocka_unit_test(what_is_absent_has_its_default),
		cmocka_unit_test(a_list_of_only_auto_is_auto),
		cmocka_unit_test(a_byte_order_mark_is_no_fault),
		cmocka_unit_test(each_fault_has_one_message_at_its_place),
		cmocka_unit_test(every_fault_is_reported_not_only_the_first),
		cmocka_unit_test(large_and_deep_input_is_refused_in_time),
		cmocka_unit_test(a_stream_that_never_ends_is_refused),
		cmocka_unit_test(a_file_that_cannot_be_read_says_why),
		cmocka_unit_test(the_examples_load_without_a_word),
		cmocka_unit_test(only_what_differs_from_the_default_is_written),
		cmocka_unit_test(nothing_is_written_as_a_version),
		cmocka_unit_test(a_full_disk_is_an_error),
		cmocka_unit_test(what_is_written_reads_back_equal),
		cmocka_unit_test(arguments_are_the_keys_of_the_file),
		cmocka_unit_test(the_kind_acts_first_and_brings_its_defaults),
		cmocka_unit_test(bad_arguments_are_refused_with_a_reason),
		cmocka_unit_test(shells_learn_the_keys_and_their_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
