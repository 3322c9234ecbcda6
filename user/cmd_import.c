/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* import FORMAT [OPTION...] FILE... | - | -- COMMAND...: our configuration from theirs, on standard output. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "import.h"
#include "value.h"
#include "view.h"

#define USAGE                                                                                                \
	"usage: vpeer import io-pkt|vpctl|qvmconf|libvirt [--device PATH=IF] [--uplink NAME=IF] [--bridge] " \
	"[--segment NAME] FILE... | - | -- COMMAND..."

struct args {
	struct import_opts opts;
	int format;
	int first; /* of what follows the options */
	bool command;
};

static bool is_qnx(const struct args *a)
{
	return a->format == IMPORT_IO_PKT || a->format == IMPORT_VPCTL;
}

static int usage(const char *what, const char *why)
{
	fail("import", "%s %s; " USAGE, what, why);
	return 2;
}

/* KEY=IF */
static int add_pair(struct import_pair **pairs, size_t *n, const char *option, const char *text)
{
	const char *equals = text ? strrchr(text, '=') : NULL;
	struct import_pair *more;
	size_t i;

	if (!equals || equals == text || value_device(equals + 1))
		return usage(option, "takes NAME=IF, IF being the name of a network interface");
	for (i = 0; i < *n; i++)
		if ((*pairs)[i].key_len == (size_t)(equals - text) &&
		    !memcmp((*pairs)[i].key, text, (*pairs)[i].key_len))
			return usage(text, "is about something that was said before");
	more = realloc(*pairs, (*n + 1) * sizeof(*more));
	if (!more) {
		fail("import", "out of memory");
		return 1;
	}
	*pairs = more;
	more[(*n)++] = (struct import_pair){ .key = text, .value = equals + 1, .key_len = (size_t)(equals - text) };
	return 0;
}

static int read_option(struct args *a, int argc, char **argv, int *i)
{
	const char *option = argv[*i], *value = *i + 1 < argc ? argv[*i + 1] : NULL;

	if (!strcmp(option, "--bridge")) {
		if (!is_qnx(a))
			return usage(option, "is for io-pkt and vpctl");
		a->opts.bridge = true;
		return 0;
	}
	++*i;
	if (!strcmp(option, "--device"))
		return add_pair(&a->opts.devices, &a->opts.n_devices, option, value);
	if (!strcmp(option, "--uplink") && a->format != IMPORT_QVMCONF)
		return add_pair(&a->opts.uplinks, &a->opts.n_uplinks, option, value);
	if (!strcmp(option, "--segment") && a->format == IMPORT_LIBVIRT) {
		if (!value || value_name(value, VP_NAME_LEN - 1))
			return usage(option, "takes the name of a segment");
		a->opts.segment = value;
		return 0;
	}
	return usage(option, "is no option of this format");
}

static int read_args(struct args *a, int argc, char **argv)
{
	int i, ret = 0;

	for (a->format = 0; argc > 1 && a->format < IMPORT_FORMATS; a->format++)
		if (!strcmp(argv[1], import_format_word((enum import_format)a->format)))
			break;
	if (argc < 2 || a->format == IMPORT_FORMATS)
		return usage(argc < 2 ? "a format" : argv[1], argc < 2 ? "is missing" : "is no format");
	for (i = 2; !ret && i < argc && argv[i][0] == '-' && argv[i][1] && strcmp(argv[i], "--") != 0; i++)
		ret = read_option(a, argc, argv, &i);
	if (ret)
		return ret;
	a->command = i < argc && !strcmp(argv[i], "--");
	a->first = i + a->command;
	if (a->first >= argc)
		return usage(a->command ? "a command behind --" : "a FILE, - or -- COMMAND", "is missing");
	if (a->command && !is_qnx(a))
		return usage("--", "COMMAND is for io-pkt and vpctl; here FILEs are expected");
	return 0;
}

static int import_file(struct import *im, const char *path)
{
	bool standard = !strcmp(path, "-");
	FILE *in = standard ? stdin : fopen(path, "re");
	size_t len = 0, got = 0;
	char *text = malloc(IMPORT_MAX_TEXT + 1);
	int ret = !text ? ENOMEM : !in ? errno : 0;

	/* One byte more than allowed is enough to be refused. */
	while (!ret && len <= IMPORT_MAX_TEXT && (got = fread(text + len, 1, IMPORT_MAX_TEXT + 1 - len, in)))
		len += got;
	if (!ret && ferror(in))
		ret = errno ? errno : EIO;
	if (ret)
		fail_at(&(struct where){ .file = standard ? "standard input" : path }, "input", "cannot be read: %s",
			strerror(ret));
	else
		import_text(im, standard ? "standard input" : path, text, len);
	if (in && !standard)
		fclose(in);
	free(text);
	return ret;
}

/* Written out, a configuration without ports would be one that `up` takes for the wish to have none. */
static int check_found(const struct import *im)
{
	if (im->m.n_ports)
		return 0;
	fail("import", "no guest and no interface was found in it; nothing is written");
	return -ENOENT;
}

static int print(const struct cmd_env *env, struct import *im)
{
	int ret = 0;

	if (env->json)
		ret = model_derive(&im->m, env->plane);
	if (!ret)
		ret = env->json ? print_model_json(env->out, &im->m, env->plane) : import_write(env->out, im);
	if (ret)
		fail("import", "cannot print: %s", strerror(-ret));
	return ret;
}

int cmd_import(const struct cmd_env *env, int argc, char **argv)
{
	struct args a = { 0 };
	struct import im;
	int ret = read_args(&a, argc, argv), i;

	import_init(&im, (enum import_format)a.format, &a.opts);
	if (!ret && a.command)
		import_words(&im, argc - a.first, argv + a.first);
	for (i = a.first; !ret && !a.command && i < argc; i++)
		ret = import_file(&im, argv[i]) ? 1 : 0;
	if (!ret)
		ret = import_finish(&im) || check_found(&im) || print(env, &im) ? 1 : im.partial ? 3 : 0;
	import_free(&im);
	free(a.opts.devices);
	free(a.opts.uplinks);
	return ret;
}
