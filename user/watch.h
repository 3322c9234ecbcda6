/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What `watch` knows of each port, and which ports an event concerns.  No event makes it go through all ports: they
 * are found by their device's name and by the index that the plane has.  Pure, but for watch_fill(): it reads a plane.
 */
#ifndef WATCH_H
#define WATCH_H

#include "link.h"
#include "model.h"

struct watch_port {
	char name[VP_NAME_LEN];
	char device[VP_DEV_LEN]; /* of a host port: the plane's end */
	enum vp_kind kind;
	uint16_t id;
	uint32_t attached;     /* index that the plane has, 0 = the port waits */
	struct link_info link; /* the device as last seen; ifindex 0 = absent */
	bool dirty;	       /* shall be attached, or pruned, by the next pass */
	bool held;	       /* a binding with `propagate` has taken its device down */
	uint64_t settled_ms;   /* was released: until then no carrier means nothing */
	char *said;	       /* what the last pass that failed here said; owned */
	unsigned int failures; /* passes that failed, one after the other */
	uint64_t retry_ms;     /* then the next one is due without an event, 0 = is not */
	unsigned int slow_fds; /* TAP: how it was last seen to be open, as bits; see run.c */
	uint64_t frames, super; /* TAP: counted when its carrier was last weighed */
	bool xdp;	       /* XDP carries its frames */
};

struct watch_wire { /* a binding with `propagate` */
	struct watch_port *end[2];
};

struct watch {
	struct watch_port *ports; /* by device */
	size_t n;
	struct watch_port **by_index; /* those that are attached, by index */
	size_t n_index;
	struct watch_wire *wires;
	size_t n_wires;
	size_t dirty;
	bool carriers; /* one has changed: propagation is to be looked at */
};

void watch_init(struct watch *w);
void watch_free(struct watch *w);

/* By hand: every port, then watch_ready(), then the wires. -ENOMEM, of a wire without its ports -ENOENT. */
int watch_add(struct watch *w, const char *name, const char *device, enum vp_kind kind, uint32_t attached);
int watch_ready(struct watch *w);
int watch_add_wire(struct watch *w, const char *a, const char *b);
/* Anew from the live plane; what was known of a port's device stays known. With `same_text` the wires do, too. */
struct plane;
int watch_fill(struct watch *w, const struct plane *p, bool same_text);

void watch_mark(struct watch *w, struct watch_port *p);
/* For link_watch_read(); ctx is the struct watch. */
void watch_see(void *ctx, const struct link_event *e);
/* All devices there are, by ifindex, as link_list() gives them. */
void watch_look(struct watch *w, const struct link_info *links, size_t n);

struct watch_port *watch_port(struct watch *w, const char *name); /* NULL = none */

#endif
