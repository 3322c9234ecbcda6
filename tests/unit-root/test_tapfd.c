/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tapfd.c on TAPs that this process has open, in a network namespace of its own. */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tapfd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static int enter(void **state)
{
	(void)state;
	return unshare(CLONE_NEWNET);
}

static int open_tap(const char *name, int mode, int flags)
{
	struct ifreq r = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags) };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | mode);

	assert_true(fd >= 0);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &r), 0);
	return fd;
}

static void a_tap_that_nobody_has_open_has_no_descriptors(void **state)
{
	struct tap_fds fds;

	(void)state;
	assert_int_equal(tap_fds("absent0", &fds), 0);
	assert_int_equal(fds.n, 0);
}

static void each_descriptor_is_seen_as_it_is(void **state)
{
	struct tap_fds fds;
	int limit = 100000;
	int good = open_tap("t0", O_NONBLOCK, IFF_MULTI_QUEUE), slow = open_tap("t0", 0, IFF_MULTI_QUEUE);

	(void)state;
	assert_int_equal(tap_fds("t0", &fds), 0);
	assert_int_equal(fds.n, 2);
	assert_int_equal(fds.blocking.n, 1);
	assert_int_equal(fds.blocking.first.pid, getpid());
	assert_int_equal(fds.blocking.first.fd, slow);
	assert_string_equal(fds.blocking.first.comm, "test_tapfd");
	assert_int_equal(fds.napi_frags.n + fds.sndbuf.n, 0);
	assert_int_equal(fcntl(slow, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(ioctl(good, TUNSETSNDBUF, &limit), 0);
	assert_int_equal(tap_fds("t0", &fds), 0);
	assert_int_equal(fds.blocking.n, 0);
	assert_int_equal(fds.sndbuf.n, 2); /* the limit is the device's, for all of its queues */
	assert_int_equal(fds.sndbuf.first.fd, good);
	close(good);
	assert_int_equal(tap_fds("t0", &fds), 0);
	assert_int_equal(fds.n, 1);
	close(slow);
}

static void napi_frags_is_seen(void **state)
{
	struct tap_fds fds;
	int fd = open_tap("t1", O_NONBLOCK, IFF_NAPI | IFF_NAPI_FRAGS);

	(void)state;
	assert_int_equal(tap_fds("t1", &fds), 0);
	assert_int_equal(fds.napi_frags.n, 1);
	close(fd);
}

static void a_device_of_the_same_name_elsewhere_is_another(void **state)
{
	struct tap_fds fds;
	int there = open_tap("t2", 0, 0);

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(tap_fds("t2", &fds), 0);
	assert_int_equal(fds.n, 0);
	int here = open_tap("t2", O_NONBLOCK, 0);

	assert_int_equal(tap_fds("t2", &fds), 0);
	assert_int_equal(fds.n, 1);
	assert_int_equal(fds.blocking.n, 0);
	close(here);
	close(there);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tap_that_nobody_has_open_has_no_descriptors),
		cmocka_unit_test(each_descriptor_is_seen_as_it_is),
		cmocka_unit_test(napi_frags_is_seen),
		cmocka_unit_test(a_device_of_the_same_name_elsewhere_is_another),
	};

	return cmocka_run_group_tests(tests, enter, NULL);
}
