/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What decide() said about the last frames like this one: the way past the lookups.  Two things are remembered, each by
 * itself, so that n senders and m receivers cost n + m memories and not n times m:
 *
 * - from: what comes in at this hook of this device from this address is admitted and learned, and is of this port and
 *   segment, or leaves by that binding;
 * - to: what is sent to this address in this segment leaves by that port.  For a group the port that it came in by
 *   stands for the segment.
 *
 * Both for frames without a tag.  Each CPU remembers for itself, so that nobody reads half of what another writes.
 *
 * A memory holds until the next jiffy (1 to 10 ms) or until the plane's `epoch` changes, whichever comes first: the
 * loader changes it when it switches the configuration, the datapath when an address moves.  So whatever else may
 * change (a device goes down, an entry is deleted) is noticed as soon as a jiffy is over, and a source that sends on is
 * seen in every tick.  A device that is gone meanwhile is no target any more, which bpf_redirect_map() itself tells;
 * what bpf_redirect() cannot send any more, the kernel drops.
 */
#ifndef FLOW_H
#define FLOW_H

#include "decide.h"

#define FLOW_SLOT_BITS 10

/* What a memory is found by. */
struct flow_name {
	__u64 addr; /* a MAC_KEY(): with the low half of the device's index, or what stands for a receiver's segment */
	__u32 more; /* the high half of the index, whose first bit is always free; enum flow_kind */
};

/* Half a cache line. */
struct vp_flow {
	__u64 addr;
	__u32 more;
	__u16 segment; /* from: 0 = the port is bound to `out` */
	__u16 pad;
	__u64 stamp;
	__u16 in;    /* from: the port, */
	__u16 flags; /* and its flags */
	__u16 out;   /* port; 0 = all members of the segment, each of which XDP can serve */
	__u16 mtu;   /* of its device, or of what the members were found to take */
};

_Static_assert(sizeof(struct vp_flow) == 32, "vp_flow");

/* One element, so that a slot is found by adding, not by asking the map: as large as an element may be (32 KiB). */
struct vp_memory {
	struct vp_flow slot[1 << FLOW_SLOT_BITS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct vp_memory);
	__uint(max_entries, 1);
} vp_memory SEC(".maps");

enum flow_kind { FLOW_XDP, FLOW_TC = 0x8000, FLOW_TO = 0x10000 };

/* What of a frame is looked up. */
struct flow_key {
	struct vp_memory *memory; /* NULL: such a frame is not remembered */
	struct flow_name from;
	__u64 dst, stamp;
	__u32 bank; /* what is remembered belongs to */
};

/* What was remembered of a frame. */
struct flow_way {
	__u32 in, flags, segment, out, mtu;
};

static __always_inline struct vp_flow *flow_slot(struct vp_memory *memory, const struct flow_name *n)
{
	return &memory->slot[(n->addr ^ n->more) * 0x9e3779b97f4a7c15ULL >> (64 - FLOW_SLOT_BITS)];
}

static __always_inline int flow_is(const struct vp_flow *flow, const struct flow_name *n, __u64 stamp)
{
	return flow->addr == n->addr && flow->more == n->more && flow->stamp == stamp;
}

/* Of an untagged frame. A tagged one is not remembered. */
static __always_inline void flow_key(struct flow_key *k, __u64 dst, __u64 src, __u32 ifindex, enum flow_kind hook)
{
	__u32 zero = 0;
	const struct vp_plane *plane = bpf_map_lookup_elem(&vp_plane, &zero);

	if (!plane)
		return;
	k->bank = *(const volatile __u32 *)&plane->bank & 1; /* before the epoch, which changes after it */
	/* Before anything is looked up: what changes from now on makes the memory of this frame void. */
	k->stamp = bpf_jiffies64() << 32 | *(const volatile __u32 *)&plane->epoch;
	k->dst = dst;
	k->from.addr = MAC_KEY(ifindex & 0xffff, src);
	k->from.more = ifindex >> 16 | hook;
	k->memory = bpf_map_lookup_elem(&vp_memory, &zero);
}

/* The receiver's memory, of what port `in` sends in `segment`. */
static __always_inline struct flow_name flow_to(const struct flow_key *k, __u32 in, __u32 segment)
{
	struct flow_name n = {
		.addr = MAC_KEY(mac_is_group(k->dst) ? in : segment, k->dst),
		.more = (k->from.more & FLOW_TC) | FLOW_TO,
	};

	return n;
}

/* Where such a frame went; -1 = that is not known.  If it is, there is nothing to learn. */
static __always_inline int flow_recall(const struct flow_key *k, struct flow_way *w)
{
	const struct vp_flow *from, *to;
	struct flow_name n;

	if (!k->memory)
		return -1;
	from = flow_slot(k->memory, &k->from);
	if (!flow_is(from, &k->from, k->stamp))
		return -1;
	w->in = from->in;
	w->flags = from->flags;
	w->segment = from->segment;
	w->out = from->out;
	w->mtu = from->mtu;
	if (!w->segment)
		return 0;
	n = flow_to(k, w->in, w->segment);
	to = flow_slot(k->memory, &n);
	if (!flow_is(to, &n, k->stamp) || to->out == w->in)
		return -1;
	w->out = to->out;
	w->mtu = to->mtu;
	return 0;
}

static __always_inline int flow_fits(const struct flow_way *w, __u32 len)
{
	return len <= w->mtu + ETH_HLEN;
}

static __always_inline void flow_write(struct vp_flow *flow, const struct flow_name *n, __u64 stamp,
				       const struct flow_way *w)
{
	flow->stamp = 0;
	flow->addr = n->addr;
	flow->more = n->more;
	flow->segment = w->segment;
	flow->in = w->in;
	flow->flags = w->flags;
	flow->out = w->out;
	flow->mtu = w->mtu < 0xffff ? w->mtu : 0xffff;
	flow->stamp = stamp;
}

/* To be called once the frame is as good as sent: to `out`, up to `mtu` bytes behind the Ethernet header. */
static __always_inline void flow_remember(const struct flow_key *k, const struct scene *s, __u32 out, __u32 mtu)
{
	struct flow_way w = {.in = s->in, .flags = s->flags, .segment = s->seg, .out = out, .mtu = mtu};
	struct flow_name n = flow_to(k, s->in, s->seg);

	if (!k->memory || s->tag || !s->known)
		return;
	flow_write(flow_slot(k->memory, &k->from), &k->from, k->stamp, &w);
	if (s->seg)
		flow_write(flow_slot(k->memory, &n), &n, k->stamp, &w);
}

#endif
