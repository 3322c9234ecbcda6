/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf_key.h"
#include "value.h"

#define WANT_NAME "a name: [a-z0-9][a-z0-9_.-]*, at most 31 characters"

static int set_name(char to[VP_NAME_LEN], const char *text)
{
	if (value_name(text, VP_NAME_LEN - 1))
		return -EINVAL;
	memset(to, 0, VP_NAME_LEN); /* what is behind the NUL ends up in maps */
	snprintf(to, VP_NAME_LEN, "%s", text);
	return 0;
}

static int segment_name(void *object, const char *text)
{
	return set_name(((struct segment *)object)->name, text);
}

static int segment_vlan(void *object, const char *text)
{
	uint32_t v;
	int ret = value_u32(text, 1, 4094, &v);

	if (!ret)
		((struct segment *)object)->vlan = (uint16_t)v;
	return ret;
}

static int segment_age(void *object, const char *text)
{
	return value_u32(text, 0, 1000000000, &((struct segment *)object)->age);
}

static int segment_flood(void *object, const char *text)
{
	return value_bool(text, &((struct segment *)object)->flood);
}

static int segment_duplicate(void *object, const char *text)
{
	return value_duplicate(text, &((struct segment *)object)->duplicate);
}

static int port_name(void *object, const char *text)
{
	return set_name(((struct port *)object)->name, text);
}

static int port_device(void *object, const char *text)
{
	struct port *p = object;

	if (value_device(text))
		return -EINVAL;
	memset(p->device, 0, sizeof(p->device));
	snprintf(p->device, sizeof(p->device), "%s", text);
	return 0;
}

static int port_alias(void *object, const char *text)
{
	struct port *p = object;

	if (value_alias(text))
		return -EINVAL;
	memset(p->alias, 0, sizeof(p->alias));
	snprintf(p->alias, sizeof(p->alias), "%s", text);
	return 0;
}

/* The defaults that depend on the kind follow it; values that were chosen stay. */
static int port_kind(void *object, const char *text)
{
	struct port *p = object, was, now;
	enum vp_kind kind;

	if (value_kind(text, &kind))
		return -EINVAL;
	port_init(&was, p->kind);
	port_init(&now, kind);
	if (p->quota == was.quota)
		p->quota = now.quota;
	if (p->broadcast_pps == was.broadcast_pps)
		p->broadcast_pps = now.broadcast_pps;
	p->kind = kind;
	return 0;
}

static int port_segment(void *object, const char *text)
{
	return set_name(((struct port *)object)->segment, text);
}

static int port_carrier(void *object, const char *text)
{
	return value_carrier(text, &((struct port *)object)->carrier);
}

static int port_mode(void *object, const char *text)
{
	return value_mode(text, &((struct port *)object)->mode);
}

static int port_attach(void *object, const char *text)
{
	return value_attach(text, &((struct port *)object)->attach);
}

static int port_quota(void *object, const char *text)
{
	return value_u32(text, 0, VP_MAX_MACS, &((struct port *)object)->quota);
}

static int port_broadcast(void *object, const char *text)
{
	return value_u32(text, 0, 1000000000, &((struct port *)object)->broadcast_pps);
}

static int binding_a(void *object, const char *text)
{
	return set_name(((struct binding *)object)->a, text);
}

static int binding_b(void *object, const char *text)
{
	return set_name(((struct binding *)object)->b, text);
}

static int binding_propagate(void *object, const char *text)
{
	return value_bool(text, &((struct binding *)object)->propagate);
}

static const struct key top_keys[] = {
	{ "version", KEY_NUMBER, NULL, "1" },
	{ "segments", KEY_LIST, NULL, NULL },
	{ "ports", KEY_LIST, NULL, NULL },
	{ "bindings", KEY_LIST, NULL, NULL },
};

static const struct key segment_keys[] = {
	{ "name", KEY_WORD, segment_name, WANT_NAME },
	{ "vlan", KEY_NUMBER, segment_vlan, "a number from 1 to 4094" },
	{ "age", KEY_NUMBER, segment_age, "a number of seconds (0 = never)" },
	{ "flood", KEY_BOOL, segment_flood, "true or false" },
	{ "duplicate", KEY_WORD, segment_duplicate, "move, drop or ignore" },
};

static const struct key port_keys[] = {
	{ "name", KEY_WORD, port_name, WANT_NAME },
	{ "device", KEY_WORD, port_device,
	  "the name of a network interface (at most 15 characters; no PCI address: see vpeer doctor --vfio)" },
	{ "kind", KEY_WORD, port_kind, "guest, host or uplink" },
	{ "alias", KEY_WORD, port_alias, "a text of at most 95 printable characters without blanks" },
	{ "segment", KEY_WORD, port_segment, WANT_NAME },
	{ "tagged", KEY_NAMES, NULL, NULL },
	{ "mac", KEY_MACS, NULL, NULL },
	{ "carrier", KEY_WORD, port_carrier, "auto, xdp or tc" },
	{ "mode", KEY_WORD, port_mode, "native or generic" },
	{ "attach", KEY_WORD, port_attach, "link or shared" },
	{ "quota", KEY_NUMBER, port_quota, "a number from 0 to 65536" },
	{ "broadcast_pps", KEY_NUMBER, port_broadcast, "a number of frames per second (0 = no limit)" },
	{ "addresses", KEY_MISSING, NULL, NULL },
};

