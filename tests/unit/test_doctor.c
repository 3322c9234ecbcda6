/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rules of `doctor`, from facts made by hand: silent about a healthy plane; one change, one finding. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

/* Last: cmocka has a macro of the name of our fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define BASIC	 1
#define REDIRECT 2
#define NDO_XMIT 4

enum {
	TAP,
	VETH,
	HOST,
	NIC,
	PORTS
}; /* the ports of the healthy plane, by name: a-tap, b-veth, c-vp0, d-nic */
enum {
	L_TAP,
	L_VETH,
	L_VP_P,
	L_VP,
	L_NIC,
	L_BR,
	L_FAR,
	LINKS
};

struct ward {
	struct doctor_facts f;
	struct doctor_port ports[PORTS];
	struct view_port views[PORTS];
	struct link_info links[LINKS];
	struct plane_trace traces[1];
};

static const struct {
	const char *name;
	enum link_type type;
	uint64_t features;
} devices[LINKS] = {
	[L_TAP] = { "tap0", LINK_TAP, BASIC | REDIRECT | NDO_XMIT },
	[L_VETH] = { "g1", LINK_VETH, BASIC | REDIRECT | NDO_XMIT },
	[L_VP_P] = { "vp0-p", LINK_VETH, BASIC | REDIRECT | NDO_XMIT },
	[L_VP] = { "vp0", LINK_VETH, BASIC },
	[L_NIC] = { "eth1", LINK_PHYSICAL, BASIC | REDIRECT | NDO_XMIT },
	[L_BR] = { "br0", LINK_OTHER, 0 },
	[L_FAR] = { "far", LINK_VETH, BASIC },
};

static void make_links(struct ward *w)
{
	for (size_t i = 0; i < LINKS; i++) {
		struct link_info *l = &w->links[i];

		*l = (struct link_info){ .ifindex = (uint32_t)(10 + i),
					 .type = devices[i].type,
					 .mtu = 1500,
					 .up = true,
					 .running = true,
					 .has_xdp_features = true,
					 .xdp_features = devices[i].features,
					 .tap_vnet = true,
					 .tap_queues = 1 };
		snprintf(l->name, sizeof(l->name), "%s", devices[i].name);
	}
	w->f.links = w->links;
	w->f.n_links = LINKS;
}

static void make_model(struct ward *w)
{
	static const struct {
		const char *name, *device;
		enum vp_kind kind;
	} rows[PORTS] = { { "a-tap", "tap0", VP_KIND_GUEST },
			  { "b-veth", "g1", VP_KIND_GUEST },
			  { "c-vp0", "vp0", VP_KIND_HOST },
			  { "d-nic", "eth1", VP_KIND_UPLINK } };
	struct model *m = &w->f.view.model;
	struct segment s;

	model_init(m);
	segment_init(&s);
	strcpy(s.name, "lan");
	assert_non_null(model_add_segment(m, &s));
	for (size_t i = 0; i < PORTS; i++) {
		struct port p;

		port_init(&p, rows[i].kind);
		strcpy(p.name, rows[i].name);
		strcpy(p.device, rows[i].device);
		strcpy(p.segment, "lan");
		assert_non_null(model_add_port(m, &p));
	}
}

static struct port *conf(struct ward *w, size_t i)
{
	return &w->f.view.model.ports[i];
}

static void make_ports(struct ward *w)
{
	static const size_t link_of[PORTS] = { L_TAP, L_VETH, L_VP_P, L_NIC };

	for (size_t i = 0; i < PORTS; i++) {
		bool xdp = i == TAP || i == NIC;

		w->views[i] = (struct view_port){ .port = conf(w, i),
						  .id = (uint16_t)(i + 1),
						  .xdp_target = true,
						  .ifindex = w->links[link_of[i]].ifindex,
						  .carrier = xdp ? CARRIER_XDP : CARRIER_TC };
		w->ports[i] = (struct doctor_port){ .view = &w->views[i],
						    .link = &w->links[link_of[i]],
						    .attached = { .tc_in = true, .tc_out = true, .xdp = xdp },
						    .rx_vlan = i == NIC ? NO : UNKNOWN,
						    .promisc = i == NIC ? YES : UNKNOWN,
						    .address = i == NIC ? NO : UNKNOWN };
		w->ports[i].today = (struct carrier_choice){
			.carrier = w->views[i].carrier, .target = true, .why = "so it is", .target_why = "so it is"
		};
	}
	w->ports[HOST].peer = &w->links[L_VP];
	w->ports[HOST].peer_gro = YES;
	w->ports[TAP].fds.n = 1;
	w->f.ports = w->ports;
	w->f.n_ports = PORTS;
	w->f.view.ports = w->views;
	w->f.view.n_ports = PORTS;
}

