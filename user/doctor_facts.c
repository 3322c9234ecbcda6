/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads what the rules judge: the kernel, the plane, its devices, who has its TAPs open. Changes nothing. */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"
#include "vfio.h"

/* ---- host ---- */

static enum known read_switch(const char *path)
{
	FILE *f = fopen(path, "re");
	int value = -1;

	if (!f)
		return UNKNOWN;
	if (fscanf(f, "%d", &value) != 1)
		value = -1;
	fclose(f);
	return value < 0 ? UNKNOWN : value ? YES : NO;
}

static uint64_t effective_caps(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (syscall(SYS_capget, &head, data))
		return 0;
	return (uint64_t)data[1].effective << 32 | data[0].effective;
}

static bool a_nic_is_away(void)
{
	struct vfio_nics nics;
	bool away = false;

	if (vfio_list(vfio_root(), &nics))
		return false;
	for (size_t i = 0; i < nics.n; i++)
		away |= nics.list[i].away;
	vfio_free(&nics);
	return away;
}

static void look_at_host(struct doctor_facts *f, const struct plane *p)
{
	struct doctor_host *h = &f->host;
	unsigned int major = 0, minor = 0;
	struct rlimit lock = { .rlim_cur = RLIM_INFINITY };
	struct utsname u;

	if (!uname(&u)) {
		snprintf(h->release, sizeof(h->release), "%s", u.release);
		sscanf(u.release, "%u.%u", &major, &minor);
	}
	h->kernel = KERNEL(major, minor);
	plane_kernel(&h->has);
	h->bpffs = plane_bpffs();
	h->caps = effective_caps();
	h->cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	h->jit = read_switch("/proc/sys/net/core/bpf_jit_enable");
	if (p && !plane_jited(p))
		h->jit = NO;
	h->br_nf = read_switch("/proc/sys/net/bridge/bridge-nf-call-iptables");
	getrlimit(RLIMIT_MEMLOCK, &lock);
	h->memlock = lock.rlim_cur == RLIM_INFINITY ? UINT64_MAX : lock.rlim_cur;
	for (size_t i = 0; i < f->n_links; i++)
		h->netdev |= f->links[i].has_xdp_features;
	h->nic_away = a_nic_is_away();
}

/* ---- ports ---- */

static const struct link_info *by_index(const struct doctor_facts *f, uint32_t ifindex)
{
	for (size_t i = 0; ifindex && i < f->n_links; i++)
		if (f->links[i].ifindex == ifindex)
			return &f->links[i];
	return NULL;
}

static const struct link_info *by_name(const struct doctor_facts *f, const char *name)
{
	for (size_t i = 0; i < f->n_links; i++)
		if (!strcmp(f->links[i].name, name))
			return &f->links[i];
	return NULL;
}

static enum known feature(const struct link_info *l, const char *name)
{
	bool on = false;

	return link_get_feature(l->name, name, &on) ? UNKNOWN : on ? YES : NO;
}

static void look_at_veth(const struct doctor_facts *f, struct doctor_port *p)
{
	uint32_t unused;
	const struct link_info *peer = p->link->peer_here ? by_index(f, p->link->peer) : NULL;

	if (link_get_queues(p->link->name, &p->rx_queues, &unused))
		p->rx_queues = 0;
	if (!peer || peer->type != LINK_VETH || peer->peer != p->link->ifindex)
		return;
	p->peer = peer;
	p->peer_gro = feature(peer, "rx-gro");
	if (link_get_queues(peer->name, &unused, &p->peer_tx_queues))
		p->peer_tx_queues = 0;
}

static void look_at_uplink(struct doctor_port *p)
{
	bool on = false;

	if (!link_get_promisc(p->link->ifindex, &on))
		p->promisc = on ? YES : NO;
	if (!link_has_address(p->link->ifindex, &on))
		p->address = on ? YES : NO;
	if (p->link->type == LINK_PHYSICAL)
		p->rx_vlan = feature(p->link, "rx-vlan-hw-parse");
}

static void look_at_device(struct doctor_facts *f, struct plane *plane, struct doctor_port *p)
{
	const struct port *port = p->view->port;

	if (p->view->ifindex == p->link->ifindex)
		plane_attached(plane, port->name, p->link, &p->attached);
	p->master = by_index(f, p->link->master);
	carrier_choose(port, p->link, plane_seen(plane, port->name, p->link), &p->today);
	if (p->link->type == LINK_VETH)
		look_at_veth(f, p);
	if (port->kind == VP_KIND_UPLINK)
		look_at_uplink(p);
}

static void look_at_port(struct doctor_facts *f, struct plane *plane, struct doctor_port *p, const struct tap_fd *fds,
			 size_t n_fds)
{
	char buf[VP_DEV_LEN];

	p->stale_link = plane_stale_link(plane, p->view->port->name);
	if (p->view->id)
		p->queues_then = plane_port_info(plane, p->view->id)->flags >> VP_INFO_QUEUES_SHIFT;
	p->link = by_name(f, view_device(p->view->port, buf));
	if (!p->link && p->view->ifindex) {
		p->link = by_index(f, p->view->ifindex);
		p->renamed = p->link;
	}
	if (!p->link)
		return;
	look_at_device(f, plane, p);
	if (p->link->type == LINK_TAP)
		tap_sum(fds, n_fds, p->link->name, &p->fds);
}

static int compare_mtus(struct doctor_facts *f)
{
	uint32_t *mtu = calloc(f->n_ports + 1, sizeof(*mtu));
	struct mtu_want *want = calloc(f->n_ports + 1, sizeof(*want));
	int err = mtu && want ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < f->n_ports; i++)
		mtu[i] = f->ports[i].link ? f->ports[i].link->mtu : 0;
	if (!err)
		mtu_compare(&f->view.model, mtu, want);
	for (size_t i = 0; !err && i < f->n_ports; i++)
		f->ports[i].mtu = want[i];
	free(mtu);
	free(want);
	return err;
}

static int look_at_plane(struct doctor_facts *f, struct plane *plane)
{
	struct tap_fd *fds = NULL;
	size_t n_fds = 0;
	int err = view_make(&f->view, plane, false);

	if (err)
		return err;
	f->has_plane = true;
	f->n_ports = f->view.n_ports;
	f->ports = calloc(f->n_ports + 1, sizeof(*f->ports));
	if (!f->ports)
		return -ENOMEM;
	err = tap_scan(&fds, &n_fds);
	for (size_t i = 0; !err && i < f->n_ports; i++) {
		f->ports[i].view = &f->view.ports[i];
		look_at_port(f, plane, &f->ports[i], fds, n_fds);
	}
	free(fds);
	return err ? err : compare_mtus(f);
}

int doctor_look(struct doctor_facts *f, const char *plane, struct plane *p)
{
	int err;

	memset(f, 0, sizeof(*f));
	f->plane = plane;
	err = link_list(&f->links, &f->n_links);
	if (!err)
		err = plane_traces(&f->traces, &f->n_traces);
	if (!err)
		look_at_host(f, p);
	if (!err && p)
		err = look_at_plane(f, p);
	if (err) {
		fail("doctor", "cannot look: %s", strerror(-err));
		doctor_forget(f);
	}
	return err;
}

void doctor_forget(struct doctor_facts *f)
{
	if (f->has_plane)
		view_free(&f->view);
	free(f->ports);
	free(f->traces);
	free(f->links);
	memset(f, 0, sizeof(*f));
}
