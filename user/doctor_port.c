/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rules about ports: what stops frames first, then what makes them slow, then what is only worth knowing. Pure. */
#include <string.h>

#include "doctor.h"
#include "value.h"

/* NETDEV_XDP_ACT_* of linux/netdev.h, which Debian 12's kernel headers lack. */
#define ACT_BASIC    1
#define ACT_REDIRECT 2
#define ACT_NDO_XMIT 4

static const struct port *conf_of(const struct doctor_port *p)
{
	return p->view->port;
}

/* Its device is there and carries the plane's frames, or would if somebody were at the other end. */
static bool is_attached(const struct doctor_port *p)
{
	return p->link && p->view->ifindex == p->link->ifindex && p->view->state != STATE_WAITING;
}

/* The plane's XDP program is on it, in driver mode. */
static bool runs_native(const struct doctor_port *p)
{
	return is_attached(p) && p->attached.xdp && !p->attached.generic;
}

/* Its device is there, but cannot be had: `attach` would be refused as long as it is somebody else's. */
static bool is_kept_by_master(const struct doctor_port *p)
{
	return p->link && p->link->master && !is_attached(p);
}

/* ---- does not work ---- */

static bool needs_attach(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];
	const struct attachment *a = &p->attached;

	if (!p->link || p->renamed || is_kept_by_master(p))
		return false;
	doctor_vpeer(out, f->plane, "attach %s", conf_of(p)->name);
	if (!is_attached(p))
		return doctor_say(out,
				  "device %s is there, but the plane has another one or none in its place: it was "
				  "made anew, or came after `up`",
				  p->link->name);
	if (!a->tc_in || !a->tc_out)
		return doctor_say(out, "the plane's tc program is gone from %s of device %s: somebody removed it",
				  a->tc_in ? "egress" : "ingress", p->link->name);
	return p->view->carrier == CARRIER_XDP && !a->xdp &&
	       doctor_say(out, "the plane's XDP program is gone from device %s: tc carries all of its frames",
			  p->link->name);
}

/* The device was never the plane's: to take it from a bridge that may carry the host is not for --fix to decide. */
static bool master_keeps(const struct doctor_facts *f, const struct doctor_port *p, struct finding *out)
{
	char attach[COMMAND_TEXT];

	out->fix = FIX_NONE;
	doctor_run(out, "ip link set dev %s nomaster; %s %s", p->link->name,
		   value_command(attach, f->plane, "attach"), conf_of(p)->name);
	return doctor_say(out,
			  "device %s is there, but part of %s: the port waits, since `up` and `attach` don't take it "
			  "from there without `up --take-over`",
			  p->link->name, p->master ? p->master->name : "another device");
}

static bool device_master(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!p->link || !p->link->master)
		return false;
	if (is_kept_by_master(p))
		return master_keeps(f, p, out);
	doctor_run(out, "ip link set dev %s nomaster", p->link->name);
	return doctor_say(out,
			  "device %s was made part of %s since: frames that %s sends are dropped there, and `up` and "
			  "`attach` are refused",
			  p->link->name, p->master ? p->master->name : "another device",
			  p->master ? p->master->name : "it");
}

static bool uplink_promisc(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!is_attached(p) || conf_of(p)->kind != VP_KIND_UPLINK || p->promisc != NO)
		return false;
	doctor_run(out, "ip link set dev %s promisc on", p->link->name);
	return doctor_say(out,
			  "device %s is not promiscuous any more: it filters out frames for the guests behind this "
			  "plane",
			  p->link->name);
}

static bool vlan_strip(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!runs_native(p) || p->link->type != LINK_PHYSICAL || p->rx_vlan != YES)
		return false;
	doctor_run(out, "ethtool -K %s rxvlan off", p->link->name);
	return doctor_say(out,
			  "the NIC takes VLAN tags off before XDP sees the frame (rx-vlan-hw-parse was switched on "
			  "again): a tagged frame passes for an untagged one");
}

static bool uplink_address(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!is_attached(p) || conf_of(p)->kind != VP_KIND_UPLINK || p->address != YES)
		return false;
	doctor_run(out, "ip addr flush dev %s", p->link->name);
	return doctor_say(out,
			  "device %s was given an address since, which nobody can reach: all of the device's frames "
			  "belong to the plane; give it to a host port of the same segment",
			  p->link->name);
}

