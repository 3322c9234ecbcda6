/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "unit.h"

static void mac_takes_colons_or_dashes_in_either_case(void **state)
{
	static const char *const good[] = { "52:54:00:Ab:cD:ef", "52-54-00-ab-cd-ef" };
	char text[MAC_TEXT];
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct mac mac = mac_of(good[i]);

		assert_string_equal(value_mac_text(&mac, text), "52:54:00:ab:cd:ef");
	}
}

static void mac_takes_nothing_else(void **state)
{
	static const char *const bad[] = { "",
					   "52:54:00:00:00",
					   "52:54:00:00:00:1",
					   "52:54:00:00:00:111",
					   "52:54:00:00:00:1g",
					   "52:54:00-00:00:11",
					   "525400000011",
					   " 52:54:00:00:00:11",
					   "52:54:00:00:00:11 ",
					   "5:254:00:00:00:11",
					   "52.54.00.00.00.11",
					   "-2:54:00:00:00:11",
					   "52:54:00:00:00:\xff\xff" };
	struct mac mac = { { 1, 2, 3, 4, 5, 6 } }, was = mac;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (value_mac(bad[i], &mac) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
	assert_memory_equal(&mac, &was, sizeof(mac));
}

static void mac_fault_names_the_kind_of_address(void **state)
{
	struct mac zero = mac_of("00:00:00:00:00:00"), all = mac_of("ff:ff:ff:ff:ff:ff");
	struct mac group = mac_of("01:00:5e:00:00:01"), good = mac_of("fe:ff:ff:ff:ff:ff");

	(void)state;
	assert_string_equal(value_mac_fault(&zero), "is all zero");
	assert_string_equal(value_mac_fault(&all), "is the broadcast address");
	assert_string_equal(value_mac_fault(&group), "is a group address");
	assert_null(value_mac_fault(&good));
}

static void mac_order_is_that_of_the_bytes(void **state)
{
	struct mac a = mac_of("02:00:00:00:00:ff"), b = mac_of("02:00:00:00:01:00");

	(void)state;
	assert_true(mac_cmp(&a, &b) < 0);
	assert_true(mac_cmp(&b, &a) > 0);
	assert_int_equal(mac_cmp(&a, &a), 0);
}

static void number_is_decimal_and_within_its_bounds(void **state)
{
	static const char *const bad[] = { "",
					   "-1",
					   "+1",
					   " 1",
					   "1 ",
					   "0x1",
					   "1.0",
					   "1e3",
					   "ten",
					   "4294967296",
					   "18446744073709551617",
					   "99999999999999999999999" };
	uint32_t v = 7;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (value_u32(bad[i], 0, UINT32_MAX, &v) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(v, 7);
	assert_int_equal(value_u32("4294967295", 0, UINT32_MAX, &v), 0);
	assert_true(v == UINT32_MAX);
	assert_int_equal(value_u32("1", 1, 4094, &v), 0);
	assert_int_equal(v, 1);
	assert_int_equal(value_u32("4094", 1, 4094, &v), 0);
	assert_int_equal(value_u32("0", 1, 4094, &v), -EINVAL);
	assert_int_equal(value_u32("4095", 1, 4094, &v), -EINVAL);
}

static void bool_has_three_pairs_of_words(void **state)
{
	static const char *const yes[] = { "true", "yes", "on" }, *const no[] = { "false", "no", "off" };
	bool v;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(value_bool(yes[i], &v), 0);
		assert_true(v);
		assert_int_equal(value_bool(no[i], &v), 0);
		assert_false(v);
	}
	assert_int_equal(value_bool("TRUE", &v), -EINVAL);
	assert_int_equal(value_bool("1", &v), -EINVAL);
	assert_int_equal(value_bool("", &v), -EINVAL);
}

static void name_has_its_alphabet_and_length(void **state)
{
	static const char *const bad[] = { "", "Guest", "_a", ".a", "-a", "a b", "a/b", "g\xc3\xbc", "a\n" };
	char longest[33] = "";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (value_name(bad[i], 31) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(value_name("0a_.-z", 31), 0);
	memset(longest, 'a', 31);
	assert_int_equal(value_name(longest, 31), 0);
	longest[31] = 'a';
	assert_int_equal(value_name(longest, 31), -EINVAL);
}

static void device_is_what_the_kernel_takes(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "a:b", "a b", "tap%d", "sixteen-letters-", "a\x01" };
	static const char *const good[] = { "eth0", "fifteen-letters", "Tap.0@x", "..." };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (value_device(bad[i]) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
	for (i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(value_device(good[i]), 0);
}

static void words_and_values_are_inverse(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < VP_KIND_COUNT; i++) {
		enum vp_kind v;

		assert_int_equal(value_kind(kind_word((enum vp_kind)i), &v), 0);
		assert_int_equal(v, i);
	}
	for (i = 0; i < 3; i++) {
		enum carrier v;

		assert_int_equal(value_carrier(carrier_word((enum carrier)i), &v), 0);
		assert_int_equal(v, i);
	}
	for (i = 0; i < 3; i++) {
		enum duplicate v;

		assert_int_equal(value_duplicate(duplicate_word((enum duplicate)i), &v), 0);
		assert_int_equal(v, i);
	}
	for (i = 0; i < 2; i++) {
		enum xdp_mode v;

		assert_int_equal(value_mode(mode_word((enum xdp_mode)i), &v), 0);
		assert_int_equal(v, i);
	}
}

static void words_are_exact(void **state)
{
	enum vp_kind kind;
	enum carrier carrier;
	enum xdp_mode mode;

	(void)state;
	assert_int_equal(value_kind("gues", &kind), -EINVAL);
	assert_int_equal(value_kind("Guest", &kind), -EINVAL);
	assert_int_equal(value_carrier("", &carrier), -EINVAL);
	assert_int_equal(value_mode("nativ", &mode), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mac_takes_colons_or_dashes_in_either_case),
		cmocka_unit_test(mac_takes_nothing_else),
		cmocka_unit_test(mac_fault_names_the_kind_of_address),
		cmocka_unit_test(mac_order_is_that_of_the_bytes),
		cmocka_unit_test(number_is_decimal_and_within_its_bounds),
		cmocka_unit_test(bool_has_three_pairs_of_words),
		cmocka_unit_test(name_has_its_alphabet_and_length),
		cmocka_unit_test(device_is_what_the_kernel_takes),
		cmocka_unit_test(words_and_values_are_inverse),
		cmocka_unit_test(words_are_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
