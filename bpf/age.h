/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reclaiming stale MAC entries without a process.  Every learned entry has one ticket in the queue vp_sweep.  A timer
 * takes some tickets each turn: an entry that is gone loses its ticket, a stale one is deleted and its port gets the
 * quota back, any other ticket goes to the end of the queue.  So a turn is short (it runs in interrupt context)
 * whatever the table's size.  The loader deletes no entry that has a ticket, which would leave it to the next one of
 * that address, beside its own, and in the end no room for others': it makes it void (port 0), which is stale.  One
 * that the loader makes static keeps its ticket (VP_MAC_TICKET), so that this is known when it goes.
 */
#ifndef AGE_H
#define AGE_H

#include <linux/pkt_cls.h>
#include "fdb.h"

#define SWEEP_PERIOD_NS 100000000ULL /* ten turns a second, */
#define SWEEP_TICKETS 1024	     /* so the whole table in 6.4 s */
#define CLOCK_MONOTONIC 1
#define ERR_BUSY 16

struct sweep {
	__u32 bank, now;
};

/* Is a learned entry of no use any more? */
static __always_inline int sweep_stale(const struct vp_mac *mac, __u32 segment_id, const struct sweep *w)
{
	const struct vp_segment *segment = segment_of(w->bank, segment_id);
	const struct vp_port *port;
	int vid;

	if (!segment)
		return 1;
	port = fdb_port(mac, w->bank, segment_id, segment, &vid);
	if (!port || !(port->flags & VP_PORT_UP))
		return 1;
	return fdb_aged(mac, segment, w->now);
}

static __always_inline void sweep_delete(__u64 key, const struct vp_mac *mac, const struct sweep *w)
{
	const struct vp_port *port = port_of(w->bank, mac->port);
	struct event e = {
		.mac = KEY_MAC(key),
		.now = w->now,
		.what = VP_EVENT_AGED,
		.port = mac->port,
		.segment = KEY_ID(key),
		.incarnation = mac->incarnation,
	};

	if (bpf_map_delete_elem(&vp_macs, &key))
		return;
	if (mac->port)
		event_tell(&e);
	if (port && port->incarnation == mac->incarnation)
		quota_give(mac->port);
}

static long sweep_one(__u32 i, void *ctx)
{
	struct sweep *w = ctx;
	__u64 key; /* struct vp_mac_key */
	struct vp_mac *entry;
	union fdb_word mac;

	if (bpf_map_pop_elem(&vp_sweep, &key))
		return 1; /* empty */
	entry = bpf_map_lookup_elem(&vp_macs, &key);
	if (!entry)
		return 0;
	mac = fdb_load(entry);
	/* Without the flag: made static by a build that left the ticket to be dropped here. */
	if ((mac.mac.flags & (VP_MAC_STATIC | VP_MAC_TICKET)) == VP_MAC_STATIC)
		return 0;
	if (!(mac.mac.flags & VP_MAC_STATIC) && sweep_stale(&mac.mac, KEY_ID(key), w))
		sweep_delete(key, &mac.mac, w);
	else
		bpf_map_push_elem(&vp_sweep, &key, 0);
	return 0;
}

/* The clock of all programs: a frame reads it, which costs less than to ask for the time. */
static __always_inline struct vp_plane *tick(void)
{
	__u32 zero = 0;
	struct vp_plane *plane = bpf_map_lookup_elem(&vp_plane, &zero);

	if (plane)
		plane->tick = bpf_ktime_get_ns() >> VP_TICK_SHIFT;
	return plane;
}

static int sweep_turn(void *map, __u32 *key, struct vp_timer *timer)
{
	struct vp_plane *plane = tick();
	struct sweep w = {0};

	if (plane) {
		w.now = plane->tick;
		w.bank = plane->bank & 1;
		bpf_loop(SWEEP_TICKETS, sweep_one, &w, 0);
	}
	bpf_timer_start(&timer->timer, SWEEP_PERIOD_NS, 0);
	return 0;
}

/* Run once by the loader (BPF_PROG_TEST_RUN), and again after an upgrade; returns 0 or a positive errno. */
SEC("tc")
int vp_start(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct vp_timer *timer = bpf_map_lookup_elem(&vp_timer, &zero);
	long err;

	if (!timer || !tick())
		return 2;
	err = bpf_timer_init(&timer->timer, &vp_timer, CLOCK_MONOTONIC);
	if (err && err != -ERR_BUSY)
		return -err;
	err = bpf_timer_set_callback(&timer->timer, sweep_turn);
	if (!err)
		err = bpf_timer_start(&timer->timer, SWEEP_PERIOD_NS, 0);
	return -err;
}

#endif
