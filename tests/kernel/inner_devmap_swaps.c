/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A flood map lives in an array of maps, may be of another size than the template, and is replaced whole while the
 * program runs: the next frame goes by the new one.
 */
#include "probe.h"

static void put(int outer, __u32 entries, const char *device)
{
	__u32 key = 0;
	int inner = probe_devmap(BPF_MAP_TYPE_DEVMAP_HASH, entries);

	probe_devmap_set(inner, 1, device);
	probe_must("swap", bpf_map_update_elem(outer, &key, &inner, BPF_ANY));
	close(inner);
}

static int reader(const int *fd, int tap)
{
	uint8_t frame[60], got[2048];

	probe_frame(frame, sizeof(frame));
	if (write(tap, frame, sizeof(frame)) != sizeof(frame))
		probe_fail("write into the TAP: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
		if (probe_read(fd[i], got, sizeof(got), 200) == sizeof(frame))
			return i;
	return -1;
}

int main(void)
{
	int template = probe_devmap(BPF_MAP_TYPE_DEVMAP_HASH, 8), tap, fd[2], outer, first, second;
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = template);

	probe_netns();
	probe_quiet();
	tap = probe_tap_up("probe0", true, false);
	fd[0] = probe_tap_up("probe1", true, false);
	fd[1] = probe_tap_up("probe2", true, false);
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "probe", 4, 4, 1, &opts);
	probe_must("array of maps", outer < 0 ? -errno : outer);
	put(outer, 8, "probe1");
	struct bpf_insn insns[] = {
		LOOKUP(outer, 0, XDP_ABORTED),
		MOVR(BPF_REG_1, BPF_REG_0),
		MOV(BPF_REG_2, 0),
		MOV(BPF_REG_3, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS),
		CALL(BPF_FUNC_redirect_map),
		EXIT,
	};

	probe_must("XDP on the TAP", probe_attach_xdp(PROG(BPF_PROG_TYPE_XDP, insns), "probe0"));
	first = reader(fd, tap);
	put(outer, 64, "probe2");
	second = reader(fd, tap);
	if (first != 0 || second != 1)
		probe_fail("the frames went to %d and %d, not 0 and 1", first, second);
	return probe_ok("the frame after the swap went by the new flood map, of another size");
}
