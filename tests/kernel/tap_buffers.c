/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A TAP's frame that is too large for the driver's own XDP path comes to a program that takes several buffers in
 * several, so that its length is not end - data.  XDP never sends such a frame on (bpf/xdp.h): a TAP cannot take it.
 */
#include "fact.h"

#define LARGE 9014

int main(void)
{
	static uint8_t frame[LARGE];
	int map;

	probe_begin();
	volatile uint64_t *seen = shared_page(&map);
	const struct bpf_insn insns[] = {
		MOVE(6, 1),	   MAP_VALUE(7, map, 0),   LOAD(BPF_W, 2, 6, 0),   LOAD(BPF_W, 3, 6, 4),
		INSN(BPF_ALU64 | BPF_SUB | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0), STORE(BPF_DW, 7, 0, 3),
		MOVE(1, 6),	   CALL(xdp_get_buff_len), STORE(BPF_DW, 7, 8, 0), SET(0, XDP_DROP),
		EXIT,
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS);
	int prog = load_or_log(BPF_PROG_TYPE_XDP, insns, COUNT(insns), &opts), fd = tap("t1", 0);

	sh("ip link set t1 mtu 9000 up");
	must(attach_xdp(prog, "t1", XDP_FLAGS_DRV_MODE), "attach");
	udp_frame(frame, 1);
	must(write(fd, frame, 3456) == 3456 ? 0 : -errno, "write");
	uint64_t linear = seen[0], whole = seen[1];

	must(write(fd, frame, LARGE) == LARGE ? 0 : -errno, "write");
	if (linear != 3456 || whole != 3456 || seen[1] != LARGE)
		broken("of 3456 bytes %llu of %llu in the first buffer, of %d %llu of %llu", (unsigned long long)linear,
		       (unsigned long long)whole, LARGE, (unsigned long long)seen[0], (unsigned long long)seen[1]);
	return holds("3456 bytes of a TAP come in one buffer; of %d the first has %llu", LARGE,
		     (unsigned long long)seen[0]);
}
