/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The netlink exchange itself, and the requests that change one device. */
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

int link_open_socket(int bus, struct mnl_socket **out)
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

ssize_t link_receive(const struct mnl_socket *s, void *buf, size_t size)
{
	ssize_t n;
	do
		n = mnl_socket_recvfrom(s, buf, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t link_send(const struct mnl_socket *s, const void *buf, size_t size)
{
	ssize_t n;
	do
		n = mnl_socket_sendto(s, buf, size);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == ENODEV ? -EIO : -errno; /* the exchange failed: no answer said that a device is gone */
}

static int talk_once(int bus, struct nlmsghdr *request, mnl_cb_t cb, void *arg)
{
	struct mnl_socket *s = NULL;
	int ret = link_open_socket(bus, &s);
	if (ret)
		return ret;
	/* Only then do filters in a dump's header count; kernels before 4.20 have none, and so callbacks filter too. */
	int one = 1;
	(void)mnl_socket_setsockopt(s, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	char *buf = malloc(ANSWER_BYTES);
	if (!buf) {
		mnl_socket_close(s);
		return -ENOMEM;
	}
	request->nlmsg_seq = (uint32_t)time(NULL);
	ssize_t n = link_send(s, request, request->nlmsg_len);
	ret = n < 0 ? (int)n : MNL_CB_OK;
	while (ret > 0) {
		n = link_receive(s, buf, ANSWER_BYTES);
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
