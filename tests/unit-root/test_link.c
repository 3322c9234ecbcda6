/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * link*.c against a real kernel: each test in a network namespace of its own that goes with the process.
 * `ip` and `ethtool` are the second opinion.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <linux/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define NDO_XMIT 4U /* NETDEV_XDP_ACT_NDO_XMIT */

static int first_ns = -1;

static int enter_namespace(void **state)
{
	(void)state;
	return unshare(CLONE_NEWNET);
}

static void sh(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static bool shell_says(const char *command)
{
	return system(command) == 0;
}

static struct link_info get(const char *name)
{
	struct link_info l;
	if (link_get(name, &l))
		fail_msg("no %s", name);
	return l;
}

static uint32_t make_veth(const char *a, const char *b)
{
	struct veth_spec spec = { .a = a, .b = b };
	assert_int_equal(link_create_veth(&spec), 0);
	return get(a).ifindex;
}

static int open_tun(const char *name, short flags)
{
	struct ifreq r = { .ifr_flags = (short)(flags | IFF_NO_PI) };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	assert_int_equal(ioctl(fd, TUNSETIFF, &r), 0);
	return fd;
}

static void empty_namespace_has_lo_only(void **state)
{
	(void)state;
	struct link_info *l = NULL;
	size_t n = 0;
	assert_int_equal(link_list(&l, &n), 0);
	/* Some kernels put tunl0 and the like into every namespace. */
	assert_true(n >= 1);
	assert_string_equal(l[0].name, "lo");
	assert_int_equal(l[0].ifindex, 1);
	assert_int_equal(l[0].type, LINK_OTHER);
	assert_int_equal(l[0].mtu, 65536);
	assert_false(l[0].up);
	assert_false(l[0].running);
	free(l);
}

static void absent_device_is_enodev(void **state)
{
	(void)state;
	struct link_info l;
	bool on;
	uint8_t mac[VP_MAC_LEN] = { 2, 0, 0, 0, 0, 1 };
	assert_int_equal(link_get("absent", &l), -ENODEV);
	assert_int_equal(link_get("", &l), -ENODEV);
	assert_int_equal(link_get("a-name-that-is-too-long", &l), -ENODEV);
	const uint32_t bad[] = { 0, 4242, UINT32_MAX };
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(link_get_index(bad[i], &l), -ENODEV);
		assert_int_equal(link_get_promisc(bad[i], &on), i < 2 ? -ENODEV : link_get_promisc(bad[i], &on));
	}
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(link_set_up(bad[i], true), -ENODEV);
		assert_int_equal(link_set_promisc(bad[i], true), -ENODEV);
		assert_int_equal(link_set_mtu(bad[i], 1400), -ENODEV);
		assert_int_equal(link_set_mac(bad[i], mac), -ENODEV);
		assert_int_equal(link_set_master(bad[i], 0), -ENODEV);
		assert_int_equal(link_delete(bad[i]), -ENODEV);
	}
	assert_int_equal(link_get_feature("absent", "rx-gro", &on), -ENODEV);
	assert_int_equal(link_set_feature("", "rx-gro", true), -ENODEV);
}

static void tap_is_told_from_tun(void **state)
{
	(void)state;
	int tap = open_tun("tap0", IFF_TAP | IFF_MULTI_QUEUE), tun = open_tun("tun0", IFF_TUN);
	struct link_info l = get("tap0");
	assert_int_equal(l.type, LINK_TAP);
	assert_string_equal(l.kind, "tun");
	assert_int_equal(l.peer, 0);
	assert_true(l.tx_queues > 1);
	assert_int_equal(get("tun0").type, LINK_OTHER);
	close(tap);
	close(tun);
}

