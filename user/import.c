/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What all importers share: sources and places in them, faults, notes, the model. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "value.h"

#define MAX_FAULTS 100

void import_init(struct import *im, enum import_format format, struct import_opts *opts)
{
	memset(im, 0, sizeof(*im));
	im->format = format;
	im->opts = opts;
	model_init(&im->m);
}

void import_free(struct import *im)
{
	size_t i;

	qnx_free(im);
	qvm_free(im);
	virt_free(im);
	for (i = 0; i < im->n_srcs; i++) {
		free(im->srcs[i]->name);
		free(im->srcs[i]->text);
		free(im->srcs[i]);
	}
	for (i = 0; i < im->n_notes; i++)
		free(im->notes[i].text);
	for (i = 0; i < im->n_heads; i++)
		free(im->heads[i]);
	for (i = 0; i < im->n_kept; i++)
		free(im->kept[i]);
	free(im->srcs);
	free(im->notes);
	free(im->heads);
	free(im->kept);
	model_free(&im->m);
	memset(im, 0, sizeof(*im));
}

void *import_grow(struct import *im, void *array, size_t n, size_t size)
{
	/* Capacities are the powers of two from 8, so that none has to be stored. */
	bool full = !n || (n >= 8 && !(n & (n - 1)));
	void *more = full ? realloc(array, (n ? 2 * n : 8) * size) : array;

	if (!more)
		im->no_memory = true;
	return more;
}

