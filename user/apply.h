/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one way from a model to a live plane: every verb that changes something makes a model and comes here. */
#ifndef APPLY_H
#define APPLY_H

#include "plan.h"
#include "plane.h"

struct apply_opts {
	bool by_name;	/* `up`: a port whose device has another name now loses it; else it keeps it */
	bool prune;	/* drop MAC entries programmed at run time and learned ones */
	bool take_over; /* take addresses, routes and master from the devices of guests and uplinks */
	bool decided;	/* a confirmation that is pending is no hindrance: this run decides it */
	/* Called before the switch to another configuration, with all in place for it; may refuse (-errno, told) */
	int (*ready)(struct plane *p, void *ctx);
	void *ctx;
	char **only;	/* attach these ports and look at no other, if there are any ... */
	size_t n_only;
	bool each; /* `attach`: a port that is refused is left as it is, and the others are attached */
	bool mend; /* ... but at all of them where the last run died or failed */
};

struct apply_result {
	bool changed;
	bool partly; /* the new configuration is in force, but something of the old one is left (told) */
	unsigned int attached, waiting;
	unsigned int entered; /* MAC entries of the configuration that were missing, though it did not change */
	unsigned int raised;  /* devices that were down, of ports that were attached */
	struct plan *plan;    /* the caller's or NULL: here it is noted what became of the configuration */
	unsigned int confirm; /* seconds left to confirm it, 0 = it is final; for session_tell() */
};

/*
 * Make the plane (locked by the caller; open, or absent and then created) equal to `want` (sorted, derived, checked).
 * Everything is checked before anything is changed. Reports; 0 or -errno: then what this call attached or created is
 * undone and the running plane is as it was.
 */
int apply(struct plane *p, bool exists, const char *plane, const struct model *want, const struct apply_opts *opts,
	  struct apply_result *result);

/* What it would do, appended to `plan`, which shall be empty; changes nothing. Reports. */
int apply_plan(struct plane *p, bool exists, const char *plane, const struct model *want,
	       const struct apply_opts *opts, struct plan *plan);

/* Detach and remove everything of an open plane, put device settings back, take the pins away. */
int apply_down(struct plane *p);
/* Where there is no plane of that name: what a loader that died has left of one. Reports itself. */
int apply_clear(const char *plane);

#endif
