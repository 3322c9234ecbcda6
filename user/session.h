/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What verbs that act on a live plane have in common: lock, open, edit its model, apply, close. Exit codes out. */
#ifndef SESSION_H
#define SESSION_H

#include "apply.h"
#include "cmd.h"

/* Open the plane of `env`, reporting when it is absent (-ENOENT). Locked if `lock`. */
int session_open(const struct cmd_env *env, struct plane *p, bool lock);

/* The same, locked, also if the plane has an earlier minor ABI number than this build. */
int session_open_older(const struct cmd_env *env, struct plane *p);

/* Change the live model in `edit` (0, or -errno with its own message; -EUSAGE for usage) and apply it. */
#define EUSAGE 1000
typedef int (*session_edit)(struct model *m, void *ctx);
int session_change(const struct cmd_env *env, session_edit edit, void *ctx, const struct apply_opts *opts,
		   struct apply_result *result);

/* What of a configuration takes a running `watch`, where there is none (`check` can't know of which plane's). */
void session_warn(const struct model *m, bool watched);

/* Say what apply() did ("plane default: nothing to change"); --json: an object. */
void session_tell(const struct cmd_env *env, const struct apply_result *r);

#endif
