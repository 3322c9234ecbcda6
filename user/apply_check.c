/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* May the plane have these devices?  Every fault of every port is reported before anything is touched. */
#include <errno.h>
#include <string.h>

#include "apply_priv.h"

static int check_host(const struct work *w, const struct work_port *wp, const char *object)
{
	const struct link_info *end = work_device(w, wp->port->name);
	char ours[96];

	host_alias(w->plane, wp->port->name, ours);
	if (w->p && wp->link && plane_port_id(w->p, wp->port->name) &&
	    host_half_made(w->plane, wp->port->name, wp->link))
		return 0;
	if (end && strcmp(end->alias, ours)) {
		fail_at(&wp->port->at, object,
			"interface %s exists and is not this plane's; choose another name or remove it",
			wp->port->name);
		return -EINVAL;
	}
	if (wp->link && strcmp(wp->link->alias, ours)) {
		fail_at(&wp->port->at, object, "interface %s exists and is not this plane's; remove it",
			wp->link->name);
		return -EINVAL;
	}
	return 0;
}

static bool is_in(const uint32_t *list, size_t n, uint32_t ifindex)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == ifindex)
			return true;
	return false;
}

/* What the host would lose if the plane took this device: of a guest's, too, if it is the wrong one or was routed. */
static int check_loss(const struct work *w, const struct work_port *wp, const char *object)
{
	bool address = is_in(w->addressed, w->n_addressed, wp->link->ifindex);

	if (w->opts->take_over || wp->had.tc_in ||
	    (!address && !is_in(w->routed, w->n_routed, wp->link->ifindex)))
		return 0;
	fail_at(&wp->port->at, object,
		"device %s has %s that the host would lose; move it to a host port, or take it with up --take-over",
		wp->link->name, address ? "an address" : "a default route");
	return -EINVAL;
}

/* Behind libxdp's dispatcher there is room beside others, if all of them run in one mode. */
static int check_neighbours(const struct work_port *wp, const char *object, int n)
{
	const struct link_info *l = wp->link;

	if (wp->port->attach == ATTACH_LINK) {
		fail_at(&wp->port->at, object,
			"device %s carries %d XDP program%s of somebody else behind libxdp's dispatcher; unload %s "
			"(xdp-loader status %s), or say `attach: shared`",
			l->name, n, n == 1 ? "" : "s", n == 1 ? "it" : "them", l->name);
		return -EINVAL;
	}
	if (wp->choice.carrier == CARRIER_XDP && l->xdp_generic != (wp->port->mode == MODE_GENERIC)) {
		fail_at(&wp->port->at, object,
			"the XDP programs on device %s run in %s mode, and one dispatcher has one mode; "
			"say `mode: %s`, or load them again in the other",
			l->name, mode_word(l->xdp_generic ? MODE_GENERIC : MODE_NATIVE),
			mode_word(l->xdp_generic ? MODE_GENERIC : MODE_NATIVE));
		return -EINVAL;
	}
	return 0;
}

/* Programs of others that are on the device already. */
static int check_xdp(const struct work *w, const struct work_port *wp, const char *object)
{
	const struct link_info *l = wp->link;
	int n;

	if (!l->xdp_prog)
		return 0;
	if (wp->had.xdp)
		return wp->had.others ? check_neighbours(wp, object, (int)wp->had.others) : 0;
	/* Ours may be there for another port of this plane, which the file gives another device or name. */
	if (w->p && plane_made(w->p, l->xdp_prog))
		return 0;
	/* Neighbours are welcome there, and tc does not need the place that this one has. */
	if (wp->port->attach == ATTACH_SHARED && wp->choice.carrier == CARRIER_TC)
		return 0;
	n = plane_dispatcher(l->ifindex);
	if (n > 0)
		return check_neighbours(wp, object, n);
	fail_at(&wp->port->at, object,
		"device %s carries somebody else's XDP program (id %u); remove it: ip link set dev %s xdp off, "
		"or let it stay: `attach: shared` with `carrier: tc`", l->name, l->xdp_prog, l->name);
	return -EINVAL;
}

/* A VLAN or MACVLAN device that sits on this one. */
static const struct link_info *work_above(const struct work *w, uint32_t ifindex)
{
	for (size_t i = 0; i < w->n_stacked; i++)
		if (w->stacked[i]->lower == ifindex)
			return w->stacked[i];
	return NULL;
}

static int check_device(const struct work *w, const struct work_port *wp, const char *object)
{
	const struct link_info *l = wp->link, *above;
	char port[VP_NAME_LEN];
	const char *plane;

	if (plane_of_device(&w->others, l->ifindex, &plane, port)) {
		fail_at(&wp->port->at, object, "device %s belongs to plane %s (port %s)", l->name, plane, port);
		return -EINVAL;
	}
	if (check_xdp(w, wp, object))
		return -EINVAL;
	if (!l->ethernet) {
		fail_at(&wp->port->at, object, "device %s carries no Ethernet frames%s", l->name,
			strcmp(l->kind, "tun") ? "; a port needs an Ethernet device"
					       : ": it is a TUN device; make it a TAP (ip tuntap add mode tap)");
		return -EINVAL;
	}
	above = w->opts->take_over || wp->had.tc_in ? NULL : work_above(w, l->ifindex);
	if (above) {
		fail_at(&wp->port->at, object,
			"device %s carries %s (%s), which would get no more frames; remove it, "
			"or take it with up --take-over",
			l->name, above->name, above->kind);
		return -EINVAL;
	}
	if (l->master && !w->opts->take_over) {
		const struct link_info *master = work_index(w, l->master);

		fail_at(&wp->port->at, object,
			"device %s is part of %s; run: ip link set dev %s nomaster, or take it with up --take-over",
			l->name, master ? master->name : "another device", l->name);
		return -EINVAL;
	}
	if (wp->choice.refused) {
		fail_at(&wp->port->at, object, "device %s: %s", l->name, wp->choice.refused);
		return -EINVAL;
	}
	return 0;
}

static int check_port(const struct work *w, const struct work_port *wp)
{
	char object[VP_NAME_LEN + 8];
	int err = 0;

	object_of(wp->port, object);
	if (!wp->meant)
		return 0;
	if (wp->port->kind == VP_KIND_HOST)
		err = check_host(w, wp, object);
	if (!err && wp->link)
		err = check_device(w, wp, object);
	if (!err && wp->link && wp->port->kind != VP_KIND_HOST)
		err = check_loss(w, wp, object);
	return err;
}

static void leave(const struct work *w, struct work_port *wp)
{
	wp->refused = true;
	wp->meant = false;
	work_believe(w, wp);
}

/* Asked once for all ports, and not at all where none gets a device. */
static int look_for_losses(struct work *w)
{
	bool any = false;
	int err;

	for (size_t i = 0; i < w->want->n_ports; i++)
		any |= w->ports[i].link && w->ports[i].meant && !w->ports[i].had.tc_in;
	if (!any || w->opts->take_over)
		return 0;
	err = link_addressed(&w->addressed, &w->n_addressed);
	if (!err)
		err = link_routed(&w->routed, &w->n_routed);
	if (err)
		fail("devices", "cannot list the host's addresses and routes: %s", strerror(-err));
	return err;
}

int work_check(struct work *w)
{
	int ret = look_for_losses(w);

	if (ret)
		return ret;
	plane_others_open(&w->others, w->plane);
	for (size_t i = 0; i < w->want->n_ports; i++) {
		int err = check_port(w, &w->ports[i]);

		if (err && w->opts->each)
			leave(w, &w->ports[i]);
		else if (err)
			ret = err;
	}
	plane_others_close(&w->others);
	return ret;
}
