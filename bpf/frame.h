/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A frame as the stages see it: what of the Ethernet header matters, copied once, so that no stage holds a pointer into
 * the packet.  A tag that lies beside the frame (tc) and a tag in it look the same here.
 */
#ifndef FRAME_H
#define FRAME_H

#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include "mac.h"
#include "maps.h"

struct vlan_view {
	__be16 tci;
	__be16 proto;
};

struct frame {
	__u64 dst;    /* as mac.h has them */
	__u64 src;
	__u32 len;    /* whole layer 2 length in bytes, without a tag beside the frame */
	__u16 proto;  /* EtherType after the addresses, host order */
	__u16 inner;  /* EtherType after the outer tag, host order; `proto` where there is no tag */
	__u16 vid;    /* of the outer tag, host order */
	__u16 tci;    /* the whole tag: priority and vid, host order */
	__u8 tagged;  /* has an outer tag, wherever it lies */
	__u8 inband;  /* ... inside the frame */
	__u8 cut;     /* ends inside its tag */
	__u8 stacked; /* has another tag behind it, or it is no 802.1Q tag: for bindings only */
};

#define VLAN_VID 0x0fff
#define VLAN_PRIORITY 0xf000 /* and drop eligibility */
#define VLAN_LEN 4

static __always_inline int is_vlan(__u16 proto)
{
	return proto == ETH_P_8021Q || proto == ETH_P_8021AD || proto == 0x9100;
}

/* Read the Ethernet header; -1 = shorter than one. `len` may exceed end - data (frags). */
static __always_inline int frame_read(struct frame *f, void *data, void *end, __u32 len)
{
	struct ethhdr *eth = data;
	struct vlan_view *tag = (void *)(eth + 1);

	if ((void *)(eth + 1) > end)
		return -1;
	__builtin_memset(f, 0, sizeof(*f));
	f->dst = mac_load(eth->h_dest);
	f->src = mac_load(eth->h_source);
	f->len = len;
	f->proto = f->inner = bpf_ntohs(eth->h_proto);
	if (!is_vlan(f->proto))
		return 0;
	f->tagged = 1;
	f->inband = 1;
	if ((void *)(tag + 1) > end) {
		f->cut = 1;
		return 0;
	}
	f->tci = bpf_ntohs(tag->tci);
	f->vid = f->tci & VLAN_VID;
	f->inner = bpf_ntohs(tag->proto);
	f->stacked = f->proto != ETH_P_8021Q || is_vlan(f->inner);
	return 0;
}

/* Such a frame never reaches tc: the kernel frees it when it takes the tag off, and nobody would count it. */
static __always_inline int frame_is_runt(const struct frame *f)
{
	return f->inband && f->len < ETH_HLEN + VLAN_LEN + 2;
}

/* Bytes in front of what the tag encloses. */
static __always_inline __u32 frame_header(const struct frame *f)
{
	return f->inband ? ETH_HLEN + VLAN_LEN : ETH_HLEN;
}

#endif
