/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

static bool put(char *buf, size_t size, const char *fmt, va_list args)
{
	vsnprintf(buf, size, fmt, args);
	/* Names that come from the kernel may hold anything but blanks and slashes; a terminal must not get it. */
	for (; *buf; buf++)
		if (*buf < ' ' || *buf > '~')
			*buf = '?';
	return true;
}

bool doctor_say(struct finding *out, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put(out->reason, sizeof(out->reason), fmt, args);
	va_end(args);
	return true;
}

bool doctor_run(struct finding *out, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put(out->command, sizeof(out->command), fmt, args);
	va_end(args);
	return true;
}

bool doctor_vpeer(struct finding *out, const char *plane, const char *fmt, ...)
{
	bool other = strcmp(plane, "default") != 0;
	int n = snprintf(out->command, sizeof(out->command), "vpeer %s%s%s", other ? "--plane " : "",
			 other ? plane : "", other ? " " : "");
	va_list args;

	va_start(args, fmt);
	put(out->command + n, sizeof(out->command) - (size_t)n, fmt, args);
	va_end(args);
	return true;
}

const char *doctor_severity_word(enum doctor_severity s)
{
	static const char *const words[] = {
		[DOCTOR_NOTE] = "note", [DOCTOR_WARNING] = "warning", [DOCTOR_ERROR] = "error"
	};

	return words[s];
}

static int add(struct findings *to, const struct finding *f)
{
	struct finding *more = reallocarray(to->list, to->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	to->list = more;
	more[to->n++] = *f;
	return 0;
}

static size_t scope_size(const struct doctor_facts *f, enum doctor_scope scope)
{
	return scope == SCOPE_HOST ? 1 : scope == SCOPE_TRACE ? f->n_traces : f->n_ports;
}

static void name_object(const struct doctor_facts *f, enum doctor_scope scope, size_t i, struct finding *out)
{
	if (scope == SCOPE_HOST) {
		snprintf(out->object, sizeof(out->object), "host");
		return;
	}
	snprintf(out->name, sizeof(out->name), "%s",
		 scope == SCOPE_PORT ? f->ports[i].view->port->name : f->traces[i].name);
	snprintf(out->object, sizeof(out->object), "%s %s", scope == SCOPE_PORT ? "port" : "plane", out->name);
}

static int judge_rule(const struct doctor_facts *f, const struct doctor_rule *r, enum doctor_severity severity,
		      struct findings *out)
{
	int err = 0;

	for (size_t i = 0; !err && r->severity == severity && i < scope_size(f, r->scope); i++) {
		struct finding found = { .id = r->id, .severity = severity, .fix = r->fix };

		name_object(f, r->scope, i, &found);
		if (r->look(f, i, &found))
			err = add(out, &found);
	}
	return err;
}

int doctor_judge(const struct doctor_facts *f, struct findings *out)
{
	const struct doctor_rule *const tables[] = { doctor_host_rules, doctor_port_rules };
	int err = 0;

	memset(out, 0, sizeof(*out));
	for (int severity = DOCTOR_ERROR; severity >= DOCTOR_NOTE; severity--)
		for (size_t t = 0; t < 2; t++)
			for (const struct doctor_rule *r = tables[t]; !err && r->id; r++)
				err = judge_rule(f, r, (enum doctor_severity)severity, out);
	if (err)
		findings_free(out);
	return err;
}

static bool is_there(const struct findings *in, const struct finding *f)
{
	for (size_t i = 0; i < in->n; i++)
		if (!strcmp(in->list[i].id, f->id) && !strcmp(in->list[i].object, f->object))
			return true;
	return false;
}

int doctor_mark_fixed(struct findings *now, const struct findings *before)
{
	int err = 0;

	for (size_t i = 0; !err && i < before->n; i++) {
		struct finding f = before->list[i];

		f.fixed = true;
		if (f.fix != FIX_NONE && !is_there(now, &f))
			err = add(now, &f);
	}
	return err;
}

void findings_free(struct findings *f)
{
	free(f->list);
	f->list = NULL;
	f->n = 0;
}

bool findings_bad(const struct findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->list[i].severity == DOCTOR_ERROR && !f->list[i].fixed)
			return true;
	return false;
}
