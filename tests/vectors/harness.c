/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

static const char *filter;
static char name[256];
static char detail[512];
static char skip[256];
static char notes[16384]; /* diagnostics follow the result line */
static size_t notes_len;
static unsigned int n_tests, n_failed;
static bool failed, muted;

void harness_init(const char *substring)
{
	filter = substring;
	setvbuf(stdout, NULL, _IOLBF, 0);
}

bool harness_filtered(void)
{
	return filter != NULL;
}

bool test_begin(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	if (filter && !strstr(name, filter))
		return false;
	failed = false;
	detail[0] = skip[0] = notes[0] = '\0';
	notes_len = 0;
	return true;
}

/* The first failure goes into the result line, all of them into diagnostics before it. */
void test_fail(const char *fmt, ...)
{
	char text[sizeof(detail)];
	va_list ap;

	failed = true;
	if (muted)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!detail[0])
		memcpy(detail, text, sizeof(detail));
	if (notes_len < sizeof(notes))
		notes_len += snprintf(notes + notes_len, sizeof(notes) - notes_len, "#   %s\n", text);
}

void test_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(skip, sizeof(skip), fmt, ap);
	va_end(ap);
}

void test_end(void)
{
	n_tests++;
	if (failed) {
		n_failed++;
		printf("not ok %u - %s # %s\n%s", n_tests, name, detail, notes);
		if (getenv("FAIL_FAST")) /* the mutation run wants no more */
			exit(1);
	} else if (skip[0]) {
		printf("# %s\nok %u # SKIP %s\n", skip, n_tests, name); /* the form of cmocka, for tests/run.py */
	} else {
		printf("ok %u - %s\n", n_tests, name);
	}
}

bool expect_true(const char *what, bool actual)
{
	if (!actual)
		test_fail("%s: does not hold", what);
	return actual;
}

bool expect_u64(const char *what, uint64_t actual, uint64_t expected)
{
	if (actual != expected)
		test_fail("%s: %llu, expected %llu", what, (unsigned long long)actual, (unsigned long long)expected);
	return actual == expected;
}

bool expect_bytes(const char *what, const void *actual, size_t actual_len, const void *expected, size_t expected_len)
{
	const uint8_t *a = actual, *e = expected;
	size_t i = 0;

	while (i < actual_len && i < expected_len && a[i] == e[i])
		i++;
	if (i == actual_len && i == expected_len)
		return true;
	if (actual_len != expected_len)
		test_fail("%s: %zu bytes, expected %zu; same up to byte %zu", what, actual_len, expected_len, i);
	else
		test_fail("%s: byte %zu is %02x, expected %02x", what, i, a[i], e[i]);
	return false;
}

bool expect_ok(const char *what, int ret)
{
	if (ret < 0)
		test_fail("%s: %s", what, strerror(ret == -1 ? errno : -ret));
	return ret >= 0;
}

void harness_selftest(void)
{
	bool caught;

	if (!test_begin("harness_expectations_can_fail"))
		return;
	muted = true;
	caught = !expect_true("", false) && failed;
	failed = false;
	caught &= !expect_u64("", 1, 2) && failed;
	failed = false;
	caught &= !expect_bytes("", "ab", 2, "ac", 2) && !expect_bytes("", "ab", 2, "abc", 3) && failed;
	failed = false;
	caught &= !expect_ok("", -EINVAL) && failed;
	muted = false;
	failed = false;
	expect_true("every expectation reports a difference", caught);
	test_end();
}

int harness_finish(void)
{
	printf("1..%u\n", n_tests);
	if (n_failed)
		printf("# %u of %u failed\n", n_failed, n_tests);
	return n_failed || (!n_tests && !filter) ? 1 : 0;
}
