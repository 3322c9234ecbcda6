/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"

#define POOL 512

const uint8_t MAC_A[6] = { 0x52, 0x54, 0, 0, 0, 0x0a };
const uint8_t MAC_B[6] = { 0x52, 0x54, 0, 0, 0, 0x0b };
const uint8_t MAC_C[6] = { 0x52, 0x54, 0, 0, 0, 0x0c };
const uint8_t MAC_H[6] = { 0x52, 0x54, 0, 0, 0, 0x11 };
const uint8_t MAC_N[6] = { 0x52, 0x54, 0, 0, 0, 0x12 };
const uint8_t MAC_S[6] = { 0x52, 0x54, 0, 0, 0, 0x13 };
const uint8_t MAC_D[6] = { 0x52, 0x54, 0, 0, 0, 0x14 };
const uint8_t MAC_NEW[6] = { 0x52, 0x54, 0, 0, 0, 0x99 };
const uint8_t MAC_UNKNOWN[6] = { 0x52, 0x54, 0, 0, 0, 0x77 };
const uint8_t MAC_BROADCAST[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
const uint8_t MAC_GROUP[6] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb };
const uint8_t MAC_ZERO[6] = { 0 };
const uint8_t MAC_BPDU[6] = { 0x01, 0x80, 0xc2, 0, 0, 0x00 };
const uint8_t MAC_LLDP[6] = { 0x01, 0x80, 0xc2, 0, 0, 0x0e };
const uint8_t MAC_AFTER_RESERVED[6] = { 0x01, 0x80, 0xc2, 0, 0, 0x10 };

static struct frame pool[POOL];
static unsigned int used;

void frames_reset(void)
{
	used = 0;
}

static struct frame *frame_new(void)
{
	struct frame *f = &pool[used++];

	if (used > POOL) {
		fprintf(stderr, "frames: more than %d in use\n", POOL);
		exit(1);
	}
	memset(f, 0, sizeof(*f));
	return f;
}

/* All growth goes through here: a frame larger than the buffer is a mistake in a test, and loud. */
static uint8_t *room(struct frame *f, uint32_t n)
{
	uint8_t *p = f->b + f->len;

	if (n > FRAME_MAX - f->len) {
		fprintf(stderr, "frames: more than %d bytes\n", FRAME_MAX);
		exit(1);
	}
	f->len += n;
	return p;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v & 0xff;
}

static uint16_t get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static void payload(struct frame *f, uint32_t n)
{
	uint8_t *p = room(f, n);
	uint32_t i;

	for (i = 0; i < n; i++)
		p[i] = 0x41 + i % 26;
}

