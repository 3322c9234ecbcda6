/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The MAC table at its limits, and what the sweep timer makes of it.  Last of all: a started timer keeps running. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "vector.h"

static struct vp_mac_key numbered(uint32_t i)
{
	struct vp_mac_key key = { .segment = 1, .mac = { 0x02, 0xee, i >> 24, i >> 16, i >> 8, i } };

	return key;
}

/* Entries 0 .. n - 1 of that kind. */
static int fill(uint32_t n, const struct vp_mac *kind)
{
	struct vp_mac_key *keys = calloc(n, sizeof(*keys));
	struct vp_mac *macs = calloc(n, sizeof(*macs));
	uint32_t i, count = n;
	int ret = -1;

	for (i = 0; keys && macs && i < n; i++) {
		keys[i] = numbered(i);
		macs[i] = *kind;
	}
	if (keys && macs)
		ret = bpf_map_update_batch(rig.map.macs, keys, macs, &count, NULL);
	free(keys);
	free(macs);
	return ret;
}

static int ticket(const struct vp_mac_key *key)
{
	return bpf_map_update_elem(rig.map.sweep, NULL, key, 0);
}

static bool has(const struct vp_mac_key *key)
{
	struct vp_mac mac;

	return !bpf_map_lookup_elem(rig.map.macs, key, &mac);
}

static uint32_t learned(uint32_t port)
{
	struct vp_state state = { 0 };

	bpf_map_lookup_elem(rig.map.state, &port, &state);
	return state.learned;
}

static uint32_t entries(void)
{
	struct vp_mac_key key, *prev = NULL;
	uint32_t n = 0;

	for (; !bpf_map_get_next_key(rig.map.macs, prev, &key); prev = &key)
		n++;
	return n;
}

static const char *suffix(enum prog prog)
{
	static const char *const names[2][2] = { { "xdp, blind", "tc, blind" }, { "xdp", "tc" } };

	return names[rig.live][prog];
}

/* A new station when nothing more fits: its frame goes on, the table stays as it is, and the event is counted. */
static void expect_not_learned(enum prog prog)
{
	struct vp_counters want[RIG_PORTS] = { 0 };
	struct frame *f = arp(eth(MAC_B, MAC_NEW));
	struct vp_mac_key key = { .segment = 1 };
	struct rig_run run = { 0 };

	memcpy(key.mac, MAC_NEW, 6);
	want[A].rx_packets = want[A].forwarded = want[B].tx_packets = 1;
	want[A].rx_bytes = want[B].tx_bytes = f->len;
	want[A].events[VP_EVENT_TABLE_FULL] = 1;
	if (!expect_ok("test_run", rig_run(prog, A, f, &run)))
		return;
	expect_u64("action", run.retval, prog == PROG_XDP ? XDP_REDIRECT : 7 /* TC_ACT_REDIRECT */);
	counters_expect(want);
	expect_u64("learned of A", learned(A), 0);
	expect_true("the new address is not in the table", !has(&key));
}

static void full_table(enum prog prog)
{
	const struct vp_mac kind = { .port = B, .flags = VP_MAC_STATIC, .incarnation = B + 100 };
	struct scene s = { .now = RIG_NOW };

	if (!test_begin("full_table_learns_nothing_more [%s]", suffix(prog)))
		return;
	lan(&s);
	expect_ok("scene", scene_apply(&s, 0));
	expect_ok("fill", fill(VP_MAX_MACS - s.n_macs, &kind));
	expect_u64("entries", entries(), VP_MAX_MACS);
	expect_not_learned(prog);
	expect_u64("entries", entries(), VP_MAX_MACS);
	test_end();
}

static struct vp_state of_nobody(void)
{
	struct vp_state state = { 0 };
	uint32_t nobody = 0;

	bpf_map_lookup_elem(rig.map.state, &nobody, &state);
	return state;
}

/* Frames from 20 new stations, whose plane found its table full in the jiffy `full_at`: how many it turned away. */
static unsigned int turned_away(enum prog prog, struct frame *f, uint32_t full_at)
{
	const struct vp_state state = { .storm_tick = full_at };
	struct vp_counters have[RIG_PORTS];
	struct rig_run run = { 0 };
	uint32_t nobody = 0;

	bpf_map_update_elem(rig.map.state, &nobody, &state, BPF_ANY);
	memcpy(f->b + 6 + 2, &full_at, 2);
	for (uint8_t i = 0; i < 20; i++) {
		f->b[6 + 5] = i;
		rig_run(prog, A, f, &run);
	}
	counters_read(have);
	return (unsigned int)have[A].events[VP_EVENT_TABLE_FULL];
}

