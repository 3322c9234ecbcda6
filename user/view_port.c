/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is to be said about ports, from what was found: pure, so that every sentence can be tested without root. */
#include <stdlib.h>
#include <string.h>

#include "carrier.h"
#include "value.h"
#include "view.h"

const char *state_word(enum port_state s)
{
	switch (s) {
	case STATE_UP:
		return "up";
	case STATE_WAITING:
		return "waiting";
	case STATE_DEGRADED:
		break;
	}
	return "degraded";
}

const char *view_device(const struct port *p, char buf[VP_DEV_LEN])
{
	if (p->kind != VP_KIND_HOST)
		return p->device;
	snprintf(buf, VP_DEV_LEN, "%.13s-p", p->device[0] ? p->device : p->name);
	return buf;
}

/* The kernel lets a device be named with anything but blanks and slashes; a terminal must not be. */
static const char *safe_name(char buf[VP_DEV_LEN], const char *name)
{
	size_t i;

	snprintf(buf, VP_DEV_LEN, "%s", name);
	for (i = 0; buf[i]; i++)
		if (buf[i] <= ' ' || buf[i] > '~')
			buf[i] = '?';
	return buf;
}

static void set_waiting(struct view_port *vp, const struct view_facts *f, const char *device)
{
	char run[COMMAND_TEXT];

	vp->state = STATE_WAITING;
	vp->ifindex = 0;
	vp->carrier = vp->port->carrier;
	snprintf(vp->target_why, sizeof(vp->target_why), "the port is waiting for its device");
	if (!f->now)
		snprintf(vp->why, sizeof(vp->why), "not in the plane yet; run %s", value_command(run, f->plane, "up"));
	else if (!f->link)
		snprintf(vp->why, sizeof(vp->why), "device %s is absent", device);
	else if (f->now->ifindex && f->now->ifindex != f->link->ifindex)
		snprintf(vp->why, sizeof(vp->why), "device %s has returned with another index; run %s", device,
			 value_command(run, f->plane, "attach"));
	else
		snprintf(vp->why, sizeof(vp->why), "device %s is there but not attached; run %s", device,
			 value_command(run, f->plane, "attach"));
}

static const char *missing_program(const struct view_port *vp, const struct attachment *a)
{
	if (!a->tc_in)
		return "tc ingress";
	if (!a->tc_out)
		return "tc egress";
	if (vp->carrier == CARRIER_XDP && !a->xdp)
		return "XDP";
	return NULL;
}

/* Why the device brings no frames although everything of ours is in place, "" = it does. */
static void link_fault(char *buf, size_t size, const struct port *p, const struct link_info *l, const char *device,
		       const char *run)
{
	if (p->kind == VP_KIND_HOST && (!l->up || !l->running))
		snprintf(buf, size, "%s or its end %s is down; run ip link set %s up", p->name, device,
			 l->up ? p->name : device);
	else if (!l->up)
		snprintf(buf, size, "device %s is down; run ip link set %s up", device, device);
	else if (!l->running && l->type == LINK_TAP)
		snprintf(buf, size, "no program has %s open, or it has switched the carrier off", device);
	else if (!l->running && l->type == LINK_VETH)
		snprintf(buf, size, "the other end of %s is down", device);
	else if (!l->running)
		snprintf(buf, size, "device %s has no carrier", device);
	else if (p->kind == VP_KIND_UPLINK && !l->promiscuity)
		snprintf(buf, size, "device %s is no longer promiscuous: it hears only its own address; run %s", device,
			 run);
}