/* A plane and a host with which all is well. */
static void admit(struct ward *w)
{
	memset(w, 0, sizeof(*w));
	make_links(w);
	make_model(w);
	make_ports(w);
	w->f.plane = "default";
	w->f.has_plane = true;
	w->f.host = (struct doctor_host){ .release = "6.18.44",
					  .kernel = KERNEL(6, 18),
					  .has = { true, true, true },
					  .netdev = true,
					  .jit = YES,
					  .br_nf = YES,
					  .bpffs = true,
					  .cpus = 2,
					  .caps = 1ULL << 12 | 1ULL << 38 | 1ULL << 39,
					  .memlock = 8 << 20 };
	strcpy(w->traces[0].name, "default");
	w->traces[0] = (struct plane_trace){
		.name = "default", .pinned = true, .notes = true, .changes = true, .abi = VP_ABI_VERSION
	};
	w->f.traces = w->traces;
	w->f.n_traces = 1;
}

static void discharge(struct ward *w)
{
	model_free(&w->f.view.model);
}

/* ---- one change each ---- */

static void no_cap(struct ward *w)
{
	w->f.host.caps = 1ULL << 12 | 1ULL << 39;
}
static void no_net_admin(struct ward *w)
{
	w->f.host.caps = 1ULL << 21;
}
static void no_btf(struct ward *w)
{
	w->f.host.has = (struct plane_kernel){ false, false, false };
}
static void no_live(struct ward *w)
{
	w->f.host.has.live_devices = false;
}
static void no_tags(struct ward *w)
{
	w->f.host.has.veth_tags = false;
}
static void no_netdev(struct ward *w)
{
	w->f.host.netdev = false;
}
static void no_jit(struct ward *w)
{
	w->f.host.jit = NO;
}
static void hidden(struct ward *w)
{
	w->f.host.bpffs = false;
	w->traces[0].pinned = false;
}
static void no_bpffs(struct ward *w)
{
	w->f.host.bpffs = false;
	w->f.n_traces = 0;
}
static void old_and_tight(struct ward *w)
{
	w->f.host.kernel = KERNEL(5, 10);
}
static void old_abi(struct ward *w)
{
	w->traces[0].abi = 77;
}
static void half(struct ward *w)
{
	w->traces[0].pinned = false;
	w->traces[0].half_made = true;
}
static void left(struct ward *w)
{
	w->traces[0].pinned = false;
}
static void left_empty(struct ward *w)
{
	w->traces[0].pinned = w->traces[0].changes = false;
}