static void veth_has_what_was_asked_for(void **state)
{
	(void)state;
	const uint8_t mac[VP_MAC_LEN] = { 2, 0x12, 0x34, 0x56, 0x78, 0x9a };
	struct veth_spec spec = { .a = "vp0",
				  .b = "vpb0",
				  .mac_a = mac,
				  .alias_a = "vpeer:default:vp0",
				  .alias_b = "vpeer:default:vp0.b",
				  .mtu = 1400 };
	assert_int_equal(link_create_veth(&spec), 0);
	struct link_info a = get("vp0"), b = get("vpb0"), peer;
	assert_int_equal(a.type, LINK_VETH);
	assert_string_equal(a.kind, "veth");
	assert_string_equal(a.alias, spec.alias_a);
	assert_string_equal(b.alias, spec.alias_b);
	assert_memory_equal(a.mac, mac, sizeof(mac));
	assert_int_equal(a.mtu, 1400);
	assert_int_equal(b.mtu, 1400);
	assert_false(a.up || b.up || a.running || b.running);
	assert_true(a.peer_here && b.peer_here);
	assert_int_equal(a.peer, b.ifindex);
	assert_int_equal(b.peer, a.ifindex);
	assert_int_equal(link_veth_peer(&a, &peer), 0);
	assert_string_equal(peer.name, "vpb0");
	assert_int_equal(link_veth_peer(&b, &peer), 0);
	assert_string_equal(peer.name, "vp0");
	assert_true(shell_says("ip -d link show vpb0 | grep -q 'addrgenmode none'"));
	assert_false(shell_says("ip -d link show vp0 | grep -q 'addrgenmode none'"));
}

static void veth_peer_elsewhere_is_known_as_such(void **state)
{
	(void)state;
	struct link_info l, peer;
	char command[80];
	int other = open("/proc/self/ns/net", O_RDONLY);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	make_veth("va", "vb");
	snprintf(command, sizeof(command), "ip link set vb netns /proc/%d/fd/%d", getpid(), other);
	sh(command);
	l = get("va");
	assert_int_equal(l.type, LINK_VETH);
	assert_true(l.peer > 0);
	assert_false(l.peer_here);
	assert_int_equal(link_veth_peer(&l, &peer), -ENODEV);
	close(other);
}

static void same_ifindex_elsewhere_is_not_the_peer(void **state)
{
	(void)state;
	struct link_info l, peer;
	char command[120];
	int other = open("/proc/self/ns/net", O_RDONLY);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	snprintf(command, sizeof(command),
		 "ip link add va index 77 type veth peer name vb index 77 netns /proc/%d/fd/%d", getpid(), other);
	sh(command);
	l = get("va");
	assert_int_equal(l.ifindex, 77);
	assert_int_equal(l.peer, 77);
	assert_false(l.peer_here);
	assert_int_equal(link_veth_peer(&l, &peer), -ENODEV);
	close(other);
}

static void lower_device_is_no_veth_peer(void **state)
{
	(void)state;
	make_veth("va", "vb");
	sh("ip link add mv0 link va type macvlan");
	struct link_info l = get("mv0"), peer, va = get("va");
	assert_int_equal(l.lower, va.ifindex);
	assert_int_equal(va.lower, 0);
	assert_int_equal(l.type, LINK_OTHER);
	assert_int_equal(l.peer, 0);
	assert_false(l.peer_here);
	assert_int_equal(link_veth_peer(&l, &peer), -ENODEV);
}

static void taken_name_makes_nothing(void **state)
{
	(void)state;
	struct link_info l;
	make_veth("va", "vb");
	struct veth_spec spec = { .a = "va", .b = "new" };
	assert_int_equal(link_create_veth(&spec), -EEXIST);
	assert_int_equal(link_get("new", &l), -ENODEV);
	spec = (struct veth_spec){ .a = "new", .b = "vb" };
	assert_int_equal(link_create_veth(&spec), -EEXIST);
	assert_int_equal(link_get("new", &l), -ENODEV);
	assert_int_equal(link_get("va", &l), 0);
	spec = (struct veth_spec){ .a = "name-of-16-chars", .b = "b" };
	assert_int_equal(link_create_veth(&spec), -EINVAL);
}

