/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Written by hand and not by libyaml's emitter: the text is compared, stored in the plane and read by people. */
#include <errno.h>
#include <string.h>

#include "conf.h"
#include "value.h"

/* Words that YAML 1.1 or 1.2 readers take for something else than text. */
static bool reserved(const char *s)
{
	static const char *const words[] = { "true", "false", "yes", "no", "on", "off", "y", "n", "null" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcasecmp(s, words[i]))
			return true;
	return false;
}

static bool plain(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	return *s && strchr(letters, *s) && strspn(s, rest) == strlen(s) && !reserved(s);
}

static void value(FILE *out, const char *s)
{
	if (plain(s)) {
		fprintf(out, "%s\n", s);
		return;
	}
	fputc('"', out);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if ((unsigned char)*s < ' ' || *s == 0x7f)
			fprintf(out, "\\x%02x", (unsigned char)*s);
		else
			fputc(*s, out);
	}
	fputs("\"\n", out);
}

static void text(FILE *out, const char *key, const char *s)
{
	fprintf(out, "%s: ", key);
	value(out, s);
}

static void item(FILE *out, const char *s)
{
	fputs("      - ", out);
	value(out, s);
}

static void write_segment(FILE *out, const struct segment *s)
{
	struct segment usual;

	segment_init(&usual);
	text(out, "  - name", s->name);
	if (s->vlan)
		fprintf(out, "    vlan: %u\n", s->vlan);
	if (s->age != usual.age)
		fprintf(out, "    age: %u\n", s->age);
	if (s->flood != usual.flood)
		fprintf(out, "    flood: %s\n", s->flood ? "true" : "false");
	if (s->duplicate != usual.duplicate)
		fprintf(out, "    duplicate: %s\n", duplicate_word(s->duplicate));
}

static void write_macs(FILE *out, const struct port *p)
{
	char mac[MAC_TEXT];
	size_t i;

	if (p->mac_auto)
		fputs("    mac: auto\n", out);
	else if (p->n_macs == 1)
		fprintf(out, "    mac: \"%s\"\n", value_mac_text(&p->macs[0], mac));
	else if (p->n_macs)
		fputs("    mac:\n", out);
	for (i = 0; !p->mac_auto && p->n_macs > 1 && i < p->n_macs; i++)
		fprintf(out, "      - \"%s\"\n", value_mac_text(&p->macs[i], mac));
}

static void write_tagged(FILE *out, const struct port *p)
{
	size_t i;

	if (p->n_tagged)
		fputs("    tagged:\n", out);
	for (i = 0; i < p->n_tagged; i++)
		item(out, p->tagged[i].s);
}

static void write_port(FILE *out, const struct port *p)
{
	struct port usual;

	port_init(&usual, p->kind);
	text(out, "  - name", p->name);
	if (p->kind != VP_KIND_GUEST)
		fprintf(out, "    kind: %s\n", kind_word(p->kind));
	if (p->device[0] && (p->kind != VP_KIND_HOST || strcmp(p->device, p->name) != 0))
		text(out, "    device", p->device);
	if (p->alias[0])
		text(out, "    alias", p->alias);
	if (p->segment[0])
		text(out, "    segment", p->segment);
	write_tagged(out, p);
	write_macs(out, p);
	if (p->carrier != usual.carrier)
		fprintf(out, "    carrier: %s\n", carrier_word(p->carrier));
	if (p->mode != usual.mode)
		fprintf(out, "    mode: %s\n", mode_word(p->mode));
	if (p->attach != usual.attach)
		fprintf(out, "    attach: %s\n", attach_word(p->attach));
	if (p->quota != usual.quota)
		fprintf(out, "    quota: %u\n", p->quota);
	if (p->broadcast_pps != usual.broadcast_pps)
		fprintf(out, "    broadcast_pps: %u\n", p->broadcast_pps);
}

static void write_all(FILE *out, const struct model *m)
{
	size_t i;

	fputs("version: 1\n", out);
	if (m->n_segments)
		fputs("segments:\n", out);
	for (i = 0; i < m->n_segments; i++)
		write_segment(out, &m->segments[i]);
	if (m->n_ports)
		fputs("ports:\n", out);
	for (i = 0; i < m->n_ports; i++)
		write_port(out, &m->ports[i]);
	if (m->n_bindings)
		fputs("bindings:\n", out);
	for (i = 0; i < m->n_bindings; i++) {
		text(out, "  - a", m->bindings[i].a);
		text(out, "    b", m->bindings[i].b);
		if (m->bindings[i].propagate)
			fputs("    propagate: true\n", out);
	}
}

int conf_write(FILE *out, const struct model *m)
{
	struct model sorted;
	int ret = model_copy(&sorted, m);

	if (ret)
		return ret;
	model_sort(&sorted);
	errno = 0;
	write_all(out, &sorted);
	model_free(&sorted);
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}
