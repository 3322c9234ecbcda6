/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `show` for people. Tables fit 80 columns as long as names are of usual length; sentences are wrapped to fit. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "value.h"
#include "view.h"

#define WIDTH 79
#define HEADS 96

static const char *const reason_words[VP_REASON_COUNT] = {
#define X(e, w, t) [VP_DROP_##e] = #w,
	VP_REASONS(X)
#undef X
};

static const char *const reason_texts[VP_REASON_COUNT] = {
#define X(e, w, t) [VP_DROP_##e] = (t),
	VP_REASONS(X)
#undef X
};

static enum table_colour state_colour(enum port_state s)
{
	return s == STATE_UP ? GREEN : s == STATE_WAITING ? YELLOW : RED;
}

static const char *or_dash(const char *s)
{
	return s && *s ? s : "-";
}

static const char *port_device(const struct port *p)
{
	return p->device[0] ? p->device : p->name;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void print_summary(FILE *out, const struct view *v)
{
	const struct model *m = &v->model;
	char confirm[COMMAND_TEXT], rollback[COMMAND_TEXT];

	fprintf(out, "plane %s: %zu port%s, %zu segment%s, %zu binding%s\n", v->plane, m->n_ports, plural(m->n_ports),
		m->n_segments, plural(m->n_segments), m->n_bindings, plural(m->n_bindings));
	value_command(confirm, v->plane, "confirm");
	value_command(rollback, v->plane, "rollback");
	if (v->pending && v->confirm_left > 0)
		fprintf(out, "the last change is taken back in %d s unless you run: %s\n", v->confirm_left, confirm);
	else if (v->pending)
		fprintf(out, "the last change was not confirmed in time; run: %s\n", rollback);
}

/* A sentence of any length, broken between words; what follows the first line is indented. */
__attribute__((format(printf, 2, 3))) static void print_wrapped(FILE *out, const char *fmt, ...)
{
	char text[512], *save = NULL, *word;
	size_t column = 0;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		size_t len = strlen(word);

		if (column && column + 1 + len > WIDTH)
			column = (size_t)fprintf(out, "\n    %s", word) - 1;
		else
			column += (size_t)fprintf(out, "%s%s", column ? " " : "", word);
	}
	fputc('\n', out);
}

/* "=peer", "lan", "lan+dmz" (dmz tagged), "lan+3" (three segments tagged), "-" */
static const char *place_of(const struct view_port *vp, char buf[2 * VP_NAME_LEN + 2])
{
	const struct port *p = vp->port;
	const size_t size = 2 * VP_NAME_LEN + 2;

	if (vp->peer)
		snprintf(buf, size, "=%s", vp->peer);
	else if (!p->n_tagged)
		snprintf(buf, size, "%s", or_dash(p->segment));
	else if (p->n_tagged == 1)
		snprintf(buf, size, "%s+%s", p->segment, p->tagged[0].s);
	else
		snprintf(buf, size, "%s+%zu", p->segment, p->n_tagged);
	return buf;
}

static void add_port(struct table *t, const struct view_port *vp)
{
	const char *via = vp->carrier == CARRIER_AUTO ? "-" : carrier_word(vp->carrier);
	char in[2 * VP_NAME_LEN + 2];

	table_text(t, PLAIN, vp->port->name);
	table_text(t, PLAIN, port_device(vp->port));
	table_text(t, PLAIN, kind_word(vp->port->kind));
	table_text(t, state_colour(vp->state), state_word(vp->state));
	table_text(t, PLAIN, vp->carrier == CARRIER_XDP && vp->generic ? "xdp*" : via);
	table_text(t, PLAIN, place_of(vp, in));
	table_count(t, vp->counters.rx_packets);
	table_count(t, vp->counters.tx_packets);
	table_count(t, view_drops(&vp->counters));
}

/* A remark about several ports: its text and, wrapped below it, their names. */
static size_t print_names(FILE *out, const struct view_port **list, size_t n, bool (*same)(const void *, const void *))
{
	size_t i, column = WIDTH;

	for (i = 0; i < n && same(list[0], list[i]); i++) {
		size_t len = strlen(list[i]->port->name);

		if (column + 1 + len > WIDTH) {
			fprintf(out, "%s    %s", i ? "\n" : "", list[i]->port->name);
			column = 4 + len;
		} else {
			fprintf(out, " %s", list[i]->port->name);
			column += 1 + len;
		}
	}
	fputc('\n', out);
	return i;
}

