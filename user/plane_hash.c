/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hash tables, read and written in large batches; and those in which both banks stand: VLANs, whose keys have the bank,
 * and guards, whose values are masks of banks.
 *
 * Before the switch a bank is made what it shall be, after it the other one is made the same.  So the next change finds
 * both as the plane is, and one port's change costs one port's writes.  What is there is read each time instead of
 * remembered: that also finds what a loader that died has left.
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
	char *keys = calloc(BATCH, KEY_BYTES), *values = calloc(BATCH, value_size);
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
			err = see(ctx, keys + i * KEY_BYTES, values + i * value_size);
	}
	free(keys);
	free(values);
	return err;
}

int plane_put(const struct plane *p, enum plane_map map, const void *keys, const void *values, uint32_t n)
{
	return n && bpf_map_update_batch(p->map[map], keys, values, &n, NULL) ? -errno : 0;
}

/* An entry as it shall be, or is. */
struct entry {
	char key[KEY_BYTES];
	uint32_t value;
	bool there;
};

struct table {
	const struct plane *p;
	enum plane_map map;
	uint32_t bank;
	struct entry *entries;
	size_t n, room;
	struct keys index; /* once it is made */
	bool differs; /* the banks do, before this one is written or after it */
};

static int add(struct table *t, const void *key, uint32_t value)
{
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		struct entry *more = reallocarray(t->entries, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->entries = more;
		t->room = room;
	}
	t->entries[t->n] = (struct entry){.value = value};
	memcpy(t->entries[t->n++].key, key, KEY_BYTES);
	return 0;
}

static int make_index(struct table *t)
{
	int err = keys_init(&t->index, t->n);

	for (size_t i = 0; !err && i < t->n; i++)
		keys_put(&t->index, t->entries[i].key, i);
	return err;
}

static struct entry *find(const struct table *t, const void *key)
{
	size_t at = keys_find(&t->index, key);

	return at == KEYS_NONE ? NULL : &t->entries[at];
}

static void table_free(struct table *t)
{
	free(t->entries);
	keys_free(&t->index);
}

static void drop(const struct table *t, const void *key)
{
	bpf_map_delete_elem(t->p->map[t->map], key);
}

/* Enter those that are not there. */
static int enter(struct table *t)
{
	char *keys = calloc(t->n + 1, KEY_BYTES);
	uint32_t *values = calloc(t->n + 1, sizeof(*values)), n = 0;
	int err = keys && values ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < t->n; i++) {
		if (t->entries[i].there)
			continue;
		t->differs = true;
		memcpy(keys + (size_t)n * KEY_BYTES, t->entries[i].key, KEY_BYTES);
		values[n++] = t->entries[i].value;
	}
	if (!err)
		err = plane_put(t->p, t->map, keys, values, n);
	free(keys);
	free(values);
	return err;
}

/* What is too much goes while the table is walked; then there is room for what is new. */
static int write_table(struct table *t, plane_see see)
{
	int err = make_index(t);

	if (!err)
		err = plane_walk(t->p, t->map, sizeof(uint32_t), see, t);
	return err ? err : enter(t);
}

/* ---- guards ---- */

static int see_guard(void *ctx, const void *key, const void *value)
{
	struct table *t = ctx;
	uint32_t mask = *(const uint32_t *)value, bit = 1U << t->bank, rest = mask & ~bit;
	struct entry *e = find(t, key);

	t->differs |= !e || rest != (3 & ~bit);
	if (e) {
		e->there = mask & bit;
		e->value = mask | bit;
	} else if (mask == bit) {
		drop(t, key);
	} else if (mask & bit && bpf_map_update_elem(t->p->map[t->map], key, &rest, BPF_EXIST)) {
		return -errno;
	}
	return 0;
}

int plane_write_guards(struct plane *p, uint32_t bank, const struct layout *l)
{
	struct table t = {.p = p, .map = MAP_GUARDS, .bank = bank};
	int err = 0;

	for (size_t i = 0; !err && i < l->n_guards; i++) {
		struct vp_guard_key key = {.port = l->guards[i].port};

		memcpy(key.mac, l->guards[i].mac.b, VP_MAC_LEN);
		err = add(&t, &key, 1U << bank);
	}
	if (!err)
		err = write_table(&t, see_guard);
	p->guards_differ = t.differs;
	table_free(&t);
	return err;
}

/* Both banks, or none. */
static int share_guard(void *ctx, const void *key, const void *value)
{
	struct table *t = ctx;
	uint32_t mask = *(const uint32_t *)value;

	if (!(mask & 1U << t->bank))
		drop(t, key);
	return mask & 1U << t->bank && mask != 3 ? add(t, key, 3) : 0;
}

static int share_guards(const struct plane *p)
{
	struct table t = {.p = p, .map = MAP_GUARDS, .bank = plane_bank(p)};
	int err = plane_walk(p, MAP_GUARDS, sizeof(uint32_t), share_guard, &t);

	if (!err)
		err = enter(&t);
	table_free(&t);
	return err;
}

/* ---- VLANs ---- */

static int see_vlan(void *ctx, const void *key, const void *value)
{
	const struct table *t = ctx;
	struct entry *e = find(t, key);

	if (e)
		e->there = e->value == *(const uint32_t *)value;
	else if (((const struct vp_vlan_key *)key)->bank == t->bank)
		drop(t, key);
	return 0;
}

/* The tags of every port that carries segments tagged. */
int plane_write_vlans(const struct plane *p, uint32_t bank, const struct layout *l)
{
	struct table t = {.p = p, .map = MAP_VLANS, .bank = bank};
	int err = 0;

	for (uint32_t id = 1; id <= l->top_segment; id++) {
		const struct vp_segment *s = &l->segments[id];

		for (uint32_t i = s->first; !err && i < (uint32_t)s->first + s->count; i++) {
			struct vp_vlan_key key = {.port = l->members[i].port, .vid = l->members[i].vid, .bank = bank};

			if (key.vid)
				err = add(&t, &key, id);
		}
	}
	if (!err)
		err = write_table(&t, see_vlan);
	table_free(&t);
	return err;
}

static int take_vlan(void *ctx, const void *key, const void *value)
{
	return add(ctx, key, *(const uint32_t *)value);
}

static int share_vlans(const struct plane *p)
{
	struct table is = {.p = p, .map = MAP_VLANS, .bank = plane_bank(p)}, more = is;
	int err = plane_walk(p, MAP_VLANS, sizeof(uint32_t), take_vlan, &is);

	if (!err)
		err = make_index(&is);
	for (size_t i = 0; !err && i < is.n; i++) {
		struct vp_vlan_key twin;

		memcpy(&twin, is.entries[i].key, sizeof(twin));
		bool active = twin.bank == is.bank;

		twin.bank = !twin.bank;
		const struct entry *e = find(&is, &twin);

		if (active && (!e || e->value != is.entries[i].value))
			err = add(&more, &twin, is.entries[i].value);
		else if (!active && !e)
			drop(&is, is.entries[i].key);
	}
	if (!err)
		err = enter(&more);
	table_free(&is);
	table_free(&more);
	return err;
}

int plane_share(struct plane *p)
{
	int err = p->guards_differ ? share_guards(p) : 0;

	return err ? err : share_vlans(p);
}
