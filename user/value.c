/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "value.h"

/* Own digit tests: those of ctype.h depend on the locale. */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int value_mac(const char *text, struct mac *out)
{
	struct mac mac;
	int i;

	if (strlen(text) != MAC_TEXT - 1 || (text[2] != ':' && text[2] != '-'))
		return -EINVAL;
	for (i = 0; i < VP_MAC_LEN; i++, text += 3) {
		int high = hex_digit(text[0]), low = hex_digit(text[1]);

		if (high < 0 || low < 0 || (i < VP_MAC_LEN - 1 && text[2] != text[i ? -1 : 2]))
			return -EINVAL;
		mac.b[i] = (uint8_t)(high << 4 | low);
	}
	*out = mac;
	return 0;
}

const char *value_mac_text(const struct mac *m, char buf[MAC_TEXT])
{
	static const char digits[] = "0123456789abcdef";
	char *to = buf;

	/* By hand: of a large configuration's run printf() took a third. */
	for (size_t i = 0; i < sizeof(m->b); i++) {
		*to++ = digits[m->b[i] >> 4];
		*to++ = digits[m->b[i] & 15];
		*to++ = ':';
	}
	to[-1] = 0;
	return buf;
}

const char *value_mac_fault(const struct mac *m)
{
	static const struct mac zero, broadcast = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

	if (!mac_cmp(m, &zero))
		return "is all zero";
	if (!mac_cmp(m, &broadcast))
		return "is the broadcast address";
	return m->b[0] & 1 ? "is a group address" : NULL;
}

int value_u32(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t v = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v > UINT32_MAX)
			return -EINVAL;
	}
	if (v < min || v > max)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

/* The place of `text` in a list of words, or -EINVAL. */
static int word(const char *text, const char *const *words, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (words[i] && !strcmp(text, words[i]))
			return i;
	return -EINVAL;
}

int value_bool(const char *text, bool *out)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };
	int i = word(text, words, 6);

	if (i < 0)
		return -EINVAL;
	*out = i & 1;
	return 0;
}

int value_name(const char *text, size_t max)
{
	size_t n = strlen(text);

	if (!n || n > max || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != n || strchr("_.-", text[0]))
		return -EINVAL;
	return 0;
}

int value_device(const char *text)
{
	size_t n = strlen(text), i;

	if (!n || n >= VP_DEV_LEN || !strcmp(text, ".") || !strcmp(text, ".."))
		return -EINVAL;
	/* The kernel refuses blanks, '/' and ':'; '%' is a pattern to it; the rest would not survive a terminal. */
	for (i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~' || strchr("/:%", text[i]))
			return -EINVAL;
	return 0;
}

int value_alias(const char *text)
{
	size_t n = strlen(text), i;

	if (!n || n >= ALIAS_LEN)
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return -EINVAL;
	return 0;
}

#define X(e, w) [VP_KIND_##e] = #w,
static const char *const kinds[VP_KIND_COUNT] = { VP_KINDS(X) };
#undef X
static const char *const carriers[] = { [CARRIER_AUTO] = "auto", [CARRIER_XDP] = "xdp", [CARRIER_TC] = "tc" };
static const char *const modes[] = { [MODE_NATIVE] = "native", [MODE_GENERIC] = "generic" };
static const char *const attachs[] = { [ATTACH_LINK] = "link", [ATTACH_SHARED] = "shared" };
static const char *const duplicates[] = { "move", "drop", "ignore" };

int value_kind(const char *text, enum vp_kind *out)
{
	int i = word(text, kinds, VP_KIND_COUNT);

	if (i < 0)
		return i;
	*out = (enum vp_kind)i;
	return 0;
}

int value_carrier(const char *text, enum carrier *out)
{
	int i = word(text, carriers, 3);

	if (i < 0)
		return i;
	*out = (enum carrier)i;
	return 0;
}

int value_mode(const char *text, enum xdp_mode *out)
{
	int i = word(text, modes, 2);

	if (i < 0)
		return i;
	*out = (enum xdp_mode)i;
	return 0;
}

int value_attach(const char *text, enum xdp_attach *out)
{
	int i = word(text, attachs, 2);

	if (i < 0)
		return i;
	*out = (enum xdp_attach)i;
	return 0;
}

int value_duplicate(const char *text, enum duplicate *out)
{
	int i = word(text, duplicates, 3);

	if (i < 0)
		return i;
	*out = (enum duplicate)i;
	return 0;
}

const char *kind_word(enum vp_kind kind)
{
	return (unsigned int)kind < VP_KIND_COUNT ? kinds[kind] : "unknown";
}

const char *carrier_word(enum carrier c)
{
	return (unsigned int)c < 3 ? carriers[c] : "unknown";
}

const char *mode_word(enum xdp_mode m)
{
	return (unsigned int)m < 2 ? modes[m] : "unknown";
}

const char *attach_word(enum xdp_attach a)
{
	return (unsigned int)a < 2 ? attachs[a] : "unknown";
}

const char *duplicate_word(enum duplicate d)
{
	return (unsigned int)d < 3 ? duplicates[d] : "unknown";
}

int mac_cmp(const struct mac *a, const struct mac *b)
{
	return memcmp(a->b, b->b, VP_MAC_LEN);
}

const char *value_command(char buf[COMMAND_TEXT], const char *plane, const char *verb)
{
	if (!strcmp(plane, "default"))
		snprintf(buf, COMMAND_TEXT, "vpeer %s", verb);
	else
		snprintf(buf, COMMAND_TEXT, "vpeer --plane %s %s", plane, verb);
	return buf;
}
