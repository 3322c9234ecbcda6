/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where configurations come from: files, standard input, arguments. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "conf_key.h"
#include "conf_yaml.h"

static int read_error(const char *name)
{
	int error = errno ? errno : EIO;

	fail_at(&(struct where){ .file = name }, "configuration", "cannot be read: %s", strerror(error));
	return -error;
}

int conf_read(FILE *in, const char *name, struct model *m)
{
	size_t size = 0, len = 0, got;
	char *text = NULL, *more;
	int ret = 0;

	do {
		if (len == size) {
			size = size ? 2 * size : 16384;
			more = realloc(text, size);
			if (!more) {
				free(text);
				return -ENOMEM;
			}
			text = more;
		}
		errno = 0;
		got = fread(text + len, 1, size - len, in);
		len += got;
		/* One byte more than allowed is enough to be refused. */
	} while (got && len <= CONF_MAX_TEXT);
	if (ferror(in))
		ret = read_error(name);
	if (!ret)
		ret = conf_read_text(text, len, name, m);
	free(text);
	return ret;
}

static int load(FILE *in, const char *name, const char *plane, struct model *m)
{
	int ret = conf_read(in, name, m);

	if (!ret)
		ret = model_derive(m, plane);
	if (!ret)
		ret = model_check(m);
	if (!ret)
		model_sort(m);
	if (ret == -ENOMEM)
		fail_at(&(struct where){ .file = name }, "configuration", "out of memory");
	return ret;
}

int conf_load(const char *path, const char *plane, struct model *m)
{
	FILE *in;
	int ret;

	if (!strcmp(path, "-"))
		return load(stdin, "standard input", plane, m);
	in = fopen(path, "re");
	if (!in)
		return read_error(path);
	ret = load(in, path, plane, m);
	fclose(in);
	return ret;
}

/* "52:...,52:..." or auto or nothing at all, which admits any address. Silent on 0; replaces what was there. */
static int arg_macs(struct port *p, const char *object, const char *text)
{
	char *list = strdup(text), *next = list, *one, why[KEY_WHY];
	struct port now = { 0 };
	struct mac mac;
	int ret = list ? 0 : -ENOMEM;

	now.mac_auto = !strcmp(text, "auto");
	while (!ret && *text && !now.mac_auto && (one = strsep(&next, ","))) {
		if (key_mac(one, &mac, why)) {
			fail(object, "mac: %s", why);
			ret = -EINVAL;
			break;
		}
		ret = port_add_mac(&now, &mac);
		if (ret == -EEXIST) {
			fail(object, "mac: \"%s\" is listed twice", one);
			ret = -EINVAL;
		}
	}
	free(list);
	if (ret) {
		port_free(&now);
		return ret;
	}
	free(p->macs);
	p->macs = now.macs;
	p->n_macs = now.n_macs;
	p->mac_auto = now.mac_auto;
	return 0;
}

/* "lan,dmz" or nothing at all: no tags. Silent on 0; replaces what was there. */
static int arg_tagged(struct port *p, const char *object, const char *text)
{
	char *list = strdup(text), *next = list, *one, why[KEY_WHY];
	struct port now = { 0 };
	int ret = list ? 0 : -ENOMEM;

	while (!ret && *text && (one = strsep(&next, ","))) {
		if (key_segment(one, why)) {
			fail(object, "tagged: %s", why);
			ret = -EINVAL;
			break;
		}
		ret = port_add_tagged(&now, one);
		if (ret == -EEXIST) {
			fail(object, "tagged: \"%s\" is listed twice", one);
			ret = -EINVAL;
		}
	}
	free(list);
	if (ret) {
		port_free(&now);
		return ret;
	}
	free(p->tagged);
	p->tagged = now.tagged;
	p->n_tagged = now.n_tagged;
	return 0;
}

static int arg_key(struct port *p, const char *object, const struct key *key, const char *value)
{
	int ret;

	if (key->type == KEY_MISSING) {
		fail(object, "this build does not have `%s` yet", key->name);
		return -EINVAL;
	}
	if (!strcmp(key->name, "name")) {
		fail(object, "name: a port keeps its name; delete it and add another");
		return -EINVAL;
	}
	if (key->type == KEY_MACS)
		return arg_macs(p, object, value);
	if (key->type == KEY_NAMES)
		return arg_tagged(p, object, value);
	if (!strcmp(key->name, "segment") && !*value) {
		memset(p->segment, 0, sizeof(p->segment));
		return 0;
	}
	ret = key->set(p, value);
	if (ret)
		fail(object, "%s: \"%s\" is not %s", key->name, value, key->wanted);
	return ret ? -EINVAL : 0;
}

int conf_port_arg(struct port *p, const char *arg)
{
	const char *equals = strchr(arg, '='), *near;
	char object[VP_NAME_LEN + 8], name[32];
	const struct key *key = NULL;

	snprintf(object, sizeof(object), "port %s", p->name);
	if (!equals) {
		fail(object, "\"%s\" is not key=value", arg);
		return -EINVAL;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(equals - arg < 31 ? equals - arg : 31), arg);
	if (equals - arg < 31)
		key = key_find(KEYS_PORT, name);
	if (key)
		return arg_key(p, object, key, equals + 1);
	near = key_near(KEYS_PORT, name);
	if (near)
		fail(object, "unknown key \"%s\"; did you mean \"%s\"?", name, near);
	else
		fail(object, "unknown key \"%s\"", name);
	return -EINVAL;
}

static bool is_kind(const char *arg)
{
	return !strncmp(arg, "kind=", 5);
}

static bool same_key(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return n == strcspn(b, "=") && !strncmp(a, b, n);
}

int conf_port_args(struct port *p, int n, char *const *args)
{
	char object[VP_NAME_LEN + 8];
	int i, j, ret = 0;

	snprintf(object, sizeof(object), "port %s", p->name);
	for (i = 0; i < n; i++)
		for (j = 0; j < i; j++)
			if (same_key(args[i], args[j])) {
				fail(object, "key \"%.*s\" is given twice", (int)strcspn(args[i], "="), args[i]);
				return -EINVAL;
			}
	for (i = 0; i < n; i++)
		if (is_kind(args[i]))
			ret = conf_port_arg(p, args[i]);
	for (i = 0; i < n; i++)
		if (!is_kind(args[i]) && (j = conf_port_arg(p, args[i])))
			ret = j;
	key_finish_port(p);
	return ret;
}
