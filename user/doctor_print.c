/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Findings for people, in at most 80 columns, and as JSON. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "doctor.h"
#include "table.h"

#define WIDTH  79
#define INDENT "    "

/* A sentence broken between words, every line indented. */
static void print_sentence(FILE *out, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (!column || column + 1 + len > WIDTH)
			column = (size_t)fprintf(out, "%s%s%.*s", column ? "\n" : "", INDENT, (int)len, text) -
				 (column ? 1 : 0);
		else
			column += (size_t)fprintf(out, " %.*s", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static const char *what_of_it(const struct finding *f)
{
	return f->fixed ? "fixed" : f->fix != FIX_NONE ? "--fix" : "";
}

static enum table_colour colour_of(const struct finding *f)
{
	if (f->fixed)
		return GREEN;
	return f->severity == DOCTOR_ERROR ? RED : f->severity == DOCTOR_WARNING ? YELLOW : PLAIN;
}

static void print_head(FILE *out, const struct findings *f, const char *plane)
{
	size_t n[3] = { 0 }, fixed = 0;

	for (size_t i = 0; i < f->n; i++) {
		fixed += f->list[i].fixed;
		n[f->list[i].severity] += !f->list[i].fixed;
	}
	if (plane)
		fprintf(out, "plane %s: ", plane);
	else
		fprintf(out, "host, no plane: ");
	fprintf(out, "%zu error%s, %zu warning%s, %zu note%s", n[DOCTOR_ERROR], n[DOCTOR_ERROR] == 1 ? "" : "s",
		n[DOCTOR_WARNING], n[DOCTOR_WARNING] == 1 ? "" : "s", n[DOCTOR_NOTE], n[DOCTOR_NOTE] == 1 ? "" : "s");
	if (fixed)
		fprintf(out, ", %zu fixed", fixed);
	fputc('\n', out);
}

void print_findings(FILE *out, const struct findings *f, const char *plane)
{
	struct table t;
	char heads[64];

	print_head(out, f, plane);
	if (!f->n)
		return;
	fputc('\n', out);
	table_init(&t, "SEVERITY FINDING OBJECT FIX", heads, sizeof(heads));
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *one = &f->list[i];

		table_text(&t, colour_of(one), doctor_severity_word(one->severity));
		table_text(&t, PLAIN, one->id);
		table_text(&t, PLAIN, one->object);
		table_text(&t, PLAIN, what_of_it(one));
	}
	table_print(&t, out, table_colours(out));
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *one = &f->list[i];

		fprintf(out, "\n%s, %s\n", one->id, one->object);
		print_sentence(out, one->reason);
		/* Never wrapped: it is there to be copied. */
		if (one->command[0] && !one->fixed)
			fprintf(out, INDENT "$ %s\n", one->command);
	}
}

static json_t *finding_json(const struct finding *f)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:b, s:b}", "id", f->id, "severity",
			 doctor_severity_word(f->severity), "object", f->object, "reason", f->reason, "command",
			 f->command[0] ? f->command : NULL, "fixable", f->fix != FIX_NONE, "fixed", f->fixed);
}

int print_findings_json(FILE *out, const struct findings *f, const char *plane)
{
	json_t *list = json_array(), *o;
	int ret;

	for (size_t i = 0; i < f->n; i++)
		json_array_append_new(list, finding_json(&f->list[i]));
	o = json_pack("{s:i, s:s?, s:o}", "schema", DOCTOR_SCHEMA, "plane", plane, "findings", list);
	ret = o ? json_dumpf(o, out, JSON_INDENT(2) | JSON_ENSURE_ASCII) : -1;
	json_decref(o);
	fputc('\n', out);
	return ret || ferror(out) ? -EIO : 0;
}
