/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>

#include "link.h"
#include "scene.h"

void scene_ports(struct scene *s)
{
	unsigned int i;

	for (i = 1; i < RIG_PORTS; i++) {
		struct vp_port *p = &s->ports[i];

		p->ifindex = rig.ifindex[i];
		p->flags = VP_PORT_UP | VP_PORT_XDP | VP_PORT_XDP_TARGET;
		p->incarnation = i + 100;
		p->quota = SCENE_QUOTA;
		p->mtu = i == SMALL ? SMALL_MTU : 1500;
	}
	s->ports[H].flags = VP_PORT_UP;
	s->ports[H].kind = VP_KIND_HOST;
	s->ports[N].flags |= VP_PORT_FINISHED;
	s->ports[N].kind = VP_KIND_UPLINK;
	s->ports[WAITING].flags = 0;
}

void scene_join(struct scene *s, unsigned int segment, const uint8_t *ports)
{
	struct vp_segment *g = &s->segments[segment];

	g->age_ticks = SCENE_AGE;
	g->flags = VP_SEG_FLOOD_UNKNOWN;
	g->first = s->n_members;
	for (; *ports; ports++) {
		s->ports[*ports].segment = segment;
		s->members[s->n_members++].port = *ports;
		g->count++;
	}
}

void scene_tag(struct scene *s, unsigned int segment, uint16_t vlan, const uint8_t *ports)
{
	s->segments[segment].vlan = vlan;
	for (; *ports; ports++) {
		s->ports[*ports].flags |= VP_PORT_TRUNK;
		s->members[s->n_members++] = (struct vp_member){ *ports, vlan };
		s->segments[segment].count++;
		s->vlans[s->n_vlans].port = *ports;
		s->vlans[s->n_vlans].vid = vlan;
		s->vlans[s->n_vlans++].segment = segment;
	}
}

void scene_bind(struct scene *s, unsigned int a, unsigned int b)
{
	s->ports[a].peer = b;
	s->ports[b].peer = a;
}

static struct vp_mac *scene_mac(struct scene *s, unsigned int segment, const uint8_t mac[6], unsigned int port)
{
	struct scene_mac *m = &s->macs[s->n_macs++];

	memset(m, 0, sizeof(*m));
	m->key.segment = segment;
	memcpy(m->key.mac, mac, 6);
	m->mac.port = port;
	m->mac.incarnation = s->ports[port].incarnation;
	return &m->mac;
}

void scene_static(struct scene *s, unsigned int segment, const uint8_t mac[6], unsigned int port)
{
	scene_mac(s, segment, mac, port)->flags = VP_MAC_STATIC;
}

void scene_learned(struct scene *s, unsigned int segment, const uint8_t mac[6], unsigned int port, uint32_t age)
{
	scene_mac(s, segment, mac, port)->tick = s->now - age;
	s->state[port].learned++;
}

void scene_guard(struct scene *s, unsigned int port, const uint8_t mac[6], bool elsewhere)
{
	s->guards[s->n_guards].key.port = port;
	memcpy(s->guards[s->n_guards].key.mac, mac, 6);
	s->guards[s->n_guards++].elsewhere = elsewhere;
}

void lan(struct scene *s)
{
	static const uint8_t ports[] = { A, B, C, H, N, 0 };

	scene_ports(s);
	scene_join(s, 1, ports);
	scene_static(s, 1, MAC_B, B);
	scene_learned(s, 1, MAC_C, C, 10);
	scene_learned(s, 1, MAC_H, H, 10);
	scene_learned(s, 1, MAC_N, N, 10);
}

void lan_xdp(struct scene *s)
{
	static const uint8_t ports[] = { A, B, C, 0 };

	scene_ports(s);
	scene_join(s, 1, ports);
	s->segments[1].flags |= VP_SEG_XDP_FLOOD;
	scene_static(s, 1, MAC_B, B);
	scene_learned(s, 1, MAC_C, C, 10);
}

void wire(struct scene *s)
{
	scene_ports(s);
	scene_bind(s, A, B);
	scene_bind(s, C, H);
	scene_bind(s, N, E);
}

static int hash_clear(int fd)
{
	uint8_t key[16];
	int ret = 0;

	while (!ret && !bpf_map_get_next_key(fd, NULL, key))
		ret = bpf_map_delete_elem(fd, key);
	return ret;
}

/* Everything from anywhere goes to X. */
static struct vp_port poison(const struct vp_port *p)
{
	struct vp_port x = *p;

