/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The undo file: one line `ifindex device key old new mac netns` for each change, written and synced before the change.
 *
 * A line without its newline is torn: the writer died before the change, and so it counts as never written.
 * The device is the one with that ifindex in the namespace of that cookie, if it still has its name or its MAC address;
 * when it is gone, so is what was changed on it, and a stranger may have got its number.
 * Callers hold the plane's lock: there is one writer.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runfile.h"
#include "undo_priv.h"
#include "value.h"

#define BASE_DIR "/run/vpeer"

/* ---- the directory and the file ---- */

struct paths {
	char dir[64], file[80], tmp[80];
};

static int make_paths(struct paths *p, const char *plane)
{
	if (!plane[0] || plane[0] == '.' || strchr(plane, '/') || strlen(plane) >= VP_NAME_LEN)
		return -EINVAL;
	snprintf(p->dir, sizeof(p->dir), BASE_DIR "/%s", plane);
	snprintf(p->file, sizeof(p->file), "%s/undo", p->dir);
	snprintf(p->tmp, sizeof(p->tmp), "%s/undo.tmp", p->dir);
	return 0;
}

static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int ret = fsync(fd) ? -errno : 0;
	close(fd);
	return ret;
}

/* mkdir, with a mode that no umask takes from; what exists is left as it is. */
static int make_dir(const char *dir, const char *parent)
{
	if (mkdir(dir, 0755))
		return errno == EEXIST ? 0 : -errno;
	return chmod(dir, 0755) ? -errno : sync_dir(parent);
}

static int make_dirs(const struct paths *p)
{
	int ret = make_dir(BASE_DIR, "/run");
	return ret ? ret : make_dir(p->dir, BASE_DIR);
}

/* All of the file up to the last newline, NUL-terminated; free(). */
static int read_whole(int fd, char **text, size_t *len)
{
	struct stat st;
	if (fstat(fd, &st))
		return -errno;
	size_t size = (size_t)st.st_size, n = 0;
	char *buf = malloc(size + 1);
	if (!buf)
		return -ENOMEM;
	while (n < size) {
		ssize_t got = pread(fd, buf + n, size - n, (off_t)n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int err = -errno;
			free(buf);
			return err;
		}
		if (!got)
			break;
		n += (size_t)got;
	}
	while (n && buf[n - 1] != '\n')
		n--;
	buf[n] = 0;
	*text = buf;
	*len = n;
	return 0;
}

