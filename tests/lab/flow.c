/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * flow: numbered UDP frames through a plane at a fixed rate, and what became of each of them.  It makes the TAPs of the
 * receivers, and of the sender, which is one of two:
 *
 *   -t TAP   a guest that writes frames to its TAP, by bursts
 *   -g NETNS a guest behind a veth, in NETNS: its kernel cuts what a socket sends into 32 datagrams, which cross the
 *            veth together, so that NAPI at the plane's end has batches (GRO on there, tx-udp-segmentation off here)
 *
 * usage: flow -n NETNS -r TAP[,TAP...] {-t TAP -m MAC | -g NETNS -a ADDRESS} [-R FRAMES_PER_SECOND]
 *
 * Says `ready`; on `go` it starts, on `stop` it ends, waits for what is under way and tells in one line of JSON: sent,
 * refused (by the sender's own kernel), per receiver the number, lost, twice, and late (after a later one of its flow).
 * On `look`, any number of times in between, it tells how far it is: sent, refused, twice, late, and as `next` the
 * first number that has not come yet.  Its TAPs stay until standard input ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define VNET 12
#define HEADERS (14 + 20 + 8)
#define PAYLOAD 18 /* the number, its complement (so that the checksum is always the same), and up to 60 bytes */
#define FRAME (HEADERS + PAYLOAD)
#define FLOWS 4
#define PORT 5000
#define BATCH 32
#define RECEIVERS 8
#define NUMBERS (1U << 28)
#define QUEUE 32000 /* Linux 6.1 takes up to 32767 */
#define WINDOW 30000 /* frames under way: a reader that has to wait for the CPU must not lose any */

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static int tap = -1, sockets[FLOWS], receiver[RECEIVERS];
static unsigned int n_receivers;
static uint8_t frames[FLOWS][VNET + FRAME];
static uint64_t *seen;
static uint32_t top[FLOWS];
static uint64_t sent, refused, got[RECEIVERS], twice, late;
static atomic_bool stop, all_sent;
static atomic_ulong arrived;
static double rate = 100000;

static void die(const char *what)
{
	fprintf(stderr, "flow: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(path);
	close(fd);
}

/* Up, and with a queue that a reader who had to wait for the CPU does not lose from. */
static int open_tap(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), size = VNET;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) || ioctl(fd, TUNSETVNETHDRSZ, &size))
		die(name);
	r.ifr_qlen = QUEUE;
	if (ioctl(s, SIOCSIFTXQLEN, &r))
		die("queue");
	if (ioctl(s, SIOCGIFFLAGS, &r))
		die("flags");
	r.ifr_flags |= IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &r))
		die("up");
	close(s);
	return fd;
}

