/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `show`, `check` and `diff` say, from snapshots made by hand: no root, no kernel. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "table.h"
#include "value.h"
#include "view.h"

/* Last: cmocka has a macro of the name of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* ---- snapshots ---- */

static struct port *add_port(struct model *m, const char *name, const char *device, enum vp_kind kind,
			     const char *segment)
{
	struct port p;

	port_init(&p, kind);
	snprintf(p.name, sizeof(p.name), "%s", name);
	snprintf(p.device, sizeof(p.device), "%s", device);
	snprintf(p.segment, sizeof(p.segment), "%s", segment);
	return model_add_port(m, &p);
}

/* lan: guest1 (tap0, up, xdp) and guest2 (tap1, waiting); guest3 = vp0 bound, vp0 degraded. */
static void sample(struct view *v)
{
	struct segment s;
	struct binding b = { .a = "guest3", .b = "vp0" };
	size_t i;

	memset(v, 0, sizeof(*v));
	model_init(&v->model);
	strcpy(v->plane, "default");
	segment_init(&s);
	strcpy(s.name, "lan");
	s.vlan = 10;
	assert_non_null(model_add_segment(&v->model, &s));
	struct port *guest1 = add_port(&v->model, "guest1", "tap0", VP_KIND_GUEST, "lan");
	struct mac mac = { { 0x52, 0x54, 0, 0, 0, 0x11 } };

	assert_int_equal(port_add_mac(guest1, &mac), 0);
	add_port(&v->model, "guest2", "tap1", VP_KIND_GUEST, "lan");
	add_port(&v->model, "guest3", "tap2", VP_KIND_GUEST, "");
	add_port(&v->model, "vp0", "vp0", VP_KIND_HOST, "");
	assert_non_null(model_add_binding(&v->model, &b));

	v->n_ports = v->model.n_ports;
	v->ports = calloc(v->n_ports, sizeof(*v->ports));
	for (i = 0; i < v->n_ports; i++) {
		v->ports[i].port = &v->model.ports[i];
		v->ports[i].id = (uint16_t)(i + 1);
		v->ports[i].ifindex = (uint32_t)(i + 10);
		v->ports[i].carrier = CARRIER_XDP;
		v->ports[i].xdp_target = true;
		strcpy(v->ports[i].why, "a TAP takes XDP frames at full speed");
		strcpy(v->ports[i].target_why, "a TAP takes XDP frames");
	}
	v->ports[0].counters.rx_packets = 9999999999;
	v->ports[0].counters.rx_bytes = 1234567890123456789;
	v->ports[0].learned = 3;
	v->ports[1].state = STATE_WAITING;
	v->ports[1].ifindex = 0;
	v->ports[1].carrier = CARRIER_AUTO;
	strcpy(v->ports[1].why, "device tap1 is absent");
	v->ports[2].peer = "vp0";
	v->ports[2].reconnects = 3;
	strcpy(v->model.ports[2].alias, "/dev/qvm/g3/net0");
	v->ports[2].counters.rx_packets = 77;
	v->ports[3].peer = "guest3";
	v->ports[3].state = STATE_DEGRADED;
	v->ports[3].carrier = CARRIER_TC;
	strcpy(v->ports[3].plane_device, "vp0-p");
	strcpy(v->ports[3].why, "vp0 or its end vp0-p is down; run ip link set vp0 up");

	v->n_macs = 2;
	v->macs = calloc(2, sizeof(*v->macs));
	v->macs[0] = (struct view_mac){ .segment = "lan", .port = "guest1", .mac = mac, .is_static = true };
	v->macs[1] = (struct view_mac){ .segment = "lan", .port = "guest1", .mac = { { 2 } }, .age = 12 };
}

static void sample_free(struct view *v)
{
	model_free(&v->model);
	free(v->ports);
	free(v->macs);
}

