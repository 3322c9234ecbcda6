/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tapfd.h"

#define TUN_MAJOR 10
#define TUN_MINOR 200

struct scan {
	struct tap_fd *list;
	size_t n, room;
	struct stat netns; /* ours */
};

static bool is_tun(int dir, const char *fd)
{
	struct stat st;

	return !fstatat(dir, fd, &st, 0) && S_ISCHR(st.st_mode) && st.st_rdev == makedev(TUN_MAJOR, TUN_MINOR);
}

/* Is it attached to a device? Then its name, and the flags the descriptor was opened with. */
static bool read_fdinfo(struct tap_fd *t)
{
	char path[64], line[128];
	unsigned int flags = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", t->pid, t->fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "flags:", 6))
			flags = (unsigned int)strtoul(line + 6, NULL, 8);
		else if (!strncmp(line, "iff:", 4))
			sscanf(line + 4, "%15s", t->ifname);
	}
	if (f)
		fclose(f);
	t->blocking = !(flags & O_NONBLOCK);
	return t->ifname[0];
}

static void read_comm(struct tap_fd *t)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", t->pid);
	f = fopen(path, "re");
	if (f && fgets(t->comm, sizeof(t->comm), f))
		t->comm[strcspn(t->comm, "\n")] = 0;
	if (f)
		fclose(f);
	for (char *c = t->comm; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
}

/* A duplicate of another process's descriptor; -1 where that is forbidden or the kernel cannot (before 5.6). */
static int borrow(const struct tap_fd *t)
{
	int process = (int)syscall(SYS_pidfd_open, t->pid, 0), fd;

	if (process < 0)
		return -1;
	fd = (int)syscall(SYS_pidfd_getfd, process, t->fd, 0);
	close(process);
	return fd;
}

/* Names are unique in a namespace only: false if the device is known to be in another one. */
static bool look_closer(struct tap_fd *t, const struct stat *netns)
{
	struct ifreq r = { 0 };
	struct stat st;
	int sndbuf = INT_MAX, ns, fd = borrow(t);
	bool here = true;

	if (fd < 0)
		return true;
	ns = ioctl(fd, TUNGETDEVNETNS);
	if (ns >= 0) {
		here = !fstat(ns, &st) && st.st_ino == netns->st_ino && st.st_dev == netns->st_dev;
		close(ns);
	}
	t->looked = !ioctl(fd, TUNGETIFF, &r) && !ioctl(fd, TUNGETSNDBUF, &sndbuf);
	t->napi_frags = t->looked && r.ifr_flags & IFF_NAPI_FRAGS;
	t->sndbuf = t->looked && sndbuf != INT_MAX;
	close(fd);
	return here;
}

static int keep(struct scan *s, const struct tap_fd *t)
{
	if (s->n == s->room) {
		size_t room = s->room ? 2 * s->room : 16;
		struct tap_fd *more = reallocarray(s->list, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->list = more;
		s->room = room;
	}
	s->list[s->n++] = *t;
	return 0;
}

/* A process that ends meanwhile, or that we may not look at, has nothing to say. */
static int scan_process(struct scan *s, pid_t pid)
{
	char path[32];
	const struct dirent *e;
	DIR *d;
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	while (d && !err && (e = readdir(d))) {
		struct tap_fd t = { .pid = pid };

		if (!isdigit((unsigned char)e->d_name[0]) || !is_tun(dirfd(d), e->d_name))
			continue;
		t.fd = atoi(e->d_name);
		if (!read_fdinfo(&t) || !look_closer(&t, &s->netns))
			continue;
		read_comm(&t);
		err = keep(s, &t);
	}
	if (d)
		closedir(d);
	return err;
}

int tap_scan(struct tap_fd **list, size_t *n)
{
	struct scan s = { 0 };
	const struct dirent *e;
	DIR *d = opendir("/proc");
	int err;

	if (!d)
		return -errno;
	err = stat("/proc/self/ns/net", &s.netns) ? -errno : 0;
	while (!err && (e = readdir(d)))
		if (isdigit((unsigned char)e->d_name[0]))
			err = scan_process(&s, atoi(e->d_name));
	closedir(d);
	if (err) {
		free(s.list);
		return err;
	}
	*list = s.list;
	*n = s.n;
	return 0;
}

static void count(struct tap_some *some, const struct tap_fd *t, bool is_so)
{
	if (is_so && !some->n++)
		some->first = *t;
}

void tap_sum(const struct tap_fd *list, size_t n, const char *ifname, struct tap_fds *out)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < n; i++) {
		const struct tap_fd *t = &list[i];

		if (strcmp(t->ifname, ifname) != 0)
			continue;
		out->n++;
		count(&out->blocking, t, t->blocking);
		count(&out->napi_frags, t, t->napi_frags);
		count(&out->sndbuf, t, t->sndbuf);
	}
}

int tap_fds(const char *ifname, struct tap_fds *out)
{
	struct tap_fd *list = NULL;
	size_t n = 0;
	int err = tap_scan(&list, &n);

	tap_sum(list, n, ifname, out);
	free(list);
	return err;
}
