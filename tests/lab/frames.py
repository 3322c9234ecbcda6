# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Frame builders and verifiers by struct: thousands of frames a second, which scapy can't do.

csum: "full" = finished, "partial" = the folded, not complemented pseudo-header sum (what a guest with checksum
offload sends), "bad" = finished and then damaged, "zero" = field 0 (UDP: no checksum).
"""
import functools
import socket
import struct
from collections import namedtuple

BCAST = "ff:ff:ff:ff:ff:ff"
ETH_IP, ETH_ARP, ETH_IP6, ETH_8021Q, ETH_8021AD = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
CSUM_OFFSET = {TCP: 16, UDP: 6, ICMP: 2, ICMP6: 2}
NEEDS_CSUM, DATA_VALID = 1, 2
TCP_FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}

Parsed = namedtuple("Parsed", "dst src vlans ethertype l3 proto sip dip l4 sport dport payload csum_off frag l4_len")


def mac(n):
    """MAC address of guest n."""
    return "52:54:00:00:%02x:%02x" % ((16 + n) >> 8, (16 + n) & 255)


def ip(n):
    """IPv4 address of guest n."""
    return "198.18.%d.%d" % ((10 + n) >> 8, (10 + n) & 255)


def ip6(n):
    """IPv6 address of guest n (decimal digits as in the IPv4 address, so that both read alike)."""
    return f"fd00:198::{10 + n}"


def mac_bytes(text):
    return text if isinstance(text, bytes) else bytes.fromhex(text.replace(":", ""))


def mac_text(data):
    return data.hex(":")


def ones_sum(data):
    """One's complement sum of 16-bit words, 0..0xffff; 0 only if every byte is 0."""
    if len(data) & 1:
        data = bytes(data) + b"\0"
    value = int.from_bytes(data, "big")
    return value % 0xFFFF or (0xFFFF if value else 0)


def fold(value):
    return value % 0xFFFF or (0xFFFF if value else 0)


def eth(dst, src, ethertype, payload, vlans=()):
    """An Ethernet frame; vlans from the outside in: VIDs or (tpid, tci)."""
    out = mac_bytes(dst) + mac_bytes(src)
    for tag in vlans:
        out += struct.pack("!HH", *((ETH_8021Q, tag) if isinstance(tag, int) else tag))
    return out + struct.pack("!H", ethertype) + payload


def _addr(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def _pseudo(sip, dip, proto, length):
    """Sum of the pseudo header, not complemented; addresses as bytes."""
    return fold(int.from_bytes(sip + dip, "big") + proto + length)


def _fill(l4, proto, sip, dip, csum):
    """Writes the checksum in the wanted state."""
    at = CSUM_OFFSET[proto]
    pseudo = 0 if proto == ICMP else _pseudo(sip, dip, proto, len(l4))
    if csum == "zero":
        value = 0
    elif csum == "partial":
        value = pseudo
    else:
        value = 0xFFFF - fold(pseudo + ones_sum(l4))
        if value == 0 and proto == UDP:
            value = 0xFFFF
        if csum == "bad":
            value = (value ^ 0x5AA5) or 0x1234
    return l4[:at] + struct.pack("!H", value) + l4[at + 2:]


def ipv4(sip, dip, proto, payload, ttl=64, frag=0, ident=1, options=b"", tos=0):
    """An IPv4 packet; frag is the whole flags-and-offset word."""
    ihl = 5 + len(options) // 4
    length = min(ihl * 4 + len(payload), 0xFFFF)
    head = struct.pack("!BBHHHBBH", 0x40 | ihl, tos, length, ident, frag, ttl, proto, 0)
    head += _addr(sip) + _addr(dip) + options
    return head[:10] + struct.pack("!H", 0xFFFF - ones_sum(head)) + head[12:] + payload


def ipv6(sip, dip, proto, payload, hlim=64):
    return struct.pack("!IHBB", 6 << 28, min(len(payload), 0xFFFF), proto, hlim) + _addr(sip) + _addr(dip) + payload


def raw_ip(smac, dmac, sip, dip, proto, payload, vlans=(), ttl=64, frag=0, pad=0):
    """An Ethernet frame with an IPv4 or IPv6 packet (by the form of sip) and any payload."""
    if ":" in sip:
        return eth(dmac, smac, ETH_IP6, ipv6(sip, dip, proto, payload, ttl), vlans) + bytes(pad)
    return eth(dmac, smac, ETH_IP, ipv4(sip, dip, proto, payload, ttl, frag), vlans) + bytes(pad)


def udp(smac, dmac, sip, dip, sport=1000, dport=2000, payload=b"x" * 32, csum="full", vlans=(), ttl=64, frag=0, pad=0):
    l4 = struct.pack("!HHHH", sport, dport, min(8 + len(payload), 0xFFFF), 0) + payload
    return raw_ip(smac, dmac, sip, dip, UDP, _fill(l4, UDP, _addr(sip), _addr(dip), csum), vlans, ttl, frag, pad)


def tcp(smac, dmac, sip, dip, sport=1000, dport=2000, payload=b"", seq=1, ack=1, flags="A", csum="full", vlans=(),
        ttl=64, pad=0):
    bits = sum(TCP_FLAGS[f] for f in flags)
    l4 = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack, 0x50, bits, 65535, 0, 0) + payload
    return raw_ip(smac, dmac, sip, dip, TCP, _fill(l4, TCP, _addr(sip), _addr(dip), csum), vlans, ttl, 0, pad)


