/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A veth takes redirected XDP frames (NETDEV_XDP_ACT_NDO_XMIT) only while its other end has GRO on or an XDP program:
 * without either there is no NAPI to receive them.  user/carrier.c and bpf/device.h go by that bit.
 */
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include "fact.h"

/* linux/netdev.h, which the headers of Debian 12 lack. */
#define CMD_DEV_GET 1
#define A_IFINDEX 1
#define A_XDP_FEATURES 3
#define NDO_XMIT 4

struct wanted {
	int type;
	uint64_t value;
	bool found;
};

static int keep(const struct nlmsghdr *h, void *arg)
{
	struct wanted *w = arg;
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) != w->type)
			continue;
		w->value = mnl_attr_get_payload_len(a) == 8 ? mnl_attr_get_u64(a) : mnl_attr_get_u16(a);
		w->found = true;
	}
	return MNL_CB_OK;
}

static struct nlmsghdr *request(char *buf, uint16_t family, uint8_t command)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	h->nlmsg_type = family;
	h->nlmsg_flags = NLM_F_REQUEST;
	g->cmd = command;
	g->version = 1;
	return h;
}

static int ask(struct nlmsghdr *h, struct wanted *w)
{
	char answer[4096];
	struct mnl_socket *s = mnl_socket_open(NETLINK_GENERIC);
	ssize_t n;

	must(s && !mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) ? 0 : -errno, "netlink");
	must(mnl_socket_sendto(s, h, h->nlmsg_len) < 0 ? -errno : 0, "netlink");
	n = mnl_socket_recvfrom(s, answer, sizeof(answer));
	int ret = n < 0 ? -1 : mnl_cb_run(answer, (size_t)n, 0, mnl_socket_get_portid(s), keep, w);

	mnl_socket_close(s);
	return ret < 0 || !w->found ? -ENOENT : 0;
}

static bool takes_frames(const char *device)
{
	static uint64_t family;
	char buf[256];

	if (!family) {
		struct wanted id = { .type = CTRL_ATTR_FAMILY_ID };
		struct nlmsghdr *h = request(buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);

		mnl_attr_put_strz(h, CTRL_ATTR_FAMILY_NAME, "netdev");
		if (ask(h, &id))
			skip("no generic netlink family `netdev` (before Linux 6.3)");
		family = id.value;
	}
	struct wanted features = { .type = A_XDP_FEATURES };
	struct nlmsghdr *h = request(buf, (uint16_t)family, CMD_DEV_GET);

	mnl_attr_put_u32(h, A_IFINDEX, ifindex(device));
	must(ask(h, &features), "XDP features");
	return features.value & NDO_XMIT;
}

static void set_gro(const char *device, uint32_t on)
{
	struct ethtool_value gro = { .cmd = ETHTOOL_SGRO, .data = on };

	ethtool(device, &gro);
}

int main(void)
{
	const struct bpf_insn pass[] = { SET(0, XDP_PASS), EXIT };

	probe_begin();
	int prog = LOAD_PROG(BPF_PROG_TYPE_XDP, pass);

	sh("ip link add v1 type veth peer name v2 && ip link set v1 up && ip link set v2 up");
	set_gro("v2", 0);
	bool bare = takes_frames("v1");

	set_gro("v2", 1);
	bool with_gro = takes_frames("v1");

	set_gro("v2", 0);
	bool off_again = takes_frames("v1");
	int link = must(attach_xdp(prog, "v2", XDP_FLAGS_DRV_MODE), "a program on the other end");
	bool with_prog = takes_frames("v1");

	close(link);
	if (bare || !with_gro || off_again || !with_prog)
		broken("takes frames: other end bare %d, with GRO %d, GRO off again %d, with a program %d", bare,
		       with_gro, off_again, with_prog);
	return holds("NDO_XMIT is there while the other end has GRO on or a program, else not");
}
