/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What happens at the devices themselves: host interfaces made and deleted, settings changed, programs attached. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apply_priv.h"
#include "hold.h"
#include "plane_health.h"
#include "undo.h"

static int create_host(struct work *w, struct work_port *wp)
{
	char end[VP_DEV_LEN], alias[96], object[VP_NAME_LEN + 8];
	struct veth_spec spec = {.a = wp->port->name, .b = end, .alias_a = alias, .alias_b = alias};
	int err;

	plane_device(wp->port, end);
	host_alias(w->plane, wp->port->name, alias);
	if (wp->port->n_macs)
		spec.mac_a = wp->port->macs[0].b;
	err = link_create_veth(&spec);
	if (err) {
		object_of(wp->port, object);
		fail_at(&wp->port->at, object, "cannot create interface %s: %s", wp->port->name, strerror(-err));
		return err;
	}
	wp->created_now = true;
	return 0;
}

bool host_half_made(const char *plane, const char *port, const struct link_info *end)
{
	struct link_info peer;
	char ours[96];

	if (end->type != LINK_VETH || end->alias[0] || link_veth_peer(end, &peer) || strcmp(peer.name, port) != 0)
		return false;
	host_alias(plane, port, ours);
	return !peer.alias[0] || !strcmp(peer.alias, ours);
}

int ports_create(struct work *w)
{
	bool any = false;

	for (size_t i = 0; i < w->want->n_ports; i++) {
		struct work_port *wp = &w->ports[i];
		int err;

		if (wp->port->kind != VP_KIND_HOST || !wp->meant)
			continue;
		if (wp->link && host_half_made(w->plane, wp->port->name, wp->link)) {
			err = link_delete(wp->link->ifindex);
			if (err)
				return err;
			wp->link = NULL;
		}
		if (!wp->link) {
			err = create_host(w, wp);
			if (err)
				return err;
			any = true;
		} else if (wp->port->n_macs) {
			const struct link_info *end = work_device(w, wp->port->name);

			if (end && memcmp(end->mac, wp->port->macs[0].b, VP_MAC_LEN))
				link_set_mac(end->ifindex, wp->port->macs[0].b);
		}
	}
	return any ? work_look(w) : 0;
}

static void tell_loss(const struct work_port *wp, const char *what, char *kept)
{
	char object[VP_NAME_LEN + 8];

	object_of(wp->port, object);
	link_kept_names(kept);
	if (kept[0])
		warn_at(&wp->port->at, object, "device %s: the host has lost its %s %s; `down` gives them back",
			wp->link->name, what, kept);
}

static int take_over(struct work *w, const struct work_port *wp)
{
	const struct link_info *l = wp->link;
	char *addresses = NULL, *routes = NULL;
	int err = l->master ? undo_master(w->plane, l) : 0;

	if (!err)
		err = link_addresses(l->ifindex, &addresses);
	if (!err)
		err = link_routes(l->ifindex, &routes);
	if (!err)
		err = undo_flush_addresses(w->plane, l);
	if (!err) {
		tell_loss(wp, "addresses", addresses);
		tell_loss(wp, "routes", routes);
	}
	free(addresses);
	free(routes);
	return err;
}

/* What was changed for a device to be a port, at the other end of a veth as well. */
static int put_back(const char *plane, const struct link_info *l)
{
	int err = undo_restore(plane, l->ifindex), far = 0;

	if (l->type == LINK_VETH && l->peer_here)
		far = undo_restore_gro(plane, l->peer);
	return err ? err : far;
}

/* Settings a port's device needs, each recorded before it is changed; *what names the one that failed. */
static int change_settings(struct work *w, struct work_port *wp, const char **what)
{
	const struct link_info *l = wp->link;
	struct link_info peer;
	int err = 0;

	*what = "take over the device's addresses, routes and master";
	if (w->opts->take_over && !wp->had.tc_in)
		err = take_over(w, wp);
	if (!err && wp->port->kind == VP_KIND_UPLINK) {
		*what = "make the device promiscuous";
		err = undo_promisc(w->plane, l);
	}
	if (!err && l->type == LINK_VETH && wp->choice.carrier == CARRIER_XDP && !link_veth_peer(l, &peer)) {
		*what = "switch GRO on at the veth's other end";
		err = undo_gro(w->plane, &peer);
	}
	/* A tag that the NIC takes off the frame is invisible to XDP: if that can't be switched off, tc carries. */
	if (!err && l->type == LINK_PHYSICAL && wp->choice.carrier == CARRIER_XDP && undo_rxvlan(w->plane, l)) {
		wp->choice.carrier = CARRIER_TC;
		wp->choice.why = "the NIC takes VLAN tags off and can't be told not to";
	}
	return err;
}

