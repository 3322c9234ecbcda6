/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What happens beside the verdicts: counted per port, always, and told in the ring vp_events, of one port so many times
 * a tick: a guest that sends from ever new addresses cannot wash away what is told of others.
 *
 * Readers are nobody's concern here: there may be none or many, and one that is slow loses the oldest records.  That is
 * why the ring is an array and not a BPF_MAP_TYPE_RINGBUF, which has one reader, and drops the newest when it is full.
 */
#ifndef EVENT_H
#define EVENT_H

#include "scene.h"

#define EVENTS_A_TICK 256 /* of one port */

/* A source address where it is now, and what there is to do about it. */
struct sighting {
	__u64 mac;
	__u32 now, bank;
	__u32 broadcast_pps; /* of a broadcast: what the port may send; 0 = it need not be counted */
	__u16 port;
	__u16 segment;
	__u8 incarnation; /* of the port */
	__u8 entered;	  /* it has an entry in the MAC table */
	__u8 duplicate;	  /* which is another port's */
	__u8 learn;	  /* the entry is to be made or changed */
	__u32 packets;	  /* that it will be on the wire */
};

struct event {
	__u64 mac; /* 0 = about none */
	__u32 now;
	__u16 what;
	__u16 port;
	__u16 other;
	__u16 segment;
	__u8 incarnation;
	__u8 other_incarnation;
};

/* A race between two CPUs costs one record more or less. */
static __always_inline int event_admitted(struct vp_told *told, __u32 now)
{
	if (told->tick != now) {
		told->tick = now;
		told->count = 0;
	}
	if (told->count < EVENTS_A_TICK) {
		told->count++;
		return 1;
	}
	told->missed++;
	return 0;
}

/* The exchanges order what is stored between them, on every CPU. */
static __always_inline void event_write(struct vp_events *ring, const struct event *e, struct vp_told *told)
{
	__u64 number = __sync_fetch_and_add(&ring->head, 1) + 1;
	struct vp_record *r = &ring->record[number % VP_MAX_RECORDS];

	__sync_lock_test_and_set(&r->number, 0);
	r->ktime = bpf_ktime_get_ns();
	r->what = e->what;
	r->port = e->port;
	r->other = e->other;
	r->segment = e->segment;
	__builtin_memset(r->mac, 0, sizeof(r->mac));
	if (e->mac)
		mac_store(r->mac, e->mac);
	r->incarnation = e->incarnation;
	r->other_incarnation = e->other_incarnation;
	r->missed = told->missed;
	told->missed = 0;
	r->generation = 0;
	r->name[0] = 0;
	__sync_lock_test_and_set(&r->number, number);
}

/* Not static: rare, and called from many places, it is verified once and by itself.  `e` is never NULL. */
__noinline int event_tell(const struct event *e)
{
	__u32 id, zero = 0, what;
	struct vp_counters *c;
	struct vp_told *told;
	struct vp_events *ring;

	if (!e)
		return 0;
	id = e->port;
	what = e->what;
	c = bpf_map_lookup_elem(&vp_counters, &id);
	told = bpf_map_lookup_elem(&vp_told, &id);
	ring = bpf_map_lookup_elem(&vp_events, &zero);
	if (!c || !told || !ring || what >= VP_EVENT_COUNT)
		return 0;
	c->events[what]++;
	if (event_admitted(told, e->now))
		event_write(ring, e, told);
	return 0;
}

/* About an address where it is now; `was`: where it was before, or NULL. */
static __always_inline void event(const struct sighting *g, enum vp_event what, const struct vp_mac *was)
{
	struct event e = {
		.mac = g->mac,
		.now = g->now,
		.what = what,
		.port = g->port,
		.segment = g->segment,
		.incarnation = g->incarnation,
	};

	if (was) {
		e.other = was->port;
		e.other_incarnation = was->incarnation;
	}
	event_tell(&e);
}

#endif
