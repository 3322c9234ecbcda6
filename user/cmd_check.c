/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * check FILE: everything that can be said about a file without root, a device or a plane.  Where the devices are there,
 * their MTUs are compared, too: unequal ones are a warning, since devices can change and the file is right.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "conf.h"
#include "link.h"
#include "mtu.h"
#include "session.h"
#include "view.h"

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void warn_mtu(const struct port *p, uint32_t mtu, const struct mtu_want *want)
{
	char object[VP_NAME_LEN + 8];

	snprintf(object, sizeof(object), "port %s", p->name);
	warn_at(&p->at, object,
		"device %s has MTU %u, port %s %s%s has %u: what is too large is dropped; "
		"run: ip link set dev %s mtu %u",
		p->device[0] ? p->device : p->name, mtu, want->why->name,
		want->segment ? "in segment " : "at the other end", want->segment ? want->segment : "", want->mtu,
		p->device[0] ? p->device : p->name, want->mtu);
}

/* Devices that are absent, or elsewhere, say nothing. */
static void compare_mtus(const struct model *m)
{
	uint32_t *mtu = calloc(m->n_ports + 1, sizeof(*mtu));
	struct mtu_want *want = calloc(m->n_ports + 1, sizeof(*want));
	struct link_info *links = NULL;
	size_t n = 0;

	if (mtu && want && !link_list(&links, &n)) {
		for (size_t i = 0; i < m->n_ports; i++)
			for (size_t l = 0; l < n; l++)
				if (!strcmp(links[l].name, m->ports[i].device))
					mtu[i] = links[l].mtu;
		mtu_compare(m, mtu, want);
		for (size_t i = 0; i < m->n_ports; i++)
			if (want[i].mtu)
				warn_mtu(&m->ports[i], mtu[i], &want[i]);
	}
	free(links);
	free(want);
	free(mtu);
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
		compare_mtus(&m);
		session_warn(&m, false);
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
