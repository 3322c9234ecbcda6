/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What test_run cannot say: the programs attached to TAP A as the loader attaches them, frames written into it, and
 * what the other TAPs' readers get.  XDP and tc in a row, so that "counted once" means once in all.
 */
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "vector.h"

#define XDP_LINK 37 /* BPF_XDP as bpf_link's attach type */
#define BIG	 65000

static struct bpf_tc_hook hook;
static int xdp_link = -1;

int live_attach(void)
{
	LIBBPF_OPTS(bpf_link_create_opts, link, .flags = XDP_FLAGS_DRV_MODE);
	LIBBPF_OPTS(bpf_tc_opts, tc, .prog_fd = rig.prog[PROG_TC]);
	int ret;

	hook = (struct bpf_tc_hook){ .sz = sizeof(hook), .ifindex = rig.ifindex[A], .attach_point = BPF_TC_INGRESS };
	ret = bpf_tc_hook_create(&hook);
	if (!ret)
		ret = bpf_tc_attach(&hook, &tc);
	if (ret)
		return ret;
	xdp_link = bpf_link_create(rig.prog[PROG_XDP], rig.ifindex[A], XDP_LINK, &link);
	return xdp_link < 0 ? xdp_link : 0;
}

void live_detach(void)
{
	if (xdp_link >= 0)
		close(xdp_link);
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
}

int live_scene(scene_fn make)
{
	struct scene s = { .now = RIG_NOW };

	make(&s);
	return scene_apply(&s, 0);
}

/* Each of `out` gets the frame exactly once, nobody else anything. */
static void expect_delivery(const uint8_t *frame, uint32_t len, const uint8_t *out, unsigned int n_out)
{
	uint8_t got[FRAME_MAX];

	for (unsigned int port = 1; port < RIG_PORTS; port++) {
		bool wanted = memchr(out, port, n_out) != NULL;
		ssize_t n = rig.tap[port] < 0 ? 0 : read(rig.tap[port], got, sizeof(got));

		if (rig.tap[port] < 0)
			continue;
		expect_bytes(rig_port_name[port], got, n > 0 ? n : 0, frame, wanted ? len : 0);
		if (n > 0)
			expect_u64("a second copy", read(rig.tap[port], got, sizeof(got)) > 0, 0);
	}
}

void live_deliver(const char *name, scene_fn make, const struct frame *f, const struct frame *becomes, enum fate fate,
		  const uint8_t *out)
{
	struct vp_counters want[RIG_PORTS] = { 0 };
	unsigned int n = strlen((const char *)out);
	struct scene s = { 0 };

	if (!test_begin("%s%s", name, rig.live ? "" : " [blind]"))
		return;
	make(&s);
	want[A].rx_packets = 1;
	want[A].rx_bytes = f->len;
	*(fate == FLOOD ? &want[A].flooded : &want[A].forwarded) = 1;
	want[A].events[VP_EVENT_LEARNED] = s.ports[A].peer ? 0 : 1;
	for (unsigned int i = 0; i < n; i++) {
		want[out[i]].tx_packets = 1;
		want[out[i]].tx_bytes = becomes->len;
	}
	expect_ok("scene", live_scene(make));
	expect_u64("written", write(rig.tap[A], f->b, f->len), f->len);
	expect_delivery(becomes->b, becomes->len, out, n);
	counters_expect(want);
	test_end();
}

static void deliver(const char *name, scene_fn make, const struct frame *f, enum fate fate, const uint8_t *out)
{
	live_deliver(name, make, f, f, fate, out);
}

static void deliveries(void)
{
	static const uint8_t to_b[] = { B, 0 }, to_bc[] = { B, C, 0 }, to_n[] = { N, 0 };

	deliver("live_arp_goes_by_xdp", lan, arp(eth(MAC_B, MAC_A)), FORWARD, to_b);
	deliver("live_arp_reaches_the_nic", lan, arp(eth(MAC_N, MAC_A)), FORWARD, to_n);
	deliver("live_tcp_is_passed_and_goes_by_tc", lan, tcp4(eth(MAC_B, MAC_A), 1400, FULL), FORWARD, to_b);
	deliver("live_udp_goes_by_xdp", lan, udp4(eth(MAC_B, MAC_A), 1472, FULL), FORWARD, to_b);
	deliver("live_priority_tag_is_unchanged", lan, arp(tag(eth(MAC_B, MAC_A), 0x8100, 0x6000)), FORWARD,
		to_b);
	deliver("live_broadcast_is_flooded_by_xdp", lan_xdp, arp(eth(MAC_BROADCAST, MAC_A)), FLOOD, to_bc);
	deliver("live_tcp_is_flooded_by_tc", lan_xdp, tcp4(eth(MAC_UNKNOWN, MAC_A), 600, FULL), FLOOD, to_bc);
}

