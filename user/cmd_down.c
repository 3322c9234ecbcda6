/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* down: detach, delete host interfaces, undo every setting, remove pins; an absent plane is done already. */
#include <errno.h>

#include "session.h"
#include "undo.h"

int cmd_down(const struct cmd_env *env, int argc, char **argv)
{
	struct plane p;
	int err;

	(void)argv;
	if (argc != 1) {
		fail("down", "takes no arguments");
		return 2;
	}
	plane_init(&p);
	if (!plane_exists(env->plane)) {
		/* A loader may have died between changing a setting and making the plane. */
		undo_restore(env->plane, NULL);
		undo_forget(env->plane);
		if (!env->json)
			fprintf(env->out, "plane %s: is not there\n", env->plane);
		return 0;
	}
	err = plane_lock(&p, env->plane);
	if (!err)
		err = plane_open(&p, env->plane);
	if (!err)
		err = apply_down(&p);
	plane_close(&p);
	if (err == -ENOENT)
		err = 0;
	if (!err && !env->json)
		fprintf(env->out, "plane %s: removed\n", env->plane);
	return err ? 1 : 0;
}