def icmp(smac, dmac, sip, dip, payload=b"p" * 32, type=None, code=0, ident=1, seq=1, csum="full", vlans=()):
    """An ICMP or ICMPv6 echo request, unless `type` says otherwise."""
    six = ":" in sip
    proto = ICMP6 if six else ICMP
    kind = type if type is not None else (128 if six else 8)
    l4 = struct.pack("!BBHHH", kind, code, 0, ident, seq) + payload
    return raw_ip(smac, dmac, sip, dip, proto, _fill(l4, proto, _addr(sip), _addr(dip), csum), vlans)


def arp(op, smac, sip, tmac, tip, dst=None, src=None, vlans=()):
    """op 1 = request (broadcast unless dst is given), 2 = reply (to tmac); src = Ethernet source if it differs."""
    body = struct.pack("!HHBBH", 1, ETH_IP, 6, 4, op) + mac_bytes(smac) + _addr(sip) + mac_bytes(tmac) + _addr(tip)
    return eth(dst or (BCAST if op == 1 else tmac), src or smac, ETH_ARP, body, vlans)


def arp_request(smac, sip, tip, **more):
    return arp(1, smac, sip, bytes(6), tip, **more)


def _nd(smac, dmac, sip, dip, kind, flags, target, option, omac, vlans=()):
    l4 = struct.pack("!BBHI", kind, 0, 0, flags) + _addr(target) + struct.pack("!BB", option, 1) + mac_bytes(omac)
    l4 = _fill(l4, ICMP6, _addr(sip), _addr(dip), "full")
    return eth(dmac, smac, ETH_IP6, ipv6(sip, dip, ICMP6, l4, 255), vlans)


def nd_ns(smac, sip, target, vlans=(), omac=None):
    """A neighbour solicitation to the solicited-node group."""
    low = _addr(target)[-3:]
    group = socket.inet_ntop(socket.AF_INET6, _addr("ff02::1:ff00:0")[:13] + low)
    return _nd(smac, "33:33:ff:" + mac_text(low), sip, group, 135, 0, target, 1, omac or smac, vlans)


def nd_na(smac, dmac, sip, dip, target=None, vlans=(), omac=None):
    """A solicited neighbour advertisement with override."""
    return _nd(smac, dmac, sip, dip, 136, 0x60000000, target or sip, 2, omac or smac, vlans)


def bpdu(smac):
    """A spanning tree frame to the reserved group address."""
    return eth("01:80:c2:00:00:00", smac, 38, b"\x42\x42\x03" + bytes(35 + 8))


def _ports(frame, l4, proto):
    if proto in (TCP, UDP) and len(frame) >= l4 + 4:
        return struct.unpack_from("!HH", frame, l4)
    return None, None


def parse(frame):
    """Takes a frame apart; fields that do not exist are None. l4_len is by the IP header, else by the frame."""
    return _parse(bytes(frame))


