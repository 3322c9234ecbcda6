/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The MAC table at run time.  The datapath learns into the same map meanwhile: an entry that we take from it gives its
 * port the quota back, with the same atomics that the datapath uses.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plane_priv.h"

static void give_back(const struct plane *p, const struct vp_mac *old)
{
	struct vp_state *state = plane_state(p, old->port);
	uint32_t now = __atomic_load_n(&state->learned, __ATOMIC_RELAXED);

	if ((old->flags & VP_MAC_STATIC) || old->incarnation != (uint8_t)plane_port_info(p, old->port)->incarnation)
		return;
	while (now && !__atomic_compare_exchange_n(&state->learned, &now, now - 1, false, __ATOMIC_RELAXED,
						   __ATOMIC_RELAXED))
		;
}

static struct vp_mac static_entry(const struct plane *p, uint16_t port)
{
	return (struct vp_mac){
		.port = port,
		.flags = VP_MAC_STATIC,
		.incarnation = (uint8_t)plane_port_info(p, port)->incarnation,
	};
}

/* Is a ticket of its own in vp_sweep? (bpf/age.h) */
static bool has_ticket(const struct vp_mac *mac)
{
	return !(mac->flags & VP_MAC_STATIC) || mac->flags & VP_MAC_TICKET;
}

bool plane_mac_is(const struct plane *p, const struct mac_row *row, uint16_t port)
{
	struct vp_mac entry = static_entry(p, port);

	entry.flags |= row->value.flags & VP_MAC_TICKET;
	return !memcmp(&row->value, &entry, sizeof(entry));
}

/* In place of what is there now. -ENOENT: nothing is. */
static int replace(const struct plane *p, const struct vp_mac_key *key, struct vp_mac value)
{
	struct vp_mac old;

	if (bpf_map_lookup_elem(p->map[MAP_MACS], key, &old))
		return -errno;
	if (has_ticket(&old))
		value.flags |= VP_MAC_TICKET;
	if (!memcmp(&old, &value, sizeof(old)))
		return 0;
	if (bpf_map_update_elem(p->map[MAP_MACS], key, &value, BPF_EXIST))
		return -errno;
	give_back(p, &old);
	return 0;
}

#define TRIES 100

/*
 * Frames of that address may be learned and aged meanwhile: only an entry that was seen is replaced, else its port
 * would never get its quota back.
 */
int plane_mac_add(struct plane *p, uint16_t segment, const struct mac *mac, uint16_t port)
{
	struct vp_mac_key key = {.segment = segment};
	struct vp_mac value = static_entry(p, port);
	int err = -ENOENT;

	memcpy(key.mac, mac->b, VP_MAC_LEN);
	for (int i = 0; err == -ENOENT && i < TRIES; i++) {
		err = bpf_map_update_elem(p->map[MAP_MACS], &key, &value, BPF_NOEXIST) ? -errno : 0;
		if (err == -EEXIST)
			err = replace(p, &key, value);
	}
	return err;
}

#define CHUNK 256U

/* So many entries are made by one call: a call for each would take four times as long. */
struct chunk {
	struct vp_mac_key keys[CHUNK];
	struct vp_mac values[CHUNK];
};

static void fill_chunk(const struct plane *p, struct chunk *c, const struct statics *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		memset(&c->keys[i], 0, sizeof(c->keys[i]));
		c->keys[i].segment = list[i].segment;
		memcpy(c->keys[i].mac, list[i].mac.b, VP_MAC_LEN);
		c->values[i] = static_entry(p, list[i].port);
	}
}

/* Where nothing is in force nothing has been learned, and what is there may be written over. */
static int add_first(const struct plane *p, const struct statics *list, size_t n, size_t *done)
{
	struct chunk *c = malloc(sizeof(*c));
	int err = c ? 0 : -ENOMEM;

	for (*done = 0; !err && *done < n;) {
		uint32_t some = n - *done < CHUNK ? (uint32_t)(n - *done) : CHUNK;

		fill_chunk(p, c, list + *done, some);
		err = plane_put(p, MAP_MACS, c->keys, c->values, some);
		*done += err ? 0 : some;
	}
	free(c);
	return err;
}

