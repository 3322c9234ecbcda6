/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A TAP's best carrier depends on what its guest sends, which nobody tells beforehand: it is weighed while it runs.
 * What is found is noted in the plane, so that every later run chooses the same; then the port is attached anew.
 */
#include "carrier.h"
#include "run.h"

static uint32_t look(const struct plane *p, struct watch_port *port, uint32_t seen)
{
	struct vp_counters now;
	uint64_t frames, super;
	bool anew;

	if (plane_counters(p, port->id, &now))
		return seen;
	frames = now.rx_packets - port->frames;
	super = now.events[VP_SUPERFRAMES] - port->super;
	anew = now.rx_packets < port->frames; /* they are another port's now */
	if (anew || frames >= CARRIER_WEIGHT) { /* fewer count together with the next ones */
		port->frames = now.rx_packets;
		port->super = now.events[VP_SUPERFRAMES];
	}
	return anew ? seen : carrier_weigh(seen, plane_state(p, port->id)->unfinished, frames, super);
}

static bool is_weighed(const struct plane *p, const struct watch_port *port)
{
	return port->link.type == LINK_TAP && port->attached && port->attached == port->link.ifindex &&
	       plane_port(p, port->id)->ifindex == port->attached;
}

void run_weigh(struct watch_run *r)
{
	struct plane locked;

	for (size_t i = 0; i < r->w.n; i++) {
		struct watch_port *port = &r->w.ports[i];
		struct vp_port_info *info = plane_port_info(&r->p, port->id);
		uint32_t seen = info->flags & VP_INFO_SEEN, now;

		if (!is_weighed(&r->p, port))
			continue;
		now = look(&r->p, port, seen);
		if (now == seen || !run_lock(r, &locked))
			continue;
		info->flags = (info->flags & ~(__u32)VP_INFO_SEEN) | now;
		plane_close(&locked);
		watch_mark(&r->w, port);
	}
}
