/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "link_kept.h"

int kept_add(struct kept *k, const struct nlmsghdr *h)
{
	size_t size = MNL_ALIGN(h->nlmsg_len);
	char *more = realloc(k->buf, k->len + size);
	if (!more)
		return -ENOMEM;
	k->buf = more;
	memset(more + k->len, 0, size);
	memcpy(more + k->len, h, h->nlmsg_len);
	k->len += size;
	return 0;
}

struct nlmsghdr *kept_next(const struct kept *k, size_t *at)
{
	if (*at >= k->len)
		return NULL;
	struct nlmsghdr *h = (struct nlmsghdr *)(k->buf + *at);
	*at += MNL_ALIGN(h->nlmsg_len);
	return h;
}

static void write_one(FILE *f, const struct nlmsghdr *h, const char *name)
{
	const uint8_t *bytes = (const uint8_t *)h;
	fprintf(f, "%s=", name);
	for (size_t i = 0; i < h->nlmsg_len; i++)
		fprintf(f, "%02x", bytes[i]);
}

int kept_text(const struct kept *k, void (*name)(const struct nlmsghdr *h, char out[KEPT_NAME]), char **text)
{
	char *buf = NULL, one[KEPT_NAME];
	const struct nlmsghdr *h;
	const char *between = "";
	size_t size = 0, at = 0;
	FILE *f = open_memstream(&buf, &size);
	if (!f)
		return -ENOMEM;
	while ((h = kept_next(k, &at))) {
		fputs(between, f);
		name(h, one);
		write_one(f, h, one);
		between = ",";
	}
	if (fclose(f) || !buf) {
		free(buf);
		return -ENOMEM;
	}
	*text = buf;
	return 0;
}

static int nibble(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `len` hexadecimal digits; -EBADMSG. */
static int read_bytes(uint8_t *out, const char *hex, size_t len)
{
	for (size_t i = 0; i < len; i += 2) {
		int high = nibble(hex[i]), low = nibble(hex[i + 1]);
		if (high < 0 || low < 0)
			return -EBADMSG;
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static int read_one(const char *hex, size_t len, size_t head, struct kept *all)
{
	if (len % 2 || len / 2 < MNL_NLMSG_HDRLEN + head)
		return -EBADMSG;
	struct nlmsghdr *h = calloc(1, len / 2);
	if (!h)
		return -ENOMEM;
	int ret = read_bytes((uint8_t *)h, hex, len);
	if (!ret)
		ret = h->nlmsg_len == len / 2 ? kept_add(all, h) : -EBADMSG;
	free(h);
	return ret;
}

int kept_read(const char *text, size_t head, struct kept *all)
{
	int ret = 0;
	*all = (struct kept){ 0 };
	while (*text && !ret) {
		size_t len = strcspn(text, ","), name = strcspn(text, "=,");
		ret = name < len ? read_one(text + name + 1, len - name - 1, head, all) : -EBADMSG;
		text += len + (text[len] == ',');
	}
	return ret;
}

struct nlattr *kept_attr(const struct nlmsghdr *h, size_t head, uint16_t type)
{
	struct nlattr *a;
	mnl_attr_for_each (a, h, head)
		if (mnl_attr_get_type(a) == type)
			return a;
	return NULL;
}

void link_kept_names(char *text)
{
	char *to = text;
	while (*text) {
		size_t len = strcspn(text, ","), name = strcspn(text, "=,");
		memmove(to, text, name);
		to += name;
		text += len;
		if (*text)
			*to++ = *text++;
	}
	*to = '\0';
}

int kept_send(struct nlmsghdr *h, uint16_t type, uint16_t flags, int settled)
{
	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	int ret = link_talk(NETLINK_ROUTE, h, NULL, NULL, NULL);
	return ret == settled ? 0 : ret;
}

uint32_t kept_clock(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint32_t)(t.tv_sec * 100 + t.tv_nsec / 10000000);
}

uint32_t kept_left(uint32_t seconds, uint32_t since)
{
	uint32_t gone = (kept_clock() - since) / 100;
	return seconds == UINT32_MAX ? seconds : seconds > gone ? seconds - gone : 0;
}
