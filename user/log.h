/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One message per failure, printed by whoever knows the object; everything below stays silent and returns -errno.
 * With --json an error is {"error": {"object", "message", "file", "line", "column"}} on standard error.
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stdio.h>

/* A place in a configuration file; file == NULL: none. Lines and columns start at 1. */
struct where {
	const char *file;
	unsigned int line, column;
};

/* Choose the form of errors and where they go (NULL = standard error); verbose also shows debug(). */
void log_setup(bool json, bool verbose, FILE *sink);
bool log_verbose(void);

/* Messages go to `sink` from now on (NULL = standard error); returns where they went. */
FILE *log_to(FILE *sink);
/* For a service: where standard error is the journal, each message bears its level ("<4>", see sd-daemon(3)). */
void log_service(void);

/* How many errors were reported since the program started (tests, exit codes). */
unsigned int log_errors(void);

/* Report an error about `object` ("port guest1"); at may be NULL. The message says what was tried and what to do. */
void fail(const char *object, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fail_at(const struct where *at, const char *object, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Below an error or a warning: the line it is about, and a mark under `width` characters from `column` on (they count
 * from 1). Nothing with --json.
 */
void log_excerpt(const char *line, size_t len, size_t column, size_t width);

/* A warning: the work goes on. Never JSON-breaking: goes to standard error as {"warning": ...} with --json. */
void warn(const char *object, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void warn_at(const struct where *at, const char *object, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* What a service has done of its own accord; with --json {"info": ...}. */
void tell(const char *object, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
