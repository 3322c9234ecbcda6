/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "vector.h"

#define MACS 32

uint64_t vector_reasons;

/* What the world should look like after a run. */
struct expected {
	struct vp_counters counters[RIG_PORTS];
	struct scene_mac macs[MACS];
	unsigned int n_macs;
	struct vp_state state[RIG_PORTS];
	struct vp_mac_key ticket;
	bool has_ticket;
};

/* ---- counters ---- */

void counters_read(struct vp_counters *c)
{
	int cpus = libbpf_num_possible_cpus();
	struct vp_counters *each = calloc(cpus, sizeof(*each));
	uint32_t port;

	memset(c, 0, RIG_PORTS * sizeof(*c));
	for (port = 0; each && port < RIG_PORTS; port++) {
		if (bpf_map_lookup_elem(rig.map.counters, &port, each))
			continue;
		for (int cpu = 0; cpu < cpus; cpu++)
			for (unsigned int i = 0; i < sizeof(*c) / 8; i++)
				((__u64 *)&c[port])[i] += ((__u64 *)&each[cpu])[i];
	}
	free(each);
}

static const char *counter_name(unsigned int i)
{
	static const char *const plain[] = { "rx_packets", "rx_bytes", "tx_packets", "tx_bytes",
					     "forwarded",  "flooded",  "passed" };
	static const char *const events[] = {
#define X(e, w, t) "event " #w,
		VP_EVENTS(X)
#undef X
	};
	static const char *const drops[] = { "drop none",
#define X(e, w, t) "drop " #w,
					     VP_REASONS(X)
#undef X
	};

	if (i < 7)
		return plain[i];
	i -= 7;
	if (i == VP_SUPERFRAMES)
		return "superframes";
	if (i < VP_EVENT_ROOM)
		return i < VP_EVENT_COUNT ? events[i] : "event of later";
	i -= VP_EVENT_ROOM;
	return i < VP_REASON_COUNT ? drops[i] : "drop of later";
}

bool counters_expect(const struct vp_counters *want)
{
	struct vp_counters have[RIG_PORTS];
	char what[64];
	bool ok = true;

	counters_read(have);
	for (unsigned int port = 0; port < RIG_PORTS; port++) {
		const __u64 *h = (const __u64 *)&have[port], *w = (const __u64 *)&want[port];

		for (unsigned int i = 0; i < sizeof(*want) / 8; i++) {
			snprintf(what, sizeof(what), "port %s, %s", port ? rig_port_name[port] : "0", counter_name(i));
			ok &= expect_u64(what, h[i], w[i]);
		}
	}
	return ok;
}

static enum vp_event event_of(enum source s)
{
	switch (s) {
	case LEARNED:
		return VP_EVENT_LEARNED;
	case MOVED:
		return VP_EVENT_MOVED;
	case OVER_QUOTA:
		return VP_EVENT_QUOTA;
	case NO_ROOM:
		return VP_EVENT_TABLE_FULL;
	case FLAPPING:
		return VP_EVENT_FLAPPING;
	default:
		return VP_EVENT_COUNT;
	}
}

static void want_counters(struct expected *e, const struct vector *v, enum fate fate)
{
	__u64 packets = v->packets ? v->packets : 1, bytes = v->bytes ? v->bytes : v->frame->len;
	struct vp_counters *in = &e->counters[v->in];
	const uint8_t *out;

	in->rx_packets = packets;
	in->rx_bytes = bytes;
	if (fate == FORWARD)
		in->forwarded = packets;
	else if (fate == FLOOD)
		in->flooded = packets;
	else
		in->drops[v->reason] = packets;
	if (event_of(v->source) != VP_EVENT_COUNT)
		in->events[event_of(v->source)] = 1;
	in->events[VP_EVENT_DUPLICATE] = v->duplicate;
	in->events[VP_SUPERFRAMES] = v->gso_size ? packets : 0;
	for (out = v->out; *out; out++) {
		e->counters[*out].tx_packets = packets;
		e->counters[*out].tx_bytes = bytes;
	}
	for (out = v->to; *out; out++) {
		e->counters[*out].tx_packets = packets;
		e->counters[*out].tx_bytes = bytes + packets * v->other->len - packets * v->frame->len;
	}
}

static uint32_t segment_of(const struct vector *v, const struct scene *s)
{
	return v->segment ? v->segment : s->ports[v->in].segment;
}

/* ---- MAC table and memory ---- */

static int mac_order(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct vp_mac_key));
}

static unsigned int macs_read(struct scene_mac *macs)
{
	struct vp_mac_key *prev = NULL, key;
	unsigned int n = 0;

	while (n < MACS && !bpf_map_get_next_key(rig.map.macs, prev, &key)) {
		macs[n].key = key;
		if (bpf_map_lookup_elem(rig.map.macs, &key, &macs[n].mac))
			break;
		prev = &macs[n++].key;
	}
	qsort(macs, n, sizeof(*macs), mac_order);
	return n;
}

