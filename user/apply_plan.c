/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What `up` would do, without doing it: what the configurations differ in, and then what has become of the plane since:
 * ports whose device has come or gone, programs and entries that somebody took away.  The same looks as apply() has.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apply_priv.h"

static bool has_another_mac(const struct work *w, const struct port *p)
{
	const struct link_info *end = p->kind == VP_KIND_HOST && p->n_macs ? work_device(w, p->name) : NULL;

	return end && memcmp(end->mac, p->macs[0].b, VP_MAC_LEN);
}

/* What is to be done at the port's device, NULL = nothing. */
static const char *lack_of(const struct work *w, const struct work_port *wp, const struct vp_port *now)
{
	const struct attachment *had = &wp->had;

	if (!wp->link && wp->port->kind == VP_KIND_HOST)
		return "interface absent -> made anew";
	if (!wp->link)
		return now->ifindex ? "state up -> waiting" : NULL;
	if (!now->ifindex || !(had->tc_in || had->tc_out || had->xdp))
		return "state waiting -> attached";
	if (!port_is_attached(wp))
		return "programs incomplete or outdated -> attached";
	if (port_is_to_come_up(w, wp))
		return "device down -> up";
	return has_another_mac(w, wp->port) ? "interface's MAC address another -> as configured" : NULL;
}

/* Addresses of the configuration that the MAC table lacks, by port; `mac del` may have taken them away. */
static size_t *count_missing(const struct work *w)
{
	size_t *n = calloc(VP_MAX_PORTS, sizeof(*n));

	for (size_t i = 0; n && i < w->now->n_statics; i++)
		n[w->now->statics[i].port] += !w->entered[i];
	return n;
}

static int see_port(struct work *w, const struct work_port *wp, const size_t *missing, struct plan *plan)
{
	uint16_t id = layout_port_id(w->now, wp->port->name);
	const struct vp_port *now = plane_port(w->p, id);
	const char *lack = lack_of(w, wp, now);
	char entries[64];

	if (!lack && missing[id]) {
		snprintf(entries, sizeof(entries), "%zu MAC entr%s absent -> entered", missing[id],
			 missing[id] == 1 ? "y" : "ies");
		lack = entries;
	}
	if (!lack && memcmp(now, &w->now->ports[id], sizeof(*now)))
		lack = "abilities of its device others -> noticed";
	return lack ? plan_note_port(plan, wp->port->name, lack) : 0;
}

/* As it would be when all that is there had been attached; only this process sees it. */
static int foresee(struct work *w)
{
	int err = work_look(w);

	for (size_t i = 0; !err && i < w->want->n_ports; i++)
		w->ports[i].attached_now = w->ports[i].link;
	if (!err)
		err = work_layout(w);
	return err ? err : macs_look(w);
}

/* Names that neither configuration has: `up` removes what is left of them. */
static int see_leftovers(const struct work *w, struct plan *plan)
{
	int err = 0;

	for (uint16_t id = 1; !err && id < VP_MAX_PORTS; id++) {
		const char *name = plane_port_info(w->p, id)->name;

		if (name[0] && !model_port(w->want, name))
			err = plan_note_port(plan, name, "begun by a run that died -> removed");
	}
	return err;
}

/* A port that is new is in the plan already, and has no id yet. */
static int see_plane(struct work *w, struct plan *plan)
{
	size_t *missing = NULL;
	int err = foresee(w);

	if (!err && !(missing = count_missing(w)))
		err = -ENOMEM;
	for (size_t i = 0; !err && i < w->want->n_ports; i++)
		if (plane_port_id(w->p, w->ports[i].port->name))
			err = see_port(w, &w->ports[i], missing, plan);
	free(missing);
	return err ? err : see_leftovers(w, plan);
}

int apply_plan(struct plane *p, bool exists, const char *plane, const struct model *want,
	       const struct apply_opts *opts, struct plan *plan)
{
	struct work w;
	struct model have;
	int err = work_begin(&w, p, exists, plane, want, opts);

	model_init(&have);
	if (!err && exists)
		err = plane_model(p, &have);
	if (!err)
		err = plan_make(plan, &have, want);
	if (!err && exists)
		err = see_plane(&w, plan);
	if (err)
		fail(plane, "cannot tell what would change: %s", strerror(-err));
	model_free(&have);
	work_end(&w);
	return err;
}
