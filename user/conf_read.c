/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The YAML tree becomes a model. Every fault is reported at its own place; a faulty value is left at its default. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "conf_key.h"
#include "conf_yaml.h"

#define OBJECT	   48
#define MAX_FAULTS 200

struct reader {
	yaml_document_t doc;
	struct model *m;
	int faults;
	bool no_memory;
};

static struct where place(const struct reader *r, const yaml_node_t *node)
{
	return conf_yaml_place(r->m->file, &node->start_mark);
}

__attribute__((format(printf, 4, 5))) static void fault(struct reader *r, const yaml_node_t *node, const char *object,
							const char *fmt, ...)
{
	struct where at = place(r, node);
	char *text = NULL;
	va_list args;

	if (++r->faults > MAX_FAULTS)
		return;
	if (r->faults == MAX_FAULTS) {
		fail_at(&at, object, "more than %d faults; the rest is not shown", MAX_FAULTS - 1);
		return;
	}
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	fail_at(&at, object, "%s", text ? text : "out of memory");
	free(text);
}

static yaml_node_t *node_of(struct reader *r, int index)
{
	return yaml_document_get_node(&r->doc, index);
}

static const char *type_word(const yaml_node_t *node)
{
	switch (node->type) {
	case YAML_SEQUENCE_NODE:
		return "a list";
	case YAML_MAPPING_NODE:
		return "a mapping";
	default:
		return "a single value";
	}
}

