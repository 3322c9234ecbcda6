/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* port add NAME key=value... | port set NAME key=value... | port del NAME */
#include <errno.h>
#include <string.h>

#include "conf.h"
#include "session.h"
#include "value.h"

struct port_args {
	const char *plane, *name;
	int n;
	char **keys;
};

static int add(struct model *m, void *ctx)
{
	const struct port_args *a = ctx;
	char command[COMMAND_TEXT];
	struct port p;
	int err;

	if (value_name(a->name, VP_NAME_LEN - 1)) {
		fail(a->name, "is no name for a port: a-z, 0-9, then also _ . -, at most 31 characters");
		return -EINVAL;
	}
	if (model_port(m, a->name)) {
		fail("port", "%s is there already; change it with: %s %s ...", a->name,
		     value_command(command, a->plane, "port set"), a->name);
		return -EEXIST;
	}
	port_init(&p, VP_KIND_GUEST);
	snprintf(p.name, sizeof(p.name), "%s", a->name);
	err = conf_port_args(&p, a->n, a->keys);
	if (!err && !model_add_port(m, &p))
		err = -ENOMEM;
	port_free(&p);
	return err;
}

static int set(struct model *m, void *ctx)
{
	const struct port_args *a = ctx;
	struct port *p = model_port(m, a->name);

	if (!p) {
		fail("port", "there is no port %s", a->name);
		return -ENOENT;
	}
	return conf_port_args(model_port_last(m, p), a->n, a->keys);
}

static int del(struct model *m, void *ctx)
{
	const struct port_args *a = ctx;

	if (!model_port(m, a->name)) {
		fail("port", "there is no port %s", a->name);
		return -ENOENT;
	}
	model_del_port(m, a->name);
	return 0;
}

int cmd_port(const struct cmd_env *env, int argc, char **argv)
{
	struct apply_result result = {0};
	struct port_args args;
	session_edit edit = NULL;

	if (argc >= 3 && !strcmp(argv[1], "add"))
		edit = add;
	else if (argc >= 4 && !strcmp(argv[1], "set"))
		edit = set;
	else if (argc == 3 && !strcmp(argv[1], "del"))
		edit = del;
	if (!edit) {
		fail("port", "usage: vpeer port add NAME device=IF [key=value...] | set NAME key=value... | del NAME");
		return 2;
	}
	args = (struct port_args){env->plane, argv[2], argc - 3, argv + 3};
	struct apply_opts opts = {.only = argv + 2, .n_only = 1, .mend = true};
	int ret = session_change(env, edit, &args, &opts, &result);

	if (!ret)
		session_tell(env, &result);
	return ret;
}
