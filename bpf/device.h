/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state of a target device as it is now.  No process of ours runs that could notice a device going down, so the
 * program looks at the kernel's net_device: a DEVMAP_HASH value is part of an entry that points to it, and the kernel
 * removes the entry when the device goes away or changes its namespace.  Where the kernel has no bpf_rdonly_cast
 * (before 6.2), what the loader saw at attach time must do.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <bpf/bpf_core_read.h>
#include <linux/if_ether.h>
#include "maps.h"

#define DEVICE_UP 1 /* IFF_UP; linux/if.h wants a C library */
#define LINK_STATE_NOCARRIER 2 /* bit of net_device.state (enum netdev_state_t) */
#define XDP_ACT_NDO_XMIT 4     /* bit of net_device.xdp_features (enum netdev_xdp_act) */

struct net___vp {
	__u64 net_cookie;
} __attribute__((preserve_access_index));

struct net_device___vp {
	struct {
		struct net___vp *net;
	} nd_net;
	unsigned int flags;
	unsigned int mtu;
	unsigned long state;
	__u32 xdp_features;
} __attribute__((preserve_access_index));

struct devmap_val___vp {
	__u32 ifindex;
} __attribute__((preserve_access_index));

struct bpf_dtab_netdev {
	struct net_device___vp *dev;
	struct devmap_val___vp val;
} __attribute__((preserve_access_index));

struct xdp_rxq_info___vp {
	struct net_device___vp *dev;
} __attribute__((preserve_access_index));

struct xdp_buff___vp {
	struct xdp_rxq_info___vp *rxq;
} __attribute__((preserve_access_index));

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;
extern void *bpf_cast_to_kern_ctx(void *obj) __ksym __weak;

/*
 * The kernel's own struct xdp_buff, for following its pointers.  bpf_cast_to_kern_ctx alone would do, but what that
 * returns is trusted, and at each pointer in it the verifier searches all types of the kernel, several times, for what
 * may be trusted next.
 */
static __always_inline void *xdp_walkable(struct xdp_md *ctx)
{
	return bpf_rdonly_cast(bpf_cast_to_kern_ctx(ctx), bpf_core_type_id_kernel(struct xdp_buff___vp));
}

struct live {
	__u32 mtu;
	__u8 up;   /* present, up, with carrier */
	__u8 xmit; /* takes frames from XDP */
	__u16 pad;
};

static __always_inline void device_look(const void *value, const struct vp_port *port, struct live *out)
{
	const void *entry = value - bpf_core_field_offset(struct bpf_dtab_netdev, val);
	struct bpf_dtab_netdev *slot = bpf_rdonly_cast(entry, bpf_core_type_id_kernel(struct bpf_dtab_netdev));
	struct net_device___vp *dev = bpf_rdonly_cast(slot->dev, bpf_core_type_id_kernel(struct net_device___vp));

	out->mtu = dev->mtu;
	out->up = (dev->flags & DEVICE_UP) && !(dev->state & (1UL << LINK_STATE_NOCARRIER));
	if (bpf_core_field_exists(dev->xdp_features))
		out->xmit = !!(dev->xdp_features & XDP_ACT_NDO_XMIT);
	else
		out->xmit = 1;
	if (!(port->flags & VP_PORT_XDP_TARGET))
		out->xmit = 0;
}

/* Fill in `out` for port `id`; out->up == 0: nothing can be sent there. */
static __always_inline void device_live(__u32 id, const struct vp_port *port, struct live *out)
{
	struct bpf_devmap_val *value;

	__builtin_memset(out, 0, sizeof(*out));
	if (!(port->flags & VP_PORT_UP))
		return;
	value = bpf_map_lookup_elem(&vp_targets, &id);
	if (!value || value->ifindex != port->ifindex)
		return;
	if (vp_live) {
		device_look(value, port, out);
		return;
	}
	out->mtu = port->mtu;
	out->up = 1;
	out->xmit = !!(port->flags & VP_PORT_XDP_TARGET);
}

/*
 * May a frame come from there?  XDP runs on a TAP that is down, too, before the kernel looks; and a device that is
 * moved to another namespace loses its tc programs but takes its XDP program along, and may have the index of one of
 * ours.
 */
static __always_inline int device_is_in(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct vp_plane *plane = bpf_map_lookup_elem(&vp_plane, &zero);
	struct net_device___vp *dev;

	if (!vp_live || !plane)
		return 1;
	dev = ((struct xdp_buff___vp *)xdp_walkable(ctx))->rxq->dev;
	return (dev->flags & DEVICE_UP) && dev->nd_net.net->net_cookie == plane->netns;
}

/* Does a frame of `len` bytes (with `inband` tag or not) fit? */
static __always_inline int device_fits(const struct live *target, __u32 len, __u32 inband)
{
	return len <= target->mtu + ETH_HLEN + (inband ? 4 : 0);
}

#endif