/* Not inlined: gcc 12 takes the stream's buffer for this function's own and warns of a dangling pointer. */
static __attribute__((noinline)) char *printed(const struct view *v, unsigned int what)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	print_view(out, v, what);
	fclose(out);
	return text;
}

static json_t *printed_json(const struct view *v)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	json_t *o;

	assert_int_equal(print_view_json(out, v), 0);
	fclose(out);
	o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(o);
	free(text);
	return o;
}

/* Every line fits a terminal and has no blank at its end. */
static void expect_tidy(const char *text)
{
	const char *line = text, *end;

	for (; *line; line = end + 1) {
		end = strchr(line, '\n');
		assert_non_null(end);
		assert_true(end - line <= 80);
		if (end > line)
			assert_int_not_equal(end[-1], ' ');
	}
}

static bool has_line(const char *text, const char *line)
{
	size_t n = strlen(line);
	const char *at = text;

	while ((at = strstr(at, line))) {
		if ((at == text || at[-1] == '\n') && at[n] == '\n')
			return true;
		at++;
	}
	return false;
}

/* ---- tables ---- */

static void numbers_are_exact_up_to_ten_digits_and_cut_beyond(void **state)
{
	static const struct {
		uint64_t n;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 9999999999, "9999999999" },
		{ 10000000000, "10.000G" },
		{ 12999999999, "12.999G" },
		{ 123456789012, "123.45G" },
		{ 1999999999999, "1.9999T" },
		{ UINT64_MAX, "18.446E" },
	};
	char buf[TABLE_NUMBER];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(table_number(cases[i].n, buf), cases[i].text);
}

static void a_table_aligns_and_leaves_no_trailing_blank(void **state)
{
	char heads[40], *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct table t;

	(void)state;
	table_init(&t, "NAME >N LAST", heads, sizeof(heads));
	table_text(&t, PLAIN, "long name");
	table_count(&t, 7);
	table_text(&t, PLAIN, "x");
	table_text(&t, GREEN, "a");
	table_count(&t, 1234);
	table_text(&t, PLAIN, "yyyyyy");
	table_print(&t, out, true);
	fclose(out);
	assert_string_equal(text, "NAME          N  LAST\n"
				  "long name     7  x\n"
				  "\033[32ma\033[0m          1234  yyyyyy\n");
	free(text);
}

/* ---- show for people ---- */

static void tagged_segments_show_behind_the_untagged_one(void **state)
{
	struct view v;
	char *text;

	(void)state;
	sample(&v);
	assert_int_equal(port_add_tagged(&v.model.ports[0], "dmz"), 0);
	assert_int_equal(port_add_tagged(&v.model.ports[1], "dmz"), 0);
	assert_int_equal(port_add_tagged(&v.model.ports[1], "iot"), 0);
	v.model.ports[1].segment[0] = 0;
	text = printed(&v, SHOW_PORTS | SHOW_SEGMENTS);
	expect_tidy(text);
	assert_true(has_line(text, "guest1  tap0    guest  up        xdp  lan+dmz  9999999999   0      0"));
	assert_true(has_line(text, "guest2  tap1    guest  waiting   -    +2                0   0      0"));
	assert_true(has_line(text, "lan        10  300  yes    move           1        1"));
	free(text);
	sample_free(&v);
}

static void the_short_form_is_tidy_and_says_every_port(void **state)
{
	struct view v;
	char *text;

	(void)state;
	sample(&v);
	text = printed(&v, SHOW_PORTS | SHOW_BINDINGS | SHOW_SEGMENTS);
	expect_tidy(text);
	assert_true(has_line(text, "plane default: 4 ports, 1 segment, 1 binding"));
	assert_true(has_line(text, "PORT    DEVICE  KIND   STATE     VIA  IN               RX  TX  DROPS"));
	assert_true(has_line(text, "guest1  tap0    guest  up        xdp  lan      9999999999   0      0"));
	assert_true(has_line(text, "guest2  tap1    guest  waiting   -    lan               0   0      0"));
	assert_true(has_line(text, "vp0     vp0     host   degraded  tc   =guest3           0   0      0"));
	assert_true(has_line(text, "guest2: device tap1 is absent"));
	assert_true(has_line(text, "PORT    ALIAS             PEER  DEVICE  MAC  STATE     RECONNECTS"));
	assert_true(has_line(text, "guest3  /dev/qvm/g3/net0  vp0   tap2    any  degraded           3"));
	assert_true(has_line(text, "lan        10  300  yes    move           2        1"));
	assert_true(has_line(text, "no drops"));
	free(text);
	sample_free(&v);
}

