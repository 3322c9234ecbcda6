/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* attach [PORT...]: take back ports whose device has returned; ports that are in order are not touched. */
#include <errno.h>

#include "session.h"

struct attach_ctx {
	int n;
	char **names;
};

static int name_ports(struct model *m, void *ctx)
{
	const struct attach_ctx *a = ctx;

	for (int i = 0; i < a->n; i++)
		if (!model_port(m, a->names[i])) {
			fail("attach", "there is no port %s", a->names[i]);
			return -ENOENT;
		}
	return 0;
}

int cmd_attach(const struct cmd_env *env, int argc, char **argv)
{
	struct attach_ctx ctx = {argc - 1, argv + 1};
	struct apply_result result = {0};
	int ret = session_change(env, name_ports, &ctx, &result);

	if (!ret)
		session_tell(env, &result);
	return ret;
}
