/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The configuration as conf_write() has it, one key a line, and behind each line where it came from. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "import.h"

#define NOTE_COLUMN 40

/* Where in the configuration a line stands. */
struct spot {
	enum note_on on;
	char name[VP_NAME_LEN];
};

/* A comment must end where its line ends, and be text for any reader of YAML. */
static void comment(FILE *out, const char *text)
{
	fputs("# ", out);
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || (unsigned char)*text > '~' ? '?' : *text, out);
}

/* The value of a line `key: value`; names need no more than their quotes taken off. */
static void value_of(const char *line, size_t len, char out[VP_NAME_LEN])
{
	const char *value = memchr(line, ':', len);
	size_t n = 0;

	for (value = value ? value + 1 : line + len; value < line + len && n + 1 < VP_NAME_LEN; value++)
		if (*value != ' ' && *value != '"')
			out[n++] = *value;
	out[n] = '\0';
}

static bool is_key(const char *line, size_t len, const char *key)
{
	size_t n = strlen(key);

	return len > n && !memcmp(line, key, n) && line[n] == ':';
}

/* The note for this line, or NULL. A binding's notes are by its ends. */
static const char *note_for(const struct import *im, struct spot *spot, const char *line, size_t len)
{
	const char *key = line + 4; /* "  - " and "    " */
	size_t i;

	if (len < 5 || *line != ' ')
		return NULL;
	if (!memcmp(line, "  - ", 4) || spot->on == NOTE_BINDING)
		value_of(line, len, spot->name);
	for (i = 0; i < im->n_notes; i++) {
		const struct note *n = &im->notes[i];

		if (n->on == spot->on && !strcmp(n->name, spot->name) &&
		    (n->on == NOTE_BINDING || is_key(key, len - 4, n->key)))
			return n->text;
	}
	return NULL;
}

static void write_line(FILE *out, const struct import *im, struct spot *spot, const char *line, size_t len)
{
	const char *note;

	if (is_key(line, len, "segments"))
		spot->on = NOTE_SEGMENT;
	else if (is_key(line, len, "ports"))
		spot->on = NOTE_PORT;
	else if (is_key(line, len, "bindings"))
		spot->on = NOTE_BINDING;
	note = note_for(im, spot, line, len);
	fwrite(line, 1, len, out);
	if (note) {
		fprintf(out, "%*s", len < NOTE_COLUMN ? (int)(NOTE_COLUMN - len) : 1, "");
		comment(out, note);
	}
	fputc('\n', out);
}

int import_write(FILE *out, const struct import *im)
{
	struct spot spot = { .on = NOTE_SEGMENT };
	char *text = NULL, *line, *end;
	size_t len = 0, i;
	FILE *plain = open_memstream(&text, &len);
	int ret = plain ? conf_write(plain, &im->m) : -ENOMEM;

	if (plain && fclose(plain) && !ret)
		ret = -ENOMEM;
	if (!ret)
		fprintf(out, "# Made by vpeer import %s.\n", import_format_word(im->format));
	for (i = 0; !ret && i < im->n_heads; i++) {
		comment(out, im->heads[i]);
		fputc('\n', out);
	}
	for (line = text; !ret && line < text + len; line = end + 1) {
		end = memchr(line, '\n', (size_t)(text + len - line));
		if (!end)
			break;
		write_line(out, im, &spot, line, (size_t)(end - line));
	}
	free(text);
	if (!ret && (fflush(out) || ferror(out)))
		ret = errno ? -errno : -EIO;
	return ret;
}