static void failed_creation_leaves_nothing(void **state)
{
	(void)state;
	struct link_info l;
	char alias[300];
	memset(alias, 'x', sizeof(alias));
	alias[sizeof(alias) - 1] = 0;
	struct veth_spec spec = { .a = "va", .b = "vb", .alias_a = "fine", .alias_b = alias };
	assert_int_equal(link_create_veth(&spec), -EINVAL);
	assert_int_equal(link_get("va", &l), -ENODEV);
	assert_int_equal(link_get("vb", &l), -ENODEV);
}

static void mtu_without_ipv6_is_fine(void **state)
{
	(void)state;
	struct veth_spec spec = { .a = "va", .b = "vb", .mtu = 900 };
	assert_int_equal(link_create_veth(&spec), 0);
	assert_int_equal(get("vb").mtu, 900);
}

static void settings_take_effect(void **state)
{
	(void)state;
	const uint8_t mac[VP_MAC_LEN] = { 2, 9, 8, 7, 6, 5 };
	uint32_t a = make_veth("va", "vb"), b = get("vb").ifindex;
	assert_int_equal(link_set_up(a, true), 0);
	assert_true(get("va").up);
	assert_false(get("va").running);
	assert_int_equal(link_set_up(b, true), 0);
	assert_true(get("va").running);
	assert_int_equal(link_set_up(b, false), 0);
	assert_false(get("vb").up);
	assert_true(get("va").up);
	assert_int_equal(link_set_mtu(a, 1300), 0);
	assert_int_equal(get("va").mtu, 1300);
	assert_int_equal(link_set_mtu(a, 7), -EINVAL);
	assert_int_equal(link_set_mac(a, mac), 0);
	assert_memory_equal(get("va").mac, mac, sizeof(mac));
	sh("ip link add br0 type bridge");
	assert_int_equal(link_set_master(a, get("br0").ifindex), 0);
	assert_int_equal(get("va").master, get("br0").ifindex);
	assert_true(shell_says("ip link show va | grep -q 'master br0'"));
	assert_int_equal(link_set_master(a, 0), 0);
	assert_int_equal(get("va").master, 0);
	assert_int_equal(link_delete(a), 0);
	assert_int_equal(link_delete(b), -ENODEV);
}

static void promisc_is_the_users_flag(void **state)
{
	(void)state;
	bool on = true;
	uint32_t a = make_veth("va", "vb");
	/* A bridge makes its ports promiscuous without the flag. */
	sh("ip link add br0 type bridge && ip link set va master br0");
	assert_int_equal(get("va").promiscuity, 1);
	assert_int_equal(link_get_promisc(a, &on), 0);
	assert_false(on);
	assert_int_equal(link_set_promisc(a, true), 0);
	assert_int_equal(link_get_promisc(a, &on), 0);
	assert_true(on);
	assert_int_equal(get("va").promiscuity, 2);
	assert_true(shell_says("ip link show va | grep -q PROMISC"));
	assert_false(get("va").up);
	assert_int_equal(link_set_promisc(a, false), 0);
	assert_int_equal(link_get_promisc(a, &on), 0);
	assert_false(on);
}

static bool has_address(uint32_t ifindex)
{
	bool has = false;
	assert_int_equal(link_has_address(ifindex, &has), 0);
	return has;
}

static void link_local_ipv6_is_no_address(void **state)
{
	(void)state;
	uint32_t a = make_veth("va", "vb"), b = get("vb").ifindex;
	assert_false(has_address(a));
	sh("ip link set va up && ip link set vb up && ip addr add fe80::1/64 dev va nodad");
	assert_false(has_address(a));
	sh("ip addr add fd00:198::1/32 dev va nodad");
	assert_true(has_address(a));
	assert_false(has_address(b));
	sh("ip addr del fd00:198::1/32 dev va && ip addr add 198.18.0.1 peer 198.18.0.2/32 dev va");
	assert_true(has_address(a));
	assert_false(has_address(b));
}

