/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What undo.c and undo_key.c share. */
#ifndef UNDO_PRIV_H
#define UNDO_PRIV_H

#include "undo.h"

#define NOTHING "-" /* no master, no address: a value is never empty */
#define HELD	"held" /* IFF_UP, taken away by `watch` for as long as the binding's other end has no carrier */

struct key {
	const char *name;
	/* The value now, as text; free(). */
	int (*get)(const struct link_info *l, char **value);
	/* NULL: cannot be put back; such records stay for the reader until undo_forget. */
	int (*set)(const struct link_info *l, const char *value);
	/* Is `now` what we made of `old`, or on the way there or back? NULL: only the value that the record says. */
	bool (*ours)(const char *now, const char *old);
	/* Of the same device: without these it cannot be put back, or would go again with the next try. */
	const char *needs;
};

/* NULL: there is none of this name. */
const struct key *undo_key(const char *name);
/* A copy of `text`; -ENOMEM. */
int undo_give_text(char **value, const char *text);

#endif
