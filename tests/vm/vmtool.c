// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * vmtool: traffic with a check of every byte, for guests that have nothing but busybox. Static, so that it runs in an
 * initramfs and in a namespace alike.
 *
 *	vmtool serve PORT                       echoes TCP and SCTP streams and UDP datagrams until killed
 *	vmtool tcp ADDRESS PORT MIB             sends MIB MiB, reads them back at the same time, compares each byte
 *	vmtool sctp ADDRESS PORT MIB            the same over an SCTP association
 *	vmtool udp ADDRESS PORT COUNT SIZE      sends datagrams one by one, compares the answers; prints how many lost
 *	vmtool reflect DEVICE                   sends each frame that comes in there back as it came, until killed
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 65536
#define IDLE_MS 15000

static int fail(const char *what)
{
	printf("FAIL %s: %s\n", what, strerror(errno));
	return 1;
}

/* A stream of bytes that depends on the position only: byte n is part of a hash of n / 8. */
static void fill(uint8_t *buf, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t x = (at + i) / 8 * 0x9e3779b97f4a7c15ULL;

		x ^= x >> 29;
		x *= 0xbf58476d1ce4e5b9ULL;
		memcpy(buf + i, &x, len - i < 8 ? len - i : 8);
	}
}

static int resolve(const char *text, const char *port, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)atoi(port));
		return AF_INET6;
	}
	if (inet_pton(AF_INET, text, &v4->sin_addr) != 1)
		return -1;
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t)atoi(port));
	return AF_INET;
}

static int dial(const char *address, const char *port, int type, int protocol)
{
	struct sockaddr_storage to;
	int family = resolve(address, port, &to);
	int fd = family < 0 ? -1 : socket(family, type | SOCK_CLOEXEC, protocol);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void echo_stream(int fd)
{
	static uint8_t buf[CHUNK];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t done = 0, put; done < n; done += put)
			if ((put = write(fd, buf + done, (size_t)(n - done))) <= 0)
				exit(1);
	exit(0);
}

static void echo_accepted(int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd >= 0 && fork() == 0)
		echo_stream(fd);
	close(fd);
}

static int listen_on(const char *port, int type, int protocol)
{
	struct sockaddr_storage at;
	int one = 1, fd = socket(resolve("::", port, &at), type | SOCK_CLOEXEC, protocol);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || (type == SOCK_STREAM && listen(fd, 8) < 0))
		return -1;
	return fd;
}

static int serve(const char *port)
{
	static uint8_t buf[CHUNK];
	struct pollfd p[] = { { .fd = listen_on(port, SOCK_STREAM, 0), .events = POLLIN },
			      { .fd = listen_on(port, SOCK_DGRAM, 0), .events = POLLIN },
			      { .fd = listen_on(port, SOCK_STREAM, IPPROTO_SCTP), .events = POLLIN } };

	if (p[0].fd < 0 || p[1].fd < 0) /* many kernels have no SCTP */
		return fail("listen");
	signal(SIGCHLD, SIG_IGN);
	printf("ready\n");
	fflush(stdout);
	while (poll(p, 3, -1) > 0) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);

		for (int i = 0; i < 3; i += 2)
			if (p[i].revents)
				echo_accepted(p[i].fd);
		if (p[1].revents) {
			ssize_t n = recvfrom(p[1].fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

			if (n >= 0)
				sendto(p[1].fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len);
		}
	}
	return 1;
}

/* Reads what has come and compares it; false when a byte is wrong. */
static bool take(int fd, uint64_t *got)
{
	static uint8_t buf[CHUNK], want[CHUNK + 8];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	fill(want, (size_t)n + *got % 8, *got - *got % 8);
	if (n == 0 || memcmp(buf, want + *got % 8, (size_t)n) != 0) {
		errno = n ? EBADMSG : ECONNRESET;
		return false;
	}
	*got += (uint64_t)n;
	return true;
}

