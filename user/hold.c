/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hold.h"
#include "undo.h"

/* Does this end's lack of carrier speak for itself? */
static bool is_cause(const struct hold_end *e)
{
	return !e->held && !e->settling && !(e->present && e->up && e->running);
}

static enum hold_act act_at(const struct hold_end *e, const struct hold_end *other)
{
	bool shall = is_cause(other);

	if (e->held && !shall)
		return HOLD_RELEASE;
	if (!shall || !e->present || !e->up)
		return HOLD_NOTHING;
	/* Held and up: somebody has put it up by hand meanwhile. */
	return e->held || e->running || e->settling ? HOLD_DOWN : HOLD_NOTHING;
}

void hold_decide(const struct hold_end ends[2], enum hold_act acts[2])
{
	acts[0] = act_at(&ends[0], &ends[1]);
	acts[1] = act_at(&ends[1], &ends[0]);
}

/* ---- the lock ---- */

static int open_lock(const char *plane, int flags)
{
	char path[80];

	snprintf(path, sizeof(path), "/run/vpeer/%s/watch", plane);
	return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0644);
}

/* Locks of an open file, not of a process: asking whether one is held neither takes it nor loses it. */
int hold_lock(const char *plane, int *fd, int *pid)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[16] = "";
	int err;

	*pid = 0;
	*fd = open_lock(plane, O_RDWR | O_CREAT);
	if (*fd < 0)
		return -errno;
	if (!fcntl(*fd, F_OFD_SETLK, &all)) {
		/* For people only, and for the message above. */
		int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());

		return ftruncate(*fd, 0) || pwrite(*fd, text, (size_t)len, 0) != len ? -errno : 0;
	}
	err = errno == EACCES ? -EAGAIN : -errno;
	if (pread(*fd, text, sizeof(text) - 1, 0) > 0)
		*pid = (int)strtol(text, NULL, 10);
	close(*fd);
	*fd = -1;
	return err;
}

bool hold_watched(const char *plane)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open_lock(plane, O_RDONLY);
	bool yes = fd >= 0 && !fcntl(fd, F_OFD_GETLK, &all) && all.l_type != F_UNLCK;

	if (fd >= 0)
		close(fd);
	return yes;
}

bool hold_in_force(const char *plane, uint32_t ifindex)
{
	uint32_t *held = NULL;
	size_t n = 0;
	bool yes = false;

	if (!undo_held(plane, &held, &n))
		for (size_t i = 0; i < n; i++)
			yes |= held[i] == ifindex;
	free(held);
	return yes && hold_watched(plane);
}

int hold_sweep(const char *plane)
{
	return hold_watched(plane) ? 0 : undo_release(plane, 0);
}
