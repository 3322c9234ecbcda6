/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Any bytes as a configuration: no crash, and what is accepted is written and read back as the same plane. */
#include <errno.h>
#include <stdlib.h>

#include "conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static FILE *nowhere(void)
{
	static FILE *f;

	if (!f)
		f = fopen("/dev/null", "w");
	return f;
}

static void must(bool ok)
{
	if (!ok)
		abort();
}

static bool equal(const struct model *a, const struct model *b)
{
	size_t i;

	if (a->n_ports != b->n_ports || a->n_segments != b->n_segments || a->n_bindings != b->n_bindings)
		return false;
	for (i = 0; i < a->n_ports; i++)
		if (!port_equal(&a->ports[i], &b->ports[i]))
			return false;
	for (i = 0; i < a->n_segments; i++)
		if (!segment_equal(&a->segments[i], &b->segments[i]))
			return false;
	return true;
}

static void round_trip(struct model *m)
{
	struct model back;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	must(out && !conf_write(out, m));
	fclose(out);
	model_init(&back);
	must(!conf_read_text(text, len, "back", &back));
	model_sort(m);
	model_sort(&back);
	must(equal(m, &back));
	model_free(&back);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model m;

	log_setup(size & 1, false, nowhere());
	model_init(&m);
	/* libyaml gets memory of exactly this size, so that a read behind the end is seen. */
	if (!conf_read_text((const char *)data, size, "fuzz", &m)) {
		int ret = model_check(&m);

		must(!ret || ret == -EINVAL);
		/* Faulty as a plane or not: but names must be unique for sorting to be one order. */
		if (!ret)
			round_trip(&m);
		must(!model_derive(&m, "fuzz"));
		model_check(&m);
	}
	model_free(&m);
	return 0;
}
