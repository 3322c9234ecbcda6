/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Did this frame come straight from the driver, or on the generic path, as a socket buffer?  There the kernel remembers
 * beside the frame that its checksum is unfinished, and would sum again over one that we have finished.  Which path it
 * is, a TAP's owner decides frame by frame (blocking descriptor, send buffer, size, GSO) and nothing tells the loader.
 * But the kernel's own xdp_buff shows it: on the generic path its queue is one of the device's array, `dev->_rx`, and a
 * driver has queues of its own (tests/kernel/xdp_native_seen.c).
 */
#ifndef NATIVE_H
#define NATIVE_H

#include <bpf/bpf_core_read.h>
#include "device.h"

struct netdev_rx_queue {
	struct net_device___rx *dev;
} __attribute__((preserve_access_index));

struct net_device___rx {
	struct netdev_rx_queue *_rx;
	unsigned int num_rx_queues;
} __attribute__((preserve_access_index));

struct xdp_rxq_info {
	struct net_device___rx *dev;
} __attribute__((preserve_access_index));

struct xdp_buff {
	void *data_hard_start;
	struct xdp_rxq_info *rxq;
	__u32 frame_sz;
	__u32 flags;
} __attribute__((preserve_access_index));

struct skb_shared_info {
	unsigned short gso_size;
	unsigned int gso_type;
} __attribute__((preserve_access_index));

#define CACHE_LINE 64 /* SMP_CACHE_BYTES, to which the kernel rounds the structure up */

#define XDP_HAS_FRAGS 1 /* bit of xdp_buff.flags (enum xdp_buff_flags) */

/* Length of the whole frame in bytes. Most are in one buffer: a call less. */
static __always_inline __u32 xdp_length(struct xdp_md *ctx)
{
	if (vp_live && !(((struct xdp_buff *)bpf_cast_to_kern_ctx(ctx))->flags & XDP_HAS_FRAGS))
		return ctx->data_end - ctx->data;
	return bpf_xdp_get_buff_len(ctx);
}

/* 0 also means: not known. */
static __always_inline int native(struct xdp_md *ctx)
{
	if (!vp_live) /* the same kernels have both kfuncs */
		return 0;
	struct xdp_buff *x = xdp_walkable(ctx);
	struct net_device___rx *dev = x->rxq->dev;
	__u64 queues = (__u64)dev->num_rx_queues * bpf_core_type_size(struct netdev_rx_queue);

	return (__u64)((void *)x->rxq - (void *)dev->_rx) >= queues;
}

/*
 * Is it a superframe?  The sender says so of any frame it likes, and the kernel, which would cut it or refuse it, is
 * not asked when XDP sends it.  On the generic path the socket buffer's own shared info is where a frame in several
 * buffers has it: behind the room of the first.
 */
static __always_inline int is_super(struct xdp_md *ctx)
{
	if (!vp_live || native(ctx))
		return 0;
	struct xdp_buff *x = xdp_walkable(ctx);
	__u32 size = (bpf_core_type_size(struct skb_shared_info) + CACHE_LINE - 1) & ~(CACHE_LINE - 1);
	void *at = x->data_hard_start + x->frame_sz - size;
	struct skb_shared_info *shared = bpf_rdonly_cast(at, bpf_core_type_id_kernel(struct skb_shared_info));

	return !!shared->gso_size;
}

#endif