/* In the jiffy in which the table was found full nobody tries again, in any other they do. */
static void full_for_a_jiffy(enum prog prog)
{
	const struct vp_mac kind = { .port = B, .flags = VP_MAC_STATIC, .incarnation = B + 100 };
	struct scene s = { .now = RIG_NOW };
	struct rig_run run = { 0 };
	uint32_t full_at, n = 0;
	struct frame *f;

	if (!test_begin("a_full_table_is_tried_once_a_jiffy [%s]", suffix(prog)))
		return;
	lan(&s);
	expect_ok("scene", scene_apply(&s, 0));
	expect_ok("fill", fill(VP_MAX_MACS - s.n_macs, &kind));
	f = arp(eth(MAC_B, MAC_NEW));
	expect_ok("test_run", rig_run(prog, A, f, &run));
	full_at = of_nobody().storm_tick;
	expect_true("the jiffy is noted", full_at != 0);
	expect_ok("scene, with room", scene_apply(&s, 0));
	/* From three jiffies ago, faster than the clock, which wraps 5 minutes after boot: so they meet. */
	while (n < 30000 && !turned_away(prog, f, full_at - 3 + n))
		n++;
	expect_true("not tried in that jiffy", n < 30000);
	expect_true("learned in others", n >= 3 && learned(A) > 0);
	test_end();
}

/* Without a ticket an entry would never be reclaimed: it must not stay in the table. */
static void full_queue(enum prog prog)
{
	struct vp_mac_key key = numbered(1);
	struct scene s = { .now = RIG_NOW };
	uint32_t i;

	if (!test_begin("without_room_for_a_ticket_nothing_is_learned [%s]", suffix(prog)))
		return;
	lan(&s);
	expect_ok("scene", scene_apply(&s, 0));
	for (i = 0; i < VP_MAX_MACS; i++)
		if (ticket(&key))
			break;
	expect_u64("tickets", i, VP_MAX_MACS);
	expect_not_learned(prog);
	scene_apply(&s, 0); /* takes the tickets away */
	test_end();
}

/* ---- the timer ---- */

static bool start(void)
{
	struct bpf_program *p = bpf_object__find_program_by_name(rig.obj, "vp_start");
	uint8_t frame[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .repeat = 1);

	return expect_true("vp_start is there", p != NULL) &&
	       expect_ok("test_run", bpf_prog_test_run_opts(bpf_program__fd(p), &opts)) &&
	       expect_u64("vp_start returns", opts.retval, 0);
}

/* Until the table has `n` entries; then a little longer, so that one too many would show. */
static uint32_t wait_entries(uint32_t n, unsigned int seconds)
{
	for (unsigned int i = 0; i < seconds * 20 && entries() != n; i++)
		usleep(50000);
	usleep(300000);
	return entries();
}

enum {
	STALE_C,
	STALE_H,
	FRESH_N,
	STATIC_B,
	FORMER_E,
	LEFT_E,
	NOT_UP_X,
	SWEEP_ENTRIES
};

static void lan_to_sweep(struct scene *s)
{
	static const uint8_t ports[] = { A, B, C, H, N, X, 0 };

	scene_ports(s);
	scene_join(s, 1, ports);
	scene_learned(s, 1, MAC_C, C, SCENE_AGE + 2);
	scene_learned(s, 1, MAC_H, H, SCENE_AGE + 2);
	scene_learned(s, 1, MAC_N, N, 10);
	scene_static(s, 1, MAC_B, B);
	s->macs[STATIC_B].mac.tick = 1;
	scene_learned(s, 1, MAC_D, A, 10); /* of a port that had this id before */
	s->macs[FORMER_E].mac.incarnation++;
	scene_learned(s, 1, MAC_S, E, 10); /* of a port that has left the segment */
	scene_learned(s, 1, MAC_NEW, X, 10);
	s->ports[X].flags &= ~VP_PORT_UP;
	s->state[H].learned = 5;
	s->state[A].learned = 3; /* its present ones: the former port's entry was never counted here */
}

/* Nothing is told of before; of each port that loses an entry so much may be. */
static void aged_begin(void)
{
	const struct vp_told fresh = { 0 };

	for (uint32_t port = 0; port < RIG_PORTS; port++)
		expect_ok("vp_told", bpf_map_update_elem(rig.map.told, &port, &fresh, BPF_ANY));
}

/* Five entries went: each is told, and counted at its port. */
static void aged_expect(const struct scene *s)
{
	struct vp_events *ring = calloc(1, sizeof(*ring));
	struct vp_counters have[RIG_PORTS];
	uint32_t zero = 0, found = 0;

	if (!expect_true("memory", ring) || !expect_ok("ring", bpf_map_lookup_elem(rig.map.events, &zero, ring))) {
		free(ring);
		return;
	}
	counters_read(have);
	for (unsigned int i = 0; i < SWEEP_ENTRIES; i++) {
		const struct scene_mac *m = &s->macs[i];
		const struct vp_record *r = &ring->record[(ring->head - 4 + found) % VP_MAX_RECORDS];

		if (i == FRESH_N || i == STATIC_B)
			continue;
		found++;
		expect_u64("what", r->what, VP_EVENT_AGED);
		expect_u64("port", r->port, m->mac.port);
		expect_u64("incarnation", r->incarnation, m->mac.incarnation);
		expect_u64("segment", r->segment, 1);
		expect_bytes("mac", r->mac, 6, m->key.mac, 6);
		expect_u64("counted", have[m->mac.port].events[VP_EVENT_AGED], 1);
	}
	free(ring);
}

