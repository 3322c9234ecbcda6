/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Host ports follow those they talk to: in a segment the smallest MTU among the devices that are there, host ports not
 * counted; in a binding the MTU of the other end's device.
 *
 * What was set last is remembered where everybody can see it, as the MTU of the plane's end, vpN-p.  While that is
 * right, vpN is left alone, whatever its owner has set there.  vpN-p is changed last: dying in between is seen.
 */
#include <string.h>

#include "apply_priv.h"

static bool talks_to(const struct work *w, const struct port *host, const struct port *other)
{
	const char *peer = model_peer(w->want, host->name);

	if (other->kind == VP_KIND_HOST)
		return false;
	if (peer)
		return !strcmp(peer, other->name);
	if (host->segment[0] && port_in_segment(other, host->segment))
		return true;
	for (size_t i = 0; i < host->n_tagged; i++)
		if (port_in_segment(other, host->tagged[i].s))
			return true;
	return false;
}

/* 0 = nobody is there whose MTU it could take. */
static uint32_t wanted_mtu(const struct work *w, const struct port *host)
{
	uint32_t least = 0;

	for (size_t i = 0; i < w->want->n_ports; i++) {
		const struct work_port *other = &w->ports[i];

		if (other->link && talks_to(w, host, other->port) && (!least || other->link->mtu < least))
			least = other->link->mtu;
	}
	return least;
}

static void set_mtu(const struct work_port *wp, struct link_info *end, uint32_t mtu)
{
	char object[VP_NAME_LEN + 8];
	struct link_info outer;
	int err;

	/* vpN has been moved to another namespace: both ends keep what they have, or they would be unequal. */
	if (link_veth_peer(end, &outer))
		return;
	err = link_set_mtu(outer.ifindex, mtu);
	if (!err)
		err = link_set_mtu(end->ifindex, mtu);
	if (!err) {
		end->mtu = mtu;
		return;
	}
	object_of(wp->port, object);
	warn_at(&wp->port->at, object, "cannot give %s the MTU %u of those it talks to: %s", outer.name, mtu,
		strerror(-err));
}

void ports_mtu(struct work *w)
{
	for (size_t i = 0; i < w->want->n_ports; i++) {
		const struct work_port *wp = &w->ports[i];
		uint32_t mtu;

		if (wp->port->kind != VP_KIND_HOST || !wp->link)
			continue;
		mtu = wanted_mtu(w, wp->port);
		if (mtu && mtu != wp->link->mtu)
			set_mtu(wp, &w->links[wp->link - w->links], mtu);
	}
}
