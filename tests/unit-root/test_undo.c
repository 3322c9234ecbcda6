/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * undo.c: devices in a network namespace of the test's own, records on a small tmpfs over /run/vpeer in a mount
 * namespace of its own. Both go with the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hold.h"
#include "undo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define PLANE	  "test"
#define DIRECTORY "/run/vpeer/" PLANE
#define UNDO	  DIRECTORY "/undo"

static struct link_info va;

static void refresh(void)
{
	assert_int_equal(link_get("va", &va), 0);
}

static int enter(void **state)
{
	(void)state;
	struct veth_spec spec = { .a = "va", .b = "vb" };
	if (unshare(CLONE_NEWNET) || mount("tmpfs", "/run/vpeer", "tmpfs", 0, "size=64k,mode=0755"))
		return -1;
	if (link_create_veth(&spec) || link_get("va", &va))
		return -1;
	return 0;
}

static int leave(void **state)
{
	(void)state;
	return umount("/run/vpeer");
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

static void write_records(const char *text)
{
	assert_true(!mkdir(DIRECTORY, 0755) || errno == EEXIST);
	FILE *f = fopen(UNDO, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Of what is kept of an address or a route only the name. */
static void cut_messages(char *text)
{
	char *to = text;
	for (; *text; text += *text == '=' ? strspn(text, "=0123456789abcdef") : 1)
		if (*text != '=')
			*to++ = *text;
	*to = 0;
}

/* Without what ends each record of our own writing: the device's address, the namespace's cookie. */
static void cut_identity(char *text)
{
	char *to = text;
	for (const char *at = text, *end; *at; at = end + 1) {
		end = strchr(at, '\n');
		const char *last = memrchr(at, ' ', (size_t)(end - at));
		bool has = last && last - at > 18 && last[-18] == ' ' && last[-15] == ':' && last[-3] == ':';
		size_t len = (size_t)((has ? last - 18 : end) - at);
		memmove(to, at, len);
		to += len;
		*to++ = '\n';
	}
	*to = 0;
}

/* The records, with N for va's ifindex. */
static void expect_records(const char *want)
{
	char *text = NULL, *expected = calloc(1, 4096), *out = expected;
	for (; *want; want++)
		out += *want == 'N' ? sprintf(out, "%u", va.ifindex) : sprintf(out, "%c", *want);
	assert_int_equal(undo_read(PLANE, &text), 0);
	cut_messages(text);
	cut_identity(text);
	assert_string_equal(text, expected);
	free(text);
	free(expected);
}

static bool promisc(void)
{
	bool on = false;
	assert_int_equal(link_get_promisc(va.ifindex, &on), 0);
	return on;
}

static bool feature(const char *name)
{
	bool on = false;
	assert_int_equal(link_get_feature(va.name, name, &on), 0);
	return on;
}

static void every_key_is_changed_and_put_back(void **state)
{
	(void)state;
	sh("ip link add br0 type bridge && ip link set va master br0");
	refresh();
	assert_true(feature("rx-vlan-hw-parse"));
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	assert_int_equal(undo_gro(PLANE, &va), 0);
	assert_int_equal(undo_rxvlan(PLANE, &va), 0);
	assert_int_equal(undo_up(PLANE, &va), 0);
	assert_int_equal(undo_master(PLANE, &va), 0);
	refresh();
	assert_true(promisc() && feature("rx-gro") && !feature("rx-vlan-hw-parse") && va.up && !va.master);
	expect_records("N va promisc 0 1\nN va gro 0 1\nN va rxvlan 1 0\nN va up 0 1\n"
		       "N va master br0,options,vlans -\n");
	assert_int_equal(undo_restore(PLANE, 0), 0);
	refresh();
	assert_true(!promisc() && !feature("rx-gro") && feature("rx-vlan-hw-parse") && !va.up && va.master);
	expect_records("");
	assert_int_equal(access(UNDO, F_OK), -1);
	assert_int_equal(undo_forget(PLANE), 0);
	assert_int_equal(access(DIRECTORY, F_OK), -1);
}

static void what_is_so_already_is_not_recorded(void **state)
{
	(void)state;
	sh("ip link set va up promisc on && ethtool -K va gro on rxvlan off");
	/* The caller may know an older state. */
	assert_false(va.up);
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	assert_int_equal(undo_gro(PLANE, &va), 0);
	assert_int_equal(undo_rxvlan(PLANE, &va), 0);
	assert_int_equal(undo_up(PLANE, &va), 0);
	assert_int_equal(undo_master(PLANE, &va), 0);
	assert_int_equal(undo_flush_addresses(PLANE, &va), 0);
	expect_records("");
	assert_int_equal(access(DIRECTORY, F_OK), -1);
	assert_int_equal(undo_restore(PLANE, 0), 0);
	refresh();
	assert_true(promisc() && va.up);
}

static void second_run_changes_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(undo_promisc(PLANE, &va), 0);
	expect_records("N va promisc 0 1\n");
}

/* Whoever died in the midst of putting a bridge's port back has only made it one. */
static void half_a_port_becomes_a_whole_one(void **state)
{
	(void)state;
	sh("ip link add br0 type bridge && ip link set va master br0 && bridge link set dev va isolated on");
	refresh();
	assert_int_equal(undo_master(PLANE, &va), 0);
	sh("ip link set va master br0");
	assert_false(shell_says("bridge -d link show dev va | grep -q 'isolated on'"));
	assert_int_equal(undo_restore(PLANE, 0), 0);
	assert_true(shell_says("bridge -d link show dev va | grep -q 'isolated on'"));
	expect_records("");
}

static void what_others_changed_is_left(void **state)
{
	(void)state;
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	assert_int_equal(undo_up(PLANE, &va), 0);
	sh("ip link set va down && ip link set va up promisc off");
	sh("ip link add br0 type bridge && ip link add br1 type bridge && ip link set va master br0");
	refresh();
	assert_int_equal(undo_master(PLANE, &va), 0);
	sh("ip link set va master br1");
	assert_int_equal(undo_restore(PLANE, 0), 0);
	refresh();
	assert_false(promisc());
	assert_false(va.up);
	assert_true(shell_says("ip link show va | grep -q 'master br1'"));
	expect_records("");
}

static void one_device_at_a_time(void **state)
{
	(void)state;
	struct link_info vb;
	assert_int_equal(link_get("vb", &vb), 0);
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	assert_int_equal(undo_promisc(PLANE, &vb), 0);
	assert_int_equal(undo_up(PLANE, &va), 0);
	assert_int_equal(undo_restore(PLANE, vb.ifindex), 0);
	refresh();
	assert_true(promisc() && va.up);
	assert_false(shell_says("ip link show vb | grep -q PROMISC"));
	expect_records("N va promisc 0 1\nN va up 0 1\n");
	assert_int_equal(undo_restore(PLANE, 4242), 0);
	expect_records("N va promisc 0 1\nN va up 0 1\n");
	assert_int_equal(undo_restore(PLANE, va.ifindex), 0);
	expect_records("");
	assert_false(promisc());
}

static void renamed_device_is_found(void **state)
{
	(void)state;
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	assert_int_equal(undo_gro(PLANE, &va), 0);
	sh("ip link set va name other");
	assert_int_equal(link_get("other", &va), 0);
	assert_int_equal(undo_up(PLANE, &va), 0);
	assert_int_equal(undo_restore(PLANE, va.ifindex), 0);
	expect_records("");
	assert_false(promisc());
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	assert_int_equal(undo_gro(PLANE, &va), 0);
	sh("ip link set other name another");
	assert_int_equal(link_get("another", &va), 0);
	assert_int_equal(undo_restore(PLANE, va.ifindex), 0);
	assert_false(promisc());
	assert_false(feature("rx-gro"));
	expect_records("");
}

static void device_that_came_anew_is_left(void **state)
{
	(void)state;
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	assert_int_equal(undo_up(PLANE, &va), 0);
	sh("ip link del va && ip link add va type veth peer name vb && ip link set va promisc on up");
	assert_int_equal(undo_restore(PLANE, 0), 0);
	refresh();
	assert_true(promisc() && va.up);
	expect_records("");
}

/* A device that comes from another namespace keeps its number there. */
static void a_stranger_with_the_number_is_left(void **state)
{
	(void)state;
	char text[200];
	sh("ip link set va up promisc on");
	snprintf(text, sizeof(text), "%u gone promisc 0 1 52:54:00:00:00:99\n%u gone up 0 1 52:54:00:00:00:99\n",
		 va.ifindex, va.ifindex);
	write_records(text);
	assert_int_equal(undo_restore(PLANE, 0), 0);
	refresh();
	assert_true(promisc() && va.up);
	expect_records("");
	snprintf(text, sizeof(text), "%u va promisc 0 1 52:54:00:00:00:99 4711\n", va.ifindex);
	write_records(text);
	assert_int_equal(undo_restore(PLANE, 0), -EXDEV);
	assert_true(promisc());
	write_records("");
	/* Another address or another name: it is still the same. */
	assert_int_equal(undo_gro(PLANE, &va), 0);
	sh("ip link set va address 52:54:00:00:00:98");
	assert_int_equal(undo_restore(PLANE, 0), 0);
	assert_false(feature("rx-gro"));
}

static void a_half_done_flush_is_put_back(void **state)
{
	(void)state;
	char text[200];
	snprintf(text, sizeof(text), "%u va addr 198.18.0.1/24,198.18.1.1/24,fd00:198::1/32 -\n", va.ifindex);
	sh("ip addr add 198.18.1.1/24 dev va");
	write_records(text);
	assert_int_equal(undo_restore(PLANE, 0), 0);
	assert_true(shell_says("ip addr show dev va | grep -q '198.18.0.1/24'"));
	assert_true(shell_says("ip addr show dev va | grep -q '198.18.1.1/24'"));
	assert_true(shell_says("ip addr show dev va | grep -q 'fd00:198::1/32'"));
	expect_records("");
	/* One of somebody else beside them: 198.18.1.1/2 is not in the list. */
	sh("ip addr flush dev va && ip addr add 198.18.1.1/2 dev va");
	write_records(text);
	assert_int_equal(undo_restore(PLANE, 0), 0);
	assert_false(shell_says("ip addr show dev va | grep -q '198.18.0.1/24'"));
}

static void master_that_is_gone_is_forgotten(void **state)
{
	(void)state;
	sh("ip link add br0 type bridge && ip link set va master br0");
	assert_int_equal(undo_master(PLANE, &va), 0);
	sh("ip link del br0");
	assert_int_equal(undo_restore(PLANE, 0), 0);
	expect_records("");
}

static void latest_change_is_put_back_first(void **state)
{
	(void)state;
	char text[200];
	sh("ip link set va down");
	snprintf(text, sizeof(text), "%u va up 0 1\n%u va up 1 0\n", va.ifindex, va.ifindex);
	write_records(text);
	assert_int_equal(undo_restore(PLANE, 0), 0);
	refresh();
	assert_false(va.up);
	expect_records("");
}

static void a_device_that_is_held_is_released(void **state)
{
	struct link_info vb;
	uint32_t *held = NULL;
	size_t n = 0;
	int fd = -1, other = -1, pid = 0;

	(void)state;
	assert_int_equal(undo_up(PLANE, &va), 0);
	assert_int_equal(link_get("vb", &vb), 0);
	assert_int_equal(undo_up(PLANE, &vb), 0);
	assert_int_equal(undo_hold(PLANE, &va), 0);
	refresh();
	assert_false(va.up);
	assert_int_equal(undo_held(PLANE, &held, &n), 0);
	assert_true(n == 1 && held[0] == va.ifindex);
	free(held);
	/* Only while a `watch` runs does it count. */
	assert_false(hold_in_force(PLANE, va.ifindex));
	assert_int_equal(hold_lock(PLANE, &fd, &pid), 0);
	assert_true(hold_watched(PLANE) && hold_in_force(PLANE, va.ifindex) && !hold_in_force(PLANE, vb.ifindex));
	assert_int_equal(hold_lock(PLANE, &other, &pid), -EAGAIN);
	assert_int_equal(pid, getpid());
	assert_int_equal(hold_sweep(PLANE), 0);
	refresh();
	assert_false(va.up);
	close(fd);
	assert_int_equal(undo_release(PLANE, vb.ifindex), 0);
	refresh();
	assert_false(va.up);
	assert_int_equal(hold_sweep(PLANE), 0);
	refresh();
	assert_true(va.up);
	/* What `up` had changed is still known. */
	assert_int_equal(undo_held(PLANE, &held, &n), 0);
	assert_true(!n && !held);
	assert_int_equal(undo_restore(PLANE, 0), 0);
	refresh();
	assert_false(va.up);
	expect_records("");
}

static void held_twice_is_released_once(void **state)
{
	(void)state;
	sh("ip link set va up");
	refresh();
	assert_int_equal(undo_hold(PLANE, &va), 0);
	assert_int_equal(undo_hold(PLANE, &va), 0);
	expect_records("N va held 1 0\n");
	sh("ip link set va up"); /* by hand: then there is nothing to put back */
	assert_int_equal(undo_release(PLANE, 0), 0);
	expect_records("");
	refresh();
	assert_true(va.up);
}

/* The file is root's, and yet: what is no message of the kernel's is refused and kept. */
static void a_broken_message_is_refused(void **state)
{
	(void)state;
	const char *bad[] = { "198.18.0.1/24=0", "198.18.0.1/24=zz", "198.18.0.1/24=0218",
			      "198.18.0.1/24=02180000x", "=", "a=b,c" };
	char text[128];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "%u va %s %s -\n", va.ifindex, i % 2 ? "routes" : "addr", bad[i]);
		write_records(text);
		assert_int_equal(undo_restore(PLANE, 0), -EBADMSG);
	}
	assert_int_equal(undo_forget(PLANE), 0);
}

