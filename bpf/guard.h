/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * May this port send this frame at all?  The first stage, the same for bindings and segments.  Each rule is one
 * function that returns VP_REASON_NONE or why not; guard() asks them in turn, so that a further rule is a further line.
 */
#ifndef GUARD_H
#define GUARD_H

#include "scene.h"

static __always_inline enum vp_reason guard_mac(const struct scene *s)
{
	__u64 key = MAC_KEY(s->in, s->f.src); /* struct vp_guard_key */
	__u32 *banks;

	if (!(s->port->flags & VP_PORT_GUARD_MAC))
		return VP_REASON_NONE;
	banks = bpf_map_lookup_elem(&vp_guards, &key);
	return banks && (*banks & (1U << s->bank)) ? VP_REASON_NONE : VP_DROP_FOREIGN_MAC;
}

static __always_inline enum vp_reason guard(const struct scene *s)
{
	return guard_mac(s);
}

#endif
