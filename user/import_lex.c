/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Words with places. A shell joins lines that end in a backslash and takes quotes away, so a word's characters need not
 * stand beside each other in the source: each one remembers where it came from.
 */
#include <stdlib.h>
#include <string.h>

#include "import.h"

struct lexer {
	struct import *im;
	const struct src *src;
	size_t i; /* next character */
	struct words *out;
	char *text; /* the word under way, as long as the source */
	uint32_t *at;
	size_t len;
	bool begun, variable;
};

static bool lex_begin(struct lexer *l, struct import *im, const struct src *src, struct words *out)
{
	*l = (struct lexer){ .im = im, .src = src, .out = out };
	l->text = malloc(src->len + 1);
	l->at = malloc((src->len + 1) * sizeof(*l->at));
	if (!l->text || !l->at)
		im->no_memory = true;
	return !im->no_memory;
}

static void lex_end(struct lexer *l)
{
	free(l->text);
	free(l->at);
}

static struct word *add_word(struct lexer *l)
{
	struct word *w = import_grow(l->im, l->out->w, l->out->n, sizeof(*w));

	if (!w)
		return NULL;
	l->out->w = w;
	w = &w[l->out->n++];
	*w = (struct word){ .text = "", .src = l->src };
	return w;
}

static void take(struct lexer *l)
{
	l->text[l->len] = l->src->text[l->i];
	l->at[l->len++] = (uint32_t)l->i++;
	l->begun = true;
}

static void finish(struct lexer *l)
{
	struct word *w;

	if (!l->begun)
		return;
	w = add_word(l);
	l->at[l->len] = l->len ? l->at[l->len - 1] + 1 : (uint32_t)l->i;
	if (w) {
		w->text = import_keep(l->im, l->text, l->len);
		w->at = malloc((l->len + 1) * sizeof(*w->at));
		if (w->at)
			memcpy(w->at, l->at, (l->len + 1) * sizeof(*w->at));
		else
			l->im->no_memory = true;
		w->len = w->at ? l->len : 0;
		w->variable = l->variable;
	}
	l->len = 0;
	l->begun = l->variable = false;
}

static void end_command(struct lexer *l)
{
	struct word *w;

	finish(l);
	if (l->out->n && l->out->w[l->out->n - 1].ends)
		return;
	w = add_word(l);
	if (w)
		w->ends = true;
}

static void skip_comment(struct lexer *l)
{
	while (l->i < l->src->len && l->src->text[l->i] != '\n')
		l->i++;
}

static size_t line_break(const struct lexer *l, size_t i)
{
	const char *text = l->src->text;

	return text[i] == '\n' ? 1 : text[i] == '\r' && text[i + 1] == '\n' ? 2 : 0;
}

/* A backslash: joins lines, or makes the next character an ordinary one. */
static void backslash(struct lexer *l)
{
	size_t n = line_break(l, l->i + 1);

	l->i++;
	if (n)
		l->i += n;
	else if (l->i < l->src->len)
		take(l);
}

static void quoted(struct lexer *l)
{
	char quote = l->src->text[l->i];
	struct span at = { l->src, l->i++, 1 };

	l->begun = true;
	while (l->i < l->src->len && l->src->text[l->i] != quote) {
		char c = l->src->text[l->i];

		if (quote == '"' && c == '\\') {
			backslash(l);
			continue;
		}
		if (quote == '"' && (c == '$' || c == '`'))
			l->variable = true;
		take(l);
	}
	if (l->i == l->src->len)
		import_fault(l->im, &at, "quote", "is never closed");
	else
		l->i++;
}

/* A redirection is no argument of the command: 2>/dev/null, >> log, <&1. */
static void redirection(struct lexer *l)
{
	const char *text = l->src->text;
	size_t i;

	for (i = 0; i < l->len && text[l->at[i]] >= '0' && text[l->at[i]] <= '9'; i++)
		;
	if (i == l->len) /* the number of a descriptor */
		l->len = 0, l->begun = false;
	else
		finish(l);
	while (text[l->i] == '<' || text[l->i] == '>' || text[l->i] == '&')
		l->i++;
	while (text[l->i] == ' ' || text[l->i] == '\t')
		l->i++;
	while (l->i < l->src->len && !strchr(" \t\r\n;&|<>()", text[l->i]))
		l->i++;
}

static void shell_character(struct lexer *l)
{
	char c = l->src->text[l->i];

	if (c == '\\') {
		backslash(l);
	} else if (c == '\'' || c == '"') {
		quoted(l);
	} else if (c == ' ' || c == '\t' || c == '\r') {
		finish(l);
		l->i++;
	} else if (strchr("\n;&|()", c)) {
		end_command(l);
		l->i++;
	} else if (c == '<' || c == '>') {
		redirection(l);
	} else if (c == '#' && !l->begun) {
		skip_comment(l);
	} else {
		if (c == '$' || c == '`')
			l->variable = true;
		take(l);
	}
}

void lex_shell(struct import *im, const struct src *src, struct words *out)
{
	struct lexer l;

	if (lex_begin(&l, im, src, out)) {
		while (l.i < src->len && !im->no_memory)
			shell_character(&l);
		end_command(&l);
	}
	lex_end(&l);
}

void lex_lines(struct import *im, const struct src *src, struct words *out)
{
	struct lexer l;

	if (lex_begin(&l, im, src, out)) {
		while (l.i < src->len && !im->no_memory) {
			char c = src->text[l.i];

			if (c == '\n') {
				end_command(&l);
				l.i++;
			} else if (c == ' ' || c == '\t' || c == '\r') {
				finish(&l);
				l.i++;
			} else if (c == '#' && !l.begun) {
				skip_comment(&l);
			} else {
				take(&l);
			}
		}
		end_command(&l);
	}
	lex_end(&l);
}

void lex_args(struct import *im, struct src *src, int n, char *const *args, struct words *out)
{
	struct lexer l;
	int i;

	if (lex_begin(&l, im, src, out)) {
		for (i = 0; i < n; i++) {
			size_t len = strlen(args[i]), end = l.i + len;

			if (!strcmp(args[i], ";") || !strcmp(args[i], "&")) {
				end_command(&l);
			} else {
				l.begun = true;
				while (l.i < end)
					take(&l);
				finish(&l);
			}
			l.i = end + 1;
		}
		end_command(&l);
	}
	lex_end(&l);
}

void words_free(struct words *words)
{
	size_t i;

	for (i = 0; i < words->n; i++)
		free(words->w[i].at);
	free(words->w);
	*words = (struct words){ 0 };
}

struct span word_span(const struct word *w, size_t from, size_t to)
{
	struct span s = { .src = w->src };
	size_t n = 1;

	if (!w->at)
		return s;
	s.at = w->at[from < w->len ? from : w->len];
	/* As far as the characters stand beside each other. */
	while (from + n < to && from + n < w->len && w->at[from + n] == s.at + n)
		n++;
	s.len = n;
	return s;
}
