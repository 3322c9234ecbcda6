/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* check FILE: everything that can be said about a file without root, a device or a plane. */
#include <string.h>

#include "cmd.h"
#include "conf.h"
#include "view.h"

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

int cmd_check(const struct cmd_env *env, int argc, char **argv)
{
	struct model m;
	int ret;

	if (argc != 2) {
		fail("check", "exactly one FILE is expected (- = standard input)");
		return 2;
	}
	model_init(&m);
	ret = conf_load(argv[1], env->plane, &m);
	if (!ret) {
		model_sort(&m);
		if (env->json)
			ret = print_model_json(env->out, &m, env->plane);
		else
			fprintf(env->out, "%s: ok: %zu port%s, %zu segment%s, %zu binding%s\n",
				strcmp(argv[1], "-") ? argv[1] : "(standard input)", m.n_ports, plural(m.n_ports),
				m.n_segments, plural(m.n_segments), m.n_bindings, plural(m.n_bindings));
	}
	model_free(&m);
	return ret ? 1 : 0;
}
