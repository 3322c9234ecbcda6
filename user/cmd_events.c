/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * events [--recent]: what happens, as it happens.  The ring is looked at ten times a second; nobody waits for us.
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "plane_events.h"
#include "plane_watch.h"
#include "session.h"
#include "value.h"

#define PERIOD_NS 100000000L
#define LOOK_EVERY 10 /* turns: is it still the plane? */

static const char *event_word(unsigned int what)
{
	static const char *const words[VP_NEWS_END] = {
#define X(e, w, t) [VP_EVENT_##e] = #w,
		VP_EVENTS(X)
#undef X
#define X(e, w, t) [VP_NEWS_##e] = #w,
		VP_NEWS(X)
#undef X
	};

	return what < VP_NEWS_END && words[what] ? words[what] : "unknown";
}

/* What a record says, in words; empty = nothing of that kind. */
struct told {
	char time[32], port[VP_NAME_LEN], from[VP_NAME_LEN], segment[VP_NAME_LEN], mac[MAC_TEXT];
	const char *what;
};

/* The name that the port had then; its number if another port has that by now. */
static void name_port(const struct plane *p, uint16_t id, uint8_t incarnation, char out[VP_NAME_LEN])
{
	const struct vp_port_info *info = id && id < VP_MAX_PORTS ? plane_port_info(p, id) : NULL;

	if (info && info->name[0] && (uint8_t)info->incarnation == incarnation)
		snprintf(out, VP_NAME_LEN, "%s", info->name);
	else if (id)
		snprintf(out, VP_NAME_LEN, "#%u", id);
}

static void name_time(uint64_t ktime, char *out, size_t size)
{
	struct timespec wall, mono;
	struct tm tm;
	char date[24];

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	int64_t ns = (int64_t)(wall.tv_sec - mono.tv_sec) * 1000000000 + wall.tv_nsec - mono.tv_nsec + (int64_t)ktime;
	time_t seconds = ns / 1000000000;

	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
	snprintf(out, size, "%s.%03uZ", date, (unsigned int)(ns / 1000000 % 1000));
}

static void words_of(const struct plane *p, const struct vp_record *r, struct told *t)
{
	static const __u8 none[VP_MAC_LEN];

	memset(t, 0, sizeof(*t));
	t->what = event_word(r->what);
	name_time(r->ktime, t->time, sizeof(t->time));
	if (r->name[0])
		snprintf(t->port, sizeof(t->port), "%.31s", r->name);
	else
		name_port(p, r->port, r->incarnation, t->port);
	name_port(p, r->other, r->other_incarnation, t->from);
	if (r->segment && r->segment < VP_MAX_SEGMENTS)
		snprintf(t->segment, sizeof(t->segment), "%s", plane_seg_info(p, r->segment)->name);
	if (memcmp(r->mac, none, sizeof(none)) != 0) {
		struct mac mac;

		memcpy(mac.b, r->mac, sizeof(mac.b));
		value_mac_text(&mac, t->mac);
	}
}

static void print_text(FILE *out, const struct vp_record *r, const struct told *t)
{
	fprintf(out, "%s %-11s", t->time, t->what);
	if (t->port[0])
		fprintf(out, " %s", t->port);
	if (t->mac[0])
		fprintf(out, " %s", t->mac);
	if (t->segment[0])
		fprintf(out, " in %s", t->segment);
	if (t->from[0])
		fprintf(out, ", was at %s", t->from);
	if (r->generation)
		fprintf(out, " %u", r->generation);
	if (r->missed)
		fprintf(out, " (and %u of this port before it, not told)", r->missed);
	fputc('\n', out);
}

static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

static void print_json(FILE *out, const struct vp_record *r, const struct told *t)
{
	json_t *o = json_object();

	json_object_set_new(o, "time", json_string(t->time));
	json_object_set_new(o, "event", json_string(t->what));
	json_object_set_new(o, "port", text_or_null(t->port));
	json_object_set_new(o, "from", text_or_null(t->from));
	json_object_set_new(o, "segment", text_or_null(t->segment));
	json_object_set_new(o, "mac", text_or_null(t->mac));
	json_object_set_new(o, "generation", r->generation ? json_integer(r->generation) : json_null());
	json_object_set_new(o, "missed", json_integer(r->missed));
	json_dumpf(o, out, JSON_ENSURE_ASCII);
	fputc('\n', out);
	json_decref(o);
}

static void print_lost(const struct cmd_env *env, uint64_t lost)
{
	if (env->json)
		fprintf(env->out, "{\"event\": \"lost\", \"lost\": %llu}\n", (unsigned long long)lost);
	else
		fprintf(env->out, "lost: %llu events that were overwritten before they could be read\n",
			(unsigned long long)lost);
}

/* All there is. -EPIPE: nobody listens any more. */
static int print_news(const struct cmd_env *env, const struct plane *p, struct plane_reader *at)
{
	struct vp_record r;
	struct told t;

	for (;;) {
		bool found = plane_reader_next(p, at, &r);

		if (at->lost)
			print_lost(env, at->lost);
		at->lost = 0;
		if (!found)
			break;
		words_of(p, &r, &t);
		if (env->json)
			print_json(env->out, &r, &t);
		else
			print_text(env->out, &r, &t);
	}
	return fflush(env->out) ? -EPIPE : 0;
}

static void follow(const struct cmd_env *env, const struct plane *p, struct plane_reader *at)
{
	const struct timespec period = {.tv_nsec = PERIOD_NS};
	char object[VP_NAME_LEN + 8];

	for (unsigned int turn = 1; !print_news(env, p, at); turn++) {
		if (turn % LOOK_EVERY == 0 && !plane_stands(p)) {
			snprintf(object, sizeof(object), "plane %s", env->plane);
			tell(object, "is gone, or is another vpeer's by now");
			return;
		}
		nanosleep(&period, NULL);
	}
}

int cmd_events(const struct cmd_env *env, int argc, char **argv)
{
	bool recent = argc == 2 && !strcmp(argv[1], "--recent");
	struct plane_reader at;
	struct plane p;
	int err;

	if (argc != 1 && !recent) {
		fail("events", "%s: only --recent may follow", argv[1]);
		return 2;
	}
	err = session_open(env, &p, false);
	plane_drop_progs(&p);
	if (!err) {
		plane_reader_begin(&p, &at, recent);
		if (recent)
			print_news(env, &p, &at);
		else
			follow(env, &p, &at);
	}
	plane_close(&p);
	return err ? 1 : 0;
}