static void put16(uint8_t *at, unsigned int v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static unsigned int sum(const uint8_t *at, size_t len, unsigned int s)
{
	for (size_t i = 0; i < len; i += 2)
		s += (unsigned int)at[i] << 8 | (i + 1 < len ? at[i + 1] : 0);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static void put_number(uint8_t *payload, uint32_t n)
{
	uint32_t other = ~n;

	memcpy(payload, &n, 4);
	memcpy(payload + 4, &other, 4);
}

static void build(const char *mac)
{
	unsigned int to[6];

	if (sscanf(mac, "%x:%x:%x:%x:%x:%x", to, to + 1, to + 2, to + 3, to + 4, to + 5) != 6)
		die(mac);
	for (unsigned int flow = 0; flow < FLOWS; flow++) {
		uint8_t *f = frames[flow] + VNET, *ip = f + 14, *udp = ip + 20;

		for (int i = 0; i < 6; i++)
			f[i] = (uint8_t)to[i];
		memcpy(f + 6, (uint8_t[]){ 0x52, 0x54, 0, 0, 0, 0x0a, 8, 0 }, 8);
		memcpy(ip, (uint8_t[]){ 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2 }, 20);
		put16(ip + 2, FRAME - 14);
		put16(ip + 10, ~sum(ip, 20, 0) & 0xffff);
		put16(udp, PORT + flow);
		put16(udp + 2, PORT);
		put16(udp + 4, 8 + PAYLOAD);
		put_number(udp + 8, 0);
		put16(udp + 6, ~sum(udp, 8 + PAYLOAD, sum(ip + 12, 8, 17 + 8 + PAYLOAD)) & 0xffff);
	}
}

static void open_sockets(const char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int size = PAYLOAD;

	inet_pton(AF_INET, address, &to.sin_addr);
	for (unsigned int flow = 0; flow < FLOWS; flow++) {
		struct sockaddr_in from = { .sin_family = AF_INET, .sin_port = htons((uint16_t)(PORT + flow)) };

		sockets[flow] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (sockets[flow] < 0 || bind(sockets[flow], (struct sockaddr *)&from, sizeof(from)) ||
		    connect(sockets[flow], (struct sockaddr *)&to, sizeof(to)) ||
		    setsockopt(sockets[flow], IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)))
			die("socket");
	}
}

static void write_batch(unsigned int flow)
{
	for (int i = 0; i < BATCH; i++, flow = (flow + 1) % FLOWS) {
		put_number(frames[flow] + VNET + HEADERS, (uint32_t)sent);
		if (write(tap, frames[flow], sizeof(frames[flow])) == sizeof(frames[flow]))
			sent++;
		else
			refused++;
	}
}

static void send_batch(unsigned int flow)
{
	uint8_t data[BATCH * PAYLOAD] = { 0 };

	for (uint32_t i = 0; i < BATCH; i++)
		put_number(data + i * PAYLOAD, (uint32_t)sent + i);
	if (send(sockets[flow], data, sizeof(data), 0) == sizeof(data))
		sent += BATCH;
	else
		refused += BATCH;
}

static void rest(void)
{
	clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = 100000 }, NULL);
}

/* Not more than WINDOW under way; but what does not arrive in a while is lost, and nobody waits for it again. */
static void keep_window(void)
{
	static uint64_t given_up;
	uint64_t seen_at = atomic_load(&arrived);
	double since = now();

	while (sent - seen_at - given_up > WINDOW && !atomic_load(&stop)) {
		uint64_t so_far = atomic_load(&arrived);

		if (so_far != seen_at)
			since = now();
		else if (now() > since + 0.5)
			given_up = sent - so_far;
		seen_at = so_far;
		rest();
	}
}

/* Of a sender that moves to another processor, later frames may overtake those that wait in the former's backlog. */
static void stay_on_this_processor(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *sending(void *unused)
{
	double from = now();

	(void)unused;
	stay_on_this_processor();
	for (unsigned int batch = 0; !atomic_load(&stop) && sent < NUMBERS - BATCH; batch++) {
		while ((double)sent > (now() - from) * rate && !atomic_load(&stop))
			rest();
		keep_window();
		if (tap >= 0)
			write_batch(batch % FLOWS);
		else
			send_batch(batch % FLOWS);
	}
	atomic_store(&all_sent, true);
	return NULL;
}

static void take(unsigned int at, const uint8_t *frame, ssize_t len)
{
	const uint8_t *udp = frame + VNET + 34;
	unsigned int flow = (unsigned int)(udp[0] << 8 | udp[1]) - PORT;
	uint32_t n, other;

	memcpy(&n, udp + 8, 4);
	memcpy(&other, udp + 12, 4);
	if (len < VNET + HEADERS + 8 || frame[VNET + 12] != 8 || flow >= FLOWS || n != ~other || n >= NUMBERS)
		return;
	got[at]++;
	atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed);
	twice += seen[n / 64] >> n % 64 & 1;
	seen[n / 64] |= 1ULL << n % 64;
	late += n < top[flow];
	if (n > top[flow])
		top[flow] = n;
}

