/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The address of a port with `mac: auto`: a hash of machine, plane and port name, hence the same after every restart,
 * another one on every machine, and known (`check --json`) before the plane exists.
 */
#include <errno.h>
#include <stdio.h>
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

int model_derive(struct model *m, const char *plane)
{
	char id[256];
	uint64_t base;
	size_t i;
	int j;

	machine(id, sizeof(id));
	base = mix_text(mix_text(0xcbf29ce484222325, id), plane);
	for (i = 0; i < m->n_ports; i++) {
		struct port *p = &m->ports[i];
		uint64_t hash = finish(mix_text(base, p->name));
		struct mac mac;

		if (!p->mac_auto)
			continue;
		for (j = 0; j < VP_MAC_LEN; j++)
			mac.b[j] = (uint8_t)(hash >> (8 * j));
		mac.b[0] = (uint8_t)((mac.b[0] & 0xfc) | 0x02); /* locally administered, one receiver */
		port_free(p);
		if (port_add_mac(p, &mac))
			return -ENOMEM;
	}
	return 0;
}