static bool device_down(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];
	const struct link_info *l = p->link;

	if (!is_attached(p))
		return false;
	if (conf_of(p)->kind == VP_KIND_HOST && l->up && p->peer && !p->peer->up)
		l = p->peer;
	if (l->up || p->view->held)
		return false;
	doctor_run(out, "ip link set dev %s up", l->name);
	return doctor_say(out,
			  "device %s is down: frames to this port are dropped or go astray as for an unknown address",
			  l->name);
}

static bool renamed(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!p->renamed)
		return false;
	doctor_vpeer(out, f->plane, "port set %s device=%s", conf_of(p)->name, p->link->name);
	return doctor_say(out,
			  "its device %s is called %s now: frames still flow, but the plane will not find it when it "
			  "is attached the next time",
			  conf_of(p)->device, p->link->name);
}

static bool mtu_differs(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];
	const struct mtu_want *want = &p->mtu;

	if (!p->link || !want->mtu)
		return false;
	if (p->peer)
		doctor_run(out, "ip link set dev %s mtu %u; ip link set dev %s mtu %u", p->link->name, want->mtu,
			   p->peer->name, want->mtu);
	else
		doctor_run(out, "ip link set dev %s mtu %u", p->link->name, want->mtu);
	return doctor_say(out, "device %s has MTU %u, port %s %s%s has %u: %s (mtu)", p->link->name, p->link->mtu,
			  want->why->name, want->segment ? "in segment " : "at the other end",
			  want->segment ? want->segment : "", want->mtu,
			  p->link->mtu < want->mtu ? "larger frames to this port are dropped"
						   : "its larger frames are dropped on their way to the others");
}

static bool veth_mtu(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!is_attached(p) || !p->peer || p->peer->mtu == p->link->mtu)
		return false;
	doctor_run(out, "ip link set dev %s mtu %u", p->peer->name, p->link->mtu);
	return doctor_say(out,
			  "the two ends of the veth differ in MTU, %s %u and %s %u: a frame that only one of them "
			  "takes is lost, and by XDP the rest of its batch with it",
			  p->link->name, p->link->mtu, p->peer->name, p->peer->mtu);
}

/* ---- is slow ---- */

/* Does anything send to this port by XDP, if only it could? */
static bool meets_xdp(const struct doctor_facts *f, const struct doctor_port *p)
{
	for (size_t i = 0; i < f->n_ports; i++) {
		const struct doctor_port *o = &f->ports[i];

		if (o == p || !o->attached.xdp)
			continue;
		if (p->view->peer && !strcmp(p->view->peer, conf_of(o)->name))
			return true;
		if (conf_of(p)->segment[0] && port_in_segment(conf_of(o), conf_of(p)->segment))
			return true;
		for (size_t s = 0; s < conf_of(p)->n_tagged; s++)
			if (port_in_segment(conf_of(o), conf_of(p)->tagged[s].s))
				return true;
	}
	return false;
}

/* A veth whose other end sends on more queues than this end receives on: the kernel allows no native XDP there. */
static bool few_queues(const struct doctor_port *p)
{
	return p->link->type == LINK_VETH && ((p->link->has_xdp_features && !(p->link->xdp_features & ACT_BASIC)) ||
					      (p->rx_queues && p->rx_queues < p->peer_tx_queues));
}

static bool xdp_generic(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!is_attached(p) || !p->attached.generic || conf_of(p)->mode != MODE_NATIVE)
		return false;
	doctor_vpeer(out, f->plane, "attach %s", conf_of(p)->name);
	return doctor_say(out,
			  "the XDP program on device %s runs in generic mode, on frames that are socket buffers "
			  "already, though native is configured",
			  p->link->name);
}

static bool carrier_outdated(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	/* A NIC that would not let go of VLAN tags was given to tc for that reason. */
	if (!is_attached(p) || p->view->carrier == p->today.carrier || p->rx_vlan == YES || few_queues(p))
		return false;
	doctor_vpeer(out, f->plane, "attach %s", conf_of(p)->name);
	return doctor_say(out,
			  "frames from it are carried by %s, as was right when it was attached; today it would be %s: "
			  "%s",
			  carrier_word(p->view->carrier), carrier_word(p->today.carrier), p->today.why);
}

static bool target_outdated(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!is_attached(p) || p->view->xdp_target == p->today.target || p->view->carrier != p->today.carrier)
		return false;
	doctor_vpeer(out, f->plane, "attach %s", conf_of(p)->name);
	if (p->today.target)
		return doctor_say(out,
				  "XDP could send to device %s since, and the plane does not know: frames to it go by "
				  "tc",
				  p->link->name);
	return doctor_say(out, "device %s takes no XDP frames any more, and the plane does not know: %s", p->link->name,
			  p->today.target_why);
}

