/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

static struct {
	bool json, verbose, journal;
	FILE *sink;
	unsigned int errors;
} setup;

void log_setup(bool json, bool verbose, FILE *sink)
{
	setup.json = json;
	setup.verbose = verbose;
	setup.sink = sink;
}

bool log_verbose(void)
{
	return setup.verbose;
}

FILE *log_to(FILE *sink)
{
	FILE *was = setup.sink;

	setup.sink = sink;
	return was;
}

/* The journal's side of standard error is named by device and inode, so that a redirection is noticed. */
void log_service(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	setup.journal = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && !fstat(STDERR_FILENO, &st) &&
			st.st_dev == dev && st.st_ino == ino;
}

unsigned int log_errors(void)
{
	return setup.errors;
}

static FILE *sink(void)
{
	return setup.sink ? setup.sink : stderr;
}

static bool continues(unsigned char c, unsigned char least, unsigned char most)
{
	return c >= least && c <= most;
}

/* Bytes of the UTF-8 character at `s` that a terminal may be shown; 0 = none: a control or an overlong form. */
static size_t printable(const unsigned char *s)
{
	if (s[0] >= 0x20 && s[0] < 0x7f)
		return 1;
	if (s[0] == 0xc2 && continues(s[1], 0xa0, 0xbf))
		return 2;
	if (s[0] >= 0xc3 && s[0] <= 0xdf && continues(s[1], 0x80, 0xbf))
		return 2;
	if (s[0] >= 0xe0 && s[0] <= 0xef)
		return continues(s[1], s[0] == 0xe0 ? 0xa0 : 0x80, s[0] == 0xed ? 0x9f : 0xbf) &&
				       continues(s[2], 0x80, 0xbf)
			       ? 3
			       : 0;
	if (s[0] >= 0xf0 && s[0] <= 0xf4)
		return continues(s[1], s[0] == 0xf0 ? 0x90 : 0x80, s[0] == 0xf4 ? 0x8f : 0xbf) &&
				       continues(s[2], 0x80, 0xbf) && continues(s[3], 0x80, 0xbf)
			       ? 4
			       : 0;
	return 0;
}

/* A copy in which nothing can move a cursor, forge a line or break JSON. */
static char *clean(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	char *copy = malloc(4 * strlen(text) + 1), *to = copy;
	size_t n;

	if (!copy)
		return NULL;
	for (; *s; s += n) {
		n = printable(s);
		if (n) {
			memcpy(to, s, n);
			to += n;
			continue;
		}
		n = 1;
		to += *s == '\n' ? sprintf(to, "\\n") : *s == '\t' ? sprintf(to, "\\t") : sprintf(to, "\\x%02x", *s);
	}
	*to = '\0';
	return copy;
}

/* As in syslog: 3 error, 4 warning, 6 informational, 7 debug. */
static int severity(const char *level)
{
	return *level == 'w' ? 4 : *level == 'i' ? 6 : *level == 'd' ? 7 : 3;
}

static void say_text(const char *level, const struct where *at, const char *object, const char *message)
{
	FILE *out = sink();

	if (!setup.journal)
		fputs("vpeer: ", out);
	if (at && at->file && at->line)
		fprintf(out, "%s:%u:%u: ", at->file, at->line, at->column);
	else if (at && at->file)
		fprintf(out, "%s: ", at->file);
	if (*level && strcmp(level, "info") != 0)
		fprintf(out, "%s: ", level);
	if (*object)
		fprintf(out, "%s: ", object);
	fprintf(out, "%s\n", message);
}