/* From the bare header on: nobody pads, nobody drops, whatever the frame claims to be. */
static void prefixes(const char *what, const struct frame *f)
{
	static const uint8_t to_b[] = { B };

	if (!test_begin("live_every_prefix_of_%s_arrives_at_its_size", what))
		return;
	expect_ok("scene", live_scene(lan));
	for (uint32_t len = 14; len <= f->len; len++) {
		expect_u64("written", write(rig.tap[A], f->b, len), len);
		expect_delivery(f->b, len, to_b, 1);
	}
	test_end();
}

static void short_frames(void)
{
	prefixes("arp", pad(arp(eth(MAC_B, MAC_A)), 60));
	prefixes("unknown_ethertype", raw(eth(MAC_B, MAC_A), 0x88b5, 46));
	prefixes("udp", udp4(eth(MAC_B, MAC_A), 20, FULL));
	prefixes("tcp", tcp4(eth(MAC_B, MAC_A), 20, PARTIAL));
	prefixes("udp_over_ipv6", udp6(eth(MAC_B, MAC_A), 20, FULL));
	prefixes("tcp_over_ipv6", tcp6(eth(MAC_B, MAC_A), 20, PARTIAL));
}

/* More than XDP gets in one buffer, which a TAP would refuse from it: tc must take it, and only tc may count it. */
static void jumbo(void)
{
	enum {
		LEN = 5000
	};
	static uint8_t frame[LEN], got[LEN + 1];
	struct vp_counters want[RIG_PORTS] = { 0 };

	if (!test_begin("live_jumbo_frame_goes_by_tc"))
		return;
	memcpy(frame, arp(eth(MAC_B, MAC_A))->b, 42);
	memset(frame + 42, 0x5a, LEN - 42);
	want[A].rx_packets = want[A].forwarded = want[A].events[VP_EVENT_LEARNED] = want[B].tx_packets = 1;
	want[A].rx_bytes = want[B].tx_bytes = LEN;
	expect_ok("mtu", rig_link("set tapb mtu 9000"));
	expect_ok("scene", live_scene(lan));
	expect_u64("written", write(rig.tap[A], frame, LEN), LEN);
	expect_bytes("B", got, read(rig.tap[B], got, sizeof(got)), frame, LEN);
	counters_expect(want);
	expect_ok("mtu", rig_link("set tapb mtu 1500"));
	test_end();
}

/* A frame of many pages, which XDP sees in pieces, must be refused in one place and counted once. */
static void big(const char *name, const uint8_t *dst, scene_fn make, uint16_t type)
{
	static uint8_t frame[BIG];
	struct vp_counters want[RIG_PORTS] = { 0 };

	if (!test_begin("%s", name))
		return;
	memcpy(frame, dst, 6);
	memcpy(frame + 6, MAC_A, 6);
	frame[12] = type >> 8;
	frame[13] = type & 0xff;
	want[A].rx_packets = 1;
	want[A].rx_bytes = BIG;
	want[A].drops[VP_DROP_MTU] = 1;
	want[A].events[VP_EVENT_LEARNED] = 1;
	expect_ok("scene", live_scene(make));
	expect_u64("written", write(rig.tap[A], frame, BIG), BIG);
	expect_delivery(frame, 0, NULL, 0);
	counters_expect(want);
	test_end();
}

/* The way out: only what came in through a port may leave through one. */
static void way_out(uint32_t ingress, int action, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(rig.obj, "vp_tc_out");
	struct __sk_buff skb = { .ifindex = rig.ifindex[A], .ingress_ifindex = ingress };
	struct frame *f = arp(eth(MAC_B, MAC_A));
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->b, .data_size_in = f->len, .ctx_in = &skb,
		    .ctx_size_in = sizeof(skb), .repeat = 1);

	if (!test_begin("%s", name))
		return;
	if (expect_true("vp_tc_out is there", p != NULL) &&
	    expect_ok("test_run", bpf_prog_test_run_opts(bpf_program__fd(p), &opts)))
		expect_u64("action", opts.retval, action);
	test_end();
}

void vectors_live(void)
{
	int ret;

	way_out(rig.ifindex[B], TC_ACT_OK, "frame_that_came_in_by_a_port_may_leave_by_one");
	way_out(1, TC_ACT_SHOT, "frame_that_the_host_passes_on_may_not_leave_by_a_port");
	way_out(0, TC_ACT_SHOT, "frame_of_the_host_itself_may_not_leave_by_a_port");
	ret = live_attach();
	if (ret && test_begin("live_attach")) {
		expect_ok("attach to TAP A in driver mode", ret);
		test_end();
	}
	if (!ret) {
		deliveries();
		short_frames();
		jumbo();
		big("live_frame_of_65000_bytes_is_too_large", MAC_B, lan, 0x0806);
		big("live_broadcast_of_65000_bytes_is_too_large", MAC_BROADCAST, lan_xdp, 0x0806);
		big("live_unknown_protocol_of_65000_bytes_is_too_large", MAC_B, lan, 0x88b5);
	}
	live_detach();
	frames_reset();
}