static const struct key binding_keys[] = {
	{ "a", KEY_WORD, binding_a, WANT_NAME },
	{ "b", KEY_WORD, binding_b, WANT_NAME },
	{ "propagate", KEY_BOOL, binding_propagate, "true or false" },
};

#define TABLE(keys)                                  \
	{                                            \
		keys, sizeof(keys) / sizeof(*(keys)) \
	}
static const struct {
	const struct key *keys;
	size_t n;
} tables[] = {
	[KEYS_TOP] = TABLE(top_keys),
	[KEYS_SEGMENT] = TABLE(segment_keys),
	[KEYS_PORT] = TABLE(port_keys),
	[KEYS_BINDING] = TABLE(binding_keys),
};

const struct key *key_table(enum key_table table, size_t *n)
{
	*n = tables[table].n;
	return tables[table].keys;
}

const struct key *key_find(enum key_table table, const char *name)
{
	size_t i;

	for (i = 0; i < tables[table].n; i++)
		if (!strcmp(tables[table].keys[i].name, name))
			return &tables[table].keys[i];
	return NULL;
}

/* The word that `c` starts with, and in *gap how far behind it the next is: 0 = it is the last, -1 = `c` is prose. */
static int choice(const char *c, int *gap)
{
	int len = (int)strspn(c, "abcdefghijklmnopqrstuvwxyz");

	*gap = !len ? -1 : !c[len] ? 0 : !strncmp(c + len, ", ", 2) ? 2 : !strncmp(c + len, " or ", 4) ? 4 : -1;
	return len;
}

/* "auto, xdp or tc" -> "auto|xdp|tc"; prose gives nothing. */
static void print_choices(FILE *out, const char *wanted)
{
	const char *c = wanted;
	int len, gap;

	do {
		len = choice(c, &gap);
		c += len + gap;
	} while (gap > 0);
	if (gap < 0)
		return;
	for (c = wanted; (len = choice(c, &gap)) && gap; c += len + gap)
		fprintf(out, "%.*s|", len, c);
	fputs(c, out);
}

void key_complete(FILE *out)
{
	for (size_t i = 0; i < sizeof(port_keys) / sizeof(*port_keys); i++) {
		const struct key *k = &port_keys[i];

		if (k->type == KEY_MISSING || !strcmp(k->name, "name"))
			continue;
		fprintf(out, "%s=\t", k->name);
		if (k->wanted && k->type != KEY_NUMBER)
			print_choices(out, k->wanted);
		fputc('\n', out);
	}
}

#define LONGEST_SLIP 20

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, exchanges and swaps of neighbours that make one word of the other. */
static size_t distance(const char *a, const char *b)
{
	size_t row[3][LONGEST_SLIP + 1], n = strlen(a), m = strlen(b), i, j;

	for (j = 0; j <= m; j++)
		row[0][j] = j;
	for (i = 1; i <= n; i++) {
		size_t *now = row[i % 3], *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];

		now[0] = i;
		for (j = 1; j <= m; j++) {
			now[j] = least(least(now[j - 1], before[j]) + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], earlier[j - 2] + 1);
		}
	}
	return row[n % 3][m];
}

const char *key_near(enum key_table table, const char *name)
{
	const char *best = NULL;
	size_t n = strlen(name), limit = least(n / 2, 2), i;

	for (i = 0; n <= LONGEST_SLIP && i < tables[table].n; i++) {
		size_t d = distance(name, tables[table].keys[i].name);

		if (d > limit || (best && d == limit))
			continue;
		best = tables[table].keys[i].name;
		limit = d;
	}
	return best;
}

const char *key_mac(const char *text, struct mac *out, char buf[KEY_WHY])
{
	const char *fault;

	if (value_mac(text, out)) {
		snprintf(buf, KEY_WHY, "\"%.40s\" is not a MAC address such as 52:54:00:00:00:11%s", text,
			 strcmp(text, "auto") ? "" : ", and auto can't be one of several");
		return buf;
	}
	fault = value_mac_fault(out);
	if (!fault)
		return NULL;
	snprintf(buf, KEY_WHY, "%s %s; it can be nobody's address", text, fault);
	return buf;
}

const char *key_segment(const char *text, char buf[KEY_WHY])
{
	if (!value_name(text, VP_NAME_LEN - 1))
		return NULL;
	snprintf(buf, KEY_WHY, "\"%.40s\" is not " WANT_NAME, text);
	return buf;
}

void key_finish_port(struct port *p)
{
	/* One that does not fit is refused by model_check(), by its name. */
	if (p->kind == VP_KIND_HOST && !p->device[0])
		snprintf(p->device, sizeof(p->device), "%.15s", p->name);
}
