/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tapgen: a guest's virtio NIC as a VMM sees it, many times over.  It makes one TAP to send and some to receive, and
 * writes numbered UDP frames, or TCP superframes, to the first one.  Every frame that a receiver reads is checked: its
 * number, and that its checksum is right as this reader must see it (full without a mark, or marked and unfinished).
 *
 * Two ways to measure.  `burst`: one thread writes 64 frames, then reads what arrived; what counts is the CPU time of
 * the writes, for the kernel forwards in them.  No reader is too slow and no neighbour on the CPU matters.  `stream`:
 * a reader for itself on another CPU, wall clock, as real guests are; counts what was received.
 *
 * Commands on standard input: `run MILLISECONDS [FRAMES-A-SECOND]`; each is answered by one line of JSON. With a rate
 * (stream only) that many are sent, evenly by eights.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "cputime.h"

#define VNET 12 /* bytes of virtio-net header with num_buffers */
#define BURST 64
#define ETH 14
#define IP 20
#define FRAME_MOST 65000
#define RECEIVERS_MOST 64
#define TAINT 3500
#define PACE 8 /* frames at once when the rate is given */
#define NUMBER_AT(l4_header) (VNET + ETH + IP + (l4_header))

enum csum { CSUM_FULL, CSUM_PARTIAL };

struct options {
	const char *netns, *prefix;
	unsigned int len, gso, receivers, burst, mtu;
	bool blocking, stream, flood, taint;
	enum csum csum;
};

struct result {
	uint64_t sent, received, wrong, late, bytes;
	double seconds;
};

static struct options opt = { .prefix = "t", .len = 60, .receivers = 1, .burst = BURST, .mtu = 1500 };
static int sender, receiver[RECEIVERS_MOST];
static uint8_t frame[VNET + FRAME_MOST];
static uint32_t base_sum; /* of pseudo header, UDP header and payload, without the number */
static uint32_t number;
static uint32_t expected[RECEIVERS_MOST];
static atomic_bool ended, reading;

static void die(const char *what)
{
	fprintf(stderr, "tapgen: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(path);
	close(fd);
}

static void set_up(const char *name)
{
	struct ifreq r = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	r.ifr_mtu = (int)opt.mtu;
	if (ioctl(fd, SIOCSIFMTU, &r))
		die("MTU");
	if (ioctl(fd, SIOCGIFFLAGS, &r))
		die("flags");
	r.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &r))
		die("up");
	close(fd);
}

static int open_tap(unsigned int n, bool blocking)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | (blocking ? 0 : O_NONBLOCK)), size = VNET;

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s%u", opt.prefix, n);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) || ioctl(fd, TUNSETVNETHDRSZ, &size))
		die(r.ifr_name);
	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6))
		die("TUNSETOFFLOAD");
	set_up(r.ifr_name);
	return fd;
}

/* ---- frames ---- */

