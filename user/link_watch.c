/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Listening: what the kernel says of itself when a device of this namespace comes, goes or changes.
 *
 * rtnetlink tells nearly all of it.  Two things it does not: that a device takes XDP frames now (its peer has switched
 * GRO on), which is the netdev family's, and new queues, which are the ethtool family's.  Kernels that lack one of them
 * do not tell that; nobody is told of queues that are changed by ioctl.
 */
#include <errno.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <stdlib.h>
#include <string.h>

#include "link_priv.h"

/* A guest that starts causes ten messages of a few KiB each; what does not fit is lost, and the kernel says so. */
#define ROOM_BYTES    (1 << 20)
#define MESSAGE_BYTES 65536

enum {
	BUS_ROUTE,
	BUS_GENERIC,
	BUS_COUNT
};

struct link_watch {
	struct mnl_socket *bus[BUS_COUNT];
	uint16_t netdev, ethtool; /* families, 0 = this kernel has none */
	char buf[MESSAGE_BYTES];
};

/* linux/netdev.h, which the headers of Debian 12 lack. */
enum {
	NETDEV_ADD_NTF = 2,
	NETDEV_CHANGE_NTF = 4,
	NETDEV_A_IFINDEX = 1
};

struct family {
	const char *group;
	uint16_t id;
	uint32_t group_id;
};

static void read_group(const struct nlattr *group, struct family *out)
{
	const struct nlattr *a;
	const char *name = "";
	uint32_t id = 0;
	mnl_attr_for_each_nested (a, group) {
		if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_NAME)
			name = mnl_attr_get_str(a);
		else if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_ID)
			id = mnl_attr_get_u32(a);
	}
	if (!strcmp(name, out->group))
		out->group_id = id;
}

static int read_family(const struct nlmsghdr *h, void *arg)
{
	struct family *out = arg;
	const struct nlattr *a, *group;
	mnl_attr_for_each (a, h, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID)
			out->id = mnl_attr_get_u16(a);
		if (mnl_attr_get_type(a) != CTRL_ATTR_MCAST_GROUPS)
			continue;
		mnl_attr_for_each_nested (group, a)
			read_group(group, out);
	}
	return MNL_CB_OK;
}

/* Hear a family's notifications; 0 = there are none. */
static uint16_t join(const struct mnl_socket *s, const char *name, const char *group)
{
	struct family f = { .group = group };
	struct link_request r = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(r.buf);
	h->nlmsg_type = GENL_ID_CTRL;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	struct genlmsghdr *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->cmd = CTRL_CMD_GETFAMILY;
	g->version = 1;
	mnl_attr_put_strz(h, CTRL_ATTR_FAMILY_NAME, name);
	if (link_talk(NETLINK_GENERIC, h, read_family, &f, NULL) || !f.group_id ||
	    mnl_socket_setsockopt(s, NETLINK_ADD_MEMBERSHIP, &f.group_id, sizeof(f.group_id)) < 0)
		return 0;
	return f.id;
}