static int by_carrier(const void *a, const void *b)
{
	const struct view_port *x = *(const struct view_port *const *)a, *y = *(const struct view_port *const *)b;
	int order = (int)x->carrier - (int)y->carrier;

	order = order ? order : strcmp(x->why, y->why);
	return order ? order : strcmp(x->port->name, y->port->name);
}

static bool same_carrier(const void *a, const void *b)
{
	const struct view_port *x = a, *y = b;

	return x->carrier == y->carrier && !strcmp(x->why, y->why);
}

static int by_target(const void *a, const void *b)
{
	const struct view_port *x = *(const struct view_port *const *)a, *y = *(const struct view_port *const *)b;
	int order = (int)y->xdp_target - (int)x->xdp_target;

	order = order ? order : strcmp(x->target_why, y->target_why);
	return order ? order : strcmp(x->port->name, y->port->name);
}

static bool same_target(const void *a, const void *b)
{
	const struct view_port *x = a, *y = b;

	return x->xdp_target == y->xdp_target && !strcmp(x->target_why, y->target_why);
}

/* Which hook carries each port's frames, whether XDP sends to it, and why: said once per reason. */
static void print_carriers(FILE *out, const struct view *v)
{
	const struct view_port **list = calloc(v->n_ports + 1, sizeof(*list));
	size_t i, n = 0, m = 0;

	for (i = 0; list && i < v->n_ports; i++)
		if (v->ports[i].state == STATE_UP)
			list[n++] = &v->ports[i];
	if (n)
		qsort(list, n, sizeof(*list), by_carrier);
	for (i = 0; i < n; i += print_names(out, &list[i], n - i, same_carrier))
		print_wrapped(out, "frames by %s: %s", carrier_word(list[i]->carrier), list[i]->why);
	for (i = 0; list && i < v->n_ports; i++)
		if (v->ports[i].ifindex)
			list[m++] = &v->ports[i];
	if (m)
		qsort(list, m, sizeof(*list), by_target);
	for (i = 0; i < m; i += print_names(out, &list[i], m - i, same_target))
		print_wrapped(out, "XDP %s: %s", list[i]->xdp_target ? "sends here" : "does not send here",
			      list[i]->target_why);
	free(list);
}

static void print_ports(FILE *out, const struct view *v, bool colours)
{
	char heads[HEADS];
	struct table t;
	size_t i;

	if (!v->n_ports) {
		fputs("no ports\n", out);
		return;
	}
	table_init(&t, "PORT DEVICE KIND STATE VIA IN >RX >TX >DROPS", heads, sizeof(heads));
	for (i = 0; i < v->n_ports; i++)
		add_port(&t, &v->ports[i]);
	table_print(&t, out, colours);
	for (i = 0; i < v->n_ports; i++)
		if (v->ports[i].state != STATE_UP)
			print_wrapped(out, "%s: %s", v->ports[i].port->name, v->ports[i].why);
	print_carriers(out, v);
}

/* "any", "52:...", "52:... +2" */
static const char *macs_text(const struct port *p, char buf[MAC_TEXT + 24])
{
	char mac[MAC_TEXT];

	if (!p->n_macs)
		snprintf(buf, MAC_TEXT + 24, "any");
	else if (p->n_macs == 1)
		snprintf(buf, MAC_TEXT + 24, "%s", value_mac_text(&p->macs[0], mac));
	else
		snprintf(buf, MAC_TEXT + 24, "%s +%zu", value_mac_text(&p->macs[0], mac), p->n_macs - 1);
	return buf;
}

static bool is_guest(const struct view *v, const char *port)
{
	const struct view_port *vp = view_port(v, port);

	return vp && vp->port->kind == VP_KIND_GUEST;
}

/* A binding as one of its ends sees it. */
static void add_end(struct table *t, const struct view *v, const struct binding *b, const char *name, const char *peer)
{
	const struct view_port *vp = view_port(v, name);
	enum port_state s = view_binding_state(v, b);
	char macs[MAC_TEXT + 24];

	table_text(t, PLAIN, name);
	table_text(t, PLAIN, vp ? or_dash(vp->port->alias) : "-");
	table_text(t, PLAIN, peer);
	table_text(t, PLAIN, vp ? port_device(vp->port) : "-");
	table_text(t, PLAIN, vp ? macs_text(vp->port, macs) : "-");
	table_text(t, state_colour(s), state_word(s));
	table_count(t, vp ? vp->reconnects : 0);
}