static bool give(int fd, uint64_t *sent, uint64_t total)
{
	static uint8_t buf[CHUNK];
	size_t skip = *sent % 8, len = CHUNK - 8;
	ssize_t n;

	if (len > total - *sent)
		len = total - *sent;
	fill(buf, len + skip, *sent - skip);
	n = send(fd, buf + skip, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		*sent += (uint64_t)n;
	return n > 0 || errno == EAGAIN || errno == EINTR;
}

static int stream(const char *address, const char *port, uint64_t total, int protocol)
{
	int fd = dial(address, port, SOCK_STREAM, protocol);
	uint64_t sent = 0, got = 0;

	if (fd < 0)
		return fail("connect");
	while (got < total) {
		struct pollfd p = { .fd = fd, .events = POLLIN | (sent < total ? POLLOUT : 0) };

		if (poll(&p, 1, IDLE_MS) <= 0) {
			errno = ETIMEDOUT;
			return fail("stream");
		}
		if ((p.revents & ~POLLOUT) && !take(fd, &got))
			return fail("read");
		if ((p.revents & POLLOUT) && !give(fd, &sent, total))
			return fail("write");
	}
	printf("ok %llu bytes each way\n", (unsigned long long)got);
	return 0;
}

static int udp(const char *address, const char *port, int count, size_t size)
{
	static uint8_t out[CHUNK], in[CHUNK];
	int fd = dial(address, port, SOCK_DGRAM, 0), lost = 0;

	if (fd < 0)
		return fail("connect");
	for (int i = 0; i < count; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		fill(out, size, (uint64_t)i * 8);
		if (send(fd, out, size, 0) != (ssize_t)size || poll(&p, 1, 1000) <= 0 ||
		    recv(fd, in, sizeof(in), 0) != (ssize_t)size || memcmp(in, out, size) != 0)
			lost++;
	}
	printf("%s %d of %d lost\n", lost ? "FAIL" : "ok", lost, count);
	return lost ? 1 : 0;
}

static int packet_socket(const char *device)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(device) };
	struct packet_mreq promiscuous = { .mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC };
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return -1;
	return fd;
}

/* The kernel takes a frame's tag out of it: put it back. */
static size_t put_tag_back(uint8_t *frame, size_t len, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct tpacket_auxdata aux;
		uint16_t tag[2];

		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
			continue;
		tag[0] = htons(aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETHERTYPE_VLAN);
		tag[1] = htons(aux.tp_vlan_tci);
		memmove(frame + 16, frame + 12, len - 12);
		memcpy(frame + 12, tag, sizeof(tag));
		return len + sizeof(tag);
	}
	return len;
}

static int reflect(const char *device)
{
	static uint8_t frame[CHUNK + 4];
	int fd = packet_socket(device);
	ssize_t n;

	if (fd < 0)
		return fail(device);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct iovec at = { frame, CHUNK };
		struct msghdr m = { .msg_iov = &at, .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof(control) };

		n = recvmsg(fd, &m, 0);
		if (n >= ETH_HLEN)
			send(fd, frame, put_tag_back(frame, (size_t)n, &m), 0);
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "tcp"))
		return stream(argv[2], argv[3], strtoull(argv[4], NULL, 10) << 20, 0);
	if (argc == 5 && !strcmp(argv[1], "sctp"))
		return stream(argv[2], argv[3], strtoull(argv[4], NULL, 10) << 20, IPPROTO_SCTP);
	if (argc == 6 && !strcmp(argv[1], "udp") && atoi(argv[5]) < CHUNK)
		return udp(argv[2], argv[3], atoi(argv[4]), (size_t)atoi(argv[5]));
	if (argc == 3 && !strcmp(argv[1], "reflect"))
		return reflect(argv[2]);
	fprintf(stderr, "usage: vmtool serve PORT | tcp|sctp ADDRESS PORT MIB | udp ADDRESS PORT COUNT SIZE | "
			"reflect DEVICE\n");
	return 2;
}