/* A row for each guest; where there is none, for the wire. */
static void the_table_of_bindings_says_which_wire_is_whose(void **state)
{
	struct binding b = { .a = "guest1", .b = "guest2" }, wire = { .a = "vp8", .b = "vp9" };
	struct mac one = { { 2 } }, two = { { 0x52, 0x54, 0, 0, 0, 0x12 } };
	struct view v;
	char *text;

	(void)state;
	sample(&v);
	assert_int_equal(port_add_mac(&v.model.ports[0], &one), 0);
	assert_int_equal(port_add_mac(&v.model.ports[1], &two), 0);
	assert_non_null(model_add_binding(&v.model, &b));
	assert_non_null(model_add_binding(&v.model, &wire));
	v.ports[1].reconnects = 4294967295;
	text = printed(&v, SHOW_BINDINGS);
	static const char want[] =
		"PORT    ALIAS             PEER    DEVICE  MAC                   STATE     RECONNECTS\n"
		"guest3  /dev/qvm/g3/net0  vp0     tap2    any                   degraded           3\n"
		"guest1  -                 guest2  tap0    02:00:00:00:00:00 +1  waiting            0\n"
		"guest2  -                 guest1  tap1    52:54:00:00:00:12     waiting   4294967295\n"
		"vp8     -                 vp9     -       -                     waiting            0\n";

	assert_string_equal(text, want);
	free(text);
	sample_free(&v);
}

static void what_propagates_is_said_below_the_bindings(void **state)
{
	struct view v;
	char *text;
	json_t *all, *o;

	(void)state;
	sample(&v);
	v.model.bindings[0].propagate = true;
	text = printed(&v, SHOW_BINDINGS);
	assert_true(has_line(text, "guest3, vp0: propagate needs a running vpeer watch, and there is none"));
	free(text);
	v.watched = true;
	text = printed(&v, SHOW_BINDINGS);
	assert_true(has_line(text, "guest3, vp0: propagate"));
	free(text);
	v.ports[3].held = true;
	text = printed(&v, SHOW_BINDINGS);
	assert_true(has_line(text, "guest3, vp0: propagate: vp0 is held down, the other end has no carrier"));
	free(text);
	all = printed_json(&v);
	assert_true(json_is_true(json_object_get(all, "watched")));
	o = json_array_get(json_object_get(all, "bindings"), 0);
	assert_true(json_is_true(json_object_get(o, "propagate")));
	assert_string_equal(json_string_value(json_object_get(o, "held")), "vp0");
	json_decref(all);
	sample_free(&v);
}

static void a_reason_is_said_once_with_all_its_ports(void **state)
{
	struct view v;
	char *text, *at;

	(void)state;
	sample(&v);
	text = printed(&v, SHOW_PORTS);
	assert_true(has_line(text, "frames by xdp: a TAP takes XDP frames at full speed"));
	at = strstr(text, "at full speed");
	assert_null(strstr(at + 1, "at full speed"));
	assert_true(has_line(text, "    guest1 guest3"));
	assert_true(has_line(text, "XDP sends here: a TAP takes XDP frames"));
	assert_true(has_line(text, "    guest1 guest3 vp0")); /* waiting ports have no target */
	free(text);
	sample_free(&v);
}

