/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gathers the snapshot: one dump of the devices, one walk over the ids, one batch read of the MAC table. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "former.h"
#include "hold.h"
#include "undo.h"
#include "value.h"
#include "view.h"

/* The devices twice: as link_list() gives them (by index), and pointers by name. */
struct devices {
	struct link_info *links;
	const struct link_info **by_name;
	size_t n;
	uint32_t *held; /* indices of those that `watch` holds down */
	size_t n_held;
};

/* Names of the ids in use; NULL = free. */
struct names {
	const char *port[VP_MAX_PORTS];
	const char *segment[VP_MAX_SEGMENTS];
};

static int cmp_links(const void *a, const void *b)
{
	return strcmp((*(const struct link_info *const *)a)->name, (*(const struct link_info *const *)b)->name);
}

static int cmp_link_name(const void *name, const void *link)
{
	return strcmp(name, (*(const struct link_info *const *)link)->name);
}

static int cmp_link_index(const void *index, const void *link)
{
	uint32_t want = *(const uint32_t *)index, is = ((const struct link_info *)link)->ifindex;

	return want < is ? -1 : want > is;
}

static int devices_get(struct devices *d)
{
	int ret = link_list(&d->links, &d->n);
	size_t i;

	if (ret)
		return ret;
	d->by_name = calloc(d->n + 1, sizeof(*d->by_name));
	if (!d->by_name)
		return -ENOMEM;
	for (i = 0; i < d->n; i++)
		d->by_name[i] = &d->links[i];
	if (d->n)
		qsort(d->by_name, d->n, sizeof(*d->by_name), cmp_links);
	return 0;
}

static void devices_free(struct devices *d)
{
	free(d->links);
	free(d->by_name);
	free(d->held);
}

static bool is_held(const struct devices *d, uint32_t ifindex)
{
	for (size_t i = 0; i < d->n_held; i++)
		if (d->held[i] == ifindex)
			return true;
	return false;
}

static const struct link_info *device_named(const struct devices *d, const char *name)
{
	const struct link_info **l = NULL;

	if (d->n)
		l = bsearch(name, d->by_name, d->n, sizeof(*d->by_name), cmp_link_name);
	return l ? *l : NULL;
}

static const struct link_info *device_indexed(const struct devices *d, uint32_t ifindex)
{
	if (!d->n || !ifindex)
		return NULL;
	return bsearch(&ifindex, d->links, d->n, sizeof(*d->links), cmp_link_index);
}

static struct view_port *find_port(struct view *v, const char *name)
{
	const struct view_port *vp = view_port(v, name);

	return vp ? &v->ports[vp - v->ports] : NULL;
}

static int name_ports(struct view *v, const struct plane *p, struct names *names)
{
	uint16_t id;
	size_t i;

	v->ports = calloc(v->model.n_ports + 1, sizeof(*v->ports));
	if (!v->ports)
		return -ENOMEM;
	v->n_ports = v->model.n_ports;
	for (i = 0; i < v->n_ports; i++)
		v->ports[i].port = &v->model.ports[i];
	for (id = 1; id < VP_MAX_PORTS; id++) {
		const char *name = plane_port_info(p, id)->name;
		struct view_port *vp = *name ? find_port(v, name) : NULL;

		if (vp)
			vp->id = id;
		names->port[id] = vp ? vp->port->name : NULL;
	}
	for (i = 0; i < v->model.n_bindings; i++) {
		const struct binding *b = &v->model.bindings[i];
		struct view_port *a = find_port(v, b->a), *z = find_port(v, b->b);

		if (a && z) {
			a->peer = b->b;
			z->peer = b->a;
		}
	}
	return 0;
}

static void name_segments(const struct view *v, const struct plane *p, struct names *names)
{
	uint16_t id;

	for (id = 1; id < VP_MAX_SEGMENTS; id++) {
		const char *name = plane_seg_info(p, id)->name;
		const struct segment *s = *name ? model_segment(&v->model, name) : NULL;

		names->segment[id] = s ? s->name : NULL;
	}
}

/* What the plane has of the port; *look is the device to ask about, link NULL = none. */
static int find_facts(struct plane *p, struct view_port *vp, const struct devices *d, struct view_facts *f,
		      struct plane_look *look)
{
	const struct vp_port_info *info = plane_port_info(p, vp->id);
	const struct link_info *l;

	f->now = plane_port(p, vp->id);
	f->kept = device_indexed(d, f->now->ifindex);
	f->has_info = true;
	f->egress_base = info->egress_base;
	f->seen = info->flags & VP_INFO_SEEN;
	vp->learned = plane_state(p, vp->id)->learned;
	if (info->attached)
		vp->reconnects = info->attached - 1;
	l = f->link ? f->link : f->kept;
	if (l && f->now->ifindex == l->ifindex)
		*look = (struct plane_look){ .port = vp->port->name, .link = l, .out = &f->attached };
	return plane_counters(p, vp->id, &vp->counters);
}

static int find_port_facts(const struct view *v, struct plane *p, struct view_port *vp, const struct devices *d,
			   struct view_facts *f, struct plane_look *look)
{
	char buf[VP_DEV_LEN];
	const char *device = view_device(vp->port, buf);