static void addresses_come_back(void **state)
{
	(void)state;
	bool has = true;
	sh("ip addr add 198.18.0.1/24 dev va && ip addr add fd00:198::1/32 dev va nodad");
	assert_int_equal(undo_flush_addresses(PLANE, &va), 0);
	assert_int_equal(link_has_address(va.ifindex, &has), 0);
	assert_false(has);
	expect_records("N va addr 198.18.0.1/24,fd00:198::1/32 -\n");
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	assert_int_equal(undo_restore(PLANE, 0), 0);
	assert_false(promisc());
	expect_records("");
	assert_true(shell_says("ip addr show dev va | grep -q '198.18.0.1/24'"));
	assert_true(shell_says("ip addr show dev va | grep -q 'fd00:198::1/32'"));
	/* One whose time is up meanwhile is not made again. */
	sh("ip addr add 198.18.3.1/24 dev va valid_lft 1 preferred_lft 1");
	assert_int_equal(undo_flush_addresses(PLANE, &va), 0);
	sleep(2);
	assert_int_equal(undo_restore(PLANE, 0), 0);
	assert_true(shell_says("ip addr show dev va | grep -q '198.18.0.1/24'"));
	assert_false(shell_says("ip addr show dev va | grep -q '198.18.3.1/24'"));
	/* Addresses that somebody has put there meanwhile are theirs, and ours are left out. */
	assert_int_equal(undo_flush_addresses(PLANE, &va), 0);
	sh("ip addr add 198.18.0.2/24 dev va");
	assert_int_equal(undo_restore(PLANE, 0), 0);
	assert_false(shell_says("ip addr show dev va | grep -q '198.18.0.1/24'"));
	sh("ip addr flush dev va");
	assert_int_equal(undo_flush_addresses(PLANE, &va), 0);
	sh("ip link del va");
	assert_int_equal(undo_restore(PLANE, 0), 0);
	expect_records("");
}

