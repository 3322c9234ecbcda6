/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rig: a network namespace of our own with real devices, and the loaded object.
 *
 *   id  name    device                      id  name    device
 *    1  A       TAP, open                    7  SMALL   TAP, open, MTU 576
 *    2  B       TAP, open                    8  GONE    a number that no device has any more
 *    3  C       TAP, open                    9  PULLED  TAP, up, without a reader: no carrier
 *    4  H       veth, up: no XDP target     10  E       TAP, open
 *    5  N       TAP, open ("the NIC")       11  WAITING ifindex 0
 *    6  DOWN    TAP, open, set down         12  X       TAP, open, used as the peer of poisoned banks
 */
#ifndef RIG_H
#define RIG_H

#include <bpf/libbpf.h>

#include "frames.h"
#include "vp_abi.h"

enum {
	A = 1,
	B,
	C,
	H,
	N,
	DOWN,
	SMALL,
	GONE,
	PULLED,
	E,
	WAITING,
	X,
	RIG_PORTS /* one more than the highest id */
};

#define SMALL_MTU 576

enum prog {
	PROG_XDP,
	PROG_TC
};

struct rig_maps {
	int plane, ifaces, near, memory, ports, segments, members, vlans, guards, macs, sweep, state, counters, targets,
		floods, told, events;
};

struct rig {
	struct bpf_object *obj;
	struct rig_maps map;
	int prog[2];
	unsigned int ifindex[RIG_PORTS];
	int tap[RIG_PORTS]; /* -1 = not a TAP or no reader */
	size_t bound_bytes; /* vp_xdp_bound with its subprograms, as it would be handed to the kernel */
	bool live;	    /* the programs look at devices as they are now; else at what the loader wrote */
};

extern struct rig rig;
extern const char *const rig_port_name[RIG_PORTS];

int rig_devices(void);		/* enter a namespace of our own and make the devices; once */
bool rig_kernel_has_live(void); /* may programs look at a device as it is now? */
int rig_load(bool live);	/* load the object; after rig_unload once more */
void rig_unload(void);
void rig_free(void);
int rig_link(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* one `ip link` command */
const char *rig_device(unsigned int port);
void rig_drain(void); /* reads and forgets what waits in the TAPs */

/* One frame through one program. */
struct rig_run {
	uint32_t gso_size; /* tc only, 0 = none */
	uint32_t gso_segs;
	int retval;
	uint32_t out_len;
	uint8_t out[FRAME_MAX];
};

/* 0 or -errno of test_run itself. */
int rig_run(enum prog prog, unsigned int port, const struct frame *f, struct rig_run *run);

/* The tick in which everything happens: nothing sets another until a test starts the timer, which reads rig_tick(). */
#define RIG_NOW 5000000
uint32_t rig_tick(void);

#endif
