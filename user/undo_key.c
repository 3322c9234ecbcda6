/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What can be changed on a device that is not ours, one row of a table each: how it is read, and how it is put back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "undo_priv.h"

int undo_give_text(char **value, const char *text)
{
	*value = strdup(text);
	return *value ? 0 : -ENOMEM;
}

static int parse_bool(const char *value, bool *on)
{
	if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
		return -EINVAL;
	*on = value[0] == '1';
	return 0;
}

static int get_promisc(const struct link_info *l, char **value)
{
	bool on = false;
	int ret = link_get_promisc(l->ifindex, &on);
	return ret ? ret : undo_give_text(value, on ? "1" : "0");
}

static int set_promisc(const struct link_info *l, const char *value)
{
	bool on = false;
	int ret = parse_bool(value, &on);
	return ret ? ret : link_set_promisc(l->ifindex, on);
}

static int get_feature(const struct link_info *l, const char *feature, char **value)
{
	bool on = false;
	int ret = link_get_feature(l->name, feature, &on);
	return ret ? ret : undo_give_text(value, on ? "1" : "0");
}

/* Some drivers answer "done" and do it not at all or not now: read back. */
static int set_feature(const struct link_info *l, const char *feature, const char *value)
{
	bool on = false, is = false;
	int ret = parse_bool(value, &on);
	if (!ret)
		ret = link_set_feature(l->name, feature, on);
	if (!ret)
		ret = link_get_feature(l->name, feature, &is);
	return ret ? ret : is == on ? 0 : -EOPNOTSUPP;
}

static int get_gro(const struct link_info *l, char **value)
{
	return get_feature(l, "rx-gro", value);
}

static int set_gro(const struct link_info *l, const char *value)
{
	return set_feature(l, "rx-gro", value);
}

static int get_rxvlan(const struct link_info *l, char **value)
{
	return get_feature(l, "rx-vlan-hw-parse", value);
}

static int set_rxvlan(const struct link_info *l, const char *value)
{
	return set_feature(l, "rx-vlan-hw-parse", value);
}

static int get_up(const struct link_info *l, char **value)
{
	return undo_give_text(value, l->up ? "1" : "0");
}

static int set_up(const struct link_info *l, const char *value)
{
	bool on = false;
	int ret = parse_bool(value, &on);
	return ret ? ret : link_set_up(l->ifindex, on);
}

static int get_master(const struct link_info *l, char **value)
{
	return l->master ? link_master(l, value) : undo_give_text(value, NOTHING);
}

static int set_master(const struct link_info *l, const char *value)
{
	return strcmp(value, NOTHING) ? link_join(l, value) : link_set_master(l->ifindex, 0);
}

/* What link_addresses() or link_routes() gives, never empty. */
static int get_kept(int (*read)(uint32_t ifindex, char **text), const struct link_info *l, char **value)
{
	int ret = read(l->ifindex, value);
	if (ret || (*value)[0])
		return ret;
	free(*value);
	return undo_give_text(value, NOTHING);
}

static int get_addr(const struct link_info *l, char **value)
{
	return get_kept(link_addresses, l, value);
}

static int set_addr(const struct link_info *l, const char *value)
{
	return strcmp(value, NOTHING) ? link_add_addresses(l->ifindex, value) : 0;
}

static int get_routes(const struct link_info *l, char **value)
{
	return get_kept(link_routes, l, value);
}

static int set_routes(const struct link_info *l, const char *value)
{
	return strcmp(value, NOTHING) ? link_add_routes(l->ifindex, value) : 0;
}

/* Is there something of this name in the list? */
static bool lists(const char *all, const char *one, size_t len)
{
	for (const char *at = all; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, one, len) && (!at[len] || strchr("=,", at[len])))
			return true;
	}
	return false;
}

/* They go and come back one after the other: whoever died meanwhile has left some of them. */
static bool are_ours(const char *now, const char *old)
{
	size_t len;
	for (; strcmp(now, NOTHING) && *now; now += len + (now[len] == ',')) {
		len = strcspn(now, ",");
		if (!lists(old, now, strcspn(now, "=,")))
			return false;
	}
	return true;
}

static const struct key keys[] = {
	{ .name = "promisc", get_promisc, set_promisc },
	{ .name = "gro", get_gro, set_gro },
	{ .name = "rxvlan", get_rxvlan, set_rxvlan },
	{ .name = "up", get_up, set_up },
	{ .name = "master", get_master, set_master, are_ours },
	{ .name = "addr", get_addr, set_addr, are_ours },
	{ .name = "routes", get_routes, set_routes, are_ours, .needs = "addr" },
	{ .name = HELD, get_up, set_up },
};

const struct key *undo_key(const char *name)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}
