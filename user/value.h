/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Strict scalar parsers and printers: 0 or -EINVAL, silent; nothing is trimmed, no prefix of a number is a number. */
#ifndef VALUE_H
#define VALUE_H

#include "model.h"

#define MAC_TEXT 18

int value_mac(const char *text, struct mac *out);		 /* aa:bb:cc:dd:ee:ff, either case, ':' or '-' */
const char *value_mac_text(const struct mac *m, char buf[MAC_TEXT]); /* lower case, ':' */
const char *value_mac_fault(const struct mac *m); /* why it can be nobody's address ("is a group address"), or NULL */
int value_u32(const char *text, uint32_t min, uint32_t max, uint32_t *out); /* decimal */
int value_bool(const char *text, bool *out);			 /* true false yes no on off */
int value_name(const char *text, size_t max);	/* [a-z0-9][a-z0-9_.-]*, at most max characters */
int value_device(const char *text);		/* a legal interface name */
int value_alias(const char *text);		/* 1 to 95 printable ASCII characters, no blanks */
int value_kind(const char *text, enum vp_kind *out);
int value_carrier(const char *text, enum carrier *out);
int value_mode(const char *text, enum xdp_mode *out);
int value_attach(const char *text, enum xdp_attach *out);
int value_duplicate(const char *text, enum duplicate *out);
/* "vpeer VERB", with the plane's name where it is not the default one, for messages. Returns buf. */
#define COMMAND_TEXT 80
const char *value_command(char buf[COMMAND_TEXT], const char *plane, const char *verb);
int mac_cmp(const struct mac *a, const struct mac *b);

#endif