static void flush_takes_all_but_link_local(void **state)
{
	(void)state;
	char *text = NULL;
	uint32_t a = make_veth("va", "vb");
	sh("ip link set va up && ip link set vb up && ip addr add 198.18.7.7/24 dev vb");
	sh("ip addr add 198.18.0.1/24 dev va && ip addr add 198.18.0.2/24 dev va");
	sh("ip addr add 198.18.1.1 peer 198.18.1.2/32 dev va && ip addr add fd00:198::1/32 dev va nodad");
	assert_int_equal(link_addresses(a, &text), 0);
	link_kept_names(text);
	assert_string_equal(text, "198.18.0.1/24,198.18.1.1/32,198.18.0.2/24,fd00:198::1/32");
	free(text);
	assert_int_equal(link_flush_addresses(a), 0);
	assert_false(has_address(a));
	assert_int_equal(link_addresses(a, &text), 0);
	assert_string_equal(text, "");
	free(text);
	assert_true(shell_says("ip addr show va | grep -q 'inet6 fe80'"));
	assert_true(has_address(get("vb").ifindex));
}

static void secondaries_go_with_their_primary(void **state)
{
	(void)state;
	uint32_t a = make_veth("va", "vb");
	for (int promote = 0; promote < 2; promote++) {
		char path[64] = "/proc/sys/net/ipv4/conf/all/promote_secondaries";
		FILE *f = fopen(path, "w");
		assert_non_null(f);
		fprintf(f, "%d", promote);
		fclose(f);
		sh("for i in 1 2 3 4; do ip addr add 198.18.0.$i/24 dev va; done");
		assert_int_equal(link_flush_addresses(a), 0);
		assert_false(has_address(a));
	}
}

static bool has_route(const char *device)
{
	uint32_t *list, ifindex = get(device).ifindex;
	size_t n;
	bool has = false;
	assert_int_equal(link_routed(&list, &n), 0);
	for (size_t i = 0; i < n; i++)
		has |= list[i] == ifindex;
	free(list);
	return has;
}

static void default_route_is_found(void **state)
{
	(void)state;
	make_veth("va", "vb");
	assert_false(has_route("va"));
	sh("ip link set va up && ip link set vb up && ip addr add 198.18.0.1/24 dev va");
	sh("ip addr add 198.18.1.1/24 dev vb");
	sh("ip route add 198.19.0.0/16 via 198.18.0.9 && ip route add default via 198.18.0.9 table 100");
	sh("ip route add blackhole default metric 9");
	assert_false(has_route("va"));
	sh("ip route add default via 198.18.0.9");
	assert_true(has_route("va"));
	assert_false(has_route("vb"));
	sh("ip route del default via 198.18.0.9");
	assert_false(has_route("va"));
	sh("ip route add default nexthop via 198.18.0.9 nexthop via 198.18.1.9");
	assert_true(has_route("va"));
	assert_true(has_route("vb"));
	assert_false(has_route("lo"));
}

static void default_route_of_ipv6_is_found(void **state)
{
	(void)state;
	make_veth("va", "vb");
	sh("ip link set va up && ip link set vb up && ip -6 addr add fd00:198::1/32 dev va nodad");
	assert_false(has_route("va"));
	sh("ip -6 route add default via fd00:198::9 dev va table 100");
	assert_false(has_route("va"));
	sh("ip -6 route add default via fd00:198::9 dev va");
	assert_true(has_route("va"));
	assert_false(has_route("vb"));
}

static void feature_is_set_by_name(void **state)
{
	(void)state;
	bool on = true;
	make_veth("va", "vb");
	assert_int_equal(link_get_feature("va", "rx-gro", &on), 0);
	assert_false(on);
	assert_int_equal(link_set_feature("va", "rx-gro", true), 0);
	assert_int_equal(link_get_feature("va", "rx-gro", &on), 0);
	assert_true(on);
	assert_int_equal(link_set_feature("va", "rx-vlan-hw-parse", false), 0);
	assert_int_equal(link_get_feature("va", "rx-vlan-hw-parse", &on), 0);
	assert_false(on);
	assert_true(shell_says("ethtool -k va | grep -q '^generic-receive-offload: on'"));
	assert_true(shell_says("ethtool -k va | grep -q '^rx-vlan-offload: off'"));
	assert_int_equal(link_set_feature("va", "rx-gro", false), 0);
	assert_true(shell_says("ethtool -k va | grep -q '^generic-receive-offload: off'"));
	assert_true(shell_says("ethtool -k vb | grep -q '^rx-vlan-offload: on'"));
}

