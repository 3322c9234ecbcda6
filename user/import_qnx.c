/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The commands of a QNX host: io-pkt and mount of 7.x, io-sock, ifconfig and vpctl of 8.0, brconfig. Of a script only
 * those count; what else it does is no concern of a plane.
 */
#include <stdlib.h>
#include <string.h>

#include "import_qnx.h"

/* The words of one command, its name first. */
struct command {
	struct import *im;
	const struct word *w;
	size_t n;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static struct span whole(const struct word *w)
{
	return word_span(w, 0, w->len);
}

/* "devnp-NAME.so" and "mods-NAME.so", with or without a folder, are NAME. */
static const char *driver_name(struct import *im, const char *text)
{
	size_t n;

	text = base_name(text);
	if (!strncmp(text, "devnp-", 6))
		text += 6;
	else if (!strncmp(text, "mods-", 5))
		text += 5;
	n = strlen(text);
	if (n > 3 && !strcmp(text + n - 3, ".so"))
		n -= 3;
	return import_keep(im, text, n);
}

static bool is_vdevpeer(const char *driver)
{
	return !strcmp(driver, "vdevpeer-net") || !strcmp(driver, "vdevpeer");
}

/* A $ in what we read: a shell would put something there that we can't know. */
static bool has_variable(const struct command *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		struct span at = whole(&c->w[i]);

		if (!c->w[i].variable)
			continue;
		import_fault(c->im, &at, c->w[0].text, "the shell puts something in the place of this; fill it in");
		return true;
	}
	return false;
}

static void add_driver(struct import *im, const char *name, const struct word *options, const struct span *at)
{
	struct qnx *q = im->qnx;
	struct qnx_driver *d = NULL;

	if (q->n_drivers < IMPORT_MAX_LINKS)
		d = import_grow(im, q->drivers, q->n_drivers, sizeof(*d));
	if (!d)
		return;
	q->drivers = d;
	d[q->n_drivers++] = (struct qnx_driver){ .name = name, .options = options ? options->text : NULL, .at = *at };
}

static bool is_option(const struct word *w)
{
	return w->text[0] == '-';
}

/* A second word of options: the shell has split what was meant to be one. */
static void stray_word(struct import *im, const struct word *options, const struct word *next)
{
	struct span at = whole(next);

	/* A trailing comma was reported with the advice. */
	if (options->len && options->text[options->len - 1] == ',')
		return;
	import_fault(im, &at, "vdevpeer-net", "takes its options as one word; join this one with a comma and no blank");
}

/* -d DRIVER [OPTIONS], or -dDRIVER [OPTIONS]; returns the next word. */
static size_t read_driver(const struct command *c, size_t i, bool vdevpeer_options)
{
	const struct word *w = &c->w[i], *options = NULL;
	struct span at = whole(w);
	const char *name;

	if (w->len > 2) {
		name = driver_name(c->im, w->text + 2);
	} else if (i + 1 < c->n && !is_option(&c->w[i + 1])) {
		at = whole(&c->w[++i]);
		name = driver_name(c->im, c->w[i].text);
	} else {
		import_fault(c->im, &at, "-d", "has no driver behind it");
		return i + 1;
	}
	i++;
	if (i < c->n && !is_option(&c->w[i]))
		options = &c->w[i++];
	if (!is_vdevpeer(name)) {
		add_driver(c->im, name, options, &at);
		return i;
	}
	c->im->qnx->loaded = true;
	if (options && vdevpeer_options) {
		qnx_options(c->im, options, 0);
		for (; i < c->n && !is_option(&c->w[i]); i++)
			stray_word(c->im, options, &c->w[i]);
	}
	return i;
}

/* Other options belong to the stack; the words behind them are theirs. */
static void read_stack(const struct command *c, bool vdevpeer_options)
{
	size_t i = 1;

	while (i < c->n)
		i = !strncmp(c->w[i].text, "-d", 2) ? read_driver(c, i, vdevpeer_options) : i + 1;
}

static void read_io_pkt(const struct command *c)
{
	read_stack(c, true);
}

static void read_io_sock(const struct command *c)
{
	size_t i;

	for (i = 1; i < c->n; i++)
		if (!strncmp(c->w[i].text, "-m", 2)) {
			const char *module = c->w[i].len > 2 ? c->w[i].text + 2 : i + 1 < c->n ? c->w[i + 1].text : "";

			if (is_vdevpeer(driver_name(c->im, module)))
				c->im->qnx->loaded = true;
		}
	read_stack(c, false);
}

