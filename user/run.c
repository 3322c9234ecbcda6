/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "hold.h"
#include "tapfd.h"
#include "undo.h"
#include "run.h"

void run_init(struct watch_run *r, const struct cmd_env *env)
{
	memset(r, 0, sizeof(*r));
	r->env = env;
	r->lock = -1;
	plane_init(&r->p);
	watch_init(&r->w);
}

static void object_of(const char *port, char object[VP_NAME_LEN + 8])
{
	snprintf(object, VP_NAME_LEN + 8, "port %s", port);
}

/* Which ports' devices are held down, by the record: whoever restored a setting has taken it out. */
static void read_held(struct watch_run *r)
{
	uint32_t *held = NULL;
	size_t n = 0;

	undo_held(r->env->plane, &held, &n);
	for (size_t i = 0; i < r->w.n; i++) {
		struct watch_port *p = &r->w.ports[i];

		p->held = false;
		for (size_t k = 0; k < n; k++)
			p->held |= p->attached && p->attached == held[k];
	}
	free(held);
}

static int fill(struct watch_run *r)
{
	bool same_text = !plane_shot_text_differs(&r->p, &r->shot);
	int err = plane_shot_take(&r->p, &r->shot);

	if (!err)
		err = watch_fill(&r->w, &r->p, same_text);
	read_held(r);
	return err;
}

int run_open(struct watch_run *r, int *pid)
{
	int err = plane_open(&r->p, r->env->plane);

	plane_drop_progs(&r->p); /* each pass opens the plane anew */
	if (!err)
		err = hold_lock(r->env->plane, &r->lock, pid);
	if (!err)
		err = fill(r);
	r->open = !err;
	if (err)
		run_close(r);
	return err;
}

void run_close(struct watch_run *r)
{
	plane_close(&r->p);
	plane_shot_free(&r->shot);
	watch_free(&r->w);
	free(r->said);
	r->said = NULL;
	r->retry_ms = 0;
	if (r->lock >= 0)
		close(r->lock);
	r->lock = -1;
	r->open = false;
}

bool run_busy(const struct watch_run *r)
{
	char path[80];
	bool busy;
	int fd;

	snprintf(path, sizeof(path), "/run/vpeer/%s", r->env->plane);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	busy = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	if (fd >= 0)
		close(fd);
	return busy;
}

int run_look(struct watch_run *r)
{
	struct link_info *links = NULL;
	size_t n = 0;
	int err = link_list(&links, &n);

	if (!err)
		watch_look(&r->w, links, n);
	free(links);
	return err;
}

int run_refresh(struct watch_run *r)
{
	int err;

	if (!plane_shot_differs(&r->p, &r->shot))
		return 0;
	err = fill(r);
	return err ? err : run_look(r);
}

/* ---- passes ---- */

static int leave_as_it_is(struct model *m, void *ctx)
{
	(void)m;
	(void)ctx;
	return 0;
}

/* What a session says goes to *text; free(). */
static bool attach(const struct watch_run *r, char **names, size_t n, char **text)
{
	struct apply_opts opts = { .only = names, .n_only = n };
	struct apply_result result = { 0 };
	size_t len = 0;
	FILE *out = open_memstream(text, &len), *was = out ? log_to(out) : NULL;
	int ret = session_change(r->env, leave_as_it_is, NULL, &opts, &result);

	if (out) {
		log_to(was);
		fclose(out);
	}
	return !ret;
}

/* What is said each time (a port in no segment, one that goes on failing) is repeated when it says something else. */
static void say_anew(char **said, char *text)
{
	if (*said && text && !strcmp(*said, text)) {
		free(text);
		return;
	}
	free(*said);
	*said = text;
	fputs(text ? text : "", stderr);
}

/*
 * A pass fails when a device vanishes under it, its port's or another's.  So a failure is not reported before it has
 * failed twice, soon after each other; later the pauses grow.
 */
#define RETRY_MS      20
#define RETRY_MOST_MS 60000