/* The file's whole lines; "" when there is no file. */
static int read_file(const struct paths *p, char **text)
{
	size_t len = 0;
	int fd = open(p->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return -errno;
	if (fd < 0)
		return undo_give_text(text, "");
	int ret = read_whole(fd, text, &len);
	close(fd);
	return ret;
}

/* The file becomes `text`, or goes when nothing is left; a crash leaves the old or the new one. */
static int replace_file(const struct paths *p, const char *text, size_t len)
{
	if (!len)
		return unlink(p->file) && errno != ENOENT ? -errno : sync_dir(p->dir);
	int fd = open(p->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	int ret = runfile_write_all(fd, text, len);
	close(fd);
	if (!ret && rename(p->tmp, p->file))
		ret = -errno;
	if (ret)
		(void)unlink(p->tmp);
	return ret ? ret : sync_dir(p->dir);
}

/* ---- change and record ---- */

/* An appended record: where it begins, so that it can be taken back. */
struct record {
	int fd;
	off_t start;
};

static int take_back(struct record *r)
{
	return ftruncate(r->fd, r->start) || fsync(r->fd) ? -errno : 0;
}

/* Append and sync; on error the file is as before, less a torn line. */
static int append_line(struct record *r, const char *line, size_t len)
{
	char *old = NULL;
	size_t n = 0;
	int ret = read_whole(r->fd, &old, &n);
	if (ret)
		return ret;
	free(old);
	r->start = (off_t)n;
	if (ftruncate(r->fd, r->start))
		return -errno;
	ret = runfile_write_all(r->fd, line, len);
	if (ret)
		(void)take_back(r);
	return ret;
}

static int append_record(const char *plane, struct record *r, const char *line, size_t len)
{
	struct paths p;
	int ret = make_paths(&p, plane);
	if (!ret)
		ret = make_dirs(&p);
	if (ret)
		return ret;
	r->fd = open(p.file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (r->fd < 0)
		return -errno;
	ret = sync_dir(p.dir);
	if (!ret)
		ret = append_line(r, line, len);
	if (ret)
		close(r->fd);
	return ret;
}

/* Does the device have `value`? A device that is gone has none. */
static bool has_value(const struct key *k, uint32_t ifindex, const char *value)
{
	struct link_info l;
	char *now = NULL;
	if (link_get_index(ifindex, &l) || k->get(&l, &now))
		return false;
	/* Messages about the same thing differ in what is left of its life. */
	bool same = k->ours ? k->ours(now, value) && k->ours(value, now) : !strcmp(now, value);
	free(now);
	return same;
}

static void mac_text(const struct link_info *l, char text[MAC_TEXT])
{
	struct mac mac;
	memcpy(mac.b, l->mac, sizeof(mac.b));
	value_mac_text(&mac, text);
}

/* Record, then change by `apply`. A failed change that changed something after all keeps its record. */
static int record_and_apply(const char *plane, const struct key *k, const struct link_info *l, const char *old,
			    const char *new, int (*apply)(const struct link_info *l, const char *value))
{
	struct record r = { .fd = -1 };
	struct link_info gone;
	char *line = NULL;
	char mac[MAC_TEXT];
	uint64_t netns = 0;
	int ret = link_netns_cookie(&netns);
	if (ret)
		return ret;
	mac_text(l, mac);
	int len = asprintf(&line, "%u %s %s %s %s %s %" PRIu64 "\n", l->ifindex, l->name, k->name, old, new, mac,
			   netns);
	if (len < 0)
		return -ENOMEM;
	ret = append_record(plane, &r, line, (size_t)len);
	free(line);
	if (ret)
		return ret;
	ret = apply ? apply(l, new) : k->set(l, new);
	if (ret && (has_value(k, l->ifindex, old) || link_get_index(l->ifindex, &gone) == -ENODEV))
		(void)take_back(&r);
	close(r.fd);
	return ret;
}

static int change(const char *plane, const struct link_info *device, const char *key, const char *new,
		  int (*apply)(const struct link_info *l, const char *value))
{
	const struct key *k = undo_key(key);
	struct link_info l;
	char *old = NULL;
	/* What the caller knows may be old: another record may have changed it. */
	int ret = link_get_index(device->ifindex, &l);
	if (!ret)
		ret = k->get(&l, &old);
	if (!ret && strcmp(old, new) != 0)
		ret = record_and_apply(plane, k, &l, old, new, apply);
	free(old);
	return ret;
}

int undo_promisc(const char *plane, const struct link_info *l)
{
	return change(plane, l, "promisc", "1", NULL);
}

int undo_gro(const char *plane, const struct link_info *l)
{
	return change(plane, l, "gro", "1", NULL);
}

/* -ECANCELED: the value is what it was, so the record goes. */
static int bounce_gro(const struct link_info *l, const char *value)
{
	const struct key *gro = undo_key("gro");
	int ret = gro->set(l, value), back = gro->set(l, "1");
	return back ? back : ret ? ret : -ECANCELED;
}

int undo_gro_again(const char *plane, const struct link_info *l)
{
	int ret = change(plane, l, "gro", "0", bounce_gro);
	return ret == -ECANCELED ? 0 : ret;
}

int undo_rxvlan(const char *plane, const struct link_info *l)
{
	return change(plane, l, "rxvlan", "0", NULL);
}

int undo_up(const char *plane, const struct link_info *l)
{
	return change(plane, l, "up", "1", NULL);
}

int undo_hold(const char *plane, const struct link_info *l)
{
	return change(plane, l, HELD, "0", NULL);
}

int undo_master(const char *plane, const struct link_info *l)
{
	return change(plane, l, "master", NOTHING, NULL);
}

static int flush_addresses(const struct link_info *l, const char *value)
{
	(void)value;
	return link_flush_addresses(l->ifindex);
}

static int flush_routes(const struct link_info *l, const char *value)
{
	(void)value;
	return link_flush_routes(l->ifindex);
}

/* Records are put back from the last to the first: addresses, then the routes that need them. */
int undo_flush_addresses(const char *plane, const struct link_info *l)
{
	int ret = change(plane, l, "routes", NOTHING, flush_routes);
	return ret ? ret : change(plane, l, "addr", NOTHING, flush_addresses);
}

/* ---- put back ---- */

/* A line taken apart; the strings live in `copy`. */
struct entry {
	char *copy, *device, *key, *old, *new;
	char *mac, *netns; /* NULL in a record of before vpeer noted them */
	uint32_t ifindex;
};

static int parse_line(struct entry *e, const char *line, size_t len)
{
	char *save = NULL, *end = NULL;
	e->copy = strndup(line, len);
	if (!e->copy)
		return -ENOMEM;
	const char *index = strtok_r(e->copy, " ", &save);
	e->device = strtok_r(NULL, " ", &save);
	e->key = strtok_r(NULL, " ", &save);
	e->old = strtok_r(NULL, " ", &save);
	e->new = strtok_r(NULL, " ", &save);
	e->mac = strtok_r(NULL, " ", &save);
	e->netns = e->mac ? strtok_r(NULL, " ", &save) : NULL;
	if (!index || !e->device || !e->key || !e->old || !e->new || strtok_r(NULL, " ", &save))
		return -EBADMSG;
	errno = 0;
	unsigned long n = strtoul(index, &end, 10);
	if (errno || *end || !n || n > INT32_MAX)
		return -EBADMSG;
	e->ifindex = (uint32_t)n;
	return 0;
}

/* -ENODEV: it is gone, be it that another device has its number now. -EXDEV: it is another namespace's. */
static int find_device(const struct entry *e, struct link_info *l)
{
	char mac[MAC_TEXT];
	uint64_t here = 0;
	int ret = link_netns_cookie(&here);
	if (!ret && e->netns && strtoull(e->netns, NULL, 10) != here)
		ret = -EXDEV;
	if (!ret)
		ret = link_get_index(e->ifindex, l);
	if (ret || !e->mac || !strcmp(l->name, e->device))
		return ret;
	mac_text(l, mac);
	return strcmp(mac, e->mac) ? -ENODEV : 0;
}

/* Put one value back if it is still ours; *done: the record is of no more use. */
static int restore_entry(const struct entry *e, bool *done)
{
	const struct key *k = undo_key(e->key);
	struct link_info l;
	char *now = NULL;
	if (!k)
		return -EBADMSG;
	int ret = find_device(e, &l);
	*done = ret == -ENODEV;
	if (ret)
		return *done ? 0 : ret;
	ret = k->get(&l, &now);
	if (!ret && (k->ours ? k->ours(now, e->old) : !strcmp(now, e->new)))
		ret = k->set(&l, e->old);
	free(now);
	/* The device went meanwhile, or its master has been removed since, which would have released it anyway. */
	if (ret == -ENODEV)
		ret = 0;
	*done = !ret;
	return ret;
}

/* Which records are meant. */
struct which {
	uint32_t ifindex; /* 0 = of any device */
	const char *key;  /* NULL = any */
};

static bool is_meant(const struct entry *e, const struct which *which)
{
	return (!which->ifindex || e->ifindex == which->ifindex) && (!which->key || !strcmp(e->key, which->key));
}

/* Could what this one needs not be put back? Then its record is still there, in what comes behind. */
static bool lacks(const struct entry *e, const char *behind, const char *end)
{
	const struct key *k = undo_key(e->key);
	bool found = false;
	for (size_t len; k && k->needs && !found && behind < end; behind += len + 1) {
		struct entry other = { 0 };
		len = (size_t)((const char *)memchr(behind, '\n', (size_t)(end - behind)) - behind);
		found = !parse_line(&other, behind, len) && other.ifindex == e->ifindex && !strcmp(other.key, k->needs);
		free(other.copy);
	}
	return found;
}

/* The line and its newline are `len` long; what is left of the text behind it goes to `end`. */
static int restore_line(const char *line, size_t len, const char *end, const struct which *which, bool *done)
{
	struct entry e = { 0 };
	*done = false;
	int ret = parse_line(&e, line, len - 1);
	if (!ret && is_meant(&e, which) && !lacks(&e, line + len, end))
		ret = restore_entry(&e, done);
	free(e.copy);
	return ret;
}

/* From the last line to the first: done ones are taken out of `text`. The first error is returned, the rest goes on. */
static int restore_lines(char *text, size_t *len, const struct which *which)
{
	int first = 0;
	size_t end = *len;
	while (end) {
		size_t start = end - 1;
		bool done = false;
		while (start && text[start - 1] != '\n')
			start--;
		int ret = restore_line(text + start, end - start, text + *len, which, &done);
		if (ret && !first)
			first = ret;
		if (done) {
			memmove(text + start, text + end, *len - end);
			*len -= end - start;
		}
		end = start;
	}
	return first;
}

static int restore(const char *plane, const struct which *which)
{
	struct paths p;
	char *text = NULL;
	int ret = make_paths(&p, plane);
	if (!ret)
		ret = read_file(&p, &text);
	if (ret || !text)
		return ret;
	size_t before = strlen(text), len = before;
	ret = restore_lines(text, &len, which);
	if (len != before) {
		int err = replace_file(&p, text, len);
		ret = ret ? ret : err;
	}
	free(text);
	return ret;
}

int undo_restore(const char *plane, uint32_t ifindex)
{
	return restore(plane, &(struct which){ .ifindex = ifindex });
}

int undo_restore_gro(const char *plane, uint32_t ifindex)
{
	return restore(plane, &(struct which){ .ifindex = ifindex, .key = "gro" });
}

int undo_release(const char *plane, uint32_t ifindex)
{
	return restore(plane, &(struct which){ .ifindex = ifindex, .key = HELD });
}

int undo_held(const char *plane, uint32_t **list, size_t *n)
{
	char *text = NULL, *end;
	int ret = undo_read(plane, &text);
	*list = NULL;
	*n = 0;
	for (char *line = text; !ret && line && (end = strchr(line, '\n')); line = end + 1) {
		struct entry e = { 0 };
		if (!parse_line(&e, line, (size_t)(end - line)) && !strcmp(e.key, HELD)) {
			uint32_t *more = reallocarray(*list, *n + 1, sizeof(*more));
			if (more) {
				*list = more;
				more[(*n)++] = e.ifindex;
			} else {
				ret = -ENOMEM;
			}
		}
		free(e.copy);
	}
	free(text);
	return ret;
}

int undo_read(const char *plane, char **text)
{
	struct paths p;
	int ret = make_paths(&p, plane);
	return ret ? ret : read_file(&p, text);
}

static int remove_files(const char *path)
{
	DIR *d = opendir(path);
	int ret = 0;
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (const struct dirent *e = readdir(d); e && !ret; e = readdir(d)) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlinkat(dirfd(d), e->d_name, 0))
			ret = -errno;
	}
	closedir(d);
	return ret;
}

int undo_forget(const char *plane)
{
	struct paths p;
	int ret = make_paths(&p, plane);
	if (!ret)
		ret = remove_files(p.dir);
	if (!ret && rmdir(p.dir) && errno != ENOENT)
		ret = -errno;
	/* Other planes may have theirs there. */
	if (!ret)
		(void)rmdir(BASE_DIR);
	return ret;
}

void undo_leave(const char *plane)
{
	struct paths p;
	if (!make_paths(&p, plane) && !rmdir(p.dir))
		(void)rmdir(BASE_DIR);
}
