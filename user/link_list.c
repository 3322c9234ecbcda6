/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading devices: one netlink message becomes one struct link_info. */
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <linux/if.h>
#include <stdlib.h>
#include <string.h>

#include "link_priv.h"

/* Copy an attribute's text; what does not fit is cut off. */
static void copy_text(char *to, size_t size, const struct nlattr *a)
{
	size_t n = strnlen(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
	if (n >= size)
		n = size - 1;
	memcpy(to, mnl_attr_get_payload(a), n);
	to[n] = 0;
}

static uint32_t get_u32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= sizeof(uint32_t) ? mnl_attr_get_u32(a) : 0;
}

static uint8_t get_u8(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) ? mnl_attr_get_u8(a) : 0;
}

/* tun and tap are one kind; sysfs would tell them apart, but may show another namespace's devices. */
static void read_tun(struct link_info *l, const struct nlattr *data)
{
	const struct nlattr *a;
	mnl_attr_for_each_nested (a, data) {
		uint16_t type = mnl_attr_get_type(a);
		if (type == IFLA_TUN_TYPE && get_u8(a) == IFF_TAP)
			l->type = LINK_TAP;
		else if (type == IFLA_TUN_MULTI_QUEUE)
			l->tap_multi = get_u8(a);
		else if (type == IFLA_TUN_VNET_HDR)
			l->tap_vnet = get_u8(a);
		else if (type == IFLA_TUN_NUM_QUEUES)
			l->tap_queues = get_u32(a);
	}
}

static void read_kind(struct link_info *l, const struct nlattr *linkinfo)
{
	const struct nlattr *a, *data = NULL;
	mnl_attr_for_each_nested (a, linkinfo) {
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			copy_text(l->kind, sizeof(l->kind), a);
		else if (mnl_attr_get_type(a) == IFLA_INFO_DATA)
			data = a;
	}
	if (!strcmp(l->kind, "veth"))
		l->type = LINK_VETH;
	else if (!strcmp(l->kind, "tun") && data)
		read_tun(l, data);
}

/* With programs of two modes on it a device has no IFLA_XDP_PROG_ID: then any of them, for "there is one". */
static void read_xdp(struct link_info *l, const struct nlattr *xdp)
{
	const struct nlattr *a;
	uint32_t other = 0;
	mnl_attr_for_each_nested (a, xdp) {
		uint16_t type = mnl_attr_get_type(a);
		if (type == IFLA_XDP_PROG_ID)
			l->xdp_prog = get_u32(a);
		else if (type == IFLA_XDP_DRV_PROG_ID || type == IFLA_XDP_SKB_PROG_ID || type == IFLA_XDP_HW_PROG_ID)
			other = get_u32(a);
		if (type == IFLA_XDP_SKB_PROG_ID)
			l->xdp_generic = true;
	}
	if (!l->xdp_prog)
		l->xdp_prog = other;
}

static void read_stats(struct link_info *l, const struct nlattr *a)
{
	struct rtnl_link_stats64 s = { 0 };
	size_t n = mnl_attr_get_payload_len(a);
	/* The structure grows with the kernel and is not always aligned. */
	memcpy(&s, mnl_attr_get_payload(a), n < sizeof(s) ? n : sizeof(s));
	l->tx_lost = s.tx_dropped + s.tx_errors;
}

/* Attributes that are one number. */
static void read_number(struct link_info *l, const struct nlattr *a)
{
	switch (mnl_attr_get_type(a)) {
	case IFLA_MTU:
		l->mtu = get_u32(a);
		break;
	case IFLA_NUM_RX_QUEUES:
		l->rx_queues = get_u32(a);
		break;
	case IFLA_NUM_TX_QUEUES:
		l->tx_queues = get_u32(a);
		break;
	case IFLA_MASTER:
		l->master = get_u32(a);
		break;
	case IFLA_GROUP:
		l->group = get_u32(a);
		break;
	case IFLA_LINK:
		l->peer = get_u32(a);
		break;
	case IFLA_PROMISCUITY:
		l->promiscuity = get_u32(a);
		break;
	}
}

static void read_attribute(struct link_info *l, const struct nlattr *a, bool *has_parent)
{
	switch (mnl_attr_get_type(a)) {
	case IFLA_IFNAME:
		copy_text(l->name, sizeof(l->name), a);
		break;
	case IFLA_IFALIAS:
		copy_text(l->alias, sizeof(l->alias), a);
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(a) == VP_MAC_LEN)
			memcpy(l->mac, mnl_attr_get_payload(a), VP_MAC_LEN);
		break;
	case IFLA_LINKINFO:
		read_kind(l, a);
		break;
	case IFLA_XDP:
		read_xdp(l, a);
		break;
	case IFLA_STATS64:
		read_stats(l, a);
		break;
	case IFLA_LINK_NETNSID:
		l->peer_here = false;
		break;
	case IFLA_PARENT_DEV_NAME:
		*has_parent = true;
		break;
	default:
		read_number(l, a);
	}
}

