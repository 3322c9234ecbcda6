/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * watch: the optional service.  It does at once what the next `attach` or `up` would do, and carries carriers over
 * bindings with `propagate`; frames do not depend on it.
 *
 * One loop over netlink, signals and time.  Events only mark ports; a burst of them is one pass, a few ms after the
 * first one.  What the kernel could not deliver (ENOBUFS) is made good by a look at all devices.  It waits for nobody:
 * while another loader is at work, what is to be done stays marked, and the watchdog goes on being told that we live.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "late.h"
#include "run.h"

#define QUIET_MS  2	/* no event for so long ends a burst ... */
#define LATEST_MS 20	/* ... and this does, too */
#define BUSY_MS	  10	/* another loader is at work: ask again then */
#define TICK_MS	  1000	/* has somebody changed the plane, or taken it down? */
#define LOOK_MS	  60000 /* what no event tells */

struct service {
	struct watch_run run;
	struct link_watch *link;
	int signals;
	uint64_t burst_ms, event_ms; /* when the first and the last event of a burst came, 0 = there is none */
	uint64_t look_ms, settle_ms; /* when to look at everything, at carriers; 0 = when something happens */
	uint64_t weigh_ms;	     /* when to look at what TAPs' guests send */
	uint64_t watchdog_us, status_ms;
	bool lost, all, stop, ready;
	char status[160];
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

#define SYSTEMD(X) X(sd_notify) X(sd_notifyf) X(sd_watchdog_enabled)

static struct {
	SYSTEMD(LATE_FIELD)
} systemd; /* all NULL: nobody wants to be told */

static int find_systemd(void)
{
	static const char *const names[] = { SYSTEMD(LATE_NAME) };
	const char *why = getenv("NOTIFY_SOCKET") ? late_load(SYSTEMD_SO, names, 3, &systemd) : NULL;

	if (why)
		fail("watch", "cannot tell the service manager, which waits for it: %s; install libsystemd", why);
	return why ? -ENOENT : 0;
}

/* Not more often than people can read: each message wakes the service manager, and may wait for it. */
static void tell_systemd(struct service *s, const char *more)
{
	char status[sizeof(s->status)];
	uint64_t now = now_ms();

	if (!*more && now < s->status_ms + TICK_MS)
		return;
	run_status(&s->run, status, sizeof(status));
	if (!*more && !strcmp(status, s->status))
		return;
	s->status_ms = now;
	memcpy(s->status, status, sizeof(status));
	if (systemd.sd_notifyf)
		systemd.sd_notifyf(0, "%sSTATUS=%s", more, status);
}

static int open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	/* Blocked for good: a pass that has begun is finished before we end. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void read_signals(struct service *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			s->all = true;
		else
			s->stop = true;
	}
}

/* Events of the time when there is no plane are of no interest: the first look at one sees everything. */
static void see(void *ctx, const struct link_event *e)
{
	struct service *s = ctx;

	if (s->run.open)
		watch_see(&s->run.w, e);
}

static int read_events(struct service *s)
{
	int err = link_watch_read(s->link, see, s);

	if (err == -ENOBUFS) {
		debug("events were lost: looking at all devices");
		s->lost = true;
		err = 0;
	}
	if (err)
		fail("watch", "cannot hear of devices any more: %s", strerror(-err));
	return err;
}

/* ---- the plane comes and goes ---- */

static void lose_plane(struct service *s)
{
	char object[VP_NAME_LEN + 8];

	snprintf(object, sizeof(object), "plane %s", s->run.env->plane);
	tell(object, "is gone; waiting for it to return");
	run_close(&s->run);
	s->burst_ms = s->settle_ms = 0;
}

static int find_plane(struct service *s)
{
	int pid, err;

	if (!plane_exists(s->run.env->plane) || run_busy(&s->run))
		return 0;
	err = run_open(&s->run, &pid);
	if (!err) {
		char object[VP_NAME_LEN + 8];

		snprintf(object, sizeof(object), "plane %s", s->run.env->plane);
		tell(object, "is there again");
		s->all = true;
	}
	return err == -ENOENT || err == -EAGAIN ? 0 : err;
}

static int check_plane(struct service *s)
{
	if (s->run.open && !plane_stands(&s->run.p))
		lose_plane(s);
	return s->run.open ? run_refresh(&s->run) : find_plane(s);
}

/* ---- one turn ---- */

/* Is a pass due? A burst is over when nothing came for a while, or has lasted long enough. */
static bool burst_over(struct service *s, uint64_t now, bool heard)
{
	if (!s->run.w.dirty) {
		s->burst_ms = 0;
		return false;
	}
	if (!s->burst_ms)
		s->burst_ms = s->event_ms = now;
	else if (heard)
		s->event_ms = now;
	return now >= s->event_ms + QUIET_MS || now >= s->burst_ms + LATEST_MS;
}

static void work(struct service *s, bool heard)
{
	uint64_t now = now_ms();

	run_retry(&s->run, now);
	if (s->lost && !run_look(&s->run))
		s->lost = false;
	if (now >= s->weigh_ms) {
		s->weigh_ms = now + TICK_MS;
		run_weigh(&s->run);
	}
	if (now >= s->look_ms) {
		s->look_ms = now + LOOK_MS;
		s->all = true;
	}
	if (!s->all && !burst_over(s, now, heard) && !s->run.w.carriers && !(s->settle_ms && now >= s->settle_ms))
		return;
	if (run_busy(&s->run)) {
		s->event_ms = now + BUSY_MS - QUIET_MS;
		s->burst_ms = s->event_ms;
		return;
	}
	if (s->all) {
		run_look(&s->run);
		run_pass(&s->run, true, now);
		run_taps(&s->run);
	} else if (burst_over(s, now, false)) {
		run_pass(&s->run, false, now);
	}
	s->all = false;
	s->burst_ms = s->run.w.dirty ? now : 0;
	run_carriers(&s->run, now_ms(), &s->settle_ms);
}

static int wait_for(const struct service *s)
{
	uint64_t now = now_ms(), until = now + TICK_MS;
	uint64_t due = s->burst_ms ? s->event_ms + QUIET_MS : 0;

	if (due && s->burst_ms + LATEST_MS < due)
		due = s->burst_ms + LATEST_MS;
	if (due && due < until)
		until = due;
	if (s->run.retry_ms && !s->run.w.dirty && s->run.retry_ms < until)
		until = s->run.retry_ms;
	if (s->settle_ms && s->settle_ms < until)
		until = s->settle_ms;
	if (s->watchdog_us && now + s->watchdog_us / 2000 < until)
		until = now + s->watchdog_us / 2000;
	return until > now ? (int)(until - now) : 0;
}

static int turn(struct service *s)
{
	struct pollfd fds[LINK_WATCH_FDS + 1] = { { .fd = s->signals, .events = POLLIN } };
	int link[LINK_WATCH_FDS], n, err;

	link_watch_fds(s->link, link);
	for (int i = 0; i < LINK_WATCH_FDS; i++)
		fds[i + 1] = (struct pollfd){ .fd = link[i], .events = POLLIN };
	n = poll(fds, LINK_WATCH_FDS + 1, wait_for(s));
	if (n < 0 && errno != EINTR)
		return -errno;
	if (s->watchdog_us)
		systemd.sd_notify(0, "WATCHDOG=1");
	read_signals(s);
	err = check_plane(s);
	if (!err)
		err = read_events(s);
	if (!err && s->run.open && !s->stop)
		work(s, n > 0);
	tell_systemd(s, s->ready || s->all ? "" : "READY=1\n");
	s->ready |= !s->all;
	return err;
}

/* ---- begin and end ---- */

static int begin(struct service *s, const struct cmd_env *env)
{
	char object[VP_NAME_LEN + 8];
	int pid = 0, err;

	snprintf(object, sizeof(object), "plane %s", env->plane);
	s->signals = open_signals();
	err = s->signals < 0 ? -errno : link_watch_open(&s->link);
	if (err) {
		fail("watch", "cannot hear of devices: %s", strerror(-err));
		return err;
	}
	err = run_open(&s->run, &pid);
	if (err == -ENOENT)
		fail(object, geteuid() ? "cannot be seen; run as root"
				       : "there is no such plane; make it with: vpeer up -f FILE");
	else if (err == -EAGAIN)
		fail(object, "is watched already, by process %d", pid);
	return err;
}

int cmd_watch(const struct cmd_env *env, int argc, char **argv)
{
	struct service s = { .signals = -1, .all = true };
	int err;

	(void)argv;
	if (argc != 1) {
		fail("watch", "takes no arguments");
		return 2;
	}
	log_service();
	run_init(&s.run, env);
	err = find_systemd();
	if (!err)
		err = begin(&s, env);
	if (!err) {
		if (systemd.sd_watchdog_enabled && systemd.sd_watchdog_enabled(0, &s.watchdog_us) <= 0)
			s.watchdog_us = 0;
		work(&s, false);
		tell_systemd(&s, s.all ? "" : "READY=1\n");
		s.ready = !s.all;
	}
	while (!err && !s.stop)
		err = turn(&s);
	if (systemd.sd_notify)
		systemd.sd_notify(0, "STOPPING=1");
	if (s.run.open)
		run_release(&s.run);
	run_close(&s.run);
	link_watch_close(s.link);
	if (s.signals >= 0)
		close(s.signals);
	return err ? 1 : 0;
}
