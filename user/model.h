/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one type that file parser, verbs, live plane and printers speak: what a plane shall be.
 * Names are values, not pointers: a model can be copied, compared and printed without the file it came from.
 * A field the user did not give holds its default; `mac_auto` and `macs` tell "auto" from a list from absent.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"
#include "vp_abi.h"

enum carrier { CARRIER_AUTO, CARRIER_XDP, CARRIER_TC };
enum xdp_mode { MODE_NATIVE, MODE_GENERIC };
enum duplicate { DUPLICATE_MOVE, DUPLICATE_DROP, DUPLICATE_IGNORE }; /* an address that is at two ports at a time */
enum xdp_attach { ATTACH_LINK, ATTACH_SHARED }; /* alone on the device, or behind libxdp's dispatcher */

#define QUOTA_GUEST 64
#define QUOTA_UPLINK 8192
#define BROADCAST_PPS 1000
#define AGE_SECONDS 300

#define ALIAS_LEN 96 /* 95 characters and NUL */

struct mac {
	uint8_t b[VP_MAC_LEN]; /* wire order */
};

struct name {
	char s[VP_NAME_LEN]; /* zeros behind the NUL */
};

struct segment {
	char name[VP_NAME_LEN];
	uint16_t vlan; /* 0 = never tagged */
	uint32_t age;  /* seconds, 0 = never */
	bool flood;    /* unknown unicast */
	enum duplicate duplicate;
	struct where at;
};

struct port {
	char name[VP_NAME_LEN];
	char device[VP_DEV_LEN]; /* of a host port: its own name */
	enum vp_kind kind;
	char alias[ALIAS_LEN];	   /* what the port is called elsewhere, e.g. a peer path; "" = nothing */
	char segment[VP_NAME_LEN]; /* untagged; "" = none */
	struct name *tagged;	   /* segments it carries with their tag, sorted */
	size_t n_tagged;
	struct mac *macs;	   /* what it may send from, sorted; n_macs == 0 and !mac_auto = any */
	size_t n_macs;
	bool mac_auto; /* the scalar auto: macs[0] is derived by model_derive() */
	enum carrier carrier;
	enum xdp_mode mode;
	enum xdp_attach attach;
	uint32_t quota;		/* learned entries; default by kind */
	uint32_t broadcast_pps; /* 0 = no limit; default 1000 for guests, 0 else */
	struct where at;
};

struct binding {
	char a[VP_NAME_LEN], b[VP_NAME_LEN];
	bool propagate; /* one end's carrier down: `watch` takes the other's down */
	struct where at;
};

struct model {
	char *file; /* name for messages; owned */
	struct segment *segments;
	size_t n_segments;
	struct port *ports;
	size_t n_ports;
	struct binding *bindings;
	size_t n_bindings;
};

void model_init(struct model *m);
void model_free(struct model *m); /* accepts an initialised or already freed model */
int model_copy(struct model *to, const struct model *from);

/* Defaults for a port of this kind; name and device stay to be filled in. */
void port_init(struct port *p, enum vp_kind kind);
void port_free(struct port *p);
int port_add_mac(struct port *p, const struct mac *mac); /* keeps macs sorted; -EEXIST: already there */
int port_add_tagged(struct port *p, const char *segment); /* likewise */
int port_copy(struct port *to, const struct port *from);  /* `to` is written over; -ENOMEM */
bool port_in_segment(const struct port *p, const char *segment); /* untagged or tagged */
bool port_in_any(const struct port *p);
bool port_equal(const struct port *a, const struct port *b); /* every field but `at` */
void segment_init(struct segment *s);
bool segment_equal(const struct segment *a, const struct segment *b);

/* Append takes a copy; the port's lists move into the model. Return the new element or NULL (out of memory). */
struct port *model_add_port(struct model *m, struct port *p);
struct segment *model_add_segment(struct model *m, const struct segment *s);
struct binding *model_add_binding(struct model *m, const struct binding *b);
void model_del_port(struct model *m, const char *name);	  /* and its binding */
void model_del_binding(struct model *m, const char *port); /* the binding `port` is in */
struct port *model_port_last(struct model *m, struct port *p); /* behind the others; returns where it is now */

struct port *model_port(const struct model *m, const char *name);
struct segment *model_segment(const struct model *m, const char *name);
struct binding *model_binding_of(const struct model *m, const char *port);
const char *model_peer(const struct model *m, const char *port); /* NULL = not bound */

/* Sort segments, ports and bindings by name (a before b inside a binding), so that equal planes print alike. */
void model_sort(struct model *m);
void model_forget_places(struct model *m); /* it was read from no file that anybody can look at */

/* Fill in the MAC of every `auto` port: stable, locally administered, from machine id, plane and port name. */
int model_derive(struct model *m, const char *plane);
int model_derive_for(struct model *m, const char *machine_id, const char *plane);
/* One such address. `turn` is 0, or one more for each time that it was another port's of the plane already. */
void model_auto_mac(const char *machine_id, const char *plane, const char *port, uint32_t turn, struct mac *out);

/* Everything a file can be wrong about without a device or root. Each fault is reported; -EINVAL if any. */
int model_check(const struct model *m);

const char *kind_word(enum vp_kind kind);
const char *carrier_word(enum carrier c);
const char *mode_word(enum xdp_mode m);
const char *attach_word(enum xdp_attach a);
const char *duplicate_word(enum duplicate d);

#endif