static void returned(struct ward *w)
{
	w->links[L_TAP].ifindex = 77;
	w->views[TAP].state = STATE_WAITING;
}
static void tc_gone(struct ward *w)
{
	w->ports[VETH].attached.tc_out = false;
}
static void xdp_gone(struct ward *w)
{
	w->ports[TAP].attached.xdp = false;
}
static void master(struct ward *w)
{
	w->links[L_TAP].master = 15;
	w->ports[TAP].master = &w->links[L_BR];
}
/* It came into a bridge before it could be had. */
static void master_keeps(struct ward *w)
{
	master(w);
	w->views[TAP].ifindex = 0;
	w->views[TAP].state = STATE_WAITING;
	w->ports[TAP].attached = (struct attachment){ 0 };
}
static void not_promisc(struct ward *w)
{
	w->ports[NIC].promisc = NO;
}
static void strips(struct ward *w)
{
	w->ports[NIC].rx_vlan = YES;
}
static void address(struct ward *w)
{
	w->ports[NIC].address = YES;
}
static void down(struct ward *w)
{
	w->links[L_TAP].up = w->links[L_TAP].running = false;
}
static void host_down(struct ward *w)
{
	w->links[L_VP].up = w->links[L_VP_P].running = false;
}
static void rename_it(struct ward *w)
{
	w->ports[TAP].renamed = true;
	strcpy(w->links[L_TAP].name, "new0");
}
static void small(struct ward *w)
{
	w->links[L_TAP].mtu = 1400;
	w->ports[TAP].mtu = (struct mtu_want){ 1500, conf(w, NIC), "lan" };
}
static void bound_large(struct ward *w)
{
	w->links[L_TAP].mtu = 9000;
	w->ports[TAP].mtu = (struct mtu_want){ 1500, conf(w, NIC), NULL };
}
static void ends(struct ward *w)
{
	w->links[L_VP].mtu = 1400;
}
static void generic(struct ward *w)
{
	w->ports[TAP].attached.generic = true;
}
static void other_carrier(struct ward *w)
{
	w->ports[NIC].today.carrier = CARRIER_TC;
}
static void now_target(struct ward *w)
{
	w->views[VETH].xdp_target = false;
}
static void no_target(struct ward *w)
{
	w->ports[NIC].today.target = false;
}
static void unnoticed(struct ward *w)
{
	w->links[L_VP_P].xdp_features = BASIC | REDIRECT;
}
static void few_queues(struct ward *w)
{
	conf(w, HOST)->carrier = CARRIER_XDP;
	w->ports[HOST].rx_queues = 1;
	w->ports[HOST].peer_tx_queues = 4;
	w->links[L_VP_P].xdp_features = 0;
	w->ports[HOST].today.carrier = CARRIER_XDP;
}
static void few_queues_far(struct ward *w)
{
	w->ports[VETH].rx_queues = 2;
	w->links[L_VETH].xdp_features = 0;
}
static void more_channels(struct ward *w)
{
	w->ports[HOST].attached.xdp = true;
	w->ports[HOST].queues_then = 1;
	w->ports[HOST].rx_queues = 4;
}
static void costs_tso(struct ward *w)
{
	w->ports[HOST].attached.xdp = true;
	w->ports[HOST].queues_then = w->ports[HOST].rx_queues = 4;
}
static struct tap_some some(int pid)
{
	return (struct tap_some){ 1, { .pid = pid, .comm = "vmm" } };
}
static void blocking(struct ward *w)
{
	w->ports[TAP].fds.blocking = some(42);
}
static void frags(struct ward *w)
{
	w->ports[TAP].fds.napi_frags = some(42);
}
static void sndbuf(struct ward *w)
{
	w->ports[TAP].fds.sndbuf = some(42);
}
static void gone(struct ward *w)
{
	w->ports[TAP].link = NULL;
	w->views[TAP].state = STATE_WAITING;
	w->views[TAP].ifindex = 0;
}
static void nic_gone(struct ward *w)
{
	w->ports[NIC].link = NULL;
	w->views[NIC].state = STATE_WAITING;
	w->f.host.nic_away = true;
}
static void pin_left(struct ward *w)
{
	w->ports[TAP].stale_link = true;
}
static void closed(struct ward *w)
{
	w->links[L_TAP].running = false;
	w->views[TAP].state = STATE_DEGRADED;
}
static void no_cable(struct ward *w)
{
	w->links[L_NIC].running = false;
}
static void gro_is_off(struct ward *w)
{
	w->links[L_VP_P].xdp_features = BASIC | REDIRECT;
	w->ports[HOST].peer_gro = NO;
}
static void gro_elsewhere(struct ward *w)
{
	w->links[L_VETH].xdp_features = BASIC | REDIRECT;
}
static void asked_generic(struct ward *w)
{
	w->ports[TAP].attached.generic = true;
	conf(w, TAP)->mode = MODE_GENERIC;
}
static void no_driver(struct ward *w)
{
	w->links[L_NIC].xdp_features = 0;
	w->views[NIC].carrier = w->ports[NIC].today.carrier = CARRIER_TC;
	w->ports[NIC].attached.xdp = false;
}
static void keeps_tags(struct ward *w)
{
	w->views[NIC].carrier = CARRIER_TC;
	w->ports[NIC].attached.xdp = false;
	w->ports[NIC].rx_vlan = YES;
}
static void two_of_four(struct ward *w)
{
	w->f.host.cpus = 4;
	w->links[L_TAP].tap_multi = true;
	w->links[L_TAP].tap_queues = 2;
}
static void bare(struct ward *w)
{
	w->links[L_TAP].tap_vnet = false;
}
static void on_a_bridge(struct ward *w)
{
	strcpy(w->links[L_NIC].kind, "bridge");
}

