/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The address of a port with `mac: auto`: a hash of machine, plane and port name, hence the same after every restart,
 * another one on every machine, and known (`check --json`) before the plane exists. Published in docs/design.md, with
 * vectors in tests/unit/test_model.c: it must not change.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model.h"

/* Who this machine is: /etc/machine-id, or its host name where there is none. */
static void machine(char *buf, size_t size)
{
	FILE *f = fopen("/etc/machine-id", "re");

	buf[0] = '\0';
	if (f) {
		if (!fgets(buf, (int)size, f))
			buf[0] = '\0';
		fclose(f);
	}
	buf[strcspn(buf, "\n")] = '\0';
	if (!buf[0] && gethostname(buf, size))
		buf[0] = '\0';
	buf[size - 1] = '\0';
}

/* FNV-1a, the terminating NUL included so that "a" "bc" and "ab" "c" differ. */
static uint64_t mix_text(uint64_t hash, const char *text)
{
	do {
		hash ^= (uint8_t)*text;
		hash *= 0x100000001b3;
	} while (*text++);
	return hash;
}

/* FNV alone leaves the high bits of similar names alike; this is the finaliser of SplitMix64. */
static uint64_t finish(uint64_t hash)
{
	hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
	hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
	return hash ^ (hash >> 31);
}

void model_auto_mac(const char *machine_id, const char *plane, const char *port, uint32_t turn, struct mac *out)
{
	uint64_t hash = mix_text(mix_text(mix_text(0xcbf29ce484222325, machine_id), plane), port);
	int i;

	hash = finish(hash + turn);
	for (i = 0; i < VP_MAC_LEN; i++)
		out->b[i] = (uint8_t)(hash >> (8 * i));
	out->b[0] = (uint8_t)((out->b[0] & 0xfc) | 0x02); /* locally administered, one receiver */
}

struct derived {
	struct mac mac;
	struct port *port;
	uint32_t turn;
};

static int by_mac_then_name(const void *a, const void *b)
{
	const struct derived *x = a, *y = b;
	int order = memcmp(x->mac.b, y->mac.b, VP_MAC_LEN);

	order = order ? order : strcmp(x->port->name, y->port->name);
	return order ? order : x->port < y->port ? -1 : x->port > y->port;
}

/* Of those that have one address all but the first by name go on to their next; until nothing collides. */
static void spread(struct derived *all, size_t n, const char *machine_id, const char *plane)
{
	bool again = true;
	size_t i;

	while (again) {
		again = false;
		qsort(all, n, sizeof(*all), by_mac_then_name);
		for (i = n; i-- > 1;) {
			if (memcmp(all[i].mac.b, all[i - 1].mac.b, VP_MAC_LEN) != 0)
				continue;
			model_auto_mac(machine_id, plane, all[i].port->name, ++all[i].turn, &all[i].mac);
			again = true;
		}
	}
}

int model_derive_for(struct model *m, const char *machine_id, const char *plane)
{
	struct derived *all = calloc(m->n_ports + 1, sizeof(*all));
	size_t i, n = 0;
	int ret = all ? 0 : -ENOMEM;

	for (i = 0; all && i < m->n_ports; i++) {
		if (!m->ports[i].mac_auto)
			continue;
		all[n].port = &m->ports[i];
		model_auto_mac(machine_id, plane, m->ports[i].name, 0, &all[n++].mac);
	}
	if (n)
		spread(all, n, machine_id, plane);
	for (i = 0; !ret && i < n; i++) {
		struct port *p = all[i].port;

		p->n_macs = 0;
		if (port_add_mac(p, &all[i].mac))
			ret = -ENOMEM;
	}
	free(all);
	return ret;
}

int model_derive(struct model *m, const char *plane)
{
	char id[256];

	machine(id, sizeof(id));
	return model_derive_for(m, id, plane);
}