static void print_propagation(FILE *out, const struct view *v)
{
	for (size_t i = 0; i < v->model.n_bindings; i++) {
		const struct binding *b = &v->model.bindings[i];
		const struct view_port *a = view_port(v, b->a), *z = view_port(v, b->b);
		const char *held = a && a->held ? b->a : z && z->held ? b->b : NULL;

		if (!b->propagate)
			continue;
		if (!v->watched)
			print_wrapped(out, "%s, %s: propagate needs a running vpeer watch, and there is none", b->a,
				      b->b);
		else if (held)
			print_wrapped(out, "%s, %s: propagate: %s is held down, the other end has no carrier", b->a,
				      b->b, held);
		else
			print_wrapped(out, "%s, %s: propagate", b->a, b->b);
	}
}

/* Which wire belongs to which guest: a row for each guest at an end, so two for a wire between two guests. */
static void print_bindings(FILE *out, const struct view *v, bool colours)
{
	char heads[HEADS];
	struct table t;
	size_t i;

	if (!v->model.n_bindings) {
		fputs("no bindings\n", out);
		return;
	}
	table_init(&t, "PORT ALIAS PEER DEVICE MAC STATE >RECONNECTS", heads, sizeof(heads));
	for (i = 0; i < v->model.n_bindings; i++) {
		const struct binding *b = &v->model.bindings[i];
		bool second = is_guest(v, b->b);

		if (is_guest(v, b->a) || !second)
			add_end(&t, v, b, b->a, b->b);
		if (second)
			add_end(&t, v, b, b->b, b->a);
	}
	table_print(&t, out, colours);
	print_propagation(out, v);
}

struct membership {
	uint32_t ports;
	uint64_t learned;
};

static int cmp_segment_name(const void *name, const void *segment)
{
	return strcmp(name, ((const struct segment *)segment)->name);
}

static struct membership *of_segment(const struct view *v, struct membership *all, const char *name)
{
	const struct segment *s = v->model.n_segments ? bsearch(name, v->model.segments, v->model.n_segments,
								 sizeof(*s), cmp_segment_name)
						      : NULL;

	return s ? &all[s - v->model.segments] : NULL;
}

/* One walk over the ports and one over the table; the segments are sorted by name. */
static struct membership *count_members(const struct view *v)
{
	struct membership *all = calloc(v->model.n_segments + 1, sizeof(*all)), *in;
	size_t i, j;

	for (i = 0; all && i < v->n_ports; i++) {
		const struct port *p = v->ports[i].port;

		if ((in = of_segment(v, all, p->segment)))
			in->ports++;
		for (j = 0; j < p->n_tagged; j++)
			if ((in = of_segment(v, all, p->tagged[j].s)))
				in->ports++;
	}
	for (i = 0; all && i < v->n_macs; i++)
		if (!v->macs[i].is_static && (in = of_segment(v, all, v->macs[i].segment)))
			in->learned++;
	return all;
}

static void print_segments(FILE *out, const struct view *v, bool colours)
{
	struct membership *members = count_members(v);
	char heads[HEADS], number[TABLE_NUMBER];
	struct table t;
	size_t i;

	if (!v->model.n_segments)
		fputs("no segments\n", out);
	table_init(&t, "SEGMENT >VLAN >AGE FLOOD DUPLICATE >PORTS >LEARNED", heads, sizeof(heads));
	for (i = 0; members && i < v->model.n_segments; i++) {
		const struct segment *s = &v->model.segments[i];

		table_text(&t, PLAIN, s->name);
		table_text(&t, PLAIN, s->vlan ? table_number(s->vlan, number) : "-");
		table_text(&t, PLAIN, s->age ? table_number(s->age, number) : "never");
		table_text(&t, PLAIN, s->flood ? "yes" : "no");
		table_text(&t, PLAIN, duplicate_word(s->duplicate));
		table_count(&t, members[i].ports);
		table_count(&t, members[i].learned);
	}
	if (v->model.n_segments)
		table_print(&t, out, colours);
	free(members);
}

static void print_macs(FILE *out, const struct view *v, bool colours)
{
	char heads[HEADS], mac[MAC_TEXT];
	struct table t;
	size_t i;

	if (!v->n_macs) {
		fputs("no MAC entries\n", out);
		return;
	}
	table_init(&t, "SEGMENT MAC PORT TYPE >AGE", heads, sizeof(heads));
	for (i = 0; i < v->n_macs; i++) {
		const struct view_mac *m = &v->macs[i];

		table_text(&t, PLAIN, m->segment);
		table_text(&t, PLAIN, value_mac_text(&m->mac, mac));
		table_text(&t, PLAIN, m->port);
		table_text(&t, PLAIN, m->is_static ? "static" : "learned");
		if (m->is_static)
			table_text(&t, PLAIN, "-");
		else
			table_count(&t, m->age);
	}
	table_print(&t, out, colours);
}