static void many_names_are_wrapped(void **state)
{
	struct view v;
	char name[VP_NAME_LEN], *text;

	(void)state;
	memset(&v, 0, sizeof(v));
	model_init(&v.model);
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "guest%03d", i);
		add_port(&v.model, name, "tap0", VP_KIND_GUEST, "");
	}
	v.n_ports = 60;
	v.ports = calloc(60, sizeof(*v.ports));
	for (int i = 0; i < 60; i++) {
		v.ports[i].port = &v.model.ports[i];
		v.ports[i].ifindex = 1;
		v.ports[i].carrier = CARRIER_TC;
		strcpy(v.ports[i].why,
		       "a reason so long that together with what stands before it it needs another line");
		strcpy(v.ports[i].target_why, "none");
	}
	text = printed(&v, SHOW_PORTS);
	expect_tidy(text);
	assert_non_null(strstr(text, "\n    needs another line\n    guest000 guest001"));
	free(text);
	sample_free(&v);
}

static void drops_are_told_by_reason_with_their_meaning_and_only_when_there_are_any(void **state)
{
	struct view v;
	char *text;

	(void)state;
	sample(&v);
	text = printed(&v, SHOW_DROPS);
	assert_string_equal(text, "no drops\n");
	free(text);
	v.ports[0].counters.drops[VP_DROP_STORM] = 12;
	v.ports[0].counters.events[VP_EVENT_QUOTA] = 4;
	v.ports[0].counters.events[VP_EVENT_DUPLICATE] = 3;
	v.ports[3].counters.drops[VP_DROP_UNBOUND] = 5;
	v.ports[3].egress_errors = 6;
	text = printed(&v, SHOW_DROPS);
	expect_tidy(text);
	assert_string_equal(text, "PORT    REASON   FRAMES\n"
				  "guest1  storm        12\n"
				  "vp0     unbound       5\n"
				  "unbound: port is in no binding and in no segment\n"
				  "storm: over the port's broadcast_pps\n"
				  "PORT    TROUBLE        COUNT\n"
				  "guest1  quota              4\n"
				  "guest1  duplicate          3\n"
				  "vp0     egress_errors      6\n"
				  "egress_errors: lost by the port's device, after the plane gave it the frame\n"
				  "quota, table_full: source addresses that were not learned\n"
				  "duplicate: frames whose source was seen at another port just before\n");
	free(text);
	text = printed(&v, SHOW_PORTS | SHOW_BINDINGS | SHOW_SEGMENTS);
	assert_true(has_line(text, "drops: 17: unbound 5, storm 12"));
	free(text);
	sample_free(&v);
}

static void every_reason_text_fits_a_line(void **state)
{
	struct view v;
	char *text;

	(void)state;
	sample(&v);
	for (size_t i = 1; i < VP_REASON_COUNT; i++)
		v.ports[0].counters.drops[i] = 9999999999;
	text = printed(&v, SHOW_ALL);
	expect_tidy(text);
#define X(e, w, t) assert_true(has_line(text, #w ": " t));
	VP_REASONS(X)
#undef X
	free(text);
	text = printed(&v, SHOW_PORTS | SHOW_BINDINGS);
	expect_tidy(text);
	free(text);
	sample_free(&v);
}

static void mac_entries_tell_static_from_learned(void **state)
{
	struct view v;
	char *text;

	(void)state;
	sample(&v);
	text = printed(&v, SHOW_MACS);
	assert_string_equal(text, "SEGMENT  MAC                PORT    TYPE     AGE\n"
				  "lan      52:54:00:00:00:11  guest1  static     -\n"
				  "lan      02:00:00:00:00:00  guest1  learned   12\n");
	free(text);
	sample_free(&v);
}

static void an_empty_plane_says_so(void **state)
{
	struct view v;
	char *text;

	(void)state;
	memset(&v, 0, sizeof(v));
	model_init(&v.model);
	strcpy(v.plane, "p");
	text = printed(&v, SHOW_ALL);
	assert_string_equal(text,
			    "plane p: 0 ports, 0 segments, 0 bindings\n\nno ports\n\nno bindings\n\nno segments\n\n"
			    "no MAC entries\n\nno drops\n");
	free(text);
}

