/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * upgrade: this build's programs in the place of those that are loaded, without a frame lost.
 *
 * Everything that can be refused is refused before the plane is touched: versions, shapes of maps, the verifier.  Then
 * the pinned programs are exchanged, and each port's hooks follow, tc before XDP, which passes to it.  If one of them
 * refuses, all go back, and the pinned programs last: until then what is back counts as old, so that a loader that dies
 * leaves ports of either build, and the next `up`, `attach` or `upgrade` finds them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "plane_events.h"
#include "session.h"

struct upgrade {
	struct plane p;
	struct plane_next next;
	struct model m;
	struct link_info *links;
	size_t n_links;
	struct plane_former *former; /* of each port of the model */
	unsigned int ports;
	bool migrated, exchanged;
};

static const struct link_info *device_of(const struct upgrade *u, uint32_t ifindex)
{
	for (size_t i = 0; ifindex && i < u->n_links; i++)
		if (u->links[i].ifindex == ifindex)
			return &u->links[i];
	return NULL;
}

typedef int (*do_one)(struct upgrade *u, size_t i, uint16_t id, const struct link_info *l);

static int replace_one(struct upgrade *u, size_t i, uint16_t id, const struct link_info *l)
{
	const char *port = u->m.ports[i].name;
	struct attachment had;
	char object[VP_NAME_LEN + 8];
	int err = plane_attached(&u->p, port, l, &had);

	if (!err && !had.old)
		return 0;
	u->p.why[0] = 0;
	if (!err)
		err = plane_former_take(&u->p, port, l, &had, &u->former[i]);
	if (!err)
		err = plane_attach(&u->p, id, port, l, had.xdp, had.generic ? MODE_GENERIC : MODE_NATIVE,
			   had.shared ? ATTACH_SHARED : ATTACH_LINK);
	if (!err) {
		u->ports++;
		return 0;
	}
	snprintf(object, sizeof(object), "port %s", port);
	fail(object, "device %s: cannot replace its programs: %s", l->name, u->p.why[0] ? u->p.why : strerror(-err));
	return err;
}

static int put_one_back(struct upgrade *u, size_t i, uint16_t id, const struct link_info *l)
{
	return plane_former_put(&u->p, id, u->m.ports[i].name, l, &u->former[i]);
}

/* Wherever something of ours is that is not the plane's any more. A device that is gone has nothing. */
static int each_port(struct upgrade *u, do_one one)
{
	int err = 0;

	for (size_t i = 0; !err && i < u->m.n_ports; i++) {
		uint16_t id = plane_port_id(&u->p, u->m.ports[i].name);
		const struct link_info *l = id ? device_of(u, plane_port(&u->p, id)->ifindex) : NULL;

		if (l)
			err = one(u, i, id, l);
	}
	return err;
}

static int go_back(struct upgrade *u)
{
	int err;

	plane_swap(&u->p, &u->next);
	err = each_port(u, put_one_back);
	if (!err)
		err = plane_repin(&u->p);
	u->exchanged = err;
	if (!err)
		u->ports = 0;
	else
		fail(u->p.name, "and going back failed, too: %s; ports run programs of both builds, which fit "
				"together; run upgrade again", strerror(-err));
	return err;
}

/* For what each port has: a file or more, which may be more files than a process has by default. */
static int make_room(struct upgrade *u)
{
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	u->former = calloc(u->m.n_ports + 1, sizeof(*u->former));
	for (size_t i = 0; u->former && i < u->m.n_ports; i++)
		plane_former_init(&u->former[i]);
	return u->former ? 0 : -ENOMEM;
}

static int prepare(struct upgrade *u)
{
	int err = plane_model(&u->p, &u->m);

	if (!err)
		err = link_list(&u->links, &u->n_links);
	if (!err)
		err = make_room(u);
	if (err)
		fail(u->p.name, "cannot read the plane or its devices: %s", strerror(-err));
	return err ? err : plane_next_load(&u->p, &u->next);
}

/* Between loading and the first hook: nothing that a frame could notice. */
static int exchange(struct upgrade *u)
{
	const uint32_t abi = ((const struct vp_plane *)u->p.mem[MAP_PLANE])->abi;
	int err = plane_next_migrate(&u->p, &u->next);

	u->migrated = !err && abi != VP_ABI_VERSION;
	if (!err && u->next.same && !u->migrated) /* programs are tied to the maps they were loaded with */
		return 0;
	if (!err)
		err = plane_next_sweep(&u->p, &u->next);
	if (!err)
		err = plane_adopt(&u->p, &u->next);
	if (err)
		fail(u->p.name, "cannot take the new programs: %s; the former ones are at work", strerror(-err));
	u->exchanged = !err;
	return err;
}

static int run(struct upgrade *u)
{
	int err = prepare(u);

	if (!err)
		err = exchange(u);
	if (err)
		return err;
	err = each_port(u, replace_one);
	if (err && u->exchanged)
		go_back(u);
	else if (!err && u->exchanged)
		plane_news(&u->p, VP_NEWS_UPGRADED, 0);
	return err;
}

static void report(const struct cmd_env *env, const struct upgrade *u)
{
	bool changed = u->exchanged || u->ports || u->migrated;

	if (env->json)
		fprintf(env->out, "{\"plane\": \"%s\", \"changed\": %s, \"ports\": %u, \"abi\": \"%u.%u\"}\n",
			env->plane, changed ? "true" : "false", u->ports, VP_ABI_MAJOR, VP_ABI_MINOR);
	else if (changed)
		fprintf(env->out, "plane %s: programs replaced on %u port%s\n", env->plane, u->ports,
			u->ports == 1 ? "" : "s");
	else
		fprintf(env->out, "plane %s: nothing to change\n", env->plane);
}

int cmd_upgrade(const struct cmd_env *env, int argc, char **argv)
{
	struct upgrade u = {.ports = 0};
	int err, ret;

	(void)argv;
	if (argc != 1) {
		fail("upgrade", "takes no arguments");
		return 2;
	}
	plane_next_init(&u.next);
	model_init(&u.m);
	err = session_open_older(env, &u.p);
	if (!err)
		err = run(&u);
	if (!err)
		report(env, &u);
	ret = !err ? 0 : u.exchanged || u.ports ? 3 : 1;
	for (size_t i = 0; u.former && i < u.m.n_ports; i++)
		plane_former_close(&u.former[i]);
	free(u.former);
	free(u.links);
	model_free(&u.m);
	plane_next_close(&u.next);
	plane_close(&u.p);
	return ret;
}
