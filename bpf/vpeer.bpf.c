/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The datapath, one translation unit.  Where a frame goes:
 *
 *   xdp.h / tc.h   entries: frame.h reads the header, scene.h finds port and configuration, classify.h says who may
 *                  carry it
 *   decide.h       the verdict, from guard.h, vlan.h, fdb.h and device.h; the same in both hooks
 *   count.h        learning, counting, then the entry acts
 *   age.h          what happens to the MAC table between frames
 */
#include "maps.h"
#include "xdp.h"
#include "tc.h"
#include "age.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
