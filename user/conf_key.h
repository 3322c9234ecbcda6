/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one table of keys, for the file and for `key=value`: what a key is called, takes and sets. */
#ifndef CONF_KEY_H
#define CONF_KEY_H

#include <stdio.h>
#include "model.h"

enum key_type {
	KEY_WORD,    /* any scalar */
	KEY_NUMBER,  /* a plain scalar: "10" in quotes is text */
	KEY_BOOL,    /* likewise */
	KEY_MACS,    /* a scalar or a list */
	KEY_NAMES,   /* a list of segments' names */
	KEY_LIST,    /* a list of mappings */
	KEY_MISSING, /* in the contract, not in this build */
};

struct key {
	const char *name;
	enum key_type type;
	/* Give `object` (struct port, segment or binding) the value. -EINVAL: wrong. */
	int (*set)(void *object, const char *text);
	const char *wanted; /* completes `"x" is not ...` */
};

enum key_table {
	KEYS_TOP,
	KEYS_SEGMENT,
	KEYS_PORT,
	KEYS_BINDING
};

const struct key *key_table(enum key_table table, size_t *n);
const struct key *key_find(enum key_table table, const char *name);
/* The key that `name` may be a slip of, or NULL. */
const char *key_near(enum key_table table, const char *name);

/* For shells: a line `KEY=<tab>VALUE|VALUE...` for each key of a port's; no values where they are not words. */
void key_complete(FILE *out);

/* A scalar for `mac`: the word auto or an address. Returns NULL, or why not, in buf. */
#define KEY_WHY 160
const char *key_mac(const char *text, struct mac *out, char buf[KEY_WHY]);

/* One of a list of segments. Returns NULL, or why not, in buf. */
const char *key_segment(const char *text, char buf[KEY_WHY]);

/* After all keys of a port are set: a host port's device is its name. */
void key_finish_port(struct port *p);

#endif
