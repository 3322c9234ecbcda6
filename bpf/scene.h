/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All that decides a frame's fate, gathered once: the frame, the port it came from, the bank in force, the time.
 * The stages read it; decide() writes the verdict; count.h carries it out.
 */
#ifndef SCENE_H
#define SCENE_H

#include "device.h"
#include "frame.h"

enum verdict {
	VERDICT_DROP,
	VERDICT_FORWARD,
	VERDICT_FLOOD,
};

struct scene {
	struct frame f;
	__u32 bank;
	__u32 in; /* port id */
	__u32 flags; /* of the port */
	const struct vp_port *port;
	__u32 seg;			  /* id of the segment the frame belongs to, 0 in a binding */
	const struct vp_segment *segment; /* NULL in a binding */
	__u32 now;			  /* tick */
	__u8 sound;			  /* XDP: no checksum of it need be looked at */

	/* the verdict */
	__u8 verdict;
	__u8 reason; /* of a drop */
	__u8 learn;  /* the source address is to be learned */
	__u8 duplicate; /* ... and is another port's as well */
	__u8 known;     /* forward: the next frame like this one will have the same verdict, with nothing to learn */
	__u32 out;		    /* forward: port id */
	__u32 tag;		    /* forward: the VID it leaves with, 0 = untagged */
	const struct vp_port *to;   /* forward */
	struct live target;	    /* forward */
	struct vp_mac *src;	    /* MAC table's entry of the source, or NULL */
};

static __always_inline const struct vp_port *port_of(__u32 bank, __u32 id)
{
	__u32 at = vp_bank_index(bank, VP_MAX_PORTS, id);

	if (id >= VP_MAX_PORTS)
		return 0;
	return bpf_map_lookup_elem(&vp_ports, &at);
}

static __always_inline const struct vp_segment *segment_of(__u32 bank, __u32 id)
{
	__u32 at = vp_bank_index(bank, VP_MAX_SEGMENTS, id);

	if (id >= VP_MAX_SEGMENTS)
		return 0;
	return bpf_map_lookup_elem(&vp_segments, &at);
}

static __always_inline const struct vp_member *member_of(__u32 bank, __u32 index)
{
	__u32 at = vp_bank_index(bank, VP_MAX_MEMBERS, index);

	if (index >= VP_MAX_MEMBERS)
		return 0;
	return bpf_map_lookup_elem(&vp_members, &at);
}

/* Which port is this device? 0 = none of ours. */
static __always_inline __u32 port_id(__u32 ifindex)
{
	__u64 *near = bpf_map_lookup_elem(&vp_near, &ifindex);
	__u32 *id;

	if (near)
		return *near;
	id = bpf_map_lookup_elem(&vp_ifaces, &ifindex);
	return id ? *id : 0;
}

/*
 * Which port is this device, by the configuration in force? -1: none of ours.  A device that a port is about to get,
 * or has had, is none: the index leads to it before the switch, and what the port is then is of another device.
 */
static __always_inline int scene_open(struct scene *s, __u32 ifindex)
{
	__u32 zero = 0;
	struct vp_plane *plane = bpf_map_lookup_elem(&vp_plane, &zero);

	s->in = port_id(ifindex);
	if (!s->in || !plane)
		return -1;
	s->bank = *(volatile __u32 *)&plane->bank & 1;
	s->now = plane->tick;
	s->port = port_of(s->bank, s->in);
	if (!s->port || s->port->ifindex != ifindex)
		return -1;
	s->flags = s->port->flags;
	return 0;
}

#endif
