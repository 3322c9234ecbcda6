// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A guest's VLAN interface where the kernel has none: what leaves gets the tag VID beside the frame, as a VLAN netdev
 * gives it, and what arrives with that tag loses it.  Everything else that arrives is not for this guest.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

SEC("tc/out")
int vlan_out(struct __sk_buff *skb)
{
	return bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), VID) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("tc/in")
int vlan_in(struct __sk_buff *skb)
{
	if (!skb->vlan_present || (skb->vlan_tci & 0x0fff) != VID || bpf_skb_vlan_pop(skb))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
