/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"

static const struct port_facts waiting;

/* The id that `name` has in `info`, 0 = none.  Names are mostly asked for in order, and none is there twice. */
uint16_t layout_find_port(const struct vp_port_info *info, const char *name)
{
	static unsigned int next;

	for (unsigned int n = 0; *name && n < VP_MAX_PORTS; n++) {
		unsigned int id = (next + n) % VP_MAX_PORTS;

		if (id && !strcmp(info[id].name, name)) {
			next = id + 1;
			return (uint16_t)id;
		}
	}
	return 0;
}

static uint16_t segment_id_in(const struct vp_seg_info *info, const char *name)
{
	static unsigned int next;

	for (unsigned int n = 0; *name && n < VP_MAX_SEGMENTS; n++) {
		unsigned int id = (next + n) % VP_MAX_SEGMENTS;

		if (id && !strcmp(info[id].name, name)) {
			next = id;
			return (uint16_t)id;
		}
	}
	return 0;
}

uint16_t layout_port_id(const struct layout *l, const char *name)
{
	return layout_find_port(l->port_info, name);
}

uint16_t layout_segment_id(const struct layout *l, const char *name)
{
	return segment_id_in(l->seg_info, name);
}

static int place_segment(struct layout *l, const struct segment *s, const struct layout *old)
{
	uint16_t id = old ? segment_id_in(old->seg_info, s->name) : 0;

	/* Free means: nobody's now, and nobody's in the plane that is. */
	if (!id)
		for (id = 1; id < VP_MAX_SEGMENTS; id++)
			if (!l->seg_info[id].name[0] && !(old && old->seg_info[id].name[0]))
				break;
	if (id >= VP_MAX_SEGMENTS) {
		fail_at(&s->at, "segments",
			"no free id for %s: %d segments, those being removed included; remove first, add then", s->name,
			VP_MAX_SEGMENTS - 1);
		return -ENOSPC;
	}
	memcpy(l->seg_info[id].name, s->name, sizeof(s->name));
	if (id > l->top_segment)
		l->top_segment = id;
	return 0;
}

/* The lowest id that is free, from *next on: below it none is. */
static uint16_t free_port_id(const struct layout *l, const struct layout *old, uint16_t *next)
{
	while (*next < VP_MAX_PORTS && (l->port_info[*next].name[0] || (old && old->port_info[*next].name[0])))
		++*next;
	return *next;
}

static int place_port(struct layout *l, size_t position, const struct port *p, const struct layout *old, uint16_t *next)
{
	uint16_t id = old && old->top_port ? layout_find_port(old->port_info, p->name) : 0;
	struct vp_port_info *info;

	if (!id)
		id = free_port_id(l, old, next);
	if (id >= VP_MAX_PORTS) {
		fail_at(&p->at, "ports",
			"no free id for %s: %d ports, those being removed included; remove first, add then", p->name,
			VP_MAX_PORTS - 1);
		return -ENOSPC;
	}
	info = &l->port_info[id];
	if (old)
		*info = old->port_info[id];
	if (strcmp(info->name, p->name) != 0) {
		/* What the former owner left behind; its incarnation must never come back with another name. */
		*info = (struct vp_port_info){ .incarnation = info->incarnation + 1 };
		memcpy(info->name, p->name, sizeof(info->name));
	}
	memset(info->device, 0, sizeof(info->device));
	snprintf(info->device, sizeof(info->device), p->kind == VP_KIND_HOST ? "%.13s-p" : "%.15s", p->device);
	l->port_id[position] = id;
	if (id > l->top_port)
		l->top_port = id;
	return 0;
}

/* Free ids that were used before keep their incarnation, also over a plan that does not use them. */
static void keep_incarnations(struct layout *l, const struct layout *old)
{
	unsigned int id;

	for (id = 1; old && id < VP_MAX_PORTS; id++)
		if (!l->port_info[id].name[0])
			l->port_info[id].incarnation = old->port_info[id].incarnation;
}

