/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "runfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BASE_DIR "/run/vpeer"
#define PATH_LEN 128

static void make_path(char buf[PATH_LEN], const char *plane, const char *leaf, const char *more)
{
	snprintf(buf, PATH_LEN, BASE_DIR "/%s/%s%s", plane, leaf, more);
}

int runfile_write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return fsync(fd) ? -errno : 0;
}

int runfile_write(const char *plane, const char *leaf, const char *text, size_t len)
{
	char path[PATH_LEN], tmp[PATH_LEN];
	int fd, err;

	make_path(path, plane, leaf, "");
	make_path(tmp, plane, leaf, ".tmp");
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	err = runfile_write_all(fd, text, len);
	close(fd);
	if (!err && rename(tmp, path))
		err = -errno;
	if (err)
		unlink(tmp);
	return err;
}

int runfile_read(const char *plane, const char *leaf, char **text, size_t *len)
{
	char path[PATH_LEN];
	struct stat st;
	size_t n = 0;
	ssize_t got = 1;
	int fd, err = 0;

	*text = NULL;
	*len = 0;
	make_path(path, plane, leaf, "");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		err = -errno;
	if (!err)
		*text = malloc((size_t)st.st_size + 1);
	if (!err && !*text)
		err = -ENOMEM;
	while (!err && got > 0 && n < (size_t)st.st_size) {
		got = read(fd, *text + n, (size_t)st.st_size - n);
		if (got < 0)
			err = -errno;
		else
			n += (size_t)got;
	}
	close(fd);
	if (err) {
		free(*text);
		*text = NULL;
		return err;
	}
	(*text)[n] = 0;
	*len = n;
	return 0;
}

int runfile_rename(const char *plane, const char *from, const char *to)
{
	char a[PATH_LEN], b[PATH_LEN];

	make_path(a, plane, from, "");
	make_path(b, plane, to, "");
	return rename(a, b) ? -errno : 0;
}

int runfile_remove(const char *plane, const char *leaf)
{
	char path[PATH_LEN];

	make_path(path, plane, leaf, "");
	return unlink(path) && errno != ENOENT ? -errno : 0;
}