/* The kernel's own oversight: GRO was switched on while this end was up and the other one was not (until 7.2). */
static bool xmit_unnoticed(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!is_attached(p) || p->link->type != LINK_VETH || !p->peer || p->peer_gro != YES || !p->link->up ||
	    !p->peer->up || !p->link->has_xdp_features || p->link->xdp_features & ACT_NDO_XMIT || few_queues(p))
		return false;
	doctor_run(out, "ethtool -K %s gro off; ethtool -K %s gro on", p->peer->name, p->peer->name);
	return doctor_say(out,
			  "%s has GRO on, so XDP could send into the veth, but the kernel did not notice: GRO was "
			  "switched on while %s was down",
			  p->peer->name, p->peer->name);
}

static bool veth_queues(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!p->link || !few_queues(p) || (conf_of(p)->carrier != CARRIER_XDP && !meets_xdp(f, p)))
		return false;
	if (p->peer_tx_queues)
		doctor_run(out, "ethtool -L %s rx %u", p->link->name, p->peer_tx_queues);
	else
		doctor_run(out, "ethtool -L END tx %u", p->rx_queues);
	return doctor_say(
		out,
		"device %s has %u rx queue%s and its other end%s%s sends on more: the kernel then neither takes "
		"a native XDP program there nor lets XDP send to it%s",
		p->link->name, p->rx_queues, p->rx_queues == 1 ? "" : "s", p->peer ? " " : "",
		p->peer ? p->peer->name : "", p->peer_tx_queues ? "" : "; END is in another namespace: run it there");
}

static bool new_channels(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!runs_native(p) || p->link->type != LINK_VETH || f->host.kernel >= KERNEL(7, 2) || !p->queues_then ||
	    p->rx_queues <= p->queues_then)
		return false;
	doctor_vpeer(out, f->plane, "doctor --fix");
	return doctor_say(out,
			  "device %s had %u rx queues when its XDP program was attached and has %u now: until Linux "
			  "7.2 new queues run without the program, and their frames go by tc",
			  p->link->name, p->queues_then, p->rx_queues);
}

/* A descriptor of a TAP whose frames take the slow path: how it is open, and what its program could do about that. */
static bool slow_tap(const struct doctor_facts *f, const struct doctor_port *p, const struct tap_some *some,
		     const char *how, const char *instead, struct finding *out)
{
	if (!runs_native(p) || p->link->type != LINK_TAP || !some->n)
		return false;
	doctor_vpeer(out, f->plane, "port set %s carrier=tc", conf_of(p)->name);
	return doctor_say(out,
			  "process %d (%s) has %s open %s: frames that it writes take the generic XDP path, which "
			  "copies each of them; have it %s, or let tc carry the port",
			  some->first.pid, some->first.comm, p->link->name, how, instead);
}

static bool tap_blocking(const struct doctor_facts *f, size_t i, struct finding *out)
{
	return slow_tap(f, &f->ports[i], &f->ports[i].fds.blocking, "in blocking mode", "set O_NONBLOCK, as QEMU does",
			out);
}

static bool tap_frags(const struct doctor_facts *f, size_t i, struct finding *out)
{
	return slow_tap(f, &f->ports[i], &f->ports[i].fds.napi_frags, "with IFF_NAPI_FRAGS", "leave that flag out",
			out);
}

static bool tap_sndbuf(const struct doctor_facts *f, size_t i, struct finding *out)
{
	return slow_tap(f, &f->ports[i], &f->ports[i].fds.sndbuf, "with a send buffer limit (TUNSETSNDBUF)",
			"set none (QEMU: sndbuf=0)", out);
}

/* ---- worth knowing ---- */

static bool absent(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (p->link)
		return false;
	if (conf_of(p)->kind == VP_KIND_UPLINK && f->host.nic_away && doctor_run(out, "vpeer doctor --vfio"))
		return doctor_say(out,
				  "device %s is absent; a NIC of this host is bound to vfio-pci and has no device: "
				  "perhaps this one was given to a guest",
				  conf_of(p)->device);
	if (conf_of(p)->kind == VP_KIND_HOST && doctor_vpeer(out, f->plane, "up"))
		return doctor_say(out, "its interface was deleted by somebody; `up` makes it anew");
	return doctor_say(out, "device %s is absent in this namespace: the port waits for it", conf_of(p)->device);
}

