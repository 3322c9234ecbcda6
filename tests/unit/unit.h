/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For tests of the pure parts: messages caught, models from text, models compared and made at random. */
#ifndef UNIT_H
#define UNIT_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "value.h"

/* Last: cmocka has a macro of the name of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static char *said;
static size_t said_len;
static FILE *said_to;

/* From here on messages are collected... */
static inline void listen(bool json)
{
	said_to = open_memstream(&said, &said_len);
	assert_non_null(said_to);
	log_setup(json, false, said_to);
}

/* ...and this is what was said; free() it. */
static inline char *heard(void)
{
	char *text;

	fclose(said_to);
	log_setup(false, false, NULL);
	text = said;
	said = NULL;
	return text;
}

static inline size_t lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static inline void assert_says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

/* Fails with the difference to be seen. */
static inline void assert_heard(const char *expected)
{
	char *text = heard();

	assert_string_equal(text, expected);
	free(text);
}

static inline struct model model_of(const char *text)
{
	struct model m;

	model_init(&m);
	assert_int_equal(conf_read_text(text, strlen(text), "plane.yaml", &m), 0);
	return m;
}

static inline char *text_of_model(const struct model *m)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(conf_write(f, m), 0);
	fclose(f);
	return text;
}

static inline void assert_models_equal(const struct model *a, const struct model *b)
{
	size_t i;

	assert_int_equal(a->n_ports, b->n_ports);
	assert_int_equal(a->n_segments, b->n_segments);
	assert_int_equal(a->n_bindings, b->n_bindings);
	for (i = 0; i < a->n_ports; i++)
		if (!port_equal(&a->ports[i], &b->ports[i]))
			fail_msg("port %s differs", a->ports[i].name);
	for (i = 0; i < a->n_segments; i++)
		if (!segment_equal(&a->segments[i], &b->segments[i]))
			fail_msg("segment %s differs", a->segments[i].name);
	for (i = 0; i < a->n_bindings; i++) {
		assert_string_equal(a->bindings[i].a, b->bindings[i].a);
		assert_string_equal(a->bindings[i].b, b->bindings[i].b);
	}
}

static inline struct mac mac_of(const char *text)
{
	struct mac mac;

	assert_int_equal(value_mac(text, &mac), 0);
	return mac;
}

static inline struct port *make_port(struct model *m, const char *name, enum vp_kind kind, const char *segment)
{
	struct port p;

	port_init(&p, kind);
	snprintf(p.name, sizeof(p.name), "%s", name);
	snprintf(p.device, sizeof(p.device), kind == VP_KIND_HOST ? "%.15s" : "d%.14s", name);
	snprintf(p.segment, sizeof(p.segment), "%s", segment);
	return model_add_port(m, &p);
}

static inline struct segment *make_segment(struct model *m, const char *name)
{
	struct segment s;

	segment_init(&s);
	snprintf(s.name, sizeof(s.name), "%s", name);
	return model_add_segment(m, &s);
}

static inline void make_binding(struct model *m, const char *a, const char *b)
{
	struct binding bind = { .at = { 0 } };

	snprintf(bind.a, sizeof(bind.a), "%s", a);
	snprintf(bind.b, sizeof(bind.b), "%s", b);
	assert_non_null(model_add_binding(m, &bind));
}

#endif