int plane_mac_add_many(struct plane *p, const struct statics *list, size_t n, size_t *done)
{
	size_t in_force;
	int err = 0;

	plane_text(p, &in_force);
	if (!in_force)
		return add_first(p, list, n, done);
	for (*done = 0; !err && *done < n; *done += !err)
		err = plane_mac_add(p, list[*done].segment, &list[*done].mac, list[*done].port);
	return err;
}

/* -ENOENT: it has aged meanwhile. An entry that has a ticket goes with it. */
static int take_away(const struct plane *p, const struct vp_mac_key *key, const struct vp_mac *was)
{
	static const struct vp_mac none = {.incarnation = VP_MAC_VOID_INCARNATION};

	if (has_ticket(was) ? bpf_map_update_elem(p->map[MAP_MACS], key, &none, BPF_EXIST)
			    : bpf_map_delete_elem(p->map[MAP_MACS], key))
		return -errno;
	give_back(p, was);
	return 0;
}

int plane_mac_del(struct plane *p, uint16_t segment, const struct mac *mac)
{
	struct vp_mac_key key = {.segment = segment};
	struct vp_mac old;
	int err = plane_mac_get(p, segment, mac, &old);

	memcpy(key.mac, mac->b, VP_MAC_LEN);
	return err ? err : take_away(p, &key, &old);
}

int plane_mac_get(const struct plane *p, uint16_t segment, const struct mac *mac, struct vp_mac *out)
{
	struct vp_mac_key key = {.segment = segment};

	memcpy(key.mac, mac->b, VP_MAC_LEN);
	if (bpf_map_lookup_elem(p->map[MAP_MACS], &key, out))
		return -errno;
	return out->port ? 0 : -ENOENT;
}

struct rows {
	struct mac_row *list;
	size_t n, room;
};

static int keep_row(void *ctx, const void *key, const void *value)
{
	struct rows *r = ctx;

	if (!((const struct vp_mac *)value)->port)
		return 0;
	if (r->n == r->room) {
		size_t room = r->room ? 2 * r->room : 64;
		struct mac_row *more = reallocarray(r->list, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->list = more;
		r->room = room;
	}
	memcpy(&r->list[r->n].key, key, sizeof(r->list->key));
	memcpy(&r->list[r->n++].value, value, sizeof(r->list->value));
	return 0;
}

int plane_mac_list(const struct plane *p, struct mac_row **rows, size_t *n)
{
	struct rows r = {0};
	int err = plane_walk(p, MAP_MACS, sizeof(struct vp_mac), keep_row, &r);

	*rows = r.list;
	*n = r.n;
	return err;
}

int plane_mac_flush(struct plane *p, uint16_t segment, uint16_t port, bool statics)
{
	struct mac_row *rows;
	size_t n;
	int gone = 0, err = plane_mac_list(p, &rows, &n);

	for (size_t i = 0; !err && i < n; i++) {
		const struct mac_row *row = &rows[i];

		if ((segment && row->key.segment != segment) || (port && row->value.port != port) ||
		    (!statics && (row->value.flags & VP_MAC_STATIC)))
			continue;
		gone += !take_away(p, &row->key, &row->value);
	}
	free(rows);
	return err ? err : gone;
}

int plane_mac_drop_ports(struct plane *p, const bool gone[VP_MAX_PORTS])
{
	struct mac_row *rows;
	size_t n;
	int err = plane_mac_list(p, &rows, &n);

	for (size_t i = 0; !err && i < n; i++)
		if (gone[rows[i].value.port])
			(void)take_away(p, &rows[i].key, &rows[i].value);
	free(rows);
	return err;
}