static const struct {
	void (*change)(struct ward *w);
	const char *id, *object, *says, *command;
	bool fixable;
} rows[] = {
	{ no_cap, "no-capability", "host", "lacks CAP_PERFMON:", "sudo vpeer doctor", false },
	{ no_net_admin, "no-capability", "host", "lacks CAP_NET_ADMIN:", "sudo vpeer doctor", false },
	{ no_btf, "no-btf", "host", "CONFIG_DEBUG_INFO_BTF", "", false },
	{ no_live, "kernel-live-devices", "host", "bpf_rdonly_cast (Linux 6.2)", "", false },
	{ no_tags, "kernel-veth-tags", "host", "Linux 6.8", "", false },
	{ no_netdev, "kernel-xdp-features", "host", "Linux 6.3", "", false },
	{ no_jit, "jit-off", "host", "interprets", "sysctl -w net.core.bpf_jit_enable=1", false },
	{ hidden, "bpffs-hidden", "host", "ip netns exec", "nsenter --net=/run/netns/NAME vpeer doctor", false },
	{ no_bpffs, "bpffs-missing", "host", "mounts one", "mount -t bpf bpf /sys/fs/bpf", false },
	{ old_and_tight, "memlock-low", "host", "8192 KiB here", "ulimit -l unlimited", false },
	{ old_abi, "plane-other-abi", "plane default", "ABI 77", "vpeer down", false },
	{ half, "plane-half-made", "plane default", "/sys/fs/bpf/vpeer/+default", "vpeer down", true },
	{ left, "plane-leftover", "plane default", "/run/vpeer/default/undo", "vpeer down", false },
	{ left_empty, "plane-leftover", "plane default", "empty directory", "vpeer down", false },
	{ returned, "needs-attach", "port a-tap", "made anew", "vpeer attach a-tap", true },
	{ tc_gone, "needs-attach", "port b-veth", "tc program is gone from egress of device g1", "vpeer attach b-veth",
	  true },
	{ xdp_gone, "needs-attach", "port a-tap", "XDP program is gone", "vpeer attach a-tap", true },
	{ master, "device-master", "port a-tap", "part of br0", "ip link set dev tap0 nomaster", true },
	{ master_keeps, "device-master", "port a-tap", "waits", "ip link set dev tap0 nomaster; vpeer attach a-tap",
	  false },
	{ not_promisc, "uplink-not-promisc", "port d-nic", "filters out", "ip link set dev eth1 promisc on", true },
	{ strips, "nic-vlan-strip", "port d-nic", "untagged", "ethtool -K eth1 rxvlan off", true },
	{ address, "uplink-address", "port d-nic", "host port", "ip addr flush dev eth1", false },
	{ down, "device-down", "port a-tap", "tap0 is down", "ip link set dev tap0 up", true },
	{ host_down, "device-down", "port c-vp0", "vp0 is down", "ip link set dev vp0 up", true },
	{ rename_it, "device-renamed", "port a-tap", "called new0 now", "vpeer port set a-tap device=new0", false },
	{ small, "mtu-differs", "port a-tap",
	  "MTU 1400, port d-nic in segment lan has 1500: larger frames to this port", "ip link set dev tap0 mtu 1500",
	  false },
	{ bound_large, "mtu-differs", "port a-tap", "port d-nic at the other end has 1500: its larger frames",
	  "ip link set dev tap0 mtu 1500", false },
	{ ends, "veth-mtu", "port c-vp0", "vp0-p 1500 and vp0 1400", "ip link set dev vp0 mtu 1500", false },
	{ generic, "xdp-generic", "port a-tap", "native is configured", "vpeer attach a-tap", true },
	{ other_carrier, "carrier-outdated", "port d-nic", "today it would be tc: so it is", "vpeer attach d-nic",
	  true },
	{ now_target, "target-outdated", "port b-veth", "go by tc", "vpeer attach b-veth", true },
	{ no_target, "target-outdated", "port d-nic", "takes no XDP frames any more", "vpeer attach d-nic", true },
	{ unnoticed, "veth-xmit-unnoticed", "port c-vp0", "did not notice",
	  "ethtool -K vp0 gro off; ethtool -K vp0 gro on", true },
	{ few_queues, "veth-queues", "port c-vp0", "1 rx queue and its other end vp0 sends on more",
	  "ethtool -L vp0-p rx 4", false },
	{ few_queues_far, "veth-queues", "port b-veth", "2 rx queues and its other end sends on more",
	  "ethtool -L END tx 2", false },
	{ more_channels, "veth-new-channels", "port c-vp0",
	  "had 1 rx queues when its XDP program was attached and has 4", "vpeer doctor --fix", true },
	{ costs_tso, "veth-xdp-tso", "port c-vp0", "segmentation", "vpeer port set c-vp0 carrier=tc", false },
	{ blocking, "tap-blocking", "port a-tap", "process 42 (vmm) has tap0 open in blocking mode",
	  "vpeer port set a-tap carrier=tc", false },
	{ frags, "tap-napi-frags", "port a-tap", "IFF_NAPI_FRAGS", "vpeer port set a-tap carrier=tc", false },
	{ sndbuf, "tap-sndbuf", "port a-tap", "sndbuf=0", "vpeer port set a-tap carrier=tc", false },
	{ gone, "device-absent", "port a-tap", "waits for it", "", false },
	{ nic_gone, "device-absent", "port d-nic", "given to a guest", "vpeer doctor --vfio", false },
	{ pin_left, "stale-link", "port a-tap", "no harm", "rm /sys/fs/bpf/vpeer/default/links/xdp_a-tap", true },
	{ closed, "far-end-down", "port a-tap", "no program has tap0 open", "", false },
	{ no_cable, "far-end-down", "port d-nic", "no carrier", "", false },
	{ gro_is_off, "veth-gro-off", "port c-vp0", "other end vp0 runs no NAPI", "ethtool -K vp0 gro on", true },
	{ gro_elsewhere, "veth-gro-off", "port b-veth", "another namespace", "ethtool -K END gro on", false },
	{ asked_generic, "mode-generic", "port a-tap", "slow", "vpeer port set a-tap mode=native", false },
	{ no_driver, "nic-no-xdp", "port d-nic", "tc carries", "", false },
	{ keeps_tags, "nic-keeps-tags-off", "port d-nic", "fixed", "", false },
	{ two_of_four, "tap-queues", "port a-tap", "2 queues open and the host 4 CPUs", "", false },
	{ bare, "tap-no-vnet-hdr", "port a-tap", "IFF_VNET_HDR", "", false },
	{ on_a_bridge, "bridge-nf", "port d-nic", "iptables", "sysctl -w net.bridge.bridge-nf-call-iptables=0", false },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct finding *find(const struct findings *f, const char *id, const char *object)
{
	for (size_t i = 0; i < f->n; i++)
		if (!strcmp(f->list[i].id, id) && !strcmp(f->list[i].object, object))
			return &f->list[i];
	return NULL;
}

static void a_healthy_plane_gives_no_finding(void **state)
{
	struct ward w;
	struct findings found;

	(void)state;
	admit(&w);
	assert_int_equal(doctor_judge(&w.f, &found), 0);
	if (found.n)
		fail_msg("%s of %s: %s", found.list[0].id, found.list[0].object, found.list[0].reason);
	findings_free(&found);
	discharge(&w);
}

static void each_change_gives_its_finding(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct ward w;
		struct findings found;
		const struct finding *one;

		admit(&w);
		rows[i].change(&w);
		assert_int_equal(doctor_judge(&w.f, &found), 0);
		one = find(&found, rows[i].id, rows[i].object);
		if (!one)
			fail_msg("row %zu: no %s of %s", i, rows[i].id, rows[i].object);
		if (!strstr(one->reason, rows[i].says))
			fail_msg("row %zu: \"%s\" is not in: %s", i, rows[i].says, one->reason);
		assert_string_equal(one->command, rows[i].command);
		assert_int_equal(one->fix != FIX_NONE, rows[i].fixable);
		/* One thing changed, so nothing else is the matter; but XDP on a veth is worth a note by itself. */
		if (found.n != 1 + (size_t)(rows[i].change == more_channels))
			fail_msg("row %zu (%s): also %s of %s", i, rows[i].id, found.list[one == &found.list[0]].id,
				 found.list[one == &found.list[0]].object);
		findings_free(&found);
		discharge(&w);
	}
}

