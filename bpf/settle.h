/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Between the verdict and its execution: what a frame changes but counters.  Only the program that decides the frame
 * comes here, once: broadcasts are counted against the port's limit, a duplicate address is told, the source learned.
 */
#ifndef SETTLE_H
#define SETTLE_H

#include "decide.h"

/* Is this broadcast one too many in this tick? A superframe is as many as it will be cut into. */
static __always_inline int storm(const struct sighting *g)
{
	struct vp_state *state;
	__u32 id = g->port, sent;
	int over;

	state = g->broadcast_pps ? bpf_map_lookup_elem(&vp_state, &id) : 0;
	if (!state)
		return 0;
	if (state->storm_tick != g->now) {
		state->storm_tick = g->now;
		state->storm_count = 0;
	}
	sent = __sync_fetch_and_add(&state->storm_count, g->packets);
	over = sent + g->packets > g->broadcast_pps;
	if (over && sent <= g->broadcast_pps) /* told once a tick */
		event(g, VP_EVENT_STORM, 0);
	return over;
}

/*
 * What there is to do about the source address.  1: the frame is one broadcast too many.  A global function, which the
 * verifier goes through once, by itself: so the address is looked up again.  `g` is never NULL.
 */
__noinline int sighted(const struct sighting *g)
{
	struct vp_mac *entry;

	if (!g)
		return 0;
	if (storm(g))
		return 1;
	entry = g->entered ? fdb_entry(g->segment, g->mac) : 0;
	if (g->duplicate)
		event(g, VP_EVENT_DUPLICATE, entry);
	if (g->learn)
		fdb_learn(g, entry);
	return 0;
}

/* What the deciding program does before it acts, mostly nothing; may turn a verdict into a drop. */
static __always_inline void settle(struct scene *s, __u32 packets)
{
	__u32 limit = s->learn && mac_is_broadcast(s->f.dst) ? s->port->broadcast_pps : 0;

	if (!(s->learn | s->duplicate) || !(limit | s->duplicate | fdb_news(s)))
		return;
	struct sighting g = {
		.mac = s->f.src,
		.now = s->now,
		.bank = s->bank,
		.broadcast_pps = limit,
		.port = s->in,
		.segment = s->seg,
		.incarnation = s->port->incarnation,
		.entered = !!s->src,
		.duplicate = s->duplicate,
		.learn = s->learn,
		.packets = packets,
	};

	if (sighted(&g))
		drop(s, VP_DROP_STORM);
}

#endif
