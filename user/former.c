/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "former.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "runfile.h"

#define FORMER	"former"
#define NOTED	"former.new"
#define PENDING "confirm"

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now); /* a host that slept meanwhile has not confirmed */
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool is_live(const struct plane *p, const char *text, size_t len)
{
	size_t n;
	const char *live = plane_text(p, &n);

	return n == len && !memcmp(live, text, n);
}

int former_note(const struct plane *p)
{
	size_t len;
	const char *text = plane_text(p, &len);

	return len ? runfile_write(p->name, NOTED, text, len) : 0;
}

void former_settle(const struct plane *p)
{
	struct pending pending;
	char *text;
	size_t len;

	if (!runfile_read(p->name, NOTED, &text, &len)) {
		if (is_live(p, text, len))
			runfile_remove(p->name, NOTED);
		else
			runfile_rename(p->name, NOTED, FORMER);
		free(text);
	}
	if (!former_pending(p->name, &pending)) {
		/* Whoever wanted it confirmed died before the switch. */
		if (is_live(p, pending.text, pending.len))
			former_decided(p->name);
		pending_free(&pending);
	}
}

int former_read(const char *plane, char **text, size_t *len)
{
	return runfile_read(plane, FORMER, text, len);
}

int former_pending(const char *plane, struct pending *out)
{
	char *file, word[8];
	size_t len;
	int at = 0, err = runfile_read(plane, PENDING, &file, &len);

	memset(out, 0, sizeof(*out));
	if (err)
		return err;
	if (sscanf(file, "%16[0-9a-f] %" SCNu64 " %7[a-z]%n", out->token, &out->deadline_ms, word, &at) != 3 ||
	    file[at] != '\n') {
		free(file);
		return -ENOENT; /* not of ours */
	}
	out->none = !strcmp(word, "none");
	out->len = len - (size_t)at - 1;
	memmove(file, file + at + 1, out->len + 1);
	out->text = file;
	return 0;
}

void pending_free(struct pending *pending)
{
	free(pending->text);
	pending->text = NULL;
}

int former_pending_left(const struct pending *pending)
{
	int64_t left = (int64_t)(pending->deadline_ms - now_ms());

	return (int)(left <= 0 ? left / 1000 : (left + 999) / 1000);
}

int former_pend(const struct plane *p, unsigned int seconds, struct pending *out)
{
	size_t live, len = 0;
	const char *text = plane_text(p, &live);
	uint64_t token;
	char *file = NULL;
	FILE *f;
	int err;

	memset(out, 0, sizeof(*out));
	if (getrandom(&token, sizeof(token), 0) != sizeof(token))
		return -errno;
	snprintf(out->token, sizeof(out->token), "%016" PRIx64, token);
	out->deadline_ms = now_ms() + (uint64_t)seconds * 1000;
	out->none = !live;
	f = open_memstream(&file, &len);
	if (!f)
		return -ENOMEM;
	fprintf(f, "%s %" PRIu64 " %s\n", out->token, out->deadline_ms, out->none ? "none" : "text");
	fwrite(text, 1, live, f);
	err = fclose(f) ? -ENOMEM : runfile_write(p->name, PENDING, file, len);
	free(file);
	return err;
}

int former_forget(const char *plane)
{
	static const char *const files[] = {PENDING, NOTED, FORMER};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(files) / sizeof(files[0]); i++)
		err = runfile_remove(plane, files[i]);
	return err;
}

int former_decided(const char *plane)
{
	return runfile_remove(plane, PENDING);
}