bool port_is_attached(const struct work_port *wp)
{
	bool xdp = wp->choice.carrier == CARRIER_XDP;

	return wp->had.tc_in && wp->had.tc_out && wp->had.xdp == xdp && !wp->had.old &&
	       (!xdp || (wp->had.generic == (wp->port->mode == MODE_GENERIC) &&
			 wp->had.shared == (wp->port->attach == ATTACH_SHARED)));
}

static int attach_programs(struct work *w, struct work_port *wp, uint16_t id)
{
	bool xdp = wp->choice.carrier == CARRIER_XDP;
	int err = plane_attach(w->p, id, wp->port->name, wp->link, xdp, wp->port->mode, wp->port->attach);

	if (!err || !xdp || wp->port->carrier == CARRIER_XDP || w->p->why[0])
		return err;
	/* `auto` takes what can be had: the device refused XDP although its features promise it. */
	wp->choice.carrier = CARRIER_TC;
	wp->choice.why = "the device refuses XDP programs now";
	return plane_attach(w->p, id, wp->port->name, wp->link, false, wp->port->mode, wp->port->attach);
}

static const char *attach_error(int err)
{
	switch (err) {
	case -EPROTONOSUPPORT:
		return "XDP would lose VLAN tags there, and this kernel can't load a program bound to the device "
		       "(Linux 6.8 and later can); use carrier: tc";
	case -EOPNOTSUPP:
		return "`carrier: xdp` can't be had: its driver has no XDP; use `carrier: tc`, "
		       "or `mode: generic` if slow XDP is wanted";
	case -EBUSY:
		return "somebody else's XDP program is on it";
	case -EEXIST:
		return "somebody else's tc filter is in the place of ours (pref 1, handle 0x7670), be it another "
		       "plane's; see: tc filter show dev DEVICE ingress";
	case -ENOSPC:
		return "it has fewer rx queues than its peer has tx queues; change them with ethtool -L";
	case -ERANGE:
		return "its peer's MTU is too large for XDP";
	default:
		return strerror(-err);
	}
}

/* Unless the other end of its binding has no carrier, and `watch` says so with this device. */
bool port_is_to_come_up(const struct work *w, const struct work_port *wp)
{
	return wp->port->kind != VP_KIND_GUEST && !wp->link->up && !hold_in_force(w->plane, wp->link->ifindex);
}

/* Only behind its programs: what the host's stack says when a device comes up must not leave by it. */
static int bring_up(struct work *w, struct work_port *wp, const char *object)
{
	int err;

	if (!port_is_to_come_up(w, wp))
		return 0;
	err = wp->port->kind == VP_KIND_HOST ? link_set_up(wp->link->ifindex, true) : undo_up(w->plane, wp->link);
	wp->raised_now = !err;
	if (err)
		fail_at(&wp->port->at, object, "device %s: cannot bring it up: %s", wp->link->name, strerror(-err));
	return err;
}

/* Until Linux 7.2 rx queues that a veth has got since run without the program: it must be attached anew. */
static void let_stale_xdp_go(struct work *w, struct work_port *wp, uint16_t id)
{
	uint32_t then = plane_port_info(w->p, id)->flags >> VP_INFO_QUEUES_SHIFT, rx = 0, tx;

	if (!wp->had.xdp || wp->link->type != LINK_VETH || !then || link_get_queues(wp->link->name, &rx, &tx) ||
	    rx <= then)
		return;
	plane_unpin_xdp(w->p, wp->port->name);
	wp->had.xdp = false;
}