static void say_json(const char *level, const struct where *at, const char *object, const char *message)
{
	json_t *o = json_pack("{s:{s:s*, s:s}}", *level ? level : "error", "object", *object ? object : NULL, "message",
			      message);
	json_t *in = o ? json_object_get(o, *level ? level : "error") : NULL;

	if (!in) {
		say_text(level, at, object, message);
		return;
	}
	if (!*object)
		json_object_set_new(in, "object", json_null());
	json_object_set_new(in, "file", at && at->file ? json_string(at->file) : json_null());
	json_object_set_new(in, "line", at && at->line ? json_integer(at->line) : json_null());
	json_object_set_new(in, "column", at && at->line ? json_integer(at->column) : json_null());
	json_dumpf(o, sink(), JSON_COMPACT | JSON_ENSURE_ASCII);
	fputc('\n', sink());
	json_decref(o);
}

static void say(const char *level, const struct where *at, const char *object, const char *fmt, va_list args)
{
	char *raw = NULL, *message = NULL, *name = NULL, *file = NULL;
	struct where place = { 0 };

	if (vasprintf(&raw, fmt, args) < 0)
		raw = NULL;
	message = raw ? clean(raw) : NULL;
	name = clean(object ? object : "");
	if (at && at->file) {
		place = *at;
		place.file = file = clean(at->file);
	}
	if (!message || !name)
		fputs("vpeer: out of memory\n", sink());
	if (message && name && setup.journal)
		fprintf(sink(), "<%d>", severity(level));
	if (message && name && setup.json)
		say_json(level, &place, name, message);
	else if (message && name)
		say_text(level, &place, name, message);
	fflush(sink());
	free(raw);
	free(message);
	free(name);
	free(file);
}

/* Where the character `count` characters after `at` begins. */
static size_t skip_characters(const char *line, size_t len, size_t at, size_t count)
{
	for (; at < len && count; count--)
		do
			at++;
		while (at < len && ((unsigned char)line[at] & 0xc0) == 0x80);
	return at;
}

#define EXCERPT	     72 /* characters of a line that are shown */
#define EXCERPT_LEAD 30 /* of them before the mark, when it would not be seen otherwise */

void log_excerpt(const char *line, size_t len, size_t column, size_t width)
{
	bool fits = column + (width < EXCERPT_LEAD ? width : EXCERPT_LEAD) <= EXCERPT;
	size_t first = fits || column <= EXCERPT_LEAD ? 1 : column - EXCERPT_LEAD, from, to, i;
	unsigned char padded[5] = { 0 };

	if (setup.json)
		return;
	from = skip_characters(line, len, 0, first - 1);
	to = skip_characters(line, len, from, EXCERPT);
	fputs("    ", sink());
	for (i = from; i < to;) {
		size_t n, have = to - i < 4 ? to - i : 4;

		memset(padded, 0, sizeof(padded));
		memcpy(padded, line + i, have);
		n = printable(padded);
		if (n)
			fwrite(padded, 1, n, sink());
		else
			fputc(padded[0] == '\t' ? ' ' : '?', sink());
		i = n ? i + n : skip_characters(line, to, i, 1);
	}
	fprintf(sink(), "\n    %*s^", (int)(column - first), "");
	for (i = 1; i < width && column - first + i < EXCERPT; i++)
		fputc('~', sink());
	fputc('\n', sink());
	fflush(sink());
}

void fail(const char *object, const char *fmt, ...)
{
	va_list args;

	setup.errors++;
	va_start(args, fmt);
	say("", NULL, object, fmt, args);
	va_end(args);
}

void fail_at(const struct where *at, const char *object, const char *fmt, ...)
{
	va_list args;

	setup.errors++;
	va_start(args, fmt);
	say("", at, object, fmt, args);
	va_end(args);
}

void warn(const char *object, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say("warning", NULL, object, fmt, args);
	va_end(args);
}

void warn_at(const struct where *at, const char *object, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say("warning", at, object, fmt, args);
	va_end(args);
}

void tell(const char *object, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say("info", NULL, object, fmt, args);
	va_end(args);
}

void debug(const char *fmt, ...)
{
	va_list args;

	if (!setup.verbose)
		return;
	va_start(args, fmt);
	say("debug", NULL, "", fmt, args);
	va_end(args);
}