static void every_rule_has_a_row_and_an_id_of_its_own(void **state)
{
	const struct doctor_rule *const tables[] = { doctor_host_rules, doctor_port_rules };
	const char *seen[100];
	size_t n = 0;

	(void)state;
	for (size_t t = 0; t < 2; t++)
		for (const struct doctor_rule *r = tables[t]; r->id; r++) {
			bool has_row = false;

			for (size_t i = 0; i < ROWS; i++)
				has_row |= !strcmp(rows[i].id, r->id);
			if (!has_row)
				fail_msg("no row makes %s", r->id);
			for (size_t i = 0; i < n; i++)
				assert_string_not_equal(seen[i], r->id);
			seen[n++] = r->id;
		}
}

static void what_is_not_known_is_not_found(void **state)
{
	struct ward w;
	struct findings found;

	(void)state;
	admit(&w);
	w.f.host.jit = w.f.host.br_nf = UNKNOWN;
	w.ports[NIC].promisc = w.ports[NIC].address = w.ports[NIC].rx_vlan = UNKNOWN;
	w.ports[HOST].peer = NULL;
	w.ports[HOST].peer_gro = UNKNOWN;
	w.links[L_VETH].has_xdp_features = w.links[L_VP_P].has_xdp_features = false;
	assert_int_equal(doctor_judge(&w.f, &found), 0);
	assert_int_equal(found.n, 0);
	findings_free(&found);
	discharge(&w);
}

