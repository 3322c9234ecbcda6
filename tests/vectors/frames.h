/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames, built from the outside inwards: `udp4(eth(MAC_B, MAC_A), 18, FULL)`.  A frame has exactly the bytes that were
 * put into it: nothing pads to 60.  Frames live in a pool until `frames_reset`.
 */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#define FRAME_MAX 3400 /* what test_run takes in one linear buffer */

struct frame {
	uint32_t len;
	uint32_t l3, l4; /* offsets, 0 = none */
	uint8_t b[FRAME_MAX];
};

enum csum {
	FULL,	 /* right */
	PARTIAL, /* the folded, non-complemented pseudo-header sum: unfinished */
	ZERO,	 /* 0 */
	BAD	 /* neither */
};

/* The cast. */
extern const uint8_t MAC_A[6], MAC_B[6], MAC_C[6], MAC_H[6], MAC_N[6], MAC_S[6], MAC_D[6], MAC_NEW[6], MAC_UNKNOWN[6];
extern const uint8_t MAC_BROADCAST[6], MAC_GROUP[6], MAC_ZERO[6], MAC_BPDU[6], MAC_LLDP[6], MAC_AFTER_RESERVED[6];

void frames_reset(void);

struct frame *eth(const uint8_t dst[6], const uint8_t src[6]);
struct frame *tag(struct frame *f, uint16_t tpid, uint16_t tci);
struct frame *raw(struct frame *f, uint16_t ethertype, uint32_t n); /* EtherType and n bytes of payload */
struct frame *arp(struct frame *f);
struct frame *ip4(struct frame *f, uint8_t proto, uint32_t n); /* n bytes behind the IP header */
struct frame *ip6(struct frame *f, uint8_t next, uint32_t n);
struct frame *udp4(struct frame *f, uint32_t n, enum csum c); /* n bytes of payload */
struct frame *udp6(struct frame *f, uint32_t n, enum csum c);
struct frame *tcp4(struct frame *f, uint32_t n, enum csum c);
struct frame *tcp6(struct frame *f, uint32_t n, enum csum c);
struct frame *fragment4(struct frame *f, uint32_t n, uint16_t flags_offset); /* of UDP */
struct frame *options4(struct frame *f, uint32_t n, enum csum c); /* UDP behind an IP header of 24 bytes */
/* UDP around a whole frame of UDP; the outer checksum is right once the inner one is finished, whatever it is now. */
struct frame *tunnel4(struct frame *f, uint16_t port, enum csum inner);
struct frame *sum_zero(struct frame *f, enum csum c); /* changes two bytes of UDP so that the sum, finished, is 0 */

struct frame *poke8(struct frame *f, uint32_t offset, uint8_t v);
struct frame *poke16(struct frame *f, uint32_t offset, uint16_t v); /* network order on the wire */
struct frame *cut(struct frame *f, uint32_t len);
struct frame *pad(struct frame *f, uint32_t len);
struct frame *copy(const struct frame *f);

/* Shortcuts into the last built IP packet. */
struct frame *ip_len(struct frame *f, uint16_t v);  /* IPv4 total length or IPv6 payload length */
struct frame *udp_len(struct frame *f, uint16_t v); /* and nothing else: the field lies */

/*
 * Chooses the source address so that the pseudo-header sums up to 0xffff, and puts `field` into the checksum.
 * In ones' complement 0x0000 and 0xffff are the same number.
 */
struct frame *pseudo_ffff(struct frame *f, uint16_t field);

#endif
