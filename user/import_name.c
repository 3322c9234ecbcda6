/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names of ours for names of theirs. A name follows from the path alone, so that it is the same in every import; only
 * where two paths would give one name, the later one gets four digits of its path's hash.
 */
#include <errno.h>
#include <string.h>

#include "import.h"
#include "value.h"

#define DIGITS 4

static uint32_t hash_of(const char *text, uint32_t salt)
{
	uint32_t hash = 0x811c9dc5 + salt; /* FNV-1a */

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x01000193;
	return (hash ^ hash >> 16) & 0xffff;
}

/* Letters, digits and a few signs stay; the rest becomes '-'. `room` counts the NUL. Returns whether it was cut. */
static bool legal(const char *text, const char *signs, char *out, size_t room)
{
	size_t n = 0;

	for (; *text && n + 1 < room; text++) {
		char c = *text;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !strchr(signs, c))
			c = '-';
		if (!n && strchr("-_.", c)) /* a name begins with a letter or digit */
			continue;
		out[n++] = c;
	}
	out[n] = '\0';
	if (!n)
		snprintf(out, room, "x");
	return *text;
}

/* "name" becomes "name-1a2b", cut to fit. */
static void add_hash(char *name, size_t room, const char *path, uint32_t salt)
{
	size_t n = strlen(name);

	if (n > room - DIGITS - 2)
		n = room - DIGITS - 2;
	snprintf(name + n, DIGITS + 2, "-%04x", hash_of(path, salt));
}

static bool name_is_taken(const struct import *im, const char *name)
{
	return model_port(&im->m, name);
}

/* Also the plane's end of a host port's pair is a device. */
static bool device_is_taken(const struct import *im, const char *device)
{
	size_t i, n;

	for (i = 0; i < im->m.n_ports; i++) {
		const struct port *p = &im->m.ports[i];

		n = strlen(p->device);
		if (!strcmp(p->device, device))
			return true;
		if (p->kind == VP_KIND_HOST && !strncmp(p->device, device, n) && !strcmp(device + n, "-p"))
			return true;
	}
	/* One that somebody has asked for. */
	for (i = 0; i < im->opts->n_devices; i++)
		if (!strcmp(im->opts->devices[i].value, device))
			return true;
	for (i = 0; i < im->opts->n_uplinks; i++)
		if (!strcmp(im->opts->uplinks[i].value, device))
			return true;
	return false;
}

/* What is behind /dev/qvm/, or the path without its first slash. */
static const char *inner(const char *path)
{
	static const char top[] = "/dev/qvm/";

	if (!strncmp(path, top, sizeof(top) - 1) && path[sizeof(top) - 1])
		return path + sizeof(top) - 1;
	return *path == '/' ? path + 1 : path;
}

/* /dev/qvm/GUEST/NAME -> GUEST.NAME */
void import_guest_name(const struct import *im, const char *path, char out[VP_NAME_LEN])
{
	char text[VP_NAME_LEN + 1], base[VP_NAME_LEN], *slash;
	uint32_t salt = 0;

	snprintf(text, sizeof(text), "%s", inner(path));
	for (slash = strchr(text, '/'); slash; slash = strchr(slash, '/'))
		*slash = '.';
	if (legal(text, "-_.", base, VP_NAME_LEN))
		add_hash(base, VP_NAME_LEN, path, salt++);
	memcpy(out, base, VP_NAME_LEN);
	while (name_is_taken(im, out)) {
		memcpy(out, base, VP_NAME_LEN);
		add_hash(out, VP_NAME_LEN, path, salt++);
	}
}

void import_segment_name(const struct import *im, const char *name, char out[VP_NAME_LEN])
{
	uint32_t salt = 0;

	if (legal(name, "-_.", out, VP_NAME_LEN))
		add_hash(out, VP_NAME_LEN, name, salt++);
	while (model_segment(&im->m, out))
		add_hash(out, VP_NAME_LEN, name, salt++);
}

static bool is_key(const struct import_pair *pair, const char *text)
{
	return strlen(text) == pair->key_len && !memcmp(pair->key, text, pair->key_len);
}

static const char *pair_value(struct import_pair *pairs, size_t n, const char *key)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!is_key(&pairs[i], key))
			continue;
		pairs[i].used = true;
		return pairs[i].value;
	}
	return NULL;
}

const char *import_device(struct import *im, const char *path, const char *port, char out[VP_DEV_LEN])
{
	const char *said = pair_value(im->opts->devices, im->opts->n_devices, path);
	char base[VP_DEV_LEN];
	uint32_t salt = 0;

	if (!said)
		said = pair_value(im->opts->devices, im->opts->n_devices, port);
	memset(out, 0, VP_DEV_LEN);
	if (said) {
		snprintf(out, VP_DEV_LEN, "%s", said);
		return "--device";
	}
	/* No dots: sysctl takes them for slashes. */
	if (legal(port, "-_", base, VP_DEV_LEN))
		add_hash(base, VP_DEV_LEN, path, salt++);
	memcpy(out, base, strlen(base) + 1);
	while (device_is_taken(im, out)) {
		memcpy(out, base, strlen(base) + 1);
		add_hash(out, VP_DEV_LEN, path, salt++);
	}
	return "the guest's TAP; another one: --device PATH=IF";
}

const char *import_uplink(struct import *im, const char *name)
{
	return pair_value(im->opts->uplinks, im->opts->n_uplinks, name);
}

/* 12 digits without separators become the form that value_mac() reads. */
const char *import_mac(const char *text, struct mac *out)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	char colons[MAC_TEXT];
	size_t n = strlen(text), i;

	if (n == 12 && strspn(text, digits) == n) {
		for (i = 0; i < 12; i += 2)
			memcpy(&colons[i / 2 * 3], (char[]){ text[i], text[i + 1], i < 10 ? ':' : '\0' }, 3);
		text = colons;
	}
	if (value_mac(text, out))
		return n == 12 ? "has characters that are no hexadecimal digits"
			       : "is no address: 12 hexadecimal digits, or six pairs with colons between them";
	return value_mac_fault(out);
}

void import_alias(struct import *im, struct port *p, const char *path, const struct span *at, const char *from)
{
	char place[IMPORT_PLACE];

	if (value_alias(path)) {
		import_warn(im, at, "alias", "the path is not kept: it is longer than %d characters or not ASCII",
			    ALIAS_LEN - 1);
		return;
	}
	memset(p->alias, 0, sizeof(p->alias));
	snprintf(p->alias, sizeof(p->alias), "%s", path);
	import_note(im, NOTE_PORT, p->name, "alias", "%s, %s", from, import_place(at, place));
}
