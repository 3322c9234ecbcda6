/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The options of vdevpeer-net: peer=PATH,bind=PATH,mac=XXXXXXXXXXXX,name=PREFIX,legacy,priority=N; every peer= begins
 * another link. vpctl has the same keys, each in a word of its own.
 */
#include <string.h>

#include "import_qnx.h"
#include "value.h"

#define INTERFACE_MAX 13 /* of a host port; see model_check.c */

enum option {
	OPT_PEER,
	OPT_BIND,
	OPT_MAC,
	OPT_NAME,
	OPT_LEGACY,
	OPT_PRIORITY,
	OPT_COUNT
};

static const char *const words[OPT_COUNT] = {
	[OPT_PEER] = "peer", [OPT_BIND] = "bind",     [OPT_MAC] = "mac",
	[OPT_NAME] = "name", [OPT_LEGACY] = "legacy", [OPT_PRIORITY] = "priority",
};

struct qnx_link *qnx_add_link(struct import *im, const struct span *at)
{
	struct qnx *q = im->qnx;
	struct qnx_link *links;

	if (q->n_links >= IMPORT_MAX_LINKS) {
		import_fault(im, at, "peer", "is one of more than %d; a plane can't have so many ports",
			     IMPORT_MAX_LINKS);
		return NULL;
	}
	links = import_grow(im, q->links, q->n_links, sizeof(*links));
	if (!links)
		return NULL;
	q->links = links;
	links[q->n_links] = (struct qnx_link){ .at = *at };
	return &links[q->n_links++];
}

static enum option find_option(const char *text, size_t len)
{
	int i;

	for (i = 0; i < OPT_COUNT; i++)
		if (strlen(words[i]) == len && !memcmp(words[i], text, len))
			break;
	return (enum option)i;
}

/* A path that was given; NULL: reported. */
static const char *path(struct import *im, const char *key, const struct word *w, size_t from, size_t to)
{
	struct span at = word_span(w, from, to);

	if (from == to)
		import_fault(im, &at, key, "has no path behind it");
	else if (w->text[from] != '/')
		import_fault(im, &at, key, "%.*s is no absolute path; it must begin with /", (int)(to - from),
			     w->text + from);
	else
		return import_keep(im, w->text + from, to - from);
	return NULL;
}

static void set_path(struct import *im, struct qnx_link *link, enum option o, const struct word *w, size_t from,
		     size_t to)
{
	const char **field = o == OPT_PEER ? &link->peer : &link->bind;
	struct span *at = o == OPT_PEER ? &link->peer_at : &link->bind_at;

	if (at->src) {
		struct span again = word_span(w, from, to);

		import_fault(im, &again, words[o], "is given twice for one link");
		return;
	}
	*at = word_span(w, from, to);
	*field = path(im, words[o], w, from, to);
	if (link->peer && link->bind && !strcmp(link->peer, link->bind))
		import_fault(im, at, words[o], "peer and bind are the same path: a link of an end to itself");
}

static void set_mac(struct import *im, struct qnx_link *link, const struct word *w, size_t from, size_t to)
{
	struct span at = word_span(w, from, to);
	const char *text = import_keep(im, w->text + from, to - from), *why;

	if (link->mac_at.src) {
		import_fault(im, &at, "mac", "is given twice for one link");
		return;
	}
	link->mac_at = at;
	why = import_mac(text, &link->mac);
	if (why)
		import_fault(im, &at, "mac", "\"%s\" %s", text, why);
	link->has_mac = !why;
}

static void set_prefix(struct import *im, struct qnx_link *link, const struct word *w, size_t from, size_t to)
{
	struct span at = word_span(w, from, to);
	size_t len = to - from;

	if (link->prefix_at.src) {
		import_fault(im, &at, "name", "is given twice for one link");
		return;
	}
	link->prefix_at = at;
	link->prefix = import_keep(im, w->text + from, len);
	if (!len)
		import_fault(im, &at, "name", "has no prefix behind it");
	else if (len >= INTERFACE_MAX)
		import_fault(im, &at, "name", "%s and a number are more than the %d characters of a host port's name",
			     link->prefix, INTERFACE_MAX);
}