static void sweep_reclaims(void)
{
	struct scene s = { .now = rig_tick() };

	if (!test_begin("sweep_reclaims_stale_entries_and_their_quota%s", rig.live ? "" : " [blind]"))
		return;
	lan_to_sweep(&s);
	expect_ok("scene", scene_apply(&s, 1));
	for (unsigned int i = 0; i < SWEEP_ENTRIES; i++)
		expect_ok("ticket", ticket(&s.macs[i].key));
	aged_begin();
	if (start()) {
		expect_u64("entries left", wait_entries(2, 5), 2);
		aged_expect(&s);
		expect_true("the fresh one is there", has(&s.macs[FRESH_N].key));
		expect_true("the static one is there", has(&s.macs[STATIC_B].key));
		expect_u64("learned of C", learned(C), 0);
		expect_u64("learned of H", learned(H), 4);
		expect_u64("learned of N", learned(N), 1);
		expect_u64("learned of A, whose former self had the entry", learned(A), 3);
		expect_u64("learned of E, which left the segment", learned(E), 0);
		expect_u64("learned of X, which is not up", learned(X), 0);
		expect_true("vp_start may run again", start());
	}
	test_end();
}

/* The fresh entry kept its ticket: once it is too old it goes as well, with nobody telling the timer. */
static void sweep_goes_on(void)
{
	struct scene s = { .now = rig_tick() };

	if (!test_begin("sweep_goes_on_by_itself_and_ages_what_was_fresh%s", rig.live ? "" : " [blind]"))
		return;
	lan(&s);
	s.segments[1].age_ticks = 2;
	s.n_macs = s.state[C].learned = 0;
	scene_learned(&s, 1, MAC_C, C, 0);
	scene_static(&s, 1, MAC_B, B);
	expect_ok("scene", scene_apply(&s, 0));
	expect_ok("ticket", ticket(&s.macs[0].key));
	if (start()) {
		usleep(500000);
		expect_true("control: it is there at first", has(&s.macs[0].key));
		expect_u64("entries left", wait_entries(1, 6), 1);
		expect_true("the static one is there", has(&s.macs[1].key));
		expect_u64("learned of C", learned(C), 0);
	}
	test_end();
}

static void sweep_never(void)
{
	struct scene s = { .now = rig_tick() };

	if (!test_begin("sweep_leaves_a_segment_that_never_ages%s", rig.live ? "" : " [blind]"))
		return;
	lan_to_sweep(&s);
	s.segments[1].age_ticks = 0;
	s.n_macs = 2;
	s.macs[0].mac.tick = s.macs[1].mac.tick = 1;
	expect_ok("scene", scene_apply(&s, 0));
	expect_ok("ticket", ticket(&s.macs[0].key));
	if (start()) {
		usleep(600000);
		expect_u64("entries", entries(), 2);
	}
	test_end();
}

/* A whole table of stale entries, a station at its place again, and back to work within seconds. */
static void sweep_all(void)
{
	struct scene s = { .now = rig_tick() };
	const struct vp_mac kind = { .port = C, .incarnation = C + 100, .tick = s.now - SCENE_AGE - 2 };
	unsigned int i;

	if (!rig.live || !test_begin("sweep_empties_a_full_table_within_seconds"))
		return;
	lan(&s);
	s.n_macs = 1; /* static B */
	s.state[C].learned = VP_MAX_MACS - 1;
	expect_ok("scene", scene_apply(&s, 0));
	expect_ok("fill", fill(VP_MAX_MACS - 1, &kind));
	for (i = 0; i < VP_MAX_MACS - 1; i++) {
		struct vp_mac_key key = numbered(i);

		if (!expect_ok("ticket", ticket(&key)))
			break;
	}
	if (start()) {
		expect_u64("entries left", wait_entries(1, 15), 1);
		expect_u64("learned of C", learned(C), 0);
	}
	test_end();
}

void vectors_table(void)
{
	full_table(PROG_XDP);
	full_table(PROG_TC);
	full_for_a_jiffy(PROG_XDP);
	full_for_a_jiffy(PROG_TC);
	full_queue(PROG_XDP);
	full_queue(PROG_TC);
	sweep_reclaims();
	sweep_goes_on();
	sweep_never();
	sweep_all();
	frames_reset();
}
