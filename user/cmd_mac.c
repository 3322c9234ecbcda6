/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* mac add|del|flush|load: the MAC table at run time.  Static entries made here are not part of the file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "value.h"

struct entry {
	uint16_t segment, port;
	struct mac mac;
};

/* Resolve the words of one entry; port == NULL: not wanted. Reports at `at`. */
static int resolve(const struct plane *p, const char *segment, const char *mac, const char *port,
		   const struct where *at, struct entry *out)
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
static int check_free(const struct plane *p, const struct where *at, const struct entry *e)
{
	char text[MAC_TEXT];
	struct vp_mac is;

	if (plane_mac_get(p, e->segment, &e->mac, &is) || !(is.flags & VP_MAC_STATIC) || is.port == e->port ||
	    is.port >= VP_MAX_PORTS)
		return 0;
	fail_at(at, "mac", "%s is the address of port %s and can't be port %s's, too; run: vpeer mac del %s %s",
		value_mac_text(&e->mac, text), plane_port_info(p, is.port)->name, plane_port_info(p, e->port)->name,
		plane_seg_info(p, e->segment)->name, text);
	return -EEXIST;
}

static int report_add(const struct where *at, int err)
{
	if (err == -E2BIG)
		fail_at(at, "mac", "the MAC table is full (%d entries)", VP_MAX_MACS);
	else if (err)
		fail_at(at, "mac", "cannot enter it: %s", strerror(-err));
	return err;
}

static int add(struct plane *p, char **words)
{
	struct entry e;
	int err = resolve(p, words[0], words[1], words[2], NULL, &e);

	if (!err)
		err = check_free(p, NULL, &e);
	return err ? err : report_add(NULL, plane_mac_add(p, e.segment, &e.mac, e.port));
}

static int del(struct plane *p, char **words)
{
	struct entry e;
	int err = resolve(p, words[0], words[1], NULL, NULL, &e);

	if (!err)
		err = plane_mac_del(p, e.segment, &e.mac);
	else
		return err;
	if (err == -ENOENT)
		fail("mac", "%s is not in the table of segment %s", words[1], words[0]);
	else if (err)
		fail("mac", "cannot delete it: %s", strerror(-err));
	return err;
}

static int flush(struct plane *p, int n, char **words, FILE *out)
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

	if (gone >= 0)
		fprintf(out, "%d learned entr%s removed\n", gone, gone == 1 ? "y" : "ies");
	else
		fail("mac", "cannot flush: %s", strerror(-gone));
	return gone < 0 ? gone : 0;
}

/* The words of consecutive lines are mostly the same ones: names are looked up when they change. */
struct last {
	char segment[VP_NAME_LEN], port[VP_NAME_LEN];
	uint16_t segment_id, port_id;
};

static int resolve_line(const struct plane *p, char *line, const struct where *at, struct last *last, struct entry *out)
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

/* The whole file is read and checked before the first entry is made. */
static int read_lines(const struct plane *p, FILE *in, struct where *at, struct entry **all, size_t *n)
{
	struct last last = {0};
	size_t room = 0, line_room = 0;
	char *line = NULL;
	int err = 0, ret = 0;

	while (getline(&line, &line_room, in) >= 0) {
		at->line++;
		if (*n == room) {
			struct entry *more = realloc(*all, (room = room ? 2 * room : 1024) * sizeof(*more));

			if (!more) {
				ret = -ENOMEM;
				break;
			}
			*all = more;
		}
		err = resolve_line(p, line, at, &last, &(*all)[*n]);
		if (!err)
			err = check_free(p, at, &(*all)[*n]);
		if (err < 0)
			ret = err;
		*n += !err;
	}
	free(line);
	return ret;
}

static int load(struct plane *p, const char *path, FILE *out)
{
	struct where at = {path, 0, 1};
	FILE *in = strcmp(path, "-") ? fopen(path, "re") : stdin;
	struct entry *all = NULL;
	size_t n = 0, done = 0;
	int err;

	if (!in) {
		fail("mac", "cannot open %s: %s", path, strerror(errno));
		return -errno;
	}
	err = read_lines(p, in, &at, &all, &n);
	if (!err && n > VP_MAX_MACS) {
		fail("mac", "%s has %zu entries; the MAC table holds %d", path, n, VP_MAX_MACS);
		err = -E2BIG;
	}
	for (; !err && done < n; done += !err) {
		err = check_free(p, NULL, &all[done]); /* it may be in the file twice */
		if (!err)
			err = report_add(NULL, plane_mac_add(p, all[done].segment, &all[done].mac, all[done].port));
	}
	if (!err || done)
		fprintf(out, "%zu of %zu entries made\n", done, n);
	if (in != stdin)
		fclose(in);
	free(all);
	return err && done ? -ECANCELED : err;
}

static int run(struct plane *p, int argc, char **argv, FILE *out)
{
	if (argc == 5 && !strcmp(argv[1], "add"))
		return add(p, argv + 2);
	if (argc == 4 && !strcmp(argv[1], "del"))
		return del(p, argv + 2);
	if (argc >= 2 && !strcmp(argv[1], "flush"))
		return flush(p, argc - 2, argv + 2, out);
	if (argc == 3 && !strcmp(argv[1], "load"))
		return load(p, argv[2], out);
	return -EUSAGE;
}

int cmd_mac(const struct cmd_env *env, int argc, char **argv)
{
	struct plane p;
	int err = session_open(env, &p, true);

	if (!err)
		err = run(&p, argc, argv, env->json ? stderr : env->out);
	plane_close(&p);
	if (err == -EUSAGE) {
		fail("mac", "usage: vpeer mac add SEGMENT MAC PORT | del SEGMENT MAC | flush [segment=S] [port=P] | "
			    "load FILE");
		return 2;
	}
	return err == -ECANCELED ? 3 : err ? 1 : 0;
}
