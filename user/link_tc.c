/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * BPF programs at tc: a device's clsact qdisc and one filter at each of its two hooks.
 *
 * Each request has one answer, recognised by its number, and many go in one message on a socket that is kept until
 * link_filters_close(): a thousand ports bring some thousand requests, and a socket for each takes longer than what the
 * kernel does for it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <string.h>
#include <sys/socket.h>

#include "link_priv.h"

/* Our filters' place on a device that somebody else may use tc on, too. */
#define OUR_HANDLE   0x7670 /* "vp" */
#define OUR_PRIORITY 1

#define TOGETHER      128 /* requests in one message; their answers fit into any receive buffer */
#define REQUEST_BYTES 192 /* the largest, a filter with a program's name, takes 120 */

#define AT_ONCE	     32	 /* answers taken by one call, */
#define ANSWER_BYTES 1024 /* and room for each: that with a filter in it takes some 250 */

struct batch {
	_Alignas(struct nlmsghdr) char buf[TOGETHER * REQUEST_BYTES];
	size_t len;
	uint32_t first, n; /* numbers of the requests */
	int err[TOGETHER];
	uint32_t prog[TOGETHER]; /* of the filter that an answer shows */
};

static struct mnl_socket *kept;
static uint32_t last_number;

static void start(struct batch *b)
{
	b->len = 0;
	b->n = 0;
	b->first = last_number + 1;
	memset(b->err, 0, sizeof(b->err));
	memset(b->prog, 0, sizeof(b->prog));
}

static struct nlmsghdr *add(struct batch *b, uint16_t type, uint16_t flags, uint32_t ifindex, uint32_t parent)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(b->buf + b->len);
	struct tcmsg *t = mnl_nlmsg_put_extra_header(h, sizeof(*t));
	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = ++last_number;
	t->tcm_ifindex = (int)ifindex;
	t->tcm_parent = parent;
	b->n++;
	return h;
}

static void added(struct batch *b, const struct nlmsghdr *h)
{
	b->len += MNL_ALIGN(h->nlmsg_len);
}

/* The id of the program in a filter of kind "bpf", 0 = it is of another kind. */
static uint32_t read_program(const struct nlmsghdr *h)
{
	const struct nlattr *a, *sub;
	uint32_t prog = 0;
	bool bpf = false;
	mnl_attr_for_each (a, h, sizeof(struct tcmsg)) {
		if (mnl_attr_get_type(a) == TCA_KIND)
			bpf = !strncmp(mnl_attr_get_payload(a), "bpf", mnl_attr_get_payload_len(a));
		if (mnl_attr_get_type(a) != TCA_OPTIONS)
			continue;
		mnl_attr_for_each_nested (sub, a) {
			if (mnl_attr_get_type(sub) == TCA_BPF_ID && mnl_attr_get_payload_len(sub) >= sizeof(prog))
				prog = mnl_attr_get_u32(sub);
		}
	}
	return bpf ? prog : 0;
}

