/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Any bytes as another system's configuration: no crash; what is accepted is written and read back as that plane. */
#ifndef FUZZ_IMPORTING_H
#define FUZZ_IMPORTING_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool ok)
{
	if (!ok)
		abort();
}

static inline FILE *nowhere(void)
{
	static FILE *f;

	if (!f)
		f = fopen("/dev/null", "w");
	return f;
}

static inline void compare(const struct model *a, const struct model *b)
{
	size_t i;

	must(a->n_ports == b->n_ports && a->n_segments == b->n_segments && a->n_bindings == b->n_bindings);
	for (i = 0; i < a->n_ports; i++)
		must(port_equal(&a->ports[i], &b->ports[i]));
	for (i = 0; i < a->n_segments; i++)
		must(segment_equal(&a->segments[i], &b->segments[i]));
}

static inline void write_and_read(struct import *im)
{
	struct model back;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	must(out && !import_write(out, im));
	fclose(out);
	model_init(&back);
	must(!conf_read_text(text, len, "back", &back));
	must(!model_check(&back));
	model_sort(&back);
	model_sort(&im->m);
	compare(&im->m, &back);
	model_free(&back);
	free(text);
}

/* The first byte chooses the options, the rest is the input; behind the first \xff byte it is a second source. */
static inline void fuzz_import(enum import_format format, const uint8_t *data, size_t size)
{
	struct import_pair device = { .key = "/dev/qvm/a/n=t", .value = "t", .key_len = 12 };
	struct import_pair uplink = { .key = "e1000=eth1", .value = "eth1", .key_len = 5 };
	struct import_opts opts = { .devices = &device, .uplinks = &uplink };
	const uint8_t *second;
	struct import im;
	size_t first;
	int ret;

	if (!size)
		return;
	opts.bridge = data[0] & 1;
	opts.n_devices = data[0] >> 1 & 1;
	opts.n_uplinks = data[0] >> 2 & 1;
	opts.segment = data[0] >> 3 & 1 ? "lan" : NULL;
	log_setup(data[0] >> 4 & 1, false, nowhere());
	data++;
	second = memchr(data, 0xff, --size);
	first = second ? (size_t)(second - data) : size;
	import_init(&im, format, &opts);
	import_text(&im, "first", (const char *)data, first);
	if (second)
		import_text(&im, "second", (const char *)second + 1, size - first - 1);
	ret = import_finish(&im);
	must(!ret || ret == -EINVAL);
	if (!ret)
		write_and_read(&im);
	import_free(&im);
}

#endif