static void torn_line_counts_as_never_written(void **state)
{
	(void)state;
	char text[200];
	sh("ip link set va promisc on");
	snprintf(text, sizeof(text), "%u va promisc 0 1", va.ifindex);
	write_records(text);
	expect_records("");
	assert_int_equal(undo_restore(PLANE, 0), 0);
	assert_true(promisc());
	/* The next record does not grow together with it. */
	assert_int_equal(undo_up(PLANE, &va), 0);
	expect_records("N va up 0 1\n");
	assert_int_equal(undo_gro(PLANE, &va), 0);
	expect_records("N va up 0 1\nN va gro 0 1\n");
	assert_int_equal(undo_restore(PLANE, 0), 0);
	refresh();
	assert_false(va.up);
	assert_true(promisc());
}

static void failed_change_leaves_no_record(void **state)
{
	(void)state;
	struct link_info lo, dummy;
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	/* lo has it off for good: nothing to do. */
	assert_int_equal(link_get("lo", &lo), 0);
	assert_int_equal(undo_rxvlan(PLANE, &lo), 0);
	expect_records("N va promisc 0 1\n");
	dummy = va;
	dummy.ifindex = 4242;
	assert_int_equal(undo_up(PLANE, &dummy), -ENODEV);
	expect_records("N va promisc 0 1\n");
	/* A macvlan cannot go up with the address of its lower device: the record was written and goes again. */
	sh("ip link add mv0 link va address $(ip -br link show va | awk '{print $3}') type macvlan");
	assert_int_equal(link_get("mv0", &dummy), 0);
	assert_true(undo_up(PLANE, &dummy) < 0);
	expect_records("N va promisc 0 1\n");
}

