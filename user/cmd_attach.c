/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* attach [PORT...]: take back ports whose device has returned; ports that are in order are not touched. */
#include <errno.h>

#include "session.h"

static int name_ports(struct model *m, void *ctx)
{
	const struct apply_opts *opts = ctx;

	for (size_t i = 0; i < opts->n_only; i++)
		if (!model_port(m, opts->only[i])) {
			fail("attach", "there is no port %s", opts->only[i]);
			return -ENOENT;
		}
	return 0;
}

int cmd_attach(const struct cmd_env *env, int argc, char **argv)
{
	/* Of one port that was named there is nothing to be done but all. */
	struct apply_opts opts = {.only = argv + 1, .n_only = (size_t)argc - 1, .each = argc != 2};
	struct apply_result result = {0};
	int ret = session_change(env, name_ports, &opts, &opts, &result);

	if (!ret || ret == 3)
		session_tell(env, &result);
	return ret;
}
