/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* rollback: the former configuration again. confirm: what `up --confirm` made is to stay. */
#include <errno.h>
#include <string.h>

#include "former.h"
#include "rollback.h"
#include "session.h"

int cmd_rollback(const struct cmd_env *env, int argc, char **argv)
{
	struct plan did;
	struct apply_result result = {.plan = &did};
	struct plane p;
	bool removed = false;
	int err;

	(void)argv;
	if (argc != 1) {
		fail("rollback", "takes no arguments");
		return 2;
	}
	plan_init(&did);
	plane_init(&p);
	err = rollback(&p, env->plane, NULL, &result, &removed);
	plane_close(&p);
	if (!err && removed && !env->json)
		fprintf(env->out, "plane %s: removed; there was none before\n", env->plane);
	else if (!err)
		session_tell(env, &result);
	plan_free(&did);
	return err ? 1 : result.partly ? 3 : 0;
}

int cmd_confirm(const struct cmd_env *env, int argc, char **argv)
{
	char object[VP_NAME_LEN + 8];
	struct pending pending;
	struct plane p;
	int err;

	(void)argv;
	if (argc != 1) {
		fail("confirm", "takes no arguments");
		return 2;
	}
	snprintf(object, sizeof(object), "plane %s", env->plane);
	err = session_open(env, &p, true);
	if (!err) {
		former_settle(&p);
		err = former_pending(env->plane, &pending);
		if (err == -ENOENT)
			fail(object, "nothing waits to be confirmed; what was not confirmed in time was taken back");
		else if (!err)
			err = former_decided(env->plane);
		pending_free(&pending);
		if (err && err != -ENOENT)
			fail(object, "cannot confirm: %s", strerror(-err));
	}
	plane_close(&p);
	if (!err && env->json)
		fprintf(env->out, "{\"plane\": \"%s\", \"confirmed\": true}\n", env->plane);
	else if (!err)
		fprintf(env->out, "plane %s: confirmed\n", env->plane);
	return err ? 1 : 0;
}
