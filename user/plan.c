/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "value.h"

void plan_init(struct plan *p)
{
	memset(p, 0, sizeof(*p));
}

void plan_free(struct plan *p)
{
	free(p->changes);
	plan_init(p);
}

static struct change *append(struct plan *p, enum change_kind kind, enum object_kind object, const char *name)
{
	struct change *changes = realloc(p->changes, (p->n + 1) * sizeof(*changes));

	if (!changes)
		return NULL;
	p->changes = changes;
	changes[p->n] = (struct change){ .kind = kind, .object = object };
	snprintf(changes[p->n].name, sizeof(changes->name), "%s", name);
	return &changes[p->n++];
}

int plan_note_port(struct plan *p, const char *name, const char *detail)
{
	struct change *c;

	for (size_t i = 0; i < p->n; i++)
		if (p->changes[i].object == OBJECT_PORT && !strcmp(p->changes[i].name, name))
			return 0;
	c = append(p, CHANGE_SET, OBJECT_PORT, name);
	if (!c)
		return -ENOMEM;
	snprintf(c->detail, sizeof(c->detail), "%s", detail);
	return 0;
}

/* Add "key old -> new"; what does not fit ends in "...". */
__attribute__((format(printf, 2, 3))) static void note(struct change *c, const char *fmt, ...)
{
	size_t len = strlen(c->detail), room = sizeof(c->detail) - len;
	char text[256];
	va_list args;
	int n;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	n = snprintf(c->detail + len, room, "%s%s", len ? ", " : "", text);
	if (n >= 0 && (size_t)n >= room)
		memcpy(c->detail + sizeof(c->detail) - 4, "...", 4);
}

#define MACS_TEXT 40

/* "any", "auto (52:...)", "52:...", "52:... +2" */
static const char *macs_text(const struct port *p, char buf[MACS_TEXT])
{
	char mac[MAC_TEXT] = "";

	if (p->n_macs)
		value_mac_text(&p->macs[0], mac);
	if (p->mac_auto)
		snprintf(buf, MACS_TEXT, p->n_macs ? "auto (%s)" : "auto", mac);
	else if (!p->n_macs)
		snprintf(buf, MACS_TEXT, "any");
	else if (p->n_macs == 1)
		snprintf(buf, MACS_TEXT, "%s", mac);
	else
		snprintf(buf, MACS_TEXT, "%s +%zu", mac, p->n_macs - 1);
	return buf;
}

static bool macs_equal(const struct port *a, const struct port *b)
{
	return a->mac_auto == b->mac_auto && a->n_macs == b->n_macs &&
	       (!a->n_macs || !memcmp(a->macs, b->macs, a->n_macs * sizeof(*a->macs)));
}

static const char *or_none(const char *text)
{
	return *text ? text : "none";
}

/* Rates and ages in which 0 is a word. */
static const char *number(uint32_t v, const char *zero, char buf[16])
{
	if (!v && zero)
		return zero;
	snprintf(buf, 16, "%u", v);
	return buf;
}

#define TAGGED_TEXT 48

/* "none", "dmz", "dmz,lan"; what does not fit ends in "...". */
static const char *tagged_text(const struct port *p, char buf[TAGGED_TEXT])
{
	size_t i, len = 0;

	snprintf(buf, TAGGED_TEXT, "none");
	for (i = 0; i < p->n_tagged && len < TAGGED_TEXT; i++)
		len += (size_t)snprintf(buf + len, TAGGED_TEXT - len, "%s%s", i ? "," : "", p->tagged[i].s);
	if (len >= TAGGED_TEXT)
		memcpy(buf + TAGGED_TEXT - 4, "...", 4);
	return buf;
}

static bool tagged_equal(const struct port *a, const struct port *b)
{
	return a->n_tagged == b->n_tagged &&
	       (!a->n_tagged || !memcmp(a->tagged, b->tagged, a->n_tagged * sizeof(*a->tagged)));
}

static void note_tagged(struct change *c, const struct port *a, const struct port *b)
{
	char x[TAGGED_TEXT], y[TAGGED_TEXT];

	note(c, "tagged %s -> %s", tagged_text(a, x), tagged_text(b, y));
}

static void note_macs(struct change *c, const struct port *a, const struct port *b)
{
	char x[MACS_TEXT], y[MACS_TEXT];

	macs_text(a, x);
	macs_text(b, y);
	if (strcmp(x, y) != 0)
		note(c, "mac %s -> %s", x, y);
	else
		note(c, "mac %s -> as many others", x);
}

