/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of every frame's road: the only place that counts.  rx is counted once, by the program that decides the
 * frame, together with what became of it; tx by port, each copy.  What a device loses later is in its own counters.
 */
#ifndef COUNT_H
#define COUNT_H

#include "tally.h"

static __always_inline struct vp_counters *count_rx(__u32 id, const struct tally *t)
{
	struct vp_counters *c = bpf_map_lookup_elem(&vp_counters, &id);

	if (c) {
		c->rx_packets += t->packets;
		c->rx_bytes += t->bytes;
	}
	return c;
}

static __always_inline void count_tx(__u32 id, const struct tally *t)
{
	struct vp_counters *c = bpf_map_lookup_elem(&vp_counters, &id);

	if (c) {
		c->tx_packets += t->packets;
		c->tx_bytes += t->bytes;
	}
}

static __always_inline void count_drop(__u32 id, const struct tally *t, enum vp_reason reason)
{
	struct vp_counters *c = count_rx(id, t);
	__u32 at = reason;

	asm volatile("" : "+r"(at)); /* what is compared is what is used, or the verifier does not believe it */
	if (c && at < VP_REASON_COUNT)
		c->drops[at] += t->packets;
}

static __always_inline void count_forward(__u32 id, __u32 out, const struct tally *t, const struct tally *leaving)
{
	struct vp_counters *c = count_rx(id, t);

	if (c)
		c->forwarded += t->packets;
	count_tx(out, leaving);
}

static __always_inline void count_flood(__u32 id, const struct tally *t)
{
	struct vp_counters *c = count_rx(id, t);

	if (c)
		c->flooded += t->packets;
}

/* For `watch`, which chooses a TAP's carrier by it. */
static __always_inline void count_super(__u32 id, const struct tally *t)
{
	struct vp_counters *c = bpf_map_lookup_elem(&vp_counters, &id);

	if (c)
		c->events[VP_SUPERFRAMES] += t->packets;
}

#endif
