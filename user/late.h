/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Libraries that one verb needs are loaded by that verb: with all that they need themselves (ICU, gcrypt) they would
 * add 3 ms to the start of every verb, of which `mac add` takes 3 in all.
 *
 *	#define CALLS(X) X(sd_notify) X(sd_notifyf)
 *	static struct { CALLS(LATE_FIELD) } systemd;
 *	static const char *const names[] = { CALLS(LATE_NAME) };
 *	why = late_load(SYSTEMD_SO, names, 2, &systemd);
 *	systemd.sd_notify(0, "READY=1");
 */
#ifndef VPEER_LATE_H
#define VPEER_LATE_H

#include <stddef.h>

#define LATE_FIELD(name) typeof(name) *(name);
#define LATE_NAME(name) #name,

/* Puts the addresses of `names` into the pointers at `table`, in their order. Returns NULL, or why it can't. */
const char *late_load(const char *file, const char *const names[], size_t n, void *table);

#endif