static uint32_t ticks(uint32_t seconds)
{
	const uint64_t tick = 1ULL << VP_TICK_SHIFT;

	return (uint32_t)((seconds * 1000000000ULL + tick - 1) / tick);
}

static void fill_port(struct layout *l, const struct model *m, size_t position, const struct port_facts *f)
{
	const struct port *p = &m->ports[position];
	const char *peer = port_in_any(p) ? NULL : model_peer(m, p->name);
	uint16_t id = l->port_id[position];
	struct vp_port *out = &l->ports[id];

	l->kept[id] = f->kept;
	out->ifindex = f->ifindex;
	out->flags = (uint16_t)((f->attached ? VP_PORT_UP : 0) | (f->xdp ? VP_PORT_XDP : 0) |
				(f->xdp_target ? VP_PORT_XDP_TARGET : 0) | (f->finished ? VP_PORT_FINISHED : 0) |
				(p->kind == VP_KIND_GUEST && p->n_macs ? VP_PORT_GUARD_MAC : 0) |
				(p->n_tagged ? VP_PORT_TRUNK : 0));
	out->segment = layout_segment_id(l, p->segment);
	out->peer = peer ? layout_port_id(l, peer) : 0;
	out->kind = (uint8_t)p->kind;
	out->incarnation = (uint8_t)l->port_info[id].incarnation;
	out->quota = p->quota;
	out->broadcast_pps = p->broadcast_pps;
	out->mtu = f->mtu;
}

/* One port in one segment. */
struct joint {
	uint16_t segment;
	struct vp_member member;
};

static int by_segment_and_port(const void *a, const void *b)
{
	const struct joint *x = a, *y = b;
	int order = (int)x->segment - (int)y->segment;

	return order ? order : (int)x->member.port - (int)y->member.port;
}

/* Every membership, untagged and tagged, by segment and port. */
static size_t find_joints(const struct layout *l, const struct model *m, struct joint *out)
{
	size_t i, j, n = 0;

	for (i = 0; i < m->n_ports; i++) {
		const struct port *p = &m->ports[i];

		if (p->segment[0])
			out[n++] = (struct joint){ layout_segment_id(l, p->segment), { .port = l->port_id[i] } };
		for (j = 0; j < p->n_tagged; j++) {
			uint16_t id = layout_segment_id(l, p->tagged[j].s);

			out[n++] = (struct joint){ id, { l->port_id[i], l->segments[id].vlan } };
		}
	}
	if (n)
		qsort(out, n, sizeof(*out), by_segment_and_port);
	return n;
}

/* One member that XDP can't reach, be it only waiting, and tc has to do the whole flood. */
static bool xdp_reaches(const struct layout *l, const struct joint *j, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		uint16_t flags = l->ports[j[i].member.port].flags;

		if (!(flags & VP_PORT_UP) || !(flags & VP_PORT_XDP_TARGET))
			return false;
	}
	return n;
}

static void place_members(struct layout *l, const struct joint *joints, size_t n)
{
	size_t i, end;
	unsigned int id;

	for (id = 1, i = 0; id <= l->top_segment; id++, i = end) {
		struct vp_segment *s = &l->segments[id];

		for (end = i; end < n && joints[end].segment == id; end++)
			l->members[end] = joints[end].member;
		if (!l->seg_info[id].name[0])
			continue;
		s->first = (uint16_t)i;
		s->count = (uint16_t)(end - i);
		s->flags |= xdp_reaches(l, &joints[i], end - i) ? VP_SEG_XDP_FLOOD : 0;
	}
	l->n_members = (uint16_t)n;
}

static int fill_members(struct layout *l, const struct model *m)
{
	struct joint *joints;
	size_t i, most = 0, n;

	for (i = 0; i < m->n_ports; i++)
		most += 1 + m->ports[i].n_tagged;
	joints = calloc(most + 1, sizeof(*joints));
	if (!joints)
		return -ENOMEM;
	n = find_joints(l, m, joints);
	if (n <= VP_MAX_MEMBERS)
		place_members(l, joints, n);
	else
		fail("segments", "ports are members of segments %zu times in all; a plane holds %d: use two planes", n,
		     VP_MAX_MEMBERS);
	free(joints);
	return n <= VP_MAX_MEMBERS ? 0 : -ENOSPC;
}

