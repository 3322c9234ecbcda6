/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * bench: this plane against the kernel's bridge, on this machine.  A child in namespaces of its own makes two sets of
 * TAPs, a plane over one and a bridge over the other, and gives both the same frames, in turns, so that what else the
 * machine does hits both.  The child's end, whatever ends it, takes everything away.
 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "cmd.h"
#include "log.h"

#define ROUNDS	    9
#define ROUND_MS    50
#define WARM_MS	    20
#define MEANINGLESS 0.25 /* of the median ratio: a middle half that is wider says nothing */

enum {
	PLANE,
	BRIDGE,
	SIDES
};

static const struct bench_work works[] = {
	{ .name = "UDP 60 B", .len = 60, .burst = 64 },
	{ .name = "UDP 60 B, unfinished checksum", .len = 60, .unfinished = true, .burst = 64 },
	{ .name = "UDP 1514 B, unfinished checksum", .len = 1514, .unfinished = true, .burst = 64 },
	{ .name = "TCP superframes of 60 kB", .len = 60000, .gso = 1448, .burst = 8 },
	{ .name = "flood to 8 TAPs, UDP 60 B", .len = 60, .flood = true, .burst = 32 },
};

struct spread {
	double low, median, high; /* quartiles */
};

struct row {
	struct spread rate[SIDES]; /* Mpps, or Gbit/s of superframes */
	uint64_t sent[SIDES], received[SIDES];
	struct spread ratio;
	bool clear; /* the ratio means something */
};

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorts. */
static struct spread spread_of(double v[ROUNDS])
{
	qsort(v, ROUNDS, sizeof(*v), by_size);
	return (struct spread){ v[ROUNDS / 4], v[ROUNDS / 2], v[ROUNDS - 1 - ROUNDS / 4] };
}

static int measure(struct bench_side side[SIDES], const struct bench_work *w, struct row *row)
{
	double rate[SIDES][ROUNDS], ratio[ROUNDS];
	struct bench_result r;
	int err = 0;

	*row = (struct row){ 0 };
	for (int s = 0; s < SIDES && !err; s++)
		err = bench_run(&side[s], w, WARM_MS, &r);
	for (int i = 0; i < ROUNDS && !err; i++) {
		for (int turn = 0; turn < SIDES && !err; turn++) {
			int s = i % 2 ? SIDES - 1 - turn : turn;

			err = bench_run(&side[s], w, ROUND_MS, &r);
			row->sent[s] += r.sent;
			row->received[s] += r.received;
			rate[s][i] = (w->gso ? (double)r.bytes * 8 / 1e9 : (double)r.received / 1e6) / r.seconds;
		}
		ratio[i] = err || rate[BRIDGE][i] <= 0 ? 0 : rate[PLANE][i] / rate[BRIDGE][i];
	}
	if (err)
		return err;
	for (int s = 0; s < SIDES; s++)
		row->rate[s] = spread_of(rate[s]);
	row->ratio = spread_of(ratio);
	row->clear = row->ratio.median > 0 && row->ratio.high - row->ratio.low <= MEANINGLESS * row->ratio.median;
	return 0;
}

/* ---- the two sides ---- */

static int plane_over(const struct bench_side *side)
{
	char path[32], *args[] = { "up", "-f", path, NULL };
	FILE *nowhere = fopen("/dev/null", "we");
	struct cmd_env env = { .plane = "bench", .plane_given = true, .out = nowhere };
	int fd = memfd_create("bench", MFD_CLOEXEC), ret = 1;
	FILE *conf = fd < 0 ? NULL : fdopen(fd, "w");

	if (nowhere && conf) {
		fprintf(conf, "version: 1\nsegments: [{name: lan}]\nports:\n");
		for (unsigned int n = 0; n <= BENCH_RECEIVERS; n++)
			fprintf(conf, "- {name: %s%u, device: %s%u, segment: lan}\n", side->prefix, n, side->prefix, n);
		fflush(conf);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ret = cmd_up(&env, 3, args);
	}
	if (conf)
		fclose(conf);
	if (nowhere)
		fclose(nowhere);
	return ret;
}

/* Reports. */
static int set_up(struct bench_side side[SIDES])
{
	int err = bench_isolate();

	if (err) {
		fail("bench", "cannot have namespaces of its own: %s; run as root", strerror(-err));
		return err;
	}
	err = bench_open(&side[PLANE], "p");
	if (!err)
		err = bench_open(&side[BRIDGE], "b");
	if (err) {
		fail("bench", "cannot make its TAPs: %s; is there /dev/net/tun?", strerror(-err));
		return err;
	}
	err = bench_bridge(&side[BRIDGE], "br0");
	if (err) {
		fail("bench", "cannot make a bridge to compare with: %s; does the kernel have one (modprobe bridge)?",
		     strerror(-err));
		return err;
	}
	if (plane_over(&side[PLANE]))
		return -EIO; /* `up` has said why */
	err = bench_greet(&side[PLANE]);
	if (!err)
		err = bench_greet(&side[BRIDGE]);
	if (err)
		fail("bench", "cannot send a first frame: %s", strerror(-err));
	return err;
}

