/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A small test harness that speaks TAP.  A test is what happens between `test_begin` and `test_end`; each expect_*
 * prints actual and expected when they differ, marks the running test as failed and returns whether they agreed, so
 * that the caller may go on or clean up.  Nothing here aborts the process.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Only tests whose name contains `filter` run; NULL runs all. */
void harness_init(const char *filter);
bool harness_filtered(void);

/* False: the test was not selected and must be left out. */
bool test_begin(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void test_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void test_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void test_end(void);

bool expect_true(const char *what, bool actual);
bool expect_u64(const char *what, uint64_t actual, uint64_t expected);
bool expect_bytes(const char *what, const void *actual, size_t actual_len, const void *expected, size_t expected_len);
bool expect_ok(const char *what, int ret); /* 0 or a positive value; else prints the errno behind -ret or errno */

/* Runs one test that proves that each expect_* can fail. */
void harness_selftest(void);

/* Prints the plan line and returns the exit code: 0 only if none failed and, without a filter, some ran. */
int harness_finish(void);

#endif
