/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The accelerator.  XDP carries a frame if its class is safe here and its target takes XDP frames; whatever else it
 * passes to tc on the same port, with nothing counted and nothing changed, and tc decides it anew.
 */
#ifndef XDP_H
#define XDP_H

#include "count.h"
#include "flow.h"
#include "settle.h"

#define XDP_FLOOD_BYTES 3000 /* a clone is one page with headroom (KERNEL.md section 4) */

/* What is flooded, in numbers only: so the verifier goes through a walk once, by itself, whoever asks. */
struct xdp_flood {
	__u32 bank, seg, in, len, inband, vid;
};

/* Loop over the members of a flood: one word of result, since 6.1 examines one turn of the callback only. */
struct xdp_walk {
	const struct vp_segment *segment;
	struct xdp_flood q;
	__u32 blocked; /* somebody cannot be served by XDP; only ever set (see tc.h) */
	__u32 served;
};

static long xdp_walk_check(__u32 i, void *ctx)
{
	struct xdp_walk *w = ctx;
	const struct vp_member *m = member_of(w->q.bank, w->segment->first + i);
	const struct vp_port *port;
	struct live target;

	if (!m || m->port == w->q.in)
		return 0;
	port = port_of(w->q.bank, m->port);
	if (port)
		device_live(m->port, port, &target);
	if (!port || m->vid != w->q.vid || !target.up || !target.xmit || !device_fits(&target, w->q.len, w->q.inband)) {
		w->blocked = 1;
		return 1;
	}
	w->served = 1;
	return 0;
}

static long xdp_walk_count(__u32 i, void *ctx)
{
	struct xdp_walk *w = ctx;
	const struct vp_member *m = member_of(w->q.bank, w->segment->first + i);
	struct tally t = tally_one(w->q.len);

	if (m && m->port != w->q.in)
		count_tx(m->port, &t);
	return 0;
}

static __always_inline int xdp_vouch(struct xdp_md *ctx, const struct scene *s)
{
	return s->sound ? 0 : vouch_apart(ctx, VOUCH(s->f.inner, frame_header(&s->f)), s->in, s->flags);
}

/* The segment's devmap, in which its members are that XDP can serve; NULL where there is none. */
static __always_inline void *flood_of(__u32 bank, __u32 seg)
{
	__u32 at = vp_bank_index(bank, VP_MAX_SEGMENTS, seg);

	return bpf_map_lookup_elem(&vp_floods, &at);
}

/* Of a plane without that segment there is nothing to walk: -1. */
static __always_inline int xdp_walk_open(struct xdp_walk *w, const struct xdp_flood *q)
{
	w->segment = q ? segment_of(q->bank, q->seg) : 0;
	if (!w->segment)
		return -1;
	w->q = *q;
	return 0;
}

/* Can all members have it? */
__noinline int xdp_flood_can(const struct xdp_flood *q)
{
	struct xdp_walk w = {0};

	if (xdp_walk_open(&w, q) || !(w.segment->flags & VP_SEG_XDP_FLOOD) || w.q.len > XDP_FLOOD_BYTES)
		return 0;
	bpf_loop(w.segment->count, xdp_walk_check, &w, 0);
	return !w.blocked && w.served && flood_of(q->bank, q->seg);
}

