/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A preallocated hash takes max_entries keys and not one more (E2BIG), known keys can still be written, and a full
 * queue is E2BIG too: bpf/fdb.h counts `table_full` by that number, of which it looks at the lower half (6.1 leaves the
 * upper one 0).
 */
#include "fact.h"

#define ENTRIES 1000

/* What a program is told when it enters a key: 64 bits, of which an older kernel sets the lower half only. */
static int64_t told(int hash, uint32_t key)
{
	int page;
	volatile uint64_t *answer = shared_page(&page);
	const struct bpf_insn insns[] = {
		STORE_IMM(BPF_W, 10, -4, key), STORE_IMM(BPF_DW, 10, -16, 1),
		MOVE(2, 10), ADD(2, -4), MOVE(3, 10), ADD(3, -16), SET(4, BPF_NOEXIST), MAP(1, hash),
		CALL(map_update_elem), MOVE(6, 0), MAP_VALUE(1, page, 0), STORE(BPF_DW, 1, 0, 6),
		SET(0, XDP_PASS), EXIT,
	};
	uint8_t frame[FRAME_LEN];

	udp_frame(frame, 1);
	must(run_prog(LOAD_PROG(BPF_PROG_TYPE_XDP, insns), frame, sizeof(frame)), "test_run");
	return (int64_t)*answer;
}

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

	int64_t answer = told(hash, key);
	int program = -(int)answer;

	key = 0;
	int known = bpf_map_update_elem(hash, &key, &value, BPF_ANY) ? errno : 0;

	if (more != E2BIG || program != E2BIG || ticket != E2BIG || known)
		broken("one more key: %d, by a program: %d, one more ticket: %d, a known key: %d", more, program,
		       ticket, known);
	return holds("hash and queue take %d entries and refuse one more with E2BIG, known keys are written; a program "
		     "is told so in %d bits",
		     ENTRIES, answer < 0 ? 64 : 32);
}
