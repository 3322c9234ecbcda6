/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * XDP can send into a veth only while the other end polls by NAPI: by default it does not, with GRO on it does.  So a
 * veth is no XDP target unless its flag NETDEV_XDP_ACT_NDO_XMIT says so (bpf/device.h, user/carrier.c).
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "probe.h"

static void gro(const char *device, bool on)
{
	struct ethtool_value v = { .cmd = ETHTOOL_SGRO, .data = on };
	struct ifreq ifr = { .ifr_data = (void *)&v };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strncpy(ifr.ifr_name, device, IFNAMSIZ - 1);
	probe_must("GRO", ioctl(fd, SIOCETHTOOL, &ifr));
	close(fd);
}

static int sniffer(const char *device)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	at.sll_ifindex = probe_ifindex(device);
	probe_must("sniffer", bind(fd, (struct sockaddr *)&at, sizeof(at)));
	return fd;
}

static bool arrives(int tap, int sniff)
{
	uint8_t frame[60], got[2048];

	probe_frame(frame, sizeof(frame));
	if (write(tap, frame, sizeof(frame)) != sizeof(frame))
		probe_fail("write into the TAP: %s", strerror(errno));
	return probe_read(sniff, got, sizeof(got), 300) == sizeof(frame) && !memcmp(got, frame, sizeof(frame));
}

int main(void)
{
	int tap, map, sniff;
	bool before, with;

	probe_netns();
	probe_quiet();
	tap = probe_tap_up("probe0", true, false);
	probe_ip("link add probe1 type veth peer name probe2");
	probe_ip("link set probe1 up");
	probe_ip("link set probe2 up");
	map = probe_devmap(BPF_MAP_TYPE_DEVMAP_HASH, 4);
	probe_devmap_set(map, 1, "probe1");
	struct bpf_insn insns[] = { REDIRECT(map, 1) };

	probe_must("XDP on the TAP", probe_attach_xdp(PROG(BPF_PROG_TYPE_XDP, insns), "probe0"));
	sniff = sniffer("probe2");
	before = arrives(tap, sniff);
	gro("probe2", true);
	with = arrives(tap, sniff);
	if (before || !with)
		probe_fail("redirected frame arrives with GRO off: %d, with GRO on: %d", before, with);
	return probe_ok("a frame redirected into a veth is lost with the peer's GRO off and arrives with it on");
}