/* ---- show --json ---- */

static void json_has_every_field_of_the_contract(void **state)
{
	static const char *const fields[] = {
		"name",	   "device", "plane_device", "ifindex", "kind",	  "state", "why",
		"carrier", "mode",   "attach", "xdp_target",   "segment", "tagged", "peer",  "macs",
		"rx",	   "tx",     "forwarded",    "flooded", "passed", "drops", "egress_errors",
	};
	static const char *const top[] = { "schema",   "plane",    "confirm", "ports",
					   "segments", "bindings", "macs",    "watched" };
	struct view v;
	json_t *o, *p;
	size_t i, j;

	(void)state;
	sample(&v);
	o = printed_json(&v);
	for (i = 0; i < sizeof(top) / sizeof(*top); i++)
		assert_non_null(json_object_get(o, top[i]));
	assert_int_equal(json_integer_value(json_object_get(o, "schema")), 1);
	json_array_foreach (json_object_get(o, "ports"), i, p) {
		for (j = 0; j < sizeof(fields) / sizeof(*fields); j++)
			assert_non_null(json_object_get(p, fields[j]));
		assert_int_equal(json_object_size(json_object_get(p, "drops")), VP_REASON_COUNT - 1);
	}
	json_decref(o);
	sample_free(&v);
}

static void a_pending_confirmation_is_told(void **state)
{
	struct view v;
	char *text;
	json_t *o;

	(void)state;
	sample(&v);
	text = printed(&v, SHOW_ALL);
	assert_null(strstr(text, "confirm"));
	free(text);
	v.pending = true;
	v.confirm_left = 12;
	text = printed(&v, SHOW_ALL);
	assert_non_null(strstr(text, "\nthe last change is taken back in 12 s unless you run: vpeer confirm\n"));
	free(text);
	o = printed_json(&v);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "confirm"), "seconds")), 12);
	json_decref(o);
	v.confirm_left = 0;
	text = printed(&v, SHOW_ALL);
	assert_non_null(strstr(text, "\nthe last change was not confirmed in time; run: vpeer rollback\n"));
	free(text);
	sample_free(&v);
}

static void json_says_null_for_what_is_absent(void **state)
{
	struct view v;
	json_t *o, *ports, *p;

	(void)state;
	sample(&v);
	o = printed_json(&v);
	ports = json_object_get(o, "ports");
	p = json_array_get(ports, 1);
	assert_true(json_is_null(json_object_get(p, "ifindex")));
	assert_true(json_is_null(json_object_get(p, "carrier")));
	assert_true(json_is_null(json_object_get(p, "plane_device")));
	assert_true(json_is_null(json_object_get(p, "peer")));
	assert_string_equal(json_string_value(json_object_get(p, "segment")), "lan");
	assert_int_equal(json_array_size(json_object_get(p, "macs")), 0);
	p = json_array_get(ports, 3);
	assert_true(json_is_null(json_object_get(p, "segment")));
	assert_string_equal(json_string_value(json_object_get(p, "peer")), "guest3");
	assert_string_equal(json_string_value(json_object_get(p, "device")), "vp0");
	assert_string_equal(json_string_value(json_object_get(p, "plane_device")), "vp0-p");
	assert_true(json_is_null(json_object_get(json_array_get(json_object_get(o, "macs"), 0), "age")));
	assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(o, "macs"), 1), "age")), 12);
	json_decref(o);
	sample_free(&v);
}

static void json_counters_keep_64_bits(void **state)
{
	struct view v;
	json_t *o, *p;

	(void)state;
	sample(&v);
	o = printed_json(&v);
	p = json_array_get(json_object_get(o, "ports"), 0);
	assert_true(json_integer_value(json_object_get(json_object_get(p, "rx"), "bytes")) == 1234567890123456789);
	assert_string_equal(json_string_value(json_array_get(json_object_get(p, "macs"), 0)), "52:54:00:00:00:11");
	json_decref(o);
	sample_free(&v);
}