/* Kinds that take frames from the device below them by an rx handler, which comes after tc. */
static bool is_stacked(const char *kind)
{
	static const char *const kinds[] = { "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap" };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kind, kinds[i]))
			return true;
	return false;
}

void link_parse(struct link_info *l, const struct nlmsghdr *h)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	bool has_parent = false;
	*l = (struct link_info){ .ifindex = (uint32_t)ifi->ifi_index, .peer_here = true };
	l->ethernet = ifi->ifi_type == ARPHRD_ETHER;
	l->up = ifi->ifi_flags & IFF_UP;
	l->running = ifi->ifi_flags & IFF_LOWER_UP;
	mnl_attr_for_each (a, h, sizeof(*ifi))
		read_attribute(l, a, &has_parent);
	if (!l->kind[0] && has_parent)
		l->type = LINK_PHYSICAL;
	/* On a VLAN or MACVLAN device IFLA_LINK is what it sits on; of a tunnel, what it happens to send through. */
	l->lower = l->peer_here && is_stacked(l->kind) ? l->peer : 0;
	if (l->type != LINK_VETH)
		l->peer = 0;
	l->peer_here = l->peer_here && l->peer;
}

struct list {
	struct link_info *links;
	size_t n, room;
};

static int add_link(const struct nlmsghdr *h, void *arg)
{
	struct list *list = arg;
	if (h->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	if (list->n == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		struct link_info *more = reallocarray(list->links, room, sizeof(*more));
		if (!more) {
			errno = ENOMEM;
			return MNL_CB_ERROR;
		}
		list->links = more;
		list->room = room;
	}
	link_parse(&list->links[list->n++], h);
	return MNL_CB_OK;
}

static int by_ifindex(const void *a, const void *b)
{
	uint32_t x = ((const struct link_info *)a)->ifindex, y = ((const struct link_info *)b)->ifindex;
	return (x > y) - (x < y);
}

int link_list(struct link_info **out, size_t *n)
{
	struct list list = { 0 };
	struct link_request r;
	struct nlmsghdr *h = link_begin(&r, RTM_GETLINK, NLM_F_DUMP, 0);
	int ret = link_talk(NETLINK_ROUTE, h, add_link, &list, &list.n);
	if (!ret && list.n) {
		qsort(list.links, list.n, sizeof(*list.links), by_ifindex);
		ret = link_read_xdp_features(list.links, list.n);
	}
	if (ret) {
		free(list.links);
		return ret;
	}
	*out = list.links;
	*n = list.n;
	return 0;
}

static int keep_link(const struct nlmsghdr *h, void *arg)
{
	if (h->nlmsg_type == RTM_NEWLINK)
		link_parse(arg, h);
	return MNL_CB_OK;
}

static int get_one(struct nlmsghdr *h, struct link_info *out)
{
	struct link_info l = { 0 };
	int ret = link_talk(NETLINK_ROUTE, h, keep_link, &l, NULL);
	if (!ret)
		ret = l.ifindex ? link_read_xdp_features(&l, 1) : -ENODEV;
	if (!ret)
		*out = l;
	return ret;
}

int link_get(const char *name, struct link_info *out)
{
	struct link_request r;
	if (!name[0] || strlen(name) >= VP_DEV_LEN)
		return -ENODEV;
	struct nlmsghdr *h = link_begin(&r, RTM_GETLINK, NLM_F_ACK, 0);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return get_one(h, out);
}

int link_get_index(uint32_t ifindex, struct link_info *out)
{
	struct link_request r;
	if (!ifindex || ifindex > INT32_MAX)
		return -ENODEV;
	return get_one(link_begin(&r, RTM_GETLINK, NLM_F_ACK, ifindex), out);
}

static int keep_flags(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	if (h->nlmsg_type == RTM_NEWLINK)
		*(unsigned int *)arg = ifi->ifi_flags;
	return MNL_CB_OK;
}

int link_get_promisc(uint32_t ifindex, bool *on)
{
	struct link_request r;
	unsigned int flags = 0;
	if (!ifindex)
		return -ENODEV;
	/* The kernel shows the flag as a user set it; what packet sockets and bridges add shows in promiscuity only. */
	int ret = link_talk(NETLINK_ROUTE, link_begin(&r, RTM_GETLINK, NLM_F_ACK, ifindex), keep_flags, &flags, NULL);
	if (!ret)
		*on = flags & IFF_PROMISC;
	return ret;
}

int link_get_xdp(uint32_t ifindex, uint32_t *prog)
{
	struct link_request r;
	struct link_info l = { 0 };
	int ret = link_talk(NETLINK_ROUTE, link_begin(&r, RTM_GETLINK, NLM_F_ACK, ifindex), keep_link, &l, NULL);
	*prog = l.xdp_prog;
	return ret;
}

int link_veth_peer(const struct link_info *veth, struct link_info *out)
{
	struct link_info l;
	if (veth->type != LINK_VETH || !veth->peer_here)
		return -ENODEV;
	int ret = link_get_index(veth->peer, &l);
	if (ret)
		return ret;
	if (l.type != LINK_VETH || !l.peer_here || l.peer != veth->ifindex)
		return -ENODEV;
	*out = l;
	return 0;
}
