/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A binding with `propagate`: what a cable does.  When one end has no carrier, the other end's device is held down, so
 * that whoever is behind it sees no carrier either.  Only `watch` holds; the record of it (undo.h) and the lock that a
 * running `watch` has say whether a hold still has a holder: one without is released by whoever comes next.
 */
#ifndef HOLD_H
#define HOLD_H

#include <stdbool.h>
#include <stdint.h>

/* One end as it is. */
struct hold_end {
	bool present;  /* the port is attached and its device is there */
	bool up;       /* administratively */
	bool running;  /* has a carrier; says nothing while `held` */
	bool held;     /* by us */
	bool settling; /* was released a moment ago: no carrier need not mean anything yet */
};
enum hold_act {
	HOLD_NOTHING,
	HOLD_DOWN,
	HOLD_RELEASE
};

/*
 * Pure: what is to be done at each end.  An end that is held is never a cause, since what it lacks it may lack because
 * of us; and one without a carrier is not held, or nobody could see it come back.
 */
void hold_decide(const struct hold_end ends[2], enum hold_act acts[2]);

/*
 * The lock of a running `watch`, for as long as *fd is open. -EAGAIN: another has it; its process in *pid (0 =
 * unknown). The plane must be there: its directory goes with it.
 */
int hold_lock(const char *plane, int *fd, int *pid);
bool hold_watched(const char *plane); /* does a `watch` run? Takes no lock */

/* Is the device held down, and by a `watch` that runs? */
bool hold_in_force(const char *plane, uint32_t ifindex);
/* Put up whatever is held down by nobody any more. 0 or -errno. */
int hold_sweep(const char *plane);

#endif