static void note_failure(struct watch_run *r, struct watch_port *p, char *text)
{
	uint64_t pause = RETRY_MOST_MS;

	if (p->failures < 11)
		pause = (uint64_t)RETRY_MS << p->failures;
	if (p->failures++)
		say_anew(&p->said, text);
	else
		free(text);
	p->retry_ms = r->now_ms + pause;
}

static void note_success(struct watch_run *r, char **names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct watch_port *p = watch_port(&r->w, names[i]);

		free(p->said);
		p->said = NULL;
		p->failures = 0;
		p->retry_ms = 0;
	}
}

static uint64_t next_retry(const struct watch_run *r)
{
	uint64_t next = 0;

	for (size_t i = 0; i < r->w.n; i++)
		if (r->w.ports[i].retry_ms && (!next || r->w.ports[i].retry_ms < next))
			next = r->w.ports[i].retry_ms;
	return next;
}

void run_retry(struct watch_run *r, uint64_t now_ms)
{
	if (!r->retry_ms || now_ms < r->retry_ms)
		return;
	for (size_t i = 0; i < r->w.n; i++)
		if (r->w.ports[i].retry_ms && now_ms >= r->w.ports[i].retry_ms)
			watch_mark(&r->w, &r->w.ports[i]);
	if (!r->w.dirty) /* the port is in the plane no more */
		r->retry_ms = next_retry(r);
}

/* One port that can't be had must not keep the others waiting: who it is, is found by halves. */
static void attach_each(struct watch_run *r, char **names, size_t n)
{
	char *text = NULL;
	bool done = attach(r, names, n, &text);

	if (done) {
		say_anew(&r->said, text);
		note_success(r, names, n);
	} else if (!plane_stands(&r->p)) {
		free(text); /* taken down meanwhile */
	} else if (n == 1) {
		note_failure(r, watch_port(&r->w, names[0]), text);
	} else {
		free(text);
		attach_each(r, names, n / 2);
		attach_each(r, names + n / 2, n - n / 2);
	}
}

/* What has become of the ports since `was`, in words. */
static void tell_changes(struct watch_run *r, const struct watch_port *was, size_t n)
{
	char object[VP_NAME_LEN + 8];

	for (size_t i = 0; i < n; i++) {
		const struct watch_port *now = watch_port(&r->w, was[i].name);

		if (!now || (now->attached == was[i].attached && now->xdp == was[i].xdp))
			continue;
		object_of(now->name, object);
		if (now->attached == was[i].attached) {
			tell(object, "its frames go by %s from now on", now->xdp ? "XDP" : "tc");
			continue;
		}
		if (now->attached)
			tell(object, "attached to device %s (index %u)", now->device, now->attached);
		else
			tell(object, "device %s is gone; the port waits for it", now->device);
	}
}

/* Ports that this pass is for, and of them those whose last pass failed, or did not. Returns how many there are now. */
static size_t take_ports(struct watch_run *r, bool all, bool failed, struct watch_port *was, char **names, size_t n)
{
	for (size_t i = 0; i < r->w.n; i++) {
		struct watch_port *p = &r->w.ports[i];

		if ((!all && !p->dirty) || failed != (p->failures != 0))
			continue;
		was[n] = *p;
		names[n] = was[n].name;
		p->dirty = false;
		n++;
	}
	return n;
}

void run_pass(struct watch_run *r, bool all, uint64_t now_ms)
{
	struct watch_port *was = calloc(r->w.n + 1, sizeof(*was));
	char **names = calloc(r->w.n + 1, sizeof(*names));
	size_t n = 0, good = 0;

	/* Those that could not be had the last time come last, and one by one. */
	for (int failed = 0; was && names && failed < 2; failed++) {
		n = take_ports(r, all, failed, was, names, n);
		good = failed ? good : n;
	}
	r->w.dirty = 0;
	r->now_ms = now_ms;
	for (size_t i = 0; !all && i < n; i++)
		debug("attach %s", names[i]);
	if (n) {
		if (good)
			attach_each(r, names, good);
		for (size_t i = good; i < n; i++)
			attach_each(r, &names[i], 1);
		if (fill(r))
			fail(r->env->plane, "the plane can't be read any more");
		tell_changes(r, was, n);
		r->retry_ms = next_retry(r);
	}
	free(names);
	free(was);
}

