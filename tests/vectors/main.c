/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames through both programs by BPF_PROG_TEST_RUN.  usage: vectors [PART-OF-NAME]
 *
 * All of it runs twice: with programs that look at the devices as they are, where the kernel lets them (6.2 and
 * later), and with "blind" ones that believe what the loader wrote.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vector.h"

/* tests/run.py hands a pattern over as cmocka's programs take it: *PART*. */
static const char *filter_of(int argc, char **argv)
{
	static char part[128];
	const char *env = getenv("CMOCKA_TEST_FILTER");
	size_t n;

	if (argc > 1)
		return argv[1];
	if (!env || !*env)
		return NULL;
	snprintf(part, sizeof(part), "%s", *env == '*' ? env + 1 : env);
	n = strlen(part);
	if (n && part[n - 1] == '*')
		part[n - 1] = '\0';
	return part;
}

/* Without the list of names in include/vp_names.h going through here, a new reason could stay untested. */
static void every_reason_has_a_vector(void)
{
	static const char *const words[] = { "none",
#define X(e, w, t) #w,
					     VP_REASONS(X)
#undef X
	};

	if (harness_filtered() || !test_begin("every_reason_but_internal_was_reached_by_tc"))
		return;
	for (unsigned int r = 1; r < VP_REASON_COUNT; r++)
		if (!(vector_reasons & (1ULL << r)) != (r == VP_DROP_INTERNAL))
			test_fail("reason %s: %s", words[r],
				  r == VP_DROP_INTERNAL ? "reached" : "no vector reaches it");
	test_end();
}

static void live_is_skipped(void)
{
	if (!test_begin("programs_that_look_at_devices"))
		return;
	test_skip("this kernel has no bpf_rdonly_cast (before Linux 6.2)");
	test_end();
}

static int run_groups(bool live)
{
	int ret = rig_load(live);

	if (ret) {
		printf("Bail out! cannot load the object: %s\n", strerror(-ret));
		return ret;
	}
	vectors_segment();
	vectors_source();
	vectors_event();
	vectors_vlan();
	vectors_binding();
	vectors_carrier();
	vectors_headers();
	vectors_target();
	if (live)
		vectors_live();
	if (live || !rig_kernel_has_live()) {
		every_reason_has_a_vector();
		vectors_abi();
		vectors_cost(live);
	}
	vectors_finish();
	vectors_flow();
	vectors_table();
	rig_unload();
	return 0;
}

int main(int argc, char **argv)
{
	int ret;

	harness_init(filter_of(argc, argv));
	harness_selftest();
	ret = rig_devices();
	if (ret)
		printf("Bail out! cannot make the devices: %s\n", strerror(-ret));
	if (!ret && rig_kernel_has_live())
		ret = run_groups(true);
	else if (!ret)
		live_is_skipped();
	if (!ret)
		ret = run_groups(false);
	rig_free();
	return harness_finish() || ret ? 1 : 0;
}
