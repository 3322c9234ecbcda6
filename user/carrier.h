/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pure: which hook carries a port's frames and whether XDP may send to it, each with its reason in words. */
#ifndef CARRIER_H
#define CARRIER_H

#include "link.h"
#include "model.h"

struct carrier_choice {
	enum carrier carrier; /* CARRIER_XDP or CARRIER_TC */
	const char *why;      /* "a TAP takes XDP frames at full speed", never NULL */
	bool target;
	const char *target_why;
	const char *refused; /* not NULL: `carrier: xdp` was asked for and can't be had: why, and what to do */
};

/* `l` is the device as found now (of a host port: the plane's end). */
void carrier_choose(const struct port *p, const struct link_info *l, struct carrier_choice *out);

#endif