static void mac_text(char *text, size_t size, const struct scene_mac *m)
{
	const __u8 *a = m->key.mac;

	snprintf(text, size, "segment %u %02x:%02x:%02x:%02x:%02x:%02x port %u flags %u incarnation %u tick %u",
		 m->key.segment, a[0], a[1], a[2], a[3], a[4], a[5], m->mac.port, m->mac.flags, m->mac.incarnation,
		 m->mac.tick);
}

static bool macs_expect(const struct expected *e)
{
	struct scene_mac have[MACS] = { 0 };
	unsigned int n = macs_read(have), i;
	char h[128] = "nothing", w[128] = "nothing";

	for (i = 0; i < n && i < e->n_macs; i++)
		if (memcmp(&have[i], &e->macs[i], sizeof(have[i])))
			break;
	if (i == n && i == e->n_macs)
		return true;
	if (i < n)
		mac_text(h, sizeof(h), &have[i]);
	if (i < e->n_macs)
		mac_text(w, sizeof(w), &e->macs[i]);
	test_fail("MAC table has %s, expected %s", h, w);
	return false;
}

/* The source's entry among the expected ones; made if it is not there. */
static struct scene_mac *want_source(struct expected *e, const struct vector *v, const struct scene *s)
{
	struct scene_mac *m;
	unsigned int i;

	for (i = 0; i < e->n_macs; i++) {
		m = &e->macs[i];
		if (m->key.segment == segment_of(v, s) && !memcmp(m->key.mac, v->frame->b + 6, 6))
			return m;
	}
	m = &e->macs[e->n_macs++];
	memset(m, 0, sizeof(*m));
	m->key.segment = segment_of(v, s);
	memcpy(m->key.mac, v->frame->b + 6, 6);
	return m;
}

/* With the move that is to come. */
static unsigned int moves_of(const struct vp_mac *mac, const struct scene *s)
{
	return 1 + (mac->tick == s->now ? VP_MAC_MOVES(mac->flags) : 0);
}

static void want_macs(struct expected *e, const struct vector *v, const struct scene *s)
{
	struct scene_mac *m;

	if (v->source != LEARNED && v->source != MOVED && v->source != REFRESHED)
		return;
	m = want_source(e, v, s);
	if (v->source == MOVED && m->mac.incarnation == s->ports[m->mac.port].incarnation)
		e->state[m->mac.port].learned--;
	if (v->source != REFRESHED)
		e->state[v->in].learned++;
	m->mac.flags = v->source == MOVED ? moves_of(&m->mac, s) << VP_MAC_MOVES_SHIFT : 0;
	m->mac.port = v->in;
	m->mac.incarnation = s->ports[v->in].incarnation;
	m->mac.tick = s->now;
	if (v->source == LEARNED) {
		e->ticket = m->key;
		e->has_ticket = true;
	}
}

/* The rate counts what it has to judge: broadcasts in a segment that nothing before it has dropped. */
static void want_storm(struct expected *e, const struct vector *v, const struct scene *s)
{
	struct vp_state *state = &e->state[v->in];

	if (!s->ports[v->in].broadcast_pps || memcmp(v->frame->b, MAC_BROADCAST, 6) || s->ports[v->in].peer)
		return;
	if (state->storm_tick != s->now)
		state->storm_count = 0;
	state->storm_tick = s->now;
	e->counters[v->in].events[VP_EVENT_STORM] = state->storm_count == s->ports[v->in].broadcast_pps;
	state->storm_count++;
}

static bool state_expect(const struct vp_state *want)
{
	struct vp_state have;
	char what[64];
	bool ok = true;

	for (uint32_t port = 0; port < RIG_PORTS; port++) {
		const __u32 *h = (const __u32 *)&have, *w = (const __u32 *)&want[port];
		static const char *const names[] = { "learned", "unfinished", "storm_tick", "storm_count" };

		if (!expect_ok("vp_state", bpf_map_lookup_elem(rig.map.state, &port, &have)))
			return false;
		for (unsigned int i = 0; i < 4; i++) {
			snprintf(what, sizeof(what), "port %s, vp_state.%s", port ? rig_port_name[port] : "0",
				 names[i]);
			ok &= expect_u64(what, h[i], w[i]);
		}
	}
	return ok;
}

static bool tickets_expect(const struct expected *e)
{
	struct vp_mac_key have;
	unsigned int n = 0;
	bool ok = true;

	while (!bpf_map_lookup_and_delete_elem(rig.map.sweep, NULL, &have)) {
		n++;
		if (e->has_ticket)
			ok &= expect_bytes("ticket", &have, sizeof(have), &e->ticket, sizeof(have));
	}
	return expect_u64("tickets", n, e->has_ticket) && ok;
}

/* ---- the frame ---- */

/* The frame that this port gets, or NULL. */
static const struct frame *copy_for(const struct vector *v, unsigned int port)
{
	if (memchr(v->out, port, sizeof(v->out)))
		return v->frame;
	return memchr(v->to, port, sizeof(v->to)) ? v->other : NULL;
}

/*
 * What the program leaves of the frame: its other form if anybody got that (a flood ends with those).  A tag that tc
 * gives lies beside the frame, where test_run doesn't show it; the copies at the TAPs have it.
 */