/* ---- propagation ---- */

/* A NIC needs a while to agree with its partner; everything else has its carrier at once, or the kernel tells late. */
#define SETTLE_NIC_MS	5000
#define SETTLE_OTHER_MS 1000

static bool is_settling(const struct watch_port *p, uint64_t now_ms)
{
	return p->settled_ms > now_ms && !p->link.running;
}

static struct hold_end end_of(const struct watch_port *p, uint64_t now_ms)
{
	return (struct hold_end){
		.present = p->attached && p->attached == p->link.ifindex,
		.up = p->link.up,
		.running = p->link.running,
		.held = p->held,
		.settling = is_settling(p, now_ms),
	};
}

static const char *lack_of(const struct watch_port *p)
{
	return !p->attached || p->attached != p->link.ifindex ? "is absent"
	       : !p->link.up				      ? "is down"
							      : "has no carrier";
}

static void hold(struct watch_run *r, struct watch_port *p, const struct watch_port *cause)
{
	char object[VP_NAME_LEN + 8];
	int err = p->held ? link_set_up(p->attached, false) : undo_hold(r->env->plane, &p->link);

	object_of(p->name, object);
	if (err && err != -ENODEV)
		fail(object, "device %s: cannot take it down for port %s, whose device %s: %s", p->device, cause->name,
		     lack_of(cause), strerror(-err));
	else if (!p->held)
		tell(object, "device %s is held down: port %s's device %s %s", p->device, cause->name, cause->device,
		     lack_of(cause));
	p->held = p->held || !err;
	p->link.up = p->link.running = false;
}

static void release(struct watch_run *r, struct watch_port *p, uint64_t now_ms)
{
	char object[VP_NAME_LEN + 8];
	int err = undo_release(r->env->plane, p->attached);

	object_of(p->name, object);
	if (err)
		fail(object, "device %s: cannot bring it up again: %s", p->device, strerror(-err));
	else
		tell(object, "device %s is up again", p->device);
	p->held = false;
	p->settled_ms = now_ms + (p->link.type == LINK_PHYSICAL ? SETTLE_NIC_MS : SETTLE_OTHER_MS);
	if (link_get_index(p->attached, &p->link))
		p->link = (struct link_info){ 0 };
}

/* A device that is held, and that no binding holds: its `propagate` has been taken away. */
static void release_strays(struct watch_run *r, uint64_t now_ms)
{
	for (size_t i = 0; i < r->w.n; i++) {
		struct watch_port *p = &r->w.ports[i];
		bool wired = false;

		for (size_t k = 0; p->held && k < r->w.n_wires; k++)
			wired |= r->w.wires[k].end[0] == p || r->w.wires[k].end[1] == p;
		if (p->held && !wired)
			release(r, p, now_ms);
	}
}

static bool is_at_rest(const struct watch_wire *wire, uint64_t now_ms)
{
	struct hold_end ends[2] = { end_of(wire->end[0], now_ms), end_of(wire->end[1], now_ms) };
	enum hold_act acts[2];

	hold_decide(ends, acts);
	return acts[0] == HOLD_NOTHING && acts[1] == HOLD_NOTHING;
}

static void carry(struct watch_run *r, const struct watch_wire *wire, uint64_t now_ms)
{
	struct hold_end ends[2] = { end_of(wire->end[0], now_ms), end_of(wire->end[1], now_ms) };
	enum hold_act acts[2];

	hold_decide(ends, acts);
	for (int i = 0; i < 2; i++) {
		if (acts[i] == HOLD_DOWN)
			hold(r, wire->end[i], wire->end[!i]);
		else if (acts[i] == HOLD_RELEASE)
			release(r, wire->end[i], now_ms);
	}
}

