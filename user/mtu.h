/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pure: ports of one segment, or of one binding, whose devices take frames of different size. */
#ifndef MTU_H
#define MTU_H

#include "model.h"

struct mtu_want {
	uint32_t mtu;		/* what the device should have, 0 = nothing to say */
	const struct port *why; /* a port that has it */
	const char *segment;	/* where they meet; NULL = in a binding */
};

/*
 * mtu[i] is that of the device of m->ports[i], 0 = not known; out[i] is about the same port.  The measure is an
 * uplink's MTU, since the world's cannot be chosen; without one the most common, the larger of two that are.
 */
void mtu_compare(const struct model *m, const uint32_t *mtu, struct mtu_want *out);

#endif
