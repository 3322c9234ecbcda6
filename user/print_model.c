/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is to be, for people and programs: a model resolved (`check --json`) and a plan (`diff`, `up --dry-run`). */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "plan.h"
#include "value.h"
#include "view.h"

static json_t *text(const char *s)
{
	json_t *j = s && *s ? json_string(s) : NULL;

	return j ? j : json_null();
}

static json_t *port_json(const struct model *m, const struct port *p)
{
	json_t *o = json_object(), *macs = json_array(), *tagged = json_array();
	char buf[MAC_TEXT];
	size_t i;

	for (i = 0; i < p->n_macs; i++)
		json_array_append_new(macs, json_string(value_mac_text(&p->macs[i], buf)));
	for (i = 0; i < p->n_tagged; i++)
		json_array_append_new(tagged, text(p->tagged[i].s));
	json_object_set_new(o, "name", text(p->name));
	json_object_set_new(o, "device", text(p->device[0] ? p->device : p->kind == VP_KIND_HOST ? p->name : NULL));
	json_object_set_new(o, "kind", text(kind_word(p->kind)));
	json_object_set_new(o, "alias", text(p->alias));
	json_object_set_new(o, "segment", text(p->segment));
	json_object_set_new(o, "tagged", tagged);
	json_object_set_new(o, "peer", text(model_peer(m, p->name)));
	json_object_set_new(o, "macs", macs);
	json_object_set_new(o, "mac_auto", json_boolean(p->mac_auto));
	json_object_set_new(o, "carrier", text(carrier_word(p->carrier)));
	json_object_set_new(o, "mode", text(mode_word(p->mode)));
	json_object_set_new(o, "attach", text(attach_word(p->attach)));
	json_object_set_new(o, "quota", json_integer(p->quota));
	json_object_set_new(o, "broadcast_pps", json_integer(p->broadcast_pps));
	return o;
}

static int dump(FILE *out, json_t *o)
{
	int ret = o ? json_dumpf(o, out, JSON_INDENT(2) | JSON_ENSURE_ASCII) : -1;

	json_decref(o);
	fputc('\n', out);
	return ret || ferror(out) ? -EIO : 0;
}

int print_model_json(FILE *out, const struct model *m, const char *plane)
{
	json_t *o = json_object(), *segments = json_array(), *ports = json_array(), *bindings = json_array();
	size_t i;

	for (i = 0; i < m->n_segments; i++) {
		const struct segment *s = &m->segments[i];

		json_array_append_new(segments, json_pack("{s:o, s:o, s:I, s:b, s:s}", "name", text(s->name), "vlan",
							  s->vlan ? json_integer(s->vlan) : json_null(), "age",
							  (json_int_t)s->age, "flood", s->flood, "duplicate",
							  duplicate_word(s->duplicate)));
	}
	for (i = 0; i < m->n_ports; i++)
		json_array_append_new(ports, port_json(m, &m->ports[i]));
	for (i = 0; i < m->n_bindings; i++)
		json_array_append_new(
			bindings, json_pack("{s:o, s:o, s:b}", "a", text(m->bindings[i].a), "b",
					    text(m->bindings[i].b), "propagate", m->bindings[i].propagate));
	json_object_set_new(o, "schema", json_integer(1));
	json_object_set_new(o, "plane", text(plane));
	json_object_set_new(o, "segments", segments);
	json_object_set_new(o, "ports", ports);
	json_object_set_new(o, "bindings", bindings);
	return dump(out, o);
}

static const char *object_word(enum object_kind k)
{
	return k == OBJECT_SEGMENT ? "segment" : k == OBJECT_PORT ? "port" : "binding";
}

static const char *change_word(enum change_kind k)
{
	return k == CHANGE_ADD ? "add" : k == CHANGE_SET ? "set" : "del";
}

void print_plan(FILE *out, const struct plan *plan)
{
	size_t i;

	for (i = 0; i < plan->n; i++) {
		const struct change *c = &plan->changes[i];

		fprintf(out, "%s %s %s%s%s\n", change_word(c->kind), object_word(c->object), c->name,
			c->detail[0] ? ": " : "", c->detail);
	}
}

int print_plan_json(FILE *out, const struct plan *plan)
{
	json_t *o = json_object(), *changes = json_array();
	size_t i;

	for (i = 0; i < plan->n; i++) {
		const struct change *c = &plan->changes[i];

		json_array_append_new(changes, json_pack("{s:s, s:s, s:o, s:o}", "change", change_word(c->kind),
							 "object", object_word(c->object), "name", text(c->name),
							 "detail", text(c->detail)));
	}
	json_object_set_new(o, "schema", json_integer(1));
	json_object_set_new(o, "changes", changes);
	return dump(out, o);
}
