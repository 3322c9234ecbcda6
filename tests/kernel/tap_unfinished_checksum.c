/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A guest's frame with an unfinished checksum (NEEDS_CSUM): after XDP_PASS tc still has the mark and hands it on, after
 * an XDP redirect it is lost and the frame is broken.  Hence the classes of bpf/classify.h.
 */
#include "fact.h"

#define HEADER sizeof(struct virtio_net_hdr)

static int guest(const char *name)
{
	int fd = tap(name, IFF_VNET_HDR);

	must(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM), "TUNSETOFFLOAD");
	sh("ip link set %s up", name);
	return fd;
}

/* What the other guest gets of it: the flags of its header. */
static unsigned int carry(int from, int to)
{
	uint8_t sent[HEADER + FRAME_LEN], got[256];
	struct virtio_net_hdr h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = CSUM_START, .csum_offset = CSUM_OFFSET,
	};

	memcpy(sent, &h, HEADER);
	udp_frame(sent + HEADER, 1);
	must(write(from, sent, sizeof(sent)) == (ssize_t)sizeof(sent) ? 0 : -errno, "write");
	ssize_t n = next_frame(to, 0x0800, HEADER, got, sizeof(got), 500);

	if (n != (ssize_t)sizeof(sent) || memcmp(got + HEADER, sent + HEADER, FRAME_LEN))
		broken("%zd bytes of the frame arrived, or other ones", n);
	memcpy(&h, got, HEADER);
	if ((h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && h.csum_start != CSUM_START)
		broken("csum_start became %u", h.csum_start);
	return h.flags;
}

int main(void)
{
	probe_begin();
	int t1 = guest("t1"), t2 = guest("t2");
	uint32_t target = ifindex("t2");
	int devmap = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, 8, 0);

	must(devmap_set(devmap, 1, target), "entry");
	const struct bpf_insn pass[] = { SET(0, XDP_PASS), EXIT };
	const struct bpf_insn redirect[] = { MAP(1, devmap), SET(2, 1), SET(3, XDP_DROP), CALL(redirect_map), EXIT };
	const struct bpf_insn tc[] = { SET(1, target), SET(2, 0), CALL(redirect), EXIT };

	attach_tc(LOAD_PROG(BPF_PROG_TYPE_SCHED_CLS, tc), "t1", BPF_TC_INGRESS);
	int link = must(attach_xdp(LOAD_PROG(BPF_PROG_TYPE_XDP, pass), "t1", XDP_FLAGS_DRV_MODE), "attach");
	unsigned int by_tc = carry(t1, t2);

	close(link);
	link = must(attach_xdp(LOAD_PROG(BPF_PROG_TYPE_XDP, redirect), "t1", XDP_FLAGS_DRV_MODE), "attach");
	unsigned int by_xdp = carry(t1, t2);

	close(link);
	if (by_tc != VIRTIO_NET_HDR_F_NEEDS_CSUM || by_xdp != 0)
		broken("flags at the other guest: by XDP_PASS and tc %u, by XDP redirect %u", by_tc, by_xdp);
	return holds("NEEDS_CSUM arrives by XDP_PASS and tc; by XDP redirect it is gone and the checksum unfinished");
}
