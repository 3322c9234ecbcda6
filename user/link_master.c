/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The bridge (or other master) of a device, and what that forgets of its port when it leaves: see link_master(). */
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "link_kept.h"

struct port {
	const struct link_info *link;
	struct kept all; /* one RTM_NEWLINK: options; RTM_SETLINK: VLANs; RTM_NEWNEIGH: static addresses */
};

static int keep(struct port *p, const struct nlmsghdr *h)
{
	if (!kept_add(&p->all, h))
		return MNL_CB_OK;
	errno = ENOMEM;
	return MNL_CB_ERROR;
}

/* A message about the port, with room for `more` bytes; free(). NULL: no memory. */
static struct nlmsghdr *begin(const struct port *p, uint16_t type, uint8_t family, size_t more)
{
	struct nlmsghdr *h = calloc(1, MNL_NLMSG_HDRLEN + sizeof(struct ifinfomsg) + more);
	if (!h)
		return NULL;
	mnl_nlmsg_put_header(h);
	h->nlmsg_type = type;
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
	ifi->ifi_family = family;
	ifi->ifi_index = (int)p->link->ifindex;
	return h;
}

/* What of a bridge's port can be set: the kernel tells more, and refuses some of that. Numbers: later than 6.1. */
static const uint16_t settable[] = {
	IFLA_BRPORT_PRIORITY, IFLA_BRPORT_COST, IFLA_BRPORT_MODE, IFLA_BRPORT_GUARD, IFLA_BRPORT_PROTECT,
	IFLA_BRPORT_FAST_LEAVE, IFLA_BRPORT_LEARNING, IFLA_BRPORT_UNICAST_FLOOD, IFLA_BRPORT_PROXYARP,
	IFLA_BRPORT_PROXYARP_WIFI, IFLA_BRPORT_MULTICAST_ROUTER, IFLA_BRPORT_MCAST_FLOOD, IFLA_BRPORT_MCAST_TO_UCAST,
	IFLA_BRPORT_VLAN_TUNNEL, IFLA_BRPORT_BCAST_FLOOD, IFLA_BRPORT_GROUP_FWD_MASK, IFLA_BRPORT_NEIGH_SUPPRESS,
	IFLA_BRPORT_ISOLATED, IFLA_BRPORT_BACKUP_PORT, IFLA_BRPORT_MCAST_EHT_HOSTS_LIMIT, IFLA_BRPORT_LOCKED,
	40 /* MAB */, 42 /* MCAST_MAX_GROUPS */, 43 /* NEIGH_VLAN_SUPPRESS */, 44 /* BACKUP_NHID */,
};

static bool is_settable(uint16_t type)
{
	for (size_t i = 0; i < sizeof(settable) / sizeof(settable[0]); i++)
		if (settable[i] == type)
			return true;
	return false;
}

static void put_options(struct nlmsghdr *h, const struct nlattr *told)
{
	const struct nlattr *a;
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO), *data;
	mnl_attr_put_strz(h, IFLA_INFO_SLAVE_KIND, "bridge");
	data = mnl_attr_nest_start(h, IFLA_INFO_SLAVE_DATA);
	mnl_attr_for_each_nested (a, told)
		if (is_settable(mnl_attr_get_type(a)))
			mnl_attr_put(h, a->nla_type, mnl_attr_get_payload_len(a), mnl_attr_get_payload(a));
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
}

static int keep_options(const struct nlmsghdr *from, void *arg)
{
	struct port *p = arg;
	const struct nlattr *info = kept_attr(from, sizeof(struct ifinfomsg), IFLA_LINKINFO), *a, *told = NULL;
	bool bridge = false;
	if (info)
		mnl_attr_for_each_nested (a, info) {
			if (mnl_attr_get_type(a) == IFLA_INFO_SLAVE_KIND)
				bridge = !strcmp(mnl_attr_get_str(a), "bridge");
			else if (mnl_attr_get_type(a) == IFLA_INFO_SLAVE_DATA)
				told = a;
		}
	struct nlmsghdr *h = begin(p, RTM_NEWLINK, AF_UNSPEC, from->nlmsg_len);
	if (h && bridge && told)
		put_options(h, told);
	int ret = h ? keep(p, h) : MNL_CB_ERROR;
	free(h);
	return ret;
}

/* Also if there are none: the port will have got one by joining. */
static int keep_vlans(const struct nlmsghdr *from, void *arg)
{
	struct port *p = arg;
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(from);
	const struct nlattr *vlans = kept_attr(from, sizeof(*ifi), IFLA_AF_SPEC);
	if ((uint32_t)ifi->ifi_index != p->link->ifindex)
		return MNL_CB_OK;
	struct nlmsghdr *h = begin(p, RTM_SETLINK, AF_BRIDGE, from->nlmsg_len);
	if (h && vlans)
		mnl_attr_put(h, IFLA_AF_SPEC | NLA_F_NESTED, mnl_attr_get_payload_len(vlans),
			     mnl_attr_get_payload(vlans));
	int ret = h ? keep(p, h) : MNL_CB_ERROR;
	free(h);
	return ret;
}

