/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libyaml's document API is what keeps line and column, but it also resolves aliases (a "billion laughs" is small text)
 * and nests as deep as it is told to. So the cheap event stream is read first and refuses what a plane never needs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf_yaml.h"

#define CONF_OBJECT "configuration"
#define MAX_DEPTH   8

/* Line and column of a byte, for errors below the level at which libyaml counts lines. */
static struct where place_of_byte(const char *text, size_t len, size_t offset, const char *name)
{
	struct where at = { name, 1, 1 };
	size_t i;

	for (i = 0; i < len && i < offset; i++) {
		if (text[i] == '\n') {
			at.line++;
			at.column = 1;
		} else if ((text[i] & 0xc0) != 0x80) {
			at.column++;
		}
	}
	return at;
}

static int parser_fault(const yaml_parser_t *p, const char *text, size_t len, const char *name)
{
	struct where at;

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->error == YAML_READER_ERROR) {
		at = place_of_byte(text, len, p->problem_offset, name);
		fail_at(&at, CONF_OBJECT, "not UTF-8 text: %s", p->problem ? p->problem : "cannot be read");
		return -EINVAL;
	}
	at = conf_yaml_place(name, &p->problem_mark);
	fail_at(&at, CONF_OBJECT, "not valid YAML: %s%s%s", p->context ? p->context : "", p->context ? ": " : "",
		p->problem ? p->problem : "syntax error");
	return -EINVAL;
}

struct scan {
	int depth, documents;
	bool content;
};

static const char *named(const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		return "anchors (&) and aliases (*) are not used in a configuration; write the value out";
	return tag ? "tags (!) are not used in a configuration; leave it out" : NULL;
}

/* Why the event is refused, or NULL. */
static const char *refuse(const yaml_event_t *e, struct scan *s)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		return ++s->documents > 1 ? "a second document (---); a configuration is one document" : NULL;
	case YAML_ALIAS_EVENT:
		return named(e->data.alias.anchor, NULL);
	case YAML_SCALAR_EVENT:
		s->content = s->content || e->data.scalar.length || s->depth;
		return named(e->data.scalar.anchor, e->data.scalar.tag);
	case YAML_SEQUENCE_START_EVENT:
		s->content = true;
		if (++s->depth > MAX_DEPTH)
			return "nested too deeply";
		return named(e->data.sequence_start.anchor, e->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		s->content = true;
		if (++s->depth > MAX_DEPTH)
			return "nested too deeply";
		return named(e->data.mapping_start.anchor, e->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		s->depth--;
		return NULL;
	default:
		return NULL;
	}
}

/* One event; 1 = go on, 0 = end of the stream. */
static int scan_one(yaml_parser_t *p, struct scan *s, const char *text, size_t len, const char *name)
{
	yaml_event_t e;
	const char *why;
	int ret;

	if (!yaml_parser_parse(p, &e))
		return parser_fault(p, text, len, name);
	why = refuse(&e, s);
	ret = e.type != YAML_STREAM_END_EVENT;
	if (why) {
		struct where at = conf_yaml_place(name, &e.start_mark);

		fail_at(&at, CONF_OBJECT, "%s", why);
		ret = -EINVAL;
	}
	yaml_event_delete(&e);
	return ret;
}

static int start(yaml_parser_t *p, const char *text, size_t len)
{
	if (!yaml_parser_initialize(p))
		return -ENOMEM;
	/* Said and not guessed: a byte order mark must not make it UTF-16. */
	yaml_parser_set_encoding(p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(p, (const unsigned char *)text, len);
	return 0;
}

static int scan(const char *text, size_t len, const char *name)
{
	struct scan s = { 0 };
	yaml_parser_t p;
	int ret = start(&p, text, len);

	if (ret)
		return ret;
	do
		ret = scan_one(&p, &s, text, len, name);
	while (ret > 0);
	yaml_parser_delete(&p);
	if (!ret && !s.content) {
		fail_at(&(struct where){ name, 1, 1 }, CONF_OBJECT,
			"is empty; the least that is a configuration is `version: 1`");
		ret = -EINVAL;
	}
	return ret;
}

int conf_yaml_load(const char *text, size_t len, const char *name, yaml_document_t *doc)
{
	yaml_parser_t p;
	int ret;

	if (len > CONF_MAX_TEXT) {
		fail_at(&(struct where){ .file = name }, CONF_OBJECT, "is larger than %u MiB",
			CONF_MAX_TEXT / (1024 * 1024));
		return -EINVAL;
	}
	ret = scan(text, len, name);
	if (ret)
		return ret;
	ret = start(&p, text, len);
	if (ret)
		return ret;
	if (!yaml_parser_load(&p, doc))
		ret = parser_fault(&p, text, len, name);
	yaml_parser_delete(&p);
	return ret;
}
