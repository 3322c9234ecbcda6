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

/* `l` is the device as found now (of a host port: the plane's end), `seen` VP_INFO_SEEN of that device, 0 = nothing. */
void carrier_choose(const struct port *p, const struct link_info *l, uint32_t seen, struct carrier_choice *out);

/*
 * What is seen of a TAP now, if `seen` was before: `unfinished` as in vp_state, `frames` came since the last time, and
 * of these `super` in superframes.  Fewer than CARRIER_WEIGHT frames say nothing.
 */
#define CARRIER_WEIGHT 1000
uint32_t carrier_weigh(uint32_t seen, bool unfinished, uint64_t frames, uint64_t super);

#endif
