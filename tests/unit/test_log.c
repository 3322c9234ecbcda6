/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <jansson.h>

#include "unit.h"

/* cmocka's macro of this name takes no arguments and would hide the function under test. */
#undef fail

static const struct where here = { "plane.yaml", 7, 15 };

static void an_error_names_its_object(void **state)
{
	unsigned int before = log_errors();

	(void)state;
	listen(false);
	fail("port guest1", "device %s is %d", "tap0", 5);
	assert_heard("vpeer: port guest1: device tap0 is 5\n");
	assert_int_equal(log_errors(), before + 1);
}

static void an_error_in_a_file_names_its_place(void **state)
{
	(void)state;
	listen(false);
	fail_at(&here, "port guest1", "no");
	fail_at(NULL, "port guest1", "no");
	fail_at(&(struct where){ .file = "f" }, "", "no");
	assert_heard("vpeer: plane.yaml:7:15: port guest1: no\nvpeer: port guest1: no\nvpeer: f: no\n");
}

static void a_warning_is_no_error(void **state)
{
	unsigned int before = log_errors();

	(void)state;
	listen(false);
	warn("port a", "odd");
	warn_at(&here, "port b", "odd");
	assert_heard("vpeer: warning: port a: odd\nvpeer: plane.yaml:7:15: warning: port b: odd\n");
	assert_int_equal(log_errors(), before);
}

static void a_service_tells_what_it_has_done(void **state)
{
	FILE *was;

	(void)state;
	listen(false);
	tell("port a", "attached to device %s", "tap0");
	assert_heard("vpeer: port a: attached to device tap0\n");
	listen(true);
	tell("port a", "attached");
	assert_heard("{\"info\":{\"object\":\"port a\",\"message\":\"attached\",\"file\":null,\"line\":null,"
		     "\"column\":null}}\n");
	listen(false);
	was = log_to(NULL);
	assert_ptr_equal(was, said_to);
	assert_null(log_to(was));
	tell("port b", "x");
	assert_heard("vpeer: port b: x\n");
}

static void debug_speaks_only_when_verbose(void **state)
{
	(void)state;
	listen(false);
	debug("x");
	log_setup(false, true, said_to);
	assert_true(log_verbose());
	debug("y");
	assert_heard("vpeer: debug: y\n");
	assert_false(log_verbose());
}

static void control_characters_and_bad_utf8_are_escaped(void **state)
{
	(void)state;
	listen(false);
	fail("a\nb", "\x1b[2J\t|%s|\x7f", "\xc3\xbc\xff\xc2\x9b\xe2\x82\xac\xed\xa0\x80\xf0\x9f\x98\x80\xc0\xaf");
	assert_heard("vpeer: a\\nb: \\x1b[2J\\t|\xc3\xbc\\xff\\xc2\\x9b\xe2\x82\xac\\xed\\xa0\\x80\xf0\x9f\x98\x80"
		     "\\xc0\\xaf|\\x7f\n");
}

static json_t *parsed(const char *text)
{
	json_t *o = json_loads(text, 0, NULL);

	assert_non_null(o);
	return o;
}

static void json_has_every_field_of_the_contract(void **state)
{
	const char *file, *object, *message;
	json_int_t line, column;
	char *text;
	json_t *o;

	(void)state;
	listen(true);
	fail_at(&here, "port \"x\"", "no\nway");
	text = heard();
	o = parsed(text);
	assert_int_equal(json_unpack(o, "{s:{s:s, s:s, s:s, s:I, s:I !} !}", "error", "object", &object, "message",
				     &message, "file", &file, "line", &line, "column", &column),
			 0);
	assert_string_equal(object, "port \"x\"");
	assert_string_equal(message, "no\\nway");
	assert_string_equal(file, "plane.yaml");
	assert_int_equal(line, 7);
	assert_int_equal(column, 15);
	json_decref(o);
	free(text);
}

static void json_says_null_for_what_is_absent(void **state)
{
	char *text;
	json_t *o;

	(void)state;
	listen(true);
	fail("plane x", "no \xff");
	text = heard();
	o = parsed(text);
	assert_int_equal(json_unpack(o, "{s:{s:s, s:s, s:n, s:n, s:n !} !}", "error", "object", &(const char *){ 0 },
				     "message", &(const char *){ 0 }, "file", "line", "column"),
			 0);
	json_decref(o);
	free(text);
	listen(true);
	warn("", "odd");
	text = heard();
	o = parsed(text);
	assert_true(json_is_null(json_object_get(json_object_get(o, "warning"), "object")));
	json_decref(o);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_names_its_object),
		cmocka_unit_test(an_error_in_a_file_names_its_place),
		cmocka_unit_test(a_warning_is_no_error),
		cmocka_unit_test(a_service_tells_what_it_has_done),
		cmocka_unit_test(debug_speaks_only_when_verbose),
		cmocka_unit_test(control_characters_and_bad_utf8_are_escaped),
		cmocka_unit_test(json_has_every_field_of_the_contract),
		cmocka_unit_test(json_says_null_for_what_is_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
