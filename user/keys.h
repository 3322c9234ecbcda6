/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the entry with a key of eight bytes stands in an array: a segment's or a port's id with a MAC address, as in
 * the kernel's tables.  Sorting 65,536 of them and searching took a fifth of an `up` that has so many.
 */
#ifndef KEYS_H
#define KEYS_H

#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES 8
#define KEYS_NONE SIZE_MAX

struct keys {
	struct keys_slot {
		uint64_t key;
		size_t at; /* + 1; 0 = free */
	} *slots;
	unsigned int shift; /* 64 - log2 of their number */
};

int keys_init(struct keys *k, size_t most); /* for at most so many; -ENOMEM */
void keys_put(struct keys *k, const void *key, size_t at); /* a key that is there already gets the new place */
size_t keys_find(const struct keys *k, const void *key); /* KEYS_NONE: it is not there */
void keys_free(struct keys *k);

#endif
