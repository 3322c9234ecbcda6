/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A MAC address as a number: its six bytes in the order of the wire, in the low 48 bits.  With a 16-bit id in front of
 * them they make a key of one word.  A lookup that reads a word just written in pieces would have to wait for them.
 */
#ifndef MAC_H
#define MAC_H

#include <linux/types.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MAC_BYTE(value, i) ((__u64)(value) << (8 * (i)))
#define MAC_HEAD	   0  /* where the first four bytes lie, */
#define MAC_TAIL	   32 /* and the other two */
#define MAC_KEY(id, mac)   ((__u64)(id) | (mac) << 16)
#define KEY_ID(key)	   ((__u16)(key))
#define KEY_MAC(key)	   ((key) >> 16)
#else
#define MAC_BYTE(value, i) ((__u64)(value) << (40 - 8 * (i)))
#define MAC_HEAD	   16
#define MAC_TAIL	   0
#define MAC_KEY(id, mac)   ((__u64)(id) << 48 | (mac))
#define KEY_ID(key)	   ((__u16)((key) >> 48))
#define KEY_MAC(key)	   ((key) & 0xffffffffffffULL)
#endif

#define MAC(a, b, c, d, e, f) \
	(MAC_BYTE(a, 0) | MAC_BYTE(b, 1) | MAC_BYTE(c, 2) | MAC_BYTE(d, 3) | MAC_BYTE(e, 4) | MAC_BYTE(f, 5))

static __always_inline __u64 mac_load(const __u8 *at)
{
	return (__u64) * (const __u32 *)at << MAC_HEAD | (__u64) * (const __u16 *)(at + 4) << MAC_TAIL;
}

static __always_inline void mac_store(__u8 *at, __u64 mac)
{
	*(__u32 *)at = mac >> MAC_HEAD;
	*(__u16 *)(at + 4) = mac >> MAC_TAIL;
}

static __always_inline int mac_is_group(__u64 mac)
{
	return !!(mac & MAC(1, 0, 0, 0, 0, 0));
}

static __always_inline int mac_is_broadcast(__u64 mac)
{
	return mac == MAC(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
}

/* 01:80:C2:00:00:00 to 0F: for the bridge at the other end of the wire only (IEEE 802.1Q, table 8-1). */
static __always_inline int mac_is_reserved(__u64 mac)
{
	return (mac & ~MAC(0, 0, 0, 0, 0, 0x0f)) == MAC(0x01, 0x80, 0xc2, 0, 0, 0);
}

#endif
