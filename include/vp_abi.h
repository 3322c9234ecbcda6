/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All that crosses the boundary between bpf/ and user/: limits, keys, values and who writes them.
 *
 * Banks.  Configuration exists twice.  Index `vp_bank_index(bank, LIMIT, id)` of a banked array belongs to bank 0 or 1,
 * and vp_plane.bank says which of the two is active.  A program reads vp_plane.bank once per frame and uses that bank
 * only; the loader writes the other bank as a whole and then flips.  So a frame sees one configuration, never two.
 *
 *   map            type            key             value             banked  written by
 *   vp_plane       ARRAY 1         0               vp_plane                  loader; tick, epoch: datapath, too
 *   vp_ifaces      HASH            ifindex         port id (u32)             loader
 *   vp_memory      PERCPU_ARRAY 1  0               vp_memory (flow.h)        datapath
 *   vp_near        ARRAY           ifindex         port id (u64)             loader: the small ones of vp_ifaces again
 *   vp_ports       ARRAY           id              vp_port           yes     loader
 *   vp_segments    ARRAY           id              vp_segment        yes     loader
 *   vp_members     ARRAY           member index    vp_member         yes     loader
 *   vp_vlans       HASH            vp_vlan_key     segment id (u32)  key     loader
 *   vp_guards      HASH            vp_guard_key    bank mask (u32)   mask    loader
 *   vp_macs        HASH            vp_mac_key      vp_mac                    loader (static), datapath (learned)
 *   vp_sweep       QUEUE           -               vp_mac_key                datapath: a ticket per entry once learned
 *   vp_state       ARRAY           port id         vp_state                  datapath
 *   vp_counters    PERCPU_ARRAY    port id         vp_counters               datapath
 *   vp_told        ARRAY           port id         vp_told                   datapath
 *   vp_events      ARRAY 1         0               vp_events                 datapath, loader: see there
 *   vp_timer       ARRAY 1         0               vp_timer                  datapath
 *   vp_targets     DEVMAP_HASH     port id         ifindex                   loader
 *   vp_floods      ARRAY_OF_MAPS   segment id      DEVMAP_HASH       yes     loader
 *   vp_port_info   ARRAY           port id         vp_port_info              loader
 *   vp_seg_info    ARRAY           segment id      vp_seg_info               loader
 *   vp_conf        ARRAY 2         bank            vp_conf           yes     loader
 *
 * Ids are dense and start at 1; 0 means none.  All integers are in host byte order, MAC addresses in wire order.
 * Rules: fixed width types only, no hidden padding (asserted below), numbers are append only.
 */
#ifndef VP_ABI_H
#define VP_ABI_H

#include <linux/types.h>
#include "vp_names.h"

/*
 * A plane outlives the build that made it, and `vpeer upgrade` puts other programs over its maps.  The minor number
 * grows when a map is added (plane_maps says since when), or a reason, an event or a flag: what is there keeps its
 * meaning, and a plane of an earlier minor number is migrated.  A map that only remembers may be replaced by another.
 * Anything else is another major number, and never meets the old one.
 */
#define VP_ABI_MAJOR 1
#define VP_ABI_MINOR 4
#define VP_ABI_VERSION ((__u32)VP_ABI_MINOR << 16 | VP_ABI_MAJOR)
#define VP_ABI_MAJOR_OF(version) ((version) & 0xffff)
#define VP_ABI_MINOR_OF(version) ((version) >> 16)

#define VP_MAX_PORTS 2048
#define VP_MAX_SEGMENTS 512
#define VP_MAX_MEMBERS 8192
#define VP_MAX_MACS 65536
#define VP_MAX_GUARDS 65536
#define VP_MAX_RECORDS 4096 /* a power of two */
#define VP_MAX_NEAR 8192 /* device indexes below it are looked up without a hash */
#define VP_MAC_LEN 6
#define VP_NAME_LEN 32 /* 31 characters and NUL: planes, ports, segments */
#define VP_DEV_LEN 16  /* IFNAMSIZ */
#define VP_CONF_TEXT (2U * 1024 * 1024 - 8)

/* Learned entries age in ticks of 2^30 ns (about 1.07 s): a shift instead of a division per frame. */
#define VP_TICK_SHIFT 30

enum vp_reason {
	VP_REASON_NONE = 0,
#define X(e, w, t) VP_DROP_##e,
	VP_REASONS(X)
#undef X
	VP_REASON_COUNT
};

/* Room for more reasons and events: their counters' place is part of the ABI, their number is not. */
#define VP_REASON_ROOM 41
#define VP_EVENT_ROOM 16
#define VP_SUPERFRAMES (VP_EVENT_ROOM - 1) /* no event, but counted beside them: frames that came in superframes */

enum vp_event {
#define X(e, w, t) VP_EVENT_##e,
	VP_EVENTS(X)
#undef X
	VP_EVENT_COUNT
};

enum vp_news {
	VP_NEWS_FIRST = VP_EVENT_ROOM - 1,
#define X(e, w, t) VP_NEWS_##e,
	VP_NEWS(X)
#undef X
	VP_NEWS_END
};

