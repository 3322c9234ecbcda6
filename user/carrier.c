/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "carrier.h"
#include "vp_abi.h"

/* NETDEV_XDP_ACT_* of linux/netdev.h, which Debian 12's kernel headers lack. */
#define ACT_BASIC    1
#define ACT_REDIRECT 2
#define ACT_NDO_XMIT 4

static bool has(const struct link_info *l, uint64_t bits)
{
	return l->has_xdp_features && (l->xdp_features & bits) == bits;
}

/* May a driver-mode program be attached? Where the kernel does not say, the attachment will: it never falls back. */
static bool may_attach(const struct link_info *l)
{
	return !l->has_xdp_features || (l->xdp_features & ACT_BASIC);
}

static void choose(struct carrier_choice *out, enum carrier carrier, const char *why)
{
	out->carrier = carrier;
	out->why = why;
}

/*
 * Frames that fit one buffer and a page's clone (XDP_FLOOD_BYTES in bpf/xdp.h), tag included.  Above it a flow's large
 * frames would go by tc and its small ones by XDP, and overtake them.
 */
#define ONE_BUFFER_MTU (3000 - 18)

/* By the measurements in docs/carriers.md. */
static void choose_auto(const struct link_info *l, uint32_t seen, struct carrier_choice *out)
{
	if (l->mtu > ONE_BUFFER_MTU && (l->type == LINK_TAP || l->type == LINK_PHYSICAL)) {
		choose(out, CARRIER_TC, "its MTU allows frames that are too large for XDP to send on");
		return;
	}
	switch (l->type) {
	case LINK_TAP:
		if (seen & VP_INFO_GENERIC)
			choose(out, CARRIER_TC, "its frames come on the generic path with unfinished checksums");
		else if (seen & VP_INFO_SUPER)
			choose(out, CARRIER_TC, "its guest sends superframes, and XDP on a TAP would have each copied");
		else if (may_attach(l))
			choose(out, CARRIER_XDP, "a TAP takes XDP frames at full speed");
		else
			choose(out, CARRIER_TC, "this TUN device has no XDP");
		break;
	case LINK_VETH:
		choose(out, CARRIER_TC, "XDP on a veth would cost segmentation offload and VLAN tags");
		break;
	case LINK_PHYSICAL:
		if (has(l, ACT_BASIC | ACT_REDIRECT))
			choose(out, CARRIER_XDP, "the NIC's driver has XDP with redirect");
		else if (l->has_xdp_features)
			choose(out, CARRIER_TC, "the NIC's driver has no XDP with redirect");
		else
			choose(out, CARRIER_TC, "this kernel does not say whether the NIC's driver has XDP");
		break;
	case LINK_OTHER:
		choose(out, CARRIER_TC, "this kind of device has no XDP of its own");
		break;
	}
}

static void choose_xdp(const struct link_info *l, struct carrier_choice *out)
{
	if (may_attach(l)) {
		choose(out, CARRIER_XDP, "the configuration asks for it");
		return;
	}
	choose(out, CARRIER_TC, "its driver has no XDP");
	out->refused = l->type == LINK_PHYSICAL ? "`carrier: xdp` can't be had: the device's driver has no XDP; "
						  "use `carrier: tc`, or `mode: generic` if slow XDP is wanted"
						: "`carrier: xdp` can't be had: the device's driver has no XDP; "
						  "use `carrier: tc`";
}

/*
 * Generic XDP has no way to ask for a tag beside the frame: it would take a tagged frame for an untagged one.
 * A TAP has its tags in the frame, a NIC is told to leave them there.
 */
static void choose_generic(const struct link_info *l, struct carrier_choice *out)
{
	if (l->type == LINK_TAP || l->type == LINK_PHYSICAL) {
		choose(out, CARRIER_XDP, "the configuration asks for generic mode");
		return;
	}
	choose(out, CARRIER_TC, "generic XDP would not see the VLAN tags of such a device");
	out->refused = "`mode: generic` can't be had: on this kind of device VLAN tags travel beside the frame, "
		       "where generic XDP doesn't see them; leave `mode` out";
}

static void choose_carrier(const struct port *p, const struct link_info *l, uint32_t seen, struct carrier_choice *out)
{
	if (p->carrier == CARRIER_TC)
		choose(out, CARRIER_TC, "the configuration asks for it");
	else if (p->mode == MODE_GENERIC)
		choose_generic(l, out);
	else if (p->carrier == CARRIER_XDP)
		choose_xdp(l, out);
	else
		choose_auto(l, seen, out);
}

static void target(struct carrier_choice *out, bool yes, const char *why)
{
	out->target = yes;
	out->target_why = why;
}

static void choose_target(const struct port *p, const struct link_info *l, struct carrier_choice *out)
{
	if (has(l, ACT_NDO_XMIT))
		target(out, true, "the device takes XDP frames");
	else if (l->type == LINK_TAP && !l->has_xdp_features)
		target(out, true, "a TAP takes XDP frames");
	else if (l->type == LINK_PHYSICAL && out->carrier == CARRIER_XDP && p->mode == MODE_NATIVE &&
		 has(l, ACT_REDIRECT))
		/* Drivers report the bit only once a program is attached, which is about to happen. */
		target(out, true, "the NIC takes XDP frames while it has our program");
	else if ((l->type == LINK_PHYSICAL || l->type == LINK_VETH) && !l->has_xdp_features)
		target(out, false, "this kernel does not say whether the device takes XDP frames");
	else if (l->type == LINK_PHYSICAL && out->carrier == CARRIER_TC)
		target(out, false, "a NIC takes XDP frames only with an XDP program on it");
	else if (l->type == LINK_VETH && p->kind == VP_KIND_HOST)
		target(out, false, "the host's end of the veth has no NAPI: GRO is off there and it runs no XDP");
	else if (l->type == LINK_VETH)
		target(out, false, "the guest's end of the veth has no NAPI: GRO is off there and it runs no XDP");
	else
		target(out, false, "the device does not take XDP frames");
}

void carrier_choose(const struct port *p, const struct link_info *l, uint32_t seen, struct carrier_choice *out)
{
	*out = (struct carrier_choice){ 0 };
	choose_carrier(p, l, seen, out);
	choose_target(p, l, out);
}

/*
 * A superframe of 45 frames costs XDP a copy of about 3 us, and a small frame saves about 0.9 us by it (P4, P2): they
 * are level where one frame in fourteen is not of a superframe.  Back only when half of them are not.
 */
uint32_t carrier_weigh(uint32_t seen, bool unfinished, uint64_t frames, uint64_t super)
{
	uint32_t generic = unfinished ? VP_INFO_GENERIC : seen & VP_INFO_GENERIC;

	if (frames < CARRIER_WEIGHT)
		return generic | (seen & VP_INFO_SUPER);
	if (super >= frames - frames / 14)
		return generic | VP_INFO_SUPER;
	return generic | (super > frames / 2 ? seen & VP_INFO_SUPER : 0);
}
