/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* showconf: the live plane as a file that `up` accepts with an empty diff. */
#include "conf.h"
#include "session.h"
#include "view.h"

int cmd_showconf(const struct cmd_env *env, int argc, char **argv)
{
	struct model m;
	struct plane p;
	int err;

	(void)argv;
	if (argc != 1) {
		fail("showconf", "takes no arguments");
		return 2;
	}
	model_init(&m);
	err = session_open(env, &p, false);
	if (!err)
		err = plane_model(&p, &m);
	if (!err)
		err = env->json ? print_model_json(env->out, &m, env->plane) : conf_write(env->out, &m);
	plane_close(&p);
	model_free(&m);
	return err ? 1 : 0;
}
