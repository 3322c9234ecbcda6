/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* down: detach, delete host interfaces, undo every setting, remove pins; an absent plane is done already. */
#include <unistd.h>

#include "session.h"

int cmd_down(const struct cmd_env *env, int argc, char **argv)
{
	bool there = plane_exists(env->plane);
	struct plane p;
	int err = 0;

	(void)argv;
	if (argc != 1) {
		fail("down", "takes no arguments");
		return 2;
	}
	plane_init(&p);
	if (there || !geteuid())
		err = plane_lock(&p, env->plane);
	if (!err && (there = plane_exists(env->plane)))
		err = plane_open_to_remove(&p, env->plane);
	if (!err && there)
		err = apply_down(&p);
	else if (!err && p.lock >= 0) /* a loader may have died while it made one, or took it away */
		err = apply_clear(env->plane);
	plane_close(&p);
	if (!err && !env->json)
		fprintf(env->out, "plane %s: %s\n", env->plane, there ? "removed" : "is not there");
	return err ? 1 : 0;
}