static void a_binding_is_as_good_as_its_worse_end(void **state)
{
	struct view v;
	const struct binding *b;

	(void)state;
	sample(&v);
	b = &v.model.bindings[0];
	assert_int_equal(view_binding_state(&v, b), STATE_DEGRADED);
	v.ports[3].state = STATE_UP;
	assert_int_equal(view_binding_state(&v, b), STATE_UP);
	v.ports[2].state = STATE_WAITING;
	v.ports[3].state = STATE_DEGRADED;
	assert_int_equal(view_binding_state(&v, b), STATE_WAITING);
	sample_free(&v);
}

/* ---- one port judged ---- */

struct judged {
	struct port port;
	struct link_info link;
	struct vp_port now;
	struct view_facts f;
	struct view_port vp;
};

/* A TAP that is all right. */
static void judged_init(struct judged *j)
{
	memset(j, 0, sizeof(*j));
	port_init(&j->port, VP_KIND_GUEST);
	strcpy(j->port.name, "guest1");
	strcpy(j->port.device, "tap0");
	j->link = (struct link_info){ .ifindex = 7, .name = "tap0", .type = LINK_TAP, .up = true, .running = true };
	j->now = (struct vp_port){ .ifindex = 7, .flags = VP_PORT_UP | VP_PORT_XDP | VP_PORT_XDP_TARGET };
	j->f = (struct view_facts){ .plane = "default",
				    .now = &j->now,
				    .link = &j->link,
				    .kept = &j->link,
				    .attached = { true, true, true },
				    .has_info = true };
	j->vp.port = &j->port;
}

static void expect_judged(struct judged *j, enum port_state state, const char *why)
{
	memset(j->vp.why, 0, sizeof(j->vp.why));
	view_port_judge(&j->vp, &j->f);
	assert_string_equal(j->vp.why, why);
	assert_int_equal(j->vp.state, state);
	assert_int_equal(j->vp.ifindex, state == STATE_WAITING ? 0 : 7);
}

static void a_port_waits_for_its_device(void **state)
{
	struct judged j;

	(void)state;
	judged_init(&j);
	j.f.link = j.f.kept = NULL;
	expect_judged(&j, STATE_WAITING, "device tap0 is absent");
	assert_int_equal(j.vp.carrier, CARRIER_AUTO);
	assert_false(j.vp.xdp_target);
	judged_init(&j);
	j.now.ifindex = 6;
	j.f.kept = NULL;
	expect_judged(&j, STATE_WAITING, "device tap0 has returned with another index; run vpeer attach");
	j.now.ifindex = 0;
	j.f.plane = "p2";
	expect_judged(&j, STATE_WAITING, "device tap0 is there but not attached; run vpeer --plane p2 attach");
	judged_init(&j);
	j.now.flags = 0;
	expect_judged(&j, STATE_WAITING, "device tap0 is there but not attached; run vpeer attach");
	j.f.now = NULL;
	expect_judged(&j, STATE_WAITING, "not in the plane yet; run vpeer up");
}