	x.flags = VP_PORT_UP | VP_PORT_XDP | VP_PORT_XDP_TARGET;
	x.segment = 0;
	x.peer = X;
	x.incarnation++;
	x.broadcast_pps = 0;
	return x;
}

static int put_bank(const struct scene *s, uint32_t bank, bool poisoned)
{
	struct vp_segment g = { .age_ticks = 1, .count = 1 };
	struct vp_member x = { .port = X };
	uint32_t i, at;
	int ret = 0;

	for (i = 0; i < RIG_PORTS && !ret; i++) {
		struct vp_port p = poisoned ? poison(&s->ports[i]) : s->ports[i];

		at = vp_bank_index(bank, VP_MAX_PORTS, i);
		ret = bpf_map_update_elem(rig.map.ports, &at, &p, BPF_ANY);
	}
	for (i = 0; i < 3 && !ret; i++) {
		at = vp_bank_index(bank, VP_MAX_SEGMENTS, i);
		ret = bpf_map_update_elem(rig.map.segments, &at, poisoned ? &g : &s->segments[i], BPF_ANY);
	}
	for (i = 0; i < 16 && !ret; i++) {
		at = vp_bank_index(bank, VP_MAX_MEMBERS, i);
		ret = bpf_map_update_elem(rig.map.members, &at, poisoned ? &x : &s->members[i], BPF_ANY);
	}
	return ret;
}

/* In the other bank the tags mean nothing that exists. */
static int put_vlans(const struct scene *s, uint32_t bank)
{
	uint32_t i, other, segment, wrong = VP_MAX_SEGMENTS - 1;
	int ret = hash_clear(rig.map.vlans);

	for (i = 0; i < 2 * s->n_vlans && !ret; i++) {
		other = i & 1;
		struct vp_vlan_key key = { s->vlans[i / 2].port, s->vlans[i / 2].vid, other ? !bank : bank };

		segment = s->vlans[i / 2].segment;
		ret = bpf_map_update_elem(rig.map.vlans, &key, other ? &wrong : &segment, BPF_ANY);
	}
	return ret;
}

static int put_tables(const struct scene *s, uint32_t bank)
{
	uint32_t i, mask;
	int ret;

	ret = hash_clear(rig.map.macs);
	if (!ret)
		ret = hash_clear(rig.map.guards);
	for (i = 0; i < s->n_macs && !ret; i++)
		ret = bpf_map_update_elem(rig.map.macs, &s->macs[i].key, &s->macs[i].mac, BPF_ANY);
	for (i = 0; i < s->n_guards && !ret; i++) {
		mask = 1U << (s->guards[i].elsewhere ? !bank : bank);
		ret = bpf_map_update_elem(rig.map.guards, &s->guards[i].key, &mask, BPF_ANY);
	}
	for (i = 0; i < RIG_PORTS && !ret; i++)
		ret = bpf_map_update_elem(rig.map.state, &i, &s->state[i], BPF_ANY);
	return ret;
}

static int counters_clear(void)
{
	int cpus = libbpf_num_possible_cpus(), ret = 0;
	struct vp_counters *zero = calloc(cpus, sizeof(*zero));
	uint32_t i;

	for (i = 0; zero && i < RIG_PORTS && !ret; i++)
		ret = bpf_map_update_elem(rig.map.counters, &i, zero, BPF_ANY);
	if (!zero)
		return -ENOMEM;
	free(zero);
	return ret;
}

int scene_apply(const struct scene *s, uint32_t bank)
{
	static uint32_t epoch; /* two further each time: a case may switch the configuration itself */
	struct vp_plane plane = {
		.abi = VP_ABI_VERSION, .bank = bank, .tick = s->now, .epoch = epoch += 2, .name = "vectors"
	};
	struct vp_mac_key ticket;
	uint32_t zero = 0;
	int ret;

	ret = put_bank(s, bank, false);
	if (!ret)
		ret = put_bank(s, !bank, true);
	if (!ret)
		ret = put_tables(s, bank);
	if (!ret)
		ret = put_vlans(s, bank);
	if (!ret)
		ret = counters_clear();
	if (!ret)
		ret = link_netns_cookie((uint64_t *)&plane.netns);
	plane.netns += s->elsewhere;
	if (!ret)
		ret = bpf_map_update_elem(rig.map.plane, &zero, &plane, BPF_ANY);
	while (!ret && !bpf_map_lookup_and_delete_elem(rig.map.sweep, NULL, &ticket))
		;
	rig_drain();
	return ret;
}