static void fixed_and_unknown_features_are_refused(void **state)
{
	(void)state;
	bool on = true;
	make_veth("va", "vb");
	assert_int_equal(link_get_feature("va", "rx-of-the-future", &on), -EOPNOTSUPP);
	assert_int_equal(link_set_feature("va", "rx-of-the-future", true), -EOPNOTSUPP);
	assert_int_equal(link_get_feature("lo", "rx-vlan-hw-parse", &on), 0);
	assert_false(on);
	assert_int_equal(link_set_feature("lo", "rx-vlan-hw-parse", true), -EOPNOTSUPP);
	assert_int_equal(link_set_feature("lo", "rx-vlan-hw-parse", false), 0);
}

static bool kernel_is_before(int major, int minor)
{
	struct utsname u;
	int a = 0, b = 0;

	assert_int_equal(uname(&u), 0);
	assert_int_equal(sscanf(u.release, "%d.%d", &a, &b), 2);
	return a < major || (a == major && b < minor);
}

static void queues_in_use_are_told(void **state)
{
	(void)state;
	uint32_t rx = 0, tx = 0;
	sh("ip link add va numrxqueues 3 numtxqueues 2 type veth peer name vb");
	assert_int_equal(link_get_queues("va", &rx, &tx), 0);
	assert_int_equal(rx, 3);
	assert_int_equal(tx, 2);
	assert_int_equal(get("va").rx_queues, 3);
	assert_int_equal(get("va").tx_queues, 2);
	int tap = open_tun("tap0", IFF_TAP);
	int err = link_get_queues("tap0", &rx, &tx);

	if (kernel_is_before(6, 12)) { /* in 6.1 a TAP does not tell */
		assert_true(err == -EOPNOTSUPP || err == 0);
	} else {
		assert_int_equal(err, 0);
		assert_int_equal(rx, 1);
		assert_int_equal(tx, 1);
	}
	close(tap);
	assert_int_equal(link_get_queues("lo", &rx, &tx), -EOPNOTSUPP);
}

/* `r0 = 2; exit`: XDP_PASS. */
static int load_xdp(void)
{
	const struct bpf_insn pass[] = { { .code = 0xb7, .imm = 2 }, { .code = 0x95 } };
	union bpf_attr a = { .prog_type = BPF_PROG_TYPE_XDP, .insn_cnt = 2 };
	a.insns = (uintptr_t)pass;
	a.license = (uintptr_t) "GPL";
	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));
}

static int attach_xdp(int prog, uint32_t ifindex, uint32_t flags)
{
	union bpf_attr a = { .link_create = { .prog_fd = (uint32_t)prog, .target_ifindex = ifindex } };
	a.link_create.attach_type = BPF_XDP;
	a.link_create.flags = flags;
	return (int)syscall(SYS_bpf, BPF_LINK_CREATE, &a, sizeof(a));
}

static void xdp_program_and_features_are_seen(void **state)
{
	(void)state;
	struct bpf_prog_info info = { 0 };
	uint32_t a = make_veth("va", "vb"), b = get("vb").ifindex;
	sh("ip link set va up && ip link set vb up");
	if (!get("va").has_xdp_features)
		skip(); /* before Linux 6.3 */
	assert_int_equal(get("vb").xdp_prog, 0);
	assert_false(get("va").xdp_features & NDO_XMIT);
	/* A veth takes XDP frames once its peer has a program or GRO. */
	int prog = load_xdp(), link = attach_xdp(prog, b, 1U << 2);
	assert_true(prog >= 0 && link >= 0);
	union bpf_attr q = { .info = { .bpf_fd = (uint32_t)prog, .info_len = sizeof(info), .info = (uintptr_t)&info } };
	assert_int_equal(syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &q, sizeof(q)), 0);
	assert_int_equal(get("vb").xdp_prog, info.id);
	assert_true(get("va").xdp_features & NDO_XMIT);
	struct link_info *l = NULL;
	size_t n = 0;
	assert_int_equal(link_list(&l, &n), 0);
	for (size_t i = 0; i < n; i++) {
		assert_true(l[i].has_xdp_features);
		assert_int_equal(!!(l[i].xdp_features & NDO_XMIT), l[i].ifindex == a);
		assert_int_equal(l[i].xdp_prog, l[i].ifindex == b ? info.id : 0);
	}
	free(l);
	close(link);
	/* Generic mode too. */
	link = attach_xdp(prog, b, 1U << 1);
	assert_int_equal(get("vb").xdp_prog, info.id);
	close(link);
	close(prog);
}