static bool stale_link(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!p->stale_link)
		return false;
	doctor_run(out, "rm /sys/fs/bpf/vpeer/%s/links/xdp_%s", f->plane, conf_of(p)->name);
	for (char *c = out->command; *c; c++)
		if (*c == '.') /* as bpffs wants it */
			*c = ':';
	return doctor_say(out,
			  "the pin of its XDP program is left from a device that is gone; it does no harm, and the "
			  "next `attach` replaces it");
}

static bool far_end(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!is_attached(p) || !p->link->up || p->link->running)
		return false;
	if (p->link->type == LINK_TAP)
		return doctor_say(out, "no program has %s open: its guest is not running", p->link->name);
	if (p->link->type == LINK_VETH && !(conf_of(p)->kind == VP_KIND_HOST && p->peer && !p->peer->up))
		return doctor_say(out, "the other end of %s is down", p->link->name);
	return p->link->type != LINK_VETH &&
	       doctor_say(out, "device %s has no carrier: no cable, or nobody at its end", p->link->name);
}

static bool gro_off(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!is_attached(p) || p->link->type != LINK_VETH || !p->link->has_xdp_features || !p->link->running ||
	    p->link->xdp_features & ACT_NDO_XMIT || p->peer_gro == YES || few_queues(p) || !meets_xdp(f, p))
		return false;
	if (p->peer) {
		doctor_run(out, "ethtool -K %s gro on", p->peer->name);
	} else {
		doctor_run(out, "ethtool -K END gro on");
		out->fix = FIX_NONE;
	}
	return doctor_say(out,
			  "XDP cannot send into %s, since its other end%s%s runs no NAPI (GRO is off there, and no XDP "
			  "program on it): frames and floods from ports carried by XDP go by tc%s",
			  p->link->name, p->peer ? " " : "", p->peer ? p->peer->name : "",
			  p->peer ? "" : "; END is in another namespace: run it there, then `vpeer attach`");
}

static bool veth_tso(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!runs_native(p) || p->link->type != LINK_VETH)
		return false;
	doctor_vpeer(out, f->plane, "port set %s carrier=tc", conf_of(p)->name);
	return doctor_say(out,
			  "a native XDP program on %s takes segmentation offload from its other end: bulk TCP from "
			  "there is slow; worth it only if that end runs XDP itself or sends small packets",
			  p->link->name);
}

static bool mode_generic(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!is_attached(p) || !p->attached.generic || conf_of(p)->mode != MODE_GENERIC || p->link->type == LINK_VETH ||
	    !p->link->has_xdp_features || !(p->link->xdp_features & ACT_BASIC))
		return false;
	doctor_vpeer(out, f->plane, "port set %s mode=native", conf_of(p)->name);
	return doctor_say(out, "`mode: generic` is configured, which is slow, and the driver of %s has native XDP",
			  p->link->name);
}

static bool nic_no_xdp(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];
	const struct link_info *l = p->link;

	if (!is_attached(p) || l->type != LINK_PHYSICAL || conf_of(p)->carrier == CARRIER_TC || !l->has_xdp_features ||
	    (l->xdp_features & (ACT_BASIC | ACT_REDIRECT)) == (ACT_BASIC | ACT_REDIRECT))
		return false;
	return doctor_say(out, "the driver of %s has no XDP with redirect: tc carries its frames", l->name);
}

static bool nic_keeps_tags(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	return is_attached(p) && p->link->type == LINK_PHYSICAL && p->view->carrier == CARRIER_TC &&
	       p->today.carrier == CARRIER_XDP && p->rx_vlan == YES &&
	       doctor_say(out, "the NIC takes VLAN tags off frames and cannot be told not to (rx-vlan-hw-parse is "
			       "fixed), which XDP does not see: tc carries its frames");
}

static bool tap_queues(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	return is_attached(p) && p->link->type == LINK_TAP && p->link->tap_multi && p->link->tap_queues &&
	       p->link->tap_queues < f->host.cpus &&
	       doctor_say(out,
			  "%s has %u queues open and the host %u CPUs: XDP sends by CPU number, so CPUs share queues "
			  "and wait for each other (QEMU: queues=%u, as far as the guest has CPUs)",
			  p->link->name, p->link->tap_queues, f->host.cpus, f->host.cpus);
}

static bool tap_no_vnet(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	return is_attached(p) && p->link->type == LINK_TAP && p->link->running && !p->link->tap_vnet &&
	       doctor_say(out,
			  "%s was opened without IFF_VNET_HDR: its guest can neither send nor take superframes and "
			  "unfinished checksums, so the host does that work (QEMU: vnet_hdr=on)",
			  p->link->name);
}

