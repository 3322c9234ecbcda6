/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For a process that stays: is the plane that it has open still the one of that name, and has somebody changed it? */
#ifndef PLANE_WATCH_H
#define PLANE_WATCH_H

#include "plane.h"

/* Only maps are needed: a program that is held outlives the next upgrade. Once, after plane_open(). */
void plane_drop_progs(struct plane *p);

/* false: taken down, or another has its name now, or a loader of another ABI has upgraded it. */
bool plane_stands(const struct plane *p);

/* The configuration as it was read last: comparing is cheap enough for every event. */
struct plane_shot {
	void *info;  /* vp_port_info; NULL = nothing was read yet */
	void *ports; /* vp_port of the bank in force: a loader's flags may be seen before its switch */
	char *text;
	uint32_t len;
};
int plane_shot_take(const struct plane *p, struct plane_shot *s); /* -ENOMEM */
bool plane_shot_differs(const struct plane *p, const struct plane_shot *s);
bool plane_shot_text_differs(const struct plane *p, const struct plane_shot *s);
void plane_shot_free(struct plane_shot *s); /* accepts a zeroed one */

#endif
