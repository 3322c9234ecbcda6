/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sock: what two guests' own kernels get through: bulk TCP, datagrams of 18 bytes, request and response over TCP.
 * One end sends in one namespace, the other receives in another; each on a CPU for itself, by wall clock, or both on
 * one, by its time: what both ends together take.
 *
 * Commands on standard input: `run tcp|udp|rr MILLISECONDS`; each is answered by one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cputime.h"

#define CHUNK (128 * 1024)
#define DATAGRAM 18
#define BATCH 64

static const char *near_ns, *far_ns;
static struct sockaddr_in target = { .sin_family = AF_INET };
static int far_fd; /* bound in the far namespace */
static _Atomic uint64_t bytes, packets;
static uint16_t port = 20000;
static unsigned int cpus = 2;

static void die(const char *what)
{
	fprintf(stderr, "sock: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int socket_in(const char *ns, int type)
{
	int fd = open(ns, O_RDONLY | O_CLOEXEC), s, one = 1;
	struct timeval limit = { .tv_sec = 2 };

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(ns);
	close(fd);
	s = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (s < 0)
		die("socket");
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (type == SOCK_STREAM)
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return s;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void *take_tcp(void *arg)
{
	int s = accept(far_fd, NULL, NULL);
	char *buf = malloc(CHUNK);
	ssize_t n;

	stay_on(cpus - 1);
	(void)arg;
	while (s >= 0 && buf && (n = recv(s, buf, CHUNK, 0)) > 0)
		bytes += (uint64_t)n;
	free(buf);
	close(s);
	return NULL;
}

static void *echo(void *arg)
{
	int s = accept(far_fd, NULL, NULL), one = 1;
	char c;

	stay_on(cpus - 1);
	(void)arg;
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (s >= 0 && recv(s, &c, 1, 0) == 1 && send(s, &c, 1, MSG_NOSIGNAL) == 1)
		;
	close(s);
	return NULL;
}

/* Until a datagram says that it is the last one, or none has come for two seconds. */
static void *take_udp(void *arg)
{
	static char buf[BATCH][DATAGRAM];
	static struct mmsghdr m[BATCH];
	static struct iovec v[BATCH];
	bool last = false;

	stay_on(cpus - 1);
	(void)arg;
	for (int i = 0; i < BATCH; i++) {
		v[i] = (struct iovec){ buf[i], DATAGRAM };
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v[i], .msg_iovlen = 1 };
	}
	while (!last) {
		int n = recvmmsg(far_fd, m, BATCH, MSG_WAITFORONE, NULL);

		if (n <= 0)
			break;
		for (int i = 0; i < n; i++)
			last |= buf[i][0] == 'L';
		packets += (uint64_t)n;
	}
	return NULL;
}

static uint64_t send_tcp(int s, uint64_t end)
{
	char *buf = calloc(1, CHUNK);

	while (buf && now_ns() < end)
		if (send(s, buf, CHUNK, MSG_NOSIGNAL) < 0)
			break;
	free(buf);
	return 0;
}

static uint64_t send_udp(int s, uint64_t end)
{
	static char data[DATAGRAM] = "D";
	static struct mmsghdr m[BATCH];
	struct iovec v = { data, DATAGRAM };
	uint64_t sent = 0;

	for (int i = 0; i < BATCH; i++)
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 };
	data[0] = 'D';
	while (now_ns() < end) {
		int n = sendmmsg(s, m, BATCH, 0);

		sent += n > 0 ? (uint64_t)n : 0;
	}
	data[0] = 'L';
	for (int i = 0; i < 20; i++) {
		usleep(5000);
		if (send(s, data, DATAGRAM, 0) < 0)
			break;
	}
	return sent;
}

static uint64_t ping_pong(int s, uint64_t end)
{
	uint64_t n = 0;
	char c = 'x';

	while (now_ns() < end && send(s, &c, 1, MSG_NOSIGNAL) == 1 && recv(s, &c, 1, 0) == 1)
		n++;
	return n;
}

static void run(const char *what, unsigned int ms)
{
	bool udp = !strcmp(what, "udp"), rr = !strcmp(what, "rr");
	int type = udp ? SOCK_DGRAM : SOCK_STREAM, big = 64 << 20, s;
	struct sockaddr_in any = { .sin_family = AF_INET };
	uint64_t from, cpu, late, sent;
	pthread_t thread;
	double seconds;

	any.sin_port = target.sin_port = htons(port++);
	bytes = packets = 0;
	far_fd = socket_in(far_ns, type);
	setsockopt(far_fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	if (bind(far_fd, (struct sockaddr *)&any, sizeof(any)) || (!udp && listen(far_fd, 1)))
		die("bind");
	s = socket_in(near_ns, type);
	if (pthread_create(&thread, NULL, udp ? take_udp : rr ? echo : take_tcp, NULL))
		die("thread");
	if (connect(s, (struct sockaddr *)&target, sizeof(target)))
		die("connect");
	from = now_ns();
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	late = ksoftirqd_ns(1);
	sent = (udp ? send_udp : rr ? ping_pong : send_tcp)(s, from + ms * 1000000ULL);
	seconds = (double)(now_ns() - from) / 1e9 - (udp ? 0.1 : 0);
	close(s);
	pthread_join(thread, NULL);
	close(far_fd);
	if (cpus == 1)
		seconds = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu + ksoftirqd_ns(1) - late) / 1e9;
	printf("{\"sent\": %lu, \"received\": %lu, \"bytes\": %lu, \"seconds\": %.6f}\n", sent, rr ? sent : packets,
	       bytes, seconds);
}

int main(int argc, char **argv)
{
	char line[64], what[8];

	if (argc > 4)
		cpus = (unsigned int)atoi(argv[4]);
	if (argc < 4 || argc > 5 || inet_pton(AF_INET, argv[3], &target.sin_addr) != 1 || cpus - 1 > 1) {
		fprintf(stderr, "usage: sock NEAR_NETNS FAR_NETNS FAR_ADDRESS [1|2]\n");
		return 2;
	}
	stay_on(0);
	near_ns = argv[1];
	far_ns = argv[2];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		unsigned int ms;

		if (sscanf(line, "run %7s %u", what, &ms) != 2)
			return 2;
		run(what, ms);
	}
	return 0;
}