static int attach_one(struct work *w, struct work_port *wp)
{
	uint16_t id = layout_port_id(w->now, wp->port->name);
	struct vp_port_info *info = plane_port_info(w->p, id);
	char object[VP_NAME_LEN + 8];
	const char *what = NULL;
	int err = change_settings(w, wp, &what);

	object_of(wp->port, object);
	if (err) {
		fail_at(&wp->port->at, object, "device %s: cannot %s: %s", wp->link->name, what, strerror(-err));
		if (!wp->had.tc_in) /* ports_undo() knows of devices that got programs */
			put_back(w->plane, wp->link);
		return err;
	}
	let_stale_xdp_go(w, wp, id);
	if (port_is_attached(wp)) {
		info->flags &= ~(__u32)VP_INFO_PENDING;
		return bring_up(w, wp, object);
	}
	if (!wp->had.tc_in) { /* another device than before */
		info->flags &= VP_INFO_PENDING;
		plane_state(w->p, id)->unfinished = 0;
	}
	wp->attached_now = true;
	err = attach_programs(w, wp, id);
	if (err) {
		fail_at(&wp->port->at, object, "device %s: cannot attach: %s", wp->link->name,
			w->p->why[0] ? w->p->why : attach_error(err));
		return err;
	}
	if (!wp->had.tc_in) {
		info->egress_base = wp->link->tx_lost;
		info->attached++;
		wp->counted_now = true;
	}
	return bring_up(w, wp, object);
}

/* A driver may take frames from XDP only once it has a program, or its peer is ready: ask again. */
static void look_again(struct work_port *wp)
{
	struct link_info now;
	struct carrier_choice choice;

	if (!wp->link || (wp->link->type != LINK_PHYSICAL && wp->link->type != LINK_VETH))
		return;
	if (link_get_index(wp->link->ifindex, &now))
		return;
	carrier_choose(wp->port, &now, 0, &choice); /* of a TAP nothing more is to be known */
	wp->choice.target = choice.target;
	wp->choice.target_why = choice.target_why;
}

/* By device, as in w->links: the port that shall have it, NULL = none. */
static const struct work_port **list_users(const struct work *w)
{
	const struct work_port **users = calloc(w->n_links + 1, sizeof(const struct work_port *));

	for (size_t i = 0; users && i < w->want->n_ports; i++)
		if (w->ports[i].link)
			users[w->ports[i].link - w->links] = &w->ports[i];
	return users;
}

/* Must what id put on its device go first? Another port gets the device, or the port another one. */
static bool let_go(struct work *w, uint16_t id, const struct work_port *const *users)
{
	const char *name = plane_port_info(w->p, id)->name;
	uint32_t had = plane_port(w->p, id)->ifindex;
	const struct link_info *l = had && name[0] ? work_index(w, had) : NULL;
	const struct work_port *user = l ? users[l - w->links] : NULL;

	if (!l || (user ? !strcmp(user->port->name, name) : !model_port(w->want, name)))
		return false;
	plane_detach(w->p, id, name, l);
	put_back(w->plane, l);
	return true;
}

static void see_again(struct work *w)
{
	for (size_t i = 0; i < w->want->n_ports; i++)
		if (w->ports[i].link)
			plane_attached(w->p, w->ports[i].port->name, w->ports[i].link, &w->ports[i].had);
}

/* All of them before the first is attached: two ports may have exchanged their devices. */
static int let_all_go(struct work *w)
{
	const struct work_port **users = list_users(w);
	bool any = false;

	if (!users)
		return -ENOMEM;
	for (uint16_t id = 1; id < VP_MAX_PORTS; id++)
		any |= let_go(w, id, users);
	free(users);
	if (any)
		see_again(w);
	return 0;
}

/* A device that was moved to another namespace has taken its XDP program along: whoever has it now shall be free. */
static int let_moved_go(const struct work *w, const struct work_port *wp)
{
	uint16_t id = plane_port_id(w->p, wp->port->name);

	return id ? plane_detach(w->p, id, wp->port->name, NULL) : 0;
}

int ports_attach(struct work *w)
{
	int err = let_all_go(w);

	if (err)
		return err;
	hold_sweep(w->plane);
	for (size_t i = 0; i < w->want->n_ports; i++) {
		if (!w->ports[i].meant)
			continue;
		err = w->ports[i].link ? attach_one(w, &w->ports[i]) : let_moved_go(w, &w->ports[i]);
		if (err)
			return err;
		if (w->ports[i].attached_now)
			look_again(&w->ports[i]);
	}
	return 0;
}

/* XDP as it was: the change was to another mode or another way of attaching. */
static void attach_again(struct work *w, const struct work_port *wp, uint16_t id)
{
	struct link_info now;

	if (!link_get_index(wp->link->ifindex, &now))
		plane_attach(w->p, id, wp->port->name, &now, wp->had.xdp,
			     wp->had.generic ? MODE_GENERIC : MODE_NATIVE,
			     wp->had.shared ? ATTACH_SHARED : ATTACH_LINK);
}