/* The value of `-x VALUE` or `-xVALUE`, NULL = absent; `from` is where it begins in the word. */
static const struct word *option_value(const struct command *c, const char *option, size_t *i, size_t *from)
{
	if (strncmp(c->w[*i].text, option, 2) != 0)
		return NULL;
	*from = 2;
	if (c->w[*i].len > 2)
		return &c->w[*i];
	*from = 0;
	return *i + 1 < c->n ? &c->w[++*i] : NULL;
}

/* mount -T io-pkt [-o OPTIONS] DRIVER */
static void read_mount(const struct command *c)
{
	const struct word *type = NULL, *options = NULL, *driver = NULL, *value;
	size_t i, from, type_from = 0, options_from = 0;
	bool pkt;

	for (i = 1; i < c->n; i++) {
		if ((value = option_value(c, "-T", &i, &from)))
			type = value, type_from = from;
		else if ((value = option_value(c, "-o", &i, &from)))
			options = value, options_from = from;
		else if (!is_option(&c->w[i]) && !driver)
			driver = &c->w[i];
		else if (driver && is_vdevpeer(driver_name(c->im, driver->text)) && options)
			stray_word(c->im, options, &c->w[i]);
	}
	pkt = type && !strncmp(type->text + type_from, "io-pkt", 6);
	if (!pkt && !(type && !strncmp(type->text + type_from, "io-sock", 7)))
		return;
	if (has_variable(c))
		return;
	if (!driver) {
		struct span at = whole(&c->w[0]);

		import_fault(c->im, &at, "mount", "names no driver");
		return;
	}
	if (!is_vdevpeer(driver_name(c->im, driver->text))) {
		struct span at = whole(driver);

		add_driver(c->im, driver_name(c->im, driver->text), options, &at);
		return;
	}
	c->im->qnx->loaded = true;
	if (pkt && options)
		qnx_options(c->im, options, options_from);
}

/* The same command again, as scripts do that run at each start of a guest. */
static bool said_before(const struct qnx *q, const struct qnx_link *now)
{
	const struct qnx_link *l;

	for (l = q->links; l < now; l++)
		if (l->made && !strcmp(l->ifname, now->ifname) && l->peer && now->peer && !strcmp(l->peer, now->peer) &&
		    !l->bind == !now->bind && (!l->bind || !strcmp(l->bind, now->bind)))
			return true;
	return false;
}

static void read_vpctl(const struct command *c)
{
	struct qnx *q = c->im->qnx;
	struct qnx_link *link;
	struct span at;
	size_t i;

	if (c->n < 2) {
		at = whole(&c->w[0]);
		import_fault(c->im, &at, "vpctl", "names no interface; write vpctl vp0 peer=PATH bind=PATH");
		return;
	}
	at = whole(&c->w[1]);
	if (memchr(c->w[1].text, '=', c->w[1].len)) {
		import_fault(c->im, &at, "vpctl", "an interface's name belongs before this: vpctl vp0 peer=PATH");
		return;
	}
	if (c->n == 2) /* a question */
		return;
	link = qnx_add_link(c->im, &at);
	if (!link)
		return;
	link->made = true;
	snprintf(link->ifname, sizeof(link->ifname), "%s", c->w[1].text);
	for (i = 2; i < c->n; i++) {
		if (memchr(c->w[i].text, ',', c->w[i].len)) {
			struct span item = whole(&c->w[i]);

			import_fault(c->im, &item, "vpctl", "takes its assignments apart by blanks, not by commas");
			return;
		}
		qnx_option(c->im, link, &c->w[i], 0, c->w[i].len);
	}
	if (!link->peer_at.src)
		import_fault(c->im, &at, "vpctl", "has no peer= for %s", link->ifname);
	if (said_before(q, link))
		q->n_links--;
}

static void leave(const struct command *c)
{
	struct qnx *q = c->im->qnx;
	struct left *left = import_grow(c->im, q->left, q->n_left, sizeof(*left));
	char text[128];
	size_t i, n = 0;

	if (!left)
		return;
	q->left = left;
	for (i = 0; i < c->n && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : "", c->w[i].text);
	left[q->n_left++] = (struct left){ c->w[1].text, import_keep(c->im, text, strlen(text)), whole(&c->w[0]) };
}

static bool is_word(const struct command *c, size_t i, const char *text)
{
	return i < c->n && !strcmp(c->w[i].text, text);
}

