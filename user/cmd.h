/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One function per verb.  argv[0] is the verb; the result is the exit code: 0 done, 1 refused or failed, 2 usage,
 * 3 partly done.
 */
#ifndef CMD_H
#define CMD_H

#include <stdbool.h>
#include <stdio.h>

struct cmd_env {
	const char *plane;
	bool plane_given; /* --plane was said */
	bool json;
	FILE *out;
};

int cmd_up(const struct cmd_env *env, int argc, char **argv);
int cmd_confirm(const struct cmd_env *env, int argc, char **argv);
int cmd_rollback(const struct cmd_env *env, int argc, char **argv);
int cmd_upgrade(const struct cmd_env *env, int argc, char **argv);
int cmd_attach(const struct cmd_env *env, int argc, char **argv);
int cmd_down(const struct cmd_env *env, int argc, char **argv);
int cmd_check(const struct cmd_env *env, int argc, char **argv);
int cmd_diff(const struct cmd_env *env, int argc, char **argv);
int cmd_showconf(const struct cmd_env *env, int argc, char **argv);
int cmd_port(const struct cmd_env *env, int argc, char **argv);
int cmd_bind(const struct cmd_env *env, int argc, char **argv);
int cmd_unbind(const struct cmd_env *env, int argc, char **argv);
int cmd_mac(const struct cmd_env *env, int argc, char **argv);
int cmd_show(const struct cmd_env *env, int argc, char **argv);
int cmd_import(const struct cmd_env *env, int argc, char **argv);
int cmd_doctor(const struct cmd_env *env, int argc, char **argv);
int cmd_bench(const struct cmd_env *env, int argc, char **argv);
int cmd_watch(const struct cmd_env *env, int argc, char **argv);
int cmd_events(const struct cmd_env *env, int argc, char **argv);
int cmd_help(const struct cmd_env *env, int argc, char **argv);

#endif
