/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A vector: one frame in one scene, and all that must be true afterwards.  `vector_run` takes it through both programs
 * with the configuration in bank 0 and in bank 1.  Checked each time: verdict, whole frame, all counters of all ports,
 * the whole MAC table, what is remembered of each port, tickets, and the copies that reached the TAPs.
 */
#ifndef VECTOR_H
#define VECTOR_H

#include "harness.h"
#include "scene.h"

enum fate {
	FATE_UNSTATED, /* a mistake */
	PASSED,	       /* XDP only: left to tc, nothing counted, nothing changed */
	FORWARD,
	FLOOD,
	DROP
};

/* What becomes of the source address in the MAC table. */
enum source {
	SOURCE_UNSTATED, /* a mistake */
	UNTOUCHED,
	LEARNED,
	MOVED,
	REFRESHED, /* only its tick */
	FLAPPING,  /* untouched: it has moved too often */
	OVER_QUOTA,
	NO_ROOM
};

#define NONE VP_REASON_NONE

struct vector {
	const char *name;
	scene_fn scene;
	unsigned int in;
	struct frame *frame;
	enum fate xdp, tc;
	enum vp_reason reason; /* of the drop */
	enum source source;
	uint8_t out[RIG_PORTS]; /* ports that get a copy, ends with 0 */
	bool duplicate;		/* the source was at another port just now; counted */
	bool taints;		/* XDP notes an unfinished checksum */
	bool xdp_only;		/* a frame that never reaches tc; `tc` is not asked */
	bool live_only;		/* needs the kernel to say how a device is now */
	uint32_t gso_size;	/* tc only: then `packets` and `bytes` are what goes on the wire */
	uint32_t packets, bytes;
	uint32_t segment;     /* of the source's entry; 0 = the ingress port's untagged one */
	struct frame *other;  /* the frame in its segment's other form ... */
	uint8_t to[RIG_PORTS]; /* ... and the ports that get it so, ends with 0 */
};

/* A row: name, scene, ingress port, frame, fate by XDP, fate by tc, reason, source, OUT(ports), further members. */
#define V(n, s, i, f, x, t, r, src, ...)                                                                               \
	{                                                                                                              \
		.name = n, .scene = s, .in = i, .frame = f, .xdp = x, .tc = t, .reason = r, .source = src, __VA_ARGS__ \
	}
#define OUT(...) .out = { __VA_ARGS__ }
#define OTHER(f, ...) .other = f, .to = { __VA_ARGS__ }

void vector_run(const struct vector *v);
void vectors_run(const struct vector *v, unsigned int n);

/* As far as one run: the first difference fails the running test. For tests that make their own loops. */
bool vector_once(const struct vector *v, enum prog prog, uint32_t bank);

#define RUN(array) vectors_run(array, sizeof(array) / sizeof((array)[0]))

/* Reasons that some vector has reached by tc, one bit each; the last test wants all of them but INTERNAL. */
extern uint64_t vector_reasons;

void counters_read(struct vp_counters *c); /* RIG_PORTS of them, summed over CPUs */
bool counters_expect(const struct vp_counters *want);

/* The groups. */
void vectors_segment(void);
void vectors_vlan(void);
void vectors_source(void);
void vectors_event(void);
void vectors_binding(void);
void vectors_carrier(void);
void vectors_headers(void);
void vectors_target(void);
void vectors_table(void);
void vectors_abi(void);
void vectors_cost(bool live);
void vectors_live(void);
void vectors_finish(void);
void vectors_flow(void);

/* TAP A with the programs attached as the loader attaches them; 0 or -errno. */
int live_attach(void);
void live_detach(void);
int live_scene(scene_fn make);

/* Writes `f` into TAP A: each of `out`, which ends with 0, gets `becomes` exactly once, nobody else anything. */
/* What the program returns. */
int action_of(enum prog prog, enum fate fate);
void live_deliver(const char *name, scene_fn make, const struct frame *f, const struct frame *becomes, enum fate fate,
		  const uint8_t *out);

#endif
