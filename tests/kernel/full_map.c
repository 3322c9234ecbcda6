/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A preallocated hash takes max_entries keys and not one more (E2BIG), known keys can still be written, and a full
 * queue is E2BIG too: bpf/fdb.h counts `table_full` by that number.
 */
#include "fact.h"

#define ENTRIES 1000

int main(void)
{
	uint64_t value = 1;
	uint32_t key;

	probe_begin();
	int hash = make_map(BPF_MAP_TYPE_HASH, 8, ENTRIES, 0);
	int queue = must(bpf_map_create(BPF_MAP_TYPE_QUEUE, "probe", 0, 8, ENTRIES, NULL), "queue");

	for (key = 0; key < ENTRIES; key++) {
		must(bpf_map_update_elem(hash, &key, &value, BPF_NOEXIST), "entry");
		must(bpf_map_update_elem(queue, NULL, &value, 0), "ticket");
	}
	int more = bpf_map_update_elem(hash, &key, &value, BPF_NOEXIST) ? errno : 0;
	int ticket = bpf_map_update_elem(queue, NULL, &value, 0) ? errno : 0;

	key = 0;
	int known = bpf_map_update_elem(hash, &key, &value, BPF_ANY) ? errno : 0;

	if (more != E2BIG || ticket != E2BIG || known)
		broken("one more key: %d, one more ticket: %d, a known key: %d", more, ticket, known);
	return holds("hash and queue take %d entries and refuse one more with E2BIG, known keys are written", ENTRIES);
}