	if (vp->port->kind == VP_KIND_HOST)
		memcpy(vp->plane_device, device, sizeof(vp->plane_device));
	f->plane = v->plane;
	f->link = device_named(d, device);
	f->held = v->watched && f->link && is_held(d, f->link->ifindex);
	return vp->id ? find_facts(p, vp, d, f, look) : 0;
}

/* The devices of all ports are asked about in one go. */
static int look_at_ports(const struct view *v, struct plane *p, const struct devices *d, struct view_facts *facts,
			 struct plane_look *looks)
{
	size_t n = 0, i;
	int ret = 0;

	for (i = 0; !ret && i < v->n_ports; i++) {
		ret = find_port_facts(v, p, &v->ports[i], d, &facts[i], &looks[n]);
		n += looks[n].link != NULL;
	}
	if (!ret)
		ret = plane_look(p, looks, n);
	for (i = 0; !ret && i < n; i++)
		ret = looks[i].err == -ENODEV ? 0 : looks[i].err;
	return ret;
}

static int fill_ports(struct view *v, struct plane *p, const struct devices *d)
{
	struct view_facts *facts = calloc(v->n_ports + 1, sizeof(*facts));
	struct plane_look *looks = calloc(v->n_ports + 1, sizeof(*looks));
	size_t i;
	int ret = facts && looks ? look_at_ports(v, p, d, facts, looks) : -ENOMEM;

	for (i = 0; !ret && i < v->n_ports; i++)
		view_port_judge(&v->ports[i], &facts[i]);
	free(facts);
	free(looks);
	return ret;
}

static int cmp_macs(const void *a, const void *b)
{
	const struct view_mac *x = a, *y = b;
	int order = x->segment == y->segment ? 0 : strcmp(x->segment, y->segment);

	return order ? order : mac_cmp(&x->mac, &y->mac);
}

static uint32_t age_seconds(uint32_t now, uint32_t tick)
{
	int32_t ticks = (int32_t)(now - tick);

	/* Another CPU may have stored a tick that began after ours was read. */
	return ticks < 0 ? 0 : (uint32_t)(((uint64_t)(uint32_t)ticks << VP_TICK_SHIFT) / 1000000000ULL);
}

/* Does the datapath go by this entry? One of a former owner of the id, or one that has aged, counts as unknown. */
static bool in_force(const struct plane *p, const struct names *names, const struct mac_row *r, uint32_t now)
{
	uint16_t id = r->value.port, segment = r->key.segment;
	const struct vp_port *port;
	uint32_t limit;

	if (id >= VP_MAX_PORTS || segment >= VP_MAX_SEGMENTS || !names->port[id] || !names->segment[segment])
		return false;
	port = plane_port(p, id);
	if (r->value.incarnation != port->incarnation || !plane_is_member(p, id, segment))
		return false;
	limit = plane_segment(p, segment)->age_ticks;
	return (r->value.flags & VP_MAC_STATIC) || !limit || (int32_t)(now - r->value.tick) <= (int64_t)limit;
}

static int fill_macs(struct view *v, struct plane *p, const struct names *names)
{
	struct mac_row *rows;
	size_t n, i;
	uint32_t now = plane_tick();
	int ret = plane_mac_list(p, &rows, &n);

	if (ret)
		return ret;
	v->macs = calloc(n + 1, sizeof(*v->macs));
	for (i = 0; v->macs && i < n; i++) {
		const struct mac_row *r = &rows[i];
		struct view_mac *m = &v->macs[v->n_macs];

		if (!in_force(p, names, r, now))
			continue;
		m->segment = names->segment[r->key.segment];
		m->port = names->port[r->value.port];
		memcpy(m->mac.b, r->key.mac, VP_MAC_LEN);
		m->is_static = r->value.flags & VP_MAC_STATIC;
		m->age = m->is_static ? 0 : age_seconds(now, r->value.tick);
		v->n_macs++;
	}
	free(rows);
	if (!v->macs)
		return -ENOMEM;
	if (v->n_macs)
		qsort(v->macs, v->n_macs, sizeof(*v->macs), cmp_macs);
	return 0;
}

static void see_pending(struct view *v)
{
	struct pending pending;

	if (former_pending(v->plane, &pending))
		return;
	v->pending = true;
	v->confirm_left = former_pending_left(&pending);
	pending_free(&pending);
}

int view_make(struct view *v, struct plane *p, bool with_macs)
{
	struct devices d = { 0 };
	struct names *names = calloc(1, sizeof(*names));
	int ret;

	memset(v, 0, sizeof(*v));
	model_init(&v->model);
	memcpy(v->plane, p->name, sizeof(v->plane));
	see_pending(v);
	ret = names ? plane_model(p, &v->model) : -ENOMEM;
	if (!ret)
		ret = devices_get(&d);
	v->watched = hold_watched(v->plane);
	if (!ret)
		ret = undo_held(v->plane, &d.held, &d.n_held);
	if (!ret)
		ret = name_ports(v, p, names);
	if (!ret)
		name_segments(v, p, names);
	if (!ret)
		ret = fill_ports(v, p, &d);
	if (!ret && with_macs)
		ret = fill_macs(v, p, names);
	free(names);
	devices_free(&d);
	if (ret)
		view_free(v);
	return ret;
}

void view_free(struct view *v)
{
	model_free(&v->model);
	free(v->ports);
	free(v->macs);
	v->ports = NULL;
	v->macs = NULL;
	v->n_ports = v->n_macs = 0;
}
