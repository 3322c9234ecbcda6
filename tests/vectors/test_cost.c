/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs cost before a frame has come: instructions, by the header that they come from, which is a stage of
 * the datapath (frame.h parses, fdb.h looks up and learns, ...), and what the verifier goes through.  Compared with
 * tests/vectors/cost.txt, where there are figures for this kernel and this clang; more by a twentieth is a failure that
 * names program and stage.  `make cost` writes the file anew.
 *
 * A line of cost.txt: KERNEL CLANG PROGRAM WHAT NUMBER; WHAT is `verified` (instructions gone through), `states`,
 * `all` (instructions), or a stage.  $VP_COST names a file for the figures as they are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "vector.h"
#include "vpeer.skel.h"

#define BASELINE     "tests/vectors/cost.txt"
#define LINES_MOST   16384
#define FIGURES_MOST 64
#define SLACK	     8 /* instructions: what a compiler's mood is worth in a small stage */
#define LOG_STATS    4

#ifndef VP_CLANG
#define VP_CLANG "?"
#endif

struct figure {
	char what[24];
	unsigned int n;
};

struct cost {
	const char *program;
	struct figure figures[FIGURES_MOST];
	size_t count;
};

static const char *kernel(void)
{
	static char text[32];
	struct utsname u;
	unsigned int major = 0, minor = 0;

	uname(&u);
	sscanf(u.release, "%u.%u", &major, &minor);
	snprintf(text, sizeof(text), "%u.%u", major, minor);
	return text;
}

static void add(struct cost *c, const char *what, unsigned int n)
{
	size_t i = 0;

	while (i < c->count && strcmp(c->figures[i].what, what))
		i++;
	if (i == FIGURES_MOST)
		return;
	if (i == c->count) {
		snprintf(c->figures[i].what, sizeof(c->figures[i].what), "%s", what);
		c->figures[c->count++].n = 0;
	}
	c->figures[i].n += n;
}

/* bpf/fdb.h -> fdb */
static void stage_name(const char *path, char out[24])
{
	const char *slash = strrchr(path, '/');

	snprintf(out, 24, "%s", slash ? slash + 1 : path);
	out[strcspn(out, ".")] = '\0';
}

/* Each line's instructions, up to where the next one begins, belong to the file it is in. */
static void count_stages(struct cost *c, int fd, const struct btf *btf)
{
	static struct bpf_line_info lines[LINES_MOST];
	struct bpf_prog_info info = { .line_info = (__u64)(unsigned long)lines,
				      .nr_line_info = LINES_MOST,
				      .line_info_rec_size = sizeof(lines[0]) };
	__u32 len = sizeof(info), all;

	if (bpf_obj_get_info_by_fd(fd, &info, &len) || info.nr_line_info > LINES_MOST) {
		test_fail("%s: no information about its lines", c->program);
		return;
	}
	all = info.xlated_prog_len / sizeof(struct bpf_insn);
	add(c, "all", all);
	add(c, "verified", info.verified_insns);
	for (__u32 i = 0; i < info.nr_line_info; i++) {
		__u32 next = i + 1 < info.nr_line_info ? lines[i + 1].insn_off : all;
		const char *file = btf__name_by_offset(btf, lines[i].file_name_off);
		char stage[24];

		stage_name(file ? file : "?", stage);
		add(c, stage, next - lines[i].insn_off);
	}
}

/* "processed N insns (limit 1000000) max_states_per_insn M total_states T peak_states P mark_read R" */
static void count_states(struct cost *c, const char *log)
{
	const char *at = strstr(log, "total_states ");

	if (at)
		add(c, "states", (unsigned int)strtoul(at + strlen("total_states "), NULL, 10));
	else
		test_fail("%s: the verifier does not say how many states: %.100s", c->program, log);
}

/* Figures of this kernel, compiler and program; false: there are none. */
static bool baseline(const char *program, struct cost *out)
{
	char line[128], k[16], clang[16], name[32], what[24];
	FILE *f = fopen(BASELINE, "re");
	unsigned int n;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%15s %15s %31s %23s %u", k, clang, name, what, &n) == 5 && !strcmp(k, kernel()) &&
		    !strcmp(clang, VP_CLANG) && !strcmp(name, program))
			add(out, what, n);
	if (f)
		fclose(f);
	return out->count;
}

static void compare(const struct cost *now, const struct cost *before)
{
	for (size_t i = 0; i < now->count; i++) {
		const struct figure *f = &now->figures[i], *old = NULL;

		for (size_t k = 0; k < before->count; k++)
			if (!strcmp(before->figures[k].what, f->what))
				old = &before->figures[k];
		if (f->n > (old ? old->n + old->n / 20 : 0) + SLACK)
			test_fail("program %s, %s: %u, was %u: more by over 5 %%; if it is worth it: make cost",
				  now->program, f->what, f->n, old ? old->n : 0);
	}
}

static void check(struct bpf_program *p, const struct btf *btf, const char *log, FILE *record)
{
	struct cost now = { .program = bpf_program__name(p) }, before = { 0 };

	if (bpf_program__fd(p) < 0 || !test_begin("cost_of_%s", now.program))
		return;
	count_stages(&now, bpf_program__fd(p), btf);
	count_states(&now, log);
	for (size_t i = 0; record && i < now.count; i++)
		fprintf(record, "%s %s %s %s %u\n", kernel(), VP_CLANG, now.program, now.figures[i].what,
			now.figures[i].n);
	if (!record && baseline(now.program, &before))
		compare(&now, &before);
	else if (!record)
		printf("# no figures in %s for kernel %s and clang %s\n", BASELINE, kernel(), VP_CLANG);
	test_end();
}

void vectors_cost(bool live)
{
	static char logs[16][4096];
	const char *path = getenv("VP_COST");
	struct vpeer_bpf *skel = vpeer_bpf__open();
	struct bpf_program *p;
	size_t n = 0;

	if (!skel)
		return;
	skel->rodata->vp_live = live;
	bpf_object__for_each_program(p, skel->obj)
	{
		bpf_program__set_log_level(p, LOG_STATS);
		bpf_program__set_log_buf(p, logs[n++ % 16], sizeof(logs[0]));
	}
	if (!expect_ok("load", vpeer_bpf__load(skel))) {
		vpeer_bpf__destroy(skel);
		return;
	}
	FILE *record = path ? fopen(path, "we") : NULL;

	n = 0;
	bpf_object__for_each_program(p, skel->obj) check(p, bpf_object__btf(skel->obj), logs[n++ % 16], record);
	if (record)
		fclose(record);
	vpeer_bpf__destroy(skel);
}
