/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The former configuration of a plane, and one that waits to be confirmed.  Three files in /run/vpeer/PLANE:
 *
 *   former       the text that was live before the last change
 *   former.new   the same, noted before a switch; which of the two moments a loader died in, the live text tells:
 *                it is equal as long as nothing was switched
 *   confirm      `TOKEN DEADLINE text|none`, a line, then the text to return to if nobody confirms (none: no plane)
 *
 * What is noted is the text, not the model: it is what `showconf` prints.  All but former_pending() want the lock.
 */
#ifndef FORMER_H
#define FORMER_H

#include "plane.h"

#define FORMER_TOKEN 17 /* 16 hexadecimal digits and NUL */

/* Note the live text, before the switch to another one. -errno: nothing may be switched. */
int former_note(const struct plane *p);
/* After a switch, and before anything that builds on these files: make of former.new what it is by now. */
void former_settle(const struct plane *p);
/* The text to go back to; free(). -ENOENT: none. */
int former_read(const char *plane, char **text, size_t *len);

struct pending {
	char token[FORMER_TOKEN];
	uint64_t deadline_ms; /* CLOCK_BOOTTIME */
	bool none;	      /* there was no plane before */
	char *text;	      /* to go back to; free() */
	size_t len;
};
/* Is a confirmation pending? 0 (then pending_free()), -ENOENT no. */
int former_pending(const char *plane, struct pending *out);
void pending_free(struct pending *pending);
int former_pending_left(const struct pending *pending); /* whole seconds, rounded up; 0 or less: overdue */
/* From now on it is; the live text is what to go back to. Fills in token and deadline only. */
int former_pend(const struct plane *p, unsigned int seconds, struct pending *out);
int former_decided(const char *plane); /* no more; none: 0 */
/* A plane is about to be made: what a `down` that was cut short has left of another one of that name is not its own. */
int former_forget(const char *plane);

#endif
