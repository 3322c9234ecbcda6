/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Routes: the host's default ones, and all that lead to a device, which --take-over takes and `down` gives back. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link_kept.h"

static struct nlattr *attribute(const struct nlmsghdr *h, uint16_t type)
{
	return kept_attr(h, sizeof(struct rtmsg), type);
}

static uint32_t table_of(const struct nlmsghdr *h)
{
	const struct rtmsg *rt = mnl_nlmsg_get_payload(h);
	const struct nlattr *a = attribute(h, RTA_TABLE);
	return a ? mnl_attr_get_u32(a) : rt->rtm_table;
}

/* Calls each() for every device that the route leads to. */
static int each_device(const struct nlmsghdr *h, int (*each)(uint32_t ifindex, void *arg), void *arg)
{
	const struct nlattr *one = attribute(h, RTA_OIF), *many = attribute(h, RTA_MULTIPATH);
	int ret = one ? each(mnl_attr_get_u32(one), arg) : 0;
	if (!many)
		return ret;
	const struct rtnexthop *nh = mnl_attr_get_payload(many);
	for (int left = mnl_attr_get_payload_len(many); !ret && RTNH_OK(nh, left); nh = RTNH_NEXT(nh)) {
		left -= RTNH_ALIGN(nh->rtnh_len);
		ret = each((uint32_t)nh->rtnh_ifindex, arg);
	}
	return ret;
}

/* Give every route of the family to cb; *restart as in link_talk. */
static int dump_routes(uint8_t family, uint8_t table, mnl_cb_t cb, void *arg, size_t *restart)
{
	_Alignas(struct nlmsghdr) char buf[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct rtmsg))] = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = RTM_GETROUTE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	struct rtmsg *rt = mnl_nlmsg_put_extra_header(h, sizeof(*rt));
	rt->rtm_family = family;
	rt->rtm_table = table;
	int ret = link_talk(NETLINK_ROUTE, h, cb, arg, restart);
	/* A namespace without any route has no table yet; a kernel without IPv6 has no such family. */
	return ret == -ENOENT || ret == -EAFNOSUPPORT || ret == -EOPNOTSUPP ? 0 : ret;
}

/* ---- which devices have a default route ---- */

/* Numbers of devices, one as often as it was found. */
struct found {
	uint32_t *list;
	size_t n;
};

