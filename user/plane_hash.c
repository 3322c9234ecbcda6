/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hash tables in which both banks stand: VLANs, whose keys have the bank, and guards, whose values are masks of
 * banks.  What is there is read in large batches and only what differs is written, so that one port's change costs one
 * port's writes.  Reading each time instead of remembering also finds what a loader that died has left.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plane_priv.h"

#define BATCH 4096U

/* One bucket must fit into a batch, which the kernel says by ENOSPC; 4,096 entries hold any. */
int plane_walk(const struct plane *p, enum plane_map map, size_t value_size, plane_see see, void *ctx)
{
	char *keys = calloc(BATCH, PLANE_KEY), *values = calloc(BATCH, value_size);
	uint32_t token = 0, count;
	bool more = keys && values;
	int err = more ? 0 : -ENOMEM;

	for (bool first = true; more && !err; first = false) {
		count = BATCH;
		if (bpf_map_lookup_batch(p->map[map], first ? NULL : &token, &token, keys, values, &count, NULL)) {
			more = false;
			if (errno != ENOENT)
				err = -errno;
		}
		for (uint32_t i = 0; !err && i < count; i++)
			err = see(ctx, keys + i * PLANE_KEY, values + i * value_size);
	}
	free(keys);
	free(values);
	return err;
}

/* What a bank shall have: an entry, and whether it is there already. */
struct wanted {
	char key[PLANE_KEY];
	uint32_t value;
	bool there;
};

struct table {
	const struct plane *p;
	enum plane_map map;
	uint32_t bank;
	struct wanted *wanted;
	size_t n;
};

static int by_key(const void *a, const void *b)
{
	return memcmp(a, b, PLANE_KEY);
}

static struct wanted *find(const struct table *t, const void *key)
{
	return bsearch(key, t->wanted, t->n, sizeof(*t->wanted), by_key);
}

static int put(const struct table *t, const void *key, uint32_t value)
{
	return bpf_map_update_elem(t->p->map[t->map], key, &value, BPF_ANY) ? -errno : 0;
}

/* What is too much goes while the table is walked; then there is room for what is new. */
static int write_table(struct table *t, plane_see see)
{
	int err;

	if (t->n)
		qsort(t->wanted, t->n, sizeof(*t->wanted), by_key);
	err = plane_walk(t->p, t->map, sizeof(uint32_t), see, t);
	for (size_t i = 0; !err && i < t->n; i++)
		if (!t->wanted[i].there)
			err = put(t, t->wanted[i].key, t->wanted[i].value);
	free(t->wanted);
	return err;
}

/* ---- guards ---- */

static int see_guard(void *ctx, const void *key, const void *value)
{
	const struct table *t = ctx;
	uint32_t mask = *(const uint32_t *)value, bit = 1U << t->bank;
	struct wanted *w = find(t, key);

	if (w) {
		w->there = mask & bit;
		w->value = mask | bit;
	} else if (mask == bit) {
		bpf_map_delete_elem(t->p->map[t->map], key);
	} else if (mask & bit) {
		return put(t, key, mask & ~bit);
	}
	return 0;
}

int plane_write_guards(const struct plane *p, uint32_t bank, const struct layout *l)
{
	struct table t = {p, MAP_GUARDS, bank, calloc(l->n_guards + 1, sizeof(*t.wanted)), l->n_guards};

	if (!t.wanted)
		return -ENOMEM;
	for (size_t i = 0; i < t.n; i++) {
		struct vp_guard_key key = {.port = l->guards[i].port};

		memcpy(key.mac, l->guards[i].mac.b, VP_MAC_LEN);
		memcpy(t.wanted[i].key, &key, PLANE_KEY);
		t.wanted[i].value = 1U << bank;
	}
	return write_table(&t, see_guard);
}

/* What the bank admits stays for the other one, which most likely will admit it, too. */
static int drop_guard(void *ctx, const void *key, const void *value)
{
	const struct table *t = ctx;

	if (!(*(const uint32_t *)value & 1U << t->bank))
		bpf_map_delete_elem(t->p->map[t->map], key);
	return 0;
}

/* ---- VLANs ---- */

static int see_vlan(void *ctx, const void *key, const void *value)
{
	const struct table *t = ctx;
	struct wanted *w = find(t, key);

	if (w)
		w->there = w->value == *(const uint32_t *)value;
	else if (((const struct vp_vlan_key *)key)->bank == t->bank)
		bpf_map_delete_elem(t->p->map[t->map], key);
	return 0;
}

/* The tags of every port that carries segments tagged. */
int plane_write_vlans(const struct plane *p, uint32_t bank, const struct layout *l)
{
	struct table t = {p, MAP_VLANS, bank, calloc(l->n_members + 1U, sizeof(*t.wanted)), 0};

	if (!t.wanted)
		return -ENOMEM;
	for (uint32_t id = 1; id <= l->top_segment; id++) {
		const struct vp_segment *s = &l->segments[id];

		for (uint32_t i = s->first; i < (uint32_t)s->first + s->count; i++) {
			struct vp_vlan_key key = {.port = l->members[i].port, .vid = l->members[i].vid, .bank = bank};

			if (!key.vid)
				continue;
			memcpy(t.wanted[t.n].key, &key, PLANE_KEY);
			t.wanted[t.n++].value = id;
		}
	}
	return write_table(&t, see_vlan);
}

static int drop_vlan(void *ctx, const void *key, const void *value)
{
	const struct table *t = ctx;
	struct vp_vlan_key same = *(const struct vp_vlan_key *)key;
	uint32_t segment;

	(void)value;
	if (same.bank == t->bank)
		return 0;
	same.bank = t->bank;
	if (bpf_map_lookup_elem(t->p->map[t->map], &same, &segment))
		bpf_map_delete_elem(t->p->map[t->map], key);
	return 0;
}

int plane_clean(struct plane *p)
{
	struct table guards = {.p = p, .map = MAP_GUARDS, .bank = plane_bank(p)};
	struct table vlans = {.p = p, .map = MAP_VLANS, .bank = plane_bank(p)};
	int err = plane_walk(p, MAP_GUARDS, sizeof(uint32_t), drop_guard, &guards);

	return err ? err : plane_walk(p, MAP_VLANS, sizeof(uint32_t), drop_vlan, &vlans);
}
