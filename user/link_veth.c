/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Making a veth pair: both ends at once, and none if anything fails. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/veth.h>
#include <string.h>
#include <sys/socket.h>

#include "link_priv.h"

static int create_pair(const struct veth_spec *v)
{
	struct link_request r;
	struct nlmsghdr *h = link_begin(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, 0);
	mnl_attr_put_strz(h, IFLA_IFNAME, v->a);
	if (v->mac_a)
		mnl_attr_put(h, IFLA_ADDRESS, VP_MAC_LEN, v->mac_a);
	if (v->mtu)
		mnl_attr_put_u32(h, IFLA_MTU, v->mtu);
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, v->b);
	if (v->mtu)
		mnl_attr_put_u32(h, IFLA_MTU, v->mtu);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return link_talk(NETLINK_ROUTE, h, NULL, NULL, NULL);
}

static int set_alias(uint32_t ifindex, const char *alias)
{
	struct link_request r;
	if (!alias)
		return 0;
	if (strlen(alias) >= sizeof(((struct link_info *)0)->alias))
		return -EINVAL;
	struct nlmsghdr *h = link_begin(&r, RTM_NEWLINK, NLM_F_ACK, ifindex);
	mnl_attr_put_str(h, IFLA_IFALIAS, alias);
	return link_talk(NETLINK_ROUTE, h, NULL, NULL, NULL);
}

/* Else going up would make the host send its own IPv6 chatter into the plane. */
static int set_no_ipv6_addresses(uint32_t ifindex)
{
	struct link_request r;
	struct nlmsghdr *h = link_begin(&r, RTM_NEWLINK, NLM_F_ACK, ifindex);
	struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(h, AF_INET6);
	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(h, inet6);
	mnl_attr_nest_end(h, spec);
	int ret = link_talk(NETLINK_ROUTE, h, NULL, NULL, NULL);
	/* No IPv6 in this kernel, or an MTU below what IPv6 needs. */
	return ret == -EAFNOSUPPORT ? 0 : ret;
}

static int delete_by_name(const char *name)
{
	struct link_request r;
	struct nlmsghdr *h = link_begin(&r, RTM_DELLINK, NLM_F_ACK, 0);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return link_talk(NETLINK_ROUTE, h, NULL, NULL, NULL);
}

static bool valid_name(const char *name)
{
	return name && name[0] && strlen(name) < VP_DEV_LEN;
}

int link_create_veth(const struct veth_spec *spec)
{
	struct link_info a;
	if (!valid_name(spec->a) || !valid_name(spec->b))
		return -EINVAL;
	int ret = create_pair(spec);
	if (ret)
		return ret;
	ret = link_get(spec->a, &a);
	if (ret)
		goto undo;
	ret = set_alias(a.ifindex, spec->alias_a);
	if (!ret)
		ret = set_no_ipv6_addresses(a.peer);
	/* Last: a pair without it was left by a loader that died here. */
	if (!ret)
		ret = set_alias(a.peer, spec->alias_b);
	if (!ret)
		return 0;
undo:
	(void)delete_by_name(spec->a);
	return ret;
}