const char *import_keep(struct import *im, const char *text, size_t len)
{
	char **kept = import_grow(im, im->kept, im->n_kept, sizeof(*kept)), *copy;

	if (!kept)
		return "";
	im->kept = kept;
	copy = malloc(len + 1);
	if (!copy) {
		im->no_memory = true;
		return "";
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	kept[im->n_kept++] = copy;
	return copy;
}

static struct src *add_source(struct import *im, const char *name, const char *text, size_t len)
{
	struct src **srcs = import_grow(im, im->srcs, im->n_srcs, sizeof(*srcs)), *src;

	if (!srcs)
		return NULL;
	im->srcs = srcs;
	src = calloc(1, sizeof(*src));
	if (!src) {
		im->no_memory = true;
		return NULL;
	}
	srcs[im->n_srcs++] = src;
	src->name = strdup(name);
	src->text = malloc(len + 1);
	if (!src->name || !src->text) {
		im->no_memory = true;
		return NULL;
	}
	memcpy(src->text, text, len);
	src->text[len] = '\0';
	src->len = len;
	return src;
}

static void read_words(struct import *im, const struct words *words)
{
	if (im->no_memory)
		return;
	if (im->format == IMPORT_QVMCONF)
		qvm_read(im, words);
	else
		qnx_read(im, words);
}

void import_text(struct import *im, const char *name, const char *text, size_t len)
{
	struct src *src = add_source(im, name, len > IMPORT_MAX_TEXT ? "" : text, len > IMPORT_MAX_TEXT ? 0 : len);
	struct words words = { 0 };
	const char *nul = memchr(text, 0, len);

	if (!src)
		return;
	if (len > IMPORT_MAX_TEXT) {
		import_fault(im, &(struct span){ .src = src }, "input", "is larger than %d MiB",
			     IMPORT_MAX_TEXT / (1024 * 1024));
		return;
	}
	if (nul) {
		import_fault(im, &(struct span){ src, (size_t)(nul - text), 1 }, "input",
			     "is no text: a NUL character");
		return;
	}
	if (im->format == IMPORT_LIBVIRT) {
		virt_read(im, src);
		return;
	}
	if (im->format == IMPORT_QVMCONF)
		lex_lines(im, src, &words);
	else
		lex_shell(im, src, &words);
	read_words(im, &words);
	words_free(&words);
}

void import_words(struct import *im, int n, char *const *args)
{
	struct words words = { 0 };
	size_t len = 0;
	char *line, *to;
	struct src *src;
	int i;

	for (i = 0; i < n; i++)
		len += strlen(args[i]) + 1;
	line = malloc(len + 1);
	if (!line) {
		im->no_memory = true;
		return;
	}
	to = line;
	for (i = 0; i < n; i++)
		to += sprintf(to, "%s%s", i ? " " : "", args[i]);
	src = add_source(im, "command line", line, (size_t)(to - line));
	free(line);
	if (!src)
		return;
	src->words = true;
	lex_args(im, src, n, args, &words);
	read_words(im, &words);
	words_free(&words);
}

/* The line that holds `at`, its number, and the column in characters. */
static const char *line_of(const struct src *src, size_t at, size_t *len, struct where *where)
{
	size_t start = 0, i;

	*where = (struct where){ .file = src->name, .line = 1, .column = 1 };
	for (i = 0; i < at && i < src->len && !src->words; i++) {
		if (src->text[i] != '\n')
			continue;
		where->line++;
		start = i + 1;
	}
	for (i = start; i < at && i < src->len; i++)
		where->column += ((unsigned char)src->text[i] & 0xc0) != 0x80;
	*len = src->words ? src->len : strcspn(src->text + start, "\n");
	return src->text + start;
}

struct where import_where(const struct span *at)
{
	struct where where = { 0 };
	size_t len;

	if (at->src)
		line_of(at->src, at->at, &len, &where);
	return where;
}

const char *import_place(const struct span *at, char buf[IMPORT_PLACE])
{
	struct where where = import_where(at);

	if (at->src && at->src->words)
		snprintf(buf, IMPORT_PLACE, "column %u", where.column);
	else if (at->src)
		snprintf(buf, IMPORT_PLACE, "%.80s:%u", where.file, where.line);
	else
		buf[0] = '\0';
	return buf;
}

static void mark(const struct span *at)
{
	struct where where;
	const char *line;
	size_t len;

	if (!at->src || !at->len)
		return;
	line = line_of(at->src, at->at, &len, &where);
	log_excerpt(line, len, where.column, at->len);
}

/* The place without line and column for what is about a source as a whole. */
static struct where whole_or_place(const struct span *at)
{
	if (at->src && !at->len)
		return (struct where){ .file = at->src->name };
	return import_where(at);
}

void import_fault(struct import *im, const struct span *at, const char *object, const char *fmt, ...)
{
	struct where where = whole_or_place(at);
	char *text = NULL;
	va_list args;

	if (++im->faults > MAX_FAULTS)
		return;
	if (im->faults == MAX_FAULTS) {
		fail_at(&where, object, "more than %d faults; the rest is not shown", MAX_FAULTS - 1);
		return;
	}
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	fail_at(&where, object, "%s", text ? text : "out of memory");
	mark(at);
	free(text);
}

void import_warn(struct import *im, const struct span *at, const char *object, const char *fmt, ...)
{
	struct where where = whole_or_place(at);
	char *text = NULL;
	va_list args;

	if (im->faults >= MAX_FAULTS)
		return;
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	warn_at(&where, object, "%s", text ? text : "out of memory");
	mark(at);
	free(text);
}

void import_note(struct import *im, enum note_on on, const char *name, const char *key, const char *fmt, ...)
{
	struct note *notes = import_grow(im, im->notes, im->n_notes, sizeof(*notes)), *note;
	va_list args;

	if (!notes)
		return;
	im->notes = notes;
	note = &notes[im->n_notes];
	*note = (struct note){ .on = on, .key = key };
	snprintf(note->name, sizeof(note->name), "%s", name);
	va_start(args, fmt);
	if (vasprintf(&note->text, fmt, args) < 0)
		im->no_memory = true;
	else
		im->n_notes++;
	va_end(args);
}

void import_head(struct import *im, const char *fmt, ...)
{
	char **heads = import_grow(im, im->heads, im->n_heads, sizeof(*heads));
	va_list args;

	if (!heads)
		return;
	im->heads = heads;
	va_start(args, fmt);
	if (vasprintf(&heads[im->n_heads], fmt, args) < 0)
		im->no_memory = true;
	else
		im->n_heads++;
	va_end(args);
}

struct port *import_port(struct import *im, struct port *p, const struct span *at)
{
	struct port *added;

	p->at = import_where(at);
	added = model_add_port(&im->m, p);
	if (!added)
		im->no_memory = true;
	port_free(p);
	return added;
}

void import_bind(struct import *im, const char *a, const char *b, const struct span *at)
{
	struct binding bind = { .at = import_where(at) };

	snprintf(bind.a, sizeof(bind.a), "%s", a);
	snprintf(bind.b, sizeof(bind.b), "%s", b);
	if (!model_add_binding(&im->m, &bind))
		im->no_memory = true;
}

struct segment *import_segment(struct import *im, const char *name, const struct span *at)
{
	struct segment s, *added;

	segment_init(&s);
	snprintf(s.name, sizeof(s.name), "%s", name);
	s.at = import_where(at);
	added = model_add_segment(&im->m, &s);
	if (!added)
		im->no_memory = true;
	return added;
}

const char *import_format_word(enum import_format f)
{
	static const char *const words[] = { "io-pkt", "vpctl", "qvmconf", "libvirt" };

	return (unsigned int)f < IMPORT_FORMATS ? words[f] : "unknown";
}

static void unused(struct import *im, const struct import_pair *pairs, size_t n, const char *option, const char *what)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (pairs[i].used)
			continue;
		im->faults++;
		fail(option, "%.*s is %s", (int)pairs[i].key_len, pairs[i].key, what);
	}
}

int import_finish(struct import *im)
{
	int ret = 0;

	if (!im->faults && !im->no_memory) {
		switch (im->format) {
		case IMPORT_QVMCONF:
			qvm_build(im);
			break;
		case IMPORT_LIBVIRT:
			virt_build(im);
			break;
		default:
			qnx_build(im);
		}
		unused(im, im->opts->devices, im->opts->n_devices, "--device",
		       "neither a guest's path in the input nor the name of a port made from it");
		unused(im, im->opts->uplinks, im->opts->n_uplinks, "--uplink",
		       "nothing in the input that could be an uplink");
	}
	if (!im->faults && !im->no_memory)
		ret = model_check(&im->m);
	if (im->no_memory || ret == -ENOMEM) {
		fail("import", "out of memory");
		return -ENOMEM;
	}
	return im->faults || ret ? -EINVAL : 0;
}
