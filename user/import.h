/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Other systems' network configurations become a plane of ours. Pure: text in, text out.
 *
 *   import_init, import_text or import_words for each source, import_finish, import_write, import_free
 *
 * A reader (one per format) only collects; import_finish() makes the model once all sources are known, since the ends
 * of a link may stand in different files. A fault is reported with its place and a mark under the item, and so are
 * warnings.
 * What the model cannot say (where a value came from, what was left out and why) becomes a comment: a note on a key of
 * an object, or a line at the head of the file.
 */
#ifndef IMPORT_H
#define IMPORT_H

#include <stdio.h>
#include "model.h"

enum import_format {
	IMPORT_IO_PKT,
	IMPORT_VPCTL,
	IMPORT_QVMCONF,
	IMPORT_LIBVIRT,
	IMPORT_FORMATS
};

#define IMPORT_MAX_TEXT	 (1024 * 1024)
#define IMPORT_MAX_LINKS VP_MAX_PORTS /* more can't be a plane: refused before anything is compared with anything */

/* KEY=VALUE of an option; `used` is set by whoever finds what it is about. */
struct import_pair {
	const char *key, *value;
	size_t key_len;
	bool used;
};

struct import_opts {
	struct import_pair *devices; /* --device PATH=IF */
	size_t n_devices;
	struct import_pair *uplinks; /* --uplink NAME=IF */
	size_t n_uplinks;
	const char *segment; /* --segment NAME: of interfaces that name no bridge; NULL = none */
	bool bridge;	     /* --bridge */
};

/* One text, kept until the end: places point into it. */
struct src {
	char *name, *text;
	size_t len;
	bool words; /* made of arguments: one line */
};

/* Where an item stands. */
struct span {
	const struct src *src; /* NULL = nowhere */
	size_t at, len;
};

struct import;
struct qnx;
struct qvm;
struct virt;

struct note {
	enum note_on {
		NOTE_SEGMENT,
		NOTE_PORT,
		NOTE_BINDING
	} on;
	char name[VP_NAME_LEN]; /* of a binding: one of its ends */
	const char *key;
	char *text;
};

struct import {
	enum import_format format;
	struct import_opts *opts;
	struct src **srcs;
	size_t n_srcs;
	struct model m;
	struct note *notes;
	size_t n_notes;
	char **heads; /* comments at the top */
	size_t n_heads;
	char **kept; /* every text that a reader keeps */
	size_t n_kept;
	unsigned int faults;
	bool partial;	/* something that matters was left out, and said so */
	bool no_memory; /* the result can't be used */
	struct qnx *qnx;
	struct qvm *qvm;
	struct virt *virt;
};

/* `opts` must outlive the import. Reports nothing; `no_memory` may be set. */
void import_init(struct import *im, enum import_format format, struct import_opts *opts);
void import_free(struct import *im);
/* Read one text (copied). Faults are counted in `im`. */
void import_text(struct import *im, const char *name, const char *text, size_t len);
/* Read a command line that a shell has taken apart already. io-pkt and vpctl only. */
void import_words(struct import *im, int n, char *const *args);
/* Make the model of what was read and check it: 0, -EINVAL (reported) or -ENOMEM (reported). */
int import_finish(struct import *im);
const char *import_format_word(enum import_format f);
/* Our configuration text, with comments. */
int import_write(FILE *out, const struct import *im);

/* ---- for the readers ---- */

/* A copy of the text that lives as long as the import; never NULL ("" and `no_memory` instead). */
const char *import_keep(struct import *im, const char *text, size_t len);
/* An array of `n` elements with room for one more, or NULL (`no_memory` is set). */
void *import_grow(struct import *im, void *array, size_t n, size_t size);
/* Report at a place; `fault` beyond a fixed number are counted only. */
void import_fault(struct import *im, const struct span *at, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void import_warn(struct import *im, const struct span *at, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Comments. */
void import_note(struct import *im, enum note_on on, const char *name, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void import_head(struct import *im, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "setup.sh:12" or "argument at 34", for comments. */
#define IMPORT_PLACE 96
const char *import_place(const struct span *at, char buf[IMPORT_PLACE]);
struct where import_where(const struct span *at);

/* import_name.c: names of ours for names of theirs, new in the model, derived from `path` alone unless taken. */
void import_guest_name(const struct import *im, const char *path, char out[VP_NAME_LEN]);
void import_segment_name(const struct import *im, const char *name, char out[VP_NAME_LEN]);
/*
 * The device of a guest: that of --device PATH or --device PORT, or one derived from the path. Returns which, for
 * a note.
 */
const char *import_device(struct import *im, const char *path, const char *port, char out[VP_DEV_LEN]);
/* The device said for an uplink, or NULL. */
const char *import_uplink(struct import *im, const char *name);
/* Is this text an address (colons, hyphens or nothing between its bytes)? NULL, or why not. */
const char *import_mac(const char *text, struct mac *out);
/* Add to the model, with the place; NULL = no memory (said). `p` is emptied. */
struct port *import_port(struct import *im, struct port *p, const struct span *at);
/* Also refuses an alias that can't be one, with a warning. */
void import_alias(struct import *im, struct port *p, const char *path, const struct span *at, const char *from);
void import_bind(struct import *im, const char *a, const char *b, const struct span *at);
struct segment *import_segment(struct import *im, const char *name, const struct span *at);

/* import_lex.c: words of a shell command, or of a line; each character knows where it stands. */
struct word {
	const char *text; /* kept */
	uint32_t *at;	  /* offset in the source of each character, and of the end */
	size_t len;
	const struct src *src;
	bool ends;     /* no word: the end of a command (newline ; & | and the like) */
	bool variable; /* contains an unquoted $ or ` : a shell would put something else there */
};
struct words {
	struct word *w;
	size_t n;
};
void lex_shell(struct import *im, const struct src *src, struct words *out);
void lex_lines(struct import *im, const struct src *src, struct words *out); /* # comments, no quotes */
void lex_args(struct import *im, struct src *src, int n, char *const *args, struct words *out);
void words_free(struct words *words);
/* Characters from..to of a word. */
struct span word_span(const struct word *w, size_t from, size_t to);

/* The readers, each with what it collects; `build` makes the model. */
void qnx_read(struct import *im, const struct words *words); /* import_qnx.c */
void qnx_build(struct import *im);			     /* import_qnxplane.c */
void qnx_free(struct import *im);
void qvm_read(struct import *im, const struct words *list);
void qvm_build(struct import *im);
void qvm_free(struct import *im);
void virt_read(struct import *im, const struct src *src);
void virt_build(struct import *im);
void virt_free(struct import *im);

#endif
