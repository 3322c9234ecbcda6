/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `show --json`: the object that docs/vpeer.8 promises. Fields are only ever added; what is absent is null. */
#include <errno.h>
#include <jansson.h>

#include "value.h"
#include "view.h"

/* Text that might not be UTF-8 (device names need not be) must not cost the whole object. */
static json_t *text(const char *s)
{
	json_t *j = s && *s ? json_string(s) : NULL;

	return j ? j : json_null();
}

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *mac_text(const struct mac *m)
{
	char buf[MAC_TEXT];

	return json_string(value_mac_text(m, buf));
}

static json_t *macs_of(const struct port *p)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < p->n_macs; i++)
		json_array_append_new(list, mac_text(&p->macs[i]));
	return list;
}

static json_t *traffic(uint64_t packets, uint64_t bytes)
{
	return json_pack("{s:o, s:o}", "packets", count(packets), "bytes", count(bytes));
}

static json_t *drops_of(const struct vp_counters *c)
{
	json_t *o = json_object();

#define X(e, w, t) json_object_set_new(o, #w, count(c->drops[VP_DROP_##e]));
	VP_REASONS(X)
#undef X
	return o;
}

static json_t *events_of(const struct vp_counters *c)
{
	json_t *o = json_object();

#define X(e, w, t) json_object_set_new(o, #w, count(c->events[VP_EVENT_##e]));
	VP_EVENTS(X)
#undef X
	return o;
}

static const char *carrier_or_null(enum carrier c)
{
	return c == CARRIER_AUTO ? NULL : carrier_word(c);
}

static json_t *tagged_of(const struct port *p)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < p->n_tagged; i++)
		json_array_append_new(list, text(p->tagged[i].s));
	return list;
}

static json_t *port_json(const struct view_port *vp)
{
	const struct port *p = vp->port;
	const struct vp_counters *c = &vp->counters;
	json_t *o = json_object();

	json_object_set_new(o, "name", text(p->name));
	json_object_set_new(o, "id", vp->id ? json_integer(vp->id) : json_null());
	json_object_set_new(o, "device", text(p->device[0] ? p->device : p->kind == VP_KIND_HOST ? p->name : NULL));
	json_object_set_new(o, "plane_device", text(vp->plane_device));
	json_object_set_new(o, "ifindex", vp->ifindex ? json_integer(vp->ifindex) : json_null());
	json_object_set_new(o, "kind", text(kind_word(p->kind)));
	json_object_set_new(o, "state", text(state_word(vp->state)));
	json_object_set_new(o, "why", text(vp->why));
	json_object_set_new(o, "carrier", text(carrier_or_null(vp->carrier)));
	json_object_set_new(o, "mode", text(mode_word(vp->generic ? MODE_GENERIC : MODE_NATIVE)));
	json_object_set_new(o, "attach", text(attach_word(p->attach)));
	json_object_set_new(o, "xdp_target", json_boolean(vp->xdp_target));
	json_object_set_new(o, "xdp_target_why", text(vp->target_why));
	json_object_set_new(o, "alias", text(p->alias));
	json_object_set_new(o, "segment", text(p->segment));
	json_object_set_new(o, "tagged", tagged_of(p));
	json_object_set_new(o, "peer", text(vp->peer));
	json_object_set_new(o, "macs", macs_of(p));
	json_object_set_new(o, "learned", count(vp->learned));
	json_object_set_new(o, "rx", traffic(c->rx_packets, c->rx_bytes));
	json_object_set_new(o, "tx", traffic(c->tx_packets, c->tx_bytes));
	json_object_set_new(o, "forwarded", count(c->forwarded));
	json_object_set_new(o, "flooded", count(c->flooded));
	json_object_set_new(o, "passed", count(c->passed));
	json_object_set_new(o, "drops", drops_of(c));
	json_object_set_new(o, "events", events_of(c));
	json_object_set_new(o, "reconnects", count(vp->reconnects));
	json_object_set_new(o, "egress_errors", count(vp->egress_errors));
	return o;
}

static json_t *segment_json(const struct segment *s)
{
	return json_pack("{s:o, s:o, s:o, s:b, s:s}", "name", text(s->name), "vlan",
			 s->vlan ? json_integer(s->vlan) : json_null(), "age", count(s->age), "flood", s->flood,
			 "duplicate", duplicate_word(s->duplicate));
}

static json_t *mac_json(const struct view_mac *m)
{
	return json_pack("{s:o, s:o, s:o, s:b, s:o}", "segment", text(m->segment), "mac", mac_text(&m->mac), "port",
			 text(m->port), "static", m->is_static, "age", m->is_static ? json_null() : count(m->age));
}

static json_t *binding_json(const struct view *v, const struct binding *b)
{
	const struct view_port *a = view_port(v, b->a), *z = view_port(v, b->b);

	return json_pack("{s:o, s:o, s:o, s:b, s:o}", "a", text(b->a), "b", text(b->b), "state",
			 text(state_word(view_binding_state(v, b))), "propagate", b->propagate, "held",
			 a && a->held ? text(b->a) : z && z->held ? text(b->b) : json_null());
}

static json_t *view_json(const struct view *v)
{
	json_t *o = json_object(), *ports = json_array(), *segments = json_array(), *bindings = json_array(),
	       *macs = json_array();
	size_t i;

	for (i = 0; i < v->n_ports; i++)
		json_array_append_new(ports, port_json(&v->ports[i]));
	for (i = 0; i < v->model.n_segments; i++)
		json_array_append_new(segments, segment_json(&v->model.segments[i]));
	for (i = 0; i < v->model.n_bindings; i++)
		json_array_append_new(bindings, binding_json(v, &v->model.bindings[i]));
	for (i = 0; i < v->n_macs; i++)
		json_array_append_new(macs, mac_json(&v->macs[i]));
	json_object_set_new(o, "schema", json_integer(1));
	json_object_set_new(o, "plane", text(v->plane));
	json_object_set_new(o, "confirm", v->pending ? json_pack("{s:i}", "seconds", v->confirm_left) : json_null());
	json_object_set_new(o, "watched", json_boolean(v->watched));
	json_object_set_new(o, "ports", ports);
	json_object_set_new(o, "segments", segments);
	json_object_set_new(o, "bindings", bindings);
	json_object_set_new(o, "macs", macs);
	return o;
}

int print_view_json(FILE *out, const struct view *v)
{
	json_t *o = view_json(v);
	int ret = o ? json_dumpf(o, out, JSON_INDENT(2) | JSON_ENSURE_ASCII) : -1;

	json_decref(o);
	fputc('\n', out);
	return ret || ferror(out) ? -EIO : 0;
}
