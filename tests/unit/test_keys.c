/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* keys.h: where the entry with a key stands. */
#include "unit.h"

#include "keys.h"
#include "vp_abi.h"

#define MANY VP_MAX_MACS

static struct vp_mac_key key_of(uint32_t i)
{
	return (struct vp_mac_key){ (uint16_t)(1 + i % 256),
				    { 0x52, 0x54, 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i } };
}

static void each_of_many_is_found_where_it_was_put(void **state)
{
	struct keys k;
	(void)state;
	assert_int_equal(keys_init(&k, MANY), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		struct vp_mac_key key = key_of(i);
		keys_put(&k, &key, i);
	}
	for (uint32_t i = 0; i < MANY; i++) {
		struct vp_mac_key key = key_of(i), other = key;
		assert_int_equal(keys_find(&k, &key), i);
		other.segment += 256;
		assert_true(keys_find(&k, &other) == KEYS_NONE);
		other = key;
		other.mac[0] = 2;
		assert_true(keys_find(&k, &other) == KEYS_NONE);
	}
	keys_free(&k);
}

static void none_are_there_and_zero_is_a_key(void **state)
{
	static const char zero[KEY_BYTES];
	struct keys k;
	(void)state;
	assert_int_equal(keys_init(&k, 0), 0);
	assert_true(keys_find(&k, zero) == KEYS_NONE);
	keys_put(&k, zero, 0);
	assert_int_equal(keys_find(&k, zero), 0);
	keys_put(&k, zero, 7);
	assert_int_equal(keys_find(&k, zero), 7);
	keys_free(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_of_many_is_found_where_it_was_put),
		cmocka_unit_test(none_are_there_and_zero_is_a_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
