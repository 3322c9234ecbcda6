/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What decide() said about the last frame like this one: the way past the lookups.  A frame is like another if it came
 * in at the same hook of the same device from the same to the same address, with no tag.  Each CPU remembers for
 * itself, so that nobody reads half of what another writes.
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

struct vp_flow {
	__u64 dst; /* with the low half of the device's index, as MAC_KEY() does */
	__u64 src; /* with its high half, whose first bit is always free: for the hook */
	__u64 stamp;
	__u16 in;
	__u16 flags; /* of the port `in`, and FLOW_FLOOD */
	__u16 out;   /* port, or segment */
	__u16 mtu;   /* of its device, or of what its members were found to take */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct vp_flow);
	__uint(max_entries, 1 << FLOW_SLOT_BITS);
} vp_flows SEC(".maps");

/* To all members of a segment, each of which XDP can serve. Broadcasts never are: each one is counted by the guard. */
#define FLOW_FLOOD 0x8000

enum flow_hook { FLOW_XDP, FLOW_TC = 0x8000 };

/* What a frame is looked up by, and where its memory is if there is one. */
struct flow_key {
	__u64 dst, src, stamp;
	__u32 bank; /* what `out` belongs to */
	struct vp_flow *slot; /* NULL: such a frame is not remembered */
};

/* Of an untagged frame. A tagged one is not remembered. */
static __always_inline void flow_key(struct flow_key *k, __u64 dst, __u64 src, __u32 ifindex, enum flow_hook hook)
{
	__u32 zero = 0, at;
	const struct vp_plane *plane = bpf_map_lookup_elem(&vp_plane, &zero);

	k->slot = 0;
	if (!plane)
		return;
	k->bank = *(const volatile __u32 *)&plane->bank & 1; /* before the epoch, which changes after it */
	/* Before anything is looked up: what changes from now on makes the memory of this frame void. */
	k->stamp = bpf_jiffies64() << 32 | *(const volatile __u32 *)&plane->epoch;
	if (mac_is_group(dst)) /* in an upgrade a former program looks here, too, which knows of ports only */
		k->stamp = ~k->stamp;
	k->dst = MAC_KEY(ifindex & 0xffff, dst);
	k->src = MAC_KEY(ifindex >> 16 | hook, src);
	at = (k->dst ^ k->src * 3) * 0x9e3779b97f4a7c15ULL >> (64 - FLOW_SLOT_BITS);
	k->slot = bpf_map_lookup_elem(&vp_flows, &at);
}

/* The memory of such a frame, or NULL. If there is one, it is to be forwarded, and there is nothing to learn. */
static __always_inline const struct vp_flow *flow_recall(const struct flow_key *k)
{
	const struct vp_flow *flow = k->slot;

	if (!flow || flow->dst != k->dst || flow->src != k->src || flow->stamp != k->stamp)
		return 0;
	return flow;
}

static __always_inline int flow_fits(const struct vp_flow *flow, __u32 len)
{
	return len <= flow->mtu + ETH_HLEN;
}

/* To be called once the frame is as good as sent: to `out`, up to `mtu` bytes behind the Ethernet header. */
static __always_inline void flow_remember(const struct flow_key *k, const struct scene *s, __u32 out, __u32 flags,
					  __u32 mtu)
{
	struct vp_flow *flow = k->slot;

	if (!flow || s->tag || !s->known)
		return;
	flow->stamp = 0;
	flow->dst = k->dst;
	flow->src = k->src;
	flow->in = s->in;
	flow->flags = s->flags | flags;
	flow->out = out;
	flow->mtu = mtu < 0xffff ? mtu : 0xffff;
	flow->stamp = k->stamp;
}

#endif
