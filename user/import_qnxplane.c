/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * QNX host side to plane. Each vdevpeer interface is a host port bound to a guest port. Interfaces that the host's
 * bridge joins become one segment instead: their guests, the NICs, and one host port for the host itself, so that no
 * frame between them passes through the host's stack.
 */
#include <stdlib.h>
#include <string.h>

#include "import_qnx.h"
#include "value.h"

#define BRIDGE "bridge0"

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ---- names of interfaces ---- */

/* The stack numbers the interfaces of one prefix in the order in which they are made. */
static void number_interfaces(struct qnx *q)
{
	size_t i, j, number;

	for (i = 0; i < q->n_links; i++) {
		struct qnx_link *l = &q->links[i];
		const char *prefix = l->prefix ? l->prefix : "vp";

		if (l->made)
			continue;
		for (j = 0, number = 0; j < i; j++)
			number += !q->links[j].made && !strcmp(q->links[j].prefix ? q->links[j].prefix : "vp", prefix);
		snprintf(l->ifname, sizeof(l->ifname), "%.20s%zu", prefix, number);
	}
}

/* A host port is named as its interface; capital letters are all that may have to change. */
static void check_interface(struct import *im, struct qnx_link *l)
{
	const struct span *at = l->prefix_at.src ? &l->prefix_at : &l->at;
	char *c;

	for (c = l->ifname; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	if (value_name(l->ifname, 13))
		import_fault(im, at, "interface",
			     "%s can't be the name of a host port: [a-z0-9][a-z0-9_.-]*, at most 13 characters",
			     l->ifname);
	else if (l->bind && strcmp(last_component(l->bind), l->ifname) != 0)
		import_warn(im, &l->bind_at, "bind",
			    "ends in %s, but the interface is called %s: its name comes from name= and the order",
			    last_component(l->bind), l->ifname);
}

static void check_pair(struct import *im, const struct qnx_link *first, const struct qnx_link *l)
{
	char place[IMPORT_PLACE];

	if (first->peer && l->peer && !strcmp(first->peer, l->peer))
		import_fault(im, &l->peer_at, "peer", "%s already has a link (%s); a guest's end has one peer", l->peer,
			     import_place(&first->peer_at, place));
	if (first->bind && l->bind && !strcmp(first->bind, l->bind))
		import_fault(im, &l->bind_at, "bind", "%s is already another link's (%s)", l->bind,
			     import_place(&first->bind_at, place));
	if (!strcmp(first->ifname, l->ifname))
		import_fault(im, &l->at, "interface", "%s is already another link's (%s)", l->ifname,
			     import_place(&first->at, place));
	if (!first->has_mac || !l->has_mac || mac_cmp(&first->mac, &l->mac) != 0)
		return;
	if (first->bridge && l->bridge && !strcmp(first->bridge, l->bridge))
		import_fault(im, &l->mac_at, "mac", "is also that of %s (%s), in the same segment", first->ifname,
			     import_place(&first->mac_at, place));
	else
		import_warn(im, &l->mac_at, "mac", "is also that of %s (%s): right only while nothing joins the two",
			    first->ifname, import_place(&first->mac_at, place));
}

static void check_links(struct import *im)
{
	struct qnx *q = im->qnx;
	size_t i, j;

	for (i = 0; i < q->n_links; i++) {
		check_interface(im, &q->links[i]);
		for (j = 0; j < i; j++)
			check_pair(im, &q->links[j], &q->links[i]);
	}
}

/* ---- who is bridged ---- */

static struct qnx_link *link_named(struct qnx *q, const char *ifname)
{
	size_t i;

	for (i = 0; i < q->n_links; i++)
		if (!strcmp(q->links[i].ifname, ifname))
			return &q->links[i];
	return NULL;
}

/* The script names a NIC by its interface, the command line by its driver: they are matched in order. */
static struct qnx_driver *driver_for(struct qnx *q, const char *ifname)
{
	size_t i;

	for (i = 0; i < q->n_drivers; i++)
		if (q->drivers[i].ifname && !strcmp(q->drivers[i].ifname, ifname))
			return &q->drivers[i];
	for (i = 0; i < q->n_drivers; i++)
		if (!q->drivers[i].ifname)
			return &q->drivers[i];
	return NULL;
}

static struct qnx_driver *extra_driver(struct import *im, const struct qnx_member *m)
{
	struct qnx *q = im->qnx;
	struct qnx_driver *d = import_grow(im, q->drivers, q->n_drivers, sizeof(*d));

	if (!d)
		return NULL;
	q->drivers = d;
	d[q->n_drivers] = (struct qnx_driver){ .name = m->ifname, .at = m->at };
	return &d[q->n_drivers++];
}

static void join_member(struct import *im, const struct qnx_member *m)
{
	struct qnx_link *l = link_named(im->qnx, m->ifname);
	const char **bridge;
	struct qnx_driver *d;

	if (l) {
		bridge = &l->bridge;
	} else {
		d = driver_for(im->qnx, m->ifname);
		if (!d && !(d = extra_driver(im, m)))
			return;
		d->ifname = m->ifname;
		bridge = &d->bridge;
	}
	if (*bridge && strcmp(*bridge, m->bridge) != 0)
		import_fault(im, &m->at, "bridge", "%s is already in %s", m->ifname, *bridge);
	*bridge = m->bridge;
}

static void join(struct import *im)
{
	struct qnx *q = im->qnx;
	size_t i;

	for (i = 0; i < q->n_members; i++)
		join_member(im, &q->members[i]);
	for (i = 0; im->opts->bridge && !q->n_members && i < q->n_links; i++)
		q->links[i].bridge = BRIDGE;
	for (i = 0; im->opts->bridge && !q->n_members && i < q->n_drivers; i++)
		q->drivers[i].bridge = BRIDGE;
}

/* ---- ports ---- */

static void ignored(struct import *im, const struct qnx_link *l)
{
	char place[IMPORT_PLACE];

	import_place(&l->at, place);
	if (l->legacy)
		import_head(im,
			    "%s: legacy (%s) is left out: the length of the virtio header is settled by VMM and TAP",
			    l->ifname, place);
	if (l->priority)
		import_head(im, "%s: priority (%s) is left out: no thread carries these frames", l->ifname, place);
}

static void add_host(struct import *im, const struct qnx_link *l, const char *segment)
{
	char place[IMPORT_PLACE];
	struct port p;

	port_init(&p, VP_KIND_HOST);
	snprintf(p.name, sizeof(p.name), "%s", l->ifname);
	snprintf(p.device, sizeof(p.device), "%.15s", l->ifname);
	snprintf(p.segment, sizeof(p.segment), "%s", segment);
	import_place(&l->at, place);
	if (l->made)
		import_note(im, NOTE_PORT, p.name, "name", "vpctl %s, %s", l->ifname, place);
	else
		import_note(im, NOTE_PORT, p.name, "name", "%s and its number, %s",
			    l->prefix ? "the prefix of name=" : "the usual prefix vp", place);
	import_note(im, NOTE_PORT, p.name, "kind", "the host's end of the link");
	if (l->bind)
		import_alias(im, &p, l->bind, &l->bind_at, "bind=");
	if (*segment)
		import_note(im, NOTE_PORT, p.name, "segment", "the host's one interface in bridge %s", segment);
	p.mac_auto = !l->has_mac;
	if (l->has_mac && port_add_mac(&p, &l->mac))
		im->no_memory = true;
	if (l->has_mac)
		import_note(im, NOTE_PORT, p.name, "mac", "mac=, %s", import_place(&l->mac_at, place));
	else
		import_note(im, NOTE_PORT, p.name, "mac", "none given: the same after every restart");
	import_port(im, &p, l->has_mac ? &l->mac_at : &l->at);
}

static void add_guest(struct import *im, const struct qnx_link *l, const char *segment)
{
	char place[IMPORT_PLACE];
	struct port p;

	port_init(&p, VP_KIND_GUEST);
	import_guest_name(im, l->peer, p.name);
	snprintf(p.segment, sizeof(p.segment), "%s", segment);
	import_note(im, NOTE_PORT, p.name, "name", "the guest's end of %s", l->ifname);
	import_note(im, NOTE_PORT, p.name, "device", "%s", import_device(im, l->peer, p.name, p.device));
	import_alias(im, &p, l->peer, &l->peer_at, "peer=");
	if (*segment)
		import_note(im, NOTE_PORT, p.name, "segment", "%s is in bridge %s", l->ifname, segment);
	if (!*segment) {
		import_note(im, NOTE_BINDING, p.name, "", "peer=, %s", import_place(&l->at, place));
		if (l->bind)
			import_note(im, NOTE_BINDING, l->ifname, "", "bind=, %s", import_place(&l->bind_at, place));
		else
			import_note(im, NOTE_BINDING, l->ifname, "", "vpctl %s", l->ifname);
		import_bind(im, p.name, l->ifname, &l->at);
	}
	import_port(im, &p, &l->peer_at);
}

/* A NIC; its port is called as the bridge calls it, or as its driver. */
static void add_uplink(struct import *im, const struct qnx_driver *d, const char *segment)
{
	const char *called = d->ifname ? d->ifname : d->name, *said;
	char place[IMPORT_PLACE];
	struct port p;

	port_init(&p, VP_KIND_UPLINK);
	import_guest_name(im, called, p.name);
	said = import_uplink(im, d->name);
	if (d->ifname && import_uplink(im, d->ifname))
		said = import_uplink(im, d->ifname);
	if (said)
		snprintf(p.device, sizeof(p.device), "%s", said);
	else
		import_device(im, called, p.name, p.device);
	snprintf(p.segment, sizeof(p.segment), "%s", segment);
	import_note(im, NOTE_PORT, p.name, "name", "driver %s, %s", d->name, import_place(&d->at, place));
	import_note(im, NOTE_PORT, p.name, "kind", "the NIC of that driver");
	import_note(im, NOTE_PORT, p.name, "device", "%s",
		    said ? "--uplink" : "the NIC's name here is not known: say --uplink");
	import_note(im, NOTE_PORT, p.name, "segment", "%s is in it", called);
	if (d->options)
		import_head(im, "%s: the driver's own options are left out: %.60s", d->name, d->options);
	import_port(im, &p, &d->at);
}

static bool is_first_of(const struct qnx *q, const struct qnx_link *l)
{
	const struct qnx_link *other;

	for (other = q->links; other < l; other++)
		if (other->bridge && l->bridge && !strcmp(other->bridge, l->bridge))
			return false;
	return true;
}

/* The segment of a bridge, "" for none; made when it is first asked for. */
static const char *segment_of(struct import *im, const char *bridge, const struct span *at)
{
	struct qnx *q = im->qnx;
	struct qnx_bridge *b;
	char place[IMPORT_PLACE];
	size_t i;

	for (i = 0; bridge && i < q->n_bridges; i++)
		if (!strcmp(q->bridges[i].name, bridge))
			return q->bridges[i].segment;
	b = bridge ? import_grow(im, q->bridges, q->n_bridges, sizeof(*b)) : NULL;
	if (!b)
		return "";
	q->bridges = b;
	b = &b[q->n_bridges++];
	b->name = bridge;
	import_segment_name(im, bridge, b->segment);
	import_segment(im, b->segment, at);
	for (i = 0; i < q->n_members && strcmp(q->members[i].bridge, bridge) != 0; i++)
		;
	if (i < q->n_members)
		import_note(im, NOTE_SEGMENT, b->segment, "name", "%s", import_place(&q->members[i].at, place));
	else if (im->opts->bridge)
		import_note(im, NOTE_SEGMENT, b->segment, "name", "--bridge");
	return b->segment;
}

static void build_hosts(struct import *im)
{
	struct qnx *q = im->qnx;
	size_t i;

	for (i = 0; i < q->n_links; i++) {
		const struct qnx_link *l = &q->links[i];

		if (is_first_of(q, l))
			add_host(im, l, segment_of(im, l->bridge, &l->at));
		else
			import_head(im, "%s%s is no interface any more: its guest is in the segment of %s itself",
				    l->ifname, l->has_mac ? ", and with it its address," : "", l->bridge);
		ignored(im, l);
	}
}

static void build_guests(struct import *im)
{
	struct qnx *q = im->qnx;
	size_t i;

	for (i = 0; i < q->n_links; i++)
		if (q->links[i].peer)
			add_guest(im, &q->links[i], segment_of(im, q->links[i].bridge, &q->links[i].at));
}

/* The host's end of a NIC that is in no bridge, when somebody wants the plane to have that NIC. */
static void add_own_segment(struct import *im, struct qnx_driver *d)
{
	struct qnx_link host = { .at = d->at, .made = true };
	const char *segment = segment_of(im, d->name, &d->at);

	import_note(im, NOTE_SEGMENT, segment, "name", "the host and its NIC, no guest: put more into it at will");
	snprintf(host.ifname, sizeof(host.ifname), "%.12s%s", d->name, "h");
	check_interface(im, &host);
	add_host(im, &host, segment);
	add_uplink(im, d, segment);
}

static bool is_wanted(const struct import *im, const struct qnx_driver *d)
{
	size_t i;

	for (i = 0; i < im->opts->n_uplinks; i++)
		if (strlen(d->name) == im->opts->uplinks[i].key_len &&
		    !memcmp(im->opts->uplinks[i].key, d->name, im->opts->uplinks[i].key_len))
			return true;
	return false;
}

static void build_uplinks(struct import *im)
{
	struct qnx *q = im->qnx;
	char place[IMPORT_PLACE];
	size_t i;

	for (i = 0; i < q->n_drivers; i++) {
		struct qnx_driver *d = &q->drivers[i];

		if (d->bridge)
			add_uplink(im, d, segment_of(im, d->bridge, &d->at));
		else if (is_wanted(im, d))
			add_own_segment(im, d);
		else
			import_head(im,
				    "uplink %s (%s) is in no bridge: the NIC stays with the host's stack; --bridge "
				    "joins it "
				    "with the guests",
				    d->name, import_place(&d->at, place));
	}
	if (im->opts->bridge && !q->n_drivers)
		import_warn(im, &(struct span){ 0 }, "--bridge",
			    "there is no NIC's driver in the input: the segment has no "
			    "way to the world");
}

/* What was said to interfaces that are the host's here too. */
static void tell_left(struct import *im)
{
	const struct qnx *q = im->qnx;
	char place[IMPORT_PLACE];
	size_t i;

	for (i = 0; i < q->n_left; i++)
		if (model_port(&im->m, q->left[i].ifname))
			import_head(im, "left to you (%s): %s", import_place(&q->left[i].at, place), q->left[i].text);
}

static void check_input(struct import *im)
{
	const struct qnx *q = im->qnx;
	struct span at = { 0 };

	if (q->n_links || q->n_members)
		return;
	if (im->n_srcs)
		at.src = im->srcs[0];
	if (q->loaded)
		import_warn(im, &at, "input", "loads vdevpeer-net but gives it no peers: the plane has no guests");
	else
		import_warn(im, &at, "input", "binds no peers: the plane has no guests");
}

void qnx_build(struct import *im)
{
	if (!im->qnx)
		return;
	number_interfaces(im->qnx);
	join(im);
	check_links(im);
	if (im->faults)
		return;
	check_input(im);
	build_hosts(im);
	build_guests(im);
	build_uplinks(im);
	tell_left(im);
}
