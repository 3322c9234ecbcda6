/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which carrier may take a frame follows from what is the same in all frames of a flow, never from one frame's size,
 * or frames of one flow would overtake each other on two ways.  The one exception is UDP: XDP takes it until the port
 * shows an unfinished checksum, and from then on never again (vp_state.unfinished).
 */
#ifndef CLASSIFY_H
#define CLASSIFY_H

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include "csum.h"
#include "frame.h"

#define TAGGED_MIN 20 /* Ethernet header, tag and two bytes */

enum frame_class {
	CLASS_PLAIN,	      /* never has an unfinished checksum: ARP, ICMP, IGMP, fragments */
	CLASS_UDP,	      /* finished */
	CLASS_UDP_UNFINISHED, /* or not known to be finished */
	CLASS_TCP,
	CLASS_OTHER, /* whatever we cannot vouch for */
};

/*
 * VXLAN (IANA's port and Linux's), Geneve, GUE, MPLS.  An outer checksum is made so that it is right once the inner one
 * is finished: it is neither the pseudo header's sum nor wrong in any way that could be told without summing the whole.
 */
static __always_inline int is_tunnel(__be16 port)
{
	return port == bpf_htons(4789) || port == bpf_htons(8472) || port == bpf_htons(6081) ||
	       port == bpf_htons(6080) || port == bpf_htons(6635);
}

static __always_inline enum frame_class classify_udp(void *at, void *end, __u32 room, __u32 addresses)
{
	struct udphdr *udp = at;

	if ((void *)(udp + 1) > end)
		return CLASS_OTHER;
	__u32 length = bpf_ntohs(udp->len);

	if (length < sizeof(*udp) || length > room)
		return CLASS_OTHER;
	if (is_tunnel(udp->dest) || csum_unfinished(udp->check, addresses, IPPROTO_UDP, udp->len))
		return CLASS_UDP_UNFINISHED;
	return CLASS_UDP;
}

/* `len` bytes of frame from `ip` on. */
static __always_inline enum frame_class classify_ipv4(struct iphdr *ip, void *end, __u32 len)
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
		return classify_udp((void *)ip + header, end, total - header, csum_words((void *)&ip->saddr, 4));
	return CLASS_OTHER;
}

static __always_inline enum frame_class classify_ipv6(struct ipv6hdr *ip, void *end, __u32 len)
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
		return classify_udp(ip + 1, end, payload, csum_words((void *)&ip->saddr, 16));
	return CLASS_OTHER;
}

static __always_inline enum frame_class classify(const struct frame *f, void *data, void *end)
{
	__u32 header = frame_header(f);

	/* Below that the kernel frees a tagged frame before tc sees it (skb_vlan_untag), and nobody would count it. */
	if (f->tagged && f->len < TAGGED_MIN)
		return CLASS_PLAIN;
	if (f->stacked)
		return CLASS_OTHER;
	if (f->inner == ETH_P_ARP)
		return CLASS_PLAIN;
	if (f->inner == ETH_P_IP)
		return classify_ipv4(data + header, end, f->len - header);
	if (f->inner == ETH_P_IPV6)
		return classify_ipv6(data + header, end, f->len - header);
	return CLASS_OTHER;
}

/* May XDP carry this class from this port? Notes on the way that the port's UDP is not finished. */
static __always_inline int class_is_xdp(enum frame_class class, const struct frame *f, const struct vp_port *port,
					__u32 id)
{
	struct vp_state *state;

	if (port->flags & VP_PORT_FINISHED)
		return class == CLASS_PLAIN || (class != CLASS_TCP && !f->stacked);
	if (class == CLASS_PLAIN)
		return 1;
	if (class != CLASS_UDP && class != CLASS_UDP_UNFINISHED)
		return 0;
	state = bpf_map_lookup_elem(&vp_state, &id);
	if (!state)
		return 0;
	if (class == CLASS_UDP_UNFINISHED && !state->unfinished)
		state->unfinished = 1;
	return !state->unfinished;
}

#endif
