/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* mac add|del|flush|load: the MAC table at run time.  Static entries made here are not part of the file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "value.h"

/* Resolve the words of one entry; port == NULL: not wanted. Reports at `at`. */
static int resolve(const struct plane *p, const char *segment, const char *mac, const char *port,
		   const struct where *at, struct statics *out)
{
	memset(out, 0, sizeof(*out));
	out->segment = plane_segment_id(p, segment);
	if (!segment[0] || !out->segment) {
		fail_at(at, "mac", "there is no segment %s", segment);
		return -ENOENT;
	}
	if (value_mac(mac, &out->mac) || value_mac_fault(&out->mac)) {
		const char *fault = value_mac(mac, &out->mac) ? "is no MAC address" : value_mac_fault(&out->mac);

		fail_at(at, "mac", "%s %s", mac, fault);
		return -EINVAL;
	}
	if (!port)
		return 0;
	out->port = plane_port_id(p, port);
	if (!port[0] || !out->port) {
		fail_at(at, "mac", "there is no port %s", port);
		return -ENOENT;
	}
	if (!plane_is_member(p, out->port, out->segment)) {
		fail_at(at, "mac", "port %s is not in segment %s", port, segment);
		return -EINVAL;
	}
	return 0;
}

/* An address belongs to one port of a segment: a static entry of another one is not taken from it. */
static void report_taken(const struct plane *p, const struct where *at, const struct statics *e, uint16_t owner)
{
	char text[MAC_TEXT], command[COMMAND_TEXT];

	fail_at(at, "mac", "%s is the address of port %s and can't be port %s's, too; run: %s %s %s",
		value_mac_text(&e->mac, text), plane_port_info(p, owner)->name, plane_port_info(p, e->port)->name,
		value_command(command, p->name, "mac del"), plane_seg_info(p, e->segment)->name, text);
}

static int check_free(const struct plane *p, const struct statics *e)
{
	struct vp_mac is;

	if (plane_mac_get(p, e->segment, &e->mac, &is) || !(is.flags & VP_MAC_STATIC) || is.port == e->port ||
	    is.port >= VP_MAX_PORTS)
		return 0;
	report_taken(p, NULL, e, is.port);
	return -EEXIST;
}

static int report_add(int err)
{
	if (err == -E2BIG)
		fail("mac", "the MAC table is full (%d entries)", VP_MAX_MACS);
	else if (err)
		fail("mac", "cannot enter it: %s", strerror(-err));
	return err;
}

static int add(const struct cmd_env *env, struct plane *p, int n, char **words)
{
	struct statics e;
	int err = resolve(p, words[0], words[1], words[2], NULL, &e);

	(void)n;
	if (!err)
		err = check_free(p, &e);
	if (!err)
		err = report_add(plane_mac_add(p, e.segment, &e.mac, e.port));
	if (!err && env->json)
		fprintf(env->out, "{\"plane\": \"%s\", \"made\": 1, \"of\": 1}\n", p->name);
	return err;
}

static int del(const struct cmd_env *env, struct plane *p, int n, char **words)
{
	struct statics e;
	int err = resolve(p, words[0], words[1], NULL, NULL, &e);

	(void)n;
	if (!err)
		err = plane_mac_del(p, e.segment, &e.mac);
	else
		return err;
	if (err == -ENOENT)
		fail("mac", "%s is not in the table of segment %s", words[1], words[0]);
	else if (err)
		fail("mac", "cannot delete it: %s", strerror(-err));
	else if (env->json)
		fprintf(env->out, "{\"plane\": \"%s\", \"removed\": 1}\n", p->name);
	return err;
}

static int flush(const struct cmd_env *env, struct plane *p, int n, char **words)
{
	uint16_t segment = 0, port = 0;

	for (int i = 0; i < n; i++) {
		if (!strncmp(words[i], "segment=", 8))
			segment = plane_segment_id(p, words[i] + 8);
		else if (!strncmp(words[i], "port=", 5))
			port = plane_port_id(p, words[i] + 5);
		else
			return -EUSAGE;
		if (!strncmp(words[i], "segment=", 8) ? !segment : !port) {
			fail("mac", "flush: there is no %s", words[i]);
			return -ENOENT;
		}
	}
	int gone = plane_mac_flush(p, segment, port, false);

	if (gone >= 0 && env->json)
		fprintf(env->out, "{\"plane\": \"%s\", \"removed\": %d}\n", p->name, gone);
	else if (gone >= 0)
		fprintf(env->out, "%d learned entr%s removed\n", gone, gone == 1 ? "y" : "ies");
	else
		fail("mac", "cannot flush: %s", strerror(-gone));
	return gone < 0 ? gone : 0;
}