/* By name: the run may have ended before it looked at what it had made. */
static void uncreate(const struct work_port *wp)
{
	char end[VP_DEV_LEN];
	struct link_info l;

	plane_device(wp->port, end);
	if (wp->created_now && !link_get(end, &l))
		link_delete(l.ifindex);
}

void ports_undo(struct work *w)
{
	for (size_t i = 0; i < w->want->n_ports; i++) {
		struct work_port *wp = &w->ports[i];
		uint16_t id = layout_port_id(w->now, wp->port->name);

		if (wp->attached_now && wp->link && !wp->had.tc_in) {
			plane_detach(w->p, id, wp->port->name, wp->link);
			plane_port_info(w->p, id)->attached -= wp->counted_now;
			put_back(w->plane, wp->link);
		} else if (wp->attached_now && wp->link) {
			attach_again(w, wp, id);
		}
		uncreate(wp);
	}
	/* Names that only this run entered. */
	for (uint16_t id = 1; id < VP_MAX_PORTS; id++)
		if (plane_port_info(w->p, id)->name[0] && !w->old->port_info[id].name[0])
			plane_forget_port(w->p, id);
}

static int by_ifindex(const void *key, const void *link)
{
	uint32_t x = *(const uint32_t *)key, y = ((const struct link_info *)link)->ifindex;

	return (x > y) - (x < y);
}

static const struct link_info *find(const struct link_info *links, size_t n, uint32_t ifindex)
{
	return ifindex && n ? bsearch(&ifindex, links, n, sizeof(*links), by_ifindex) : NULL;
}

static const struct link_info *find_named(const struct link_info *links, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(links[i].name, name))
			return &links[i];
	return NULL;
}

static bool is_anothers(const struct plane *p, uint16_t id, uint32_t ifindex)
{
	for (uint16_t other = 1; other < VP_MAX_PORTS; other++)
		if (other != id && plane_port(p, other)->ifindex == ifindex)
			return true;
	return false;
}

/* The device an id is attached to, by the bank in force or, if it goes, by the one before; or else by its name. */
static const struct link_info *device_of(struct plane *p, uint16_t id, const struct link_info *links, size_t n)
{
	const struct vp_port *banks = p->mem[MAP_PORTS];
	const struct link_info *l = find(links, n, plane_port(p, id)->ifindex);

	if (l) /* by the configuration that is in force */
		return l;
	l = find(links, n, banks[vp_bank_index(!plane_bank(p), VP_MAX_PORTS, id)].ifindex);
	if (!l)
		l = find_named(links, n, plane_port_info(p, id)->device);
	return l && is_anothers(p, id, l->ifindex) ? NULL : l;
}

static bool is_ours(const struct plane *p, const char *port, const struct link_info *l)
{
	char alias[96];

	host_alias(p->name, port, alias);
	return l->type == LINK_VETH && (!strcmp(l->alias, alias) || host_half_made(p->name, port, l));
}

static void forget_everywhere(struct plane *p, uint16_t id)
{
	const struct vp_port *banks = p->mem[MAP_PORTS];

	for (uint32_t bank = 0; bank < 2; bank++)
		plane_drop_iface(p, banks[vp_bank_index(bank, VP_MAX_PORTS, id)].ifindex, id);
	plane_forget_port(p, id);
}

static bool is_begun(const struct vp_port_info *info, const struct attachment *is)
{
	return is->tc_in || is->tc_out || info->flags & VP_INFO_PENDING;
}

/*
 * A run that died before the switch had given the port this device: only the name that it had entered tells, the
 * configuration in force does not know of it.  What that has, the run had let go of before.  1: programs were there.
 */
static int let_dead_go(struct plane *p, uint16_t id, const struct link_info *l)
{
	const struct vp_port_info *info = plane_port_info(p, id);
	struct attachment is;
	int err;

	if (l->ifindex == plane_port(p, id)->ifindex || is_anothers(p, id, l->ifindex))
		return 0;
	err = plane_attached(p, info->name, l, &is);
	if (err || !is_begun(info, &is))
		return err;
	plane_drop_iface(p, l->ifindex, id);
	err = plane_detach(p, id, info->name, l);
	if (!err)
		err = put_back(p->name, l);
	return err ? err : 1;
}

