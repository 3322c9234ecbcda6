# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tunnels and SCTP: frames with something inside that has a checksum of its own, and what a wire would see of them.

A guest that makes VXLAN or GRE leaves the inner checksum to its NIC; the outer UDP checksum, if there is one, is made so
that it is right once the inner one is finished. So a frame is judged as the wire would carry it: `wire` finishes what
the virtio header asks for, `faults` then looks at every layer.
"""
import struct

from . import frames
from .tap import Vnet

GRE, SCTP, VXLAN_PORT, ETH_TEB = 47, 132, 4789, 0x6558
_CRC = []


def crc32c(data):
    """Castagnoli, as SCTP wants it."""
    if not _CRC:
        for n in range(256):
            for _ in range(8):
                n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
            _CRC.append(n)
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _CRC[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def sctp(smac, dmac, sip, dip, chunk, sport=1000, dport=2000, tag=0, damage=0):
    """An SCTP packet with one chunk (type, flags, body); the CRC is right unless `damage` says otherwise."""
    kind, flags, body = chunk
    head = struct.pack("!HHI", sport, dport, tag)
    rest = struct.pack("!BBH", kind, flags, 4 + len(body)) + body + bytes(-len(body) % 4)
    crc = crc32c(head + bytes(4) + rest) ^ damage
    return frames.raw_ip(smac, dmac, sip, dip, SCTP, head + struct.pack("<I", crc) + rest)


def vxlan(smac, dmac, sip, dip, inner, vni=42, csum="full", sport=50000):
    """A frame in VXLAN; `csum` is the outer one: zero, or full = right once the inner one is finished."""
    head = struct.pack("!II", 0x08000000, vni << 8)
    if csum == "full":
        whole = wire(vnet(inner), inner)
        outer = frames.udp(smac, dmac, sip, dip, sport, VXLAN_PORT, head + whole)
        return outer[:len(outer) - len(inner)] + inner
    return frames.udp(smac, dmac, sip, dip, sport, VXLAN_PORT, head + inner, csum=csum)


def gre(smac, dmac, sip, dip, inner, key=None, bridged=False):
    """A frame in GRE: its IP packet, or the whole of it (`bridged`, as gretap does)."""
    kind = ETH_TEB if bridged else frames.parse(inner).ethertype
    head = struct.pack("!HH", 0x2000 if key is not None else 0, kind) + (struct.pack("!I", key) if key is not None else b"")
    return frames.raw_ip(smac, dmac, sip, dip, GRE, head + (inner if bridged else inner[14:]))


def needs_csum(frame):
    """(start, offset) of the innermost unfinished checksum, or None."""
    inner, at = inside(frame)
    if inner is not None:
        found = needs_csum(inner)
        return found and (found[0] + at, found[1])
    return frames.csum_args(frame) if frames.csum_state(frame) == "partial" else None


def vnet(frame):
    """The virtio header with which a guest sends this frame: whatever is unfinished is left to its NIC."""
    found = needs_csum(frame)
    return Vnet(frames.NEEDS_CSUM if found else 0, 0, 0, 0, *(found or (0, 0)), 0)


def wire(hdr, frame):
    """The frame as it would leave a NIC that does what the virtio header says."""
    if hdr is None or not hdr.flags & frames.NEEDS_CSUM:
        return frame
    at = hdr.csum_start + hdr.csum_offset
    value = (0xFFFF - frames.ones_sum(frame[hdr.csum_start:])) or 0xFFFF
    return frame[:at] + struct.pack("!H", value) + frame[at + 2:]


def inside(frame):
    """(the frame inside a tunnel, how many bytes from its start to the same byte of ours), or (None, 0)."""
    p = frames.parse(frame)
    if p.frag or p.l4 is None:
        return None, 0
    if p.proto == frames.UDP and p.dport == VXLAN_PORT:
        return p.payload[8:], p.l4 + 16
    if p.proto == GRE and len(p.payload) >= 4:
        flags, kind = struct.unpack_from("!HH", p.payload)
        head = 4 + 4 * bin(flags & 0xB000).count("1")
        if kind == ETH_TEB:
            return p.payload[head:], p.l4 + head
        return bytes(12) + struct.pack("!H", kind) + p.payload[head:], p.l4 + head - 14
    return None, 0


def _sctp_fault(frame):
    p = frames.parse(frame)
    if p.proto != SCTP or p.frag or len(p.payload) < 12:
        return None
    right = crc32c(p.payload[:8] + bytes(4) + p.payload[12:])
    return None if struct.pack("<I", right) == p.payload[8:12] else "the CRC32c of SCTP is wrong"


def faults(hdr, frame):
    """None if every layer is right as the reader sees it, else what is wrong."""
    inner, at = inside(frame)
    if inner is None:
        return frames.check(hdr, frame) or _sctp_fault(frame)
    if hdr is not None and hdr.gso_type:      # the outer checksum is made for each segment
        hdr = hdr._replace(csum_start=hdr.csum_start - at)
        return None if frames.ip_csum_ok(frame) and not frames.check(hdr, inner) else f"inside: {frames.check(hdr, inner)}"
    if hdr is not None and hdr.flags & frames.NEEDS_CSUM and hdr.csum_start + hdr.csum_offset + 2 > len(frame):
        return "csum_start is beyond the frame"
    whole = wire(hdr, frame)
    why = frames.check(None, whole)
    if why:
        return f"outside: {why}"
    why = faults(None, inside(whole)[0])
    return f"inside: {why}" if why else None