/* The words of consecutive lines are mostly the same ones: names are looked up when they change. */
struct last {
	char segment[VP_NAME_LEN], port[VP_NAME_LEN];
	uint16_t segment_id, port_id;
};

static int resolve_line(const struct plane *p, char *line, const struct where *at, struct last *last,
			struct statics *out)
{
	char *save = NULL, *segment = strtok_r(line, " \t\r\n", &save), *mac = strtok_r(NULL, " \t\r\n", &save);
	char *port = strtok_r(NULL, " \t\r\n", &save);
	int err;

	if (!segment || segment[0] == '#')
		return 1;
	if (!mac || !port || strtok_r(NULL, " \t\r\n", &save)) {
		fail_at(at, "mac", "a line is: SEGMENT MAC PORT");
		return -EINVAL;
	}
	if (!strcmp(segment, last->segment) && !strcmp(port, last->port) && !value_mac(mac, &out->mac) &&
	    !value_mac_fault(&out->mac)) {
		out->segment = last->segment_id;
		out->port = last->port_id;
		return 0;
	}
	err = resolve(p, segment, mac, port, at, out);
	if (!err) {
		snprintf(last->segment, sizeof(last->segment), "%s", segment);
		snprintf(last->port, sizeof(last->port), "%s", port);
		last->segment_id = out->segment;
		last->port_id = out->port;
	}
	return err;
}

/* An entry of the file, or one that is in the table: line 0. */
struct line {
	struct statics entry;
	unsigned int number;
	const struct line *owner; /* has the same address for another port, and was there first */
};

struct lines {
	struct line *all; /* the table's, then the file's in its order */
	size_t n, room, n_table;
};

static struct line *new_line(struct lines *l)
{
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 1024;
		struct line *more = reallocarray(l->all, room, sizeof(*more));

		if (!more) {
			fail("mac", "not enough memory for %zu entries", room);
			return NULL;
		}
		l->all = more;
		l->room = room;
	}
	l->all[l->n] = (struct line){0};
	return &l->all[l->n++];
}

static int read_table(const struct plane *p, struct lines *l)
{
	struct mac_row *rows = NULL;
	size_t n = 0;
	int err = plane_mac_list(p, &rows, &n);

	if (err)
		fail("mac", "cannot read the MAC table: %s", strerror(-err));
	for (size_t i = 0; !err && i < n; i++) {
		if (!(rows[i].value.flags & VP_MAC_STATIC) || rows[i].value.port >= VP_MAX_PORTS)
			continue;
		struct line *line = new_line(l);

		if (!line) {
			err = -ENOMEM;
			break;
		}
		line->entry.segment = rows[i].key.segment;
		line->entry.port = rows[i].value.port;
		memcpy(line->entry.mac.b, rows[i].key.mac, VP_MAC_LEN);
	}
	l->n_table = l->n;
	free(rows);
	return err;
}

static int read_lines(const struct plane *p, FILE *in, const char *path, struct lines *l)
{
	struct where at = {path, 0, 1};
	struct last last = {0};
	size_t room = 0;
	char *text = NULL;
	int err = 0, ret = 0;

	while (err != -ENOMEM && getline(&text, &room, in) >= 0) {
		struct statics entry;

		at.line++;
		err = resolve_line(p, text, &at, &last, &entry);
		if (!err) {
			struct line *line = new_line(l);

			if (line)
				*line = (struct line){entry, at.line, NULL};
			else
				err = -ENOMEM;
		}
		if (err < 0)
			ret = err;
	}
	if (ferror(in)) {
		fail(path, "cannot be read: %s", strerror(errno));
		ret = ret ? ret : -EIO;
	}
	free(text);
	return ret;
}

static int by_segment_mac(const struct line *a, const struct line *b)
{
	if (a->entry.segment != b->entry.segment)
		return a->entry.segment < b->entry.segment ? -1 : 1;
	return memcmp(a->entry.mac.b, b->entry.mac.b, VP_MAC_LEN);
}

static int by_address(const void *a, const void *b)
{
	const struct line *const *x = a, *const *y = b;
	int order = by_segment_mac(*x, *y);

	return order ? order : *x < *y ? -1 : *x > *y;
}