static void a_loader_at_work_is_no_finding(void **state)
{
	struct ward w;
	struct findings found;

	(void)state;
	admit(&w);
	half(&w);
	w.traces[0].busy = true;
	assert_int_equal(doctor_judge(&w.f, &found), 0);
	assert_int_equal(found.n, 0);
	w.traces[0].half_made = false;
	assert_int_equal(doctor_judge(&w.f, &found), 0);
	assert_int_equal(found.n, 0);
	discharge(&w);
}

/* With 7.2 the kernel gives new queues the program. */
static void a_mended_kernel_has_no_new_channels(void **state)
{
	struct ward w;
	struct findings found;

	(void)state;
	admit(&w);
	more_channels(&w);
	w.f.host.kernel = KERNEL(7, 2);
	assert_int_equal(doctor_judge(&w.f, &found), 0);
	assert_null(find(&found, "veth-new-channels", "port c-vp0"));
	findings_free(&found);
	discharge(&w);
}

static void errors_come_first_and_only_they_fail(void **state)
{
	struct ward w;
	struct findings found, now = { 0 };

	(void)state;
	admit(&w);
	bare(&w);
	blocking(&w);
	assert_int_equal(doctor_judge(&w.f, &found), 0);
	assert_false(findings_bad(&found));
	findings_free(&found);
	not_promisc(&w);
	assert_int_equal(doctor_judge(&w.f, &found), 0);
	assert_int_equal(found.n, 3);
	assert_string_equal(found.list[0].id, "uplink-not-promisc");
	assert_string_equal(found.list[1].id, "tap-blocking");
	assert_string_equal(found.list[2].id, "tap-no-vnet-hdr");
	assert_true(findings_bad(&found));
	/* What is gone afterwards and could be fixed has been fixed; what could not just went. */
	assert_int_equal(doctor_mark_fixed(&now, &found), 0);
	assert_int_equal(now.n, 1);
	assert_string_equal(now.list[0].id, "uplink-not-promisc");
	assert_true(now.list[0].fixed);
	assert_false(findings_bad(&now));
	findings_free(&now);
	findings_free(&found);
	discharge(&w);
}