/* Under the plane's lock, as every change of a device: `down` must not be at work on the same record. */
bool run_lock(const struct watch_run *r, struct plane *p)
{
	plane_init(p);
	if (plane_lock(p, r->env->plane))
		return false;
	if (plane_stands(&r->p))
		return true;
	undo_leave(r->env->plane);
	plane_close(p);
	return false;
}

static uint64_t next_settled(const struct watch_run *r, uint64_t now_ms)
{
	uint64_t next = 0;

	for (size_t i = 0; i < 2 * r->w.n_wires; i++) {
		const struct watch_port *p = r->w.wires[i / 2].end[i % 2];

		if (is_settling(p, now_ms) && (!next || p->settled_ms < next))
			next = p->settled_ms;
	}
	return next;
}

void run_carriers(struct watch_run *r, uint64_t now_ms, uint64_t *next_ms)
{
	bool work = false;
	struct plane locked;

	r->w.carriers = false;
	for (size_t i = 0; i < r->w.n_wires; i++)
		work |= !is_at_rest(&r->w.wires[i], now_ms);
	for (size_t i = 0; !work && i < r->w.n; i++)
		work |= r->w.ports[i].held;
	if (work && run_lock(r, &locked)) {
		release_strays(r, now_ms);
		for (size_t i = 0; i < r->w.n_wires; i++)
			carry(r, &r->w.wires[i], now_ms);
		plane_close(&locked);
	}
	*next_ms = next_settled(r, now_ms);
}

void run_release(struct watch_run *r)
{
	struct plane locked;

	if (run_lock(r, &locked)) {
		undo_release(r->env->plane, 0);
		plane_close(&locked);
	}
}

/* ---- TAPs, status ---- */

/* Bits of slow_fds, in the order of these words. */
static const char *const slow_words[] = { "in blocking mode", "with a send buffer limit", "with IFF_NAPI_FRAGS" };

static void judge_fds(struct watch_port *p, const struct tap_fds *fds)
{
	unsigned int bits = (fds->blocking.n != 0) | (fds->sndbuf.n != 0) << 1 | (fds->napi_frags.n != 0) << 2;
	char object[VP_NAME_LEN + 8];

	object_of(p->name, object);
	for (unsigned int i = 0; i < sizeof(slow_words) / sizeof(*slow_words); i++)
		if (bits & ~p->slow_fds & 1U << i)
			warn(object, "device %s is open %s now: XDP runs on the slow (generic) path; see vpeer doctor",
			     p->device, slow_words[i]);
	if (p->slow_fds && !bits && fds->n)
		tell(object, "device %s is open as it should be again", p->device);
	p->slow_fds = bits;
}

void run_taps(struct watch_run *r)
{
	struct tap_fd *list = NULL;
	size_t n = 0;

	if (tap_scan(&list, &n))
		return;
	for (size_t i = 0; i < r->w.n; i++) {
		struct watch_port *p = &r->w.ports[i];
		struct tap_fds fds;

		if (!p->attached || p->link.type != LINK_TAP)
			continue;
		tap_sum(list, n, p->device, &fds);
		judge_fds(p, &fds);
	}
	free(list);
}

void run_status(const struct watch_run *r, char *buf, size_t size)
{
	size_t held = 0, len;

	if (!r->open) {
		snprintf(buf, size, "plane %s is not there; waiting for it", r->env->plane);
		return;
	}
	for (size_t i = 0; i < r->w.n; i++)
		held += r->w.ports[i].held;
	snprintf(buf, size, "plane %s: %zu port%s attached, %zu waiting", r->env->plane, r->w.n_index,
		 r->w.n_index == 1 ? "" : "s", r->w.n - r->w.n_index);
	len = strlen(buf);
	if (held)
		snprintf(buf + len, size - len, ", %zu held down", held);
}