/* ---- results ---- */

static const char *unit(const struct bench_work *w)
{
	return w->gso ? "Gbit/s" : "Mpps";
}

static double lost(const struct row *row, int s)
{
	return row->sent[s] > row->received[s]
		       ? 100.0 * (double)(row->sent[s] - row->received[s]) / (double)row->sent[s]
		       : 0;
}

static void print_row(FILE *out, const struct bench_work *w, const struct row *row)
{
	char ratio[32];

	if (row->clear)
		snprintf(ratio, sizeof(ratio), "%.2f", row->ratio.median);
	else
		snprintf(ratio, sizeof(ratio), "%.2f-%.2f?", row->ratio.low, row->ratio.high);
	fprintf(out, "%-33s %8.2f %8.2f %-7s %11s", w->name, row->rate[PLANE].median, row->rate[BRIDGE].median, unit(w),
		ratio);
	if (lost(row, PLANE) > 0 || lost(row, BRIDGE) > 0)
		fprintf(out, "  lost %.1f %%, %.1f %%", lost(row, PLANE), lost(row, BRIDGE));
	fputc('\n', out);
}

static void print_table(FILE *out, const struct row *rows)
{
	struct utsname u;

	uname(&u);
	fprintf(out, "%-33s %8s %8s %-7s %11s\n", "from one TAP to another", "plane", "bridge", "", "ratio");
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		print_row(out, &works[i], &rows[i]);
	fprintf(out,
		"\nLinux %s, %ld CPUs; medians of %d rounds in turns, by the\n"
		"sender's CPU time, in which the kernel forwards. a-b?: the rounds differ too\n"
		"much for a ratio.\n",
		u.release, sysconf(_SC_NPROCESSORS_ONLN), ROUNDS);
}

static json_t *json_side(const struct row *row, int s)
{
	return json_pack("{s:f, s:f, s:f, s:I, s:I}", "median", row->rate[s].median, "low", row->rate[s].low, "high",
			 row->rate[s].high, "sent", (json_int_t)row->sent[s], "received", (json_int_t)row->received[s]);
}

static int print_json(FILE *out, const struct row *rows)
{
	json_t *list = json_array(), *top;
	struct utsname u;
	int ret;

	uname(&u);
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:[f,f]}", "work", works[i].name,
						      "unit", unit(&works[i]), "plane", json_side(&rows[i], PLANE),
						      "bridge", json_side(&rows[i], BRIDGE), "ratio",
						      rows[i].clear ? json_real(rows[i].ratio.median) : json_null(),
						      "spread", rows[i].ratio.low, rows[i].ratio.high));
	top = json_pack("{s:i, s:s, s:I, s:i, s:o}", "schema", 1, "kernel", u.release, "cpus",
			(json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "rounds", ROUNDS, "works", list);
	ret = top ? json_dumpf(top, out, JSON_INDENT(1) | JSON_REAL_PRECISION(4)) : -1;
	fputc('\n', out);
	json_decref(top);
	return ret;
}

/* All that the child does; its exit code. */
static int run(const struct cmd_env *env)
{
	static struct row rows[sizeof(works) / sizeof(works[0])];
	static struct bench_side side[SIDES];
	bool progress = isatty(STDERR_FILENO) && !env->json;
	int err = set_up(side);

	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]) && !err; i++) {
		if (progress)
			fprintf(stderr, "\r%-40s", works[i].name);
		err = measure(side, &works[i], &rows[i]);
		if (err)
			fail("bench", "%s: cannot send: %s", works[i].name, strerror(-err));
	}
	if (progress)
		fprintf(stderr, "\r%-40s\r", "");
	if (!err && env->json)
		err = print_json(env->out, rows);
	else if (!err)
		print_table(env->out, rows);
	return err || fflush(env->out) ? 1 : 0;
}

int cmd_bench(const struct cmd_env *env, int argc, char **argv)
{
	pid_t child;
	int status = 0;

	if (argc > 1) {
		fail("bench", "%s is not understood; usage: vpeer bench", argv[1]);
		return 2;
	}
	if (geteuid()) {
		fail("bench", "makes devices and a plane in namespaces of its own; run as root");
		return 1;
	}
	fflush(env->out);
	child = fork();
	if (child < 0) {
		fail("bench", "cannot start: %s", strerror(errno));
		return 1;
	}
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(run(env));
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fail("bench", "was ended by signal %d; nothing of it is left", WTERMSIG(status));
	return 1;
}
