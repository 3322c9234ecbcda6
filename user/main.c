/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* vpeer [--plane NAME] [--json] [-v] VERB ...: the verb table, the global options, and the only exit codes. */
#include <string.h>

#include "cmd.h"
#include "conf_key.h"
#include "log.h"
#include "value.h"

#ifndef VPEER_VERSION
#define VPEER_VERSION "0.1"
#endif

#define GLOBAL "[--plane NAME] [--json] [-v]"

struct verb {
	const char *name;
	int (*run)(const struct cmd_env *env, int argc, char **argv);
	const char *args, *help;
};

static const struct verb verbs[] = {
	{"up", cmd_up, "[-f FILE] [--dry-run] [--prune] [--take-over] [--confirm SEC]", "make the plane equal to FILE"},
	{"confirm", cmd_confirm, "", "keep what `up --confirm` made"},
	{"rollback", cmd_rollback, "", "go back to the former configuration"},
	{"upgrade", cmd_upgrade, "", "replace the loaded programs by this build's"},
	{"attach", cmd_attach, "[PORT...]", "take back ports whose device has returned"},
	{"down", cmd_down, "", "remove the plane and undo what it changed"},
	{"check", cmd_check, "FILE", "validate a file without root or device"},
	{"diff", cmd_diff, "[-f FILE] [--exit-code]", "what `up` would change"},
	{"showconf", cmd_showconf, "", "the live plane as a file"},
	{"port", cmd_port, "add NAME key=value... | set NAME key=value... | del NAME", "change one port"},
	{"bind", cmd_bind, "A B", "bind two ports to each other"},
	{"unbind", cmd_unbind, "A", "release a port's binding"},
	{"mac", cmd_mac, "add SEGMENT MAC PORT | del SEGMENT MAC | flush [segment=S] [port=P] | load FILE",
	 "the MAC table"},
	{"show", cmd_show, "[ports|bindings|segments|macs|drops|all]", "what there is and how it does"},
	{"events", cmd_events, "[--recent]", "what happens, as it happens"},
	{"import", cmd_import,
	 "io-pkt|vpctl|qvmconf|libvirt [--device PATH=IF] [--uplink NAME=IF] [--bridge] [--segment NAME]"
	 " FILE...|-|-- COMMAND...",
	 "write our configuration from theirs"},
	{"doctor", cmd_doctor, "[--fix | --vfio]", "what keeps ports from working, or from working well"},
	{"bench", cmd_bench, "", "this plane against the kernel's bridge on this machine"},
	{"watch", cmd_watch, "", "stay, and attach ports as soon as their devices return"},
	{"help", cmd_help, "", "this text"},
};

/* Verbs of the contract that a later build brings: an error that says so, never "unknown". */
static const char *const later[] = {"stats", "top", "explain", "capture", "metrics"};

/* A verb with its arguments, broken at blanks: what `help` prints fits 80 columns. */
static void print_verb(FILE *out, const char *name, const char *args)
{
	size_t column = (size_t)fprintf(out, "  %-9s", name);

	for (size_t len; *args; args += len + (args[len] == ' ')) {
		len = strcspn(args, " ");
		if (column + 1 + len > 80)
			column = (size_t)fprintf(out, "\n%11s", "") - 1;
		column += (size_t)fprintf(out, " %.*s", (int)len, args);
	}
	fputc('\n', out);
}

/* What dist/completion.sh is filled in with: lines of a word, a tab and what may follow it. */
static int print_completion(FILE *out)
{
	fprintf(out, "vpeer\t%s [--version] [--help]\n", GLOBAL);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(out, "%s\t%s\n", verbs[i].name, verbs[i].args);
	key_complete(out);
	return 0;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(name, verbs[i].name))
			return &verbs[i];
	return NULL;
}

static int unknown_verb(const char *name)
{
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (!strcmp(name, later[i])) {
			fail(name, "this build of vpeer does not have this verb yet");
			return 2;
		}
	fail(name, "there is no such verb; see: vpeer help");
	return 2;
}

static int help_of(FILE *out, const char *name)
{
	const struct verb *v = find_verb(name);

	if (!v)
		return unknown_verb(name);
	fprintf(out, "usage: vpeer %s %s ...\n\n", GLOBAL, v->name);
	print_verb(out, v->name, v->args);
	fprintf(out, "%14s%s\n", "", v->help);
	return 0;
}

/* `help --completion` is for the build and has no place in the table. */
int cmd_help(const struct cmd_env *env, int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--completion"))
		return print_completion(env->out);
	if (argc == 2)
		return help_of(env->out, argv[1]);
	fprintf(env->out, "usage: vpeer %s VERB ...\n\n", GLOBAL);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		print_verb(env->out, verbs[i].name, verbs[i].args);
		fprintf(env->out, "%14s%s\n", "", verbs[i].help);
	}
	fprintf(env->out, "\nexit code: 0 done, 1 refused or failed, 2 usage, 3 partly done\n");
	fprintf(env->out, "see vpeer(8), vpeer.yaml(5)\n");
	return 0;
}

/* Global options before the verb; returns the index of the verb, or -1 (usage), -2 (done). */
static int read_options(struct cmd_env *env, bool *verbose, int argc, char **argv)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--json")) {
			env->json = true;
		} else if (!strcmp(argv[i], "-v")) {
			*verbose = true;
		} else if (!strcmp(argv[i], "--version")) {
			printf("vpeer %s, ABI %u\n", VPEER_VERSION, VP_ABI_MAJOR);
			return -2;
		} else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			cmd_help(env, 0, NULL);
			return -2;
		} else if (!strcmp(argv[i], "--plane") && i + 1 < argc) {
			env->plane = argv[++i];
			env->plane_given = true;
		} else {
			log_setup(env->json, *verbose, NULL);
			fail(argv[i], "is no option of vpeer, or its value is missing; see: vpeer help");
			return -1;
		}
	}
	return i;
}

/* What belongs before the verb; behind "--" is what somebody else's command was given. */
static const char *misplaced(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "--plane") || !strcmp(argv[i], "-v"))
			return argv[i];
	return NULL;
}

static int run_verb(const struct cmd_env *env, int argc, char **argv)
{
	const struct verb *v = find_verb(argv[0]);
	const char *option = misplaced(argc, argv);
	int ret;

	if (!v)
		return unknown_verb(argv[0]);
	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		ret = help_of(env->out, argv[0]);
	} else if (option) {
		fail(argv[0], "%s comes before the verb: vpeer %s %s ...", option,
		     strcmp(option, "--plane") ? option : "--plane NAME", argv[0]);
		ret = 2;
	} else {
		ret = v->run(env, argc, argv);
	}
	return fflush(stdout) ? 1 : ret;
}

int main(int argc, char **argv)
{
	struct cmd_env env = {.plane = "default", .out = stdout};
	static char *show[] = {"show", NULL};
	bool verbose = false;
	int at = read_options(&env, &verbose, argc, argv);

	if (at < 0)
		return at == -2 ? 0 : 2;
	log_setup(env.json, verbose, NULL);
	if (value_name(env.plane, VP_NAME_LEN - 1)) {
		fail(env.plane, "is no name for a plane: a-z, 0-9, then also _ . -, at most 31 characters");
		return 2;
	}
	if (at == argc)
		return cmd_show(&env, 1, show);
	return run_verb(&env, argc - at, argv + at);
}