enum vp_kind {
#define X(e, w) VP_KIND_##e,
	VP_KINDS(X)
#undef X
	VP_KIND_COUNT
};

/* vp_port.flags */
#define VP_PORT_UP 0x0001         /* device present and attached; else the entry counts as gone */
#define VP_PORT_XDP 0x0002        /* carrier xdp: the XDP program may forward what comes from this port */
#define VP_PORT_XDP_TARGET 0x0004 /* XDP may send to this port */
#define VP_PORT_GUARD_MAC 0x0008  /* source address must be in vp_guards */
#define VP_PORT_FINISHED 0x0010   /* physical NIC: what it receives never has an unfinished checksum */
#define VP_PORT_TRUNK 0x0020      /* has entries in vp_vlans: carries segments tagged */

/* vp_port_info.flags: what `down` has to take away again; what `watch` has seen of a TAP's frames */
#define VP_INFO_CLSACT 0x0001  /* the clsact qdisc is ours */
#define VP_INFO_PENDING 0x0002 /* it is being made: set before, so that a loader that dies in between leaves no qdisc */
#define VP_INFO_GENERIC 0x0004 /* they come on the generic path, unfinished */
#define VP_INFO_SUPER 0x0008   /* nearly all come in superframes */
#define VP_INFO_BEGUN 0x0010   /* of id 0, which is no port: a run changes things, or died when it did */
#define VP_INFO_SEEN (VP_INFO_GENERIC | VP_INFO_SUPER)
#define VP_INFO_QUEUES_SHIFT 16 /* above: a veth's rx queues when its XDP program was attached, 0 = not known */

/* vp_segment.flags */
#define VP_SEG_FLOOD_UNKNOWN 0x0001
#define VP_SEG_XDP_FLOOD 0x0002 /* every member is an XDP target and vp_floods holds the map */
#define VP_SEG_DUP_DROP 0x0004	/* duplicate: drop the frame ... */
#define VP_SEG_DUP_IGNORE 0x0008 /* ... or only leave the entry alone; neither: the entry moves */

/* vp_mac.flags */
#define VP_MAC_STATIC 0x01
#define VP_MAC_MOVES_SHIFT 1 /* three bits: how often the entry has moved in its tick */
#define VP_MAC_MOVES(flags) ((flags) >> VP_MAC_MOVES_SHIFT & 7)
#define VP_MAC_TICKET 0x10 /* static, but was learned before: its ticket in vp_sweep stays */

/* Read once per frame.  One element. */
struct vp_plane {
	__u32 abi; /* VP_ABI_VERSION of the loader that made the plane, or upgraded it; stays the first word for ever */
	__u32 bank;
	__u64 netns; /* cookie of the namespace the plane lives in */
	__u32 tick;   /* now, in ticks; written by the datapath's timer, ten times a second */
	__u32 epoch;  /* counts what makes remembered verdicts void; written by both */
	char name[VP_NAME_LEN];
};

/* One port's hot configuration: what a frame from it or to it must know. */
struct vp_port {
	__u32 ifindex; /* 0 = waiting */
	__u16 flags;
	__u16 segment; /* untagged membership, 0 = none */
	__u16 peer;    /* other end of the binding, 0 = none */
	__u8 kind;
	__u8 incarnation; /* changes each time the id is given to another port */
	__u32 quota;      /* most learned entries of this port */
	__u32 broadcast_pps; /* 0 = no limit */
	__u32 mtu;	     /* as the loader saw it: used where the kernel cannot be asked per frame */
	__u32 pad[2];
};

struct vp_segment {
	__u32 age_ticks; /* 0 = never */
	__u16 flags;
	__u16 vlan; /* the tag of the segment where it is tagged, 0 = nowhere */
	__u16 first; /* members first .. first + count - 1 of vp_members, same bank */
	__u16 count;
	__u32 pad;
};

struct vp_member {
	__u16 port;
	__u16 vid; /* the tag that the port's frames of this segment carry, 0 = none */
};

/* Which segment a tagged frame belongs to. The bank is part of the key. */
struct vp_vlan_key {
	__u16 port;
	__u16 vid; /* 1 to 4094 */
	__u32 bank;
};

struct vp_guard_key {
	__u16 port;
	__u8 mac[VP_MAC_LEN];
};

struct vp_mac_key {
	__u16 segment;
	__u8 mac[VP_MAC_LEN];
};

/*
 * Read and written as one aligned 64-bit word: a reader sees one writer's entry, never half of two.  One that the
 * loader takes away, if it has a ticket in vp_sweep, is void until that comes by: of port 0, which has not that
 * incarnation.
 */
#define VP_MAC_VOID_INCARNATION 1

struct vp_mac {
	__u16 port;
	__u8 flags;
	__u8 incarnation; /* of the port when the entry was made; another one now = the entry is stale */
	__u32 tick;	  /* when last seen as a source; 0 in static entries */
};

/*
 * What the datapath remembers about a port.  Writers use atomics; a lost race costs one frame's exactness.  Element 0
 * is no port's: its storm_tick is the jiffy in which the MAC table was last found full.
 */