static bool drain(void)
{
	static uint8_t frame[70000];
	bool any = false;
	ssize_t len;

	for (unsigned int i = 0; i < n_receivers; i++)
		while ((len = read(receiver[i], frame, sizeof(frame))) > 0) {
			take(i, frame, len);
			any = true;
		}
	return any;
}

/* Until everything was sent and nothing has come for a while. */
static void *receiving(void *unused)
{
	struct pollfd p[RECEIVERS];
	double last = now();

	(void)unused;
	for (unsigned int i = 0; i < n_receivers; i++)
		p[i] = (struct pollfd){ .fd = receiver[i], .events = POLLIN };
	while (!atomic_load(&all_sent) || now() < last + 0.3) {
		poll(p, n_receivers, 50);
		if (drain() || !atomic_load(&all_sent))
			last = now();
	}
	return NULL;
}

static void report(double seconds)
{
	uint64_t once = 0;

	for (size_t i = 0; i < NUMBERS / 64; i++)
		once += (uint64_t)__builtin_popcountll(seen[i]);
	printf("{\"sent\": %lu, \"refused\": %lu, \"lost\": %lu, \"twice\": %lu, \"late\": %lu, \"seconds\": %.3f, "
	       "\"received\": [", sent, refused, sent - once, twice, late, seconds);
	for (unsigned int i = 0; i < n_receivers; i++)
		printf("%s%lu", i ? ", " : "", got[i]);
	printf("]}\n");
}

/* While both threads work: what was sent by now has come if a later look finds `next` beyond it. */
static void look(void)
{
	static uint64_t next;
	uint64_t sent_now = __atomic_load_n(&sent, __ATOMIC_ACQUIRE);

	while (__atomic_load_n(&seen[next / 64], __ATOMIC_RELAXED) >> next % 64 & 1)
		next++;
	printf("{\"sent\": %lu, \"refused\": %lu, \"twice\": %lu, \"late\": %lu, \"next\": %lu}\n", sent_now, refused,
	       twice, late, next);
}

static void run(void)
{
	pthread_t threads[2];
	char line[16];
	double from;

	if (!fgets(line, sizeof(line), stdin))
		exit(0);
	drain();
	from = now();
	if (pthread_create(&threads[0], NULL, receiving, NULL) || pthread_create(&threads[1], NULL, sending, NULL))
		die("thread");
	do {
		if (!fgets(line, sizeof(line), stdin))
			exit(0);
		if (!strcmp(line, "look\n"))
			look();
	} while (strcmp(line, "stop\n") != 0);
	from = now() - from;
	atomic_store(&stop, true);
	pthread_join(threads[1], NULL);
	pthread_join(threads[0], NULL);
	report(from);
	while (fgets(line, sizeof(line), stdin))
		;
}

int main(int argc, char **argv)
{
	const char *host = NULL, *guest = NULL, *from = NULL, *mac = NULL, *address = NULL;
	char *names = NULL;
	int c;

	while ((c = getopt(argc, argv, "n:r:t:m:g:a:R:")) != -1)
		switch (c) {
		case 'n': host = optarg; break;
		case 'r': names = optarg; break;
		case 't': from = optarg; break;
		case 'm': mac = optarg; break;
		case 'g': guest = optarg; break;
		case 'a': address = optarg; break;
		case 'R': rate = atof(optarg); break;
		default: return 2;
		}
	if (!host || !names || !(from && mac) == !(guest && address))
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	seen = calloc(NUMBERS / 64, sizeof(*seen));
	if (!seen)
		die("memory");
	enter(host);
	if (from) {
		tap = open_tap(from);
		build(mac);
	}
	for (char *name = strtok(names, ","); name && n_receivers < RECEIVERS; name = strtok(NULL, ","))
		receiver[n_receivers++] = open_tap(name);
	if (guest) {
		enter(guest);
		open_sockets(address);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	run();
	return 0;
}
