/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `show` tells: one snapshot of a live plane; as tables (print.c) or JSON (print_json.c). */
#ifndef VIEW_H
#define VIEW_H

#include <stdio.h>
#include "plane.h"

enum port_state { STATE_UP, STATE_WAITING, STATE_DEGRADED };

struct view_port {
	const struct port *port; /* in view.model */
	uint16_t id;
	char plane_device[VP_DEV_LEN]; /* host ports: the plane's end, else "" */
	uint32_t ifindex;	  /* 0 = waiting */
	enum port_state state;
	char why[160]; /* of the state, else of the carrier */
	enum carrier carrier;
	bool generic;
	bool xdp_target;
	char target_why[120];
	const char *peer; /* NULL = none */
	struct vp_counters counters;
	uint64_t egress_errors;
	uint32_t learned;
	uint32_t reconnects; /* how often the device was taken back */
	bool held;	     /* `watch` holds its device down: the other end of its binding has no carrier */
};

struct view_mac {
	const char *segment, *port;
	struct mac mac;
	bool is_static;
	uint32_t age; /* seconds since last seen; 0 for static */
};

struct view {
	char plane[VP_NAME_LEN];
	bool pending;	 /* the last change waits to be confirmed ... */
	int confirm_left; /* ... for so many seconds, then it is taken back; 0 or less: it should have been */
	struct model model;
	struct view_port *ports; /* by name, as in the model */
	size_t n_ports;
	struct view_mac *macs; /* by segment, then address */
	size_t n_macs;
	bool watched; /* a `watch` runs */
};

enum show_what { SHOW_PORTS = 1, SHOW_BINDINGS = 2, SHOW_SEGMENTS = 4, SHOW_MACS = 8, SHOW_DROPS = 16, SHOW_ALL = 31 };

/* What was found about one port, for view_port_judge(). */
struct view_facts {
	const char *plane;
	const struct vp_port *now;    /* the active bank's entry; NULL = the plane has no id for the port */
	const struct link_info *link; /* the device by name (of a host port: the plane's end), NULL = absent */
	const struct link_info *kept; /* the device by the index that is attached, NULL = gone */
	struct attachment attached;
	bool held;     /* by a `watch` that runs */
	bool has_info; /* egress_base is known */
	uint64_t egress_base;
	uint32_t seen; /* VP_INFO_SEEN */
};
/* Pure: state, carrier, XDP target, the reasons and egress errors; `port` and `plane_device` are filled in. */
void view_port_judge(struct view_port *vp, const struct view_facts *f);
/* The device that the plane's programs sit on; buf is used for host ports. */
const char *view_device(const struct port *p, char buf[VP_DEV_LEN]);

/* Gather; -errno, reports nothing of its own. */
int view_make(struct view *v, struct plane *p, bool with_macs);
void view_free(struct view *v);
const struct view_port *view_port(const struct view *v, const char *name); /* NULL = none */
enum port_state view_binding_state(const struct view *v, const struct binding *b); /* the worse of its two ends */
uint64_t view_drops(const struct vp_counters *c);				    /* over all reasons */
const char *state_word(enum port_state s);

void print_view(FILE *out, const struct view *v, unsigned int what);
int print_view_json(FILE *out, const struct view *v); /* the contract's whole object, always everything */
int print_model_json(FILE *out, const struct model *m, const char *plane); /* check --json: every auto MAC resolved */
struct plan;
void print_plan(FILE *out, const struct plan *plan);
int print_plan_json(FILE *out, const struct plan *plan);

#endif
