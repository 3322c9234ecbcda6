/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much a frame is on the wire: a GSO superframe counts as the frames that it will be cut into, computed. */
#ifndef TALLY_H
#define TALLY_H

#include <linux/tcp.h>
#include "classify.h"

struct tally {
	__u64 packets;
	__u64 bytes;
};

/* Bytes of L4 header at `at`, 0 = not known. */
static __always_inline __u32 l4_header(void *at, void *end, __u8 protocol)
{
	struct tcphdr *tcp = at;

	if (protocol == IPPROTO_UDP)
		return sizeof(struct udphdr);
	if (protocol != IPPROTO_TCP || (void *)(tcp + 1) > end)
		return 0;
	return tcp->doff * 4;
}

/* L2 to L4 headers of a GSO frame with the in-band tags the kernel leaves in it (none, or one it will repeat). */
static __always_inline __u32 header_length(const struct frame *f, void *data, void *end)
{
	struct iphdr *ip = data + ETH_HLEN;
	struct ipv6hdr *ip6 = data + ETH_HLEN;

	if (f->proto == ETH_P_IP && (void *)(ip + 1) <= end)
		return ETH_HLEN + ip->ihl * 4 + l4_header((void *)ip + ip->ihl * 4, end, ip->protocol);
	if (f->proto == ETH_P_IPV6 && (void *)(ip6 + 1) <= end)
		return ETH_HLEN + sizeof(*ip6) + l4_header(ip6 + 1, end, ip6->nexthdr);
	return ETH_HLEN;
}

static __always_inline struct tally tally_one(__u32 len)
{
	struct tally t = {1, len};

	return t;
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
