/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Carries fixes out: first settings of devices, each recorded by undo.c, then one run of what `attach` does, so that
 * the plane learns what its devices can do now.  Whether a fix worked is for a second look to tell, not for this file.
 */
#include <string.h>

#include "apply.h"
#include "doctor.h"
#include "undo.h"

static const struct doctor_port *port_of(const struct doctor_facts *f, const struct finding *found)
{
	for (size_t i = 0; i < f->n_ports; i++)
		if (!strcmp(f->ports[i].view->port->name, found->name))
			return &f->ports[i];
	return NULL;
}

/* What `down` does where there is no plane; the lock keeps out a loader that is just making it. */
static int sweep(const char *name)
{
	struct plane p;
	int err;

	plane_init(&p);
	err = plane_lock(&p, name);
	if (!err && !plane_exists(name))
		err = apply_clear(name);
	plane_close(&p);
	return err;
}

static int bring_up(const char *plane, const struct doctor_port *p)
{
	int err = undo_up(plane, p->link);

	/* A host port's other end is the one that users take down. */
	if (!err && p->view->port->kind == VP_KIND_HOST && p->peer)
		err = undo_up(plane, p->peer);
	return err;
}

static int fix_port(const struct doctor_facts *f, const struct finding *found, const struct plane *plane)
{
	const struct doctor_port *p = port_of(f, found);

	if (!p)
		return 0;
	switch (found->fix) {
	case FIX_UP:
		return bring_up(f->plane, p);
	case FIX_PROMISC:
		return undo_promisc(f->plane, p->link);
	case FIX_RXVLAN:
		return undo_rxvlan(f->plane, p->link);
	case FIX_MASTER:
		return undo_master(f->plane, p->link);
	case FIX_GRO:
		return undo_gro(f->plane, p->peer);
	case FIX_GRO_AGAIN:
		return undo_gro_again(f->plane, p->peer);
	case FIX_UNPIN:
	case FIX_REATTACH:
		return plane_unpin_xdp(plane, found->name);
	case FIX_NONE:
	case FIX_SWEEP:
	case FIX_ATTACH:
		break;
	}
	return 0;
}

/* apply() reports by itself. */
static void attach(struct plane *p)
{
	const struct apply_opts opts = { .each = true };
	struct apply_result result = { 0 };
	struct model m;
	int err;

	model_init(&m);
	err = plane_model(p, &m);
	if (!err)
		err = model_derive(&m, p->name);
	if (!err) {
		model_sort(&m);
		apply(p, true, p->name, &m, &opts, &result);
	} else {
		fail(p->name, "cannot read the plane's configuration: %s", strerror(-err));
	}
	model_free(&m);
}

void doctor_fix(const struct doctor_facts *f, const struct findings *found, struct plane *p)
{
	bool any = false;

	for (size_t i = 0; i < found->n; i++) {
		const struct finding *one = &found->list[i];
		int err = 0;

		if (one->fix == FIX_SWEEP) {
			err = sweep(one->name);
		} else if (p && one->fix != FIX_NONE) {
			err = fix_port(f, one, p);
			any = true;
		}
		if (err)
			fail(one->object, "%s cannot be fixed: %s", one->id, strerror(-err));
	}
	if (any)
		attach(p);
}