/* They can: count, write the checksum, send. */
__noinline int xdp_flood_send(struct xdp_md *ctx, const struct xdp_flood *q, __u32 fill)
{
	struct xdp_walk w = {0};
	void *flood = q ? flood_of(q->bank, q->seg) : 0;
	struct tally t;

	if (!flood || xdp_walk_open(&w, q))
		return XDP_PASS;
	t = tally_one(w.q.len);
	count_flood(w.q.in, &t);
	bpf_loop(w.segment->count, xdp_walk_count, &w, 0);
	csum_fill(ctx, fill, 0);
	return bpf_redirect_map(flood, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
}

static __always_inline struct xdp_flood xdp_flood(const struct scene *s)
{
	struct xdp_flood q = {
		.bank = s->bank, .seg = s->seg, .in = s->in, .len = s->f.len, .inband = s->f.inband, .vid = s->f.vid,
	};

	return q;
}

/* Give the frame the tag `vid`, or none. Nothing has happened to it if that fails for want of headroom. */
static __always_inline int xdp_retag(struct xdp_md *ctx, const struct frame *f, __u32 vid)
{
	int shrink = (f->tagged ? VLAN_LEN : 0) - (vid ? VLAN_LEN : 0);

	if (shrink && bpf_xdp_adjust_head(ctx, shrink))
		return -1;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct vlan_view *tag = (void *)(eth + 1);
	void *end = (void *)(long)ctx->data_end;

	/* Neither check can fail: the frame had a header before it grew, and one with its tag before it shrank. */
	if ((void *)(eth + 1) > end)
		return -1;
	mac_store(eth->h_dest, f->dst);
	mac_store(eth->h_source, f->src);
	if (!vid)
		return 0;
	if ((void *)(tag + 1) > end)
		return -1;
	eth->h_proto = bpf_htons(ETH_P_8021Q);
	tag->tci = bpf_htons((f->tci & VLAN_PRIORITY) | vid);
	return 0;
}

/* All is settled: write the checksum, send and count. `leaving`: what of it goes out. */
static __always_inline int xdp_send(struct xdp_md *ctx, __u32 in, __u32 out, __u32 fill, const struct tally *t,
				    const struct tally *leaving)
{
	csum_fill(ctx, fill, leaving->bytes - t->bytes);
	if (bpf_redirect_map(&vp_targets, out, XDP_DROP) != XDP_REDIRECT) { /* gone since we looked */
		count_drop(in, t, VP_DROP_PEER_DOWN);
		return XDP_DROP;
	}
	count_forward(in, out, t, leaving);
	return XDP_REDIRECT;
}

/* A frame in several buffers is refused by a TAP, after the program has ended. */
static __always_inline int xdp_can_send(struct xdp_md *ctx, const struct scene *s)
{
	return s->target.xmit && s->f.len == ctx->data_end - ctx->data &&
	       device_fits(&s->target, s->f.len, s->f.inband);
}

/*
 * Can XDP do what was decided?  -1: no, it is for tc, and nothing has happened yet.  Else the frame has the tag that it
 * leaves with, and what csum_fill() is to do is returned.
 */
static __always_inline int xdp_can(struct xdp_md *ctx, const struct scene *s, int may_retag)
{
	int fill;

	if (s->verdict == VERDICT_DROP)
		return 0;
	if (s->verdict == VERDICT_FLOOD) {
		struct xdp_flood q = xdp_flood(s);

		return s->f.len == ctx->data_end - ctx->data && xdp_flood_can(&q) ? xdp_vouch(ctx, s) : -1;
	}
	fill = xdp_can_send(ctx, s) ? xdp_vouch(ctx, s) : -1;
	if (fill < 0 || s->tag == s->f.vid)
		return fill;
	return may_retag && !xdp_retag(ctx, &s->f, s->tag) ? fill : -1;
}

static __always_inline int xdp_act(struct xdp_md *ctx, const struct scene *s, const struct flow_key *k, __u32 fill)
{
	struct tally t = tally_one(s->f.len), leaving = tally_leaving(&t, &s->f, s->tag);

	if (s->verdict == VERDICT_DROP) {
		count_drop(s->in, &t, s->reason);
		return XDP_DROP;
	}
	if (s->verdict == VERDICT_FLOOD) {
		struct xdp_flood q = xdp_flood(s);

		if (mac_is_group(s->f.dst) && !mac_is_broadcast(s->f.dst))
			flow_remember(k, s, 0, s->f.len - ETH_HLEN);
		return xdp_flood_send(ctx, &q, fill);
	}
	flow_remember(k, s, s->out, s->target.mtu);
	return xdp_send(ctx, s->in, s->out, fill, &t, &leaving);
}

/*
 * All that is read from the frame: its header and class; -1 = shorter than a header.  A global function, which the
 * verifier goes through once, by itself: of what it returns and writes the callers know nothing, and so go on with one
 * case.
 */
__noinline int xdp_look(struct xdp_md *ctx, struct frame *f)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (!f || frame_read(f, data, end, xdp_length(ctx)))
		return -1;
	return classify(f, data, end);
}

static __always_inline int xdp_flood_again(struct xdp_md *ctx, const struct flow_key *k, const struct flow_way *was,
					   __u32 fill)
{
	struct xdp_flood q = {
		.bank = k->bank, .seg = was->segment, .in = was->in, .len = ctx->data_end - ctx->data,
	};

	return xdp_flood_send(ctx, &q, fill);
}

