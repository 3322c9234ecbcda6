/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A descriptor of a TAP tells what decides whether its frames take the generic path: O_NONBLOCK and the device's name
 * in /proc/PID/fdinfo; IFF_NAPI_FRAGS, the send buffer limit (INT_MAX = none) and the device's namespace by ioctl, also
 * to who has it by pidfd_getfd() only: user/tapfd.c.
 */
#include "fact.h"

#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The text behind `key` in this descriptor's fdinfo. */
static void fdinfo(int fd, const char *key, char out[64])
{
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	out[0] = 0;
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			sscanf(line + strlen(key), "%63s", out);
	if (f)
		fclose(f);
}

static int borrowed(int fd)
{
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int copy = (int)syscall(SYS_pidfd_getfd, self, fd, 0);

	close(self);
	must(copy < 0 ? -errno : 0, "pidfd_getfd");
	return copy;
}

static bool is_here(int fd)
{
	struct stat netns, ours;
	int ns = ioctl(fd, TUNGETDEVNETNS);
	bool same = ns >= 0 && !fstat(ns, &netns) && !stat("/proc/self/ns/net", &ours) && netns.st_ino == ours.st_ino;

	close(ns);
	return same;
}

int main(void)
{
	char name[64], flags[64];
	struct ifreq r = { 0 };
	int before = 0, after = 0, limit = 100000;

	probe_begin();
	int fd = tap("t1", 0), copy = borrowed(fd);

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	fdinfo(fd, "iff:", name);
	fdinfo(fd, "flags:", flags);
	bool open_so = strtol(flags, NULL, 8) & O_NONBLOCK;

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	fdinfo(fd, "flags:", flags);
	bool blocks_so = !(strtol(flags, NULL, 8) & O_NONBLOCK);
	bool asked = !ioctl(copy, TUNGETSNDBUF, &before) && !ioctl(fd, TUNSETSNDBUF, &limit) &&
		     !ioctl(copy, TUNGETSNDBUF, &after) && !ioctl(copy, TUNGETIFF, &r);
	bool here = is_here(copy);

	must(unshare(CLONE_NEWNET) ? -errno : 0, "unshare");
	bool elsewhere = !is_here(copy);

	if (strcmp(name, "t1") != 0 || !open_so || !blocks_so || !asked || before != INT_MAX || after != limit ||
	    !here || !elsewhere || !(r.ifr_flags & IFF_TAP))
		broken("name \"%s\", non-blocking %d, blocking %d, send buffer %d then %d, here %d, elsewhere %d", name,
		       open_so, blocks_so, before, after, here, elsewhere);
	return holds("fdinfo tells name and O_NONBLOCK; a borrowed descriptor the send buffer limit and the namespace");
}
