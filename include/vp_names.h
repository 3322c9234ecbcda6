/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The words for numbers: one list per enumeration, used by the datapath (the enumerators), by user space (the text
 * in tables and JSON) and by the check that every one of them has a vector.  Append only: scripts know the words.
 */
#ifndef VP_NAMES_H
#define VP_NAMES_H

/* Why a frame was dropped: X(enumerator, word, what it tells the operator). */
#define VP_REASONS(X)                                                                                                  \
	X(MALFORMED, malformed, "shorter than an Ethernet header, or a header is cut off")                             \
	X(FOREIGN_MAC, foreign_mac, "source address is not in the port's mac list")                                    \
	X(SRC_MULTICAST, src_multicast, "source address is a group address or all zero")                               \
	X(MAC_STATIC, mac_static, "source address is a static entry of another port")                                  \
	X(VLAN_NOT_ALLOWED, vlan_not_allowed, "with a tag, or without one, that the port does not carry")              \
	X(RESERVED_GROUP, reserved_group, "link-local group address, never forwarded in a segment")                    \
	X(UNBOUND, unbound, "port is in no binding and in no segment")                                                 \
	X(SAME_PORT, same_port, "destination is behind the port the frame came from")                                  \
	X(NO_MEMBER, no_member, "no other port of the segment could take the flood")                                   \
	X(UNKNOWN_UNICAST, unknown_unicast, "unknown destination in a segment with flood: false")                      \
	X(STORM, storm, "over the port's broadcast_pps")                                                               \
	X(MTU, mtu, "larger than the target device's MTU")                                                             \
	X(PEER_DOWN, peer_down, "the other end of the binding is down or gone")                                        \
	X(INTERNAL, internal, "cannot happen; please report it")                                                       \
	X(DUPLICATE, duplicate, "source address was seen at another port just now (duplicate: drop)")

/* Events counted per port beside the verdicts: X(enumerator, word, what). */
#define VP_EVENTS(X)                                                                                                   \
	X(LEARNED, learned, "source address entered into the MAC table")                                               \
	X(MOVED, moved, "learned address moved here from another port")                                                \
	X(QUOTA, quota, "source address not learned: the port's quota is used up")                                     \
	X(TABLE_FULL, table_full, "source address not learned: the MAC table is full")                                 \
	X(DUPLICATE, duplicate, "source address was seen at another port just now: it exists twice, or in a loop")     \
	X(FLAPPING, flapping, "address moves to and fro too often: it stays where it is for a second")                 \
	X(STORM, storm, "over the port's broadcast_pps: more in this second are dropped")                              \
	X(AGED, aged, "learned address reclaimed: silent for the segment's age, or its port is gone")

/* What the loader tells in the same stream, counted nowhere: X(enumerator, word, what). */
#define VP_NEWS(X)                                                                                                     \
	X(UP, up, "port attached")                                                                                     \
	X(WAITING, waiting, "port's device is absent")                                                                 \
	X(RECONNECTED, reconnected, "port's device has returned")                                                      \
	X(REMOVED, removed, "port is no part of the configuration any more")                                           \
	X(CONFIG, config, "another configuration is in force")                                                         \
	X(UPGRADED, upgraded, "programs of another build are at work")

/* What kind of port: X(enumerator, word). */
#define VP_KINDS(X) X(GUEST, guest) X(HOST, host) X(UPLINK, uplink)

#endif