static int find_owners(struct lines *l)
{
	struct line **sorted = calloc(l->n + 1, sizeof(struct line *)), *first = NULL;

	if (!sorted) {
		fail("mac", "not enough memory for %zu entries", l->n);
		return -ENOMEM;
	}
	for (size_t i = 0; i < l->n; i++)
		sorted[i] = &l->all[i];
	qsort(sorted, l->n, sizeof(struct line *), by_address);
	for (size_t i = 0; i < l->n; i++) {
		if (!first || by_segment_mac(first, sorted[i]))
			first = sorted[i];
		else if (first->entry.port != sorted[i]->entry.port)
			sorted[i]->owner = first;
	}
	free(sorted);
	return 0;
}

/* No address for two ports, neither within the file nor against what is in the table. */
static int check_owners(const struct plane *p, const char *path, struct lines *l)
{
	int err = find_owners(l);
	char text[MAC_TEXT];

	for (const struct line *line = l->all + l->n_table; line < l->all + l->n; line++) {
		struct where at = {path, line->number, 1};

		if (!line->owner)
			continue;
		if (!line->owner->number)
			report_taken(p, &at, &line->entry, line->owner->entry.port);
		else
			fail_at(&at, "mac", "%s is the address of port %s in line %u and can't be port %s's, too",
				value_mac_text(&line->entry.mac, text),
				plane_port_info(p, line->owner->entry.port)->name, line->owner->number,
				plane_port_info(p, line->entry.port)->name);
		err = -EEXIST;
	}
	return err;
}

static int enter(struct plane *p, const struct lines *l, size_t *done)
{
	size_t n = l->n - l->n_table;
	struct statics *list = calloc(n + 1, sizeof(*list));
	int err = list ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < n; i++)
		list[i] = l->all[l->n_table + i].entry;
	if (!err)
		err = plane_mac_add_many(p, list, n, done);
	free(list);
	return report_add(err);
}

/* The whole file is read and checked before the first entry is made. */
static int load(const struct cmd_env *env, struct plane *p, int n_words, char **words)
{
	const char *path = words[0];
	FILE *in = strcmp(path, "-") ? fopen(path, "re") : stdin;
	struct lines l = {0};
	size_t done = 0, n;
	int err;

	(void)n_words;
	if (!in) {
		fail("mac", "cannot open %s: %s", path, strerror(errno));
		return -errno;
	}
	err = read_table(p, &l);
	if (!err)
		err = read_lines(p, in, path, &l);
	n = l.n - l.n_table;
	if (!err && n > VP_MAX_MACS) {
		fail("mac", "%s has %zu entries; the MAC table holds %d", path, n, VP_MAX_MACS);
		err = -E2BIG;
	}
	if (!err)
		err = check_owners(p, path, &l);
	if (!err)
		err = enter(p, &l, &done);
	if ((!err || done) && env->json)
		fprintf(env->out, "{\"plane\": \"%s\", \"made\": %zu, \"of\": %zu}\n", p->name, done, n);
	else if (!err || done)
		fprintf(env->out, "%zu of %zu entries made\n", done, n);
	if (in != stdin)
		fclose(in);
	free(l.all);
	return err && done ? -ECANCELED : err;
}

static const struct way {
	const char *word;
	int least, most; /* words behind it */
	int (*run)(const struct cmd_env *env, struct plane *p, int n, char **words);
} ways[] = {{"add", 3, 3, add}, {"del", 2, 2, del}, {"flush", 0, 2, flush}, {"load", 1, 1, load}};

static const struct way *find_way(int argc, char **argv)
{
	for (size_t i = 0; argc >= 2 && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(argv[1], ways[i].word) && argc - 2 >= ways[i].least && argc - 2 <= ways[i].most)
			return &ways[i];
	return NULL;
}

int cmd_mac(const struct cmd_env *env, int argc, char **argv)
{
	const struct way *way = find_way(argc, argv);
	struct plane p;
	int err = -EUSAGE;

	plane_init(&p);
	if (way)
		err = session_open(env, &p, true);
	if (way && !err)
		err = way->run(env, &p, argc - 2, argv + 2);
	plane_close(&p);
	if (err == -EUSAGE) {
		fail("mac", "usage: vpeer mac add SEGMENT MAC PORT | del SEGMENT MAC | flush [segment=S] [port=P] | "
			    "load FILE");
		return 2;
	}
	return err == -ECANCELED ? 3 : err ? 1 : 0;
}
