/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the QNX host side's commands say; read by import_qnx*.c, made a plane by import_qnxplane.c. */
#ifndef IMPORT_QNX_H
#define IMPORT_QNX_H

#include "import.h"

/* One vdevpeer-net interface: `peer=` and what follows it, or one vpctl command. */
struct qnx_link {
	const char *peer, *bind; /* NULL = not said */
	const char *prefix;	 /* of name= */
	struct span at, peer_at, bind_at, mac_at, prefix_at;
	struct mac mac;
	bool has_mac, legacy, priority;
	bool made; /* by vpctl: the interface's name was said, not numbered */
	char ifname[VP_NAME_LEN];
	const char *bridge; /* NULL = none */
};

/* A driver of the host's stack that is no vdevpeer: a NIC. */
struct qnx_driver {
	const char *name, *options;
	struct span at;
	const char *bridge;
	const char *ifname; /* what the bridge calls it */
};

/* `brconfig BRIDGE add IF` */
struct qnx_member {
	const char *bridge, *ifname;
	struct span at;
	struct qnx_driver *driver; /* not a vp */
};

struct qnx {
	struct qnx_link *links;
	size_t n_links;
	struct qnx_driver *drivers;
	size_t n_drivers;
	struct qnx_member *members;
	size_t n_members;
	struct left { /* commands that are not the plane's business */
		const char *ifname, *text;
		struct span at;
	} * left;
	size_t n_left;
	struct qnx_bridge {
		const char *name;
		char segment[VP_NAME_LEN];
	} * bridges;
	size_t n_bridges;
	bool loaded; /* the vdevpeer driver, with or without peers */
};

/* import_qnx.c to import_qnxopt.c: PEER=...,KEY=...: one word. */
void qnx_options(struct import *im, const struct word *w, size_t from);
/* A new link, or NULL: too many (said) or no memory. */
struct qnx_link *qnx_add_link(struct import *im, const struct span *at);
/* One KEY=VALUE (from..to of the word) for a link that has its peer. */
void qnx_option(struct import *im, struct qnx_link *link, const struct word *w, size_t from, size_t to);
/* After the last option of a link: what it must have. */
void qnx_check_link(struct import *im, const struct qnx_link *link);

#endif
