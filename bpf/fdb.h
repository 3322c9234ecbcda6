/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The MAC table.  Lookups have no side effect; fdb_learn() is called once per frame by the program that decides it.
 * An entry is one aligned 64-bit word, read and written whole: a reader sees one writer's entry or another's.  It names
 * its port and the port's incarnation; when either does not hold any more the entry counts as unknown, so that it is
 * never a black hole nor another guest's mail.
 */
#ifndef FDB_H
#define FDB_H

#include "event.h"
#include "vlan.h"

#define ERR_TOO_BIG 7 /* E2BIG: the table is full */

/*
 * A station that has moved is silent at its old port.  One that was seen there in this tick or the last one (which are
 * 1.07 to 2.15 s) and sends here now exists twice, or its own frames come back to us by a loop.
 */
#define DUPLICATE_TICKS 1

/*
 * An address that moves to and fro all the time is spoofed, or there is a loop.  Each move makes what flow.h remembers
 * of all frames void, and costs others time: so many in a tick are enough for anybody who is honest.
 */
#define MOVES_A_TICK 5

union fdb_word {
	struct vp_mac mac;
	__u64 word;
};

static __always_inline union fdb_word fdb_load(const struct vp_mac *entry)
{
	union fdb_word w = {.word = *(const volatile __u64 *)entry};

	return w;
}

static __always_inline struct vp_mac *fdb_entry(__u32 segment, __u64 mac)
{
	__u64 key = MAC_KEY(segment, mac); /* struct vp_mac_key */

	return bpf_map_lookup_elem(&vp_macs, &key);
}

static __always_inline int fdb_aged(const struct vp_mac *mac, const struct vp_segment *segment, __u32 now)
{
	/* Signed: another CPU may have stored a newer tick than this frame's. */
	__s32 age = now - mac->tick;

	return !(mac->flags & VP_MAC_STATIC) && segment->age_ticks && age > (__s32)segment->age_ticks;
}

/* Does this entry still mean a port of segment `id`? Returns the port's configuration and its VID there, or NULL. */
static __always_inline const struct vp_port *fdb_port(const struct vp_mac *mac, __u32 bank, __u32 id,
						      const struct vp_segment *segment, int *vid)
{
	const struct vp_port *port = port_of(bank, mac->port);

	if (!port || port->incarnation != mac->incarnation)
		return 0;
	*vid = vlan_leave(bank, mac->port, port, id, segment);
	return *vid == VLAN_NONE ? 0 : port;
}

/* Is the learned entry's station still there, at `port`? Not if that is down: then it may well have moved. */
static __always_inline int fdb_just_seen(const struct vp_mac *mac, const struct vp_port *port, __u32 now)
{
	struct live there;

	if ((__s32)(now - mac->tick) > DUPLICATE_TICKS)
		return 0;
	device_live(mac->port, port, &there);
	return there.up;
}

/* May port `s->in` be where the source address is? Also finds its entry. */
static __always_inline enum vp_reason fdb_source(struct scene *s)
{
	const struct vp_port *port;
	union fdb_word w;
	int vid;

	s->src = fdb_entry(s->seg, s->f.src);
	if (!s->src)
		return VP_REASON_NONE;
	w = fdb_load(s->src);
	if (w.mac.port == s->in) {
		s->known = w.mac.incarnation == s->port->incarnation;
		return VP_REASON_NONE;
	}
	port = fdb_port(&w.mac, s->bank, s->seg, s->segment, &vid);
	if (!port)
		return VP_REASON_NONE;
	if (w.mac.flags & VP_MAC_STATIC)
		return VP_DROP_MAC_STATIC;
	s->duplicate = fdb_just_seen(&w.mac, port, s->now);
	return s->duplicate && (s->segment->flags & VP_SEG_DUP_DROP) ? VP_DROP_DUPLICATE : VP_REASON_NONE;
}

/* One more learned entry for port `id`, if its quota has room. */
static __always_inline int quota_take(__u32 id, __u32 quota)
{
	struct vp_state *state = bpf_map_lookup_elem(&vp_state, &id);

	if (!state)
		return 0;
	if (__sync_fetch_and_add(&state->learned, 1) < quota)
		return 1;
	__sync_fetch_and_add(&state->learned, -1);
	return 0;
}

static __always_inline void quota_give(__u32 id)
{
	struct vp_state *state = bpf_map_lookup_elem(&vp_state, &id);

	/* A count that the loader has reset must not wrap: `port del` clears it before the last tickets come by. */
	if (state && state->learned)
		__sync_fetch_and_add(&state->learned, -1);
}

/*
 * When the table was last found full, in jiffies.  In the same one nobody tries again: with no element left the kernel
 * looks for one at every CPU, under a lock, and somebody may send from ever new addresses.
 */
