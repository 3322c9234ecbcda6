/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text and arguments to model, and back.  File and command line share the key table and the value parsers. */
#ifndef CONF_H
#define CONF_H

#include <stdio.h>
#include "model.h"

/*
 * Read a YAML document into `m` (initialised). `name` is used in messages. Every fault is reported with
 * name:line:column; -EINVAL if any, -ENOMEM. Does not call model_check() or model_derive().
 */
int conf_read(FILE *in, const char *name, struct model *m);
int conf_read_text(const char *text, size_t len, const char *name, struct model *m);
/* Open `path` ("-" = standard input), read, check, derive: what every verb that takes a file wants. */
int conf_load(const char *path, const char *plane, struct model *m);

/* Write the model so that conf_read() gives an equal one; only what differs from the defaults. */
int conf_write(FILE *out, const struct model *m);

/* Apply one `key=value` argument (port add, port set) to a port; reports and returns -EINVAL. `mac=` takes commas. */
int conf_port_arg(struct port *p, const char *arg);
/* All of a verb's `key=value` arguments, in any order: `kind` acts first, a key given twice is refused. */
int conf_port_args(struct port *p, int n, char *const *args);

#endif
