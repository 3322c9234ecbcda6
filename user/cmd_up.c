/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* up [-f FILE] [--dry-run] [--prune] [--take-over] [--confirm SEC]: make the plane equal to FILE. */
#include <errno.h>
#include <string.h>

#include "conf.h"
#include "hold.h"
#include "rollback.h"
#include "session.h"
#include "undo.h"
#include "value.h"
#include "view.h"

#define DEFAULT_FILE "/etc/vpeer/plane.yaml"
#define CONFIRM_MOST 86400

struct up_args {
	const char *file;
	bool dry_run;
	uint32_t confirm; /* seconds, 0 = without */
	bool pends;	  /* the configuration changed, and so there is something to confirm */
	struct apply_opts opts;
};

static int roll_back_later(struct plane *p, void *ctx)
{
	struct up_args *a = ctx;
	int err = rollback_later(p, a->confirm);

	a->pends = !err;
	return err;
}

static int read_seconds(struct up_args *a, const char *text)
{
	if (value_u32(text, 1, CONFIRM_MOST, &a->confirm)) {
		fail("up", "--confirm wants seconds, 1 to %d, not %s", CONFIRM_MOST, text);
		return -1;
	}
	a->opts.ready = roll_back_later;
	a->opts.ctx = a;
	return 0;
}

static int read_args(struct up_args *a, int argc, char **argv)
{
	*a = (struct up_args){.file = DEFAULT_FILE, .opts = {.by_name = true}};
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-f") && i + 1 < argc)
			a->file = argv[++i];
		else if (!strcmp(argv[i], "--dry-run"))
			a->dry_run = true;
		else if (!strcmp(argv[i], "--prune"))
			a->opts.prune = true;
		else if (!strcmp(argv[i], "--take-over"))
			a->opts.take_over = true;
		else if (!strcmp(argv[i], "--confirm") && i + 1 < argc) {
			if (read_seconds(a, argv[++i]))
				return -1;
		} else if (!strcmp(argv[i], "-f") || !strcmp(argv[i], "--confirm")) {
			fail("up", "%s wants %s", argv[i],
			     strcmp(argv[i], "-f") ? "seconds" : "a file, or - for standard input");
			return -1;
		} else {
			fail("up", "%s is not understood; usage: vpeer up [-f FILE] [--dry-run] [--prune] "
				   "[--take-over] [--confirm SEC]", argv[i]);
			return -1;
		}
	}
	return 0;
}

static int dry_run(const struct cmd_env *env, struct plane *p, bool exists, const struct model *want,
		   const struct apply_opts *opts)
{
	struct plan plan;
	int err;

	plan_init(&plan);
	err = apply_plan(p, exists, env->plane, want, opts, &plan);
	if (!err && env->json)
		err = print_plan_json(env->out, &plan);
	else if (!err && plan.n)
		print_plan(env->out, &plan);
	else if (!err)
		fprintf(env->out, "plane %s: nothing to change\n", env->plane);
	plan_free(&plan);
	return err;
}

int cmd_up(const struct cmd_env *env, int argc, char **argv)
{
	struct plan did;
	struct apply_result result = {.plan = &did};
	struct up_args args;
	struct model want;
	struct plane p;
	bool exists = false;
	int err;

	if (read_args(&args, argc, argv))
		return 2;
	plan_init(&did);
	plane_init(&p);
	model_init(&want);
	err = conf_load(args.file, env->plane, &want);
	if (!err) {
		model_sort(&want);
		err = plane_lock(&p, env->plane);
	}
	if (!err) {
		err = plane_open(&p, env->plane);
		exists = !err;
		if (err == -ENOENT)
			err = 0;
	}
	if (!err && args.dry_run)
		err = dry_run(env, &p, exists, &want, &args.opts);
	else if (!err)
		err = apply(&p, exists, env->plane, &want, &args.opts, &result);
	if (args.pends)
		result.confirm = args.confirm;
	if (!err && !args.dry_run) {
		session_tell(env, &result);
		session_warn(&want, hold_watched(env->plane));
	}
	if (p.lock >= 0 && !plane_exists(env->plane))
		undo_leave(env->plane); /* no plane came of it */
	plane_close(&p);
	model_free(&want);
	plan_free(&did);
	return err ? 1 : result.partly ? 3 : 0;
}
