# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which combinations the compatibility matrix tests: two devices x carrier x how the VMM opened its TAP x link x protocol.

Only names here, so that `make lint` can compare them with docs/compat.md without root. What a protocol does: protocols.py;
what a device is: pair.py; the tests: tests/netns/test_matrix.py.
"""
from collections import namedtuple

# veth+gro: GRO is on at the guest's end, so that XDP sends to it.
PAIRS = [("tap", "tap"), ("tap", "veth+gro"), ("tap", "veth"), ("tap", "uplink"), ("tap", "host"), ("veth", "veth"),
         ("veth", "uplink"), ("veth", "host")]
CARRIERS = ["auto", "tc", "generic"]     # generic: of the TAPs; other devices refuse it
MODES = ["nonblock", "blocking", "sndbuf", "napi_frags"]    # of the TAP's file descriptor
LINKS = ["segment", "binding", "trunk"]     # trunk: a segment that one of the two is in with a tag

# The order is that of the tests: tunnels before anything that makes a port's UDP known as unfinished.
PROTOCOLS = {
    "vxlan": "VXLAN made by the guests, over IPv4 and IPv6, with and without an outer checksum; TCP and UDP inside",
    "gre": "GRE with IP or Ethernet frames inside, over IPv4 and IPv6, inner TCP and UDP checksums unfinished",
    "sctp": "SCTP packets over IPv4 and IPv6, CRC32c checked at the receiver",
    "control": "LLDP, STP, LACP, EAPOL, flow control, PTP, MVRP, CDP: all through a binding; a segment stops those that "
               "are for the next bridge as `reserved_group` and carries the others",
    "types": "PPPoE, MPLS, AVTP, RARP, LLC, unknown EtherTypes, Wake-on-LAN",
    "arp": "ARP probe, announcement and gratuitous reply that move an address",
    "dhcp": "DHCP, dnsmasq to udhcpc, answers by unicast and by broadcast",
    "ra": "router solicitation and advertisement, SLAAC, default route, neighbour discovery (dnsmasq to the kernel)",
    "mdns": "mDNS to 224.0.0.251 and ff02::fb",
    "multicast": "IGMPv3 and MLDv2 joins, queries and reports; the joined group is reached",
    "ping": "ICMP and ICMPv6 echo, sizes 0 to 1472",
    "fragments": "pings of 4,000 and datagrams of 8,192 bytes at MTU 1500",
    "udp": "UDP, checksum left to the NIC",
    "udp0": "UDP without a checksum",
    "tcp": "TCP both ways at once with segmentation offload, every byte compared",
    "jumbo": "datagrams of 8,192 bytes in one frame at MTU 9000",
}
BASE = ["ping", "fragments", "udp", "tcp"]
SUMS = ["vxlan", "gre", "sctp", "dhcp", *BASE]      # where a checksum can be lost

Row = namedtuple("Row", "one two carrier mode link")
Row.__str__ = lambda row: f"{row.one}-{row.two}-{row.carrier}-{row.mode}-{row.link}"


class Cell(namedtuple("Cell", "row protocol")):
    """One test of the matrix."""

    def __str__(self):
        return f"{self.protocol}-{self.row}"


def rows():
    """(row, its protocols): every pair with every carrier and every mode it can have. All protocols with the automatic choice
    and with the usual mode, and there in a segment or in a binding by turns; else those whose checksums could be lost."""
    out = []
    for at, pair in enumerate(PAIRS):
        for i, mode in enumerate(MODES if "tap" in pair else ["-"], at):
            for j, carrier in enumerate(CARRIERS if "tap" in pair else CARRIERS[:2], i):
                protocols = list(PROTOCOLS) if carrier == "auto" or mode in ("-", "nonblock") else SUMS
                out.append((Row(*pair, carrier, mode, LINKS[j % 2]), protocols))
            out.append((Row(*pair, "auto", mode, LINKS[(i + 1) % 2]), BASE))
            out.append((Row(*pair, "auto", mode, "trunk"), list(PROTOCOLS) if mode in ("-", "nonblock") else BASE))
        out.append((Row(*pair, "tc", "nonblock" if "tap" in pair else "-", "trunk"), SUMS))
    return out


CELLS = [Cell(row, protocol) for row, protocols in rows() for protocol in protocols]

# Two QEMU machines: what this machine's kernel has not.
VM_PROTOCOLS = {
    "sctp": "an SCTP association over IPv4 and over IPv6 (CRC32c made and checked by the guests), every byte compared",
    "gre": "GRE and GRETAP of the guests' kernels, TCP and UDP inside",
    "vxlan": "VXLAN of the guests' kernels with an outer checksum, TCP and UDP inside",
}
VM_CELLS = [Cell(Row("vm", "vm", "auto", "nonblock", "segment"), protocol) for protocol in VM_PROTOCOLS]
