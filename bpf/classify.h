/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which carrier may take a frame follows from what is the same in all frames of a flow, never from one frame's size,
 * or frames of one flow would overtake each other on two ways.  The one exception is UDP: XDP takes it until the port
 * shows an unfinished checksum that XDP may not finish, and from then on never again (vp_state.unfinished).  That is
 * one on the generic path (native.h): from a descriptor that blocks, too large for the native one, or a superframe.
 */
#ifndef CLASSIFY_H
#define CLASSIFY_H

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include "csum.h"
#include "frame.h"
#include "native.h"
#include "scene.h"

enum frame_class {
	CLASS_PLAIN, /* never has an unfinished checksum: ARP, ICMP, IGMP, fragments */
	CLASS_UDP,   /* with a checksum, struct udp_check tells more */
	CLASS_UDP_UNFINISHED,
	CLASS_OTHER, /* whatever we cannot vouch for, but a NIC that has received it can */
	CLASS_NEVER, /* TCP, whose superframes only tc can carry; more than one tag */
};

/*
 * `at` is `offset` in the frame.  A field of 0 says "no checksum", which tunnels do with an unfinished one inside.  All
 * datagrams of a flow have one or none has, so that no other flow need follow.
 */
static __always_inline enum frame_class classify_udp(void *at, void *end, __u32 offset, __u32 room, __u64 addresses,
						     struct udp_check *c)
{
	struct udphdr *udp = at;

	if ((void *)(udp + 1) > end)
		return CLASS_OTHER;
	__u32 length = bpf_ntohs(udp->len);

	if (length < sizeof(*udp) || length > room || !udp->check)
		return CLASS_OTHER;
	c->at = offset;
	c->len = length;
	c->pseudo = csum_fold(addresses + bpf_htons(IPPROTO_UDP) + udp->len);
	return csum_fold(udp->check) == c->pseudo ? CLASS_UDP_UNFINISHED : CLASS_UDP;
}

/* `len` bytes of frame from `ip` on, which is `offset` in the frame. */
static __always_inline enum frame_class classify_ipv4(struct iphdr *ip, void *end, __u32 offset, __u32 len,
						      struct udp_check *c)
{
	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return CLASS_OTHER;
	__u32 header = ip->ihl * 4, total = bpf_ntohs(ip->tot_len);

	if (total < header || total > len)
		return CLASS_OTHER;
	if (ip->frag_off & bpf_htons(0x3fff)) /* fragments are complete (tests/kernel) */
		return CLASS_PLAIN;
	if (ip->protocol == IPPROTO_ICMP || ip->protocol == IPPROTO_IGMP)
		return CLASS_PLAIN;
	if (ip->protocol == IPPROTO_TCP)
		return CLASS_NEVER;
	if (ip->protocol == IPPROTO_UDP)
		return classify_udp((void *)ip + header, end, offset + header, total - header,
				    csum_pair(&ip->saddr), c);
	return CLASS_OTHER;
}

static __always_inline enum frame_class classify_ipv6(struct ipv6hdr *ip, void *end, __u32 offset, __u32 len,
						      struct udp_check *c)
{
	if ((void *)(ip + 1) > end || ip->version != 6)
		return CLASS_OTHER;
	const __be32 *at = (void *)&ip->saddr;
	__u32 payload = bpf_ntohs(ip->payload_len);

	if (payload > len - sizeof(*ip))
		return CLASS_OTHER;
	if (ip->nexthdr == IPPROTO_ICMPV6)
		return CLASS_PLAIN;
	if (ip->nexthdr == IPPROTO_TCP)
		return CLASS_NEVER;
	if (ip->nexthdr == IPPROTO_UDP)
		return classify_udp(ip + 1, end, offset + sizeof(*ip), payload,
				    csum_pair(at) + csum_pair(at + 2) + csum_pair(at + 4) + csum_pair(at + 6), c);
	return CLASS_OTHER;
}

/* By what lies behind the Ethernet header of `header` bytes, of a frame of `len`. */
static __always_inline enum frame_class classify_l3(__u16 proto, void *data, void *end, __u32 header, __u32 len,
						    struct udp_check *c)
{
	if (proto == ETH_P_ARP)
		return CLASS_PLAIN;
	if (proto == ETH_P_IP)
		return classify_ipv4(data + header, end, header, len - header, c);
	if (proto == ETH_P_IPV6)
		return classify_ipv6(data + header, end, header, len - header, c);
	return CLASS_OTHER;
}

static __always_inline enum frame_class classify(const struct frame *f, void *data, void *end)
{
	struct udp_check c = {0};

	if (frame_is_runt(f))
		return CLASS_PLAIN;
	if (f->stacked)
		return CLASS_NEVER;
	return classify_l3(f->inner, data, end, frame_header(f), f->len, &c);
}

/* May it finish a checksum? Only the whole, and only where nothing beside the frame says that it is unfinished. */
static __always_inline int may_finish(struct xdp_md *ctx, __u32 len)
{
	return len <= CSUM_MOST && len == ctx->data_end - ctx->data && native(ctx);
}

/* May XDP carry port `id`'s UDP?  Notes on the way that it cannot finish what it sends, or cut it. */
static __always_inline int udp_is_xdp(struct xdp_md *ctx, enum frame_class class, __u32 id, __u32 len, int super)
{
	struct vp_state *state = bpf_map_lookup_elem(&vp_state, &id);

	if (!state)
		return 0;
	if (!state->unfinished && (super || (class == CLASS_UDP_UNFINISHED && !may_finish(ctx, len))))
		state->unfinished = 1;
	return !state->unfinished;
}

/* May XDP carry a frame of this class from this port?  What a physical NIC has received is finished. */
static __always_inline int class_is_xdp(struct xdp_md *ctx, enum frame_class class, __u32 id, __u32 flags, __u32 len)
{
	int super, may = class == CLASS_PLAIN || class == CLASS_UDP || class == CLASS_UDP_UNFINISHED;

	if (class == CLASS_NEVER || !(may || flags & VP_PORT_FINISHED))
		return 0;
	super = is_super(ctx);
	return class == CLASS_PLAIN || flags & VP_PORT_FINISHED ? !super : udp_is_xdp(ctx, class, id, len, super);
}

/* vouch()'s frame: its EtherType behind a tag, and the bytes before what that encloses. */
#define VOUCH(proto, header) ((__u32)(proto) << 16 | (header))

/* May XDP send this frame of port `id`, all of it in one buffer?  -1: it is for tc.  Else what csum_fill() is to do. */
static __always_inline int vouch(struct xdp_md *ctx, __u32 frame, __u32 id, __u32 flags)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 len = end - data;
	struct udp_check c = {0};
	enum frame_class class;

	IN_MEMORY(c);
	class = classify_l3(frame >> 16, data, end, frame & CSUM_AT_MOST, len, &c);
	if (!class_is_xdp(ctx, class, id, flags, len))
		return -1;
	if (flags & VP_PORT_FINISHED || class == CLASS_PLAIN)
		return 0;
	return csum_right(ctx, &c, class == CLASS_UDP_UNFINISHED);
}

/* The same as a call, for the long way: so the verifier goes through it once, not on every way that leads here. */
__noinline int vouch_apart(struct xdp_md *ctx, __u32 frame, __u32 id, __u32 flags)
{
	return vouch(ctx, frame, id, flags);
}

#endif
