/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A program can tell whether it runs in the driver or on the generic path: there xdp_buff.rxq lies in the device's own
 * array of queues (dev->_rx), while a driver has its own.  That is what matters: a frame whose checksum the guest left
 * unfinished keeps its mark through a generic redirect and loses it in a native one; so here each frame is redirected,
 * and what the program says is compared with what the reader finds.  bpf/csum.h relies on it.
 */
#include "kernel_btf.h"

#include <linux/if_packet.h>

#define HEADER 12
#define LARGEST 3456 /* of a native frame from a TAP */
#define NATIVE 1
#define GENERIC 2

static volatile uint64_t *said;
static int page, devmap;

/* Notes NATIVE or GENERIC and redirects to entry 1. */
static int load(void)
{
	const struct bpf_insn insns[] = {
		CALL_KERNEL(type_id("bpf_cast_to_kern_ctx", BTF_KIND_FUNC)),
		LOAD(BPF_DW, 1, 0, offset_of("xdp_buff", "rxq")),
		LOAD(BPF_DW, 2, 1, offset_of("xdp_rxq_info", "dev")),
		LOAD(BPF_DW, 3, 2, offset_of("net_device", "_rx")),
		LOAD(BPF_W, 4, 2, offset_of("net_device", "num_rx_queues")),
		INSN(BPF_ALU64 | BPF_MUL | BPF_K, BPF_REG_4, 0, 0, size_of("netdev_rx_queue")),
		INSN(BPF_ALU64 | BPF_SUB | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0),
		SET(5, GENERIC),
		INSN(BPF_JMP | BPF_JLT | BPF_X, BPF_REG_1, BPF_REG_4, 1, 0),
		SET(5, NATIVE),
		MAP_VALUE(1, page, 0), STORE(BPF_DW, 1, 0, 5),
		MAP(1, devmap), SET(2, 1), SET(3, XDP_DROP), CALL(redirect_map), EXIT,
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS);

	return load_or_log(BPF_PROG_TYPE_XDP, insns, COUNT(insns), &opts);
}

static int guest(const char *name, int flags, bool blocking)
{
	int fd = tap(name, IFF_VNET_HDR | flags), size = HEADER;

	must(ioctl(fd, TUNSETVNETHDRSZ, &size), "TUNSETVNETHDRSZ");
	must(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4), "TUNSETOFFLOAD");
	if (blocking)
		must(fcntl(fd, F_SETFL, 0), "F_SETFL");
	sh("ip link set %s mtu 9000 up", name);
	return fd;
}

/* What the reader at `to` finds: without a mark it came natively. */
static int found(int to)
{
	uint8_t got[16384];

	if (next_frame(to, 0x0800, HEADER, got, sizeof(got), 500) <= 0)
		return 0;
	return got[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM ? GENERIC : NATIVE;
}

static void expect(const char *what, int seen, int want)
{
	if (*said != (uint64_t)want || seen != want)
		broken("%s: the program says %d, its reader finds %d, expected %d (1 native, 2 generic)", what,
		       (int)*said, seen, want);
}

static void send_one(const char *what, int from, int to, size_t len, uint8_t gso, int want)
{
	uint8_t sent[16384] = { 0 };
	struct virtio_net_hdr h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = CSUM_START, .csum_offset = CSUM_OFFSET,
		.gso_type = gso, .gso_size = gso ? 1000 : 0, .hdr_len = gso ? 54 : 0,
	};

	udp_frame(sent + HEADER, 1);
	if (gso) { /* a TCP header of 20 bytes */
		sent[HEADER + 23] = 6;
		sent[HEADER + 46] = 0x50;
		h.csum_offset = 16;
	}
	memcpy(sent, &h, sizeof(h));
	*said = 0;
	must(write(from, sent, HEADER + len) == (ssize_t)(HEADER + len) ? 0 : -errno, "write");
	expect(what, found(to), want);
}

static void taps(int prog, int to)
{
	static const struct {
		const char *what, *name;
		int flags, want;
		bool blocking;
		int sndbuf;
	} modes[] = {
		{ "a descriptor that does not block", "t1", 0, NATIVE, false, 0 },
		{ "IFF_NAPI", "t2", IFF_NAPI, NATIVE, false, 0 },
		{ "several queues", "t3", IFF_MULTI_QUEUE, NATIVE, false, 0 },
		{ "a descriptor that blocks", "t4", 0, GENERIC, true, 0 },
		{ "a send buffer", "t5", 0, GENERIC, false, 1 << 20 },
		{ "IFF_NAPI_FRAGS", "t7", IFF_NAPI | IFF_NAPI_FRAGS, GENERIC, false, 0 },
		{ "several queues and a descriptor that blocks", "t6", IFF_MULTI_QUEUE, GENERIC, true, 0 },
	};

	for (size_t i = 0; i < COUNT(modes); i++) {
		int fd = guest(modes[i].name, modes[i].flags, modes[i].blocking);

		if (modes[i].sndbuf)
			must(ioctl(fd, TUNSETSNDBUF, &modes[i].sndbuf), "TUNSETSNDBUF");
		must(attach_xdp(prog, modes[i].name, XDP_FLAGS_DRV_MODE), "attach");
		send_one(modes[i].what, fd, to, FRAME_LEN, 0, modes[i].want);
		send_one("the largest native frame", fd, to, LARGEST, 0, modes[i].want);
		send_one("a larger one", fd, to, LARGEST + 1, 0, GENERIC);
		send_one("a superframe", fd, to, 3000, VIRTIO_NET_HDR_GSO_TCPV4, GENERIC);
	}
}

/* From the stack through a veth; the packet socket's header makes the checksum unfinished. */
static void veth(int prog, int to, const char *name, uint32_t mode, int want)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET };
	int fd = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "socket"), one = 1;
	uint8_t sent[sizeof(struct virtio_net_hdr) + FRAME_LEN] = { 0 };
	struct virtio_net_hdr h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = CSUM_START, .csum_offset = CSUM_OFFSET,
	};

	sh("ip link add %s type veth peer name %sp && ip link set %s up && ip link set %sp up", name, name, name, name);
	must(attach_xdp(prog, name, mode), "attach to a veth");
	must(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), "PACKET_VNET_HDR");
	char peer[16];

	snprintf(peer, sizeof(peer), "%sp", name);
	at.sll_ifindex = (int)ifindex(peer);
	memcpy(sent, &h, sizeof(h));
	udp_frame(sent + sizeof(h), 1);
	*said = 0;
	must((int)sendto(fd, sent, sizeof(sent), 0, (struct sockaddr *)&at, sizeof(at)), "send");
	expect(mode == XDP_FLAGS_SKB_MODE ? "a veth, generic" : "a veth", found(to), want);
	close(fd);
}

int main(void)
{
	kernel_begin();
	probe_begin();
	said = shared_page(&page);
	devmap = make_map(BPF_MAP_TYPE_DEVMAP_HASH, 8, 8, 0);
	int prog = load(), to = guest("t0", 0, false);

	must(devmap_set(devmap, 1, ifindex("t0")), "entry");
	taps(prog, to);
	veth(prog, to, "v1", XDP_FLAGS_DRV_MODE, NATIVE);
	veth(prog, to, "v2", XDP_FLAGS_SKB_MODE, GENERIC);
	btf__free(kernel);
	return holds("xdp_buff.rxq is one of the device's own queues on the generic path and nowhere else");
}
