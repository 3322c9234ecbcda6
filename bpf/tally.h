/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much a frame is on the wire: a GSO superframe counts as the frames that it will be cut into, computed. */
#ifndef TALLY_H
#define TALLY_H

#include <linux/tcp.h>
#include "classify.h"

#define GSO_BY_FRAGS 0xffff /* as gso_size: cut where its fragments end, each of a size of its own; SCTP */
#define SCTP_HEADER  12

struct tally {
	__u64 packets;
	__u64 bytes;
};

/* Bytes of L4 header at `at`, 0 = not known, -1 = it ends behind `end`; of UDP `udp`. */
static __always_inline int l4_header(void *at, void *end, __u8 protocol, int udp)
{
	struct tcphdr *tcp = at;

	if (protocol == IPPROTO_UDP)
		return udp;
	if (protocol == IPPROTO_SCTP)
		return SCTP_HEADER;
	if (protocol != IPPROTO_TCP)
		return 0;
	return (void *)(tcp + 1) > end ? -1 : tcp->doff * 4;
}

/* Bytes of L3 and L4 headers at `at`, as above. */
static __always_inline int headers_from(__u16 proto, void *at, void *end, int udp)
{
	struct iphdr *ip = at;
	struct ipv6hdr *ip6 = at;
	int l3 = 0, l4 = 0;

	if (proto == ETH_P_IP) {
		if ((void *)(ip + 1) > end)
			return -1;
		l3 = ip->ihl * 4;
		l4 = l4_header(at + l3, end, ip->protocol, udp);
	} else if (proto == ETH_P_IPV6) {
		if ((void *)(ip6 + 1) > end)
			return -1;
		l3 = sizeof(*ip6);
		l4 = l4_header(ip6 + 1, end, ip6->nexthdr, udp);
	}
	return l4 < 0 ? -1 : l3 + l4;
}

static __always_inline struct tally tally_one(__u32 len)
{
	struct tally t = {1, len};

	return t;
}

/* The same frames as they leave with tag `vid`, 0 = none. */
static __always_inline struct tally tally_leaving(const struct tally *t, const struct frame *f, __u32 vid)
{
	struct tally out = *t;

	if (vid == f->vid)
		return out;
	if (f->tagged)
		out.bytes -= VLAN_LEN * t->packets;
	if (vid)
		out.bytes += VLAN_LEN * t->packets;
	return out;
}

/* Payload of the frames that a superframe is cut into; of SCTP's the average, since nothing tells the largest. */
static __always_inline __u32 gso_step(__u32 len, __u32 header, __u32 size, __u32 frames)
{
	if (size != GSO_BY_FRAGS || !frames || len <= header)
		return size;
	return (len - header + frames - 1) / frames;
}

static __always_inline struct tally tally_gso(__u32 len, __u32 header, __u32 gso_size)
{
	__u32 payload = len > header ? len - header : 0;
	struct tally t = {(payload + gso_size - 1) / gso_size, len};

	if (!t.packets)
		t.packets = 1;
	t.bytes += (t.packets - 1) * header;
	return t;
}

#endif