static void frame_after(const struct vector *v, enum prog prog, enum fate fate, struct frame *out)
{
	bool other = v->other && (fate == FORWARD || fate == FLOOD);

	*out = other ? *v->other : *v->frame;
	if (!other || prog != PROG_TC || out->b[12] != 0x81 || out->b[13] != 0x00)
		return;
	memmove(out->b + 12, out->b + 16, out->len - 16);
	out->len -= 4;
}

/* tc floods with real copies, also in a test run: the ones to TAPs can be read. Nothing else may arrive anywhere. */
static bool copies_expect(const struct vector *v, bool flooded)
{
	uint8_t got[FRAME_MAX];
	char what[64];
	bool ok = true;

	for (unsigned int port = 1; port < RIG_PORTS; port++) {
		ssize_t n;

		if (rig.tap[port] < 0)
			continue;
		n = read(rig.tap[port], got, sizeof(got));
		snprintf(what, sizeof(what), "copy at port %s", rig_port_name[port]);
		const struct frame *f = copy_for(v, port);

		if (flooded && f)
			ok &= expect_bytes(what, got, n > 0 ? n : 0, f->b, f->len);
		else
			ok &= expect_u64(what, n > 0 ? n : 0, 0);
		if (n > 0)
			ok &= expect_u64("a second copy", read(rig.tap[port], got, sizeof(got)) > 0, 0);
	}
	return ok;
}

int action_of(enum prog prog, enum fate fate)
{
	if (prog == PROG_XDP)
		return fate == PASSED ? XDP_PASS : fate == DROP ? XDP_DROP : XDP_REDIRECT;
	return fate == FORWARD ? TC_ACT_REDIRECT : TC_ACT_SHOT;
}

/* ---- runs ---- */

static void want(struct expected *e, const struct vector *v, const struct scene *s, enum prog prog, enum fate fate)
{
	memset(e, 0, sizeof(*e));
	memcpy(e->state, s->state, sizeof(e->state));
	memcpy(e->macs, s->macs, s->n_macs * sizeof(s->macs[0]));
	e->n_macs = s->n_macs;
	if (prog == PROG_XDP && v->taints)
		e->state[v->in].unfinished = 1;
	if (fate != PASSED) {
		want_counters(e, v, fate);
		want_macs(e, v, s);
		want_storm(e, v, s);
	}
	qsort(e->macs, e->n_macs, sizeof(e->macs[0]), mac_order);
}

static bool stated(const struct vector *v)
{
	return expect_true("both fates and the source's are stated", v->xdp && v->tc && v->tc != PASSED && v->source) &&
	       expect_true("a drop has a reason and nothing else has", (v->tc == DROP) == (v->reason != NONE)) &&
	       expect_true("XDP and tc agree", v->xdp == PASSED || v->xdp == v->tc);
}

static bool check(const struct vector *v, const struct scene *s, enum prog prog, struct rig_run *run)
{
	enum fate fate = prog == PROG_XDP ? v->xdp : v->tc;
	struct frame after;
	struct expected e;
	bool ok;

	want(&e, v, s, prog, fate);
	ok = expect_u64("action", run->retval, action_of(prog, fate));
	frame_after(v, prog, fate, &after);
	ok &= expect_bytes("frame out", run->out, run->out_len, after.b, after.len);
	ok &= counters_expect(e.counters);
	ok &= macs_expect(&e);
	ok &= state_expect(e.state);
	ok &= tickets_expect(&e);
	ok &= copies_expect(v, prog == PROG_TC && fate == FLOOD);
	if (ok && prog == PROG_TC && fate == DROP)
		vector_reasons |= 1ULL << v->reason;
	return ok;
}

bool vector_once(const struct vector *v, enum prog prog, uint32_t bank)
{
	struct rig_run run = { .gso_size = v->gso_size, .gso_segs = v->gso_size ? v->packets : 0 };
	struct scene s = { 0 };

	if (!stated(v))
		return false;
	s.now = RIG_NOW;
	v->scene(&s);
	if (!expect_ok("scene", scene_apply(&s, bank)) ||
	    !expect_ok("test_run", rig_run(prog, v->in, v->frame, &run)))
		return false;
	return check(v, &s, prog, &run);
}

void vector_run(const struct vector *v)
{
	static const char *const names[] = { [PROG_XDP] = "xdp", [PROG_TC] = "tc" };

	if (v->live_only && !rig.live)
		return;
	for (enum prog prog = v->gso_size ? PROG_TC : PROG_XDP; prog <= (v->xdp_only ? PROG_XDP : PROG_TC); prog++) {
		for (uint32_t bank = 0; bank < 2; bank++) {
			if (!test_begin("%s [%s, bank %u%s]", v->name, names[prog], bank, rig.live ? "" : ", blind"))
				continue;
			vector_once(v, prog, bank);
			test_end();
		}
	}
}

void vectors_run(const struct vector *v, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		vector_run(&v[i]);
	frames_reset();
}