/* Is it the device that the port shall have, and was seen to be bare? Then there is nothing to ask. */
static bool is_bare(const struct work *w, const struct vp_port_info *info, const struct link_info *l)
{
	const struct port *wanted = model_port(w->want, info->name);
	const struct work_port *wp = wanted ? &w->ports[wanted - w->want->ports] : NULL;

	return wp && wp->link == l && !is_begun(info, &wp->had);
}

/* Also of devices that shall be had: flags and pin are one device's, and the one in force is let go of after them. */
int ports_let_dead_go(struct work *w)
{
	bool any = false;
	int err = 0;

	for (uint16_t id = 1; err >= 0 && id < VP_MAX_PORTS; id++) {
		const struct vp_port_info *info = plane_port_info(w->p, id);
		const struct link_info *l = info->name[0] ? work_device(w, info->device) : NULL;

		if (!l || l->ifindex == plane_port(w->p, id)->ifindex || is_bare(w, info, l))
			continue;
		err = let_dead_go(w->p, id, l);
		any |= err > 0;
	}
	if (any && err >= 0)
		see_again(w);
	return err < 0 ? err : 0;
}

/* The same where all ports go. */
static int let_all_dead_go(struct plane *p, const struct link_info *links, size_t n)
{
	int err = 0;

	for (uint16_t id = 1; err >= 0 && id < VP_MAX_PORTS; id++) {
		const struct vp_port_info *info = plane_port_info(p, id);
		const struct link_info *l = info->name[0] ? find(links, n, plane_port(p, id)->ifindex) : NULL;

		if (!info->name[0] || (l && !strcmp(l->name, info->device)))
			continue;
		l = find_named(links, n, info->device);
		err = l ? let_dead_go(p, id, l) : 0;
		if (err < 0)
			fail(info->name, "cannot detach: %s", strerror(-err));
	}
	return err < 0 ? err : 0;
}

/* What follows for a port whose programs are off: its device is put back, or is ours and noted to be deleted. */
static void let_device_go(struct plane *p, const struct plane_gone *g, bool all, uint32_t *ours, size_t *n_ours)
{
	if (!g->link)
		return;
	if (is_ours(p, g->port, g->link))
		ours[(*n_ours)++] = g->link->ifindex;
	else if (!all)
		put_back(p->name, g->link);
}

/* One that cannot be detached keeps its id, for the next run to try again. */
static int detach_all(struct plane *p, const struct link_info *links, size_t n_links, bool gone[VP_MAX_PORTS], bool all,
		      uint32_t *ours, size_t *n_ours)
{
	struct plane_gone *list = calloc(VP_MAX_PORTS, sizeof(*list));
	size_t n = 0;
	int first = all ? let_all_dead_go(p, links, n_links) : 0;

	if (!list) {
		memset(gone, 0, VP_MAX_PORTS * sizeof(*gone));
		return -ENOMEM;
	}
	for (uint16_t id = 1; id < VP_MAX_PORTS; id++)
		if (gone[id])
			list[n++] = (struct plane_gone){.id = id, .port = plane_port_info(p, id)->name,
							.link = device_of(p, id, links, n_links)};
	plane_detach_many(p, list, n);
	for (size_t i = 0; i < n; i++) {
		if (!list[i].err) {
			let_device_go(p, &list[i], all, ours, n_ours);
			continue;
		}
		fail(list[i].port, "cannot detach: %s", strerror(-list[i].err));
		gone[list[i].id] = false;
		first = first ? first : list[i].err;
	}
	free(list);
	return first;
}

int ports_remove(struct plane *p, const struct link_info *links, size_t n_links, bool gone[VP_MAX_PORTS], bool all)
{
	uint32_t *ours = calloc(VP_MAX_PORTS, sizeof(*ours));
	size_t n_ours = 0;
	int err, first;

	if (!ours)
		return -ENOMEM;
	first = detach_all(p, links, n_links, gone, all, ours, &n_ours);
	err = n_ours ? link_delete_many(ours, n_ours) : 0;
	if (err)
		fail(p->name, "cannot delete its host interfaces: %s", strerror(-err));
	free(ours);
	if (!err && !all)
		err = plane_mac_drop_ports(p, gone);
	for (uint16_t id = 1; !err && !all && id < VP_MAX_PORTS; id++)
		if (gone[id])
			forget_everywhere(p, id);
	return first ? first : err;
}
