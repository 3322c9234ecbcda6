/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bpf/event.h writes the same ring by the same rules. */
#include <string.h>
#include <time.h>

#include "plane_events.h"
#include "plane_priv.h"

#define GIVE_UP 20 /* turns: a writer that was overtaken by a whole ring leaves a record that never becomes right */

static struct vp_events *ring_of(const struct plane *p)
{
	return p->mem[MAP_EVENTS];
}

static uint64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void write_record(struct plane *p, const struct vp_record *news)
{
	struct vp_events *ring = ring_of(p);
	uint64_t number = __atomic_add_fetch(&ring->head, 1, __ATOMIC_SEQ_CST);
	struct vp_record *r = &ring->record[number % VP_MAX_RECORDS];

	__atomic_store_n(&r->number, 0, __ATOMIC_SEQ_CST);
	memcpy(&r->ktime, &news->ktime, sizeof(*r) - offsetof(struct vp_record, ktime));
	__atomic_store_n(&r->number, number, __ATOMIC_SEQ_CST);
}

void plane_news(struct plane *p, enum vp_news what, uint16_t id)
{
	struct vp_record r = {.ktime = monotonic_ns(), .what = (uint16_t)what, .port = id};

	if (id) {
		r.incarnation = (uint8_t)plane_port_info(p, id)->incarnation;
		memcpy(r.name, plane_port_info(p, id)->name, sizeof(r.name));
	}
	if (what == VP_NEWS_CONFIG)
		r.generation = ++ring_of(p)->generation;
	write_record(p, &r);
}

static bool is_there(const struct vp_port *port)
{
	static const struct vp_port none;

	return memcmp(port, &none, sizeof(none)) != 0;
}

/* What became of one port; 0 = nothing to tell. A device may return with its old index: then only the count tells. */
static int news_of(const struct vp_port *was, const struct vp_port *is, const struct vp_port_info *info)
{
	bool was_up = was->flags & VP_PORT_UP, is_up = is->flags & VP_PORT_UP;

	if (!is_there(is))
		return is_there(was) ? VP_NEWS_REMOVED : 0;
	if (!is_up)
		return was_up || !is_there(was) ? VP_NEWS_WAITING : 0;
	if (was_up && was->ifindex == is->ifindex && (!info->told || info->told == info->attached))
		return 0;
	return was_up || info->attached > 1 ? VP_NEWS_RECONNECTED : VP_NEWS_UP;
}

static bool text_differs(const struct plane *p)
{
	const struct vp_conf *a = plane_cell(p, MAP_CONF, 0), *b = plane_cell(p, MAP_CONF, 1);

	return a->len != b->len || memcmp(a->text, b->text, a->len < sizeof(a->text) ? a->len : 0) != 0;
}

void plane_news_switch(struct plane *p, uint32_t before)
{
	if (text_differs(p))
		plane_news(p, VP_NEWS_CONFIG, 0);
	for (uint16_t id = 1; id < VP_MAX_PORTS; id++) {
		const struct vp_port *was = plane_cell(p, MAP_PORTS, vp_bank_index(before, VP_MAX_PORTS, id));
		struct vp_port_info *info = plane_port_info(p, id);
		int what = news_of(was, plane_port(p, id), info);

		if (what)
			plane_news(p, (enum vp_news)what, id);
		info->told = info->attached;
	}
}

void plane_reader_begin(const struct plane *p, struct plane_reader *r, bool oldest)
{
	uint64_t head = __atomic_load_n(&ring_of(p)->head, __ATOMIC_ACQUIRE);

	memset(r, 0, sizeof(*r));
	r->next = head + 1;
	if (oldest)
		r->next = head > VP_MAX_RECORDS ? head - VP_MAX_RECORDS + 1 : 1;
}

/* Whole, and the one that was asked for? */
static bool copy_record(const struct vp_record *from, uint64_t number, struct vp_record *out)
{
	if (__atomic_load_n(&from->number, __ATOMIC_ACQUIRE) != number)
		return false;
	memcpy(out, from, sizeof(*out));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&from->number, __ATOMIC_RELAXED) == number;
}

bool plane_reader_next(const struct plane *p, struct plane_reader *r, struct vp_record *out)
{
	const struct vp_events *ring = ring_of(p);

	for (;;) {
		uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);

		if (r->next > head)
			return false;
		if (head - r->next >= VP_MAX_RECORDS) {
			r->lost += head - VP_MAX_RECORDS + 1 - r->next;
			r->next = head - VP_MAX_RECORDS + 1;
		}
		if (copy_record(&ring->record[r->next % VP_MAX_RECORDS], r->next, out)) {
			r->next++;
			r->idle = 0;
			return true;
		}
		if (++r->idle < GIVE_UP)
			return false; /* it is being written, or has just been overwritten: then the head tells */
		r->lost++;
		r->next++;
		r->idle = 0;
	}
}
