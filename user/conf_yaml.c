/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libyaml's own way to a tree resolves aliases (a "billion laughs" is small text) and nests as deep as it is told to.
 * So the tree is put together here from its events, each of which is refused if a plane never needs it.
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

/* The tree so far: the collections that are open, and of each mapping the key whose value is still to come. */
struct tree {
	yaml_document_t *doc;
	struct {
		int node, key; /* numbers of nodes, 0 = none */
	} open[MAX_DEPTH];
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
static const char *refuse(const yaml_event_t *e, const struct tree *t)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		return t->documents ? "a second document (---); a configuration is one document" : NULL;
	case YAML_ALIAS_EVENT:
		return named(e->data.alias.anchor, NULL);
	case YAML_SCALAR_EVENT:
		return named(e->data.scalar.anchor, e->data.scalar.tag);
	case YAML_SEQUENCE_START_EVENT:
		return t->depth == MAX_DEPTH ? "nested too deeply" :
					       named(e->data.sequence_start.anchor, e->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return t->depth == MAX_DEPTH ? "nested too deeply" :
					       named(e->data.mapping_start.anchor, e->data.mapping_start.tag);
	default:
		return NULL;
	}
}

/* Node `id` to where it belongs; 0 if there is no memory. */
static int hang(struct tree *t, int id)
{
	int parent = t->depth ? t->open[t->depth - 1].node : 0, *key = t->depth ? &t->open[t->depth - 1].key : NULL;

	if (!parent) /* the first node is the root */
		return 1;
	if (yaml_document_get_node(t->doc, parent)->type == YAML_SEQUENCE_NODE)
		return yaml_document_append_sequence_item(t->doc, parent, id);
	if (!*key) {
		*key = id;
		return 1;
	}
	parent = yaml_document_append_mapping_pair(t->doc, parent, *key, id);
	*key = 0;
	return parent;
}

/* A node of its own for the event, which begins one; 0 if there is no memory. */
static int node_of(struct tree *t, const yaml_event_t *e)
{
	if (e->type == YAML_SCALAR_EVENT)
		return yaml_document_add_scalar(t->doc, NULL, e->data.scalar.value, (int)e->data.scalar.length,
						e->data.scalar.style);
	if (e->type == YAML_SEQUENCE_START_EVENT)
		return yaml_document_add_sequence(t->doc, NULL, e->data.sequence_start.style);
	return yaml_document_add_mapping(t->doc, NULL, e->data.mapping_start.style);
}

static int add_node(struct tree *t, const yaml_event_t *e)
{
	bool scalar = e->type == YAML_SCALAR_EVENT;
	int id = node_of(t, e);

	if (!id || !hang(t, id))
		return -ENOMEM;
	yaml_document_get_node(t->doc, id)->start_mark = e->start_mark;
	t->content = t->content || !scalar || e->data.scalar.length || t->depth;
	if (!scalar) {
		t->open[t->depth].node = id;
		t->open[t->depth++].key = 0;
	}
	return 0;
}

static int take(struct tree *t, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		t->documents++;
		return 0;
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return add_node(t, e);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		t->depth--;
		return 0;
	default:
		return 0;
	}
}

/* One event; 1 = go on, 0 = end of the stream. */
static int read_one(yaml_parser_t *p, struct tree *t, const char *text, size_t len, const char *name)
{
	yaml_event_t e;
	const char *why;
	int ret;

	if (!yaml_parser_parse(p, &e))
		return parser_fault(p, text, len, name);
	why = refuse(&e, t);
	ret = why ? -EINVAL : take(t, &e);
	if (why) {
		struct where at = conf_yaml_place(name, &e.start_mark);

		fail_at(&at, CONF_OBJECT, "%s", why);
	}
	if (!ret)
		ret = e.type != YAML_STREAM_END_EVENT;
	yaml_event_delete(&e);
	return ret;
}

static int read_all(yaml_parser_t *p, struct tree *t, const char *text, size_t len, const char *name)
{
	int ret;

	/* Said and not guessed: a byte order mark must not make it UTF-16. */
	yaml_parser_set_encoding(p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(p, (const unsigned char *)text, len);
	do
		ret = read_one(p, t, text, len, name);
	while (ret > 0);
	if (!ret && !t->content) {
		fail_at(&(struct where){ name, 1, 1 }, CONF_OBJECT,
			"is empty; the least that is a configuration is `version: 1`");
		ret = -EINVAL;
	}
	return ret;
}

int conf_yaml_load(const char *text, size_t len, const char *name, yaml_document_t *doc)
{
	struct tree t = { .doc = doc };
	yaml_parser_t p;
	int ret;

	if (len > CONF_MAX_TEXT) {
		fail_at(&(struct where){ .file = name }, CONF_OBJECT, "is larger than %u MiB",
			CONF_MAX_TEXT / (1024 * 1024));
		return -EINVAL;
	}
	if (!yaml_document_initialize(doc, NULL, NULL, NULL, 1, 1))
		return -ENOMEM;
	ret = -ENOMEM;
	if (yaml_parser_initialize(&p)) {
		ret = read_all(&p, &t, text, len, name);
		yaml_parser_delete(&p);
	}
	if (ret)
		yaml_document_delete(doc);
	return ret;
}
