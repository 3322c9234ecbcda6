/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The MAC table's static entries: those of the new configuration are entered before the switch, those that only the
 * former one had go after it.  The table is read once, in large batches, and only what differs is written; the plane's
 * lock keeps others from adding static entries meanwhile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apply_priv.h"
#include "value.h"

/* The key of an entry in the MAC table. */
static struct vp_mac_key key_of(const struct statics *s)
{
	struct vp_mac_key key = {.segment = s->segment};

	memcpy(key.mac, s->mac.b, VP_MAC_LEN);
	return key;
}

static const struct statics *find(const struct work *w, const struct vp_mac_key *key)
{
	size_t at = keys_find(&w->by_mac, key);

	return at == KEYS_NONE ? NULL : &w->now->statics[at];
}

static void see_row(struct work *w, const struct mac_row *row)
{
	const struct statics *s = find(w, &row->key);

	if (!s && row->value.flags & VP_MAC_STATIC)
		w->more_statics = true;
	if (!s || !plane_mac_is(w->p, row, s->port))
		return;
	w->entered[s - w->now->statics] = true;
	w->n_entered++;
}

int macs_look(struct work *w)
{
	struct mac_row *rows = NULL;
	size_t n = 0;
	int err = keys_init(&w->by_mac, w->now->n_statics);

	w->entered = calloc(w->now->n_statics + 1, sizeof(*w->entered));
	if (err || !w->entered)
		return -ENOMEM;
	for (size_t i = 0; i < w->now->n_statics; i++) {
		struct vp_mac_key key = key_of(&w->now->statics[i]);

		keys_put(&w->by_mac, &key, i);
	}
	err = plane_mac_list(w->p, &rows, &n);
	for (size_t i = 0; !err && i < n; i++)
		see_row(w, &rows[i]);
	free(rows);
	return err;
}

bool macs_in_place(const struct work *w)
{
	return w->n_entered == w->now->n_statics;
}

static size_t gather_missing(const struct work *w, struct statics *out)
{
	size_t n = 0;

	for (size_t i = 0; i < w->now->n_statics; i++)
		if (!w->entered[i])
			out[n++] = w->now->statics[i];
	return n;
}

int macs_enter(struct work *w)
{
	struct statics *missing = calloc(w->now->n_statics + 1, sizeof(*missing));
	size_t done;
	int err = missing ? plane_mac_add_many(w->p, missing, gather_missing(w, missing), &done) : -ENOMEM;

	free(missing);
	if (err)
		fail(w->plane, err == -E2BIG ? "the MAC table is full (%d entries)" : "cannot enter a MAC (%d)",
		     err == -E2BIG ? VP_MAX_MACS : -err);
	return err;
}

/*
 * An entry that the configuration does not name goes with --prune; without, if it is of `mac add`, for a port that is
 * not in that segment any more: it would say of nobody where he is.
 */
static bool shall_go(const struct work *w, const struct mac_row *row)
{
	if (find(w, &row->key))
		return false;
	return w->opts->prune || (row->value.flags & VP_MAC_STATIC &&
				  !plane_is_member(w->p, row->value.port, row->key.segment));
}

static int drop_others(struct work *w)
{
	struct mac_row *rows = NULL;
	size_t n = 0;
	int err = plane_mac_list(w->p, &rows, &n);

	for (size_t i = 0; !err && i < n; i++) {
		struct mac mac;

		memcpy(mac.b, rows[i].key.mac, VP_MAC_LEN);
		if (shall_go(w, &rows[i]))
			plane_mac_del(w->p, rows[i].key.segment, &mac);
	}
	free(rows);
	return err;
}

int macs_drop(struct work *w, const struct layout *before)
{
	for (size_t i = 0; i < before->n_statics; i++) {
		struct vp_mac_key key = key_of(&before->statics[i]);

		if (!find(w, &key))
			plane_mac_del(w->p, before->statics[i].segment, &before->statics[i].mac);
	}
	return w->opts->prune || w->more_statics ? drop_others(w) : 0;
}
