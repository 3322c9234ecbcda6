/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <string.h>

#include "mtu.h"

/* Ports that hear each other: members of a segment, or the two ends of a binding. */
struct meeting {
	const struct segment *segment;
	const struct binding *binding;
};

static bool is_in(const struct meeting *g, const struct port *p)
{
	if (g->segment)
		return port_in_segment(p, g->segment->name);
	return g->binding && (!strcmp(p->name, g->binding->a) || !strcmp(p->name, g->binding->b));
}

static size_t count_equal(const struct model *m, const struct meeting *g, const uint32_t *mtu, uint32_t value)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_ports; i++)
		n += mtu[i] == value && is_in(g, &m->ports[i]);
	return n;
}

/* The port that sets the measure: m->n_ports if no MTU is known. */
static size_t measure(const struct model *m, const struct meeting *g, const uint32_t *mtu)
{
	size_t best = m->n_ports, most = 0;

	for (size_t i = 0; i < m->n_ports; i++) {
		size_t n;

		if (!mtu[i] || !is_in(g, &m->ports[i]))
			continue;
		if (m->ports[i].kind == VP_KIND_UPLINK)
			return i;
		if (best < m->n_ports && mtu[best] == mtu[i])
			continue;
		n = count_equal(m, g, mtu, mtu[i]);
		if (n > most || (n == most && mtu[i] > mtu[best])) {
			best = i;
			most = n;
		}
	}
	return best;
}

static void compare(const struct model *m, const struct meeting *g, const uint32_t *mtu, struct mtu_want *out)
{
	size_t best = measure(m, g, mtu);

	for (size_t i = 0; best < m->n_ports && i < m->n_ports; i++)
		if (mtu[i] && mtu[i] != mtu[best] && is_in(g, &m->ports[i]))
			out[i] = (struct mtu_want){ mtu[best], &m->ports[best], g->segment ? g->segment->name : NULL };
}

void mtu_compare(const struct model *m, const uint32_t *mtu, struct mtu_want *out)
{
	memset(out, 0, m->n_ports * sizeof(*out));
	for (size_t i = 0; i < m->n_segments; i++)
		compare(m, &(struct meeting){ .segment = &m->segments[i] }, mtu, out);
	for (size_t i = 0; i < m->n_bindings; i++)
		compare(m, &(struct meeting){ .binding = &m->bindings[i] }, mtu, out);
}
