/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Preloaded: the process dies as it enters its DIE_AT'th flock() or unlink(); ptrace takes minutes when emulated. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

/* DIE_AT is "flock 14", for example. */
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
