/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses and default routes: what the host would lose if a device became an uplink. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link_priv.h"

struct address {
	struct ifaddrmsg head;
	uint8_t local[16], far[16]; /* far differs from local on a point-to-point address */
};

struct addresses {
	uint32_t ifindex;
	struct address *list;
	size_t n;
};

static size_t address_bytes(int family)
{
	return family == AF_INET ? 4 : 16;
}

/* Fills `out`; false: not an address of this device (0: of any) that counts. */
static bool parse_address(struct address *out, const struct nlmsghdr *h, uint32_t ifindex)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(h);
	const struct nlattr *a, *local = NULL, *far = NULL;
	if (h->nlmsg_type != RTM_NEWADDR || (ifindex && ifa->ifa_index != ifindex))
		return false;
	if (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6)
		return false;
	size_t size = address_bytes(ifa->ifa_family);
	mnl_attr_for_each (a, h, sizeof(*ifa)) {
		if (mnl_attr_get_payload_len(a) != size)
			continue;
		if (mnl_attr_get_type(a) == IFA_LOCAL)
			local = a;
		else if (mnl_attr_get_type(a) == IFA_ADDRESS)
			far = a;
	}
	if (!local && !far)
		return false;
	*out = (struct address){ .head = *ifa };
	memcpy(out->local, mnl_attr_get_payload(local ? local : far), size);
	memcpy(out->far, mnl_attr_get_payload(far ? far : local), size);
	/* fe80::/10 comes by itself with every device that goes up. */
	return ifa->ifa_family == AF_INET || out->local[0] != 0xfe || (out->local[1] & 0xc0) != 0x80;
}

static int add_address(const struct nlmsghdr *h, void *arg)
{
	struct addresses *all = arg;
	struct address one;
	if (!parse_address(&one, h, all->ifindex))
		return MNL_CB_OK;
	struct address *more = reallocarray(all->list, all->n + 1, sizeof(*more));
	if (!more) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	all->list = more;
	all->list[all->n++] = one;
	return MNL_CB_OK;
}

/* The device's addresses (0: all there are), link-local IPv6 left out; free(all->list), after an error too. */
static int read_addresses(uint32_t ifindex, struct addresses *all)
{
	_Alignas(struct nlmsghdr) char buf[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct ifaddrmsg))] = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	*all = (struct addresses){ .ifindex = ifindex };
	h->nlmsg_type = RTM_GETADDR;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(h, sizeof(*ifa));
	ifa->ifa_family = AF_UNSPEC;
	return link_talk(NETLINK_ROUTE, h, add_address, all, &all->n);
}

int link_has_address(uint32_t ifindex, bool *out)
{
	struct addresses all;
	int ret = read_addresses(ifindex, &all);
	if (!ret)
		*out = all.n > 0;
	free(all.list);
	return ret;
}

int link_addresses(uint32_t ifindex, char **text)
{
	struct addresses all;
	char *buf = NULL;
	size_t size = 0;
	int ret = read_addresses(ifindex, &all);
	FILE *f = ret ? NULL : open_memstream(&buf, &size);
	if (!ret && !f)
		ret = -ENOMEM;
	for (size_t i = 0; !ret && i < all.n; i++) {
		char one[INET6_ADDRSTRLEN];
		inet_ntop(all.list[i].head.ifa_family, all.list[i].local, one, sizeof(one));
		fprintf(f, "%s%s/%u", i ? "," : "", one, all.list[i].head.ifa_prefixlen);
	}
	if (f && (fclose(f) || !buf))
		ret = -ENOMEM;
	free(all.list);
	if (ret)
		free(buf);
	else
		*text = buf;
	return ret;
}

/* RTM_NEWADDR or RTM_DELADDR with these flags beside the usual ones. */
static int change_address(uint16_t type, uint16_t flags, const struct address *a)
{
	struct link_request r = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(r.buf);
	size_t size = address_bytes(a->head.ifa_family);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(h, sizeof(*ifa));
	ifa->ifa_family = a->head.ifa_family;
	ifa->ifa_prefixlen = a->head.ifa_prefixlen;
	ifa->ifa_index = a->head.ifa_index;
	mnl_attr_put(h, IFA_LOCAL, size, a->local);
	mnl_attr_put(h, IFA_ADDRESS, size, a->far);
	return link_talk(NETLINK_ROUTE, h, NULL, NULL, NULL);
}

static int delete_address(const struct address *a)
{
	int ret = change_address(RTM_DELADDR, 0, a);
	/* The last primary IPv4 address of a subnet may have taken its secondaries along. */
	return ret == -EADDRNOTAVAIL ? 0 : ret;
}

