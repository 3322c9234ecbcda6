/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a program bound to a device must not do while it is verified: move. Apart from plane.h for the vectors. */
#ifndef PLANE_BOUND_H
#define PLANE_BOUND_H

#include <stdbool.h>
#include <stddef.h>

/* Does a program of `handed_in` bytes stay in its pages, if it ends with `grown` bytes? */
bool plane_bound_stays(size_t handed_in, size_t grown);

#endif
