/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plane.h"
#include "watch.h"

void watch_init(struct watch *w)
{
	memset(w, 0, sizeof(*w));
}

void watch_free(struct watch *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->ports[i].said);
	free(w->ports);
	free(w->by_index);
	free(w->wires);
	watch_init(w);
}

int watch_add(struct watch *w, const char *name, const char *device, enum vp_kind kind, uint32_t attached)
{
	struct watch_port *more;

	if (!(w->n & (w->n - 1))) { /* full at each power of two */
		more = reallocarray(w->ports, w->n ? 2 * w->n : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		w->ports = more;
	}
	w->ports[w->n] = (struct watch_port){ .kind = kind, .attached = attached };
	snprintf(w->ports[w->n].name, VP_NAME_LEN, "%s", name);
	snprintf(w->ports[w->n++].device, VP_DEV_LEN, "%s", device);
	return 0;
}

static int by_device(const void *a, const void *b)
{
	return strcmp(((const struct watch_port *)a)->device, ((const struct watch_port *)b)->device);
}

static int by_attached(const void *a, const void *b)
{
	uint32_t x = (*(struct watch_port *const *)a)->attached, y = (*(struct watch_port *const *)b)->attached;

	return (x > y) - (x < y);
}

int watch_ready(struct watch *w)
{
	free(w->by_index);
	w->n_index = 0;
	w->by_index = calloc(w->n + 1, sizeof(*w->by_index));
	if (!w->by_index)
		return -ENOMEM;
	if (w->n)
		qsort(w->ports, w->n, sizeof(*w->ports), by_device);
	for (size_t i = 0; i < w->n; i++)
		if (w->ports[i].attached)
			w->by_index[w->n_index++] = &w->ports[i];
	if (w->n_index)
		qsort(w->by_index, w->n_index, sizeof(*w->by_index), by_attached);
	return 0;
}

struct watch_port *watch_port(struct watch *w, const char *name)
{
	for (size_t i = 0; i < w->n; i++)
		if (!strcmp(w->ports[i].name, name))
			return &w->ports[i];
	return NULL;
}

int watch_add_wire(struct watch *w, const char *a, const char *b)
{
	struct watch_wire wire = { { watch_port(w, a), watch_port(w, b) } };
	struct watch_wire *more;

	if (!wire.end[0] || !wire.end[1])
		return -ENOENT;
	more = reallocarray(w->wires, w->n_wires + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	w->wires = more;
	more[w->n_wires++] = wire;
	return 0;
}

/* ---- of a live plane ---- */

static int add_all(struct watch *w, const struct plane *p)
{
	int err = 0;

	for (uint16_t id = 1; !err && id < VP_MAX_PORTS; id++) {
		const struct vp_port_info *info = plane_port_info(p, id);
		const struct vp_port *now = plane_port(p, id);

		/* One without a name in the text is about to go: the loader that knows of it is at work. */
		if (info->name[0] && info->device[0])
			err = watch_add(w, info->name, info->device, (enum vp_kind)now->kind, now->ifindex);
		else
			continue;
		if (!err) {
			w->ports[w->n - 1].id = id;
			w->ports[w->n - 1].xdp = now->flags & VP_PORT_XDP;
		}
	}
	return err ? err : watch_ready(w);
}

static int add_wires(struct watch *w, const struct plane *p)
{
	struct model m;
	int err;

	model_init(&m);
	err = plane_model(p, &m);
	for (size_t i = 0; !err && i < m.n_bindings; i++)
		if (m.bindings[i].propagate)
			err = watch_add_wire(w, m.bindings[i].a, m.bindings[i].b);
	model_free(&m);
	return err;
}

/* Reading the text again would take longer than everything else. */
static int keep_wires(struct watch *w, const struct watch *old)
{
	int err = 0;

	for (size_t i = 0; !err && i < old->n_wires; i++)
		err = watch_add_wire(w, old->wires[i].end[0]->name, old->wires[i].end[1]->name);
	return err;
}

/* What is known of a port outlives its place in the table; a device that was another port's, too, is seen anew. */
static void take_over(struct watch *w, struct watch *old)
{
	for (size_t i = 0; i < w->n; i++) {
		struct watch_port *now = &w->ports[i], *was;

		was = old->n ? bsearch(now, old->ports, old->n, sizeof(*was), by_device) : NULL;
		if (!was || strcmp(was->name, now->name) != 0)
			continue;
		if (now->attached || !was->attached) /* else another loader has let go of it: its device is seen anew */
			now->link = was->link;
		now->held = was->held;
		now->settled_ms = was->settled_ms;
		now->slow_fds = was->slow_fds;
		now->frames = was->frames;
		now->super = was->super;
		now->failures = was->failures;
		now->retry_ms = was->retry_ms;
		now->said = was->said;
		was->said = NULL;
		if (was->dirty)
			watch_mark(w, now);
	}
}

int watch_fill(struct watch *w, const struct plane *p, bool same_text)
{
	struct watch fresh;
	int err;

	watch_init(&fresh);
	err = add_all(&fresh, p);
	if (!err)
		err = same_text ? keep_wires(&fresh, w) : add_wires(&fresh, p);
	if (err == -ENOENT) /* a loader is between the names and the switch: there will be another look */
		err = 0;
	if (err) {
		watch_free(&fresh);
		return err;
	}
	take_over(&fresh, w);
	watch_free(w);
	*w = fresh;
	w->carriers = true;
	return 0;
}

/* ---- events ---- */

void watch_mark(struct watch *w, struct watch_port *p)
{
	w->dirty += !p->dirty;
	p->dirty = true;
}

static struct watch_port *of_name(const struct watch *w, const char *device)
{
	struct watch_port key;

	snprintf(key.device, sizeof(key.device), "%s", device);
	return w->n ? bsearch(&key, w->ports, w->n, sizeof(key), by_device) : NULL;
}

static struct watch_port *of_index(const struct watch *w, uint32_t ifindex)
{
	struct watch_port key = { .attached = ifindex }, *want = &key, **found;

	found = ifindex && w->n_index ? bsearch(&want, w->by_index, w->n_index, sizeof(want), by_attached) : NULL;
	return found ? *found : NULL;
}

/*
 * Does a device that is attached need `attach` again?  Not for being up or down, nor for its carrier: the programs see
 * that themselves.  Not for its name either: a port keeps a device that is renamed.
 */
static bool needs_pass(const struct watch_port *p, const struct link_info *l)
{
	const struct link_info *was = &p->link;

	return was->ifindex != l->ifindex || was->mtu != l->mtu || was->master != l->master ||
	       (was->xdp_prog && !l->xdp_prog) || (p->kind == VP_KIND_UPLINK && was->promiscuity && !l->promiscuity);
}

static void note(struct watch *w, struct watch_port *p, const struct link_info *l)
{
	w->carriers |= p->link.up != l->up || p->link.running != l->running || p->link.ifindex != l->ifindex;
	p->link = *l;
}

static void changed(struct watch *w, const struct link_info *l)
{
	struct watch_port *has = of_index(w, l->ifindex), *named = of_name(w, l->name);

	if (has) {
		if (needs_pass(has, l))
			watch_mark(w, has);
		note(w, has, l);
	}
	/* A device that is not attached: new, or refused; then it is tried again when it has changed. */
	if (named && named != has) {
		if (named->link.ifindex != l->ifindex || needs_pass(named, l))
			watch_mark(w, named);
		note(w, named, l);
	}
}

static void gone(struct watch *w, const struct link_info *l)
{
	const struct link_info none = { 0 };
	struct watch_port *has = of_index(w, l->ifindex), *named = of_name(w, l->name);

	if (has) {
		watch_mark(w, has);
		if (has->link.ifindex == l->ifindex)
			note(w, has, &none);
	}
	if (named && named != has && named->link.ifindex == l->ifindex)
		note(w, named, &none);
}

void watch_see(void *ctx, const struct link_event *e)
{
	struct watch *w = ctx;
	struct watch_port *has;

	switch (e->kind) {
	case LINK_CHANGED:
		changed(w, &e->link);
		break;
	case LINK_GONE:
		gone(w, &e->link);
		break;
	case LINK_ABILITY:
		has = of_index(w, e->link.ifindex);
		if (has)
			watch_mark(w, has);
		break;
	}
}

static int by_ifindex(const void *key, const void *link)
{
	uint32_t x = *(const uint32_t *)key, y = ((const struct link_info *)link)->ifindex;

	return (x > y) - (x < y);
}

static bool is_in(const struct link_info *links, size_t n, uint32_t ifindex)
{
	return n && bsearch(&ifindex, links, n, sizeof(*links), by_ifindex);
}

void watch_look(struct watch *w, const struct link_info *links, size_t n)
{
	for (size_t i = 0; i < w->n; i++) {
		struct watch_port *p = &w->ports[i];
		struct link_info was = p->link;

		if (was.ifindex && !is_in(links, n, was.ifindex))
			gone(w, &was);
		if (p->attached && !is_in(links, n, p->attached))
			watch_mark(w, p);
	}
	for (size_t i = 0; i < n; i++)
		changed(w, &links[i]);
}