static char *printed(const struct findings *f, bool json)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	if (json)
		assert_int_equal(print_findings_json(out, f, "default"), 0);
	else
		print_findings(out, f, "default");
	fclose(out);
	return text;
}

static void print_fits_80_columns_and_json_has_every_field(void **state)
{
	struct ward w;
	struct findings found;
	json_error_t error;
	json_t *o;
	char *text;

	(void)state;
	admit(&w);
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].object[0] == 'p' && rows[i].change != gone && rows[i].change != nic_gone)
			rows[i].change(&w);
	assert_int_equal(doctor_judge(&w.f, &found), 0);
	assert_in_range(found.n, 10, 100);
	text = printed(&found, false);
	for (const char *line = text; *line; line = strchr(line, '\n') + 1)
		if (strncmp(line, "    $", 5) != 0)
			assert_in_range(strchr(line, '\n') - line, 0, 79);
	free(text);
	text = printed(&found, true);
	o = json_loads(text, 0, &error);
	assert_non_null(o);
	assert_int_equal(json_integer_value(json_object_get(o, "schema")), 1);
	json_t *list = json_object_get(o, "findings");
	assert_int_equal(json_array_size(list), found.n);
	for (size_t i = 0; i < found.n; i++) {
		static const char *const keys[] = {
			"id", "severity", "object", "reason", "command", "fixable", "fixed"
		};

		for (size_t k = 0; k < 7; k++)
			assert_non_null(json_object_get(json_array_get(list, i), keys[k]));
		assert_int_equal(json_object_size(json_array_get(list, i)), 7);
	}
	json_decref(o);
	free(text);
	findings_free(&found);
	discharge(&w);
}

/* A device's name may hold anything but blanks and slashes. */
static void a_wild_name_does_not_reach_the_terminal(void **state)
{
	struct ward w;
	struct findings found;

	(void)state;
	admit(&w);
	rename_it(&w);
	strcpy(w.links[L_TAP].name, "\033[2Jx");
	assert_int_equal(doctor_judge(&w.f, &found), 0);
	assert_null(strchr(found.list[0].reason, '\033'));
	assert_null(strchr(found.list[0].command, '\033'));
	assert_non_null(strstr(found.list[0].reason, "?[2Jx"));
	findings_free(&found);
	discharge(&w);
}

static void other_planes_are_named_in_commands(void **state)
{
	struct ward w;
	struct findings found;

	(void)state;
	admit(&w);
	w.f.plane = "lab.one";
	xdp_gone(&w);
	pin_left(&w);
	assert_int_equal(doctor_judge(&w.f, &found), 0);
	assert_string_equal(found.list[0].command, "vpeer --plane lab.one attach a-tap");
	assert_string_equal(found.list[1].command, "rm /sys/fs/bpf/vpeer/lab:one/links/xdp_a-tap");
	findings_free(&found);
	discharge(&w);
}

/* ---- MTUs ---- */