static bool bridge_nf(const struct doctor_facts *f, size_t i, struct finding *out)
{
	const struct doctor_port *p = &f->ports[i];

	if (!is_attached(p) || strcmp(p->link->kind, "bridge") != 0 || f->host.br_nf != YES)
		return false;
	doctor_run(out, "sysctl -w net.bridge.bridge-nf-call-iptables=0");
	return doctor_say(out,
			  "frames that bridge %s forwards go through iptables (bridge-nf-call-iptables is 1), where "
			  "rules made for routed packets may drop them; the plane's own never do",
			  p->link->name);
}

const struct doctor_rule doctor_port_rules[] = {
	{ "needs-attach", DOCTOR_ERROR, SCOPE_PORT, FIX_ATTACH, needs_attach },
	{ "device-master", DOCTOR_ERROR, SCOPE_PORT, FIX_MASTER, device_master },
	{ "uplink-not-promisc", DOCTOR_ERROR, SCOPE_PORT, FIX_PROMISC, uplink_promisc },
	{ "nic-vlan-strip", DOCTOR_ERROR, SCOPE_PORT, FIX_RXVLAN, vlan_strip },
	{ "uplink-address", DOCTOR_WARNING, SCOPE_PORT, FIX_NONE, uplink_address },
	{ "device-down", DOCTOR_WARNING, SCOPE_PORT, FIX_UP, device_down },
	{ "device-renamed", DOCTOR_WARNING, SCOPE_PORT, FIX_NONE, renamed },
	{ "mtu-differs", DOCTOR_WARNING, SCOPE_PORT, FIX_NONE, mtu_differs },
	{ "veth-mtu", DOCTOR_WARNING, SCOPE_PORT, FIX_NONE, veth_mtu },
	{ "xdp-generic", DOCTOR_WARNING, SCOPE_PORT, FIX_ATTACH, xdp_generic },
	{ "carrier-outdated", DOCTOR_WARNING, SCOPE_PORT, FIX_ATTACH, carrier_outdated },
	{ "target-outdated", DOCTOR_WARNING, SCOPE_PORT, FIX_ATTACH, target_outdated },
	{ "veth-xmit-unnoticed", DOCTOR_WARNING, SCOPE_PORT, FIX_GRO_AGAIN, xmit_unnoticed },
	{ "veth-queues", DOCTOR_WARNING, SCOPE_PORT, FIX_NONE, veth_queues },
	{ "veth-new-channels", DOCTOR_WARNING, SCOPE_PORT, FIX_REATTACH, new_channels },
	{ "tap-blocking", DOCTOR_WARNING, SCOPE_PORT, FIX_NONE, tap_blocking },
	{ "tap-napi-frags", DOCTOR_WARNING, SCOPE_PORT, FIX_NONE, tap_frags },
	{ "tap-sndbuf", DOCTOR_WARNING, SCOPE_PORT, FIX_NONE, tap_sndbuf },
	{ "device-absent", DOCTOR_NOTE, SCOPE_PORT, FIX_NONE, absent },
	{ "stale-link", DOCTOR_NOTE, SCOPE_PORT, FIX_UNPIN, stale_link },
	{ "far-end-down", DOCTOR_NOTE, SCOPE_PORT, FIX_NONE, far_end },
	{ "veth-gro-off", DOCTOR_NOTE, SCOPE_PORT, FIX_GRO, gro_off },
	{ "veth-xdp-tso", DOCTOR_NOTE, SCOPE_PORT, FIX_NONE, veth_tso },
	{ "mode-generic", DOCTOR_NOTE, SCOPE_PORT, FIX_NONE, mode_generic },
	{ "nic-no-xdp", DOCTOR_NOTE, SCOPE_PORT, FIX_NONE, nic_no_xdp },
	{ "nic-keeps-tags-off", DOCTOR_NOTE, SCOPE_PORT, FIX_NONE, nic_keeps_tags },
	{ "tap-queues", DOCTOR_NOTE, SCOPE_PORT, FIX_NONE, tap_queues },
	{ "tap-no-vnet-hdr", DOCTOR_NOTE, SCOPE_PORT, FIX_NONE, tap_no_vnet },
	{ "bridge-nf", DOCTOR_NOTE, SCOPE_PORT, FIX_NONE, bridge_nf },
	{ NULL, DOCTOR_NOTE, SCOPE_PORT, FIX_NONE, NULL },
};
