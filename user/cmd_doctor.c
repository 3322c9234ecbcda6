/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* doctor [--fix | --vfio]: what keeps ports from working, or from working well. Exit 0: no error is left. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "doctor.h"
#include "vfio.h"

/*
 * The plane to look at: 0 and open, or 0 and *p closed where there is none to be seen, which the findings then explain
 * (made by another vpeer, no permission). Locked only to change it.
 */
static int open_plane(const struct cmd_env *env, struct plane *p, bool lock, bool *open)
{
	struct plane_trace *traces = NULL;
	char object[VP_NAME_LEN + 8];
	bool strange = false;
	size_t n = 0;
	int err;

	*open = false;
	if (!plane_exists(env->plane) && env->plane_given) {
		snprintf(object, sizeof(object), "plane %s", env->plane);
		fail(object, "there is no such plane; vpeer show lists those there are, vpeer up makes one");
		return -ENOENT;
	}
	if (!plane_exists(env->plane) || geteuid())
		return 0;
	err = plane_traces(&traces, &n);
	for (size_t i = 0; !err && i < n; i++)
		strange |= !strcmp(traces[i].name, env->plane) && traces[i].abi && traces[i].abi != VP_ABI_VERSION;
	free(traces);
	if (strange)
		return 0;
	if (!err && lock)
		err = plane_lock(p, env->plane);
	if (!err)
		err = plane_open(p, env->plane);
	*open = !err;
	return err;
}

static int examine(const char *plane, struct plane *p, struct findings *found, bool fix)
{
	struct doctor_facts facts;
	int err = doctor_look(&facts, plane, p);

	if (err)
		return err;
	err = doctor_judge(&facts, found);
	if (!err && fix)
		doctor_fix(&facts, found, p);
	doctor_forget(&facts);
	return err;
}

static int doctor(const struct cmd_env *env, bool fix)
{
	struct findings before = { 0 }, now = { 0 };
	struct plane p;
	bool open = false;
	int err;

	plane_init(&p);
	err = open_plane(env, &p, fix, &open);
	if (!err && fix)
		err = examine(env->plane, open ? &p : NULL, &before, true);
	if (!err)
		err = examine(env->plane, open ? &p : NULL, &now, false);
	if (!err)
		err = doctor_mark_fixed(&now, &before);
	if (!err && env->json)
		err = print_findings_json(env->out, &now, open ? env->plane : NULL);
	else if (!err)
		print_findings(env->out, &now, open ? env->plane : NULL);
	if (err == -ENOMEM || err == -EIO)
		fail("doctor", "cannot tell: %s", strerror(-err));
	err = err || findings_bad(&now);
	findings_free(&before);
	findings_free(&now);
	plane_close(&p);
	return err ? 1 : 0;
}

/* Which port of the plane has this device? A plane that cannot be opened has none, for all we can see. */
static void name_port(struct vfio_nic *nic, const struct model *m)
{
	for (size_t i = 0; nic->device[0] && i < m->n_ports; i++)
		if (!strcmp(m->ports[i].device, nic->device))
			snprintf(nic->port, sizeof(nic->port), "%s", m->ports[i].name);
}

static int vfio(const struct cmd_env *env)
{
	struct vfio_nics nics = { 0 };
	struct model m;
	struct plane p;
	bool open = false;
	int err;

	plane_init(&p);
	model_init(&m);
	err = open_plane(env, &p, false, &open);
	if (!err && open)
		err = plane_model(&p, &m);
	if (!err)
		err = vfio_list(vfio_root(), &nics);
	for (size_t i = 0; !err && i < nics.n; i++)
		name_port(&nics.list[i], &m);
	if (!err && env->json)
		err = print_vfio_json(env->out, &nics);
	else if (!err)
		print_vfio(env->out, &nics);
	vfio_free(&nics);
	model_free(&m);
	plane_close(&p);
	return err ? 1 : 0;
}

int cmd_doctor(const struct cmd_env *env, int argc, char **argv)
{
	if (argc == 1)
		return doctor(env, false);
	if (argc == 2 && !strcmp(argv[1], "--fix"))
		return doctor(env, true);
	if (argc == 2 && !strcmp(argv[1], "--vfio"))
		return vfio(env);
	fail("doctor", "%s is not understood; usage: vpeer doctor [--fix | --vfio]", argv[argc > 2 ? 2 : 1]);
	return 2;
}
