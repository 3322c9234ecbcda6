/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The netlink exchange itself, and the requests that change one device or delete many. */
#include <errno.h>
#include <linux/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "link_priv.h"

/* The kernel fills messages of a dump up to 32 KiB when the reader offers that much. */
#define ANSWER_BYTES 65536
/* A dump is inconsistent when a device came or went meanwhile; guests starting by the hundred cause a few in a row. */
#define DUMP_TRIES 50
/* Deletions per send: 32 bytes each, well below the default send buffer of 208 KiB. */
#define DELETE_BATCH 2048
/* For DELETE_BATCH error answers, each of which the kernel accounts with its whole buffer. */
#define ANSWERS_RCVBUF (8 * 1024 * 1024)

struct nlmsghdr *link_begin(struct link_request *r, uint16_t type, uint16_t flags, uint32_t ifindex)
{
	memset(r, 0, sizeof(*r));
	struct nlmsghdr *h = mnl_nlmsg_put_header(r->buf);
	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = (int)ifindex;
	return h;
}

static int open_socket(int bus, struct mnl_socket **out)
{
	struct mnl_socket *s = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!s)
		return -errno;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = -errno;
		mnl_socket_close(s);
		return err;
	}
	*out = s;
	return 0;
}

static ssize_t receive(const struct mnl_socket *s, void *buf, size_t size)
{
	ssize_t n;
	do
		n = mnl_socket_recvfrom(s, buf, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t send_all(const struct mnl_socket *s, const void *buf, size_t size)
{
	ssize_t n;
	do
		n = mnl_socket_sendto(s, buf, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int talk_once(int bus, struct nlmsghdr *request, mnl_cb_t cb, void *arg)
{
	struct mnl_socket *s = NULL;
	int ret = open_socket(bus, &s);
	if (ret)
		return ret;
	/* Filters in the header of a dump count only then; kernels before 4.20 ignore them, and so the callbacks filter too. */
	int one = 1;
	(void)mnl_socket_setsockopt(s, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	char *buf = malloc(ANSWER_BYTES);
	if (!buf) {
		mnl_socket_close(s);
		return -ENOMEM;
	}
	request->nlmsg_seq = (uint32_t)time(NULL);
	ssize_t n = send_all(s, request, request->nlmsg_len);
	ret = n < 0 ? (int)n : MNL_CB_OK;
	while (ret > 0) {
		n = receive(s, buf, ANSWER_BYTES);
		if (n < 0) {
			ret = (int)n;
			break;
		}
		ret = mnl_cb_run(buf, (size_t)n, request->nlmsg_seq, mnl_socket_get_portid(s), cb, arg);
		if (ret < 0)
			ret = errno ? -errno : -EIO;
	}
	free(buf);
	mnl_socket_close(s);
	return ret;
}

int link_talk(int bus, struct nlmsghdr *request, mnl_cb_t cb, void *arg, size_t *restart)
{
	/* A new socket for each try: what is left of the old dump goes with the old one. */
	int ret = -EINTR;
	for (int i = 0; i < DUMP_TRIES && ret == -EINTR; i++) {
		if (restart)
			*restart = 0;
		ret = talk_once(bus, request, cb, arg);
	}
	return ret;
}

/* An existing device only: without NLM_F_CREATE the kernel answers -ENODEV for one that is gone. */
static struct nlmsghdr *begin_change(struct link_request *r, uint32_t ifindex)
{
	return link_begin(r, RTM_NEWLINK, NLM_F_ACK, ifindex);
}

static int finish_change(struct nlmsghdr *h)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	/* Index 0 would let the kernel choose by other attributes. */
	if (!ifi->ifi_index)
		return -ENODEV;
	return link_talk(NETLINK_ROUTE, h, NULL, NULL, NULL);
}

static int set_flag(uint32_t ifindex, unsigned int flag, bool on)
{
	struct link_request r;
	struct nlmsghdr *h = begin_change(&r, ifindex);
	struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	ifi->ifi_change = flag;
	ifi->ifi_flags = on ? flag : 0;
	return finish_change(h);
}

int link_set_up(uint32_t ifindex, bool up)
{
	return set_flag(ifindex, IFF_UP, up);
}

int link_set_promisc(uint32_t ifindex, bool on)
{
	return set_flag(ifindex, IFF_PROMISC, on);
}

int link_set_mtu(uint32_t ifindex, uint32_t mtu)
{
	struct link_request r;
	struct nlmsghdr *h = begin_change(&r, ifindex);
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	return finish_change(h);
}

int link_set_mac(uint32_t ifindex, const uint8_t mac[VP_MAC_LEN])
{
	struct link_request r;
	struct nlmsghdr *h = begin_change(&r, ifindex);
	mnl_attr_put(h, IFLA_ADDRESS, VP_MAC_LEN, mac);
	return finish_change(h);
}

int link_set_master(uint32_t ifindex, uint32_t master)
{
	struct link_request r;
	struct nlmsghdr *h = begin_change(&r, ifindex);
	mnl_attr_put_u32(h, IFLA_MASTER, master);
	return finish_change(h);
}

int link_delete(uint32_t ifindex)
{
	struct link_request r;
	return finish_change(link_begin(&r, RTM_DELLINK, NLM_F_ACK, ifindex));
}

/* Errors come without being asked for; only the last deletion asks for an answer, which ends the reading. */
static size_t fill_deletions(char *buf, const uint32_t *ifindex, size_t n)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		struct link_request r;
		struct nlmsghdr *h = link_begin(&r, RTM_DELLINK, i + 1 == n ? NLM_F_ACK : 0, ifindex[i]);
		h->nlmsg_seq = (uint32_t)i + 1;
		memcpy(buf + len, h, h->nlmsg_len);
		len += NLMSG_ALIGN(h->nlmsg_len);
	}
	return len;
}

/* Read answers up to that with number `last`; the first error that is not "gone already" goes to *failed. */
static int read_answers(const struct mnl_socket *s, uint32_t last, int *failed)
{
	_Alignas(struct nlmsghdr) char buf[8192];
	for (;;) {
		ssize_t got = receive(s, buf, sizeof(buf));
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

static int delete_batch(const struct mnl_socket *s, char *buf, const uint32_t *ifindex, size_t n, int *failed)
{
	ssize_t sent = send_all(s, buf, fill_deletions(buf, ifindex, n));
	return sent < 0 ? (int)sent : read_answers(s, (uint32_t)n, failed);
}

int link_delete_many(const uint32_t *ifindex, size_t n)
{
	struct mnl_socket *s = NULL;
	int failed = 0, size = ANSWERS_RCVBUF;
	if (!n)
		return 0;
	char *buf = malloc(DELETE_BATCH * NLMSG_SPACE(sizeof(struct ifinfomsg)));
	int ret = buf ? open_socket(NETLINK_ROUTE, &s) : -ENOMEM;
	if (ret)
		goto out;
	(void)setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	for (size_t i = 0; i < n && !ret; i += DELETE_BATCH)
		ret = delete_batch(s, buf, ifindex + i, n - i < DELETE_BATCH ? n - i : DELETE_BATCH, &failed);
out:
	if (s)
		mnl_socket_close(s);
	free(buf);
	return ret ? ret : failed;
}
