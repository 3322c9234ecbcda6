/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pure: what is to become of a plane, as a list of changes in the order in which they are applied.
 * A change names an object; `diff` and `up --dry-run` print it, `up` carries out the same list.
 */
#ifndef PLAN_H
#define PLAN_H

#include "model.h"

enum change_kind { CHANGE_ADD, CHANGE_SET, CHANGE_DEL };
enum object_kind { OBJECT_SEGMENT, OBJECT_PORT, OBJECT_BINDING };

struct change {
	enum change_kind kind;
	enum object_kind object;
	char name[2 * VP_NAME_LEN + 2]; /* a binding: "a b" */
	char detail[160];		/* CHANGE_SET: "carrier auto -> tc, mac ..." */
};

struct plan {
	struct change *changes;
	size_t n;
};

void plan_init(struct plan *p);
void plan_free(struct plan *p);
/* From `have` to `want` (both sorted and derived). Order: segments added/set, ports, bindings, then what goes away. */
int plan_make(struct plan *p, const struct model *have, const struct model *want);

/* Of a port, something that no configuration says; nothing if the plan names the port already. -ENOMEM */
int plan_note_port(struct plan *p, const char *name, const char *detail);

#endif