static bool is_plain(const yaml_node_t *node)
{
	return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool is_null(const yaml_node_t *node)
{
	const char *s = (const char *)node->data.scalar.value;

	return node->type == YAML_SCALAR_NODE && is_plain(node) && (!*s || !strcmp(s, "~") || !strcasecmp(s, "null"));
}

/* The text of a scalar, or NULL (reported). */
static const char *scalar(struct reader *r, yaml_node_t *node, const char *object, const char *key)
{
	const char *s;

	if (node->type != YAML_SCALAR_NODE) {
		fault(r, node, object, "%s: %s where one value belongs", key, type_word(node));
		return NULL;
	}
	s = (const char *)node->data.scalar.value;
	if (strlen(s) != node->data.scalar.length) {
		fault(r, node, object, "%s: a NUL character in the value", key);
		return NULL;
	}
	if (is_null(node)) {
		fault(r, node, object, "%s: has no value", key);
		return NULL;
	}
	return s;
}

static void unknown_key(struct reader *r, yaml_node_t *node, enum key_table table, const char *object)
{
	const char *name = (const char *)node->data.scalar.value, *near;

	if (node->type != YAML_SCALAR_NODE) {
		fault(r, node, object, "%s as a key; keys are words", type_word(node));
		return;
	}
	near = key_near(table, name);
	if (near)
		fault(r, node, object, "unknown key \"%s\"; did you mean \"%s\"?", name, near);
	else
		fault(r, node, object, "unknown key \"%s\"", name);
}

static void set_value(struct reader *r, yaml_node_t *node, const struct key *key, void *target, const char *object)
{
	const char *s = scalar(r, node, object, key->name);

	if (!s)
		return;
	if (key->type != KEY_WORD && !is_plain(node)) {
		fault(r, node, object, "%s: \"%s\" in quotes is text and not %s; leave the quotes out", key->name, s,
		      key->wanted);
		return;
	}
	if (key->set(target, s))
		fault(r, node, object, "%s: \"%s\" is not %s", key->name, s, key->wanted);
}

struct listed {
	struct mac mac;
	yaml_node_t *node;
};

static int by_mac(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;
	int order = memcmp(x->mac.b, y->mac.b, VP_MAC_LEN);

	return order ? order : x->node < y->node ? -1 : x->node > y->node;
}

static void add_listed(struct reader *r, const struct listed *all, size_t n, struct port *p, const char *object)
{
	size_t i;
	int ret;

	for (i = 0; i < n; i++) {
		ret = port_add_mac(p, &all[i].mac);
		if (ret == -EEXIST)
			fault(r, all[i].node, object, "mac: \"%s\" is listed twice", all[i].node->data.scalar.value);
		else if (ret)
			r->no_memory = true;
	}
}

/* Sorted first: inserting one by one into a sorted array takes quadratic time for a list in descending order. */
static void set_mac_list(struct reader *r, yaml_node_t *list, struct port *p, const char *object)
{
	yaml_node_item_t *item = list->data.sequence.items.start, *top = list->data.sequence.items.top;
	size_t n = 0;
	struct listed *all = calloc((size_t)(top - item) + 1, sizeof(*all));
	char why[KEY_WHY];

	if (!all) {
		r->no_memory = true;
		return;
	}
	if (item == top)
		fault(r, list, object, "mac: an empty list; leave `mac` out to admit any address");
	/* [auto] is the same as auto. */
	if (top - item == 1 && node_of(r, *item)->type == YAML_SCALAR_NODE &&
	    !strcmp((const char *)node_of(r, *item)->data.scalar.value, "auto")) {
		p->mac_auto = true;
		item = top;
	}
	for (; item < top; item++) {
		const char *s = scalar(r, node_of(r, *item), object, "mac");

		if (s && key_mac(s, &all[n].mac, why))
			fault(r, node_of(r, *item), object, "mac: %s", why);
		else if (s)
			all[n++].node = node_of(r, *item);
	}
	qsort(all, n, sizeof(*all), by_mac);
	add_listed(r, all, n, p, object);
	free(all);
}

static void set_macs(struct reader *r, yaml_node_t *node, struct port *p, const char *object)
{
	char why[KEY_WHY];
	struct mac mac;
	const char *s;

	if (node->type == YAML_SEQUENCE_NODE) {
		set_mac_list(r, node, p, object);
		return;
	}
	s = scalar(r, node, object, "mac");
	if (!s)
		return;
	if (!strcmp(s, "auto"))
		p->mac_auto = true;
	else if (key_mac(s, &mac, why))
		fault(r, node, object, "mac: %s", why);
	else if (port_add_mac(p, &mac))
		r->no_memory = true;
}

/* A list of segments; one name alone is a list of one. */
static void set_tagged(struct reader *r, yaml_node_t *node, struct port *p, const char *object)
{
	bool list = node->type == YAML_SEQUENCE_NODE;
	yaml_node_item_t *item = list ? node->data.sequence.items.start : NULL;
	yaml_node_item_t *top = list ? node->data.sequence.items.top : NULL;
	char why[KEY_WHY];

	do {
		yaml_node_t *one = list ? item < top ? node_of(r, *item) : NULL : node;
		const char *s = one ? scalar(r, one, object, "tagged") : NULL;
		int ret = 0;

		if (s && key_segment(s, why))
			fault(r, one, object, "tagged: %s", why);
		else if (s)
			ret = port_add_tagged(p, s);
		if (ret == -EEXIST)
			fault(r, one, object, "tagged: \"%s\" is listed twice", s);
		else if (ret)
			r->no_memory = true;
	} while (list && ++item < top);
}

static void set_key(struct reader *r, yaml_node_t *node, yaml_node_t *value, const struct key *key, void *target,
		    const char *object)
{
	if (key->type == KEY_MISSING)
		fault(r, node, object, "this build does not have `%s` yet", key->name);
	else if (key->type == KEY_MACS)
		set_macs(r, value, target, object);
	else if (key->type == KEY_NAMES)
		set_tagged(r, value, target, object);
	else
		set_value(r, value, key, target, object);
}

/* Which key is this pair's? NULL: reported. `seen` has one bit per key of the table. */
static const struct key *pair_key(struct reader *r, yaml_node_t *node, enum key_table table, unsigned int *seen,
				  const char *object)
{
	const char *name = (const char *)node->data.scalar.value;
	const struct key *key = NULL;
	unsigned int bit;
	size_t n;

	if (node->type == YAML_SCALAR_NODE && strlen(name) == node->data.scalar.length)
		key = key_find(table, name);
	if (!key) {
		unknown_key(r, node, table, object);
		return NULL;
	}
	bit = 1U << (key - key_table(table, &n));
	if (*seen & bit) {
		fault(r, node, object, "key \"%s\" is given twice", name);
		return NULL;
	}
	*seen |= bit;
	return key;
}

/* The value of a key in a mapping, before the keys are gone through: what others depend on. */
static yaml_node_t *value_of(struct reader *r, yaml_node_t *map, const char *name)
{
	yaml_node_pair_t *pair;

	for (pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = node_of(r, pair->key);

		if (key->type == YAML_SCALAR_NODE && !strcmp((const char *)key->data.scalar.value, name))
			return node_of(r, pair->value);
	}
	return NULL;
}

static const char *text_of(struct reader *r, yaml_node_t *map, const char *name)
{
	yaml_node_t *node = value_of(r, map, name);

	return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static void read_keys(struct reader *r, yaml_node_t *map, enum key_table table, void *target, const char *object)
{
	yaml_node_pair_t *pair;
	unsigned int seen = 0;

	for (pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
		yaml_node_t *node = node_of(r, pair->key);
		const struct key *key = pair_key(r, node, table, &seen, object);

		if (key)
			set_key(r, node, node_of(r, pair->value), key, target, object);
	}
}

/* "port guest1", or "port #3" while it has no name. */
static void name_object(struct reader *r, yaml_node_t *map, const char *what, size_t number, char object[OBJECT])
{
	const char *name = text_of(r, map, "name");

	if (name && *name)
		snprintf(object, OBJECT, "%s %.31s", what, name);
	else
		snprintf(object, OBJECT, "%s #%zu", what, number);
}

static void need(struct reader *r, yaml_node_t *map, const char *key, const char *object)
{
	if (!value_of(r, map, key))
		fault(r, map, object, "has no `%s`", key);
}

static void read_segment(struct reader *r, yaml_node_t *map, size_t number)
{
	char object[OBJECT];
	struct segment s;

	segment_init(&s);
	s.at = place(r, map);
	name_object(r, map, "segment", number, object);
	need(r, map, "name", object);
	read_keys(r, map, KEYS_SEGMENT, &s, object);
	if (!model_add_segment(r->m, &s))
		r->no_memory = true;
}

static void read_port(struct reader *r, yaml_node_t *map, size_t number)
{
	const struct key *kind = key_find(KEYS_PORT, "kind");
	char object[OBJECT];
	struct port p;

	port_init(&p, VP_KIND_GUEST);
	p.at = place(r, map);
	/* The kind first: it decides the defaults of keys that may stand before it. A bad one is reported below. */
	if (text_of(r, map, "kind"))
		kind->set(&p, text_of(r, map, "kind"));
	name_object(r, map, "port", number, object);
	need(r, map, "name", object);
	read_keys(r, map, KEYS_PORT, &p, object);
	key_finish_port(&p);
	if (!model_add_port(r->m, &p))
		r->no_memory = true;
	port_free(&p);
}

static void read_binding(struct reader *r, yaml_node_t *map, size_t number)
{
	const char *a = text_of(r, map, "a"), *b = text_of(r, map, "b");
	char object[2 * OBJECT];
	struct binding bind = { .at = place(r, map) };

	if (a && b)
		snprintf(object, sizeof(object), "binding %.31s %.31s", a, b);
	else
		snprintf(object, sizeof(object), "binding #%zu", number);
	need(r, map, "a", object);
	need(r, map, "b", object);
	read_keys(r, map, KEYS_BINDING, &bind, object);
	if (!model_add_binding(r->m, &bind))
		r->no_memory = true;
}

static void read_list(struct reader *r, yaml_node_t *list, const char *name)
{
	void (*read_one)(struct reader *, yaml_node_t *, size_t) = name[0] == 's'   ? read_segment
								   : name[0] == 'p' ? read_port
										    : read_binding;
	yaml_node_item_t *item;
	size_t number = 0;

	if (is_null(list)) /* all its entries commented out */
		return;
	if (list->type != YAML_SEQUENCE_NODE) {
		fault(r, list, name, "%s where a list belongs", type_word(list));
		return;
	}
	for (item = list->data.sequence.items.start; item < list->data.sequence.items.top; item++) {
		yaml_node_t *node = node_of(r, *item);

		number++;
		if (node->type == YAML_MAPPING_NODE)
			read_one(r, node, number);
		else
			fault(r, node, name, "%s where a mapping such as {name: x} belongs", type_word(node));
	}
}

static void read_version(struct reader *r, yaml_node_t *node)
{
	const char *s = scalar(r, node, "version", "version");

	if (s && (!is_plain(node) || strcmp(s, "1") != 0))
		fault(r, node, "version", "\"%s\" is not a version that this build reads; it reads 1 (a number)", s);
}

static void read_top(struct reader *r, yaml_node_t *map)
{
	yaml_node_pair_t *pair;
	unsigned int seen = 0;

	if (map->type != YAML_MAPPING_NODE) {
		fault(r, map, "configuration", "%s where a mapping with `version: 1` belongs", type_word(map));
		return;
	}
	if (!value_of(r, map, "version"))
		fault(r, map, "configuration", "has no `version`; begin with `version: 1`");
	for (pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
		const struct key *key = pair_key(r, node_of(r, pair->key), KEYS_TOP, &seen, "configuration");

		if (key && key->type == KEY_LIST)
			read_list(r, node_of(r, pair->value), key->name);
		else if (key)
			read_version(r, node_of(r, pair->value));
	}
}

int conf_read_text(const char *text, size_t len, const char *name, struct model *m)
{
	struct reader r = { .m = m };
	yaml_node_t *root;
	int ret;

	free(m->file);
	m->file = strdup(name);
	if (!m->file)
		return -ENOMEM;
	ret = conf_yaml_load(text, len, m->file, &r.doc);
	if (ret)
		return ret;
	root = yaml_document_get_root_node(&r.doc);
	if (root)
		read_top(&r, root);
	yaml_document_delete(&r.doc);
	if (r.no_memory)
		return -ENOMEM;
	return r.faults || !root ? -EINVAL : 0;
}