/* How many requests it answers: none if it is not for one of these. */
static uint32_t take_answer(struct batch *b, const struct nlmsghdr *h)
{
	uint32_t i = h->nlmsg_seq - b->first;
	if (i >= b->n)
		return 0;
	if (h->nlmsg_type == NLMSG_ERROR)
		b->err[i] = ((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
	else if (h->nlmsg_type == RTM_NEWTFILTER)
		b->prog[i] = read_program(h);
	return 1;
}

/* Many answers by one call: where system calls are dear, one for each costs as much as what the kernel does for it. */
static int receive_some(char (*buf)[ANSWER_BYTES], struct mmsghdr *msgs, unsigned int n)
{
	struct iovec iov[AT_ONCE];
	int got;
	memset(msgs, 0, n * sizeof(*msgs));
	for (unsigned int i = 0; i < n; i++) {
		iov[i] = (struct iovec){ buf[i], ANSWER_BYTES };
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	do
		got = recvmmsg(mnl_socket_get_fd(kept), msgs, n, MSG_WAITFORONE, NULL);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static int read_answers(struct batch *b)
{
	_Alignas(struct nlmsghdr) char buf[AT_ONCE][ANSWER_BYTES];
	struct mmsghdr msgs[AT_ONCE];
	uint32_t left = b->n;
	while (left) {
		int got = receive_some(buf, msgs, left < AT_ONCE ? left : AT_ONCE);
		if (got < 0)
			return got;
		for (int i = 0; i < got; i++) {
			int len = (int)msgs[i].msg_len;
			if (msgs[i].msg_hdr.msg_flags & MSG_TRUNC)
				return -ENOSPC;
			const struct nlmsghdr *h = (void *)buf[i];
			for (; mnl_nlmsg_ok(h, len); h = mnl_nlmsg_next(h, &len))
				left -= take_answer(b, h);
		}
	}
	return 0;
}

void link_filters_close(void)
{
	if (kept)
		mnl_socket_close(kept);
	kept = NULL;
}

/* After an error the next one starts with a new socket: answers may still be on their way to this one. */
static int run(struct batch *b)
{
	if (!b->n)
		return 0;
	int ret = kept ? 0 : link_open_socket(NETLINK_ROUTE, &kept);
	if (ret)
		return ret;
	ssize_t sent = link_send(kept, b->buf, b->len);
	ret = sent < 0 ? (int)sent : read_answers(b);
	if (ret)
		link_filters_close();
	return ret;
}

static uint32_t hook_parent(enum link_hook hook)
{
	return TC_H_MAKE(TC_H_CLSACT, hook == HOOK_IN ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

static struct nlmsghdr *add_filter(struct batch *b, uint16_t type, uint16_t flags, uint32_t ifindex,
				   enum link_hook hook)
{
	struct nlmsghdr *h = add(b, type, flags, ifindex, hook_parent(hook));
	struct tcmsg *t = mnl_nlmsg_get_payload(h);
	t->tcm_handle = OUR_HANDLE;
	t->tcm_info = TC_H_MAKE(OUR_PRIORITY << 16, htons(ETH_P_ALL));
	mnl_attr_put_strz(h, TCA_KIND, "bpf");
	return h;
}

static void add_qdisc(struct batch *b, uint16_t type, uint16_t flags, uint32_t ifindex)
{
	struct nlmsghdr *h = add(b, type, flags | NLM_F_ACK, ifindex, TC_H_CLSACT);
	struct tcmsg *t = mnl_nlmsg_get_payload(h);
	t->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	mnl_attr_put_strz(h, TCA_KIND, "clsact");
	added(b, h);
}

int link_filters_get(struct link_filters *list, size_t n)
{
	struct batch b;
	for (size_t done = 0; done < n; done += b.n / HOOK_COUNT) {
		start(&b);
		for (size_t i = done; i < n && b.n + HOOK_COUNT <= TOGETHER; i++)
			for (int hook = 0; hook < HOOK_COUNT; hook++)
				added(&b, add_filter(&b, RTM_GETTFILTER, 0, list[i].ifindex, hook));
		int ret = run(&b);
		if (ret)
			return ret;
		for (uint32_t i = 0; i < b.n; i++) {
			list[done + i / HOOK_COUNT].err[i % HOOK_COUNT] = b.err[i];
			list[done + i / HOOK_COUNT].prog[i % HOOK_COUNT] = b.prog[i];
		}
	}
	return 0;
}

int link_filters_put(uint32_t ifindex, const struct link_program progs[HOOK_COUNT], const bool replace[HOOK_COUNT],
		     int *qdisc)
{
	struct batch b;
	start(&b);
	add_qdisc(&b, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex);
	for (int hook = 0; hook < HOOK_COUNT; hook++) {
		uint16_t flags = NLM_F_CREATE | NLM_F_ACK | (replace[hook] ? 0 : NLM_F_EXCL);
		struct nlmsghdr *h = add_filter(&b, RTM_NEWTFILTER, flags, ifindex, hook);
		struct nlattr *options = mnl_attr_nest_start(h, TCA_OPTIONS);
		mnl_attr_put_u32(h, TCA_BPF_FD, (uint32_t)progs[hook].fd);
		mnl_attr_put_strz(h, TCA_BPF_NAME, progs[hook].name);
		mnl_attr_put_u32(h, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
		mnl_attr_nest_end(h, options);
		added(&b, h);
	}
	int ret = run(&b);
	*qdisc = ret ? ret : b.err[0];
	if (!ret && b.err[0] != -EEXIST)
		ret = b.err[0];
	for (int hook = 0; !ret && hook < HOOK_COUNT; hook++)
		ret = b.err[1 + hook];
	return ret;
}

int link_filters_delete(uint32_t ifindex, const bool which[HOOK_COUNT], int err[HOOK_COUNT])
{
	struct batch b;
	start(&b);
	for (int hook = 0; hook < HOOK_COUNT; hook++)
		if (which[hook])
			added(&b, add_filter(&b, RTM_DELTFILTER, NLM_F_ACK, ifindex, hook));
	int ret = run(&b);
	for (int hook = 0, i = 0; hook < HOOK_COUNT; hook++)
		err[hook] = which[hook] ? b.err[i++] : 0;
	return ret;
}

int link_clsact_delete(const uint32_t *ifindex, size_t n, int *err)
{
	struct batch b;
	for (size_t done = 0; done < n; done += b.n) {
		start(&b);
		for (size_t i = done; i < n && b.n < TOGETHER; i++)
			add_qdisc(&b, RTM_DELQDISC, 0, ifindex[i]);
		int ret = run(&b);
		if (ret)
			return ret;
		memcpy(err + done, b.err, b.n * sizeof(*err));
	}
	return 0;
}
