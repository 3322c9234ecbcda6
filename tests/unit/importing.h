/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For tests of the importers: run one, see what it said and wrote, read back what it wrote. */
#ifndef UNIT_IMPORT_H
#define UNIT_IMPORT_H

#include "import.h"
#include "unit.h"

#define MAX_PAIRS 4

/* What an import is given. */
struct input {
	enum import_format format;
	const char *text;   /* of one source */
	const char *second; /* and of another one, or NULL */
	const char *devices[MAX_PAIRS], *uplinks[MAX_PAIRS];
	const char *segment;
	bool bridge;
	bool words; /* the text is a command line that was taken apart at its blanks */
};

struct outcome {
	int ret;
	bool partial;
	char *said, *yaml;
	struct model m; /* as read back from `yaml` */
};

static inline size_t pairs_of(const char *const texts[MAX_PAIRS], struct import_pair pairs[MAX_PAIRS])
{
	size_t n;

	for (n = 0; n < MAX_PAIRS && texts[n]; n++) {
		const char *equals = strrchr(texts[n], '=');

		pairs[n] = (struct import_pair){ texts[n], equals + 1, (size_t)(equals - texts[n]), false };
	}
	return n;
}

static inline void feed_words(struct import *im, const char *text)
{
	char *copy = strdup(text), *save = NULL, *word, *words[64];
	int n = 0;

	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		words[n++] = word;
	import_words(im, n, words);
	free(copy);
}

static inline char *written(const struct import *im)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(import_write(out, im), 0);
	fclose(out);
	return text;
}

/* Whatever is written is read back as the plane it was made from. */
static inline struct outcome run(const struct input *in)
{
	struct import_pair devices[MAX_PAIRS], uplinks[MAX_PAIRS];
	struct import_opts opts = {
		.devices = devices, .uplinks = uplinks, .segment = in->segment, .bridge = in->bridge
	};
	struct outcome o = { 0 };
	struct import im;

	opts.n_devices = pairs_of(in->devices, devices);
	opts.n_uplinks = pairs_of(in->uplinks, uplinks);
	listen(false);
	import_init(&im, in->format, &opts);
	if (in->words)
		feed_words(&im, in->text);
	else
		import_text(&im, "a", in->text, strlen(in->text));
	if (in->second)
		import_text(&im, "b", in->second, strlen(in->second));
	o.ret = import_finish(&im);
	o.partial = im.partial;
	o.said = heard();
	model_init(&o.m);
	if (!o.ret) {
		o.yaml = written(&im);
		assert_int_equal(conf_read_text(o.yaml, strlen(o.yaml), "written", &o.m), 0);
		listen(false);
		assert_int_equal(model_check(&o.m), 0);
		free(heard());
		model_sort(&o.m);
		model_sort(&im.m);
		assert_models_equal(&im.m, &o.m);
	}
	import_free(&im);
	return o;
}

static inline void outcome_free(struct outcome *o)
{
	free(o->said);
	free(o->yaml);
	model_free(&o->m);
}

/* The import gives this plane, in our own words. */
static inline void expect_plane(const struct input *in, const char *yaml)
{
	struct outcome o = run(in);
	struct model want = model_of(yaml);

	if (o.ret)
		fail_msg("refused: %s: %s", in->text, o.said);
	model_sort(&want);
	assert_models_equal(&want, &o.m);
	model_free(&want);
	outcome_free(&o);
}

/* The import is refused with exactly this. */
static inline void expect_refusal(const struct input *in, const char *expected)
{
	struct outcome o = run(in);

	if (!o.ret)
		fail_msg("accepted: %s", in->text);
	assert_string_equal(o.said, expected);
	outcome_free(&o);
}

#endif