static void full_disk_changes_nothing(void **state)
{
	(void)state;
	struct stat before, after;
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	/* Nearly to a page's end: the beginning of the next line fits, the rest needs a page that there is not. */
	write_records("");
	FILE *f = fopen(UNDO, "w");
	for (int i = 0; i < 255; i++)
		fprintf(f, "4242 x up 0 111\n");
	fprintf(f, "42 x up 0\n");
	fclose(f);
	assert_int_equal(stat(UNDO, &before), 0);
	assert_int_equal(before.st_size, 4090);
	assert_false(shell_says("dd if=/dev/zero of=/run/vpeer/fill bs=4096 2>/dev/null"));
	assert_int_equal(undo_up(PLANE, &va), -ENOSPC);
	refresh();
	assert_false(va.up);
	assert_int_equal(stat(UNDO, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	sh("rm /run/vpeer/fill");
	assert_int_equal(undo_up(PLANE, &va), 0);
	refresh();
	assert_true(va.up);
}

static void full_disk_keeps_records_when_restoring(void **state)
{
	(void)state;
	char text[200];
	struct link_info vb;
	assert_int_equal(link_get("vb", &vb), 0);
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	assert_int_equal(undo_promisc(PLANE, &vb), 0);
	assert_false(shell_says("dd if=/dev/zero of=/run/vpeer/fill bs=4096 2>/dev/null"));
	assert_int_equal(undo_restore(PLANE, vb.ifindex), -ENOSPC);
	snprintf(text, sizeof(text), "N va promisc 0 1\n%u vb promisc 0 1\n", vb.ifindex);
	expect_records(text);
	assert_int_equal(access(UNDO ".tmp", F_OK), -1);
	/* Removing the file needs no room. */
	assert_int_equal(undo_restore(PLANE, 0), 0);
	assert_false(promisc());
}

static void failed_restore_keeps_its_record(void **state)
{
	(void)state;
	char text[300];
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	snprintf(text, sizeof(text),
		 "%u va promisc 0 1\n%u va up no 0\n%u va colour red blue\nrubbish\n1 2 3 4 5 6 7 8\n", va.ifindex,
		 va.ifindex, va.ifindex);
	write_records(text);
	assert_int_equal(undo_restore(PLANE, 0), -EBADMSG);
	assert_false(promisc());
	expect_records("N va up no 0\nN va colour red blue\nrubbish\n1 2 3 4 5 6 7 8\n");
	/* Of another device only. */
	assert_int_equal(undo_restore(PLANE, va.ifindex + 1), -EBADMSG);
}

static void absent_plane_is_nothing(void **state)
{
	(void)state;
	expect_records("");
	assert_int_equal(undo_restore(PLANE, 0), 0);
	assert_int_equal(undo_forget(PLANE), 0);
	assert_int_equal(undo_restore("../etc", 0), -EINVAL);
	assert_int_equal(undo_forget(""), -EINVAL);
	assert_int_equal(undo_forget("."), -EINVAL);
}

static void forget_removes_the_plane_only(void **state)
{
	(void)state;
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	assert_int_equal(undo_up("other", &va), 0);
	sh("touch " DIRECTORY "/lock");
	assert_int_equal(undo_forget(PLANE), 0);
	assert_int_equal(access(DIRECTORY, F_OK), -1);
	assert_int_equal(access("/run/vpeer/other/undo", F_OK), 0);
	assert_int_equal(undo_forget("other"), 0);
	/* A mount point here, which stays. */
	assert_true(shell_says("[ -z \"$(ls -A /run/vpeer)\" ]"));
}

static void others_may_read_but_not_write(void **state)
{
	(void)state;
	struct stat st;
	mode_t old = umask(077);
	assert_int_equal(undo_promisc(PLANE, &va), 0);
	umask(old);
	assert_int_equal(stat(DIRECTORY, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(stat(UNDO, &st), 0);
	assert_int_equal(st.st_mode & 022, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_key_is_changed_and_put_back),
		TEST(what_is_so_already_is_not_recorded),
		TEST(second_run_changes_nothing),
		TEST(half_a_port_becomes_a_whole_one),
		TEST(what_others_changed_is_left),
		TEST(one_device_at_a_time),
		TEST(renamed_device_is_found),
		TEST(device_that_came_anew_is_left),
		TEST(a_stranger_with_the_number_is_left),
		TEST(a_half_done_flush_is_put_back),
		TEST(master_that_is_gone_is_forgotten),
		TEST(latest_change_is_put_back_first),
		TEST(a_device_that_is_held_is_released),
		TEST(held_twice_is_released_once),
		TEST(addresses_come_back),
		TEST(a_broken_message_is_refused),
		TEST(torn_line_counts_as_never_written),
		TEST(failed_change_leaves_no_record),
		TEST(full_disk_changes_nothing),
		TEST(full_disk_keeps_records_when_restoring),
		TEST(failed_restore_keeps_its_record),
		TEST(absent_plane_is_nothing),
		TEST(forget_removes_the_plane_only),
		TEST(others_may_read_but_not_write),
	};
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		perror("a mount namespace");
		return 1;
	}
	/* A private /run, so that not even the directory is made on the host. */
	if (mount("tmpfs", "/run", "tmpfs", 0, "size=1m,mode=0755") || mkdir("/run/vpeer", 0755)) {
		perror("a private /run");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