static void note_port(struct change *c, const struct port *a, const struct port *b)
{
	char x[16], y[16];

	if (strcmp(a->device, b->device) != 0)
		note(c, "device %s -> %s", or_none(a->device), or_none(b->device));
	if (a->kind != b->kind)
		note(c, "kind %s -> %s", kind_word(a->kind), kind_word(b->kind));
	if (strcmp(a->alias, b->alias) != 0)
		note(c, "alias %s -> %s", or_none(a->alias), or_none(b->alias));
	if (strcmp(a->segment, b->segment) != 0)
		note(c, "segment %s -> %s", or_none(a->segment), or_none(b->segment));
	if (!tagged_equal(a, b))
		note_tagged(c, a, b);
	if (!macs_equal(a, b))
		note_macs(c, a, b);
	if (a->carrier != b->carrier)
		note(c, "carrier %s -> %s", carrier_word(a->carrier), carrier_word(b->carrier));
	if (a->mode != b->mode)
		note(c, "mode %s -> %s", mode_word(a->mode), mode_word(b->mode));
	if (a->attach != b->attach)
		note(c, "attach %s -> %s", attach_word(a->attach), attach_word(b->attach));
	if (a->quota != b->quota)
		note(c, "quota %u -> %u", a->quota, b->quota);
	if (a->broadcast_pps != b->broadcast_pps)
		note(c, "broadcast_pps %s -> %s", number(a->broadcast_pps, "unlimited", x),
		     number(b->broadcast_pps, "unlimited", y));
}

static void note_segment(struct change *c, const struct segment *a, const struct segment *b)
{
	char x[16], y[16];

	if (a->vlan != b->vlan)
		note(c, "vlan %s -> %s", number(a->vlan, "none", x), number(b->vlan, "none", y));
	if (a->age != b->age)
		note(c, "age %s -> %s", number(a->age, "never", x), number(b->age, "never", y));
	if (a->flood != b->flood)
		note(c, "flood %s -> %s", a->flood ? "true" : "false", b->flood ? "true" : "false");
	if (a->duplicate != b->duplicate)
		note(c, "duplicate %s -> %s", duplicate_word(a->duplicate), duplicate_word(b->duplicate));
}

static int want_segments(struct plan *p, const struct model *have, const struct model *want)
{
	size_t i;

	for (i = 0; i < want->n_segments; i++) {
		const struct segment *s = &want->segments[i], *now = model_segment(have, s->name);
		struct change *c;

		if (now && segment_equal(now, s))
			continue;
		c = append(p, now ? CHANGE_SET : CHANGE_ADD, OBJECT_SEGMENT, s->name);
		if (!c)
			return -ENOMEM;
		if (now)
			note_segment(c, now, s);
	}
	return 0;
}

static int want_ports(struct plan *p, const struct model *have, const struct model *want)
{
	size_t i;

	for (i = 0; i < want->n_ports; i++) {
		const struct port *port = &want->ports[i], *now = model_port(have, port->name);
		struct change *c;

		if (now && port_equal(now, port))
			continue;
		c = append(p, now ? CHANGE_SET : CHANGE_ADD, OBJECT_PORT, port->name);
		if (!c)
			return -ENOMEM;
		if (now)
			note_port(c, now, port);
	}
	return 0;
}

/* The same wire in `m`, NULL = it has none. */
static const struct binding *bound_in(const struct model *m, const struct binding *b)
{
	const char *peer = model_peer(m, b->a);

	return peer && !strcmp(peer, b->b) ? model_binding_of(m, b->a) : NULL;
}

static int set_bindings(struct plan *p, const struct model *have, const struct model *want)
{
	char name[2 * VP_NAME_LEN + 2];

	for (size_t i = 0; i < want->n_bindings; i++) {
		const struct binding *b = &want->bindings[i], *now = bound_in(have, b);
		struct change *c;

		if (!now || now->propagate == b->propagate)
			continue;
		snprintf(name, sizeof(name), "%s %s", b->a, b->b);
		c = append(p, CHANGE_SET, OBJECT_BINDING, name);
		if (!c)
			return -ENOMEM;
		note(c, "propagate %s -> %s", now->propagate ? "true" : "false", b->propagate ? "true" : "false");
	}
	return 0;
}

/* Bindings of `from` that `in` lacks. */
static int other_bindings(struct plan *p, enum change_kind kind, const struct model *from, const struct model *in)
{
	char name[2 * VP_NAME_LEN + 2];
	size_t i;

	for (i = 0; i < from->n_bindings; i++) {
		const struct binding *b = &from->bindings[i];

		if (bound_in(in, b))
			continue;
		snprintf(name, sizeof(name), "%s %s", b->a, b->b);
		if (!append(p, kind, OBJECT_BINDING, name))
			return -ENOMEM;
	}
	return 0;
}

static int unwanted(struct plan *p, const struct model *have, const struct model *want)
{
	size_t i;

	for (i = 0; i < have->n_ports; i++)
		if (!model_port(want, have->ports[i].name) && !append(p, CHANGE_DEL, OBJECT_PORT, have->ports[i].name))
			return -ENOMEM;
	for (i = 0; i < have->n_segments; i++)
		if (!model_segment(want, have->segments[i].name) &&
		    !append(p, CHANGE_DEL, OBJECT_SEGMENT, have->segments[i].name))
			return -ENOMEM;
	return 0;
}

int plan_make(struct plan *p, const struct model *have, const struct model *want)
{
	int ret;

	plan_free(p);
	ret = want_segments(p, have, want);
	if (!ret)
		ret = want_ports(p, have, want);
	if (!ret)
		ret = set_bindings(p, have, want);
	if (!ret)
		ret = other_bindings(p, CHANGE_ADD, want, have);
	if (!ret)
		ret = other_bindings(p, CHANGE_DEL, have, want);
	if (!ret)
		ret = unwanted(p, have, want);
	if (ret)
		plan_free(p);
	return ret;
}
