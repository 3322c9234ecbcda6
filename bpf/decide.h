/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one brain of both hooks: what becomes of a frame.  Pure: it looks things up and changes nothing, so that XDP may
 * ask, find that it cannot carry the frame, and leave it to tc, which asks again.  No program context is seen here.
 */
#ifndef DECIDE_H
#define DECIDE_H

#include "fdb.h"
#include "guard.h"

static __always_inline void drop(struct scene *s, enum vp_reason reason)
{
	s->verdict = VERDICT_DROP;
	s->reason = reason;
}

/* `tag` is the VID that the frame leaves with; the one it has = unchanged. */
static __always_inline void forward(struct scene *s, __u32 out, const struct vp_port *to, __u32 tag)
{
	s->verdict = VERDICT_FORWARD;
	s->out = out;
	s->to = to;
	s->tag = tag;
}

/* A binding is a wire: whatever comes in at one end leaves at the other. */
static __always_inline void decide_binding(struct scene *s)
{
	__u32 peer = s->port->peer;
	const struct vp_port *to = port_of(s->bank, peer);

	if (!to) {
		drop(s, VP_DROP_INTERNAL);
		return;
	}
	device_live(peer, to, &s->target);
	if (!s->target.up)
		drop(s, VP_DROP_PEER_DOWN);
	else
		forward(s, peer, to, s->f.vid);
	s->known = 1;
}

/* What no station of a segment may send or would be meant to receive. No segment: the port doesn't carry this tag. */
static __always_inline enum vp_reason segment_admits(const struct scene *s)
{
	const struct frame *f = &s->f;

	if (mac_is_group(f->src) || !f->src)
		return VP_DROP_SRC_MULTICAST;
	if (f->cut)
		return VP_DROP_MALFORMED;
	if (!s->segment)
		return VP_DROP_VLAN_NOT_ALLOWED;
	if (mac_is_reserved(f->dst))
		return VP_DROP_RESERVED_GROUP;
	return VP_REASON_NONE;
}

static __always_inline void decide_unicast(struct scene *s)
{
	struct vp_mac *entry = fdb_entry(s->seg, s->f.dst);
	const struct vp_port *to;
	union fdb_word w;
	int vid;

	s->verdict = VERDICT_FLOOD;
	if (!(s->segment->flags & VP_SEG_FLOOD_UNKNOWN))
		drop(s, VP_DROP_UNKNOWN_UNICAST);
	if (!entry)
		return;
	w = fdb_load(entry);
	to = fdb_port(&w.mac, s->bank, s->seg, s->segment, &vid);
	if (!to || fdb_aged(&w.mac, s->segment, s->now))
		return;
	if (w.mac.port == s->in) {
		drop(s, VP_DROP_SAME_PORT);
		return;
	}
	device_live(w.mac.port, to, &s->target);
	if (s->target.up)
		forward(s, w.mac.port, to, vid);
}

static __always_inline void decide_segment(struct scene *s)
{
	enum vp_reason why;

	s->seg = vlan_enter(s);
	s->segment = s->seg ? segment_of(s->bank, s->seg) : 0;
	why = segment_admits(s);
	if (!why)
		why = fdb_source(s);
	if (why) {
		drop(s, why);
		return;
	}
	s->learn = 1;
	if (mac_is_group(s->f.dst))
		s->verdict = VERDICT_FLOOD;
	else
		decide_unicast(s);
}

static __always_inline void decide(struct scene *s)
{
	enum vp_reason why = guard(s);

	if (why)
		drop(s, why);
	else if (s->port->peer)
		decide_binding(s);
	else if (s->port->segment || (s->port->flags & VP_PORT_TRUNK))
		decide_segment(s);
	else
		drop(s, VP_DROP_UNBOUND);
}

#endif
