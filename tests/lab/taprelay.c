// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * taprelay: makes a network namespace look like a VM. It stands where a VMM stands: one TAP in the plane's
 * namespace, one in the guest's; frames go both ways with their virtio-net header, so that the guest's stack sends
 * GSO superframes and unfinished checksums through the plane's TAP as a real guest with default offloads does.
 *
 * Only the plane's TAP takes the options; the guest's side is always the plain, non-blocking, full-offload kind.
 * Build: gcc -std=gnu11 -O2 -Wall -Wextra -Werror -o build/tests/taprelay tests/lab/taprelay.c -pthread
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define VNET_HDR_LEN 12
#define FRAME_MAX (VNET_HDR_LEN + 65536 + 64)

struct options {
	bool blocking, napi, napi_frags, persist, no_offload;
	int sndbuf;
};

struct pipe_dir {
	int from, to;
};

static void die(const char *what, const char *name)
{
	fprintf(stderr, "taprelay: %s %s: %s\n", what, name, strerror(errno));
	exit(1);
}

static void enter_ns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die("enter", path);
	close(fd);
}

/* The newest set the kernel takes: USO is Linux 6.2, UFO was dropped and came back. */
static void set_offload(int fd, const char *name)
{
	static const unsigned int sets[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO | TUN_F_USO4 | TUN_F_USO6,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
	};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		if (ioctl(fd, TUNSETOFFLOAD, sets[i]) == 0)
			return;
	die("TUNSETOFFLOAD", name);
}

static int open_tap(const char *name, const struct options *o)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | (o->blocking ? 0 : O_NONBLOCK));
	int hdr_len = VNET_HDR_LEN;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (o->napi || o->napi_frags)
		ifr.ifr_flags |= IFF_NAPI;
	if (o->napi_frags)
		ifr.ifr_flags |= IFF_NAPI_FRAGS;
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
		die("create", name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr_len) < 0)
		die("TUNSETVNETHDRSZ", name);
	if (o->sndbuf && ioctl(fd, TUNSETSNDBUF, &o->sndbuf) < 0)
		die("TUNSETSNDBUF", name);
	if (o->persist && ioctl(fd, TUNSETPERSIST, 1) < 0)
		die("TUNSETPERSIST", name);
	if (!o->no_offload)
		set_offload(fd, name);
	return fd;
}

/* A write that fails is a lost frame, as on any wire: the device may be down (EIO) or its buffer full. */
static void *copy_frames(void *arg)
{
	const struct pipe_dir *dir = arg;
	char *buf = calloc(1, FRAME_MAX);
	struct pollfd p = { .fd = dir->from, .events = POLLIN };

	while (buf && poll(&p, 1, -1) >= 0) {
		ssize_t n;

		if (p.revents & (POLLERR | POLLHUP | POLLNVAL))
			usleep(20000);          /* the device is down or gone; a VMM waits too */
		for (int i = 0; i < 64 && (n = read(dir->from, buf, FRAME_MAX)) > 0; i++) {
			if (write(dir->to, buf, (size_t)n) < 0 && errno == EBADFD)
				exit(1);
			if (poll(&p, 1, 0) <= 0)
				break;
		}
	}
	exit(1);
}

int main(int argc, char **argv)
{
	struct options plane = { 0 };
	const struct options guest = { 0 };
	struct pipe_dir in, out;
	pthread_t thread;
	int c;

	while ((c = getopt(argc, argv, "bs:fnpo")) != -1)
		switch (c) {
		case 'b': plane.blocking = true; break;
		case 's': plane.sndbuf = atoi(optarg); break;
		case 'f': plane.napi_frags = true; break;
		case 'n': plane.napi = true; break;
		case 'p': plane.persist = true; break;
		case 'o': plane.no_offload = true; break;
		default: goto usage;
		}
	if (argc - optind != 4)
		goto usage;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter_ns(argv[optind]);
	in.from = out.to = open_tap(argv[optind + 1], &plane);
	enter_ns(argv[optind + 2]);
	in.to = out.from = open_tap(argv[optind + 3], &guest);
	printf("ready\n");
	fflush(stdout);
	if (pthread_create(&thread, NULL, copy_frames, &in))
		die("pthread_create", "");
	copy_frames(&out);
	return 1;
usage:
	fprintf(stderr, "usage: taprelay [-b] [-s SNDBUF] [-f] [-n] [-p] [-o] PLANE_NS TAP GUEST_NS TAP\n");
	return 2;
}
