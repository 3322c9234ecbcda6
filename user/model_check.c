/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What can be wrong with a model as a whole, each fault at its own place; never changes the model. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "value.h"

#define HOST_NAME_MAX_LEN 13 /* leaves room for the "-p" of the plane's end */
#define OBJECT		  48
#define PLACE		  160

static const char *object(char buf[OBJECT], const char *what, const char *name)
{
	snprintf(buf, OBJECT, "%s %s", what, name);
	return buf;
}

/* " (plane.yaml:5:3)" to point at the other party of a conflict, or "". */
static const char *place(char buf[PLACE], const struct where *at)
{
	if (!at->file || !at->line)
		return "";
	snprintf(buf, PLACE, " (%s:%u:%u)", at->file, at->line, at->column);
	return buf;
}

/* Everything that has a name, by name; of one name in the order of the file. */
struct named {
	const char *name;
	const void *object;
};

struct check {
	const struct model *m;
	struct named *ports, *segments, *ends; /* ends: both of each binding */
};

static int by_name(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : x->object < y->object ? -1 : x->object > y->object;
}

/* The first one of that name in the file, NULL = none. */
static const void *first_of(const struct named *all, size_t n, const char *name)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (strcmp(all[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && !strcmp(all[low].name, name) ? all[low].object : NULL;
}

static const struct port *port_of(const struct check *c, const char *name)
{
	return first_of(c->ports, c->m->n_ports, name);
}

static const struct segment *segment_of(const struct check *c, const char *name)
{
	return first_of(c->segments, c->m->n_segments, name);
}

static const struct binding *binding_of(const struct check *c, const char *port)
{
	return first_of(c->ends, 2 * c->m->n_bindings, port);
}

static const char *peer_in(const struct binding *b, const char *port)
{
	return strcmp(b->a, port) ? b->a : b->b;
}

static void check_free(struct check *c)
{
	free(c->ports);
	free(c->segments);
	free(c->ends);
}

static int check_begin(struct check *c, const struct model *m)
{
	size_t i;

	*c = (struct check){ m, calloc(m->n_ports + 1, sizeof(*c->ports)), calloc(m->n_segments + 1, sizeof(*c->ports)),
			     calloc(2 * m->n_bindings + 1, sizeof(*c->ports)) };
	if (!c->ports || !c->segments || !c->ends) {
		check_free(c);
		return -ENOMEM;
	}
	for (i = 0; i < m->n_ports; i++)
		c->ports[i] = (struct named){ m->ports[i].name, &m->ports[i] };
	for (i = 0; i < m->n_segments; i++)
		c->segments[i] = (struct named){ m->segments[i].name, &m->segments[i] };
	for (i = 0; i < m->n_bindings; i++) {
		c->ends[2 * i] = (struct named){ m->bindings[i].a, &m->bindings[i] };
		c->ends[2 * i + 1] = (struct named){ m->bindings[i].b, &m->bindings[i] };
	}
	qsort(c->ports, m->n_ports, sizeof(*c->ports), by_name);
	qsort(c->segments, m->n_segments, sizeof(*c->segments), by_name);
	qsort(c->ends, 2 * m->n_bindings, sizeof(*c->ends), by_name);
	return 0;
}

static int port_fault(const struct port *p, const char *message)
{
	char o[OBJECT];

	fail_at(&p->at, object(o, "port", p->name), "%s", message);
	return 1;
}

/* How many addresses the ports bring into segments. */
static size_t count_owned(const struct model *m)
{
	size_t i, n = 0;

	for (i = 0; i < m->n_ports; i++)
		n += m->ports[i].n_macs * ((m->ports[i].segment[0] != 0) + m->ports[i].n_tagged);
	return n;
}

/* Too much of something: reported alone, since the other checks are made for tables that fit. */
static int check_limits(const struct model *m)
{
	size_t macs = count_owned(m);
	int faults = 0;

	if (m->n_ports >= VP_MAX_PORTS && ++faults)
		fail_at(&m->ports[VP_MAX_PORTS - 1].at, "ports", "%zu are configured; a plane holds %d: use two planes",
			m->n_ports, VP_MAX_PORTS - 1);
	if (m->n_segments >= VP_MAX_SEGMENTS && ++faults)
		fail_at(&m->segments[VP_MAX_SEGMENTS - 1].at, "segments",
			"%zu are configured; a plane holds %d: use two planes", m->n_segments, VP_MAX_SEGMENTS - 1);
	if (m->n_bindings >= VP_MAX_PORTS && ++faults)
		fail_at(&m->bindings[VP_MAX_PORTS - 1].at, "bindings",
			"%zu are configured; the %d ports of a plane can't have so many", m->n_bindings,
			VP_MAX_PORTS - 1);
	if (macs > VP_MAX_MACS && ++faults)
		fail_at(&(struct where){ .file = m->file }, "mac",
			"ports bring %zu addresses into segments; the MAC table holds %d", macs, VP_MAX_MACS);
	return faults;
}

static int check_segments(const struct check *c)
{
	const struct model *m = c->m;
	char o[OBJECT], w[PLACE];
	int faults = 0;
	size_t i;

	for (i = 0; i < m->n_segments; i++) {
		const struct segment *s = &m->segments[i], *first = segment_of(c, s->name);

		object(o, "segment", s->name);
		if (value_name(s->name, VP_NAME_LEN - 1) && ++faults)
			fail_at(&s->at, o, "not a name; names are [a-z0-9][a-z0-9_.-]*, at most %d characters",
				VP_NAME_LEN - 1);
		else if (first != s && ++faults)
			fail_at(&s->at, o, "this name is taken by another segment%s", place(w, &first->at));
		if (s->vlan > 4094 && ++faults)
			fail_at(&s->at, o, "vlan %u is not a number from 1 to 4094", s->vlan);
	}
	return faults;
}

static int check_host(const struct port *p)
{
	if (strlen(p->name) > HOST_NAME_MAX_LEN)
		return port_fault(p, "the name of a host port is its interface's and has at most 13 characters");
	if (value_device(p->name))
		return port_fault(p, "the name of a host port is its interface's, and this is no interface name");
	if (strcmp(p->device, p->name) != 0)
		return port_fault(p, "a host port's device is its own name; leave `device` out or make them equal");
	return 0;
}

static int check_name(const struct check *c, const struct port *p)
{
	const struct port *first = port_of(c, p->name);
	char o[OBJECT], w[PLACE];

	if (value_name(p->name, VP_NAME_LEN - 1)) {
		fail_at(&p->at, object(o, "port", p->name),
			"not a name; names are [a-z0-9][a-z0-9_.-]*, at most %d characters", VP_NAME_LEN - 1);
		return 1;
	}
	if (first != p) {
		fail_at(&p->at, object(o, "port", p->name), "this name is taken by another port%s",
			place(w, &first->at));
		return 1;
	}
	return 0;
}

static int check_device(const struct port *p)
{
	if (p->kind == VP_KIND_HOST)
		return check_host(p);
	if (!p->device[0])
		return port_fault(p, p->kind == VP_KIND_UPLINK ? "an uplink needs `device`: the NIC it stands for"
							       : "a guest port needs `device`: its TAP or veth end");
	if (value_device(p->device))
		return port_fault(p, "`device` is no interface name");
	return 0;
}

static int tagged_fault(const struct check *c, const struct port *p, size_t i)
{
	const struct segment *s = segment_of(c, p->tagged[i].s), *other;
	char o[OBJECT];
	size_t j;

	object(o, "port", p->name);
	if (!s) {
		fail_at(&p->at, o, "tagged: there is no segment %s; add it under `segments`", p->tagged[i].s);
		return 1;
	}
	if (!s->vlan) {
		fail_at(&p->at, o, "tagged: segment %s has no `vlan`, so nobody could tell its frames; give it one",
			s->name);
		return 1;
	}
	if (!strcmp(s->name, p->segment)) {
		fail_at(&p->at, o, "segment %s is given as `segment` and under `tagged`; a port carries it one way",
			s->name);
		return 1;
	}
	for (j = 0; j < i; j++) {
		other = segment_of(c, p->tagged[j].s);
		if (!other || other->vlan != s->vlan)
			continue;
		fail_at(&p->at, o, "tagged: segments %s and %s both have vlan %u; on one port a tag means one segment",
			other->name, s->name, s->vlan);
		return 1;
	}
	return 0;
}

static int check_tagged(const struct check *c, const struct port *p)
{
	int faults = 0;
	size_t i;

	for (i = 0; i < p->n_tagged; i++)
		faults += tagged_fault(c, p, i);
	return faults;
}

static int check_segment_of(const struct check *c, const struct port *p)
{
	const struct binding *b = binding_of(c, p->name);
	char o[OBJECT], w[PLACE];

	object(o, "port", p->name);
	if (p->segment[0] && !segment_of(c, p->segment)) {
		fail_at(&p->at, o, "there is no segment %s; add it under `segments`", p->segment);
		return 1;
	}
	if (port_in_any(p) && b) {
		fail_at(&p->at, o, "is in segment %s and also bound to %s%s; a port can be one of the two",
			p->segment[0] ? p->segment : p->tagged[0].s, peer_in(b, p->name), place(w, &b->at));
		return 1;
	}
	if (!port_in_any(p) && !b)
		warn_at(&p->at, o, "is in no segment and no binding: all its frames will be dropped (`unbound`)");
	return 0;
}

static int check_macs(const struct port *p)
{
	char o[OBJECT], text[MAC_TEXT];
	int faults = 0;
	size_t i;

	object(o, "port", p->name);
	for (i = 0; i < p->n_macs; i++) {
		const char *why = value_mac_fault(&p->macs[i]);

		if (why && ++faults)
			fail_at(&p->at, o, "mac: %s %s; it can be nobody's address",
				value_mac_text(&p->macs[i], text), why);
		else if (!(p->macs[i].b[0] & 2) && !p->mac_auto)
			warn_at(&p->at, o,
				"mac: %s lacks the locally administered bit (02 in its first byte): "
				"it may be the address of real hardware",
				value_mac_text(&p->macs[i], text));
	}
	return faults;
}

static int check_attach(const struct port *p)
{
	if (p->attach == ATTACH_SHARED && p->kind == VP_KIND_HOST)
		return port_fault(p, "`attach: shared` is for uplinks: a host port's veth is the plane's own, "
				     "and nobody else has a program there; leave it out");
	return 0;
}

/* Its veth is still to be made: no device can say this, as others do (carrier.c).  tc is obeyed everywhere. */
static int check_mode(const struct port *p)
{
	if (p->mode == MODE_GENERIC && p->kind == VP_KIND_HOST && p->carrier != CARRIER_TC)
		return port_fault(p, "`mode: generic` can't be had on a host port: on its veth VLAN tags travel beside "
				     "the frame, where generic XDP doesn't see them; leave `mode` out");
	return 0;
}

static int check_ports(const struct check *c)
{
	const struct model *m = c->m;
	int faults = 0;
	size_t i;

	for (i = 0; i < m->n_ports; i++) {
		const struct port *p = &m->ports[i];

		if (check_name(c, p)) {
			faults++;
			continue;
		}
		faults += check_device(p) + check_segment_of(c, p) + check_tagged(c, p) + check_macs(p) +
			  check_attach(p) + check_mode(p);
	}
	return faults;
}

/* One device as it is used: host ports also use the name of the plane's end of their pair. */
struct use {
	char device[VP_NAME_LEN + 2];
	const struct port *port;
};

static int by_device(const void *a, const void *b)
{
	const struct use *x = a, *y = b;
	int order = strcmp(x->device, y->device);

	return order ? order : x->port < y->port ? -1 : x->port > y->port;
}

static int check_devices(const struct model *m)
{
	struct use *uses = calloc(2 * m->n_ports + 1, sizeof(*uses));
	char o[OBJECT], w[PLACE];
	int faults = 0;
	size_t i, n = 0;

	if (!uses)
		return -ENOMEM;
	for (i = 0; i < m->n_ports; i++) {
		const struct port *p = &m->ports[i];

		uses[n].port = p;
		if (!p->device[0])
			continue;
		snprintf(uses[n++].device, sizeof(uses->device), "%s", p->device);
		if (p->kind != VP_KIND_HOST)
			continue;
		uses[n].port = p;
		snprintf(uses[n++].device, sizeof(uses->device), "%s-p", p->device);
	}
	if (n)
		qsort(uses, n, sizeof(*uses), by_device);
	for (i = 1; i < n; i++) {
		const struct port *a = uses[i - 1].port, *b = uses[i].port;

		/* Two ports of one name were reported already. */
		if (strcmp(uses[i].device, uses[i - 1].device) != 0 || !strcmp(a->name, b->name))
			continue;
		faults++;
		fail_at(&b->at, object(o, "port", b->name), "device %s is already used by port %s%s", uses[i].device,
			a->name, place(w, &a->at));
	}
	free(uses);
	return faults;
}

static int by_alias(const void *a, const void *b)
{
	const struct port *x = *(const struct port *const *)a, *y = *(const struct port *const *)b;
	int order = strcmp(x->alias, y->alias);

	return order ? order : x < y ? -1 : x > y;
}

static int check_aliases(const struct model *m)
{
	const struct port **all = calloc(m->n_ports + 1, sizeof(*all));
	char o[OBJECT], w[PLACE];
	int faults = 0;
	size_t i, n = 0;

	if (!all)
		return -ENOMEM;
	for (i = 0; i < m->n_ports; i++)
		if (m->ports[i].alias[0])
			all[n++] = &m->ports[i];
	if (n)
		qsort(all, n, sizeof(*all), by_alias);
	for (i = 1; i < n; i++) {
		if (strcmp(all[i]->alias, all[i - 1]->alias) != 0)
			continue;
		faults++;
		fail_at(&all[i]->at, object(o, "port", all[i]->name), "alias %s is already that of port %s%s",
			all[i]->alias, all[i - 1]->name, place(w, &all[i - 1]->at));
	}
	free(all);
	return faults;
}

struct owned {
	struct mac mac;
	const char *segment;
	const struct port *port;
};

static int by_segment_and_mac(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;
	int order = strcmp(x->segment, y->segment);

	order = order ? order : mac_cmp(&x->mac, &y->mac);
	return order ? order : x->port < y->port ? -1 : x->port > y->port;
}

/* A port's addresses in each of its segments. */
static struct owned *add_owned(struct owned *next, const struct port *p)
{
	size_t i, j;

	for (j = 0; j < p->n_macs; j++) {
		if (p->segment[0])
			*next++ = (struct owned){ p->macs[j], p->segment, p };
		for (i = 0; i < p->n_tagged; i++)
			*next++ = (struct owned){ p->macs[j], p->tagged[i].s, p };
	}
	return next;
}

/* An address is unique within a segment; in two segments it is two addresses. */
static int check_unique(const struct model *m)
{
	char o[OBJECT], w[PLACE], text[MAC_TEXT];
	size_t i, n = count_owned(m);
	struct owned *all = calloc(n + 1, sizeof(*all)), *next = all;
	int faults = 0;

	if (!all)
		return -ENOMEM;
	for (i = 0; i < m->n_ports; i++)
		next = add_owned(next, &m->ports[i]);
	if (n)
		qsort(all, n, sizeof(*all), by_segment_and_mac);
	for (i = 1; i < n; i++) {
		const struct port *a = all[i - 1].port, *b = all[i].port;

		if (a == b || strcmp(all[i - 1].segment, all[i].segment) != 0 || mac_cmp(&all[i - 1].mac, &all[i].mac))
			continue;
		faults++;
		fail_at(&b->at, object(o, "port", b->name), "%s is already the address of port %s%s",
			value_mac_text(&all[i].mac, text), a->name, place(w, &a->at));
	}
	free(all);
	return faults;
}

static int check_end(const struct check *c, const struct binding *b, const char *end)
{
	const struct binding *first = binding_of(c, end);
	char o[2 * OBJECT], w[PLACE];

	snprintf(o, sizeof(o), "binding %s %s", b->a, b->b);
	if (!port_of(c, end)) {
		fail_at(&b->at, o, "there is no port %s", end);
		return 1;
	}
	if (first != b) {
		fail_at(&b->at, o, "port %s is already bound to %s%s", end, peer_in(first, end), place(w, &first->at));
		return 1;
	}
	return 0;
}

static int check_bindings(const struct check *c)
{
	const struct model *m = c->m;
	int faults = 0;
	size_t i;

	for (i = 0; i < m->n_bindings; i++) {
		const struct binding *b = &m->bindings[i];
		char o[2 * OBJECT];

		snprintf(o, sizeof(o), "binding %s %s", b->a, b->b);
		if (!b->a[0] || !b->b[0]) {
			faults++;
			fail_at(&b->at, o, "a binding needs two ports, `a` and `b`");
		} else if (!strcmp(b->a, b->b)) {
			faults++;
			fail_at(&b->at, o, "a port can't be bound to itself");
		} else {
			faults += check_end(c, b, b->a) + check_end(c, b, b->b);
		}
	}
	return faults;
}

int model_check(const struct model *m)
{
	int faults, devices, aliases, macs;
	struct check c;

	if (check_limits(m))
		return -EINVAL;
	if (check_begin(&c, m))
		return -ENOMEM;
	faults = check_segments(&c) + check_ports(&c) + check_bindings(&c);
	check_free(&c);
	devices = check_devices(m);
	aliases = check_aliases(m);
	macs = check_unique(m);
	if (devices == -ENOMEM || aliases == -ENOMEM || macs == -ENOMEM)
		return -ENOMEM;
	return faults + devices + aliases + macs ? -EINVAL : 0;
}