static uint32_t sum_words(const uint8_t *at, size_t len)
{
	uint64_t sum = 0;
	size_t i = 0;

	for (; i + 4 <= len; i += 4) {
		uint32_t word;

		memcpy(&word, at + i, 4);
		sum += word;
	}
	for (; i < len; i++)
		sum += (uint32_t)at[i] << (i % 2 * 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint32_t)sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static void put16(uint8_t *at, unsigned int v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

/* Guest n has the last byte n in its addresses. */
static void addresses(uint8_t *f, unsigned int from, unsigned int to)
{
	static const uint8_t mac[5] = { 0x52, 0x54, 0, 0, 0 }, group[6] = { 1, 0, 0x5e, 0x7f, 0, 1 };

	memcpy(f, mac, 5);
	f[5] = (uint8_t)to;
	memcpy(f + 6, mac, 5);
	f[11] = (uint8_t)from;
	if (!to)
		memcpy(f, group, 6);
}

static uint32_t pseudo(const uint8_t *f, size_t l4_len)
{
	uint8_t head[4] = { 0, f[ETH + 9], (uint8_t)(l4_len >> 8), (uint8_t)l4_len };

	return sum_words(f + ETH + 12, 8) + sum_words(head, 4);
}

static void build(void)
{
	uint8_t *f = frame + VNET, *ip = f + ETH, *l4 = ip + IP;
	size_t l4_len = opt.len - ETH - IP;
	struct virtio_net_hdr h = { 0 };

	memset(frame, 0, sizeof(frame));
	addresses(f, 1, opt.flood ? 0 : 2);
	put16(f + 12, 0x0800);
	memcpy(ip, (uint8_t[]){ 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, opt.gso ? 6 : 17 }, 10);
	put16(ip + 2, opt.len - ETH);
	memcpy(ip + 12, (uint8_t[]){ 198, 18, 0, 1, 198, 18, 0, 2 }, 8);
	put16(ip + 10, 0);
	uint16_t check = (uint16_t)~fold(sum_words(ip, IP));

	memcpy(ip + 10, &check, 2);
	put16(l4, 1000);
	put16(l4 + 2, 2000);
	for (size_t i = 8; i < l4_len; i++)
		l4[i] = (uint8_t)(i * 7);
	if (opt.gso) {
		memset(l4 + 4, 0, 16);
		memcpy(l4 + 12, (uint8_t[]){ 0x50, 0x10, 0xff, 0xff }, 4);
		h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		h.gso_size = (uint16_t)opt.gso;
		h.hdr_len = ETH + IP + 20;
	} else {
		put16(l4 + 4, (unsigned int)l4_len);
		memset(l4 + 6, 0, 6); /* checksum and number */
		base_sum = pseudo(f, l4_len) + sum_words(l4, l4_len);
	}
	if (opt.gso || opt.csum == CSUM_PARTIAL) {
		unsigned int at = opt.gso ? 16 : 6;
		uint16_t field = fold(pseudo(f, l4_len));

		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = ETH + IP;
		h.csum_offset = (uint16_t)at;
		memcpy(l4 + at, &field, 2);
	}
	memcpy(frame, &h, sizeof(h));
}

static void put_number(uint32_t n)
{
	uint8_t *at = frame + NUMBER_AT(opt.gso ? 20 : 8);
	uint16_t check;

	memcpy(at, &n, 4);
	if (opt.gso || opt.csum == CSUM_PARTIAL)
		return;
	check = (uint16_t)~fold(fold(base_sum) + (n & 0xffff) + (n >> 16));
	if (!check)
		check = 0xffff;
	memcpy(frame + VNET + ETH + IP + 6, &check, 2);
}

/* Does the reader see the checksum of this UDP frame right? */
static bool right(const uint8_t *got, size_t len)
{
	const uint8_t *f = got + VNET, *l4 = f + ETH + IP;
	size_t l4_len = len - VNET - ETH - IP;
	struct virtio_net_hdr h;
	uint16_t field;

	memcpy(&h, got, sizeof(h));
	memcpy(&field, l4 + 6, 2);
	if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return h.csum_start == ETH + IP && h.csum_offset == 6 && field == fold(pseudo(f, l4_len));
	return field && fold(fold(pseudo(f, l4_len)) + sum_words(l4, l4_len)) == 0xffff;
}

/* ---- running ---- */

static void take(unsigned int n, const uint8_t *got, size_t len, struct result *r)
{
	uint32_t seen;

	if (len < NUMBER_AT(8) + 4 || memcmp(got + VNET + 6, frame + VNET + 6, 8))
		return; /* the host's own chatter, or a receiver's greeting */
	memcpy(&seen, got + NUMBER_AT(opt.gso ? 20 : 8), 4);
	if (seen < expected[n])
		r->late++;
	else
		expected[n] = seen + 1;
	r->received++;
	r->bytes += len - VNET;
	if (!opt.gso && !right(got, len))
		r->wrong++;
}

static void drain(struct result *r)
{
	static uint8_t got[VNET + FRAME_MOST + 1000];
	ssize_t len;

	for (unsigned int n = 0; n < opt.receivers; n++)
		while ((len = read(receiver[n], got, sizeof(got))) > 0)
			take(n, got, (size_t)len, r);
}

static bool send_one(void)
{
	ssize_t want = VNET + opt.len;

	put_number(number++);
	return write(sender, frame, (size_t)want) == want;
}

/* Each receiver says where it is. */
static void greet(void)
{
	uint8_t hello[VNET + 60] = { 0 };
	struct result none = { 0 };

	for (unsigned int n = 0; n < opt.receivers; n++) {
		addresses(hello + VNET, n + 2, 1);
		put16(hello + VNET + 12, 0x88b5);
		if (write(receiver[n], hello, sizeof(hello)) < 0)
			die("greeting");
	}
	while (!opt.blocking && read(sender, hello, sizeof(hello)) > 0)
		;
	drain(&none);
}

/* One unfinished datagram that is too large for the native path: from then on XDP leaves this port's UDP to tc. */
static void taint(void)
{
	static uint8_t large[VNET + TAINT];
	const uint8_t *f = large + VNET;
	uint16_t field;

	memcpy(large, frame, VNET + ETH + IP + 8);
	put16(large + VNET + ETH + 2, TAINT - ETH);
	put16(large + VNET + ETH + IP + 4, TAINT - ETH - IP);
	field = fold(pseudo(f, TAINT - ETH - IP));
	memcpy(large + VNET + ETH + IP + 6, &field, 2);
	if (write(sender, large, sizeof(large)) != sizeof(large))
		die("taint");
}

static void burst(uint64_t ms, struct result *r)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + ms * 1000000, spent = 0;

	while (clock_ns(CLOCK_MONOTONIC) < end) {
		uint64_t from = clock_ns(CLOCK_THREAD_CPUTIME_ID);

		for (unsigned int i = 0; i < opt.burst; i++)
			r->sent += send_one();
		spent += clock_ns(CLOCK_THREAD_CPUTIME_ID) - from;
		drain(r);
	}
	r->seconds = (double)spent / 1e9;
}

static void *read_all(void *arg)
{
	struct pollfd p[RECEIVERS_MOST];

	stay_on((unsigned int)sysconf(_SC_NPROCESSORS_ONLN) > 1);
	atomic_store(&reading, true);
	for (unsigned int n = 0; n < opt.receivers; n++)
		p[n] = (struct pollfd){ .fd = receiver[n], .events = POLLIN };
	while (!atomic_load(&ended))
		if (poll(p, opt.receivers, 10) > 0)
			drain(arg);
	drain(arg);
	return NULL;
}

static void stream(uint64_t ms, double rate, struct result *r)
{
	uint64_t from, now, end;
	pthread_t reader;

	atomic_store(&ended, false);
	atomic_store(&reading, false);
	if (pthread_create(&reader, NULL, read_all, r))
		die("thread");
	while (!atomic_load(&reading))
		usleep(100);
	from = now = clock_ns(CLOCK_MONOTONIC);
	end = from + ms * 1000000;
	for (uint64_t tried = 0; now < end; now = clock_ns(CLOCK_MONOTONIC)) {
		unsigned int burst = rate > 0 ? PACE : opt.burst;

		if (rate > 0 && (double)(now - from) < (double)tried * 1e9 / rate)
			continue;
		for (unsigned int i = 0; i < burst; i++)
			r->sent += send_one();
		tried += burst;
	}
	r->seconds = (double)(now - from) / 1e9;
	usleep(10000);
	atomic_store(&ended, true);
	pthread_join(reader, NULL);
}

static void run(uint64_t ms, double rate)
{
	struct result r = { 0 };

	greet();
	if (opt.taint)
		taint();
	for (unsigned int n = 0; n < opt.receivers; n++)
		expected[n] = number;
	if (opt.stream)
		stream(ms, rate, &r);
	else
		burst(ms, &r);
	printf("{\"sent\": %lu, \"received\": %lu, \"wrong\": %lu, \"late\": %lu, \"bytes\": %lu, \"seconds\": %.6f}\n",
	       r.sent, r.received, r.wrong, r.late, r.bytes, r.seconds);
}

static void parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:p:l:g:r:B:m:bsfut")) != -1)
		switch (c) {
		case 'n': opt.netns = optarg; break;
		case 'p': opt.prefix = optarg; break;
		case 'l': opt.len = (unsigned int)atoi(optarg); break;
		case 'g': opt.gso = (unsigned int)atoi(optarg); break;
		case 'r': opt.receivers = (unsigned int)atoi(optarg); break;
		case 'B': opt.burst = (unsigned int)atoi(optarg); break;
		case 'm': opt.mtu = (unsigned int)atoi(optarg); break;
		case 'b': opt.blocking = true; break;
		case 's': opt.stream = true; break;
		case 'f': opt.flood = true; break;
		case 't': opt.taint = true; break;
		case 'u': opt.csum = CSUM_PARTIAL; break;
		default: exit(2);
		}
	if (!opt.netns || opt.len < 58 || opt.len > FRAME_MOST || !opt.receivers || opt.receivers > RECEIVERS_MOST) {
		fprintf(stderr, "usage: tapgen -n NETNS [-p PREFIX] [-l LEN] [-u] [-b] [-s] [-f] [-t] [-g MSS]"
				" [-r RECEIVERS] [-B BURST] [-m MTU]\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	char line[64];

	parse(argc, argv);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter(opt.netns);
	sender = open_tap(1, opt.blocking);
	for (unsigned int n = 0; n < opt.receivers; n++)
		receiver[n] = open_tap(n + 2, false);
	build();
	stay_on(0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		unsigned int ms;
		double rate = 0;

		if (sscanf(line, "run %u %lf", &ms, &rate) < 1)
			return 2;
		run(ms, rate);
	}
	return 0;
}
