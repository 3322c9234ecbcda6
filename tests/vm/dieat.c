/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Preloaded, since ptrace takes minutes when emulated: the process dies as it enters its DIE_AT'th flock() or unlink(),
 * or as it puts tc filters on a device; the FAIL_AT'th time that it does so, there is no memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* DIE_AT is "flock 14" or "filters 5", for example. */
static void count(const char *call, int *n)
{
	const char *at = getenv("DIE_AT");
	size_t len = strlen(call);

	if (at && !strncmp(at, call, len) && at[len] == ' ' && ++*n == atoi(at + len + 1))
		raise(SIGKILL);
}

int flock(int fd, int operation)
{
	static int n;

	count("flock", &n);
	return (int)syscall(SYS_flock, fd, operation);
}

int unlink(const char *path)
{
	static int n;

	count("unlink", &n);
	return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

static bool puts_filters(const void *buf, size_t size)
{
	const struct nlmsghdr *h = buf;

	for (size_t left = size; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
		if (h->nlmsg_type == RTM_NEWTFILTER)
			return true;
	return false;
}

ssize_t sendto(int fd, const void *buf, size_t size, int flags, const struct sockaddr *to, socklen_t len)
{
	const char *at = getenv("FAIL_AT");
	static int n, failed;

	if (to && to->sa_family == AF_NETLINK && puts_filters(buf, size)) {
		count("filters", &n);
		if (at && ++failed == atoi(at)) {
			errno = ENOMEM;
			return -1;
		}
	}
	return syscall(SYS_sendto, fd, buf, size, flags, to, len);
}
