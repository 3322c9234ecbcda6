/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bind A B, unbind A: peer bindings at run time. */
#include <errno.h>

#include "session.h"
#include "value.h"

struct ends {
	const char *plane;
	char **names;
};

static int is_free(const struct model *m, const char *plane, const char *name)
{
	char command[COMMAND_TEXT];
	const struct port *p = model_port(m, name);
	const char *peer = p ? model_peer(m, name) : NULL;

	if (!p)
		fail("bind", "there is no port %s", name);
	else if (peer)
		fail("bind", "port %s is bound to %s; run: %s %s", name, peer,
		     value_command(command, plane, "unbind"), name);
	else if (port_in_any(p))
		fail("bind", "port %s is in segment %s; run: %s %s segment=%s", name,
		     p->segment[0] ? p->segment : p->tagged[0].s, value_command(command, plane, "port set"), name,
		     p->n_tagged ? " tagged=" : "");
	return p && !peer && !port_in_any(p) ? 0 : -EINVAL;
}

static int bind_two(struct model *m, void *ctx)
{
	const struct ends *e = ctx;
	char **names = e->names;
	struct binding b = {0};
	int err = is_free(m, e->plane, names[0]);

	if (!err)
		err = is_free(m, e->plane, names[1]);
	if (err)
		return err;
	snprintf(b.a, sizeof(b.a), "%s", names[0]);
	snprintf(b.b, sizeof(b.b), "%s", names[1]);
	return model_add_binding(m, &b) ? 0 : -ENOMEM;
}

static int unbind_one(struct model *m, void *ctx)
{
	char **names = ((const struct ends *)ctx)->names;

	if (!model_port(m, names[0]) || !model_binding_of(m, names[0])) {
		fail("unbind", "port %s %s", names[0], model_port(m, names[0]) ? "is not bound" : "does not exist");
		return -ENOENT;
	}
	model_del_binding(m, names[0]);
	return 0;
}

static int run(const struct cmd_env *env, session_edit edit, char **names, size_t n)
{
	struct apply_result result = {0};
	struct apply_opts opts = {.only = names, .n_only = n, .mend = true};
	struct ends ends = {env->plane, names};
	int ret = session_change(env, edit, &ends, &opts, &result);

	if (!ret)
		session_tell(env, &result);
	return ret;
}

int cmd_bind(const struct cmd_env *env, int argc, char **argv)
{
	if (argc != 3) {
		fail("bind", "usage: vpeer bind A B");
		return 2;
	}
	return run(env, bind_two, argv + 1, 2);
}

int cmd_unbind(const struct cmd_env *env, int argc, char **argv)
{
	if (argc != 2) {
		fail("unbind", "usage: vpeer unbind A");
		return 2;
	}
	return run(env, unbind_one, argv + 1, 1);
}