static __always_inline __u32 *fdb_full_at(void)
{
	__u32 nobody = 0;
	struct vp_state *state = bpf_map_lookup_elem(&vp_state, &nobody);

	return state ? &state->storm_tick : 0;
}

static __always_inline void fdb_insert(const struct sighting *g, __u32 quota, const union fdb_word *fresh)
{
	__u64 key = MAC_KEY(g->segment, g->mac); /* struct vp_mac_key */
	__u32 *full_at = fdb_full_at(), jiffy = bpf_jiffies64();
	int err; /* before 6.4 only the lower half of what a map's operation returns is right */

	if (full_at && *full_at == jiffy) {
		event(g, VP_EVENT_TABLE_FULL, 0);
		return;
	}
	if (!quota_take(g->port, quota)) {
		event(g, VP_EVENT_QUOTA, 0);
		return;
	}
	err = (int)bpf_map_update_elem(&vp_macs, &key, &fresh->mac, BPF_NOEXIST);
	if (!err && bpf_map_push_elem(&vp_sweep, &key, 0)) {
		bpf_map_delete_elem(&vp_macs, &key); /* without a ticket it would never be reclaimed */
		err = -ERR_TOO_BIG;
	}
	if (!err) {
		event(g, VP_EVENT_LEARNED, 0);
		return;
	}
	quota_give(g->port);
	if (err != -ERR_TOO_BIG)
		return;
	if (full_at)
		*full_at = jiffy;
	event(g, VP_EVENT_TABLE_FULL, 0);
}

/* What flow.h remembers is void. */
static __always_inline void flows_forget(void)
{
	__u32 zero = 0;
	struct vp_plane *plane = bpf_map_lookup_elem(&vp_plane, &zero);

	if (plane)
		__sync_fetch_and_add(&plane->epoch, 1);
}

static __always_inline void fdb_move(const struct sighting *g, __u32 quota, struct vp_mac *entry,
				     const union fdb_word *old, union fdb_word *fresh)
{
	const struct vp_port *before = port_of(g->bank, old->mac.port);
	__u32 moves = old->mac.tick == g->now ? VP_MAC_MOVES(old->mac.flags) : 0;

	if (moves >= MOVES_A_TICK) {
		event(g, VP_EVENT_FLAPPING, &old->mac);
		return;
	}
	fresh->mac.flags = (moves + 1) << VP_MAC_MOVES_SHIFT;
	if (!quota_take(g->port, quota)) {
		event(g, VP_EVENT_QUOTA, 0);
		return;
	}
	/* Of two CPUs that see the move one makes it, so that the counts are settled once. */
	if (__sync_val_compare_and_swap((__u64 *)entry, old->word, fresh->word) != old->word) {
		quota_give(g->port);
		return;
	}
	if (before && before->incarnation == old->mac.incarnation)
		quota_give(old->mac.port);
	if (old->mac.port)
		event(g, VP_EVENT_MOVED, &old->mac);
	else
		event(g, VP_EVENT_LEARNED, 0); /* it was void */
	flows_forget();
}

/*
 * Is there anything to enter or refresh? Once per address and tick.  0: no.  Without a branch, each of which would
 * double what the verifier goes through from here on.
 */
static __always_inline __u64 fdb_news(const struct scene *s)
{
	union fdb_word mine = {.mac = {.port = s->in, .incarnation = s->port->incarnation, .tick = s->now}};
	union fdb_word any = {.mac = {.flags = 0xff}}, w;

	if (!s->src)
		return 1;
	w = fdb_load(s->src);
	return (w.word ^ mine.word) & ~any.word & ((__u64)(w.mac.flags & VP_MAC_STATIC) - 1);
}

static __always_inline int fdb_leaves_alone(const struct sighting *g)
{
	const struct vp_segment *segment = segment_of(g->bank, g->segment);

	return g->duplicate && segment && (segment->flags & VP_SEG_DUP_IGNORE);
}

/* Enter or refresh the source address. An entry that went since it was found is for the next frame. */
static __always_inline void fdb_learn(const struct sighting *g, struct vp_mac *entry)
{
	union fdb_word fresh = {.mac = {.port = g->port, .incarnation = g->incarnation, .tick = g->now}}, old;
	const struct vp_port *port = port_of(g->bank, g->port);

	if (!port)
		return;
	if (!g->entered)
		fdb_insert(g, port->quota, &fresh);
	if (!entry)
		return;
	old = fdb_load(entry);
	if ((old.mac.flags & VP_MAC_STATIC) || fdb_leaves_alone(g))
		return;
	if (old.mac.port != g->port || old.mac.incarnation != g->incarnation)
		fdb_move(g, port->quota, entry, &old, &fresh);
	else if (old.mac.tick != g->now) /* else its moves in this tick would be forgotten */
		__sync_val_compare_and_swap((__u64 *)entry, old.word, fresh.word); /* it may be another's by now */
}

#endif
