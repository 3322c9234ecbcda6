/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Network devices: the only files that speak netlink and ethtool (link*.c).  All calls act in the calling process's
 * network namespace, return 0 or -errno and print nothing: the caller knows the port, so the caller reports.
 */
#ifndef LINK_H
#define LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vp_abi.h"

enum link_type { LINK_OTHER, LINK_TAP, LINK_VETH, LINK_PHYSICAL };

struct link_info {
	uint32_t ifindex;
	char name[VP_DEV_LEN];
	enum link_type type;
	char kind[16];	/* IFLA_INFO_KIND, "" for physical NICs */
	bool ethernet;	/* carries Ethernet frames: not so TUN, tunnels of IP, the loopback device */
	char alias[96]; /* IFLA_IFALIAS */
	uint8_t mac[VP_MAC_LEN];
	uint32_t mtu;
	uint32_t rx_queues, tx_queues;
	uint32_t master; /* ifindex, 0 = none */
	uint32_t lower;	 /* VLAN, MACVLAN: ifindex of the device of this namespace that it sits on, 0 = none */
	uint32_t group;	 /* IFLA_GROUP, 0 = the default one */
	uint32_t peer;	 /* veth: ifindex of the other end, in peer's namespace; 0 = unknown */
	bool peer_here;	 /* veth: the other end is in this namespace */
	uint32_t promiscuity;
	uint32_t xdp_prog; /* id of the XDP program on it, 0 = none */
	bool xdp_generic;  /* ... and it is there in generic mode */
	bool up;	   /* administratively */
	bool running;	   /* carrier */
	uint64_t xdp_features; /* NETDEV_XDP_ACT_*; 0 when the kernel does not say */
	bool has_xdp_features;
	uint64_t tx_lost; /* tx_dropped + tx_errors */
	uint32_t tap_queues; /* TAP: descriptors that are attached to a queue */
	bool tap_multi;	     /* TAP: made for several queues */
	bool tap_vnet;	     /* TAP: frames have a virtio-net header, without which there are no offloads */
};

/* All devices of this namespace, by ifindex ascending, XDP features included (one dump each). free() the array. */
int link_list(struct link_info **out, size_t *n);
int link_get(const char *name, struct link_info *out); /* -ENODEV */
int link_get_index(uint32_t ifindex, struct link_info *out);

/* Does the device have an address? Link-local IPv6 does not count. */
int link_has_address(uint32_t ifindex, bool *out);
/* What the host would lose: devices that have an address, and those that a default route leads to; free(). */
int link_addressed(uint32_t **list, size_t *n);
int link_routed(uint32_t **list, size_t *n);
/*
 * What the host has on a device, as text "NAME=HEX,NAME=HEX", "" = nothing, free(): NAME as in 198.18.0.1/15 or
 * default, HEX the kernel's own message, with which add makes it again, label, lifetime, metric and all; what is there
 * already goes first (all addresses of the device), for the order. Link-local IPv6 addresses and the routes that come
 * with an address are left out: the kernel makes them.
 */
int link_addresses(uint32_t ifindex, char **text);
int link_routes(uint32_t ifindex, char **text); /* of all tables */
int link_add_addresses(uint32_t ifindex, const char *text);
int link_add_routes(uint32_t ifindex, const char *text);
int link_flush_addresses(uint32_t ifindex);
int link_flush_routes(uint32_t ifindex); /* those with another way besides stay */
void link_kept_names(char *text); /* "NAME,NAME" is left of it */
int link_set_master(uint32_t ifindex, uint32_t master); /* 0 = release */
/*
 * The device's master as text "NAME,...", free(): behind the name is what a bridge knows of its port, as above:
 * options, VLANs, static addresses. -ENODEV: it has none. link_join() makes all of it again.
 */
int link_master(const struct link_info *l, char **text);
int link_join(const struct link_info *l, const char *text);

