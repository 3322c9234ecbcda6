/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tags and segments.  A segment is untagged at its access ports and carries one tag, its `vlan`, at the ports that list
 * it under `tagged`.  So a frame has one of two forms in a segment, and retag() in xdp.h and tc.h turns one into the
 * other on the way out.  A frame with more than one tag is in no segment: taking the outer tag off would let the inner
 * one decide further on, and that is a way to hop.
 */
#ifndef VLAN_H
#define VLAN_H

#include "scene.h"

#define VLAN_NONE (-1)

static __always_inline __u32 vlan_segment(__u32 bank, __u32 port, __u32 vid)
{
	struct vp_vlan_key key = {.port = port, .vid = vid, .bank = bank};
	__u32 *segment = bpf_map_lookup_elem(&vp_vlans, &key);

	return segment ? *segment : 0;
}

/* The segment that the frame belongs to, 0 = none. A priority tag (VID 0) is no VLAN: the frame counts as untagged. */
static __always_inline __u32 vlan_enter(const struct scene *s)
{
	if (s->f.stacked)
		return 0;
	if (!s->f.vid)
		return s->port->segment;
	return s->port->flags & VP_PORT_TRUNK ? vlan_segment(s->bank, s->in, s->f.vid) : 0;
}

/* The VID with which port `id` sends frames of segment `seg`: 0 = untagged, VLAN_NONE = it is no member. */
static __always_inline int vlan_leave(__u32 bank, __u32 id, const struct vp_port *port, __u32 seg,
				      const struct vp_segment *segment)
{
	if (port->segment == seg)
		return 0;
	if (!(port->flags & VP_PORT_TRUNK) || !segment->vlan)
		return VLAN_NONE;
	return vlan_segment(bank, id, segment->vlan) == seg ? segment->vlan : VLAN_NONE;
}

#endif
