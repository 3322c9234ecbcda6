/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who has a TAP open, and how.  A frame that a VMM writes runs the XDP program natively only if the descriptor is
 * non-blocking, has no send buffer limit and no NAPI_FRAGS; else the same program runs on the generic path.  The device
 * does not show this, the descriptor does: /proc tells its flags, and a short-lived duplicate of it the rest.
 */
#ifndef TAPFD_H
#define TAPFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One descriptor of /dev/net/tun that is attached to a queue of a device of this namespace. */
struct tap_fd {
	char ifname[16], comm[16]; /* comm: the process's name */
	pid_t pid;
	int fd;
	bool blocking;
	bool looked; /* the next two are known; else also the device's namespace is not */
	bool napi_frags;
	bool sndbuf; /* a send buffer limit is set */
};

/* How many of a device's descriptors are so, and the first of them. */
struct tap_some {
	unsigned int n;
	struct tap_fd first;
};

struct tap_fds {
	unsigned int n;
	struct tap_some blocking, napi_frags, sndbuf; /* each makes frames take the generic path */
};

/* Every attached descriptor of every process that we may look at; free() the list. -ENOMEM, or -errno of /proc. */
int tap_scan(struct tap_fd **list, size_t *n);
/* Those of one device. */
void tap_sum(const struct tap_fd *list, size_t n, const char *ifname, struct tap_fds *out);
/* Both at once, for a single device. */
int tap_fds(const char *ifname, struct tap_fds *out);

#endif
