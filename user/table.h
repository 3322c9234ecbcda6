/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A small table for people: columns as wide as their widest cell, two blanks between them, no blanks at line ends. */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TABLE_COLUMNS 10
#define TABLE_NUMBER 40 /* a buffer for table_number() */

enum table_colour { PLAIN, GREEN, YELLOW, RED };

struct table {
	const char *heads[TABLE_COLUMNS];
	bool right[TABLE_COLUMNS]; /* numbers are aligned to the right */
	size_t columns;
	struct table_cell {
		char *text;
		enum table_colour colour;
	} *cells; /* row by row */
	size_t n, room;
	bool broken; /* memory ran out: table_print() says so instead of telling half of it */
};

/* `heads`: the column names separated by one blank; a leading '>' aligns the column to the right. */
void table_init(struct table *t, const char *heads, char *copy, size_t size);
void table_text(struct table *t, enum table_colour colour, const char *text);
void table_count(struct table *t, uint64_t n);
/* Prints the rows, heads first, and frees them. */
void table_print(struct table *t, FILE *out, bool colours);

/* Exact up to ten digits, then five of them and G, T, P or E. */
const char *table_number(uint64_t n, char buf[TABLE_NUMBER]);
/* Is `out` a terminal whose user has not set NO_COLOR? */
bool table_colours(FILE *out);

#endif
