/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* diff [-f FILE] [--exit-code]: what `up` would change; empty when equal. */
#include <errno.h>
#include <string.h>

#include "conf.h"
#include "session.h"
#include "view.h"

static int read_args(int argc, char **argv, const char **file, bool *exit_code)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-f") && i + 1 < argc) {
			*file = argv[++i];
		} else if (!strcmp(argv[i], "--exit-code")) {
			*exit_code = true;
		} else {
			fail("diff", "%s is not understood; usage: vpeer diff [-f FILE] [--exit-code]", argv[i]);
			return -1;
		}
	}
	return 0;
}

int cmd_diff(const struct cmd_env *env, int argc, char **argv)
{
	const char *file = "/etc/vpeer/plane.yaml";
	bool exit_code = false;
	const struct apply_opts opts = {.by_name = true};
	struct model want;
	struct plan plan;
	struct plane p;
	bool exists;
	int err;

	if (read_args(argc, argv, &file, &exit_code))
		return 2;
	plane_init(&p);
	model_init(&want);
	plan_init(&plan);
	err = conf_load(file, env->plane, &want);
	model_sort(&want);
	exists = !err && plane_exists(env->plane);
	if (exists)
		err = plane_open(&p, env->plane);
	if (!err)
		err = apply_plan(&p, exists, env->plane, &want, &opts, &plan);
	if (!err && env->json)
		err = print_plan_json(env->out, &plan);
	else if (!err)
		print_plan(env->out, &plan);
	int ret = err ? 1 : exit_code && plan.n ? 3 : 0;

	plan_free(&plan);
	model_free(&want);
	plane_close(&p);
	return ret;
}