static void set_priority(struct import *im, struct qnx_link *link, const struct word *w, size_t from, size_t to)
{
	struct span at = word_span(w, from, to);
	const char *text = import_keep(im, w->text + from, to - from);
	uint32_t level;

	if (link->priority)
		import_fault(im, &at, "priority", "is given twice for one link");
	else if (value_u32(text, 0, 255, &level))
		import_fault(im, &at, "priority", "\"%s\" is no number from 0 to 255", text);
	link->priority = true;
}

static void set_legacy(struct import *im, struct qnx_link *link, const struct span *at, bool has_value)
{
	if (has_value)
		import_fault(im, at, "legacy", "takes no value");
	else if (link->legacy)
		import_fault(im, at, "legacy", "is given twice for one link");
	link->legacy = true;
}

static void unknown(struct import *im, const struct word *w, size_t from, size_t n, const struct span *at)
{
	const char *name = import_keep(im, w->text + from, n);

	import_fault(im, at, "option", "\"%s\" is none of peer, bind, mac, name, legacy, priority", name);
}

void qnx_option(struct import *im, struct qnx_link *link, const struct word *w, size_t from, size_t to)
{
	const char *equals = memchr(w->text + from, '=', to - from);
	size_t n = equals ? (size_t)(equals - w->text) - from : to - from, value = from + n + (equals ? 1 : 0);
	enum option o = find_option(w->text + from, n);
	struct span at = word_span(w, from, to);

	if (!equals && o < OPT_COUNT && o != OPT_LEGACY) {
		import_fault(im, &at, words[o], "has no value; write %s=...", words[o]);
		return;
	}
	switch (o) {
	case OPT_PEER:
	case OPT_BIND:
		set_path(im, link, o, w, value, to);
		break;
	case OPT_MAC:
		set_mac(im, link, w, value, to);
		break;
	case OPT_NAME:
		set_prefix(im, link, w, value, to);
		break;
	case OPT_PRIORITY:
		set_priority(im, link, w, value, to);
		break;
	case OPT_LEGACY:
		set_legacy(im, link, &at, equals);
		break;
	default:
		unknown(im, w, from, n, &at);
	}
}

void qnx_check_link(struct import *im, const struct qnx_link *link)
{
	if (link->peer_at.src && !link->bind_at.src)
		import_fault(im, &link->at, "peer", "has no bind= with it; write peer=PATH,bind=PATH");
}

static bool begins_link(const struct word *w, size_t from)
{
	return !strncmp(w->text + from, "peer=", 5);
}

static void empty_item(struct import *im, const struct word *w, size_t at)
{
	struct span comma = word_span(w, at ? at - 1 : 0, at ? at : 1);

	if (at == w->len && at)
		import_fault(im, &comma, "option",
			     "nothing behind this comma; if the next line goes on, it must begin in column 1, "
			     "or the shell makes two words of it");
	else
		import_fault(im, &comma, "option", "nothing between two commas");
}

void qnx_options(struct import *im, const struct word *w, size_t from)
{
	struct qnx_link *link = NULL;
	size_t to;

	for (;; from = to + 1) {
		struct span at;

		for (to = from; to < w->len && w->text[to] != ','; to++)
			;
		at = word_span(w, from, to);
		if (from == to) {
			empty_item(im, w, from);
		} else if (begins_link(w, from)) {
			if (link)
				qnx_check_link(im, link);
			link = qnx_add_link(im, &at);
			if (!link)
				return;
			qnx_option(im, link, w, from, to);
		} else if (!link) {
			import_fault(im, &at, "option", "%.*s stands before the first peer=; it belongs behind one",
				     (int)(to - from), w->text + from);
			return;
		} else {
			qnx_option(im, link, w, from, to);
		}
		if (to >= w->len)
			break;
	}
	if (link)
		qnx_check_link(im, link);
}
