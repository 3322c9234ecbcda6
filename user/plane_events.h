/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ring vp_events (vp_abi.h): the loader's entries, and reading it; any number of readers, none is waited for. */
#ifndef PLANE_EVENTS_H
#define PLANE_EVENTS_H

#include "plane.h"

/* Enter something about port `id` (0 = about the plane). */
void plane_news(struct plane *p, enum vp_news what, uint16_t id);
/* What the switch from bank `before` to the active one meant: ports up, waiting, back or removed; another text. */
void plane_news_switch(struct plane *p, uint32_t before);

struct plane_reader {
	uint64_t next;	   /* number of the record to read */
	uint64_t lost;	   /* overwritten before they were read; the caller takes them away */
	unsigned int idle; /* how often the record has been found half written */
};
/* Begin with what comes from now on, or with the oldest record that is still there. */
void plane_reader_begin(const struct plane *p, struct plane_reader *r, bool oldest);
bool plane_reader_next(const struct plane *p, struct plane_reader *r, struct vp_record *out); /* false: none now */

#endif