/* "a/len" as link_addresses() writes it. */
static int read_address(uint32_t ifindex, char *text, struct address *out)
{
	char *slash = strchr(text, '/');
	if (!slash)
		return -EINVAL;
	*slash = '\0';
	*out = (struct address){ .head = { .ifa_index = ifindex } };
	out->head.ifa_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	out->head.ifa_prefixlen = (uint8_t)strtoul(slash + 1, NULL, 10);
	if (inet_pton(out->head.ifa_family, text, out->local) != 1)
		return -EINVAL;
	memcpy(out->far, out->local, sizeof(out->far));
	return 0;
}

int link_add_addresses(uint32_t ifindex, const char *text)
{
	char *copy = strdup(text), *save = NULL;
	int ret = copy ? 0 : -ENOMEM;
	for (char *one = copy ? strtok_r(copy, ",", &save) : NULL; one && !ret; one = strtok_r(NULL, ",", &save)) {
		struct address a;
		ret = read_address(ifindex, one, &a);
		if (!ret)
			ret = change_address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &a);
		if (ret == -EEXIST)
			ret = 0;
	}
	free(copy);
	return ret;
}

int link_flush_addresses(uint32_t ifindex)
{
	struct addresses all;
	int ret = read_addresses(ifindex, &all);
	for (size_t i = 0; !ret && i < all.n; i++)
		ret = delete_address(&all.list[i]);
	free(all.list);
	return ret;
}

/* Numbers of devices, one as often as it was found. */
struct found {
	uint32_t *list;
	size_t n;
	int err;
};

static void find(struct found *f, uint32_t ifindex)
{
	uint32_t *more = reallocarray(f->list, f->n + 1, sizeof(*more));
	if (!more) {
		f->err = -ENOMEM;
		return;
	}
	f->list = more;
	f->list[f->n++] = ifindex;
}

static int give_found(struct found *f, int ret, uint32_t **list, size_t *n)
{
	ret = ret ? ret : f->err;
	if (ret)
		free(f->list);
	*list = ret ? NULL : f->list;
	*n = ret ? 0 : f->n;
	return ret;
}

static void find_multipath(struct found *f, const struct nlattr *a)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(a);
	int left = mnl_attr_get_payload_len(a);
	while (RTNH_OK(nh, left)) {
		find(f, (uint32_t)nh->rtnh_ifindex);
		left -= RTNH_ALIGN(nh->rtnh_len);
		nh = RTNH_NEXT(nh);
	}
}

static uint32_t route_table(const struct nlmsghdr *h, const struct rtmsg *rt)
{
	const struct nlattr *a;
	uint32_t table = rt->rtm_table;
	mnl_attr_for_each (a, h, sizeof(*rt))
		if (mnl_attr_get_type(a) == RTA_TABLE)
			table = mnl_attr_get_u32(a);
	return table;
}

static int search_route(const struct nlmsghdr *h, void *arg)
{
	struct found *f = arg;
	const struct rtmsg *rt = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	if (h->nlmsg_type != RTM_NEWROUTE || rt->rtm_dst_len || rt->rtm_type != RTN_UNICAST ||
	    route_table(h, rt) != RT_TABLE_MAIN)
		return MNL_CB_OK;
	mnl_attr_for_each (a, h, sizeof(*rt)) {
		if (mnl_attr_get_type(a) == RTA_OIF)
			find(f, mnl_attr_get_u32(a));
		else if (mnl_attr_get_type(a) == RTA_MULTIPATH)
			find_multipath(f, a);
	}
	return MNL_CB_OK;
}

static int search_family(uint8_t family, struct found *f)
{
	_Alignas(struct nlmsghdr) char buf[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct rtmsg))] = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = RTM_GETROUTE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	struct rtmsg *rt = mnl_nlmsg_put_extra_header(h, sizeof(*rt));
	rt->rtm_family = family;
	rt->rtm_table = RT_TABLE_MAIN;
	int ret = link_talk(NETLINK_ROUTE, h, search_route, f, &f->n);
	/* A namespace without any route has no table yet; a kernel without IPv6 has no such family. */
	return ret == -ENOENT || ret == -EAFNOSUPPORT || ret == -EOPNOTSUPP ? 0 : ret;
}

int link_routed(uint32_t **list, size_t *n)
{
	struct found four = { 0 }, six = { 0 };
	int ret = search_family(AF_INET, &four);
	if (!ret)
		ret = search_family(AF_INET6, &six);
	for (size_t i = 0; !ret && i < six.n; i++)
		find(&four, six.list[i]);
	free(six.list);
	return give_found(&four, ret ? ret : six.err, list, n);
}

int link_addressed(uint32_t **list, size_t *n)
{
	struct addresses all;
	struct found f = { 0 };
	int ret = read_addresses(0, &all);
	for (size_t i = 0; !ret && i < all.n; i++)
		find(&f, all.list[i].head.ifa_index);
	free(all.list);
	return give_found(&f, ret, list, n);
}