static uint64_t reason_total(const struct view *v, size_t reason)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < v->n_ports; i++)
		sum += v->ports[i].counters.drops[reason];
	return sum;
}

static void add_row(struct table *t, const char *port, enum table_colour colour, const char *word, uint64_t n)
{
	if (!n)
		return;
	table_text(t, PLAIN, port);
	table_text(t, colour, word);
	table_count(t, n);
}

/* What is no drop of the plane's and yet a loss, or will be one: told beside the drops. */
static void print_troubles(FILE *out, const struct view *v, bool colours)
{
	char heads[HEADS];
	struct table t;
	size_t i;

	table_init(&t, "PORT TROUBLE >COUNT", heads, sizeof(heads));
	for (i = 0; i < v->n_ports; i++) {
		const struct view_port *vp = &v->ports[i];

		add_row(&t, vp->port->name, RED, "egress_errors", vp->egress_errors);
		add_row(&t, vp->port->name, YELLOW, "quota", vp->counters.events[VP_EVENT_QUOTA]);
		add_row(&t, vp->port->name, YELLOW, "table_full", vp->counters.events[VP_EVENT_TABLE_FULL]);
		add_row(&t, vp->port->name, YELLOW, "duplicate", vp->counters.events[VP_EVENT_DUPLICATE]);
	}
	if (!t.n)
		return;
	table_print(&t, out, colours);
	fputs("egress_errors: lost by the port's device, after the plane gave it the frame\n"
	      "quota, table_full: source addresses that were not learned\n"
	      "duplicate: frames whose source was seen at another port just before\n",
	      out);
}

static void print_drops(FILE *out, const struct view *v, bool colours)
{
	char heads[HEADS];
	struct table t;
	size_t i, reason;
	bool any;

	table_init(&t, "PORT REASON >FRAMES", heads, sizeof(heads));
	for (i = 0; i < v->n_ports; i++)
		for (reason = 1; reason < VP_REASON_COUNT; reason++)
			add_row(&t, v->ports[i].port->name, RED, reason_words[reason],
				v->ports[i].counters.drops[reason]);
	any = t.n;
	if (any)
		table_print(&t, out, colours);
	else
		fputs("no drops\n", out);
	for (reason = 1; any && reason < VP_REASON_COUNT; reason++)
		if (reason_total(v, reason))
			fprintf(out, "%s: %s\n", reason_words[reason], reason_texts[reason]);
	print_troubles(out, v, colours);
}

/* One line for the short form of `show`. */
static void print_drops_line(FILE *out, const struct view *v)
{
	char number[TABLE_NUMBER], item[64];
	size_t reason, column;
	uint64_t n, all = 0;

	for (reason = 1; reason < VP_REASON_COUNT; reason++)
		all += reason_total(v, reason);
	if (!all) {
		fputs("no drops\n", out);
		return;
	}
	column = (size_t)fprintf(out, "drops: %s:", table_number(all, number));
	for (reason = 1; reason < VP_REASON_COUNT; reason++) {
		n = reason_total(v, reason);
		if (!n)
			continue;
		snprintf(item, sizeof(item), " %s %s%s", reason_words[reason], table_number(n, number),
			 (all -= n) ? "," : "");
		if (column + strlen(item) > WIDTH)
			column = (size_t)fprintf(out, "\n   ") - 1;
		fputs(item, out);
		column += strlen(item);
	}
	fputc('\n', out);
}

void print_view(FILE *out, const struct view *v, unsigned int what)
{
	static const struct {
		enum show_what bit;
		void (*print)(FILE *out, const struct view *v, bool colours);
	} sections[] = {
		{ SHOW_PORTS, print_ports }, { SHOW_BINDINGS, print_bindings }, { SHOW_SEGMENTS, print_segments },
		{ SHOW_MACS, print_macs },   { SHOW_DROPS, print_drops },
	};
	bool colours = table_colours(out), several = what & (what - 1);
	size_t i;

	if (several)
		print_summary(out, v);
	for (i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		if (!(what & sections[i].bit))
			continue;
		if (several)
			fputc('\n', out);
		sections[i].print(out, v, colours);
	}
	if (several && !(what & SHOW_DROPS)) {
		fputc('\n', out);
		print_drops_line(out, v);
	}
}