static void a_port_is_degraded_when_something_is_missing(void **state)
{
	struct judged j;

	(void)state;
	judged_init(&j);
	expect_judged(&j, STATE_UP, "a TAP takes XDP frames at full speed");
	j.f.attached.xdp = false;
	expect_judged(&j, STATE_DEGRADED, "the XDP program is gone from tap0; run vpeer attach");
	j.f.attached.tc_out = false;
	expect_judged(&j, STATE_DEGRADED, "the tc egress program is gone from tap0; run vpeer attach");
	j.f.attached.tc_in = false;
	expect_judged(&j, STATE_DEGRADED, "the tc ingress program is gone from tap0; run vpeer attach");
	judged_init(&j);
	j.f.attached.old = true;
	expect_judged(&j, STATE_DEGRADED,
		      "programs of a former build are on tap0, as after an upgrade that was cut short; "
		      "run vpeer upgrade");
	judged_init(&j);
	j.f.attached.shared = true;
	expect_judged(&j, STATE_UP, "a TAP takes XDP frames at full speed; behind libxdp's dispatcher, with 0 others");
	j.f.attached.others = 1;
	expect_judged(&j, STATE_UP, "a TAP takes XDP frames at full speed; behind libxdp's dispatcher, with 1 other");
	j.link.running = false;
	expect_judged(&j, STATE_DEGRADED, "no program has tap0 open, or it has switched the carrier off");
	j.link.type = LINK_VETH;
	expect_judged(&j, STATE_DEGRADED, "the other end of tap0 is down");
	j.link.type = LINK_PHYSICAL;
	expect_judged(&j, STATE_DEGRADED, "device tap0 has no carrier");
	j.link.up = false;
	expect_judged(&j, STATE_DEGRADED, "device tap0 is down; run ip link set tap0 up");
	assert_int_equal(j.vp.carrier, CARRIER_XDP);
	judged_init(&j);
	strcpy(j.link.name, "evil\033[2J");
	j.f.link = NULL;
	expect_judged(&j, STATE_DEGRADED,
		      "device tap0 is called evil?[2J now; an up that still says tap0 lets go of it");
	judged_init(&j);
	j.port.kind = VP_KIND_UPLINK;
	expect_judged(&j, STATE_DEGRADED,
		      "device tap0 is no longer promiscuous: it hears only its own address; run vpeer attach");
	j.link.promiscuity = 1;
	expect_judged(&j, STATE_UP, "a TAP takes XDP frames at full speed");
}

static void a_tc_port_needs_no_xdp_program(void **state)
{
	struct judged j;

	(void)state;
	judged_init(&j);
	j.port.carrier = CARRIER_TC;
	j.now.flags = VP_PORT_UP;
	j.f.attached.xdp = false;
	expect_judged(&j, STATE_UP, "the configuration asks for it");
	assert_int_equal(j.vp.carrier, CARRIER_TC);
	assert_false(j.vp.xdp_target);
	assert_string_equal(j.vp.target_why, "chosen when it was attached; today: a TAP takes XDP frames");
}

static void a_host_port_is_judged_by_the_planes_end(void **state)
{
	struct judged j;
	char buf[VP_DEV_LEN];

	(void)state;
	judged_init(&j);
	j.port.kind = VP_KIND_HOST;
	strcpy(j.port.name, "vp0");
	strcpy(j.port.device, "");
	strcpy(j.link.name, "vp0-p");
	j.link.type = LINK_VETH;
	j.now.flags = VP_PORT_UP;
	assert_string_equal(view_device(&j.port, buf), "vp0-p");
	j.link.running = false;
	expect_judged(&j, STATE_DEGRADED, "vp0 or its end vp0-p is down; run ip link set vp0 up");
	j.link.up = false;
	expect_judged(&j, STATE_DEGRADED, "vp0 or its end vp0-p is down; run ip link set vp0-p up");
	strcpy(j.port.name, "a-13-charname");
	assert_string_equal(view_device(&j.port, buf), "a-13-charname-p");
}

static void generic_mode_is_shown_and_is_no_fault(void **state)
{
	struct judged j;

	(void)state;
	judged_init(&j);
	j.port.mode = MODE_GENERIC;
	expect_judged(&j, STATE_UP, "the configuration asks for generic mode");
	assert_true(j.vp.generic);
}

static void egress_errors_count_from_the_attachment(void **state)
{
	struct judged j;

	(void)state;
	judged_init(&j);
	j.link.tx_lost = 15;
	j.f.egress_base = 10;
	view_port_judge(&j.vp, &j.f);
	assert_int_equal(j.vp.egress_errors, 5);
	judged_init(&j);
	j.link.tx_lost = 3; /* the device's counters were reset */
	j.f.egress_base = 10;
	view_port_judge(&j.vp, &j.f);
	assert_int_equal(j.vp.egress_errors, 0);
}

