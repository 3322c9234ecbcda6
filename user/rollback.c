/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "rollback.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "conf.h"
#include "former.h"
#include "undo.h"

#define LOOK_EVERY_MS 500

static int back_to(struct plane *p, const char *text, size_t len, struct apply_result *result)
{
	/* What was live had these devices by consent: putting it back takes them as `up --take-over` did. */
	const struct apply_opts opts = {.by_name = true, .take_over = true, .decided = true};
	struct model m;
	int err;

	model_init(&m);
	err = conf_read_text(text, len, "(former configuration)", &m);
	if (!err)
		err = model_derive(&m, p->name);
	model_sort(&m);
	if (!err)
		err = model_check(&m);
	if (!err)
		err = apply(p, true, p->name, &m, &opts, result);
	model_free(&m);
	return err;
}

static int take_back(struct plane *p, const struct pending *pending, struct apply_result *result, bool *removed)
{
	int err;

	if (pending->none) {
		*removed = true;
		return apply_down(p);
	}
	err = back_to(p, pending->text, pending->len, result);
	return err ? err : former_decided(p->name);
}

static int to_former(struct plane *p, struct apply_result *result)
{
	char object[VP_NAME_LEN + 8], *text;
	size_t len;
	int err = former_read(p->name, &text, &len);

	snprintf(object, sizeof(object), "plane %s", p->name);
	if (err == -ENOENT)
		fail(object, "has no former configuration: nothing was changed since it was made");
	else if (err)
		fail(object, "cannot read its former configuration in /run/vpeer/%s/former: %s", p->name,
		     strerror(-err));
	else
		err = back_to(p, text, len, result);
	free(text);
	return err;
}

static int open_plane(struct plane *p, const char *plane, const char *token)
{
	char object[VP_NAME_LEN + 8];
	int err = plane_exists(plane) ? plane_lock(p, plane) : -ENOENT;

	if (!err)
		err = plane_open(p, plane);
	if (err == -ENOENT && p->lock >= 0)
		undo_leave(plane); /* it went while this run waited for the lock */
	if (err == -ENOENT && token)
		return -ECANCELED;
	snprintf(object, sizeof(object), "plane %s", plane);
	if (err == -ENOENT)
		fail(object, geteuid() ? "cannot be seen; run as root" : "there is no such plane");
	return err;
}

int rollback(struct plane *p, const char *plane, const char *token, struct apply_result *result, bool *removed)
{
	struct pending pending;
	int err = open_plane(p, plane, token);

	*removed = false;
	if (err)
		return err;
	former_settle(p);
	err = former_pending(plane, &pending);
	if (err && err != -ENOENT)
		fail(plane, "cannot read what waits to be confirmed in /run/vpeer/%s/confirm: %s", plane,
		     strerror(-err));
	else if (token && (err || strcmp(pending.token, token) != 0))
		err = -ECANCELED;
	else
		err = err ? to_former(p, result) : take_back(p, &pending, result, removed);
	pending_free(&pending);
	return err;
}

/* ---- later ---- */

static bool still_waits(const char *plane, const char *token, int *left)
{
	struct pending now;
	bool same;

	if (former_pending(plane, &now))
		return false;
	same = !strcmp(now.token, token);
	*left = former_pending_left(&now);
	pending_free(&now);
	return same;
}

/* Nobody reads what this process prints: it goes to the system's log. */
static void take_back_now(const char *plane, const char *token)
{
	struct apply_result result = {0};
	struct plane p;
	char *told = NULL;
	size_t len = 0;
	FILE *sink = open_memstream(&told, &len);
	bool removed;
	int err;

	log_setup(false, false, sink);
	plane_init(&p);
	err = rollback(&p, plane, token, &result, &removed);
	plane_close(&p);
	if (sink)
		fclose(sink);
	openlog("vpeer", LOG_PID, LOG_DAEMON);
	if (!err)
		syslog(LOG_WARNING, "plane %s: not confirmed in time: %s", plane,
		       removed ? "removed" : "back to the former configuration");
	else if (err != -ECANCELED)
		syslog(LOG_ERR, "plane %s: not confirmed in time, and it could not be taken back: %s", plane,
		       told && *told ? told : strerror(-err));
	free(told);
}

static void leave_everything(struct plane *p)
{
	int null = open("/dev/null", O_RDWR);

	plane_close(p); /* else this process would keep maps and lock */
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	close_range(3, ~0U, 0);
	if (chdir("/"))
		return;
}

static _Noreturn void wait_then_take_back(const char *plane, const char *token)
{
	int left = 0;

	while (still_waits(plane, token, &left)) {
		if (left <= 0) {
			take_back_now(plane, token);
			break;
		}
		poll(NULL, 0, LOOK_EVERY_MS);
	}
	_exit(0);
}

int rollback_later(struct plane *p, unsigned int seconds)
{
	char plane[VP_NAME_LEN];
	struct pending pending;
	pid_t child = -1;
	int status, err = former_pend(p, seconds, &pending);

	if (!err)
		child = fork();
	if (!err && child < 0)
		err = -errno;
	if (!err && !child) {
		memcpy(plane, p->name, sizeof(plane));
		signal(SIGHUP, SIG_IGN);
		setsid();
		if (fork())
			_exit(0);
		leave_everything(p);
		wait_then_take_back(plane, pending.token);
	}
	while (!err && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!err)
		return 0;
	former_decided(p->name);
	fail(p->name, "cannot arrange that it is taken back unless confirmed: %s; nothing was changed", strerror(-err));
	return err;
}
