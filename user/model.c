/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "value.h"

void model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
}

void model_free(struct model *m)
{
	size_t i;

	for (i = 0; i < m->n_ports; i++)
		port_free(&m->ports[i]);
	free(m->ports);
	free(m->segments);
	free(m->bindings);
	free(m->file);
	model_init(m);
}

/* Places of the copy must not point at the original's file name. */
static void move_place(struct where *at, const struct model *to, const struct model *from)
{
	if (at->file && at->file == from->file)
		at->file = to->file;
}

static int copy_ports(struct model *to, const struct model *from)
{
	size_t i;

	for (i = 0; i < from->n_ports; i++) {
		struct port p;

		if (port_copy(&p, &from->ports[i]))
			return -ENOMEM;
		move_place(&p.at, to, from);
		if (!model_add_port(to, &p)) {
			port_free(&p);
			return -ENOMEM;
		}
	}
	return 0;
}

static int copy_rest(struct model *to, const struct model *from)
{
	size_t i;

	for (i = 0; i < from->n_segments; i++) {
		struct segment *s = model_add_segment(to, &from->segments[i]);

		if (!s)
			return -ENOMEM;
		move_place(&s->at, to, from);
	}
	for (i = 0; i < from->n_bindings; i++) {
		struct binding *b = model_add_binding(to, &from->bindings[i]);

		if (!b)
			return -ENOMEM;
		move_place(&b->at, to, from);
	}
	return 0;
}

/* `to` is written over: it is uninitialised or freed. */
int model_copy(struct model *to, const struct model *from)
{
	model_init(to);
	if (from->file && !(to->file = strdup(from->file)))
		return -ENOMEM;
	if (copy_ports(to, from) || copy_rest(to, from)) {
		model_free(to);
		return -ENOMEM;
	}
	return 0;
}

void port_init(struct port *p, enum vp_kind kind)
{
	memset(p, 0, sizeof(*p));
	p->kind = kind;
	p->quota = kind == VP_KIND_UPLINK ? QUOTA_UPLINK : QUOTA_GUEST;
	p->broadcast_pps = kind == VP_KIND_GUEST ? BROADCAST_PPS : 0;
}

static void forget_lists(struct port *p)
{
	p->macs = NULL;
	p->n_macs = 0;
	p->tagged = NULL;
	p->n_tagged = 0;
}

void port_free(struct port *p)
{
	free(p->macs);
	free(p->tagged);
	forget_lists(p);
}

/* Insert one element of `size` bytes into a sorted array of its own allocation. -EEXIST, -ENOMEM. */
static int insert(void **array, size_t *n, size_t size, const void *element, int (*cmp)(const void *, const void *))
{
	size_t low = 0, high = *n;
	char *grown;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = cmp((char *)*array + mid * size, element);

		if (!order)
			return -EEXIST;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	grown = realloc(*array, (*n + 1) * size);
	if (!grown)
		return -ENOMEM;
	memmove(grown + (low + 1) * size, grown + low * size, (*n - low) * size);
	memcpy(grown + low * size, element, size);
	*array = grown;
	++*n;
	return 0;
}

static int by_mac(const void *a, const void *b)
{
	return mac_cmp(a, b);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->s, ((const struct name *)b)->s);
}

int port_add_mac(struct port *p, const struct mac *mac)
{
	void *macs = p->macs;
	int ret = insert(&macs, &p->n_macs, sizeof(*mac), mac, by_mac);

	p->macs = macs;
	return ret;
}

int port_add_tagged(struct port *p, const char *segment)
{
	void *tagged = p->tagged;
	struct name name = { 0 };
	int ret;

	snprintf(name.s, sizeof(name.s), "%s", segment);
	ret = insert(&tagged, &p->n_tagged, sizeof(name), &name, by_name);
	p->tagged = tagged;
	return ret;
}

