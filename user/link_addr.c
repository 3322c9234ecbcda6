/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses: what the host would lose if a device became a port, what --take-over takes and `down` gives back. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link_kept.h"

static size_t address_bytes(int family)
{
	return family == AF_INET ? 4 : 16;
}

/* The host's own address in a message about one; NULL: there is none. */
static const uint8_t *own_address(const struct nlmsghdr *h)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(h);
	const struct nlattr *a, *local = NULL, *far = NULL;
	mnl_attr_for_each (a, h, sizeof(*ifa)) {
		if (mnl_attr_get_payload_len(a) != address_bytes(ifa->ifa_family))
			continue;
		if (mnl_attr_get_type(a) == IFA_LOCAL)
			local = a;
		else if (mnl_attr_get_type(a) == IFA_ADDRESS)
			far = a;
	}
	/* They differ where the link is point-to-point; IPv6 names but the one if not. */
	return local || far ? mnl_attr_get_payload(local ? local : far) : NULL;
}

/* Is it an address of this device (0: of any) that counts? */
static bool counts(const struct nlmsghdr *h, uint32_t ifindex)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(h);
	if (h->nlmsg_type != RTM_NEWADDR || (ifindex && ifa->ifa_index != ifindex))
		return false;
	if (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6)
		return false;
	const uint8_t *own = own_address(h);
	/* fe80::/10 comes by itself with every device that goes up. */
	return own && (ifa->ifa_family == AF_INET || own[0] != 0xfe || (own[1] & 0xc0) != 0x80);
}

struct addresses {
	uint32_t ifindex;
	struct kept all;
};

/* NULL: it has no end. */
static struct ifa_cacheinfo *lifetime(const struct nlmsghdr *h)
{
	const struct nlattr *a = kept_attr(h, sizeof(struct ifaddrmsg), IFA_CACHEINFO);
	return a && mnl_attr_get_payload_len(a) >= sizeof(struct ifa_cacheinfo) ? mnl_attr_get_payload(a) : NULL;
}

static int add_address(const struct nlmsghdr *h, void *arg)
{
	struct addresses *found = arg;
	if (!counts(h, found->ifindex))
		return MNL_CB_OK;
	size_t at = found->all.len;
	if (kept_add(&found->all, h)) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	/* What is left of its life is left now; the kernel sets both stamps by itself. */
	struct ifa_cacheinfo *life = lifetime(kept_next(&found->all, &at));
	if (life)
		life->cstamp = life->tstamp = kept_clock();
	return MNL_CB_OK;
}

/* The device's addresses (0: all there are), link-local IPv6 left out; free(all->buf), after an error too. */
static int read_addresses(uint32_t ifindex, struct kept *all)
{
	_Alignas(struct nlmsghdr) char buf[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct ifaddrmsg))] = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct addresses found = { .ifindex = ifindex };
	h->nlmsg_type = RTM_GETADDR;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(h, sizeof(*ifa));
	ifa->ifa_family = AF_UNSPEC;
	int ret = link_talk(NETLINK_ROUTE, h, add_address, &found, &found.all.len);
	*all = found.all;
	return ret;
}

int link_has_address(uint32_t ifindex, bool *out)
{
	struct kept all;
	int ret = read_addresses(ifindex, &all);
	if (!ret)
		*out = all.len > 0;
	free(all.buf);
	return ret;
}

static void address_name(const struct nlmsghdr *h, char out[KEPT_NAME])
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(h);
	char one[INET6_ADDRSTRLEN];
	inet_ntop(ifa->ifa_family, own_address(h), one, sizeof(one));
	snprintf(out, KEPT_NAME, "%s/%u", one, ifa->ifa_prefixlen);
}

int link_addresses(uint32_t ifindex, char **text)
{
	struct kept all;
	int ret = read_addresses(ifindex, &all);
	if (!ret)
		ret = kept_text(&all, address_name, text);
	free(all.buf);
	return ret;
}

