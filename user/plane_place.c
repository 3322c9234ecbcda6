/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where planes are: pinned in a bpffs that everybody sees, and each locked by its directory in /run/vpeer. */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "log.h"
#include "plane_priv.h"

#define BPF_FS_MAGIC_NUMBER 0xcafe4a11
#define BPFFS_OURS PLANE_RUN "/.bpffs"

static bool has_bpffs(void)
{
	struct statfs fs;

	return !statfs("/sys/fs/bpf", &fs) && (uint32_t)fs.f_type == BPF_FS_MAGIC_NUMBER;
}

/* `ip netns exec NAME` mounts a sysfs that it calls NAME. */
static bool is_netns_exec(void)
{
	char path[PATH_MAX];
	bool is = false;
	FILE *f = setmntent("/proc/self/mounts", "r");

	for (const struct mntent *m = f ? getmntent(f) : NULL; m; m = getmntent(f)) {
		if (strcmp(m->mnt_dir, "/sys") != 0)
			continue;
		snprintf(path, sizeof(path), "/run/netns/%s", m->mnt_fsname);
		is = !access(path, F_OK);
	}
	if (f)
		endmntent(f);
	return is;
}

/* A bpffs that we mounted in another mount namespace than the host's would end with it, and its pins with it. */
int plane_check_seen(void)
{
	struct stat ours, first;

	if (has_bpffs() || (!is_netns_exec() && (stat("/proc/self/ns/mnt", &ours) || stat("/proc/1/ns/mnt", &first) ||
						 ours.st_ino == first.st_ino)))
		return 0;
	fail("/sys/fs/bpf", "no bpffs is here, so planes cannot be seen, and what was made here would be seen by "
			    "nobody: `ip netns exec` mounts its own /sys; use nsenter --net=/run/netns/NAME");
	return -ENOTSUP;
}

int plane_lock(struct plane *p, const char *name)
{
	char path[PATH_MAX];
	struct stat open_one, named;
	int ret = plane_check_seen();

	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s/%s", PLANE_RUN, name);
	for (;;) {
		if ((mkdir(PLANE_RUN, 0755) && errno != EEXIST) || (mkdir(path, 0755) && errno != EEXIST)) {
			int err = errno;

			fail(path, "cannot make the plane's directory: %s%s", strerror(err),
			     err == EACCES || err == EPERM ? "; run as root" : "");
			return -err;
		}
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0 && errno == ENOENT)
			continue; /* `down` of another loader took it away between the two calls */
		if (fd < 0 || flock(fd, LOCK_EX)) {
			int err = errno;

			if (fd >= 0)
				close(fd);
			fail(path, "cannot lock the plane: %s%s", strerror(err),
			     err == EACCES || err == EPERM ? "; run as root" : "");
			return -err;
		}
		/* The one who held the lock may have removed the directory: then ours is nobody's lock. */
		if (!fstat(fd, &open_one) && !stat(path, &named) && open_one.st_ino == named.st_ino) {
			p->lock = fd;
			return 0;
		}
		close(fd);
	}
}

/* bpffs at its usual place, mounted if nothing of that kind is there. */
int plane_need_bpffs(void)
{
	if (has_bpffs())
		return 0;
	/* `down` of the last plane unmounts what we mounted: noted first, so that dying in between loses nothing. */
	int fd = open(BPFFS_OURS, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	if (fd >= 0)
		close(fd);
	if (mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700")) {
		int err = errno;

		unlink(BPFFS_OURS);
		fail("/sys/fs/bpf", "no bpffs there, and mounting it failed: %s; run: mount -t bpf bpf /sys/fs/bpf",
		     strerror(err));
		return -err;
	}
	return 0;
}

/* Nothing of any plane is left, one half made included: then what we made to hold the pins goes, too. */
void plane_leave_bpffs(void)
{
	if (rmdir(PLANE_ROOT) && errno != ENOENT)
		return;
	/* Somebody else's programs may live there by now: then it stays, and is no longer ours. */
	bool empty = plane_shared_leave();

	if (!unlink(BPFFS_OURS) && empty)
		umount2("/sys/fs/bpf", MNT_DETACH);
}
