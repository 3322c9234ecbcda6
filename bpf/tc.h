/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The complete switch.  Whatever comes in on a port's device ends here: redirected with all that the kernel knows about
 * it (GSO, checksum state, tag), or dropped.  Nothing ever goes on into the host's stack, and what the host's stack
 * itself sends to a port's device is stopped on the way out.
 */
#ifndef TC_H
#define TC_H

#include <linux/pkt_cls.h>
#include "count.h"
#include "flow.h"
#include "settle.h"

#define TC_HEADERS 128 /* bytes that must be linear: Ethernet, tag, IP with options, TCP */
#define TC_LEAST   34  /* ... of SCTP's superframes, which cannot be cut any more once their fragments are touched */

#define GSO_UDP_FRAGMENTS (1U << 16) /* bit of skb_shared_info.gso_type: SKB_GSO_UDP */

struct sk_buff {
	unsigned char *head;
	unsigned int end;
} __attribute__((preserve_access_index));

/*
 * What of the flood has happened so far, as bits that are only ever set: kernels before 6.7 look at one turn of a
 * bpf_loop callback only, and would take a branch on what an earlier turn left here for one that is never taken.
 */
enum flood_found { FLOOD_TOO_BIG = 1, FLOOD_SERVED = 2, FLOOD_OTHER_FORM = 4 };

struct tc_walk {
	struct __sk_buff *skb;
	const struct vp_segment *segment;
	__u32 bank, in;
	__u32 wire_len, inband; /* of the largest frame that goes on the wire */
	__u32 vid;		/* the form that the frame has now; members with another have their own turn */
	struct tally tally;
	__u32 found;
};

static long tc_walk_send(__u32 i, void *ctx)
{
	struct tc_walk *w = ctx;
	const struct vp_member *m = member_of(w->bank, w->segment->first + i);
	const struct vp_port *port;
	struct live target;

	if (!m || m->port == w->in)
		return 0;
	if (m->vid != w->vid) {
		w->found |= FLOOD_OTHER_FORM;
		return 0;
	}
	port = port_of(w->bank, m->port);
	if (!port)
		return 0;
	device_live(m->port, port, &target);
	if (!target.up)
		return 0;
	if (!device_fits(&target, w->wire_len, w->inband)) {
		w->found |= FLOOD_TOO_BIG;
		return 0;
	}
	if (!bpf_clone_redirect(w->skb, port->ifindex, 0))
		count_tx(m->port, &w->tally);
	w->found |= FLOOD_SERVED;
	return 0;
}

/* Give the frame the tag `vid`, or none; where it lies is the kernel's business. */
static __always_inline long tc_retag(struct __sk_buff *skb, const struct frame *f, __u32 vid)
{
	long err = f->tagged ? bpf_skb_vlan_pop(skb) : 0;

	if (!err && vid)
		err = bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), (f->tci & VLAN_PRIORITY) | vid);
	return err;
}

/* The members that get the frame as it is, then those that get it in the segment's other form. */
static __always_inline int tc_flood(struct scene *s, struct __sk_buff *skb, const struct tally *t, __u32 wire_len)
{
	struct tc_walk w = {
		.skb = skb, .segment = s->segment, .bank = s->bank, .in = s->in,
		.wire_len = wire_len, .inband = s->f.inband, .tally = *t, .vid = s->f.vid,
	};
	__u32 other = s->f.vid ? 0 : s->segment->vlan;

	bpf_loop(s->segment->count, tc_walk_send, &w, 0);
	if (w.found & FLOOD_OTHER_FORM && !tc_retag(skb, &s->f, other)) {
		w.vid = other;
		w.tally = tally_leaving(t, &s->f, other);
		bpf_loop(s->segment->count, tc_walk_send, &w, 0);
	}
	if (w.found & FLOOD_SERVED)
		count_flood(s->in, t);
	else
		count_drop(s->in, t, w.found & FLOOD_TOO_BIG ? VP_DROP_MTU : VP_DROP_NO_MEMBER);
	return TC_ACT_SHOT; /* the copies are on their way; the original ends here */
}

static __always_inline int tc_act(struct scene *s, struct __sk_buff *skb, const struct flow_key *k,
				  const struct tally *t, __u32 wire_len)
{
	struct tally leaving = tally_leaving(t, &s->f, s->tag);

	settle(s, t->packets);
	if (skb->gso_size)
		count_super(s->in, t);
	if (s->verdict == VERDICT_FLOOD && s->segment) /* it has one; the verifier wants to see it */
		return tc_flood(s, skb, t, wire_len);
	if (s->verdict == VERDICT_FORWARD && !device_fits(&s->target, wire_len, s->f.inband)) {
		s->verdict = VERDICT_DROP;
		s->reason = VP_DROP_MTU;
	}
	if (s->verdict == VERDICT_DROP || !s->to) { /* a forward has a target; 6.1's verifier wants to see it */
		count_drop(s->in, t, s->reason);
		return TC_ACT_SHOT;
	}
	if (s->tag != s->f.vid && tc_retag(skb, &s->f, s->tag)) {
		count_drop(s->in, t, VP_DROP_INTERNAL);
		return TC_ACT_SHOT;
	}
	flow_remember(k, s, s->out, s->target.mtu);
	count_forward(s->in, s->out, t, &leaving);
	return bpf_redirect(s->to->ifindex, 0);
}

