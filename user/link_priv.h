/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the link*.c files share: in general one netlink exchange per call, on a socket of its own. */
#ifndef LINK_PRIV_H
#define LINK_PRIV_H

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "link.h"

/* Room for one request; the largest (a veth pair with names, MAC and MTU) takes about 250 bytes. */
struct link_request {
	_Alignas(struct nlmsghdr) char buf[1024];
};

/* Start a request about one device (ifindex 0: it is named by an attribute, or meant for all). */
struct nlmsghdr *link_begin(struct link_request *r, uint16_t type, uint16_t flags, uint32_t ifindex);

/* What an RTM_NEWLINK or RTM_DELLINK of family AF_UNSPEC says; it does not say what XDP can do there. */
void link_parse(struct link_info *l, const struct nlmsghdr *h);

/*
 * Send `request` on the netlink `bus` and give each answer to `cb` (may be NULL) until the kernel says done.
 * A dump that the kernel calls inconsistent is begun again, with *restart = 0 before each try (may be NULL).
 */
int link_talk(int bus, struct nlmsghdr *request, mnl_cb_t cb, void *arg, size_t *restart);

/* The parts of link_talk, for more than one request on a socket. Interrupted calls are repeated; -errno. */
int link_open_socket(int bus, struct mnl_socket **out);
ssize_t link_receive(const struct mnl_socket *s, void *buf, size_t size);
ssize_t link_send(const struct mnl_socket *s, const void *buf, size_t size);

/* Ask the netdev family what XDP can do on these devices, sorted by ifindex; kernels before 6.3 cannot say. */
int link_read_xdp_features(struct link_info *links, size_t n);

#endif
