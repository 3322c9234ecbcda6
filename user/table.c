/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "table.h"

void table_init(struct table *t, const char *heads, char *copy, size_t size)
{
	char *save = NULL, *head;

	memset(t, 0, sizeof(*t));
	snprintf(copy, size, "%s", heads);
	for (head = strtok_r(copy, " ", &save); head && t->columns < TABLE_COLUMNS; head = strtok_r(NULL, " ", &save)) {
		t->right[t->columns] = *head == '>';
		t->heads[t->columns++] = head + (*head == '>');
	}
}

void table_text(struct table *t, enum table_colour colour, const char *text)
{
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		struct table_cell *more = reallocarray(t->cells, room, sizeof(*more));

		if (!more) {
			t->broken = true;
			return;
		}
		t->cells = more;
		t->room = room;
	}
	t->cells[t->n].text = strdup(text);
	t->cells[t->n].colour = colour;
	if (t->cells[t->n].text)
		t->n++;
	else
		t->broken = true;
}

void table_count(struct table *t, uint64_t n)
{
	char buf[TABLE_NUMBER];

	table_text(t, PLAIN, table_number(n, buf));
}

static void print_cell(const struct table *t, FILE *out, size_t column, size_t width, const char *text,
		       const char *colour)
{
	size_t len = strlen(text), gap = width > len ? width - len : 0;
	bool last = column + 1 == t->columns;

	fprintf(out, "%s%*s%s%s%s", column ? "  " : "", t->right[column] ? (int)gap : 0, "", colour, text,
		*colour ? "\033[0m" : "");
	if (last)
		fputc('\n', out);
	else if (!t->right[column])
		fprintf(out, "%*s", (int)gap, "");
}

static const char *colour_code(enum table_colour c)
{
	static const char *const codes[] = {
		[PLAIN] = "", [GREEN] = "\033[32m", [YELLOW] = "\033[33m", [RED] = "\033[31m"
	};

	return codes[c];
}

void table_print(struct table *t, FILE *out, bool colours)
{
	size_t width[TABLE_COLUMNS], i;

	if (!t->columns)
		return;
	for (i = 0; i < t->columns; i++)
		width[i] = strlen(t->heads[i]);
	for (i = 0; i < t->n; i++)
		if (strlen(t->cells[i].text) > width[i % t->columns])
			width[i % t->columns] = strlen(t->cells[i].text);
	for (i = 0; !t->broken && i < t->columns; i++)
		print_cell(t, out, i, width[i], t->heads[i], "");
	for (i = 0; !t->broken && i < t->n; i++)
		print_cell(t, out, i % t->columns, width[i % t->columns], t->cells[i].text,
			   colours ? colour_code(t->cells[i].colour) : "");
	if (t->broken)
		fputs("(out of memory)\n", out);
	for (i = 0; i < t->n; i++)
		free(t->cells[i].text);
	free(t->cells);
	memset(t, 0, sizeof(*t));
}

const char *table_number(uint64_t n, char buf[TABLE_NUMBER])
{
	static const struct {
		uint64_t size;
		char letter;
	} units[] = {
		{ 1000000000000000000, 'E' },
		{ 1000000000000000, 'P' },
		{ 1000000000000, 'T' },
		{ 1000000000, 'G' },
	};
	size_t i = 0;
	int decimals = 2;

	if (n <= 9999999999ULL) {
		snprintf(buf, TABLE_NUMBER, "%llu", (unsigned long long)n);
		return buf;
	}
	while (i < 3 && n < units[i].size)
		i++;
	if (n / units[i].size < 10)
		decimals = 4;
	else if (n / units[i].size < 100)
		decimals = 3;
	/* Cut, not rounded: a count never looks larger than it is. All digits of the fraction, then as many as fit. */
	snprintf(buf, TABLE_NUMBER, "%llu.%04llu", (unsigned long long)(n / units[i].size),
		 (unsigned long long)(n % units[i].size / (units[i].size / 10000)));
	snprintf(strchr(buf, '.') + 1 + decimals, 2, "%c", units[i].letter);
	return buf;
}

bool table_colours(FILE *out)
{
	const char *no = getenv("NO_COLOR");
	int fd = fileno(out);

	return !(no && *no) && fd >= 0 && isatty(fd);
}
