/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What of YAML a configuration may use, checked event by event as the tree is built. */
#ifndef CONF_YAML_H
#define CONF_YAML_H

#include <yaml.h>
#include "model.h"

#define CONF_MAX_TEXT (4U * 1024 * 1024)

/*
 * Build the tree of the only document in `text`. Syntax errors, anchors, aliases, tags, a second document and deep
 * nesting are reported under `name`: -EINVAL. On 0 the caller deletes `doc`.
 */
int conf_yaml_load(const char *text, size_t len, const char *name, yaml_document_t *doc);

static inline struct where conf_yaml_place(const char *file, const yaml_mark_t *mark)
{
	return (struct where){ file, (unsigned int)mark->line + 1, (unsigned int)mark->column + 1 };
}

#endif