/* ---- models and plans ---- */

static void check_json_resolves_every_auto_address(void **state)
{
	struct view v;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	json_t *o, *p;

	(void)state;
	sample(&v);
	v.model.ports[3].mac_auto = true;
	assert_int_equal(model_derive(&v.model, "default"), 0);
	assert_int_equal(print_model_json(out, &v.model, "default"), 0);
	fclose(out);
	o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(o);
	p = json_array_get(json_object_get(o, "ports"), 3);
	assert_true(json_is_true(json_object_get(p, "mac_auto")));
	assert_int_equal(json_array_size(json_object_get(p, "macs")), 1);
	assert_int_equal(strlen(json_string_value(json_array_get(json_object_get(p, "macs"), 0))), 17);
	assert_string_equal(json_string_value(json_object_get(p, "peer")), "guest3");
	json_decref(o);
	free(text);
	sample_free(&v);
}

static void an_empty_plan_prints_nothing_and_a_full_one_a_line_each(void **state)
{
	struct change changes[] = {
		{ CHANGE_ADD, OBJECT_SEGMENT, "lan", "" },
		{ CHANGE_SET, OBJECT_PORT, "guest1", "carrier auto -> tc" },
		{ CHANGE_DEL, OBJECT_BINDING, "a b", "" },
	};
	struct plan plan = { changes, 3 }, none = { NULL, 0 };
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	json_t *o;

	(void)state;
	print_plan(out, &none);
	fflush(out);
	assert_int_equal(len, 0);
	print_plan(out, &plan);
	fflush(out);
	assert_string_equal(text, "add segment lan\nset port guest1: carrier auto -> tc\ndel binding a b\n");
	rewind(out);
	assert_int_equal(print_plan_json(out, &plan), 0);
	fclose(out);
	o = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
	assert_int_equal(json_array_size(json_object_get(o, "changes")), 3);
	json_decref(o);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_exact_up_to_ten_digits_and_cut_beyond),
		cmocka_unit_test(a_table_aligns_and_leaves_no_trailing_blank),
		cmocka_unit_test(tagged_segments_show_behind_the_untagged_one),
		cmocka_unit_test(the_short_form_is_tidy_and_says_every_port),
		cmocka_unit_test(the_table_of_bindings_says_which_wire_is_whose),
		cmocka_unit_test(what_propagates_is_said_below_the_bindings),
		cmocka_unit_test(a_reason_is_said_once_with_all_its_ports),
		cmocka_unit_test(many_names_are_wrapped),
		cmocka_unit_test(drops_are_told_by_reason_with_their_meaning_and_only_when_there_are_any),
		cmocka_unit_test(every_reason_text_fits_a_line),
		cmocka_unit_test(mac_entries_tell_static_from_learned),
		cmocka_unit_test(an_empty_plane_says_so),
		cmocka_unit_test(json_has_every_field_of_the_contract),
		cmocka_unit_test(a_pending_confirmation_is_told),
		cmocka_unit_test(json_says_null_for_what_is_absent),
		cmocka_unit_test(json_counters_keep_64_bits),
		cmocka_unit_test(a_binding_is_as_good_as_its_worse_end),
		cmocka_unit_test(a_port_waits_for_its_device),
		cmocka_unit_test(a_port_is_degraded_when_something_is_missing),
		cmocka_unit_test(a_tc_port_needs_no_xdp_program),
		cmocka_unit_test(a_host_port_is_judged_by_the_planes_end),
		cmocka_unit_test(generic_mode_is_shown_and_is_no_fault),
		cmocka_unit_test(egress_errors_count_from_the_attachment),
		cmocka_unit_test(check_json_resolves_every_auto_address),
		cmocka_unit_test(an_empty_plan_prints_nothing_and_a_full_one_a_line_each),
	};

	return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}
