/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What one run of apply() knows; shared by apply*.c only. */
#ifndef APPLY_PRIV_H
#define APPLY_PRIV_H

#include "apply.h"
#include "carrier.h"
#include "keys.h"

struct work_port {
	const struct port *port;
	const struct link_info *link; /* device (host port: the plane's end); NULL = absent */
	struct carrier_choice choice;
	bool meant;	       /* by this run: `attach PORT...`, `port` and `bind` touch no other */
	bool refused;	       /* apply_opts.each: its device can't be had, and the port is left as it is */
	struct attachment had; /* what was attached before this run; of a port not meant: what the plane was told */
	bool attached_now;     /* by this run: undone if the run fails */
	bool raised_now;       /* its device was down */
	bool counted_now;      /* in vp_port_info.attached */
	bool created_now;      /* host port's veth pair */
};

struct work {
	struct plane *p;
	const char *plane;
	const struct model *want;
	const struct apply_opts *opts;
	char *text;		 /* `want` as the plane will keep it */
	size_t text_len;
	bool changes;		 /* another configuration than the live one, not only other devices */
	bool died;		 /* the last run did, or it failed: nobody knows what it has done to which port */
	struct link_info *links; /* by ifindex */
	size_t n_links;
	struct link_info **by_name;
	const struct link_info **stacked; /* those that sit on another one: VLAN, MACVLAN devices */
	size_t n_stacked;
	uint32_t *addressed, *routed; /* devices by which the host reaches others; work_check() */
	size_t n_addressed, n_routed;
	struct plane_others others; /* while work_check() runs */
	struct work_port *ports; /* as in want->ports */
	struct port_facts *facts;
	struct layout *old, *now;
	struct keys by_mac; /* now->statics; macs_look() */
	bool *entered; /* which of now->statics the MAC table has; macs_look() */
	size_t n_entered;
	bool more_statics; /* and it has others: of the former configuration, or of `mac add` */
};

/* -ENOMEM; work_end() accepts what that leaves. */
int work_begin(struct work *w, struct plane *p, bool exists, const char *plane, const struct model *want,
	       const struct apply_opts *opts);
void work_end(struct work *w);
/* Devices of this namespace and what hangs on them; again after devices were made. */
int work_look(struct work *w);
/* Of a port that this run does not touch, what the plane was told is enough: the answer could change nothing. */
void work_believe(const struct work *w, struct work_port *wp);
int work_layout(struct work *w); /* makes w->now, by what is known of the devices */
const struct link_info *work_device(const struct work *w, const char *name);
const struct link_info *work_index(const struct work *w, uint32_t ifindex);
/* The device a port is attached to: its own, or the plane's end of a host port. */
void plane_device(const struct port *p, char out[VP_DEV_LEN]);
void host_alias(const char *plane, const char *port, char out[96]);
void object_of(const struct port *p, char out[VP_NAME_LEN + 8]);

/* apply_check.c: may we have these devices? Reports every fault; -EINVAL. */
int work_check(struct work *w);

/* Is this the plane's end of a pair whose maker died before it wrote its name (ifalias) on both ends? */
bool host_half_made(const char *plane, const char *port, const struct link_info *end);

/* apply_macs.c: static entries. The others go by what macs_look() found; macs_drop() takes away those of `before`. */
int macs_look(struct work *w);
bool macs_in_place(const struct work *w);
int macs_enter(struct work *w);
int macs_drop(struct work *w, const struct layout *before); /* with --prune also all others that are not wanted */

/* apply_ports.c: host interfaces, device settings, programs. */
int ports_create(struct work *w);
int ports_let_dead_go(struct work *w); /* devices that a run attached which died before the switch */
int ports_attach(struct work *w);
bool port_is_attached(const struct work_port *wp); /* as it shall be */
bool port_is_to_come_up(const struct work *w, const struct work_port *wp);
void ports_mtu(struct work *w); /* apply_mtu.c: host ports take the MTU of those they talk to */
void ports_undo(struct work *w); /* what this run attached and created */
/*
 * Detach and remove the ports whose ids are marked, less those that cannot be detached, whose marks go; with `all` the
 * tables are about to go too and are left alone.
 */
int ports_remove(struct plane *p, const struct link_info *links, size_t n_links, bool gone[VP_MAX_PORTS], bool all);

#endif
