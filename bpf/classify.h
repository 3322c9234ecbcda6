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
	CLASS_TCP,
	CLASS_OTHER, /* whatever we cannot vouch for */
};

/*
 * `at` is `offset` in the frame.  A field of 0 says "no checksum", which tunnels do with an unfinished one inside.  All
 * datagrams of a flow have one or none has, so that no other flow need follow.
 */
static __always_inline enum frame_class classify_udp(void *at, void *end, __u32 offset, __u32 room, __u32 addresses,
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
	c->unfinished = csum_fold(udp->check) == c->pseudo;
	return CLASS_UDP;
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
		return CLASS_TCP;
	if (ip->protocol == IPPROTO_UDP)
		return classify_udp((void *)ip + header, end, offset + header, total - header,
				    csum_words((void *)&ip->saddr, 4), c);
	return CLASS_OTHER;
}

static __always_inline enum frame_class classify_ipv6(struct ipv6hdr *ip, void *end, __u32 offset, __u32 len,
						      struct udp_check *c)
{
	if ((void *)(ip + 1) > end || ip->version != 6)
		return CLASS_OTHER;
	__u32 payload = bpf_ntohs(ip->payload_len);

	if (payload > len - sizeof(*ip))
		return CLASS_OTHER;
	if (ip->nexthdr == IPPROTO_ICMPV6)
		return CLASS_PLAIN;
	if (ip->nexthdr == IPPROTO_TCP)
		return CLASS_TCP;
	if (ip->nexthdr == IPPROTO_UDP)
		return classify_udp(ip + 1, end, offset + sizeof(*ip), payload,
				    csum_words((void *)&ip->saddr, 16), c);
	return CLASS_OTHER;
}

static __always_inline enum frame_class classify(const struct frame *f, void *data, void *end,
						 struct udp_check *c)
{
	__u32 header = frame_header(f);

	if (frame_is_runt(f))
		return CLASS_PLAIN;
	if (f->stacked)
		return CLASS_OTHER;
	if (f->inner == ETH_P_ARP)
		return CLASS_PLAIN;
	if (f->inner == ETH_P_IP)
		return classify_ipv4(data + header, end, header, f->len - header, c);
	if (f->inner == ETH_P_IPV6)
		return classify_ipv6(data + header, end, header, f->len - header, c);
	return CLASS_OTHER;
}

/* May it finish a checksum? Only the whole, and only where nothing beside the frame says that it is unfinished. */
static __always_inline int may_finish(struct xdp_md *ctx, const struct frame *f)
{
	return f->len <= CSUM_MOST && f->len == ctx->data_end - ctx->data && native(ctx);
}

/*
 * May XDP carry this class from this port?  Notes on the way that XDP cannot finish the port's UDP.  What a physical
 * NIC has received is finished.
 */
static __always_inline int class_is_xdp(struct xdp_md *ctx, enum frame_class class, struct scene *s)
{
	struct vp_state *state;
	__u32 id = s->in;

	if (s->flags & VP_PORT_FINISHED) {
		s->udp.at = 0;
		return class == CLASS_PLAIN || (class != CLASS_TCP && !s->f.stacked);
	}
	if (class == CLASS_PLAIN)
		return 1;
	if (class != CLASS_UDP)
		return 0;
	state = bpf_map_lookup_elem(&vp_state, &id);
	if (!state)
		return 0;
	if (s->udp.unfinished && !state->unfinished && !may_finish(ctx, &s->f))
		state->unfinished = 1;
	return !state->unfinished;
}

#endif