static void add_member(const struct command *c, size_t bridge, size_t ifname)
{
	struct qnx *q = c->im->qnx;
	struct qnx_member *m = NULL;

	if (q->n_members < IMPORT_MAX_LINKS)
		m = import_grow(c->im, q->members, q->n_members, sizeof(*m));
	if (!m)
		return;
	q->members = m;
	m[q->n_members++] = (struct qnx_member){ c->w[bridge].text, c->w[ifname].text, whole(&c->w[ifname]), NULL };
}

/* brconfig BRIDGE add IF [add IF]... up, and ifconfig BRIDGE addm IF */
static void read_members(const struct command *c, const char *verb)
{
	size_t i;

	for (i = 2; i < c->n; i++) {
		struct span at = whole(&c->w[i]);

		if (!is_word(c, i, verb))
			continue;
		if (i + 1 < c->n)
			add_member(c, 1, ++i);
		else
			import_fault(c->im, &at, verb, "names no interface");
	}
}

/* create, up and down say nothing that a plane does not do by itself; addresses and flags are left to the host. */
static void read_ifconfig(const struct command *c)
{
	size_t i;

	read_members(c, "addm"); /* 8.0 */
	if (c->n > 3 && is_word(c, 2, "addm"))
		return;
	for (i = 2; i < c->n; i++)
		if (!is_word(c, i, "create") && !is_word(c, i, "up") && !is_word(c, i, "down") &&
		    !is_word(c, i, "destroy"))
			break;
	if (i < c->n)
		leave(c);
}

static void read_brconfig(const struct command *c)
{
	read_members(c, "add");
}

static const struct program {
	const char *name;
	bool prefix;  /* io-pkt-v4-hc, io-pkt-v6-hc */
	bool literal; /* variables in it matter */
	void (*read)(const struct command *c);
} programs[] = {
	{ "io-pkt", true, true, read_io_pkt }, { "io-sock", true, true, read_io_sock },
	{ "vpctl", false, true, read_vpctl },  { "brconfig", false, true, read_brconfig },
	{ "mount", false, false, read_mount }, { "ifconfig", false, false, read_ifconfig },
};

static const struct program *find_program(const char *word)
{
	const char *name = base_name(word);
	size_t i, n;

	for (i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		n = strlen(programs[i].name);
		if (programs[i].prefix ? !strncmp(name, programs[i].name, n) && (!name[n] || name[n] == '-')
				       : !strcmp(name, programs[i].name))
			return &programs[i];
	}
	return NULL;
}

/* Words that may stand before a command's name. */
static bool is_lead(const char *word)
{
	static const char *const leads[] = { "if", "then", "else", "elif", "do",    "while", "until",
					     "!",  "{",	   "exec", "on",   "nohup", "nice",  "sudo" };
	size_t i;

	for (i = 0; i < sizeof(leads) / sizeof(*leads); i++)
		if (!strcmp(word, leads[i]))
			return true;
	return strchr(word, '=') && word[0] != '-' && word[0] != '/';
}

/* Returns whether this was a command of ours. */
static bool read_command(struct import *im, const struct word *w, size_t n)
{
	const struct program *p = n ? find_program(w[0].text) : NULL;
	struct command c = { im, w, n };

	if (n && !p && is_lead(w[0].text))
		while (c.n > 1 && !(p = find_program(c.w[1].text)))
			c.w++, c.n--;
	if (!p)
		return false;
	if (!find_program(c.w[0].text))
		c.w++, c.n--;
	if (!p->literal || !has_variable(&c))
		p->read(&c);
	return true;
}

void qnx_read(struct import *im, const struct words *words)
{
	size_t i, start = 0;
	bool any = false;

	if (!im->qnx && !(im->qnx = calloc(1, sizeof(*im->qnx)))) {
		im->no_memory = true;
		return;
	}
	for (i = 0; i < words->n && !im->no_memory; i++) {
		if (!words->w[i].ends)
			continue;
		any |= read_command(im, words->w + start, i - start);
		start = i + 1;
	}
	if (!any && words->n && !im->faults) {
		struct span at = { .src = words->w[0].src };

		if (words->w[0].at)
			at = whole(&words->w[0]);
		import_fault(im, &at, "input",
			     "has none of the commands io-pkt-*, io-sock, mount, vpctl, ifconfig, "
			     "brconfig");
	}
}

void qnx_free(struct import *im)
{
	if (!im->qnx)
		return;
	free(im->qnx->links);
	free(im->qnx->drivers);
	free(im->qnx->members);
	free(im->qnx->left);
	free(im->qnx->bridges);
	free(im->qnx);
	im->qnx = NULL;
}
