/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is told in the ring: every field of a record, at most so many of one port in a tick, and the ring's end. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <bpf/bpf.h>

#include "vector.h"

#define A_TICK 256 /* EVENTS_A_TICK */

static struct vp_events *ring; /* a copy */

static bool ring_read(void)
{
	uint32_t zero = 0;

	ring = ring ? ring : calloc(1, sizeof(*ring));
	return expect_true("memory", ring) && expect_ok("ring", bpf_map_lookup_elem(rig.map.events, &zero, ring));
}

static bool ring_begin(uint64_t head)
{
	uint32_t zero = 0;

	if (!ring_read())
		return false;
	memset(ring, 0xee, sizeof(*ring));
	ring->head = head;
	return expect_ok("ring", bpf_map_update_elem(rig.map.events, &zero, ring, BPF_ANY));
}

static bool told_begin(uint32_t port, const struct vp_told *told)
{
	return expect_ok("vp_told", bpf_map_update_elem(rig.map.told, &port, told, BPF_ANY));
}

static void told_expect(uint32_t port, uint32_t count, uint32_t missed)
{
	struct vp_told told = { 0 };

	if (!expect_ok("vp_told", bpf_map_lookup_elem(rig.map.told, &port, &told)))
		return;
	expect_u64("tick", told.tick, RIG_NOW);
	expect_u64("told in this tick", told.count, count);
	expect_u64("missed", told.missed, missed);
}