static int make_address(struct nlmsghdr *h, uint32_t ifindex)
{
	struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(h);
	struct ifa_cacheinfo *life = lifetime(h);
	if (life) {
		life->ifa_prefered = kept_left(life->ifa_prefered, life->tstamp);
		life->ifa_valid = kept_left(life->ifa_valid, life->tstamp);
		if (!life->ifa_valid)
			return 0;
	}
	ifa->ifa_index = ifindex;
	return kept_send(h, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, -EEXIST);
}

/* "a/len", which is all that vpeer noted before it kept the kernel's messages. */
static int read_name(char *text, struct kept *all)
{
	struct link_request r = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(r.buf);
	char *slash = strchr(text, '/');
	uint8_t own[16];
	if (!slash)
		return -EBADMSG;
	*slash = '\0';
	h->nlmsg_type = RTM_NEWADDR;
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(h, sizeof(*ifa));
	ifa->ifa_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	ifa->ifa_prefixlen = (uint8_t)strtoul(slash + 1, NULL, 10);
	if (inet_pton(ifa->ifa_family, text, own) != 1)
		return -EBADMSG;
	mnl_attr_put(h, IFA_LOCAL, address_bytes(ifa->ifa_family), own);
	mnl_attr_put(h, IFA_ADDRESS, address_bytes(ifa->ifa_family), own);
	return kept_add(all, h);
}

static int read_names(const char *text, struct kept *all)
{
	char *copy = strdup(text), *save = NULL;
	int ret = copy ? 0 : -ENOMEM;
	*all = (struct kept){ 0 };
	for (char *one = copy ? strtok_r(copy, ",", &save) : NULL; one && !ret; one = strtok_r(NULL, ",", &save))
		ret = read_name(one, all);
	free(copy);
	return ret;
}

int link_flush_addresses(uint32_t ifindex)
{
	struct kept all;
	struct nlmsghdr *h;
	size_t at = 0;
	int ret = read_addresses(ifindex, &all);
	while (!ret && (h = kept_next(&all, &at)))
		/* The last primary IPv4 address of a subnet may have taken its secondaries along. */
		ret = kept_send(h, RTM_DELADDR, 0, -EADDRNOTAVAIL);
	free(all.buf);
	return ret;
}

/* From `at` on, IPv6 from the last: there the newest is told first, and of equals the host speaks from the first. */
static int make_addresses(const struct kept *all, size_t at, uint32_t ifindex)
{
	struct nlmsghdr *h = kept_next(all, &at);
	if (!h)
		return 0;
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(h);
	int ret = ifa->ifa_family == AF_INET ? make_address(h, ifindex) : 0;
	if (!ret)
		ret = make_addresses(all, at, ifindex);
	return !ret && ifa->ifa_family == AF_INET6 ? make_address(h, ifindex) : ret;
}

int link_add_addresses(uint32_t ifindex, const char *text)
{
	struct kept all;
	int ret = strchr(text, '=') ? kept_read(text, sizeof(struct ifaddrmsg), &all)
				    : read_names(text, &all);
	/* Some of them are there if a run died on the way: then the order, and who is secondary, would be another. */
	if (!ret)
		ret = link_flush_addresses(ifindex);
	if (!ret)
		ret = make_addresses(&all, 0, ifindex);
	free(all.buf);
	return ret;
}

int link_addressed(uint32_t **list, size_t *n)
{
	struct kept all;
	const struct nlmsghdr *h;
	size_t at = 0;
	int ret = read_addresses(0, &all);
	/* No message is as short as a number. */
	*list = ret ? NULL : malloc(all.len + sizeof(**list));
	*n = 0;
	if (!ret && !*list)
		ret = -ENOMEM;
	while (!ret && (h = kept_next(&all, &at))) {
		const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(h);
		(*list)[(*n)++] = ifa->ifa_index;
	}
	free(all.buf);
	return ret;
}
