/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Settings changed on devices that are not ours: written and synced to /run/vpeer/PLANE/undo before each change,
 * put back by `down` (or when the port goes) if they still have the value we gave them.
 */
#ifndef UNDO_H
#define UNDO_H

#include <stdbool.h>
#include "link.h"

/* Change and record; nothing is done or recorded when the value is already so. */
int undo_promisc(const char *plane, const struct link_info *l);	/* -> on */
int undo_gro(const char *plane, const struct link_info *l);	/* rx-gro -> on (a veth's peer in this namespace) */
int undo_gro_again(const char *plane, const struct link_info *l); /* rx-gro off and on: the same, but noticed */
int undo_rxvlan(const char *plane, const struct link_info *l);	/* rx-vlan-hw-parse -> off, read back */
int undo_up(const char *plane, const struct link_info *l);	/* IFF_UP -> on */
/*
 * A binding with `propagate`: `watch` holds the device down (IFF_UP -> off) while the other end has no carrier.
 * undo_release() puts up again what is still down: this device (0 = every one).  undo_held() lists them; free().
 */
int undo_hold(const char *plane, const struct link_info *l);
int undo_release(const char *plane, uint32_t ifindex);
int undo_held(const char *plane, uint32_t **list, size_t *n);
/* The routes through the device go, too, and come back behind the addresses. */
int undo_flush_addresses(const char *plane, const struct link_info *l);
int undo_master(const char *plane, const struct link_info *l);	/* master -> none; see link_master() */

/* Put back what was changed on the device with this number (0 = on every device); forgets what is done. */
int undo_restore(const char *plane, uint32_t ifindex);
int undo_restore_gro(const char *plane, uint32_t ifindex); /* of this device GRO only */
/* Text lines of what is recorded, for `show`/`doctor`; free(). */
int undo_read(const char *plane, char **text);
/* Remove /run/vpeer/PLANE (after undo_restore of everything), and /run/vpeer if empty. */
int undo_forget(const char *plane);
/* The same if it is empty: who locked a plane that is not there has made it. What a `down` could not finish stays. */
void undo_leave(const char *plane);

#endif