static int open_bus(int bus, struct mnl_socket **out)
{
	int room = ROOM_BYTES;
	int ret = link_open_socket(bus, out);
	if (!ret && setsockopt(mnl_socket_get_fd(*out), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		(void)setsockopt(mnl_socket_get_fd(*out), SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return ret;
}

int link_watch_open(struct link_watch **out)
{
	struct link_watch *w = calloc(1, sizeof(*w));
	unsigned int group = RTNLGRP_LINK;
	if (!w)
		return -ENOMEM;
	int ret = open_bus(NETLINK_ROUTE, &w->bus[BUS_ROUTE]);
	if (!ret && mnl_socket_setsockopt(w->bus[BUS_ROUTE], NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		ret = -errno;
	if (!ret)
		ret = open_bus(NETLINK_GENERIC, &w->bus[BUS_GENERIC]);
	if (ret) {
		link_watch_close(w);
		return ret;
	}
	w->netdev = join(w->bus[BUS_GENERIC], "netdev", "mgmt");
	w->ethtool = join(w->bus[BUS_GENERIC], "ethtool", "monitor");
	*out = w;
	return 0;
}

void link_watch_close(struct link_watch *w)
{
	for (int i = 0; w && i < BUS_COUNT; i++)
		if (w->bus[i])
			mnl_socket_close(w->bus[i]);
	free(w);
}

void link_watch_fds(const struct link_watch *w, int fds[LINK_WATCH_FDS])
{
	_Static_assert(LINK_WATCH_FDS == (int)BUS_COUNT, "one descriptor for each bus");
	for (int i = 0; i < BUS_COUNT; i++)
		fds[i] = mnl_socket_get_fd(w->bus[i]);
}

struct reader {
	const struct link_watch *w;
	int bus;
	link_see see;
	void *ctx;
};

/*
 * Bridges send messages of their own (AF_BRIDGE): their RTM_DELLINK means that a device has left the bridge.  Wireless
 * devices send some without an MTU, which are about nothing that concerns us.
 */
static void see_route(const struct reader *r, const struct nlmsghdr *h)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	struct link_event e = { .kind = h->nlmsg_type == RTM_DELLINK ? LINK_GONE : LINK_CHANGED };
	if ((h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK) || ifi->ifi_family != AF_UNSPEC)
		return;
	link_parse(&e.link, h);
	if (e.link.mtu)
		r->see(r->ctx, &e);
}

static uint32_t ethtool_index(const struct nlmsghdr *h)
{
	const struct nlattr *a, *inner;
	mnl_attr_for_each (a, h, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) != ETHTOOL_A_CHANNELS_HEADER)
			continue;
		mnl_attr_for_each_nested (inner, a)
			if (mnl_attr_get_type(inner) == ETHTOOL_A_HEADER_DEV_INDEX)
				return mnl_attr_get_u32(inner);
	}
	return 0;
}

static uint32_t netdev_index(const struct nlmsghdr *h)
{
	const struct nlattr *a;
	mnl_attr_for_each (a, h, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == NETDEV_A_IFINDEX)
			return mnl_attr_get_u32(a);
	return 0;
}

static void see_generic(const struct reader *r, const struct nlmsghdr *h)
{
	const struct genlmsghdr *g = mnl_nlmsg_get_payload(h);
	struct link_event e = { .kind = LINK_ABILITY };
	if (h->nlmsg_type == r->w->netdev && (g->cmd == NETDEV_ADD_NTF || g->cmd == NETDEV_CHANGE_NTF))
		e.link.ifindex = netdev_index(h);
	else if (h->nlmsg_type == r->w->ethtool && g->cmd == ETHTOOL_MSG_CHANNELS_NTF)
		e.link.ifindex = ethtool_index(h);
	if (e.link.ifindex)
		r->see(r->ctx, &e);
}

static int see_message(const struct nlmsghdr *h, void *arg)
{
	const struct reader *r = arg;
	if (r->bus == BUS_ROUTE)
		see_route(r, h);
	else
		see_generic(r, h);
	return MNL_CB_OK;
}

/* 0: nothing more is waiting. */
static int read_bus(struct link_watch *w, struct reader *r)
{
	for (;;) {
		ssize_t n = recv(mnl_socket_get_fd(w->bus[r->bus]), w->buf, sizeof(w->buf), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (mnl_cb_run(w->buf, (size_t)n, 0, 0, see_message, r) < 0)
			return -errno;
	}
}

int link_watch_read(struct link_watch *w, link_see see, void *ctx)
{
	struct reader r = { w, BUS_ROUTE, see, ctx };
	int ret = 0;
	for (r.bus = 0; r.bus < BUS_COUNT; r.bus++) {
		int err = read_bus(w, &r);
		/* What is still in the socket is of no use: what was lost stood between it and what came before. */
		while (err == -ENOBUFS) {
			ret = err;
			err = read_bus(w, &r);
		}
		if (err)
			return err;
	}
	return ret;
}