static void lost_frames_are_counted(void **state)
{
	(void)state;
	make_veth("va", "vb");
	sh("ip link set va up && ip link set vb up && ip addr add 198.18.0.1/24 dev va");
	sh("ip neigh add 198.18.0.2 lladdr 02:00:00:00:00:02 dev va && ethtool -K vb gro on");
	uint64_t before = get("va").tx_lost;
	/* The far end's MTU is smaller: what is larger is dropped by the sender. */
	sh("ip link set vb mtu 100 && ping -c 3 -i 0.01 -W 1 -s 1000 198.18.0.2 >/dev/null 2>&1; true");
	assert_true(get("va").tx_lost >= before + 3);
	assert_int_equal(get("vb").tx_lost, 0);
}

static void thousand_pairs_are_listed_and_deleted(void **state)
{
	(void)state;
	enum {
		PAIRS = 600
	};
	static uint32_t ends[2 * PAIRS + 1];
	struct link_info *l = NULL;
	size_t n = 0, base = 0;
	assert_int_equal(link_list(&l, &base), 0);
	free(l);
	for (size_t i = 0; i < PAIRS; i++) {
		char a[16], b[16];
		snprintf(a, sizeof(a), "a%zu", i);
		snprintf(b, sizeof(b), "b%zu", i);
		ends[2 * i] = make_veth(a, b);
		ends[2 * i + 1] = get(b).ifindex;
	}
	assert_int_equal(link_list(&l, &n), 0);
	assert_int_equal(n, base + 2 * PAIRS);
	for (size_t i = 1; i < n; i++)
		assert_true(l[i].ifindex > l[i - 1].ifindex);
	assert_int_equal(l[n - 1].type, LINK_VETH);
	free(l);
	/* Both ends: each second one is gone when its turn comes. */
	ends[2 * PAIRS] = 99999;
	assert_int_equal(link_delete_many(ends, 2 * PAIRS + 1), 0);
	assert_int_equal(link_list(&l, &n), 0);
	assert_int_equal(n, base);
	free(l);
}

static void failed_deletion_does_not_stop_the_others(void **state)
{
	(void)state;
	struct link_info l;
	uint32_t a = make_veth("va", "vb");
	const uint32_t all[] = { 1, a };
	assert_int_equal(link_delete_many(NULL, 0), 0);
	/* lo cannot be deleted. */
	assert_int_equal(link_delete_many(all, 2), -EOPNOTSUPP);
	assert_int_equal(link_get("va", &l), -ENODEV);
}

static void only_the_named_ones_are_deleted(void **state)
{
	(void)state;
	uint32_t all[7] = { 1, 0, 0, 0, 0, 0, 4242 };
	struct link_info l;
	for (int i = 1; i < 5; i++) {
		char a[16], b[16];
		snprintf(a, sizeof(a), "a%d", i);
		snprintf(b, sizeof(b), "b%d", i);
		all[i] = make_veth(a, b);
	}
	make_veth("other", "otherb");
	sh("ip link add br0 type bridge && ip link add br1 type bridge && ip link set other group 7");
	all[5] = get("br0").ifindex;
	assert_int_equal(get("other").group, 7);
	assert_int_equal(link_delete_many(all, 7), -EOPNOTSUPP);
	for (int i = 1; i < 6; i++)
		assert_int_equal(link_get_index(all[i], &l), -ENODEV);
	assert_int_equal(get("other").group, 7);
	assert_int_equal(get("otherb").group, 0);
	assert_int_equal(get("br1").group, 0);
	assert_int_equal(get("lo").group, 0);
}