static const uint16_t duplicates[] = {
	[DUPLICATE_MOVE] = 0, [DUPLICATE_DROP] = VP_SEG_DUP_DROP, [DUPLICATE_IGNORE] = VP_SEG_DUP_IGNORE
};

static int fill_segments(struct layout *l, const struct model *m)
{
	size_t i;

	for (i = 0; i < m->n_segments; i++) {
		const struct segment *s = &m->segments[i];
		uint16_t id = layout_segment_id(l, s->name);

		l->segments[id].age_ticks = ticks(s->age);
		l->segments[id].vlan = s->vlan;
		l->segments[id].flags = (s->flood ? VP_SEG_FLOOD_UNKNOWN : 0) | duplicates[s->duplicate];
	}
	return fill_members(l, m);
}

/* The port's own addresses are static entries of each segment that it is in. */
static void add_statics(struct layout *l, uint16_t segment, uint16_t port, const struct port *p)
{
	for (size_t i = 0; i < p->n_macs; i++)
		l->statics[l->n_statics++] = (struct statics){ segment, port, p->macs[i] };
}

static int fill_macs(struct layout *l, const struct model *m)
{
	size_t i, j, n = 0, guards = 0;

	for (i = 0; i < m->n_ports; i++) {
		n += m->ports[i].n_macs * ((m->ports[i].segment[0] != 0) + m->ports[i].n_tagged);
		guards += m->ports[i].n_macs;
	}
	if (n > VP_MAX_MACS) {
		fail("mac", "ports bring %zu addresses into segments; the MAC table holds %d", n, VP_MAX_MACS);
		return -ENOSPC;
	}
	l->guards = calloc(guards + 1, sizeof(*l->guards));
	l->statics = calloc(n + 1, sizeof(*l->statics));
	if (!l->guards || !l->statics)
		return -ENOMEM;
	for (i = 0; i < m->n_ports; i++) {
		const struct port *p = &m->ports[i];
		uint16_t id = l->port_id[i];

		for (j = 0; p->kind == VP_KIND_GUEST && j < p->n_macs; j++)
			l->guards[l->n_guards++] = (struct guard){ id, p->macs[j] };
		if (p->segment[0])
			add_statics(l, layout_segment_id(l, p->segment), id, p);
		for (j = 0; j < p->n_tagged; j++)
			add_statics(l, layout_segment_id(l, p->tagged[j].s), id, p);
	}
	return 0;
}

/* No order is needed: an id that has a name in `old` is taken by nobody but that name. */
static int place_all(struct layout *l, const struct model *m, const struct layout *old)
{
	uint16_t next = 1;
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < m->n_segments; i++)
		ret = place_segment(l, &m->segments[i], old);
	for (i = 0; !ret && i < m->n_ports; i++)
		ret = place_port(l, i, &m->ports[i], old, &next);
	keep_incarnations(l, old);
	return ret;
}

int layout_make(struct layout *l, const struct model *m, const struct port_facts *facts, const struct layout *old)
{
	size_t i;
	int ret;

	memset(l, 0, sizeof(*l));
	l->port_id = calloc(m->n_ports + 1, sizeof(*l->port_id));
	if (!l->port_id)
		return -ENOMEM;
	ret = place_all(l, m, old);
	for (i = 0; !ret && i < m->n_ports; i++)
		fill_port(l, m, i, facts ? &facts[i] : &waiting);
	if (!ret)
		ret = fill_segments(l, m);
	if (!ret)
		ret = fill_macs(l, m);
	if (ret)
		layout_free(l);
	return ret;
}

void layout_free(struct layout *l)
{
	free(l->port_id);
	free(l->guards);
	free(l->statics);
	memset(l, 0, sizeof(*l));
}
