/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map: vp_abi.h says what each one holds and who writes it.  Hash tables are preallocated, so that a frame never
 * waits for memory; a full table is an event, never an error.  The loader pins them; nothing here pins itself.
 */
#ifndef MAPS_H
#define MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "vp_abi.h"

#define ARRAY(name_, value_, n_)                                                                                       \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                                      \
		__type(key, __u32);                                                                                    \
		__type(value, value_);                                                                                 \
		__uint(max_entries, n_);                                                                               \
	} name_ SEC(".maps")

#define HASH(name_, key_, value_, n_)                                                                                  \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_HASH);                                                                       \
		__type(key, key_);                                                                                     \
		__type(value, value_);                                                                                 \
		__uint(max_entries, n_);                                                                               \
	} name_ SEC(".maps")

struct vp_timer {
	struct bpf_timer timer;
};

ARRAY(vp_plane, struct vp_plane, 1);
ARRAY(vp_ports, struct vp_port, 2 * VP_MAX_PORTS);
ARRAY(vp_segments, struct vp_segment, 2 * VP_MAX_SEGMENTS);
ARRAY(vp_members, struct vp_member, 2 * VP_MAX_MEMBERS);
ARRAY(vp_state, struct vp_state, VP_MAX_PORTS);
ARRAY(vp_timer, struct vp_timer, 1);
ARRAY(vp_told, struct vp_told, VP_MAX_PORTS);
ARRAY(vp_events, struct vp_events, 1);

/* For the loader and for people with bpftool; no program reads them. */
ARRAY(vp_port_info, struct vp_port_info, VP_MAX_PORTS);
ARRAY(vp_seg_info, struct vp_seg_info, VP_MAX_SEGMENTS);
ARRAY(vp_conf, struct vp_conf, 2);

ARRAY(vp_near, __u64, VP_MAX_NEAR);
HASH(vp_ifaces, __u32, __u32, 4096);
HASH(vp_vlans, struct vp_vlan_key, __u32, 2 * VP_MAX_MEMBERS);
HASH(vp_guards, struct vp_guard_key, __u32, VP_MAX_GUARDS);
HASH(vp_macs, struct vp_mac_key, struct vp_mac, VP_MAX_MACS);

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__type(value, struct vp_mac_key);
	__uint(max_entries, VP_MAX_MACS);
} vp_sweep SEC(".maps");

/* Per CPU: a plain ++ is safe, since nothing interrupts a program on its CPU with the same hook's work. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct vp_counters);
	__uint(max_entries, VP_MAX_PORTS);
} vp_counters SEC(".maps");

/* A plain DEVMAP could not be shared by the tc and the XDP programs (tests/kernel). */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
	__uint(max_entries, VP_MAX_PORTS);
} vp_targets SEC(".maps");

struct vp_flood {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(key_size, 4);
	__uint(value_size, 8);
	__uint(max_entries, 8);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, 2 * VP_MAX_SEGMENTS);
	__array(values, struct vp_flood);
} vp_floods SEC(".maps");

/* Set by the loader before load; the verifier removes what is off. */
#ifndef VP_LIVE
#define VP_LIVE 0
#endif
const volatile __u32 vp_live = VP_LIVE; /* 1: the kernel lets us read a device's state as it is now */
const volatile __u32 vp_room = 0; /* never 1: see vp_xdp_bound */

/*
 * Keeps a structure in memory.  Else the compiler makes a variable of each member, has no register for it, and on every
 * way to where such ways meet writes all of them anew.
 */
#define IN_MEMORY(x) asm volatile("" : : "r"(&(x)) : "memory")

#endif