/* The short way, for a frame whose like was just decided. -1: it was not; `k` is what to remember it by then. */
static __always_inline int xdp_again(struct xdp_md *ctx, struct flow_key *k)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct tally t = tally_one(end - data);
	struct flow_way was;
	struct ethhdr *eth = data;
	__u16 proto;
	int fill;

	if ((void *)(eth + 1) > end)
		return -1;
	proto = bpf_ntohs(*(const __be16 *)(data + 2 * ETH_ALEN));
	if (is_vlan(proto))
		return -1;
	flow_key(k, mac_load(eth->h_dest), mac_load(eth->h_source), ctx->ingress_ifindex, FLOW_XDP);
	if (flow_recall(k, &was) || xdp_length(ctx) != t.bytes || !flow_fits(&was, t.bytes))
		return -1;
	fill = vouch(ctx, VOUCH(proto, ETH_HLEN), was.in, was.flags);
	if (fill < 0)
		return XDP_PASS;
	if (!was.out)
		return xdp_flood_again(ctx, k, &was, fill);
	return xdp_send(ctx, was.in, was.out, fill, &t, &t);
}

static __always_inline int xdp_first(struct xdp_md *ctx, const struct flow_key *k, int may_retag)
{
	struct scene s = {0};
	int class = xdp_look(ctx, &s.f), fill;

	if (class < 0 || scene_open(&s, ctx->ingress_ifindex) || !device_is_in(ctx))
		return XDP_PASS;
	if (!(s.flags & VP_PORT_XDP) || !class_is_xdp(ctx, class, s.in, s.flags, s.f.len))
		return XDP_PASS;
	s.sound = class == CLASS_PLAIN || s.flags & VP_PORT_FINISHED;
	decide(&s);
	fill = xdp_can(ctx, &s, may_retag);
	if (fill < 0) {
		if (!frame_is_runt(&s.f))
			return XDP_PASS;
		s.learn = 0;
		drop(&s, VP_DROP_MALFORMED);
	}
	settle(&s, 1);
	return xdp_act(ctx, &s, k, fill);
}

static __always_inline int xdp_run(struct xdp_md *ctx, int may_retag)
{
	struct flow_key k = {0};
	int act;

	IN_MEMORY(k);
	act = xdp_again(ctx, &k);
	return act < 0 ? xdp_first(ctx, &k, may_retag) : act;
}

SEC("xdp.frags")
int vp_xdp(struct xdp_md *ctx)
{
	return xdp_run(ctx, 1);
}

/*
 * The same for one port with `mode: generic`, loaded when one asks for it.  There a program must take its frames in one
 * buffer: for one that takes several the kernel makes a new socket buffer without noting its header's length, and tc
 * would then see the frame without its Ethernet header (tests/kernel/generic_frags_lose_header.c).
 */
SEC("?xdp")
int vp_xdp_skb(struct xdp_md *ctx)
{
	return xdp_run(ctx, 1);
}

/*
 * The same behind libxdp's dispatcher (`attach: shared`).  Newer kernels (6.12 of Debian's backports) let no program
 * that moves a frame's head extend one that doesn't, and libxdp 1.3's dispatcher doesn't: frames whose tag changes are
 * for tc.
 */
SEC("?xdp.frags")
int vp_xdp_ext(struct xdp_md *ctx)
{
	return xdp_run(ctx, 0);
}

extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md *ctx, __be16 *proto, __u16 *tci) __ksym __weak;

/*
 * The same for one veth, to which it is bound when it is loaded: only then may it ask for the tag that a veth carries
 * beside the frame, and which a redirect would lose.  A tagged frame is for tc.
 *
 * The dead instructions make room: the kernel remembers such a program by its address before verification, and would
 * follow a stale one if the program outgrew its pages while it is rewritten (docs/design.md).  How many: so that the
 * vector bound_program_has_room is green.
 */
SEC("?xdp.frags")
int vp_xdp_bound(struct xdp_md *ctx)
{
	__be16 proto;
	__u16 tci;

	if (vp_room)
		asm volatile(".rept 320; r0 = 0; .endr" ::: "r0");
	if (!bpf_xdp_metadata_rx_vlan_tag(ctx, &proto, &tci))
		return XDP_PASS;
	return xdp_run(ctx, 1);
}

#endif