/* The short way, for a frame whose like was just decided. -1: it was not, or this one is too large. */
static __always_inline int tc_again(struct __sk_buff *skb, const struct flow_key *k, const struct tally *t,
				    __u32 wire_len)
{
	struct flow_way was;
	const struct vp_port *to = flow_recall(k, &was) ? 0 : port_of(k->bank, was.out);

	if (!to || !flow_fits(&was, wire_len))
		return -1;
	if (skb->gso_size)
		count_super(was.in, t);
	count_forward(was.in, was.out, t, t);
	return bpf_redirect(to->ifindex, 0);
}

/* A tag beside the frame is a tag; skb->len does not know it. */
static __always_inline void take_hw_tag(struct frame *f, const struct __sk_buff *skb)
{
	if (!skb->vlan_present)
		return;
	f->stacked = f->inband || skb->vlan_proto != bpf_htons(ETH_P_8021Q);
	f->tagged = 1;
	f->tci = skb->vlan_tci;
	f->vid = f->tci & VLAN_VID;
}

static __always_inline int tc_malformed(struct __sk_buff *skb)
{
	struct scene s = {0};
	struct tally t = tally_one(skb->len);

	if (!scene_open(&s, skb->ifindex))
		count_drop(s.in, &t, VP_DROP_MALFORMED);
	return TC_ACT_SHOT;
}

/*
 * Have the first bytes in one piece.  Mostly they are; and of a frame that its sender's stack keeps a clone of, the
 * kernel would copy the head for us.
 */
static __always_inline void tc_pull(struct __sk_buff *skb, __u32 need)
{
	if ((void *)(long)skb->data + need > (void *)(long)skb->data_end)
		bpf_skb_pull_data(skb, skb->len < need ? skb->len : need);
}

/*
 * The UDP header in each frame that a superframe is cut into.  There are two kinds: datagrams of a size, and one
 * datagram that becomes fragments, of which only the first has it (and it counts as payload).  Kernels that cannot be
 * asked (before 6.2) take only the latter from a TAP.
 */
static __always_inline int tc_udp_header(struct __sk_buff *skb)
{
	if (!vp_live)
		return 0;
	struct sk_buff *b = bpf_rdonly_cast(bpf_cast_to_kern_ctx(skb), bpf_core_type_id_kernel(struct sk_buff));
	struct skb_shared_info *shared =
		bpf_rdonly_cast(b->head + b->end, bpf_core_type_id_kernel(struct skb_shared_info));

	return shared->gso_type & GSO_UDP_FRAGMENTS ? 0 : sizeof(struct udphdr);
}

/* L2 to L4 headers of a superframe: every frame it is cut into repeats them, one tag in the frame included. */
static __always_inline __u32 tc_headers(struct __sk_buff *skb, const struct frame *f, __u32 gso)
{
	__u32 l2 = frame_header(f);
	int udp = tc_udp_header(skb);
	int rest = headers_from(f->inner, (void *)(long)skb->data + l2, (void *)(long)skb->data_end, udp);

	if (rest < 0) {
		tc_pull(skb, gso == GSO_BY_FRAGS ? TC_LEAST : TC_HEADERS);
		rest = headers_from(f->inner, (void *)(long)skb->data + l2, (void *)(long)skb->data_end, udp);
	}
	return rest < 0 ? l2 : l2 + rest;
}

/*
 * All that is read from the frame and its socket buffer, verified by itself as xdp_look().  Returns how long the
 * largest frame is that goes on the wire, -1 = shorter than a header.
 */
__noinline int tc_look(struct __sk_buff *skb, struct frame *f, struct tally *t)
{
	__u32 len = skb->len, gso = skb->gso_size, beside = skb->vlan_present ? VLAN_LEN : 0, header;

	if (!f || !t)
		return -1;
	tc_pull(skb, ETH_HLEN + VLAN_LEN);
	if (frame_read(f, (void *)(long)skb->data, (void *)(long)skb->data_end, len))
		return -1;
	take_hw_tag(f, skb);
	header = gso ? tc_headers(skb, f, gso) : 0;
	gso = gso_step(len, header, gso, skb->gso_segs);
	*t = gso ? tally_gso(len, header, gso) : tally_one(len);
	t->bytes += beside * t->packets;
	return gso && header + gso < len ? header + gso : len;
}

SEC("tc")
int vp_tc_in(struct __sk_buff *skb)
{
	struct scene s = {0};
	struct tally t = {0};
	struct flow_key k = {0};
	int wire_len = tc_look(skb, &s.f, &t), act;

	IN_MEMORY(k);
	if (wire_len < 0)
		return tc_malformed(skb);
	if (!s.f.tagged)
		flow_key(&k, s.f.dst, s.f.src, skb->ifindex, FLOW_TC);
	act = tc_again(skb, &k, &t, wire_len);
	if (act >= 0)
		return act;
	if (scene_open(&s, skb->ifindex))
		return TC_ACT_SHOT;
	decide(&s);
	return tc_act(&s, skb, &k, &t, wire_len);
}

/*
 * Only what came in through a port may go out through one.  The host's own frames have no ingress device; what it
 * routes or bridges to here has one that is no port.
 */
SEC("tc")
int vp_tc_out(struct __sk_buff *skb)
{
	return port_id(skb->ingress_ifindex) ? TC_ACT_OK : TC_ACT_SHOT;
}

#endif
