/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Deleting many devices. One by one each costs a grace period of RCU under the RTNL lock: 17 ms on Linux 6.18, and
 * all of netlink stands still for ten seconds when 600 pairs go. A group goes as a whole, with one grace period for
 * all (0.14 s): the veths get a group number that nobody has. What is left after that is deleted one by one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "link_priv.h"

/* Requests per send: 40 bytes each, well below the default send buffer of 208 KiB. */
#define BATCH	      2048
#define REQUEST_BYTES 40
/* For BATCH error answers, each of which the kernel accounts with its whole buffer. */
#define ANSWERS_RCVBUF (8 * 1024 * 1024)
/* From so many on the listing and the group are worth it. */
#define GROUP_FROM 4

/* Request number i + 1 of a batch: delete the device, or put it into `group`. */
static size_t fill_request(char *buf, uint32_t ifindex, uint32_t group, size_t i, bool last)
{
	struct link_request r;
	/* Errors come without being asked for; only the last request asks for an answer, which ends the reading. */
	struct nlmsghdr *h = link_begin(&r, group ? RTM_NEWLINK : RTM_DELLINK, last ? NLM_F_ACK : 0, ifindex);
	h->nlmsg_seq = (uint32_t)i + 1;
	if (group)
		mnl_attr_put_u32(h, IFLA_GROUP, group);
	memcpy(buf, h, h->nlmsg_len);
	return h->nlmsg_len;
}

/* Read answers up to that with number `last`; the first error that is not "gone already" goes to *failed. */
static int read_answers(const struct mnl_socket *s, uint32_t last, int *failed)
{
	_Alignas(struct nlmsghdr) char buf[8192];
	for (;;) {
		ssize_t got = link_receive(s, buf, sizeof(buf));
		if (got < 0)
			return (int)got;
		int left = (int)got;
		for (const struct nlmsghdr *h = (void *)buf; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			if (e->error && e->error != -ENODEV && !*failed)
				*failed = e->error;
			if (h->nlmsg_seq == last)
				return 0;
		}
	}
}

static int send_batch(const struct mnl_socket *s, char *buf, const uint32_t *ifindex, size_t n, uint32_t group,
		      int *failed)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++)
		len += fill_request(buf + len, ifindex[i], group, i, i + 1 == n);
	ssize_t sent = link_send(s, buf, len);
	return sent < 0 ? (int)sent : read_answers(s, (uint32_t)n, failed);
}

/* Send all requests; one that fails does not stop the others, and the first error is returned. */
static int send_many(const uint32_t *ifindex, size_t n, uint32_t group)
{
	struct mnl_socket *s = NULL;
	int failed = 0, size = ANSWERS_RCVBUF;
	char *buf = malloc((size_t)BATCH * REQUEST_BYTES);
	int ret = buf ? link_open_socket(NETLINK_ROUTE, &s) : -ENOMEM;
	if (ret)
		goto out;
	(void)setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	for (size_t i = 0; i < n && !ret; i += BATCH)
		ret = send_batch(s, buf, ifindex + i, n - i < BATCH ? n - i : BATCH, group, &failed);
out:
	if (s)
		mnl_socket_close(s);
	free(buf);
	return ret ? ret : failed;
}

static int by_ifindex(const void *key, const void *link)
{
	uint32_t x = *(const uint32_t *)key, y = ((const struct link_info *)link)->ifindex;
	return (x > y) - (x < y);
}

/* A group number that no device has; 0 if none was found. */
static uint32_t free_group(const struct link_info *links, size_t n)
{
	uint32_t group = 0;
	if (getrandom(&group, sizeof(group), 0) != sizeof(group))
		return 0;
	group = (group & 0x3fffffff) | 0x40000000;
	for (size_t i = 0; i < n; i++)
		if (links[i].group == group)
			return 0;
	return group;
}

/* Only veths: a group with a device in it that cannot be deleted cannot be deleted at all. */
static size_t pick_veths(uint32_t *picked, const uint32_t *ifindex, size_t n, const struct link_info *links,
			 size_t n_links)
{
	size_t n_picked = 0;
	for (size_t i = 0; i < n; i++) {
		const struct link_info *l = bsearch(&ifindex[i], links, n_links, sizeof(*l), by_ifindex);
		if (l && l->type == LINK_VETH)
			picked[n_picked++] = ifindex[i];
	}
	return n_picked;
}

static int delete_group(uint32_t group)
{
	struct link_request r;
	struct nlmsghdr *h = link_begin(&r, RTM_DELLINK, NLM_F_ACK, 0);
	mnl_attr_put_u32(h, IFLA_GROUP, group);
	return link_talk(NETLINK_ROUTE, h, NULL, NULL, NULL);
}

/* Errors do not matter: what this leaves is deleted one by one. */
static void delete_veths_at_once(const uint32_t *ifindex, size_t n)
{
	struct link_info *links = NULL;
	size_t n_links = 0;
	if (link_list(&links, &n_links))
		return;
	uint32_t *picked = calloc(n, sizeof(*picked));
	size_t n_picked = picked ? pick_veths(picked, ifindex, n, links, n_links) : 0;
	uint32_t group = n_picked ? free_group(links, n_links) : 0;
	if (group && !send_many(picked, n_picked, group))
		(void)delete_group(group);
	free(picked);
	free(links);
}

int link_delete_many(const uint32_t *ifindex, size_t n)
{
	if (!n)
		return 0;
	if (n >= GROUP_FROM)
		delete_veths_at_once(ifindex, n);
	return send_many(ifindex, n, 0);
}
