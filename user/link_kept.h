/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the host has on a device and is to get back exactly: the kernel's own messages, kept as a dump tells them and as
 * text "NAME=HEX,NAME=HEX". NAME is for people; HEX is the message, which makes it again.
 */
#ifndef LINK_KEPT_H
#define LINK_KEPT_H

#include "link_priv.h"

/* Messages one behind the other; free(buf). */
struct kept {
	char *buf;
	size_t len;
};

#define KEPT_NAME 64 /* of an address or a prefix, its length and the terminator */

/* Append a copy; -ENOMEM. */
int kept_add(struct kept *k, const struct nlmsghdr *h);
/* The next one, *at = 0 for the first; NULL behind the last. */
struct nlmsghdr *kept_next(const struct kept *k, size_t *at);

/* All of it as text, "" = nothing; free(). */
int kept_text(const struct kept *k, void (*name)(const struct nlmsghdr *h, char out[KEPT_NAME]), char **text);
/*
 * The text's messages, with at least `head` bytes behind the netlink header; free(all->buf), after an error too.
 * -EBADMSG: this is no such text.
 */
int kept_read(const char *text, size_t head, struct kept *all);

/* The first attribute of this type behind `head` bytes; NULL: there is none. */
struct nlattr *kept_attr(const struct nlmsghdr *h, size_t head, uint16_t type);

/* Send one as a request of this type, with these flags beside the usual; the error `settled` is none. */
int kept_send(struct nlmsghdr *h, uint16_t type, uint16_t flags, int settled);

/* Hundredths of a second of the clock that times in kept messages are counted by; it stands while the host sleeps. */
uint32_t kept_clock(void);
/* Of `seconds` left at the time `since`, how many now: 0 = it is over, UINT32_MAX = there is no end. */
uint32_t kept_left(uint32_t seconds, uint32_t since);

#endif
