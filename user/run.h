/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The work of `watch`: what `vpeer attach PORT...` does, for the ports that events have marked.  Nothing is kept that
 * would be lost with the process: the plane, the undo file and the devices say all there is to know.
 */
#ifndef RUN_H
#define RUN_H

#include "plane_watch.h"
#include "session.h"
#include "watch.h"

struct watch_run {
	const struct cmd_env *env;
	struct plane p; /* for reading only; changes are made by sessions of their own */
	bool open;
	struct plane_shot shot;
	struct watch w;
	uint64_t now_ms;   /* of this pass */
	uint64_t retry_ms; /* when the first of the ports that failed is due, 0 = none is */
	char *said; /* by the last pass that succeeded: warnings are not repeated by each */
	int lock;   /* that of a running `watch`, -1 = none */
};

void run_init(struct watch_run *r, const struct cmd_env *env);
/* Open the plane and take the watch's lock. -ENOENT and -EAGAIN are silent, the latter with the other's process. */
int run_open(struct watch_run *r, int *pid);
void run_close(struct watch_run *r);

bool run_busy(const struct watch_run *r); /* a loader is at work: a pass would have to wait for it */
/* See what another loader has changed, if it has; then with a look at all devices. */
int run_refresh(struct watch_run *r);
int run_look(struct watch_run *r); /* at all devices: marks the ports that need a pass */
/* Attach or prune the ports that are marked, or all of them. What can't be had is reported, once. */
void run_pass(struct watch_run *r, bool all, uint64_t now_ms);
/* Mark the ports whose last pass failed, and which are due again. */
void run_retry(struct watch_run *r, uint64_t now_ms);
/* Bindings with `propagate`. *next_ms: when to come again, 0 = when something happens. */
void run_carriers(struct watch_run *r, uint64_t now_ms, uint64_t *next_ms);
void run_release(struct watch_run *r); /* every device that is held down */
/* Does another carrier serve what a TAP's guest sends better? Marks the ports of which that has changed. */
void run_weigh(struct watch_run *r);
bool run_lock(const struct watch_run *r, struct plane *p); /* the plane's lock, not its maps; plane_close() frees it */
/* What no event tells: how the guests have their TAPs open. */
void run_taps(struct watch_run *r);
void run_status(const struct watch_run *r, char *buf, size_t size); /* "3 ports up, 1 waiting" */

#endif
