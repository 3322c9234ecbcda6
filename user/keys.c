/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int keys_init(struct keys *k, size_t most)
{
	unsigned int bits = 4;

	while (((size_t)1 << bits) / 2 < most) /* never more than half full */
		bits++;
	k->shift = 64 - bits;
	k->slots = calloc((size_t)1 << bits, sizeof(*k->slots));
	return k->slots ? 0 : -ENOMEM;
}

/* The key's slot, or the free one where it belongs; the next one is tried if another key is there. */
static struct keys_slot *slot_of(const struct keys *k, const void *bytes, uint64_t *key)
{
	size_t last = ((size_t)1 << (64 - k->shift)) - 1;

	memcpy(key, bytes, KEY_BYTES);
	/* Fibonacci hashing (Knuth, vol. 3, 6.4): neighbours are spread, and the upper bits depend on all of it. */
	size_t i = *key * 0x9e3779b97f4a7c15ULL >> k->shift;

	while (k->slots[i].at && k->slots[i].key != *key)
		i = (i + 1) & last;
	return &k->slots[i];
}

void keys_put(struct keys *k, const void *key, size_t at)
{
	uint64_t number;
	struct keys_slot *slot = slot_of(k, key, &number);

	*slot = (struct keys_slot){number, at + 1};
}

size_t keys_find(const struct keys *k, const void *key)
{
	uint64_t number;

	return slot_of(k, key, &number)->at - 1; /* 0 - 1 is KEYS_NONE */
}

void keys_free(struct keys *k)
{
	free(k->slots);
	k->slots = NULL;
}
