/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "session.h"

#include <errno.h>
#include <unistd.h>

#include "undo.h"
#include "value.h"

static int open_with(const struct cmd_env *env, struct plane *p, bool lock,
		     int (*open)(struct plane *p, const char *name))
{
	char object[VP_NAME_LEN + 8], command[COMMAND_TEXT];
	int err;

	plane_init(p);
	err = lock && plane_exists(env->plane) ? plane_lock(p, env->plane) : 0;
	if (!err)
		err = open(p, env->plane);
	if (err != -ENOENT)
		return err;
	if (p->lock >= 0)
		undo_leave(env->plane); /* it went while this run waited for the lock */
	snprintf(object, sizeof(object), "plane %s", env->plane);
	if (geteuid())
		fail(object, "cannot be seen; run as root");
	else
		fail(object, "there is no such plane; make it with: %s",
		     value_command(command, env->plane, "up -f FILE"));
	return -ENOENT;
}

int session_open(const struct cmd_env *env, struct plane *p, bool lock)
{
	return open_with(env, p, lock, plane_open);
}

int session_open_older(const struct cmd_env *env, struct plane *p)
{
	return open_with(env, p, true, plane_open_older);
}

int session_change(const struct cmd_env *env, session_edit edit, void *ctx, const struct apply_opts *opts,
		   struct apply_result *result)
{
	struct model m;
	struct plane p;
	int err;

	model_init(&m);
	err = session_open(env, &p, true);
	if (!err)
		err = plane_model(&p, &m);
	if (!err)
		err = edit(&m, ctx);
	if (!err)
		err = model_derive(&m, env->plane);
	/* What was edited is last, as in a file that has it below the rest: in a conflict it is the one to blame. */
	if (!err)
		err = model_check(&m);
	model_sort(&m);
	if (!err)
		err = apply(&p, true, env->plane, &m, opts, result);
	plane_close(&p);
	model_free(&m);
	return err == -EUSAGE ? 2 : err ? 1 : result->partly ? 3 : 0;
}

void session_warn(const struct model *m, bool watched)
{
	char object[2 * VP_NAME_LEN + 16];

	for (size_t i = 0; !watched && i < m->n_bindings; i++) {
		const struct binding *b = &m->bindings[i];

		snprintf(object, sizeof(object), "binding %s %s", b->a, b->b);
		if (b->propagate)
			warn_at(&b->at, object, "`propagate` works only while `vpeer watch` runs");
	}
}

/* ", port g1 added", ", ports g1 and g2 added", ", 7 ports added" */
static void tell_some(FILE *out, const struct plan *plan, enum object_kind object, enum change_kind kind)
{
	static const char *const objects[] = { [OBJECT_SEGMENT] = "segment", [OBJECT_PORT] = "port",
					       [OBJECT_BINDING] = "binding" };
	static const char *const done[] = { [CHANGE_ADD] = "added", [CHANGE_SET] = "changed",
					    [CHANGE_DEL] = "removed" };
	const char *names[2];
	size_t n = 0;

	for (size_t i = 0; i < plan->n; i++)
		if (plan->changes[i].object == object && plan->changes[i].kind == kind && n++ < 2)
			names[n - 1] = plan->changes[i].name;
	if (n == 1)
		fprintf(out, ", %s %s %s", objects[object], names[0], done[kind]);
	else if (n == 2)
		fprintf(out, ", %ss %s and %s %s", objects[object], names[0], names[1], done[kind]);
	else if (n)
		fprintf(out, ", %zu %ss %s", n, objects[object], done[kind]);
}

static void tell_plan(FILE *out, const struct plan *plan)
{
	for (int object = OBJECT_SEGMENT; plan && object <= OBJECT_BINDING; object++)
		for (int kind = CHANGE_ADD; kind <= CHANGE_DEL; kind++)
			tell_some(out, plan, (enum object_kind)object, (enum change_kind)kind);
}

void session_tell(const struct cmd_env *env, const struct apply_result *r)
{
	char confirm[COMMAND_TEXT];

	if (env->json) {
		fprintf(env->out, "{\"plane\": \"%s\", \"changed\": %s, \"attached\": %u, \"waiting\": %u",
			env->plane, r->changed ? "true" : "false", r->attached, r->waiting);
		fprintf(env->out, r->confirm ? ", \"confirm\": %u}\n" : ", \"confirm\": null}\n", r->confirm);
		return;
	}
	fprintf(env->out, "plane %s: %s", env->plane, r->changed ? "done" : "nothing to change");
	tell_plan(env->out, r->plan);
	if (r->entered)
		fprintf(env->out, ", %u MAC entr%s entered", r->entered, r->entered == 1 ? "y" : "ies");
	if (r->raised)
		fprintf(env->out, ", %u device%s brought up", r->raised, r->raised == 1 ? "" : "s");
	if (r->attached)
		fprintf(env->out, ", %u port%s attached", r->attached, r->attached == 1 ? "" : "s");
	if (r->waiting)
		fprintf(env->out, ", %u waiting for %s", r->waiting, r->waiting == 1 ? "its device" : "their devices");
	if (r->confirm)
		fprintf(env->out, "; it is taken back in %u s unless you run: %s", r->confirm,
			value_command(confirm, env->plane, "confirm"));
	fprintf(env->out, "\n");
}