static int find(uint32_t ifindex, void *arg)
{
	struct found *f = arg;
	uint32_t *more = reallocarray(f->list, f->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	f->list = more;
	f->list[f->n++] = ifindex;
	return 0;
}

static int find_default(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *rt = mnl_nlmsg_get_payload(h);
	if (h->nlmsg_type != RTM_NEWROUTE || rt->rtm_dst_len || rt->rtm_type != RTN_UNICAST ||
	    table_of(h) != RT_TABLE_MAIN || !each_device(h, find, arg))
		return MNL_CB_OK;
	errno = ENOMEM;
	return MNL_CB_ERROR;
}

int link_routed(uint32_t **list, size_t *n)
{
	struct found four = { 0 }, six = { 0 };
	int ret = dump_routes(AF_INET, RT_TABLE_MAIN, find_default, &four, &four.n);
	if (!ret)
		ret = dump_routes(AF_INET6, RT_TABLE_MAIN, find_default, &six, &six.n);
	for (size_t i = 0; !ret && i < six.n; i++)
		ret = find(six.list[i], &four);
	free(six.list);
	if (ret)
		free(four.list);
	*list = ret ? NULL : four.list;
	*n = ret ? 0 : four.n;
	return ret;
}

/* ---- the routes of one device ---- */

struct routes {
	uint32_t ifindex;
	struct kept all;
};

static int is_device(uint32_t ifindex, void *arg)
{
	return ifindex == *(const uint32_t *)arg;
}

static int is_other(uint32_t ifindex, void *arg)
{
	return !is_device(ifindex, arg);
}

/* Does the route lead there, and has not come with an address or the device itself? Then it would not come back. */
static bool is_lost(const struct nlmsghdr *h, uint32_t ifindex)
{
	const struct rtmsg *rt = mnl_nlmsg_get_payload(h);
	return h->nlmsg_type == RTM_NEWROUTE && (rt->rtm_family == AF_INET || rt->rtm_family == AF_INET6) &&
	       rt->rtm_protocol != RTPROT_KERNEL && !(rt->rtm_flags & RTM_F_CLONED) &&
	       each_device(h, is_device, &ifindex);
}

/* What a route is told with but cannot be made with: a nexthop object's parts beside its number. */
static bool is_told_only(const struct nlattr *a, bool object)
{
	switch (mnl_attr_get_type(a)) {
	case RTA_OIF:
	case RTA_GATEWAY:
	case RTA_VIA:
	case RTA_MULTIPATH:
	case RTA_ENCAP:
	case RTA_ENCAP_TYPE:
		return object;
	}
	return false;
}

/* Of the flags the kernel takes only this one back; the others say how it is at the moment. */
static void clean_flags(struct nlmsghdr *h)
{
	struct rtmsg *rt = mnl_nlmsg_get_payload(h);
	struct nlattr *many = attribute(h, RTA_MULTIPATH);
	rt->rtm_flags &= RTNH_F_ONLINK;
	if (!many)
		return;
	struct rtnexthop *nh = mnl_attr_get_payload(many);
	for (int left = mnl_attr_get_payload_len(many); RTNH_OK(nh, left); nh = RTNH_NEXT(nh)) {
		left -= RTNH_ALIGN(nh->rtnh_len);
		nh->rtnh_flags &= RTNH_F_ONLINK;
	}
}

/* The kernel tells in RTA_CACHEINFO when a route ends, and takes it, in seconds, in RTA_EXPIRES. */
static void put_end(struct nlmsghdr *h)
{
	struct nlattr *a = attribute(h, RTA_CACHEINFO);
	struct rta_cacheinfo *life = a ? mnl_attr_get_payload(a) : NULL;
	if (!life || mnl_attr_get_payload_len(a) < sizeof(*life))
		return;
	life->rta_ts = kept_clock();
	if (life->rta_expires > 0)
		mnl_attr_put_u32(h, RTA_EXPIRES, (uint32_t)life->rta_expires / 100);
}

/* The message that makes the route. */
static int keep_route(struct kept *all, const struct nlmsghdr *from)
{
	bool object = attribute(from, RTA_NH_ID) != NULL;
	const struct nlattr *a;
	struct nlmsghdr *h = calloc(1, from->nlmsg_len + MNL_ALIGN(MNL_ATTR_HDRLEN + sizeof(uint32_t)) + MNL_ALIGNTO);
	if (!h)
		return -ENOMEM;
	mnl_nlmsg_put_header(h);
	h->nlmsg_type = RTM_NEWROUTE;
	memcpy(mnl_nlmsg_put_extra_header(h, sizeof(struct rtmsg)), mnl_nlmsg_get_payload(from), sizeof(struct rtmsg));
	mnl_attr_for_each (a, from, sizeof(struct rtmsg))
		if (!is_told_only(a, object))
			mnl_attr_put(h, a->nla_type, mnl_attr_get_payload_len(a), mnl_attr_get_payload(a));
	clean_flags(h);
	put_end(h);
	int ret = kept_add(all, h);
	free(h);
	return ret;
}

static int add_route(const struct nlmsghdr *h, void *arg)
{
	struct routes *found = arg;
	if (!is_lost(h, found->ifindex) || !keep_route(&found->all, h))
		return MNL_CB_OK;
	errno = ENOMEM;
	return MNL_CB_ERROR;
}

/* Those of all tables; free(all->buf), after an error too. */
static int read_routes(uint32_t ifindex, struct kept *all)
{
	const uint8_t families[] = { AF_INET, AF_INET6 };
	struct nlmsghdr *h;
	int ret = 0;
	*all = (struct kept){ 0 };
	for (size_t i = 0; i < sizeof(families) && !ret; i++) {
		struct routes found = { .ifindex = ifindex };
		size_t at = 0;
		ret = dump_routes(families[i], RT_TABLE_UNSPEC, add_route, &found, &found.all.len);
		while (!ret && (h = kept_next(&found.all, &at)))
			ret = kept_add(all, h);
		free(found.all.buf);
	}
	return ret;
}

static void route_name(const struct nlmsghdr *h, char out[KEPT_NAME])
{
	const struct rtmsg *rt = mnl_nlmsg_get_payload(h);
	const struct nlattr *dst = attribute(h, RTA_DST);
	char one[INET6_ADDRSTRLEN] = "default";
	if (!dst || !inet_ntop(rt->rtm_family, mnl_attr_get_payload(dst), one, sizeof(one)))
		snprintf(out, KEPT_NAME, "default");
	else
		snprintf(out, KEPT_NAME, "%s/%u", one, rt->rtm_dst_len);
}

int link_routes(uint32_t ifindex, char **text)
{
	struct kept all;
	int ret = read_routes(ifindex, &all);
	if (!ret)
		ret = kept_text(&all, route_name, text);
	free(all.buf);
	return ret;
}

/* A route through others has to be there before: it is their gateway that must be reached. */
static bool goes_through(const struct nlmsghdr *h)
{
	return attribute(h, RTA_GATEWAY) || attribute(h, RTA_VIA) || attribute(h, RTA_MULTIPATH) ||
	       attribute(h, RTA_NH_ID);
}

static int make_route(struct nlmsghdr *h)
{
	const struct rtmsg *rt = mnl_nlmsg_get_payload(h);
	const struct nlattr *told = attribute(h, RTA_CACHEINFO);
	struct nlattr *end = attribute(h, RTA_EXPIRES);
	if (end && told) {
		const struct rta_cacheinfo *life = mnl_attr_get_payload(told);
		uint32_t left = kept_left(mnl_attr_get_u32(end), life->rta_ts);
		if (!left)
			return 0;
		memcpy(mnl_attr_get_payload(end), &left, sizeof(left));
	}
	/* IPv4 has several of a prefix and a metric one behind the other; IPv6 would make them one with more hops. */
	uint16_t how = rt->rtm_family == AF_INET ? NLM_F_APPEND : NLM_F_EXCL;
	return kept_send(h, RTM_NEWROUTE, NLM_F_CREATE | how, -EEXIST);
}

/* One that has another device's way beside it stays; IPv4 passes over this way when the address goes. */
static int drop_routes(const struct kept *all, uint32_t ifindex)
{
	struct nlmsghdr *h;
	size_t at = 0;
	int ret = 0;
	while (!ret && (h = kept_next(all, &at)))
		ret = each_device(h, is_other, &ifindex) ? 0 : kept_send(h, RTM_DELROUTE, 0, -ESRCH);
	return ret;
}

int link_add_routes(uint32_t ifindex, const char *text)
{
	struct kept all;
	struct nlmsghdr *h;
	int ret = kept_read(text, sizeof(struct rtmsg), &all);
	/* Some of them are there if a run died on the way: then the order of equals would be another. */
	if (!ret)
		ret = drop_routes(&all, ifindex);
	for (int round = 0; round < 2; round++) {
		size_t at = 0;
		while (!ret && (h = kept_next(&all, &at)))
			ret = goes_through(h) == round ? make_route(h) : 0;
	}
	free(all.buf);
	return ret;
}

int link_flush_routes(uint32_t ifindex)
{
	struct kept all;
	int ret = read_routes(ifindex, &all);
	if (!ret)
		ret = drop_routes(&all, ifindex);
	free(all.buf);
	return ret;
}
