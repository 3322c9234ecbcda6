/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A preallocated hash takes exactly max_entries, then update with BPF_NOEXIST is E2BIG, known keys still update, and a
 * queue that is full is E2BIG as well (bpf/fdb.h). */
#include "probe.h"

enum { ENTRIES = 1000 };

int main(void)
{
	int hash = bpf_map_create(BPF_MAP_TYPE_HASH, "probe", 4, 8, ENTRIES, NULL), ret;
	int queue = bpf_map_create(BPF_MAP_TYPE_QUEUE, "probe", 0, 8, ENTRIES, NULL);
	__u64 value = 1;
	__u32 i;

	if (hash < 0 || queue < 0)
		probe_fail("maps: %s", strerror(errno));
	for (i = 0; i < ENTRIES; i++) {
		probe_must("update", bpf_map_update_elem(hash, &i, &value, BPF_NOEXIST));
		probe_must("push", bpf_map_update_elem(queue, NULL, &value, BPF_ANY));
	}
	ret = bpf_map_update_elem(hash, &i, &value, BPF_NOEXIST);
	if (!ret || errno != E2BIG)
		probe_fail("update of a full hash: %s", ret ? strerror(errno) : "done");
	i = 0;
	probe_must("update of a known key", bpf_map_update_elem(hash, &i, &value, BPF_ANY));
	ret = bpf_map_update_elem(queue, NULL, &value, BPF_ANY);
	if (!ret || errno != E2BIG)
		probe_fail("push into a full queue: %s", ret ? strerror(errno) : "done");
	return probe_ok("hash and queue took %d entries and refused one more with E2BIG", ENTRIES);
}