static uint32_t sum(const uint8_t *p, uint32_t n, uint32_t s)
{
	uint32_t i;

	for (i = 0; i + 1 < n; i += 2)
		s += get16(p + i);
	if (n & 1)
		s += p[n - 1] << 8;
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

struct frame *eth(const uint8_t dst[6], const uint8_t src[6])
{
	struct frame *f = frame_new();
	uint8_t *p = room(f, 12);

	memcpy(p, dst, 6);
	memcpy(p + 6, src, 6);
	return f;
}

struct frame *tag(struct frame *f, uint16_t tpid, uint16_t tci)
{
	uint8_t *p = room(f, 4);

	put16(p, tpid);
	put16(p + 2, tci);
	return f;
}

static void ethertype(struct frame *f, uint16_t type)
{
	put16(room(f, 2), type);
	f->l3 = f->len;
}

struct frame *raw(struct frame *f, uint16_t type, uint32_t n)
{
	ethertype(f, type);
	payload(f, n);
	return f;
}

struct frame *arp(struct frame *f)
{
	static const uint8_t body[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	uint8_t *p;

	ethertype(f, 0x0806);
	p = room(f, 28);
	memcpy(p, body, sizeof(body));
	memcpy(p + 8, f->b + 6, 6);
	memcpy(p + 14, "\xc6\x12\x00\x0a", 4);
	memcpy(p + 24, "\xc6\x12\x00\x0b", 4);
	return f;
}

static void ip4_header(struct frame *f, uint8_t proto, uint32_t header, uint32_t n)
{
	uint8_t *p;

	ethertype(f, 0x0800);
	p = room(f, header);
	p[0] = 0x40 | header / 4;
	put16(p + 2, header + n);
	p[8] = 64;
	p[9] = proto;
	memcpy(p + 12, "\xc6\x12\x00\x0a", 4);
	memcpy(p + 16, "\xc6\x12\x00\x0b", 4);
	if (header > 20)
		memset(p + 20, 1, header - 20); /* no-operation options */
	put16(p + 10, ~fold(sum(p, header, 0)));
	f->l4 = f->len;
}

static void ip6_header(struct frame *f, uint8_t next, uint32_t n)
{
	uint8_t *p;

	ethertype(f, 0x86dd);
	p = room(f, 40);
	p[0] = 0x60;
	put16(p + 4, n);
	p[6] = next;
	p[7] = 64;
	memcpy(p + 8, "\xfd\x00\x01\x98\0\0\0\0\0\0\0\0\0\0\0\x0a", 16);
	memcpy(p + 24, "\xfd\x00\x01\x98\0\0\0\0\0\0\0\0\0\0\0\x0b", 16);
	f->l4 = f->len;
}

struct frame *ip4(struct frame *f, uint8_t proto, uint32_t n)
{
	ip4_header(f, proto, 20, n);
	payload(f, n);
	return f;
}

struct frame *ip6(struct frame *f, uint8_t next, uint32_t n)
{
	ip6_header(f, next, n);
	payload(f, n);
	return f;
}

/* Sum over the pseudo header; `proto` and length as they are, independent of what the header fields claim. */
static uint32_t pseudo(const struct frame *f, uint8_t proto, uint32_t n)
{
	const uint8_t *p = f->b + f->l3;

	if ((p[0] >> 4) == 4)
		return sum(p + 12, 8, proto + n);
	return sum(p + 8, 32, proto + n);
}

static void put_csum(struct frame *f, uint8_t proto, uint32_t offset, enum csum c)
{
	uint8_t *field = f->b + f->l4 + offset;
	uint32_t n = f->len - f->l4, p = pseudo(f, proto, n);
	uint16_t full;

	put16(field, 0);
	full = ~fold(sum(f->b + f->l4, n, p));
	if (!full)
		full = 0xffff;
	if (c == FULL)
		put16(field, full);
	else if (c == PARTIAL)
		put16(field, fold(p));
	else if (c == BAD)
		put16(field, fold(p) == 0x1234 ? 0x4321 : 0x1234);
}

static struct frame *udp(struct frame *f, uint32_t n, enum csum c)
{
	uint8_t *p = room(f, 8);

	put16(p, 4000);
	put16(p + 2, 5000);
	put16(p + 4, 8 + n);
	payload(f, n);
	put_csum(f, 17, 6, c);
	return f;
}

static struct frame *tcp(struct frame *f, uint32_t n, enum csum c)
{
	uint8_t *p = room(f, 20);

	put16(p, 4000);
	put16(p + 2, 5000);
	p[12] = 0x50;
	p[13] = 0x10;
	put16(p + 14, 500);
	payload(f, n);
	put_csum(f, 6, 16, c);
	return f;
}

struct frame *udp4(struct frame *f, uint32_t n, enum csum c)
{
	ip4_header(f, 17, 20, 8 + n);
	return udp(f, n, c);
}

struct frame *udp6(struct frame *f, uint32_t n, enum csum c)
{
	ip6_header(f, 17, 8 + n);
	return udp(f, n, c);
}

struct frame *tcp4(struct frame *f, uint32_t n, enum csum c)
{
	ip4_header(f, 6, 20, 20 + n);
	return tcp(f, n, c);
}

struct frame *tcp6(struct frame *f, uint32_t n, enum csum c)
{
	ip6_header(f, 6, 20 + n);
	return tcp(f, n, c);
}

struct frame *options4(struct frame *f, uint32_t n, enum csum c)
{
	ip4_header(f, 17, 24, 8 + n);
	return udp(f, n, c);
}

struct frame *sum_zero(struct frame *f, enum csum c)
{
	uint8_t *word = f->b + f->l4 + 8;

	put_csum(f, 17, 6, FULL);
	put16(word, fold((uint32_t)get16(word) + get16(f->b + f->l4 + 6)));
	put_csum(f, 17, 6, c);
	return f;
}

/* What the kernel does for an outer checksum (LCO): it counts on the inner one being finished on the way. */
struct frame *tunnel4(struct frame *f, uint16_t port, enum csum inner)
{
	const struct frame *in = udp4(eth(MAC_B, MAC_A), 50, inner), *done = udp4(eth(MAC_B, MAC_A), 50, FULL);
	uint16_t field;

	udp4(f, 8 + in->len, ZERO);
	put16(f->b + f->l4 + 2, port);
	memcpy(f->b + f->l4 + 16, done->b, done->len);
	put_csum(f, 17, 6, FULL);
	field = get16(f->b + f->l4 + 6);
	memcpy(f->b + f->l4 + 16, in->b, in->len);
	return poke16(f, f->l4 + 6, field);
}

struct frame *fragment4(struct frame *f, uint32_t n, uint16_t flags_offset)
{
	ip4(f, 17, n);
	return poke16(f, f->l3 + 6, flags_offset);
}

struct frame *poke8(struct frame *f, uint32_t offset, uint8_t v)
{
	f->b[offset] = v;
	return f;
}

struct frame *poke16(struct frame *f, uint32_t offset, uint16_t v)
{
	put16(f->b + offset, v);
	return f;
}

struct frame *cut(struct frame *f, uint32_t len)
{
	if (len < f->len)
		f->len = len;
	return f;
}

struct frame *pad(struct frame *f, uint32_t len)
{
	uint32_t n = len > f->len ? len - f->len : 0;

	memset(room(f, n), 0, n);
	return f;
}

struct frame *copy(const struct frame *f)
{
	struct frame *c = frame_new();

	*c = *f;
	return c;
}

struct frame *ip_len(struct frame *f, uint16_t v)
{
	return poke16(f, f->l3 + ((f->b[f->l3] >> 4) == 4 ? 2 : 4), v);
}

struct frame *udp_len(struct frame *f, uint16_t v)
{
	return poke16(f, f->l4 + 4, v);
}

struct frame *pseudo_ffff(struct frame *f, uint16_t field)
{
	uint32_t low = f->l3 + ((f->b[f->l3] >> 4) == 4 ? 14 : 22); /* last 16 bits of the source address */

	poke16(f, low, 0);
	poke16(f, low, 0xffff - fold(pseudo(f, 17, f->len - f->l4)));
	return poke16(f, f->l4 + 6, field);
}
