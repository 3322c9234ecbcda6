/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* show [ports|bindings|segments|macs|drops|all] */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "view.h"

static int parse(int argc, char **argv, unsigned int *what)
{
	static const struct {
		const char *word;
		unsigned int what;
	} words[] = {
		{ "ports", SHOW_PORTS }, { "bindings", SHOW_BINDINGS }, { "segments", SHOW_SEGMENTS },
		{ "macs", SHOW_MACS },	 { "drops", SHOW_DROPS },	{ "all", SHOW_ALL },
	};
	size_t i;

	*what = SHOW_PORTS | SHOW_BINDINGS | SHOW_SEGMENTS;
	if (argc < 2)
		return 0;
	for (i = 0; argc == 2 && i < sizeof(words) / sizeof(*words); i++) {
		if (!strcmp(argv[1], words[i].word)) {
			*what = words[i].what;
			return 0;
		}
	}
	fail("show", "%s: exactly one of ports, bindings, segments, macs, drops, all is expected",
	     argc > 2 ? "too many arguments" : argv[1]);
	return -EINVAL;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int list_planes(const struct cmd_env *env)
{
	char(*names)[VP_NAME_LEN] = NULL;
	json_t *list = json_array();
	size_t n = 0, i;
	int ret = plane_names(&names, &n);

	if (ret) {
		fail("planes", "cannot list them: %s", strerror(-ret));
	} else {
		if (n)
			qsort(names, n, sizeof(*names), by_name);
		for (i = 0; i < n; i++)
			json_array_append_new(list, json_string(names[i]));
		for (i = 0; !env->json && i < n; i++)
			fprintf(env->out, "%s\n", names[i]);
		if (env->json) {
			json_dumpf(list, env->out, JSON_INDENT(2) | JSON_ENSURE_ASCII);
			fputc('\n', env->out);
		} else if (!n) {
			fputs("no plane\n", env->out);
		}
	}
	json_decref(list);
	free(names);
	return ret ? 1 : 0;
}

static int show_plane(const struct cmd_env *env, struct plane *p, unsigned int what)
{
	struct view v;
	int ret = view_make(&v, p, env->json || (what & (SHOW_MACS | SHOW_SEGMENTS)));
	char object[VP_NAME_LEN + 8];

	snprintf(object, sizeof(object), "plane %s", env->plane);
	if (ret) {
		fail(object, "cannot read it: %s", strerror(-ret));
		return 1;
	}
	if (env->json)
		ret = print_view_json(env->out, &v);
	else
		print_view(env->out, &v, what);
	view_free(&v);
	if (ret)
		fail(object, "cannot print it: %s", strerror(-ret));
	return ret ? 1 : 0;
}

int cmd_show(const struct cmd_env *env, int argc, char **argv)
{
	char object[VP_NAME_LEN + 8];
	struct plane p;
	unsigned int what;
	int ret;

	if (parse(argc, argv, &what))
		return 2;
	plane_init(&p);
	ret = plane_open(&p, env->plane);
	if (!ret) {
		ret = show_plane(env, &p, what);
	} else if (ret == -ENOENT && !env->plane_given) {
		ret = list_planes(env);
	} else {
		snprintf(object, sizeof(object), "plane %s", env->plane);
		if (ret == -ENOENT)
			fail(object, "there is no such plane; vpeer show lists those there are, vpeer up makes one");
		else if (!log_errors()) /* plane_open() could not even look */
			fail(object, "cannot be seen: %s%s", strerror(-ret), geteuid() ? "; run as root" : "");
		ret = 1;
	}
	plane_close(&p);
	return ret;
}
