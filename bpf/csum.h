/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UDP checksums.  What XDP sends on must be right when it arrives, since the redirect forgets whatever the kernel knows
 * about it.  So XDP sums up each datagram that may come from a guest's stack:
 *
 * - The field holds the folded sum of the pseudo header, not complemented: unfinished, the guest left the rest to its
 *   (virtual) NIC.  XDP finishes it, where no mark beside the frame says so too (native.h).
 * - The sum is right: it is.
 * - The sum is wrong: perhaps a tunnel, whose outer checksum already counts on the inner one being finished.  tc's.
 *
 * Sums are compared modulo 0xffff.
 */
#ifndef CSUM_H
#define CSUM_H

#include <bpf/bpf_endian.h>
#include "maps.h"

#define CSUM_FIELD 6	    /* offset of the checksum in the UDP header */
#define CSUM_MOST 0x0fff    /* bytes we can sum up; a frame in one buffer is shorter than a page */
#define CSUM_AT_MOST 0x00ff /* where the UDP header can begin */
#define CSUM_PIECE 512	    /* the most that bpf_csum_diff takes before 6.13, and then only multiples of 4 */
#define CSUM_STEP 32	    /* a call for less does not pay */
#define CSUM_PIECES 0x0e00  /* the bits of a length that are whole pieces */
#define CSUM_STEPS 0x01e0   /* ... and steps beside them */

/* A datagram, as its checksum sees it. */
struct udp_check {
	__u16 at;     /* of the UDP header in the frame */
	__u16 len;    /* of the datagram */
	__u16 pseudo; /* folded sum of the pseudo header */
};

/* `sum` of less than 2^48. */
static __always_inline __u32 csum_fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? 0 : sum;
}

/* Sum of two words in wire order. */
static __always_inline __u64 csum_pair(const __be32 *at)
{
	return (__u64)at[0] + at[1];
}

/* A piece of `size` bytes, a constant, of the datagram at `from`. */
#define CSUM_ADD(sum, from, end, size)                                                                                 \
	({                                                                                                             \
		if ((from) + (size) > (end))                                                                           \
			return -1;                                                                                     \
		(sum) += (__u32)bpf_csum_diff(0, 0, (from), (size), 0);                                                \
	})

/* The last few bytes: cheaper without a call. */
#define CSUM_LOAD(sum, from, end, type)                                                                                \
	({                                                                                                             \
		if ((from) + sizeof(type) > (end))                                                                     \
			return -1;                                                                                     \
		(sum) += *(type *)(from);                                                                              \
	})

/*
 * `bits` of the length.  Asked anew each time, out of the compiler's sight: where the next part begins then tells the
 * verifier nothing of which way it came, and it goes on from there once.
 */
static __always_inline __u32 csum_bits(__u32 len, __u32 bits)
{
	asm volatile("" : "+r"(len));
	return len & bits;
}

/*
 * Unfolded sum of `len` bytes from `at` on; -1 = they are not all in the first buffer.  All in constant sizes, as the
 * verifier wants it on packet memory: whole pieces, one call for the steps that remain, single words.
 */
static __always_inline long csum_bytes(struct xdp_md *ctx, __u32 at, __u32 len)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *p = data + (at & CSUM_AT_MOST);
	__u64 sum = 0;
	__u32 part;

	if (at > CSUM_AT_MOST || len > CSUM_MOST)
		return -1;
	part = csum_bits(len, CSUM_PIECES);
#pragma unroll
	for (__u32 i = 0; i + CSUM_PIECE <= CSUM_MOST; i += CSUM_PIECE)
		if (part >= i + CSUM_PIECE)
			CSUM_ADD(sum, p + i, end, CSUM_PIECE);
	p += csum_bits(len, CSUM_PIECES);
	part = csum_bits(len, CSUM_STEPS);
#pragma unroll
	for (__u32 i = CSUM_STEP; i < CSUM_PIECE; i += CSUM_STEP)
		if (part == i)
			CSUM_ADD(sum, p, end, i);
	p += csum_bits(len, CSUM_STEPS);
	if (len & 16) {
		CSUM_LOAD(sum, p, end, __u32);
		CSUM_LOAD(sum, p + 4, end, __u32);
		CSUM_LOAD(sum, p + 8, end, __u32);
		CSUM_LOAD(sum, p + 12, end, __u32);
	}
	p += csum_bits(len, 16);
	if (len & 8) {
		CSUM_LOAD(sum, p, end, __u32);
		CSUM_LOAD(sum, p + 4, end, __u32);
	}
	p += csum_bits(len, 8);
	if (len & 4)
		CSUM_LOAD(sum, p, end, __u32);
	p += csum_bits(len, 4);
	if (len & 2)
		CSUM_LOAD(sum, p, end, __u16);
	p += csum_bits(len, 2);
	if (!(len & 1))
		return sum;
	if (p + 1 > end)
		return -1;
	return sum + bpf_htons(*(__u8 *)p << 8);
}

/*
 * Is the datagram's checksum right, or what must it become if it is unfinished?  -1: it is wrong.  Else what
 * csum_fill() is to do: 0 = nothing.  Changes nothing in the frame.
 */
static __always_inline int csum_right(struct xdp_md *ctx, const struct udp_check *c, int unfinished)
{
	long sum = csum_bytes(ctx, c->at, c->len);

	if (sum < 0)
		return -1;
	sum = (sum & 0xffffffff) + (sum >> 32);
	if (!unfinished)
		return csum_fold(sum + c->pseudo) ? -1 : 0;
	/* never 0, which would say "none": csum_fold() is never 0xffff */
	return c->at << 16 | (~csum_fold(sum) & 0xffff);
}

/*
 * Write `fill`, csum_right()'s answer.  From here on the frame may only be redirected or dropped: `moved` bytes were
 * put in front of it.
 */
static __always_inline void csum_fill(struct xdp_md *ctx, __u32 fill, int moved)
{
	void *at = (void *)(long)ctx->data + (((fill >> 16) + CSUM_FIELD + moved) & CSUM_AT_MOST);

	if (fill && at + sizeof(__be16) <= (void *)(long)ctx->data_end)
		*(__be16 *)at = fill;
}

#endif