struct vp_state {
	__u32 learned;	  /* learned entries that point to this port */
	__u32 unfinished; /* 1 = a UDP checksum that XDP may not finish was seen: UDP goes by tc from now on */
	__u32 storm_tick; /* the second (ktime >> 30) the count below belongs to */
	__u32 storm_count;
};

/* rx_packets = forwarded + flooded + passed + sum of drops.  Packets are wire frames: GSO counts its segments. */
struct vp_counters {
	__u64 rx_packets;
	__u64 rx_bytes;
	__u64 tx_packets;
	__u64 tx_bytes;
	__u64 forwarded;
	__u64 flooded;
	__u64 passed;
	__u64 events[VP_EVENT_ROOM];
	__u64 drops[VP_REASON_ROOM]; /* [VP_REASON_NONE] stays 0 */
};

/* How much the datapath has told of a port in this tick. */
struct vp_told {
	__u32 tick;
	__u32 count;
	__u32 missed; /* since the last record of the port */
	__u32 pad;
};

struct vp_record {
	__u64 number; /* counts from 1; 0 = it is being written */
	__u64 ktime;  /* ns, CLOCK_MONOTONIC */
	__u16 what;   /* VP_EVENT_*, VP_NEWS_* */
	__u16 port;
	__u16 other; /* the port an address was at before, 0 = none */
	__u16 segment;
	__u8 mac[VP_MAC_LEN];
	__u8 incarnation; /* of the port; another one now = it had another name */
	__u8 other_incarnation;
	__u32 missed;	  /* events of this port that were not told before this one */
	__u32 generation; /* VP_NEWS_CONFIG */
	char name[VP_NAME_LEN]; /* of the port, where the loader tells: it may be gone by the time it is read */
};

/*
 * What happened, for whoever wants to know: a ring that overwrites its oldest record.  A writer takes the next number
 * from `head`, clears its record's number, fills the record in and enters the number last.  A reader copies a record
 * and looks at the number before and after; from `head` it knows what it has missed.
 */
struct vp_events {
	__u64 head;	  /* number of the newest record */
	__u32 generation; /* how often the configuration was changed */
	__u32 pad;
	struct vp_record record[VP_MAX_RECORDS];
};

struct vp_port_info {
	char name[VP_NAME_LEN]; /* empty = id is free */
	char device[VP_DEV_LEN];
	__u64 egress_base; /* the device's tx errors when it was attached */
	__u32 incarnation;
	__u32 flags; /* VP_INFO_* */
	__u32 attached; /* how often this device was attached: all but the first time it had returned */
	__u32 told;	/* `attached` at the last event about it, 0 = none yet */
};

struct vp_seg_info {
	char name[VP_NAME_LEN];
};

/* The configuration as text: what `showconf` prints and the next `up` compares with. */
struct vp_conf {
	__u32 len;
	__u32 pad;
	char text[VP_CONF_TEXT];
};

enum vp_abi_fit { VP_ABI_SAME, VP_ABI_OLDER, VP_ABI_NEWER, VP_ABI_FOREIGN };

/* How does the version of a plane stand to that of a build? */
static inline enum vp_abi_fit vp_abi_fit(__u32 plane, __u32 build)
{
	if (VP_ABI_MAJOR_OF(plane) != VP_ABI_MAJOR_OF(build))
		return VP_ABI_FOREIGN;
	return plane < build ? VP_ABI_OLDER : plane > build ? VP_ABI_NEWER : VP_ABI_SAME;
}

static inline __u32 vp_bank_index(__u32 bank, __u32 limit, __u32 id)
{
	return (bank & 1) * limit + id;
}

_Static_assert(sizeof(struct vp_plane) == 56, "vp_plane");
_Static_assert(sizeof(struct vp_port) == 32, "vp_port");
_Static_assert(sizeof(struct vp_segment) == 16, "vp_segment");
_Static_assert(sizeof(struct vp_member) == 4, "vp_member");
_Static_assert(sizeof(struct vp_vlan_key) == 8, "vp_vlan_key");
_Static_assert(sizeof(struct vp_guard_key) == 8, "vp_guard_key");
_Static_assert(sizeof(struct vp_mac_key) == 8, "vp_mac_key");
_Static_assert(sizeof(struct vp_mac) == 8, "vp_mac");
_Static_assert(sizeof(struct vp_state) == 16, "vp_state");
_Static_assert(sizeof(struct vp_counters) == 512, "vp_counters");
_Static_assert(sizeof(struct vp_told) == 16, "vp_told");
_Static_assert(sizeof(struct vp_record) == 72, "vp_record");
_Static_assert(sizeof(struct vp_events) == 16 + 72 * VP_MAX_RECORDS, "vp_events");
_Static_assert((int)VP_EVENT_COUNT <= VP_EVENT_ROOM && (int)VP_REASON_COUNT <= VP_REASON_ROOM, "vp_counters is full");
_Static_assert(sizeof(struct vp_port_info) == 72, "vp_port_info");
_Static_assert(sizeof(struct vp_conf) == 2U * 1024 * 1024, "vp_conf");

#endif
