/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which NICs could be given to a guest as a whole, by VFIO: what sysfs tells about PCI network controllers. */
#ifndef VFIO_H
#define VFIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "vp_abi.h"

#define VFIO_ADDRESS 16 /* "0000:03:00.0" */

struct vfio_nic {
	char address[VFIO_ADDRESS];
	char device[VP_DEV_LEN];      /* its netdev, "" = none (the first, if it has several) */
	char driver[32];	      /* "" = none */
	int group;		      /* IOMMU group, -1 = none */
	bool away;		      /* bound to vfio-pci: a guest has it, or may take it */
	char (*others)[VFIO_ADDRESS]; /* what else is in the group, bridges excepted, by address */
	size_t n_others;
	char port[VP_NAME_LEN]; /* the port of the plane that uses it; filled in by the caller */
};

struct vfio_nics {
	bool iommu;	       /* the kernel has IOMMU groups at all */
	struct vfio_nic *list; /* by address */
	size_t n;
};

const char *vfio_root(void);				/* /sys, or $VPEER_SYSFS (tests) */
int vfio_list(const char *root, struct vfio_nics *out); /* -ENOMEM; a host without PCI has none */
void vfio_free(struct vfio_nics *nics);

void print_vfio(FILE *out, const struct vfio_nics *nics);
int print_vfio_json(FILE *out, const struct vfio_nics *nics);

#endif