static void judge_state(struct view_port *vp, const struct view_facts *f, const struct link_info *l, const char *device)
{
	const char *missing = missing_program(vp, &f->attached);
	char run[COMMAND_TEXT], name[VP_DEV_LEN];

	vp->state = STATE_DEGRADED;
	if (missing)
		snprintf(vp->why, sizeof(vp->why), "the %s program is gone from %s; run %s", missing, device,
			 value_command(run, f->plane, "attach"));
	else if (f->attached.old)
		snprintf(vp->why, sizeof(vp->why),
			 "programs of a former build are on %s, as after an upgrade that was cut short; run %s", device,
			 value_command(run, f->plane, "upgrade"));
	else if (l != f->link)
		snprintf(vp->why, sizeof(vp->why), "device %s is called %s now; an up that still says %s lets go of it",
			 device, safe_name(name, l->name), device);
	else if (f->held && !l->up)
		snprintf(vp->why, sizeof(vp->why), "device %s is held down by watch: its peer %s has no carrier",
			 device, vp->peer ? vp->peer : "(none)");
	else
		link_fault(vp->why, sizeof(vp->why), vp->port, l, device, value_command(run, f->plane, "attach"));
	if (!vp->why[0])
		vp->state = STATE_UP;
}

/* What the plane was told wins over what would be chosen today; where they differ, both are said. */
static void judge_carrier(struct view_port *vp, const struct link_info *l, uint16_t flags, const struct view_facts *f)
{
	const struct attachment *a = &f->attached;
	struct carrier_choice choice;
	size_t len;

	carrier_choose(vp->port, l, f->seen, &choice);
	vp->carrier = flags & VP_PORT_XDP ? CARRIER_XDP : CARRIER_TC;
	vp->xdp_target = flags & VP_PORT_XDP_TARGET;
	if (vp->state == STATE_UP && vp->carrier == choice.carrier)
		snprintf(vp->why, sizeof(vp->why), "%s", choice.why);
	else if (vp->state == STATE_UP)
		snprintf(vp->why, sizeof(vp->why), "chosen when it was attached; today %s: %s",
			 carrier_word(choice.carrier), choice.why);
	len = strlen(vp->why);
	if (vp->state == STATE_UP && a->shared)
		snprintf(vp->why + len, sizeof(vp->why) - len, "; behind libxdp's dispatcher, with %u other%s",
			 a->others, a->others == 1 ? "" : "s");
	if (vp->xdp_target == choice.target)
		snprintf(vp->target_why, sizeof(vp->target_why), "%s", choice.target_why);
	else
		snprintf(vp->target_why, sizeof(vp->target_why), "chosen when it was attached; today: %s",
			 choice.target_why);
}

void view_port_judge(struct view_port *vp, const struct view_facts *f)
{
	char buf[VP_DEV_LEN];
	const char *device = view_device(vp->port, buf);
	const struct link_info *l = f->link ? f->link : f->kept;

	vp->generic = vp->port->mode == MODE_GENERIC;
	if (!f->now || !l || f->now->ifindex != l->ifindex || !(f->now->flags & VP_PORT_UP)) {
		set_waiting(vp, f, device);
		return;
	}
	vp->ifindex = l->ifindex;
	vp->held = f->held && !l->up;
	vp->carrier = f->now->flags & VP_PORT_XDP ? CARRIER_XDP : CARRIER_TC;
	judge_state(vp, f, l, device);
	judge_carrier(vp, l, f->now->flags, f);
	if (f->has_info && l->tx_lost > f->egress_base)
		vp->egress_errors = l->tx_lost - f->egress_base;
}

static int cmp_port_name(const void *name, const void *port)
{
	return strcmp(name, ((const struct view_port *)port)->port->name);
}

const struct view_port *view_port(const struct view *v, const char *name)
{
	return v->n_ports ? bsearch(name, v->ports, v->n_ports, sizeof(*v->ports), cmp_port_name) : NULL;
}

enum port_state view_binding_state(const struct view *v, const struct binding *b)
{
	const struct view_port *ends[] = { view_port(v, b->a), view_port(v, b->b) };
	enum port_state worst = STATE_UP;
	size_t i;

	for (i = 0; i < 2; i++) {
		enum port_state s = ends[i] ? ends[i]->state : STATE_WAITING;

		if (s == STATE_WAITING || (s == STATE_DEGRADED && worst == STATE_UP))
			worst = s;
	}
	return worst;
}

uint64_t view_drops(const struct vp_counters *c)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < VP_REASON_COUNT; i++)
		sum += c->drops[i];
	return sum;
}
