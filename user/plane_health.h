/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `doctor` asks of BPF: the kernel, pins of planes that are not open, links. Nothing here reports or changes. */
#ifndef PLANE_HEALTH_H
#define PLANE_HEALTH_H

#include "plane.h"

struct plane_kernel {
	bool btf;	   /* /sys/kernel/btf/vmlinux can be read */
	bool live_devices; /* bpf_rdonly_cast, 6.2 */
	bool veth_tags;	   /* bpf_xdp_metadata_rx_vlan_tag, 6.8 */
};
void plane_kernel(struct plane_kernel *out);

bool plane_bpffs(void); /* is a bpffs at /sys/fs/bpf? */
bool plane_jited(const struct plane *p);
bool plane_stale_link(const struct plane *p, const char *port); /* pinned, and its device is gone */

/* Every name under /sys/fs/bpf/vpeer and /run/vpeer. */
struct plane_trace {
	char name[VP_NAME_LEN];
	bool pinned;	/* there is such a plane */
	bool half_made; /* `+NAME`: of a loader that died while it made it or took it away */
	bool notes;	/* /run/vpeer/NAME */
	bool changes;	/* ... with device settings that are not put back */
	bool busy;	/* a loader is at work on it */
	uint32_t abi;	/* pinned: the ABI it was made with, 0 = cannot be read */
};
int plane_traces(struct plane_trace **list, size_t *n); /* by name; free() */

/* Take a port's XDP program off and its pin away; tc goes on. `attach` puts it back. */
int plane_unpin_xdp(const struct plane *p, const char *port);

#endif