static bool send_one(enum prog prog, unsigned int in, const struct frame *f)
{
	struct rig_run run = { 0 };

	return expect_ok("test_run", rig_run(prog, in, f, &run));
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void record_expect(uint64_t number, const struct vp_record *want, uint64_t begun)
{
	struct vp_record have = ring->record[number % VP_MAX_RECORDS];

	expect_u64("number", have.number, number);
	expect_true("time", have.ktime >= begun && have.ktime <= now_ns());
	expect_u64("what", have.what, want->what);
	expect_u64("port", have.port, want->port);
	expect_u64("other", have.other, want->other);
	expect_u64("segment", have.segment, want->segment);
	expect_bytes("mac", have.mac, 6, want->mac, 6);
	expect_u64("incarnation", have.incarnation, want->incarnation);
	expect_u64("other's incarnation", have.other_incarnation, want->other_incarnation);
	expect_u64("missed", have.missed, want->missed);
	expect_u64("generation", have.generation, 0);
	expect_u64("name", have.name[0], 0);
}

static void lan_plain(struct scene *s)
{
	lan(s);
}

static void lan_c_twice(struct scene *s)
{
	lan(s);
	s->macs[1].mac.tick = s->now;
}

static void lan_storm(struct scene *s)
{
	lan(s);
	s->ports[A].broadcast_pps = 10;
	s->state[A].storm_tick = s->now;
	s->state[A].storm_count = 10;
}

struct told_case {
	const char *name;
	scene_fn scene;
	struct frame *frame; /* from A */
	struct vp_record want[2];
	unsigned int n;
};

static void told_run(const struct told_case *c, enum prog prog)
{
	struct scene s = { .now = RIG_NOW };
	const struct vp_told fresh = { 0 };
	uint64_t begun = now_ns();

	if (!test_begin("%s [%s%s]", c->name, prog == PROG_XDP ? "xdp" : "tc", rig.live ? "" : ", blind"))
		return;
	c->scene(&s);
	expect_ok("scene", scene_apply(&s, 0));
	if (told_begin(A, &fresh) && ring_begin(7) && send_one(prog, A, c->frame) && ring_read()) {
		expect_u64("head", ring->head, 7 + c->n);
		for (unsigned int i = 0; i < c->n; i++)
			record_expect(8 + i, &c->want[i], begun);
		told_expect(A, c->n, 0);
	}
	test_end();
}

#define RECORD(w, ...) { .what = VP_EVENT_##w, .port = A, .segment = 1, .incarnation = A + 100, __VA_ARGS__ }

static void told(void)
{
	const struct told_case cases[] = {
		{ "learned_is_told", lan_plain, arp(eth(MAC_B, MAC_NEW)), { RECORD(LEARNED) }, 1 },
		{ "moved_is_told_with_the_former_port", lan_plain, arp(eth(MAC_B, MAC_C)),
		  { RECORD(MOVED, .other = C, .other_incarnation = C + 100) }, 1 },
		{ "duplicate_is_told_before_it_moves", lan_c_twice, arp(eth(MAC_B, MAC_C)),
		  { RECORD(DUPLICATE, .other = C, .other_incarnation = C + 100),
		    RECORD(MOVED, .other = C, .other_incarnation = C + 100) }, 2 },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (int prog = PROG_XDP; prog <= PROG_TC; prog++) {
			struct told_case c = cases[i];

			for (unsigned int k = 0; k < c.n; k++)
				memcpy(c.want[k].mac, c.frame->b + 6, 6);
			told_run(&c, prog);
		}
	}
}

/* When the rate is passed, and not again in that tick. */
static void storm_is_told_once(void)
{
	struct scene s = { .now = RIG_NOW };
	struct frame *f = arp(eth(MAC_BROADCAST, MAC_A));
	struct vp_record want = RECORD(STORM);
	const struct vp_told fresh = { 0 };
	uint64_t begun = now_ns();

	if (!test_begin("storm_is_told_once_a_tick%s", rig.live ? "" : " [blind]"))
		return;
	lan_storm(&s);
	memcpy(want.mac, f->b + 6, 6);
	expect_ok("scene", scene_apply(&s, 0));
	if (told_begin(A, &fresh) && ring_begin(0) && send_one(PROG_TC, A, f) && send_one(PROG_TC, A, f) &&
	    ring_read()) {
		expect_u64("head", ring->head, 1);
		record_expect(1, &want, begun);
	}
	test_end();
}

/* The last one that is admitted, one that is not, and the first of the next tick, which tells how many were not. */
static void limit(enum prog prog)
{
	const struct vp_told almost = { .tick = RIG_NOW, .count = A_TICK - 1 };
	const struct vp_told before = { .tick = RIG_NOW - 1, .count = A_TICK, .missed = 3 };
	struct scene s = { .now = RIG_NOW };
	struct vp_record want = RECORD(LEARNED, .missed = 3);
	struct frame *one = arp(eth(MAC_B, MAC_NEW)), *two = arp(eth(MAC_B, MAC_D));
	struct vp_counters have[RIG_PORTS];
	uint64_t begun = now_ns();

	if (!test_begin("a_port_is_told_of_so_often_and_no_more [%s%s]", prog == PROG_XDP ? "xdp" : "tc",
			rig.live ? "" : ", blind"))
		return;
	lan(&s);
	memcpy(want.mac, one->b + 6, 6);
	expect_ok("scene", scene_apply(&s, 0));
	if (told_begin(A, &almost) && ring_begin(0) && send_one(prog, A, one) && send_one(prog, A, two) &&
	    ring_read()) {
		expect_u64("head", ring->head, 1);
		told_expect(A, A_TICK, 1);
		counters_read(have);
		expect_u64("both are counted", have[A].events[VP_EVENT_LEARNED], 2);
	}
	expect_ok("scene", scene_apply(&s, 0));
	if (told_begin(A, &before) && ring_begin(0) && send_one(prog, A, one) && ring_read()) {
		expect_u64("head", ring->head, 1);
		record_expect(1, &want, begun);
		told_expect(A, 1, 0);
	}
	test_end();
}

/* The oldest goes, the others stay as they are. */
static void round_the_corner(void)
{
	const uint64_t last = 3 * VP_MAX_RECORDS - 1;
	struct scene s = { .now = RIG_NOW };
	struct frame *one = arp(eth(MAC_B, MAC_NEW)), *two = arp(eth(MAC_B, MAC_D));
	const struct vp_told fresh = { 0 };

	if (!test_begin("ring_goes_on_at_its_beginning%s", rig.live ? "" : " [blind]"))
		return;
	lan(&s);
	expect_ok("scene", scene_apply(&s, 0));
	if (told_begin(A, &fresh) && ring_begin(last - 1) && send_one(PROG_TC, A, one) && send_one(PROG_TC, A, two) &&
	    ring_read()) {
		expect_u64("head", ring->head, last + 1);
		expect_u64("last place", ring->record[VP_MAX_RECORDS - 1].number, last);
		expect_u64("first place", ring->record[0].number, last + 1);
		expect_u64("second place", ring->record[1].number, 0xeeeeeeeeeeeeeeeeULL);
		expect_u64("last but one", ring->record[VP_MAX_RECORDS - 2].number, 0xeeeeeeeeeeeeeeeeULL);
	}
	test_end();
}

void vectors_event(void)
{
	told();
	storm_is_told_once();
	limit(PROG_XDP);
	limit(PROG_TC);
	round_the_corner();
	free(ring);
	ring = NULL;
}