/* A copy of a list, which may be empty; false = out of memory. */
static bool copy_list(void **to, const void *from, size_t bytes)
{
	*to = bytes ? malloc(bytes) : NULL;
	if (*to)
		memcpy(*to, from, bytes);
	return *to || !bytes;
}

int port_copy(struct port *to, const struct port *from)
{
	void *macs = NULL, *tagged = NULL;

	*to = *from;
	forget_lists(to);
	if (!copy_list(&macs, from->macs, from->n_macs * sizeof(*from->macs)) ||
	    !copy_list(&tagged, from->tagged, from->n_tagged * sizeof(*from->tagged))) {
		free(macs);
		return -ENOMEM;
	}
	to->macs = macs;
	to->n_macs = from->n_macs;
	to->tagged = tagged;
	to->n_tagged = from->n_tagged;
	return 0;
}

bool port_in_segment(const struct port *p, const char *segment)
{
	struct name name;

	if (!strcmp(p->segment, segment))
		return *segment;
	snprintf(name.s, sizeof(name.s), "%s", segment);
	return p->n_tagged && bsearch(&name, p->tagged, p->n_tagged, sizeof(name), by_name);
}

bool port_in_any(const struct port *p)
{
	return p->segment[0] || p->n_tagged;
}

bool port_equal(const struct port *a, const struct port *b)
{
	return !strcmp(a->name, b->name) && !strcmp(a->device, b->device) && a->kind == b->kind &&
	       !strcmp(a->alias, b->alias) && !strcmp(a->segment, b->segment) && a->n_tagged == b->n_tagged &&
	       (!a->n_tagged || !memcmp(a->tagged, b->tagged, a->n_tagged * sizeof(*a->tagged))) &&
	       a->mac_auto == b->mac_auto && a->n_macs == b->n_macs &&
	       (!a->n_macs || !memcmp(a->macs, b->macs, a->n_macs * sizeof(*a->macs))) && a->carrier == b->carrier &&
	       a->mode == b->mode && a->attach == b->attach && a->quota == b->quota &&
	       a->broadcast_pps == b->broadcast_pps;
}

void segment_init(struct segment *s)
{
	memset(s, 0, sizeof(*s));
	s->age = AGE_SECONDS;
	s->flood = true;
}

bool segment_equal(const struct segment *a, const struct segment *b)
{
	return !strcmp(a->name, b->name) && a->vlan == b->vlan && a->age == b->age && a->flood == b->flood &&
	       a->duplicate == b->duplicate;
}

/* Room for one more: capacities are the powers of two from 8, so that none has to be stored. */
static void *grow(void *array, size_t n, size_t size)
{
	if (!n)
		return realloc(array, 8 * size);
	return n >= 8 && !(n & (n - 1)) ? realloc(array, 2 * n * size) : array;
}

struct port *model_add_port(struct model *m, struct port *p)
{
	struct port *ports = grow(m->ports, m->n_ports, sizeof(*ports));

	if (!ports)
		return NULL;
	m->ports = ports;
	ports[m->n_ports] = *p;
	forget_lists(p);
	return &ports[m->n_ports++];
}

struct segment *model_add_segment(struct model *m, const struct segment *s)
{
	struct segment *segments = grow(m->segments, m->n_segments, sizeof(*segments));

	if (!segments)
		return NULL;
	m->segments = segments;
	segments[m->n_segments] = *s;
	return &segments[m->n_segments++];
}

struct binding *model_add_binding(struct model *m, const struct binding *b)
{
	struct binding *bindings = grow(m->bindings, m->n_bindings, sizeof(*bindings));

	if (!bindings)
		return NULL;
	m->bindings = bindings;
	bindings[m->n_bindings] = *b;
	return &bindings[m->n_bindings++];
}

void model_del_binding(struct model *m, const char *port)
{
	struct binding *b = model_binding_of(m, port);

	if (!b)
		return;
	m->n_bindings--;
	memmove(b, b + 1, (size_t)(m->bindings + m->n_bindings - b) * sizeof(*b));
}

