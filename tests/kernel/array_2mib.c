/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An array may have values of 2 MiB and be mapped into memory: vp_conf holds a plane's configuration as text. */
#include "fact.h"

#define SIZE (2U * 1024 * 1024)

int main(void)
{
	probe_begin();
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, SIZE, 2, &opts);

	if (map < 0)
		broken("a map of two values of %u bytes is refused: %s", SIZE, strerror(-map));
	char *memory = mmap(NULL, 2 * (size_t)SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	char *copy = calloc(1, SIZE);
	uint32_t second = 1;

	if (memory == MAP_FAILED)
		broken("it cannot be mapped into memory: %s", strerror(errno));
	must(copy ? 0 : -ENOMEM, "memory");
	memory[2 * (size_t)SIZE - 1] = 'z';
	int err = bpf_map_lookup_elem(map, &second, copy);
	char last = copy[SIZE - 1];

	free(copy);
	if (err || last != 'z')
		broken("what is written to the last byte is not in the element (%d, %d)", err, last);
	return holds("an array of two values of %u bytes is made, mapped, and read back to its last byte", SIZE);
}
