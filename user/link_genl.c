/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Generic netlink family "netdev" (Linux 6.3): what XDP can do on a device. */
#include <errno.h>
#include <linux/genetlink.h>
#include <stdlib.h>
#include <string.h>

#include "link_priv.h"

/* linux/netdev.h, which the headers of Debian 12 lack. */
#define NETDEV_NAME    "netdev"
#define NETDEV_VERSION 1
enum {
	CMD_DEV_GET = 1
};
enum {
	A_DEV_IFINDEX = 1,
	A_DEV_XDP_FEATURES = 3
};

static struct nlmsghdr *begin(struct link_request *r, uint16_t family, uint16_t flags, uint8_t cmd, uint8_t version)
{
	memset(r, 0, sizeof(*r));
	struct nlmsghdr *h = mnl_nlmsg_put_header(r->buf);
	h->nlmsg_type = family;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	struct genlmsghdr *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->cmd = cmd;
	g->version = version;
	return h;
}

static int keep_family(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *a;
	mnl_attr_for_each (a, h, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID)
			*(uint16_t *)arg = mnl_attr_get_u16(a);
	}
	return MNL_CB_OK;
}

/* The family's number, 0 when the kernel has none. It holds until reboot, and so is asked for once. */
static int find_family(uint16_t *out)
{
	static bool known;
	static uint16_t family;
	if (!known) {
		struct link_request r;
		struct nlmsghdr *h = begin(&r, GENL_ID_CTRL, NLM_F_ACK, CTRL_CMD_GETFAMILY, 1);
		mnl_attr_put_strz(h, CTRL_ATTR_FAMILY_NAME, NETDEV_NAME);
		int ret = link_talk(NETLINK_GENERIC, h, keep_family, &family, NULL);
		if (ret && ret != -ENOENT)
			return ret;
		known = true;
	}
	*out = family;
	return 0;
}

struct wanted {
	struct link_info *links;
	size_t n;
};

static int by_ifindex(const void *key, const void *link)
{
	uint32_t x = *(const uint32_t *)key, y = ((const struct link_info *)link)->ifindex;
	return (x > y) - (x < y);
}

static int keep_features(const struct nlmsghdr *h, void *arg)
{
	const struct wanted *w = arg;
	const struct nlattr *a, *features = NULL;
	uint32_t ifindex = 0;
	mnl_attr_for_each (a, h, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) == A_DEV_IFINDEX)
			ifindex = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == A_DEV_XDP_FEATURES)
			features = a;
	}
	struct link_info *l = bsearch(&ifindex, w->links, w->n, sizeof(*l), by_ifindex);
	if (l && features && mnl_attr_get_payload_len(features) == sizeof(uint64_t)) {
		l->xdp_features = mnl_attr_get_u64(features);
		l->has_xdp_features = true;
	}
	return MNL_CB_OK;
}

int link_read_xdp_features(struct link_info *links, size_t n)
{
	struct wanted w = { links, n };
	struct link_request r;
	uint16_t family = 0;
	int ret = find_family(&family);
	if (ret || !family)
		return ret;
	struct nlmsghdr *h = begin(&r, family, n == 1 ? NLM_F_ACK : NLM_F_DUMP, CMD_DEV_GET, NETDEV_VERSION);
	if (n == 1)
		mnl_attr_put_u32(h, A_DEV_IFINDEX, links[0].ifindex);
	ret = link_talk(NETLINK_GENERIC, h, keep_features, &w, NULL);
	/* Gone since it was listed: whoever uses it next will notice. */
	return ret == -ENODEV ? 0 : ret;
}
