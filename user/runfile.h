/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Small files of a plane in /run/vpeer/PLANE, replaced as a whole. Callers that write hold the plane's lock. */
#ifndef RUNFILE_H
#define RUNFILE_H

#include <stddef.h>

/* Written beside it, synced, renamed: a crash leaves the old or the new file. On -errno it is the old one. */
int runfile_write(const char *plane, const char *leaf, const char *text, size_t len);
int runfile_write_all(int fd, const char *text, size_t len); /* and synced; 0 or -errno */
/* All of it, NUL-terminated; free(). -ENOENT: there is none. */
int runfile_read(const char *plane, const char *leaf, char **text, size_t *len);
int runfile_rename(const char *plane, const char *from, const char *to);
int runfile_remove(const char *plane, const char *leaf); /* none: 0 */

#endif