/* An address that nobody has learned; the bridge enters the device's own by itself. */
static int keep_address(const struct nlmsghdr *from, void *arg)
{
	struct port *p = arg;
	const struct ndmsg *nd = mnl_nlmsg_get_payload(from);
	const struct nlattr *mac = kept_attr(from, sizeof(*nd), NDA_LLADDR);
	if ((uint32_t)nd->ndm_ifindex != p->link->ifindex || !(nd->ndm_state & (NUD_PERMANENT | NUD_NOARP)) ||
	    !kept_attr(from, sizeof(*nd), NDA_MASTER) || !mac || mnl_attr_get_payload_len(mac) != VP_MAC_LEN ||
	    !memcmp(mnl_attr_get_payload(mac), p->link->mac, VP_MAC_LEN))
		return MNL_CB_OK;
	_Alignas(struct nlmsghdr) char buf[128] = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = RTM_NEWNEIGH;
	struct ndmsg *to = mnl_nlmsg_put_extra_header(h, sizeof(*to));
	to->ndm_family = AF_BRIDGE;
	to->ndm_ifindex = nd->ndm_ifindex;
	to->ndm_state = nd->ndm_state;
	to->ndm_flags = NTF_MASTER | (nd->ndm_flags & NTF_STICKY);
	mnl_attr_put(h, NDA_LLADDR, VP_MAC_LEN, mnl_attr_get_payload(mac));
	const struct nlattr *vlan = kept_attr(from, sizeof(*nd), NDA_VLAN);
	if (vlan)
		mnl_attr_put_u16(h, NDA_VLAN, mnl_attr_get_u16(vlan));
	return keep(p, h);
}

static int read_options(struct port *p)
{
	struct link_request r;
	struct nlmsghdr *h = link_begin(&r, RTM_GETLINK, NLM_F_ACK, p->link->ifindex);
	return link_talk(NETLINK_ROUTE, h, keep_options, p, NULL);
}

/* Both dumps add to what is there: an inconsistent one is begun again in a list of its own. */
static int read_more(struct port *p, struct nlmsghdr *request, mnl_cb_t cb)
{
	struct port found = { .link = p->link };
	struct nlmsghdr *h;
	size_t at = 0;
	int ret = link_talk(NETLINK_ROUTE, request, cb, &found, &found.all.len);
	while (!ret && (h = kept_next(&found.all, &at)))
		ret = kept_add(&p->all, h);
	free(found.all.buf);
	return ret;
}

static int read_vlans(struct port *p)
{
	struct link_request r;
	struct nlmsghdr *h = link_begin(&r, RTM_GETLINK, NLM_F_DUMP, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	ifi->ifi_family = AF_BRIDGE;
	mnl_attr_put_u32(h, IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED);
	return read_more(p, h, keep_vlans);
}

static int read_static(struct port *p)
{
	struct link_request r = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(r.buf);
	h->nlmsg_type = RTM_GETNEIGH;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	struct ndmsg *nd = mnl_nlmsg_put_extra_header(h, sizeof(*nd));
	nd->ndm_family = AF_BRIDGE;
	nd->ndm_ifindex = (int)p->link->ifindex;
	return read_more(p, h, keep_address);
}

static void part_name(const struct nlmsghdr *h, char out[KEPT_NAME])
{
	const char *name = h->nlmsg_type == RTM_SETLINK ? "vlans" : h->nlmsg_type == RTM_NEWNEIGH ? "mac" : "options";
	snprintf(out, KEPT_NAME, "%s", name);
}

/* The master's name before the text of the port. */
static int put_name(const char *name, char **text)
{
	char *all = NULL;
	int len = asprintf(&all, "%s,%s", name, *text);
	free(*text);
	*text = len < 0 ? NULL : all;
	return len < 0 ? -ENOMEM : 0;
}

int link_master(const struct link_info *l, char **text)
{
	struct port p = { .link = l };
	struct link_info master;
	int ret = link_get_index(l->master, &master);
	if (!ret)
		ret = read_options(&p);
	if (!ret)
		ret = read_vlans(&p);
	if (!ret)
		ret = read_static(&p);
	if (!ret)
		ret = kept_text(&p.all, part_name, text);
	if (!ret)
		ret = put_name(master.name, text);
	free(p.all.buf);
	return ret;
}

/* Others than these the port has got from the bridge by joining it. */
static int drop_vlans(const struct link_info *l)
{
	struct port p = { .link = l };
	struct nlmsghdr *h;
	size_t at = 0;
	int ret = read_vlans(&p);
	while (!ret && (h = kept_next(&p.all, &at)))
		ret = kept_send(h, RTM_DELLINK, 0, 0);
	free(p.all.buf);
	return ret;
}

static int make_part(const struct link_info *l, struct nlmsghdr *h)
{
	int ret;
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
		return kept_send(h, RTM_NEWLINK, 0, 0);
	case RTM_SETLINK:
		ret = drop_vlans(l);
		return ret ? ret : kept_send(h, RTM_SETLINK, 0, 0);
	case RTM_NEWNEIGH:
		return kept_send(h, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, -EEXIST);
	}
	return -EBADMSG;
}

int link_join(const struct link_info *l, const char *text)
{
	char name[VP_DEV_LEN];
	struct link_info master;
	struct kept all = { 0 };
	struct nlmsghdr *h;
	size_t at = 0, len = strcspn(text, ",");
	if (len >= sizeof(name))
		return -EBADMSG;
	snprintf(name, sizeof(name), "%.*s", (int)len, text);
	int ret = link_get(name, &master);
	if (!ret)
		ret = link_set_master(l->ifindex, master.ifindex);
	if (!ret && text[len])
		ret = kept_read(text + len + 1, sizeof(struct ndmsg), &all);
	while (!ret && (h = kept_next(&all, &at)))
		ret = make_part(l, h);
	free(all.buf);
	return ret;
}
