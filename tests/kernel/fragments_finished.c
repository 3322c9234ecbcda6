/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The host's stack leaves the checksum of a whole UDP datagram to the device, but finishes that of one it cuts into
 * fragments: bpf/classify.h lets XDP carry fragments without a look at the checksum.
 */
#include <linux/if_packet.h>

#include "fact.h"

#define MORE 0x2000
#define OFFSET 0x1fff

struct found {
	unsigned int frames, unfinished;
};

static void listen_to(int raw, unsigned int want, struct found *out)
{
	uint64_t end = now_ms() + 500;

	while (out->frames < want && now_ms() < end) {
		uint8_t data[2048], control[256];
		struct iovec part = { data, sizeof(data) };
		struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof(control) };
		struct pollfd p = { .fd = raw, .events = POLLIN };
		struct cmsghdr *c;
		struct tpacket_auxdata aux = { 0 };

		if (poll(&p, 1, 100) <= 0 || recvmsg(raw, &m, 0) < 34 || data[23] != IPPROTO_UDP)
			continue;
		for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
			if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA)
				memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		bool fragment = ((data[20] << 8 | data[21]) & (MORE | OFFSET)) != 0;

		if (fragment == (want == 1))
			continue;
		out->frames++;
		out->unfinished += !!(aux.tp_status & TP_STATUS_CSUMNOTREADY);
	}
}

static void send_udp(size_t len)
{
	static const char data[3000];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9),
				  .sin_addr.s_addr = inet_addr("198.18.0.2") };
	int s = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");

	must(sendto(s, data, len, 0, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)len ? 0 : -errno, "send");
	close(s);
}

int main(void)
{
	struct found whole = { 0 }, cut = { 0 };
	int on = 1;

	probe_begin();
	sh("ip link add v1 type veth peer name v2 && ip link set v1 up && ip link set v2 up");
	sh("ip addr add 198.18.0.1/24 dev v1 && ip neigh add 198.18.0.2 lladdr 02:76:70:00:00:02 dev v1");
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(0x0800),
				  .sll_ifindex = (int)ifindex("v2") };
	int raw = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x0800)), "packet socket");

	must(bind(raw, (struct sockaddr *)&at, sizeof(at)), "bind");
	must(setsockopt(raw, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), "PACKET_AUXDATA");
	send_udp(1000);
	listen_to(raw, 1, &whole);
	send_udp(3000);
	listen_to(raw, 3, &cut);
	if (whole.frames != 1 || whole.unfinished != 1 || cut.frames != 3 || cut.unfinished)
		broken("unfinished: %u of %u whole datagrams, %u of %u fragments", whole.unfinished, whole.frames,
		       cut.unfinished, cut.frames);
	return holds("a whole datagram's checksum is left unfinished, those of 3 fragments are not");
}