static void the_uplink_is_the_measure_else_the_most_common_mtu(void **state)
{
	static const struct {
		uint32_t mtu[PORTS], want[PORTS];
	} cases[] = {
		{ { 1500, 1500, 1500, 1500 }, { 0 } },
		{ { 1400, 1500, 1500, 1500 }, { 1500 } },
		{ { 1400, 1400, 1400, 1500 }, { 1500, 1500, 1500 } }, /* the uplink */
		{ { 1400, 1400, 9000, 0 }, { 0, 0, 1400 } },	      /* no uplink: the most common */
		{ { 1400, 9000, 0, 0 }, { 9000 } },		      /* as many: the larger */
		{ { 9000, 1400, 0, 0 }, { 0, 9000 } },
		{ { 0, 0, 0, 1500 }, { 0 } },
		{ { 0, 0, 0, 0 }, { 0 } },
	};
	struct ward w;

	(void)state;
	admit(&w);
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct mtu_want want[PORTS];

		mtu_compare(&w.f.view.model, cases[c].mtu, want);
		for (size_t i = 0; i < PORTS; i++) {
			assert_int_equal(want[i].mtu, cases[c].want[i]);
			if (want[i].mtu)
				assert_string_equal(want[i].segment, "lan");
		}
	}
	discharge(&w);
}

static void a_trunk_is_in_each_of_its_segments(void **state)
{
	const uint32_t mtu[PORTS] = { 1500, 1400, 1500, 1500 };
	struct mtu_want want[PORTS];
	struct findings found;
	struct segment s;
	struct ward w;

	(void)state;
	admit(&w);
	segment_init(&s);
	strcpy(s.name, "red");
	s.vlan = 7;
	assert_non_null(model_add_segment(&w.f.view.model, &s));
	conf(&w, NIC)->segment[0] = conf(&w, TAP)->segment[0] = 0;
	strcpy(conf(&w, VETH)->segment, "red");
	assert_int_equal(port_add_tagged(conf(&w, NIC), "red"), 0);
	mtu_compare(&w.f.view.model, mtu, want);
	assert_int_equal(want[VETH].mtu, 1500);
	assert_string_equal(want[VETH].segment, "red");
	assert_int_equal(want[TAP].mtu + want[HOST].mtu + want[NIC].mtu, 0);
	/* The NIC's XDP program meets the veth there. */
	gro_elsewhere(&w);
	assert_int_equal(doctor_judge(&w.f, &found), 0);
	assert_non_null(find(&found, "veth-gro-off", "port b-veth"));
	findings_free(&found);
	strcpy(conf(&w, VETH)->segment, "lan");
	assert_int_equal(doctor_judge(&w.f, &found), 0);
	assert_int_equal(found.n, 0);
	discharge(&w);
}

static void both_ends_of_a_binding_are_compared(void **state)
{
	const uint32_t mtu[PORTS] = { 1500, 9000, 1500, 9000 };
	struct binding b = { .a = "a-tap", .b = "d-nic" };
	struct mtu_want want[PORTS];
	struct ward w;

	(void)state;
	admit(&w);
	for (size_t i = 0; i < PORTS; i++)
		conf(&w, i)->segment[0] = 0;
	assert_non_null(model_add_binding(&w.f.view.model, &b));
	mtu_compare(&w.f.view.model, mtu, want);
	assert_int_equal(want[TAP].mtu, 9000);
	assert_null(want[TAP].segment);
	assert_string_equal(want[TAP].why->name, "d-nic");
	assert_int_equal(want[VETH].mtu + want[HOST].mtu + want[NIC].mtu, 0);
	discharge(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_healthy_plane_gives_no_finding),
		cmocka_unit_test(each_change_gives_its_finding),
		cmocka_unit_test(every_rule_has_a_row_and_an_id_of_its_own),
		cmocka_unit_test(what_is_not_known_is_not_found),
		cmocka_unit_test(a_loader_at_work_is_no_finding),
		cmocka_unit_test(a_mended_kernel_has_no_new_channels),
		cmocka_unit_test(errors_come_first_and_only_they_fail),
		cmocka_unit_test(print_fits_80_columns_and_json_has_every_field),
		cmocka_unit_test(a_wild_name_does_not_reach_the_terminal),
		cmocka_unit_test(other_planes_are_named_in_commands),
		cmocka_unit_test(the_uplink_is_the_measure_else_the_most_common_mtu),
		cmocka_unit_test(a_trunk_is_in_each_of_its_segments),
		cmocka_unit_test(both_ends_of_a_binding_are_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
