/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Back to the former configuration: at once, or later by itself. */
#ifndef ROLLBACK_H
#define ROLLBACK_H

#include "apply.h"

/*
 * Make the plane what it was before its last change; a change that waits to be confirmed is taken back, the plane
 * itself if there was none before.  With `token` only if that one still waits (-ECANCELED, silent: it does not).  Takes
 * the plane's lock into `p` (initialised; the caller closes it) and reports.  *removed: there is no plane now.
 */
int rollback(struct plane *p, const char *plane, const char *token, struct apply_result *result, bool *removed);

/*
 * Have a process of its own do that in so many seconds, unless it is decided by then.  It needs nothing of this one:
 * not its terminal, its files or its lock.  Returns when it waits; reports.  For apply_opts.ready.
 */
int rollback_later(struct plane *p, unsigned int seconds);

#endif