@functools.lru_cache(maxsize=8)     # every check of a frame takes it apart
def _parse(frame):
    dst, src = mac_text(frame[:6]), mac_text(frame[6:12])
    at, vlans = 12, []
    kind = int.from_bytes(frame[at:at + 2], "big")
    while kind in (ETH_8021Q, ETH_8021AD) and len(frame) >= at + 6:
        vlans.append((kind, int.from_bytes(frame[at + 2:at + 4], "big")))
        at += 4
        kind = int.from_bytes(frame[at:at + 2], "big")
    l3 = at + 2
    none = Parsed(dst, src, vlans, kind, l3, None, None, None, None, None, None, frame[l3:], None, False, 0)
    if kind == ETH_IP and len(frame) >= l3 + 20:
        proto, frag = frame[l3 + 9], int.from_bytes(frame[l3 + 6:l3 + 8], "big") & 0x3FFF
        l4 = l3 + (frame[l3] & 15) * 4
        length = int.from_bytes(frame[l3 + 2:l3 + 4], "big") - (l4 - l3)
        sip, dip = (socket.inet_ntop(socket.AF_INET, frame[l3 + o:l3 + o + 4]) for o in (12, 16))
    elif kind == ETH_IP6 and len(frame) >= l3 + 40:
        proto, frag, l4 = frame[l3 + 6], 0, l3 + 40
        length = int.from_bytes(frame[l3 + 4:l3 + 6], "big")
        sip, dip = (socket.inet_ntop(socket.AF_INET6, frame[l3 + o:l3 + o + 16]) for o in (8, 24))
    else:
        return none
    sport, dport = (None, None) if frag else _ports(frame, l4, proto)
    head = {UDP: 8, ICMP: 8, ICMP6: 8}.get(proto, 0)
    if proto == TCP and len(frame) > l4 + 12:
        head = (frame[l4 + 12] >> 4) * 4
    return none._replace(proto=proto, sip=sip, dip=dip, l4=l4, sport=sport, dport=dport, frag=bool(frag), l4_len=length,
                         payload=frame[l4 + (0 if frag else head):l4 + length], csum_off=CSUM_OFFSET.get(proto))


def csum_state(frame):
    """State of the L4 checksum: full, partial, both, bad, zero (UDP without), none (nothing to check)."""
    p = parse(frame)
    if p.csum_off is None or p.frag or len(frame) < p.l4 + p.csum_off + 2:
        return "none"
    l4 = bytes(frame[p.l4:p.l4 + p.l4_len])
    if len(l4) < p.l4_len:
        return "bad"
    field = int.from_bytes(l4[p.csum_off:p.csum_off + 2], "big")
    if p.proto == UDP and field == 0:
        return "zero"
    pseudo = 0 if p.proto == ICMP else _pseudo(_addr(p.sip), _addr(p.dip), p.proto, len(l4))
    full = fold(pseudo + ones_sum(l4)) == 0xFFFF
    partial = p.proto != ICMP and field % 0xFFFF == pseudo % 0xFFFF
    if full and partial:        # one frame of 65,536: finishing it would not change it
        return "both"
    return "full" if full else "partial" if partial else "bad"


def ip_csum_ok(frame):
    """True if the IPv4 header checksum is right, or there is none."""
    p = parse(frame)
    return p.ethertype != ETH_IP or ones_sum(frame[p.l3:p.l3 + (frame[p.l3] & 15) * 4]) == 0xFFFF


def csum_args(frame):
    """(csum_start, csum_offset) of a frame, for needs_csum."""
    p = parse(frame)
    return p.l4, p.csum_off


def check(hdr, frame):
    """None if the frame is right as its reader sees it, else what is wrong: an unfinished checksum must be marked and
    marked in the right place, a finished one must not be marked (the next hop would sum again)."""
    state = csum_state(frame)
    marked = bool(hdr is not None and hdr.flags & NEEDS_CSUM)
    if not ip_csum_ok(frame):
        return "IPv4 header checksum is wrong"
    if state in ("none", "zero") and not marked:
        return None
    if marked and state not in ("partial", "both"):
        return f"marked NEEDS_CSUM, but the checksum is {state}"
    if not marked and state not in ("full", "both"):
        return f"not marked, but the checksum is {state}"
    if marked and (hdr.csum_start, hdr.csum_offset) != csum_args(frame):
        return f"csum_start, csum_offset are {hdr.csum_start}, {hdr.csum_offset}, not {csum_args(frame)}"
    return None