void model_del_port(struct model *m, const char *name)
{
	struct port *p = model_port(m, name);

	if (!p)
		return;
	/* `name` may be the port's own field: the binding goes first. */
	model_del_binding(m, name);
	port_free(p);
	m->n_ports--;
	memmove(p, p + 1, (size_t)(m->ports + m->n_ports - p) * sizeof(*p));
}

struct port *model_port_last(struct model *m, struct port *p)
{
	struct port *last = &m->ports[m->n_ports - 1], moved = *p;

	memmove(p, p + 1, (size_t)(last - p) * sizeof(*p));
	*last = moved;
	return last;
}

/*
 * These begin where the last search ended: names are mostly asked for in order, and a thousand of them then cost a
 * thousand looks.  In a model that has passed model_check() none is there twice.
 */
struct port *model_port(const struct model *m, const char *name)
{
	static size_t next;
	size_t i, n;

	for (n = 0; n < m->n_ports; n++) {
		i = (next + n) % m->n_ports;
		if (strcmp(m->ports[i].name, name) != 0)
			continue;
		next = i + 1;
		return &m->ports[i];
	}
	return NULL;
}

struct segment *model_segment(const struct model *m, const char *name)
{
	static size_t next;
	size_t i, n;

	for (n = 0; n < m->n_segments; n++) {
		i = (next + n) % m->n_segments;
		if (strcmp(m->segments[i].name, name) != 0)
			continue;
		next = i; /* most ports are in the same one as the port before */
		return &m->segments[i];
	}
	return NULL;
}

struct binding *model_binding_of(const struct model *m, const char *port)
{
	static size_t next;
	size_t i, n;

	for (n = 0; n < m->n_bindings; n++) {
		i = (next + n) % m->n_bindings;
		if (strcmp(m->bindings[i].a, port) != 0 && strcmp(m->bindings[i].b, port) != 0)
			continue;
		next = i + 1;
		return &m->bindings[i];
	}
	return NULL;
}

const char *model_peer(const struct model *m, const char *port)
{
	const struct binding *b = model_binding_of(m, port);

	if (!b)
		return NULL;
	return strcmp(b->a, port) ? b->a : b->b;
}

static int by_port(const void *a, const void *b)
{
	return strcmp(((const struct port *)a)->name, ((const struct port *)b)->name);
}

static int by_segment(const void *a, const void *b)
{
	return strcmp(((const struct segment *)a)->name, ((const struct segment *)b)->name);
}

static int by_binding(const void *a, const void *b)
{
	const struct binding *x = a, *y = b;
	int order = strcmp(x->a, y->a);

	return order ? order : strcmp(x->b, y->b);
}

void model_forget_places(struct model *m)
{
	const struct where nowhere = { 0 };
	size_t i;

	for (i = 0; i < m->n_ports; i++)
		m->ports[i].at = nowhere;
	for (i = 0; i < m->n_segments; i++)
		m->segments[i].at = nowhere;
	for (i = 0; i < m->n_bindings; i++)
		m->bindings[i].at = nowhere;
}

void model_sort(struct model *m)
{
	size_t i;

	for (i = 0; i < m->n_bindings; i++) {
		struct binding *b = &m->bindings[i], was = *b;

		if (strcmp(b->a, b->b) <= 0)
			continue;
		memcpy(b->a, was.b, sizeof(b->a));
		memcpy(b->b, was.a, sizeof(b->b));
	}
	if (m->n_ports)
		qsort(m->ports, m->n_ports, sizeof(*m->ports), by_port);
	if (m->n_segments)
		qsort(m->segments, m->n_segments, sizeof(*m->segments), by_segment);
	if (m->n_bindings)
		qsort(m->bindings, m->n_bindings, sizeof(*m->bindings), by_binding);
}
