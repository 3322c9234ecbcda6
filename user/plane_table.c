/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The configuration in the kernel: reading the active bank, writing the other one, switching, and what follows. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conf.h"
#include "plane_events.h"
#include "plane_priv.h"

const struct vp_port *plane_port(const struct plane *p, uint16_t id)
{
	return plane_cell(p, MAP_PORTS, vp_bank_index(plane_bank(p), VP_MAX_PORTS, id));
}

const struct vp_segment *plane_segment(const struct plane *p, uint16_t id)
{
	return plane_cell(p, MAP_SEGMENTS, vp_bank_index(plane_bank(p), VP_MAX_SEGMENTS, id));
}

/* The members of a segment stand in the order of their ids. */
bool plane_is_member(const struct plane *p, uint16_t port, uint16_t segment)
{
	const struct vp_segment *s = plane_segment(p, segment);
	uint32_t low = s->first, high = low + s->count, bank = plane_bank(p);

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		const struct vp_member *m = plane_cell(p, MAP_MEMBERS, vp_bank_index(bank, VP_MAX_MEMBERS, mid));

		if (m->port == port)
			return true;
		if (m->port < port)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

struct vp_port_info *plane_port_info(const struct plane *p, uint16_t id)
{
	return plane_cell(p, MAP_PORT_INFO, id);
}

struct vp_seg_info *plane_seg_info(const struct plane *p, uint16_t id)
{
	return plane_cell(p, MAP_SEG_INFO, id);
}

struct vp_state *plane_state(const struct plane *p, uint16_t id)
{
	return plane_cell(p, MAP_STATE, id);
}

uint16_t plane_port_id(const struct plane *p, const char *name)
{
	return layout_find_port(p->mem[MAP_PORT_INFO], name);
}

uint16_t plane_segment_id(const struct plane *p, const char *name)
{
	for (uint16_t id = 1; id < VP_MAX_SEGMENTS; id++)
		if (!strcmp(plane_seg_info(p, id)->name, name))
			return id;
	return 0;
}

const char *plane_text(const struct plane *p, size_t *len)
{
	const struct vp_conf *conf = plane_cell(p, MAP_CONF, plane_bank(p));

	*len = conf->len;
	return conf->text;
}

int plane_model(const struct plane *p, struct model *m)
{
	size_t len;
	const char *text = plane_text(p, &len);
	int err;

	if (!len) /* made, but no `up` has finished yet */
		return 0;
	if (len > VP_CONF_TEXT)
		return -EPROTO;
	err = conf_read_text(text, len, "(live plane)", m);
	if (!err)
		err = model_derive(m, p->name);
	model_forget_places(m);
	model_sort(m);
	return err;
}

void plane_layout_ids(const struct plane *p, struct layout *l)
{
	memset(l, 0, sizeof(*l));
	memcpy(l->port_info, p->mem[MAP_PORT_INFO], sizeof(l->port_info));
	memcpy(l->seg_info, p->mem[MAP_SEG_INFO], sizeof(l->seg_info));
	for (uint16_t id = 1; id < VP_MAX_PORTS; id++)
		if (l->port_info[id].name[0])
			l->top_port = id;
	for (uint16_t id = 1; id < VP_MAX_SEGMENTS; id++)
		if (l->seg_info[id].name[0])
			l->top_segment = id;
}

bool plane_same(const struct plane *p, const struct layout *l)
{
	uint32_t bank = plane_bank(p);
	const void *ports = plane_cell(p, MAP_PORTS, vp_bank_index(bank, VP_MAX_PORTS, 0));
	const void *segments = plane_cell(p, MAP_SEGMENTS, vp_bank_index(bank, VP_MAX_SEGMENTS, 0));

	if (memcmp(ports, l->ports, sizeof(l->ports)) || memcmp(segments, l->segments, sizeof(l->segments)))
		return false;
	for (uint32_t i = 0; i < l->n_members; i++)
		if (memcmp(plane_cell(p, MAP_MEMBERS, vp_bank_index(bank, VP_MAX_MEMBERS, i)), &l->members[i],
			   sizeof(l->members[i])))
			return false;
	return true;
}

static int write_text(struct plane *p, uint32_t bank, const char *text, size_t len)
{
	struct vp_conf *conf = plane_cell(p, MAP_CONF, bank);

	if (len > sizeof(conf->text)) {
		fail(p->name, "the configuration is longer than %u bytes", VP_CONF_TEXT);
		return -E2BIG;
	}
	memcpy(conf->text, text, len);
	memset(conf->text + len, 0, conf->len > len ? conf->len - len : 0);
	conf->len = (uint32_t)len;
	return 0;
}

/* The XDP flood map of one segment: its live XDP targets, keyed by port id. */
static int build_flood(const struct layout *l, const struct vp_segment *s)
{
	uint32_t room = 8;

	while (room < s->count)
		room *= 2;
	int fd = bpf_map_create(BPF_MAP_TYPE_DEVMAP_HASH, "vp_flood", 4, 8, room, NULL);

	for (uint16_t i = 0; fd >= 0 && i < s->count; i++) {
		uint32_t id = l->members[s->first + i].port;
		struct {
			uint32_t ifindex;
			int32_t prog_fd;
		} value = {l->ports[id].ifindex, 0};

		if (!(l->ports[id].flags & VP_PORT_XDP_TARGET))
			continue;
		if (bpf_map_update_elem(fd, &id, &value, BPF_ANY)) {
			int err = -errno;

			close(fd);
			return err;
		}
	}
	return fd < 0 ? -errno : fd;
}

#define ENOTSUPP_IN_KERNEL 524 /* no batch for maps of maps before Linux 5.19; errno.h does not have the number */

static int write_floods_singly(const struct plane *p, const uint32_t *keys, const int *fds, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (bpf_map_update_elem(p->map[MAP_FLOODS], &keys[i], &fds[i], BPF_ANY))
			return -errno;
	return 0;
}

/* The id of the flood map that the segment has in a bank, 0 = none. */
static uint32_t flood_id(const struct plane *p, uint32_t bank, uint16_t segment)
{
	uint32_t key = vp_bank_index(bank, VP_MAX_SEGMENTS, segment), id;

	return bpf_map_lookup_elem(p->map[MAP_FLOODS], &key, &id) ? 0 : id;
}

/*
 * Had the port this device when the active bank was written, and has it had it ever since? Then the maps have its
 * entry: the kernel takes one out only when the device goes, and our filters go with it.
 */
static bool is_settled(const struct plane *p, const struct layout *l, uint32_t id)
{
	return l->kept[id] && plane_port(p, (uint16_t)id)->ifindex == l->ports[id].ifindex;
}

/* Is the flood map that the segment has in the active bank what build_flood() would make now? */
static bool is_flood(const struct plane *p, const struct layout *l, uint16_t segment)
{
	const struct vp_segment *s = &l->segments[segment], *was = plane_segment(p, segment);
	uint32_t bank = plane_bank(p);

	if (!(was->flags & VP_SEG_XDP_FLOOD) || was->count != s->count)
		return false;
	for (uint32_t i = 0; i < s->count; i++) {
		const struct vp_member *m = plane_cell(p, MAP_MEMBERS,
						       vp_bank_index(bank, VP_MAX_MEMBERS, was->first + i));

		if (m->port != l->members[s->first + i].port || !is_settled(p, l, m->port))
			return false;
	}
	return true;
}

/*
 * The map to be put where the segment has its own in this bank; -1: the right one is there.  None is ever changed once
 * it is in use, so that the banks may share it: that of the active bank will do if it is right.
 */
static int need_flood(const struct plane *p, uint32_t bank, const struct layout *l, uint16_t segment, int *fd)
{
	uint32_t active = is_flood(p, l, segment) ? flood_id(p, !bank, segment) : 0;

	*fd = -1;
	if (active && flood_id(p, bank, segment) == active)
		return 0;
	*fd = active ? bpf_map_get_fd_by_id(active) : build_flood(l, &l->segments[segment]);
	return *fd >= 0 ? 0 : *fd;
}

static int put_floods(const struct plane *p, const uint32_t *keys, const int *fds, uint32_t n)
{
	uint32_t done = n;

	if (!n || !bpf_map_update_batch(p->map[MAP_FLOODS], keys, fds, &done, NULL))
		return 0;
	return errno == ENOTSUPP_IN_KERNEL ? write_floods_singly(p, keys, fds, n) : -errno;
}

/* Does no program look at what the segment has in the active bank? */
static bool is_idle(const struct plane *p, uint16_t segment)
{
	return !(plane_segment(p, segment)->flags & VP_SEG_XDP_FLOOD);
}

/*
 * Flood maps of the bank that are not as they should be, in one batch call: each single update would wait for a grace
 * period (9 ms).  Where the active bank has no use for its own, it gets the same one: the next change finds it there.
 */
static int write_floods(struct plane *p, uint32_t bank, const struct layout *l)
{
	uint32_t *keys = calloc(2 * VP_MAX_SEGMENTS, sizeof(*keys));
	int *fds = calloc(2 * VP_MAX_SEGMENTS, sizeof(*fds));
	uint32_t n = 0;
	int err = keys && fds ? 0 : -ENOMEM;

	for (uint16_t id = 1; !err && id <= l->top_segment; id++) {
		int fd;

		if (!(l->segments[id].flags & VP_SEG_XDP_FLOOD))
			continue;
		err = need_flood(p, bank, l, id, &fd);
		for (uint32_t to = 0; !err && fd >= 0 && to < 2; to++) {
			if (to != bank && !is_idle(p, id))
				continue;
			keys[n] = vp_bank_index(to, VP_MAX_SEGMENTS, id);
			fds[n++] = fd;
		}
	}
	if (!err)
		err = put_floods(p, keys, fds, n);
	for (uint32_t i = 0; i < n; i++)
		if (!i || fds[i] != fds[i - 1])
			close(fds[i]);
	free(keys);
	free(fds);
	return err;
}

int plane_write(struct plane *p, const struct layout *l, const char *text, size_t len)
{
	uint32_t bank = !plane_bank(p);
	int err;

	memcpy(plane_cell(p, MAP_PORTS, vp_bank_index(bank, VP_MAX_PORTS, 0)), l->ports, sizeof(l->ports));
	memcpy(plane_cell(p, MAP_SEGMENTS, vp_bank_index(bank, VP_MAX_SEGMENTS, 0)), l->segments, sizeof(l->segments));
	for (uint32_t i = 0; i < l->n_members; i++)
		memcpy(plane_cell(p, MAP_MEMBERS, vp_bank_index(bank, VP_MAX_MEMBERS, i)), &l->members[i],
		       sizeof(l->members[i]));
	err = plane_write_guards(p, bank, l);
	if (!err)
		err = plane_write_vlans(p, bank, l);
	if (!err)
		err = write_floods(p, bank, l);
	if (!err)
		err = write_text(p, bank, text, len);
	return err;
}

/* A grace period: programs that have read the old bank number have ended after it. */
static void wait_for_programs(const struct plane *p)
{
	uint32_t nobody = 0; /* the id of no segment */
	int fd;

	if (!syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		return;
	/* With CPUs without ticks (nohz_full) there is none of this kind, but writing to a map of maps waits too. */
	fd = bpf_map_create(BPF_MAP_TYPE_DEVMAP_HASH, "vp_flood", 4, 8, 8, NULL);
	if (fd < 0)
		return;
	bpf_map_update_elem(p->map[MAP_FLOODS], &nobody, &fd, BPF_ANY);
	bpf_map_delete_elem(p->map[MAP_FLOODS], &nobody);
	close(fd);
}

int plane_flip(struct plane *p)
{
	struct vp_plane *self = p->mem[MAP_PLANE];
	uint32_t before = plane_bank(p);

	__atomic_store_n(&self->bank, !before, __ATOMIC_RELEASE);
	__atomic_fetch_add(&self->epoch, 1, __ATOMIC_RELEASE); /* after it: who reads the new epoch sees the new bank */
	/* Of a plane's first configuration nobody needs to wait: from the empty bank there was nothing to be read. */
	if (((const struct vp_conf *)plane_cell(p, MAP_CONF, before))->len)
		wait_for_programs(p);
	plane_news_switch(p, before);
	return 0;
}

/* What the programs look at first. */
static void set_near(struct plane *p, uint32_t ifindex, uint32_t id)
{
	uint64_t *near = p->mem[MAP_NEAR];

	if (ifindex < VP_MAX_NEAR)
		__atomic_store_n(&near[ifindex], id, __ATOMIC_RELAXED);
}

/*
 * Only what is not so already.  The kernel takes a DEVMAP_HASH entry out before it puts the new one in: a frame that
 * looks in between finds nothing, and is lost in a binding (tests/kernel/devmap_replaced.c).  The entry of a device
 * that has gone, even of one that is back with its index, is not there: the kernel has taken it out.
 */
static int set_target(const struct plane *p, uint32_t id, uint32_t ifindex)
{
	struct {
		uint32_t ifindex;
		int32_t prog_fd;
	} value = {0, 0};

	if (!bpf_map_lookup_elem(p->map[MAP_TARGETS], &id, &value) && value.ifindex == ifindex)
		return 0;
	value.ifindex = ifindex;
	value.prog_fd = 0;
	return bpf_map_update_elem(p->map[MAP_TARGETS], &id, &value, BPF_ANY) ? -errno : 0;
}

static int set_iface(struct plane *p, uint32_t id, uint32_t ifindex)
{
	const uint64_t *near = p->mem[MAP_NEAR];
	uint32_t is = 0;

	/* What is near is in the hash as well: it comes after it, and goes before it. */
	if (ifindex < VP_MAX_NEAR && near[ifindex] == id)
		return 0;
	if (bpf_map_lookup_elem(p->map[MAP_IFACES], &ifindex, &is) || is != id)
		if (bpf_map_update_elem(p->map[MAP_IFACES], &ifindex, &id, BPF_ANY))
			return -errno;
	set_near(p, ifindex, id);
	return 0;
}

int plane_targets(struct plane *p, const struct layout *l)
{
	int err = 0;

	for (uint32_t id = 1; !err && id <= l->top_port; id++) {
		uint32_t ifindex = l->ports[id].ifindex;

		if (!ifindex || is_settled(p, l, id))
			continue;
		err = set_target(p, id, ifindex);
		if (!err)
			err = set_iface(p, id, ifindex);
	}
	return err;
}

void plane_drop_iface(struct plane *p, uint32_t ifindex, uint16_t id)
{
	uint32_t value = 0;

	/* The number may have gone to another port's device meanwhile. */
	if (!ifindex || bpf_map_lookup_elem(p->map[MAP_IFACES], &ifindex, &value) || value != id)
		return;
	set_near(p, ifindex, 0);
	bpf_map_delete_elem(p->map[MAP_IFACES], &ifindex);
}

uint32_t plane_seen(const struct plane *p, const char *port, const struct link_info *l)
{
	uint16_t id = plane_port_id(p, port);

	return id && plane_port(p, id)->ifindex == l->ifindex ? plane_port_info(p, id)->flags & VP_INFO_SEEN : 0;
}

void plane_forget_port(struct plane *p, uint16_t id)
{
	uint32_t key = id;
	int cpus = libbpf_num_possible_cpus();
	void *zero = calloc((size_t)(cpus > 0 ? cpus : 1), sizeof(struct vp_counters));
	struct vp_port_info *info = plane_port_info(p, id);
	uint32_t incarnation = info->incarnation;

	bpf_map_delete_elem(p->map[MAP_TARGETS], &key);
	memset(plane_state(p, id), 0, sizeof(struct vp_state));
	if (zero)
		bpf_map_update_elem(p->map[MAP_COUNTERS], &key, zero, BPF_ANY);
	free(zero);
	memset(info, 0, sizeof(*info));
	info->incarnation = incarnation; /* the next owner of the id gets another one */
}

int plane_counters(const struct plane *p, uint16_t id, struct vp_counters *sum)
{
	int cpus = libbpf_num_possible_cpus();
	uint32_t key = id;
	struct vp_counters *each = calloc((size_t)(cpus > 0 ? cpus : 1), sizeof(*each));

	memset(sum, 0, sizeof(*sum));
	if (!each)
		return -ENOMEM;
	if (bpf_map_lookup_elem(p->map[MAP_COUNTERS], &key, each)) {
		free(each);
		return -errno;
	}
	for (int cpu = 0; cpu < cpus; cpu++)
		for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++)
			((uint64_t *)sum)[i] += ((uint64_t *)&each[cpu])[i];
	free(each);
	return 0;
}