/* A veth pair, created down, IPv6 address generation off on `b` (the plane's end); aliases and MAC (may be NULL). */
struct veth_spec {
	const char *a, *b;
	const uint8_t *mac_a;
	const char *alias_a, *alias_b;
	uint32_t mtu; /* 0 = default */
};
int link_create_veth(const struct veth_spec *spec); /* -EEXIST: a or b exists */
int link_delete(uint32_t ifindex);
int link_delete_many(const uint32_t *ifindex, size_t n); /* batched; -ENODEV of single ones is no error */
int link_set_up(uint32_t ifindex, bool up);
int link_set_mtu(uint32_t ifindex, uint32_t mtu);
int link_set_mac(uint32_t ifindex, const uint8_t mac[VP_MAC_LEN]);
int link_set_promisc(uint32_t ifindex, bool on); /* IFF_PROMISC flag */
int link_get_promisc(uint32_t ifindex, bool *on);
int link_get_xdp(uint32_t ifindex, uint32_t *prog); /* the program's id, 0 = none */

/* ethtool feature by its kernel name: "rx-gro", "rx-vlan-hw-parse". -EOPNOTSUPP: unknown or fixed. */
int link_get_feature(const char *device, const char *feature, bool *on);
int link_set_feature(const char *device, const char *feature, bool on);

/* Queues in use (link_info has those that could be); -EOPNOTSUPP: the driver does not say. */
int link_get_queues(const char *device, uint32_t *rx, uint32_t *tx);

/* The other end of a veth, if it is in this namespace or in one that a bound name under /run/netns leads to is NOT
 * searched: only this namespace. -ENODEV when it is elsewhere. */
int link_veth_peer(const struct link_info *veth, struct link_info *out);

/*
 * A device's clsact qdisc with our place at each of its hooks: a filter that is a BPF program.  Of many devices it is
 * asked in few messages; the error of a device is told with it, the one that is returned is that of the exchange.
 */
enum link_hook { HOOK_IN, HOOK_OUT, HOOK_COUNT };
struct link_filters {
	uint32_t ifindex;
	int err[HOOK_COUNT];	   /* -ENOENT: not there; -EINVAL: and no qdisc either; -ENODEV */
	uint32_t prog[HOOK_COUNT]; /* its id, 0 = not there, or of another kind */
};
int link_filters_get(struct link_filters *list, size_t n);
struct link_program {
	int fd;
	const char *name;
};
/*
 * Made, with the qdisc if there is none: *qdisc is 0 if it was made, -EEXIST if it was there. A filter that is in the
 * place of ours is replaced where `replace` says so, else it is an error: -EEXIST.
 */
int link_filters_put(uint32_t ifindex, const struct link_program progs[HOOK_COUNT], const bool replace[HOOK_COUNT],
		     int *qdisc);
int link_filters_delete(uint32_t ifindex, const bool which[HOOK_COUNT], int err[HOOK_COUNT]); /* an error for each */
int link_clsact_delete(const uint32_t *ifindex, size_t n, int *err); /* with all their filters; an error for each */
void link_filters_close(void); /* the socket that these share; the next one opens it again */

/* Events of this namespace's devices, for a process that stays. */
enum link_event_kind {
	LINK_CHANGED, /* came, or is otherwise than before; without what XDP can do there */
	LINK_GONE,    /* deleted, or moved to another namespace */
	LINK_ABILITY, /* its queues or what XDP can do there have changed; only link.ifindex is filled in */
};
struct link_event {
	enum link_event_kind kind;
	struct link_info link;
};
struct link_watch;
#define LINK_WATCH_FDS 2
typedef void (*link_see)(void *ctx, const struct link_event *e);
int link_watch_open(struct link_watch **out);
void link_watch_close(struct link_watch *w); /* accepts NULL */
void link_watch_fds(const struct link_watch *w, int fds[LINK_WATCH_FDS]); /* readable: something is waiting */
/* Everything that is waiting. -ENOBUFS: something was lost on the way, so the caller must look for itself. */
int link_watch_read(struct link_watch *w, link_see see, void *ctx);

/* SO_NETNS_COOKIE of this namespace: which namespace a plane lives in. */
int link_netns_cookie(uint64_t *out);

#endif