/* While another process makes and deletes devices, the kernel calls some dumps inconsistent. */
static void list_is_complete_under_churn(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		char a[16], b[16];
		snprintf(a, sizeof(a), "a%d", i);
		snprintf(b, sizeof(b), "b%d", i);
		make_veth(a, b);
	}
	pid_t churn = fork();
	if (!churn) {
		for (int i = 0; i < 60; i++) {
			struct veth_spec spec = { .a = "churn", .b = "churnb" };
			struct link_info l;
			if (link_create_veth(&spec) || link_get("churn", &l) || link_delete(l.ifindex))
				_exit(1);
		}
		_exit(0);
	}
	for (int i = 0; i < 60; i++) {
		struct link_info *l = NULL;
		size_t n = 0, seen = 0;
		assert_int_equal(link_list(&l, &n), 0);
		for (size_t j = 0; j < n; j++)
			seen += l[j].name[0] == 'a' || (l[j].name[0] == 'b');
		free(l);
		assert_int_equal(seen, 200);
	}
	int status = 1;
	assert_int_equal(waitpid(churn, &status, 0), churn);
	assert_int_equal(status, 0);
}

static void cookie_names_the_namespace(void **state)
{
	(void)state;
	uint64_t here = 0, again = 0, there = 0;
	assert_int_equal(link_netns_cookie(&here), 0);
	assert_int_equal(link_netns_cookie(&again), 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(link_netns_cookie(&there), 0);
	assert_true(here && here == again && there != here);
}

/* Only reads, and where the test was started: a NIC has a parent device and no kind. tests/isolate.sh -n has none. */
static void nic_is_physical(void **state)
{
	(void)state;
	struct link_info *l = NULL;
	size_t n = 0, nics = 0;
	assert_int_equal(setns(first_ns, CLONE_NEWNET), 0);
	assert_int_equal(link_list(&l, &n), 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	for (size_t i = 0; i < n; i++) {
		char path[80];
		struct stat st;
		snprintf(path, sizeof(path), "/sys/class/net/%s/device", l[i].name);
		bool nic = !stat(path, &st);
		nics += nic;
		assert_int_equal(l[i].type == LINK_PHYSICAL, nic);
	}
	free(l);
	print_message("%zu network cards\n", nics);
}

#define TEST(f) cmocka_unit_test_setup(f, enter_namespace)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(empty_namespace_has_lo_only),
		TEST(absent_device_is_enodev),
		TEST(tap_is_told_from_tun),
		TEST(veth_has_what_was_asked_for),
		TEST(veth_peer_elsewhere_is_known_as_such),
		TEST(same_ifindex_elsewhere_is_not_the_peer),
		TEST(lower_device_is_no_veth_peer),
		TEST(taken_name_makes_nothing),
		TEST(failed_creation_leaves_nothing),
		TEST(mtu_without_ipv6_is_fine),
		TEST(settings_take_effect),
		TEST(promisc_is_the_users_flag),
		TEST(link_local_ipv6_is_no_address),
		TEST(flush_takes_all_but_link_local),
		TEST(secondaries_go_with_their_primary),
		TEST(default_route_is_found),
		TEST(default_route_of_ipv6_is_found),
		TEST(feature_is_set_by_name),
		TEST(fixed_and_unknown_features_are_refused),
		TEST(queues_in_use_are_told),
		TEST(xdp_program_and_features_are_seen),
		TEST(lost_frames_are_counted),
		TEST(failed_deletion_does_not_stop_the_others),
		TEST(only_the_named_ones_are_deleted),
		TEST(thousand_pairs_are_listed_and_deleted),
		TEST(list_is_complete_under_churn),
		TEST(cookie_names_the_namespace),
		TEST(nic_is_physical),
	};
	first_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
