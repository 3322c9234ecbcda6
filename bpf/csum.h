/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is this UDP checksum one that a guest left for its (virtual) NIC to finish?  Then the field holds the folded sum of
 * the pseudo header, not complemented (KERNEL.md section 10).  Sums are compared modulo 0xffff.
 */
#ifndef CSUM_H
#define CSUM_H

#include "maps.h"

static __always_inline __u32 csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? 0 : sum;
}

/* Sum of `words` 16-bit words in wire order. */
static __always_inline __u32 csum_words(const __be16 *at, int words)
{
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < words; i++)
		sum += at[i];
	return sum;
}

/* A field of 0 says "no checksum": tunnels do that, with an unfinished one inside. It counts as unfinished. */
static __always_inline int csum_unfinished(__be16 field, __u32 addresses, __u8 protocol, __be16 length)
{
	__u32 pseudo = csum_fold(addresses + bpf_htons(protocol) + length);

	return field == 0 || csum_fold(field) == pseudo;
}

#endif
