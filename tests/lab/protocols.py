# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Protocols that people run, each as a function of a Pair: it raises (AssertionError or OSError) unless everything got
through both ways as it should, within pair.wait seconds per step. What the guests receive meanwhile is in pair.seen.
FUNCTIONS has them by the names of grid.PROTOCOLS.

A datagram that does not arrive is sent again, TRIES times in all: the kernel's backlog of a CPU is shared by everything that
runs on the machine, and when it is full, a veth loses what it is given."""
import contextlib
import os
import socket
import struct
import subprocess
import tempfile
import time
from collections import namedtuple

from . import frames, layers
from .frames import BCAST, eth
from .net import wait_until
from .traffic import tcp_transfer, udp_echo

LLDP, STP, PAUSE, LACP, EAPOL = ("01:80:c2:00:00:%02x" % n for n in (14, 0, 1, 2, 3))
PTP, MVRP, CDP = "01:1b:19:00:00:00", "01:80:c2:00:00:21", "01:00:0c:cc:cc:cc"
SO_NO_CHECK, UDP_NO_CHECK6_TX, UDP_NO_CHECK6_RX = 11, 101, 102

TRIES = 4

Station = namedtuple("Station", "ns ip ip6")        # what the functions of traffic.py need of a guest


# ---- frames of our own -----------------------------------------------------------------------------------------------

def cross(pair, sender, receiver, sent):
    """Every frame reaches the other end as a NIC would have sent it: unfinished checksums are still marked, or finished."""
    out, far = sender.raw(vnet=True), receiver.raw(vnet=True, ignore_outgoing=True)
    for frame in sent:
        mark = layers.vnet(frame)
        want = layers.wire(mark, frame)
        for _ in range(TRIES):
            out.send(frame, needs_csum=layers.needs_csum(frame))
            limit = time.monotonic() + pair.wait / TRIES
            while (got := far.recv(max(0.0, limit - time.monotonic()))) is not None:
                if layers.wire(got.hdr, got.frame) == want:
                    break
            if got:
                break
        assert got is not None, f"lost or changed: {frame[:60].hex()}"
        assert (why := layers.faults(got.hdr, got.frame)) is None, why
    out.close(), far.close()


def answered(pair, ask, sniffer, match):
    """The frame that answers, or None; the question is asked again."""
    for _ in range(TRIES):
        ask()
        if got := sniffer.recv_match(match, pair.wait / TRIES):
            return got
    return None


def inner_frames(n):
    """What runs inside a tunnel: frames whose checksums are left to the NIC, and finished ones."""
    a, b, four, six = frames.mac(n + 1), frames.mac(n + 2), ("198.19.9.1", "198.19.9.2"), ("fd00:198:9::1", "fd00:198:9::2")
    for csum in ("partial", "full"):
        yield frames.tcp(a, b, *four, payload=b"inner" * 100, csum=csum)
        yield frames.udp(a, b, *four, payload=b"inner" * 21, csum=csum)
        yield frames.tcp(a, b, *six, flags="S", csum=csum)
        yield frames.udp(a, b, *six, payload=b"i", csum=csum)
    yield frames.icmp(a, b, *four)


def gre(pair):
    for a, b in pair.ways():
        sent = []
        for sip, dip in ((a.ip, b.ip), (a.ip6, b.ip6)):
            sent += [layers.gre(a.mac, b.mac, sip, dip, inner, key=key, bridged=bridged)
                     for inner in inner_frames(60) for key, bridged in ((None, False), (7, True))]
        cross(pair, a, b, sent)


def sctp(pair):
    init, data = (1, 0, struct.pack("!IIHHI", 1, 65536, 10, 10, 1)), (0, 3, struct.pack("!IHHI", 1, 0, 0, 0) + b"data" * 300)
    for a, b in pair.ways():
        cross(pair, a, b, [layers.sctp(a.mac, b.mac, sip, dip, chunk, tag=tag)
                           for sip, dip in ((a.ip, b.ip), (a.ip6, b.ip6)) for tag, chunk in ((0, init), (9, data))])


def types(pair):
    """EtherTypes that nothing of ours knows, in frames from 14 bytes up; two wake-up calls, and what QEMU says of a guest
    that has just moved."""
    least = 2 if pair.link == "trunk" else 0      # the guest's own kernel frees tagged frames of less than 20 bytes
    for a, b in pair.ways():
        ip = frames.ipv4(a.ip, b.ip, frames.UDP, struct.pack("!HHHH", 1, 2, 12, 0) + b"data")
        magic = b"\xff" * 6 + frames.mac_bytes(b.mac) * 16
        body = {0x8863: b"\x11\x09\0\0\0\x04\x01\x01\0\0", 0x8864: b"\x11\0\0\x01" + struct.pack("!HH", len(ip) + 2, 0x21) + ip,
                0x8847: struct.pack("!I", 100 << 12 | 0x140) + ip, 0x8848: struct.pack("!II", 100 << 12, 7 << 12 | 0x140) + ip,
                0x88B5: b"experimental", 0x22F0: bytes(200), 0x8892: bytes(40), 0x88CA: b"tipc" * 300, 0x0842: magic,
                0x0026: b"\xe0\xe0\x03" + bytes(35), 0x0600: bytes(least), 0xFFFF: bytes(least or 1)}
        sent = [eth(b.mac, a.mac, kind, payload) for kind, payload in body.items()]
        rarp = struct.pack("!HHBBH", 1, 0x800, 6, 4, 3) + (frames.mac_bytes(a.mac) + bytes(4)) * 2
        sent += [eth(BCAST, a.mac, 0x8863, body[0x8863]), eth(BCAST, a.mac, 0x0842, magic), eth(BCAST, a.mac, 0x8035, rarp),
                 frames.udp(a.mac, BCAST, a.ip, "198.19.255.255", 9, 9, magic)]
        cross(pair, a, b, sent)


def control_frames(src):
    """(frames for the next bridge only, frames for everybody)"""
    lldp = bytes.fromhex("0207045254000000110402076731060200780000")
    nearest = [eth(LLDP, src, 0x88CC, lldp), frames.bpdu(src), eth(LACP, src, 0x8809, b"\x01\x01\x01\x14" + bytes(106)),
               eth(EAPOL, src, 0x888E, b"\x01\x01\0\0"), eth(PAUSE, src, 0x8808, b"\0\x01\xff\xff" + bytes(42)),
               eth(LLDP, src, 0x88F7, b"\x02\x02" + struct.pack("!H", 54) + bytes(50)), eth("01:80:c2:00:00:0f", src, 0x88B5, b"xy")]
    others = [eth(PTP, src, 0x88F7, b"\0\x02" + struct.pack("!H", 44) + bytes(40)), eth(MVRP, src, 0x88F5, bytes(20)),
              eth(CDP, src, 30, b"\xaa\xaa\x03\0\0\x0c\x20\0" + bytes(22)), eth("01:80:c2:00:00:10", src, 0x88B5, b"xy")]
    return nearest, others


def control(pair):
    for a, b in pair.ways():
        nearest, others = control_frames(a.mac)
        if pair.link == "binding":
            cross(pair, a, b, nearest + others)
            continue
        name, far, out = pair.port_of(a), b.raw(ignore_outgoing=True), a.raw()
        before = pair.plane.drops(name).get("reserved_group", 0)
        for frame in nearest:
            out.send(frame)
        cross(pair, a, b, others)
        wait_until(lambda: pair.plane.drops(name).get("reserved_group", 0) == before + len(nearest), pair.wait,
                   what="frames for the next bridge stopped with their reason")
        assert not [c.frame[:16].hex() for c in far.drain(0.01) if c.frame in nearest]
        far.close(), out.close()


def neighbour(guest, address):
    """The address that a guest's kernel has for a neighbour."""
    found = guest.ns.json(f"ip -j neigh show {address} dev {guest.dev}")
    return found[0].get("lladdr") if found else None


def arp(pair):
    """One station asks whether an address is free, takes it, and another takes it over."""
    for n, (a, b) in enumerate(pair.ways()):
        taken, first, second = f"198.18.77.{n + 1}", frames.mac(70 + n), frames.mac(80 + n)
        raw, far = a.raw(), a.raw(ignore_outgoing=True)
        defence = b"\0\x02" + frames.mac_bytes(b.mac)
        assert answered(pair, lambda: raw.send(frames.arp_request(a.mac, "0.0.0.0", b.ip)), far,
                        lambda f: f[12:14] == b"\x08\x06" and f[20:28] == defence), "defended"
        for who, frame in ((first, frames.arp_request(first, taken, b.ip)), (second, frames.arp_request(second, taken, taken)),
                           (first, frames.arp(2, first, taken, first, taken, dst=BCAST))):
            wait_until(lambda: raw.send(frame) or neighbour(b, taken) == who, pair.wait, what=f"{taken} is at {who}")
        raw.close(), far.close()
        b.ns.run(f"ip neigh flush dev {b.dev} to {taken}")


# ---- services --------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def dnsmasq(guest, *options):
    """dnsmasq on a guest's device, without DNS."""
    with tempfile.TemporaryDirectory(prefix="vpt-dns-") as folder:
        cmd = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--user=root", "--group=root", "--port=0", f"--interface={guest.dev}",
               "--bind-interfaces", "--no-resolv", "--no-hosts", f"--pid-file={folder}/pid", f"--dhcp-leasefile={folder}/leases",
               "--no-ping", "--dhcp-authoritative", *options]
        with open(f"{folder}/log", "wb+") as log:
            server = guest.ns.popen(cmd, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                wait_until(lambda: os.path.getsize(log.name) or server.poll() is not None, 10, 0.01, "dnsmasq starts")
                yield folder
            finally:
                server.kill()
                server.wait()


SCRIPT = """#!/bin/sh
[ "$1" = bound ] && echo "$ip $mask $router $lease" >"$OUT"
exit 0
"""


def lease(pair, client, *options):
    """What udhcpc is given, as text; None if it got nothing."""
    with tempfile.TemporaryDirectory(prefix="vpt-dhcp-") as folder:
        with open(f"{folder}/script", "w", encoding="ascii") as f:
            f.write(SCRIPT)
        os.chmod(f.name, 0o755)
        tries = max(1, int(pair.wait))
        cmd = ["busybox", "udhcpc", "-i", client.dev, "-f", "-n", "-q", "-t", str(tries), "-T", "1", "-s", f.name, *options]
        client.ns.run(cmd, check=False, timeout=30, env={**os.environ, "OUT": f"{folder}/out"})
        if not os.path.exists(f"{folder}/out"):
            return None
        with open(f"{folder}/out", encoding="ascii") as f:
            return f.read().strip()


def dhcp(pair):
    """The answer's checksum is unfinished when it leaves the server, and udhcpc looks at it."""
    for n, (server, client) in enumerate(pair.ways()):
        with dnsmasq(server, f"--dhcp-range=198.18.{60 + n}.5,198.18.{60 + n}.5,255.254.0.0,300", "--dhcp-option=3,198.18.0.1"):
            got = lease(pair, client, *[["-B"], []][n])
            assert got == f"198.18.{60 + n}.5 15 198.18.0.1 300", f"lease: {got}"


def global_address(guest, prefix):
    """The address in the prefix that a guest has made for itself, or None."""
    for info in guest.ns.json(f"ip -6 -j addr show dev {guest.dev} scope global")[0]["addr_info"]:
        if info.get("local", "").startswith(prefix) and info.get("dynamic"):
            return info["local"]
    return None


def solicit(guest):
    """A router solicitation."""
    with guest.ns.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        s.sendto(struct.pack("!BBHI", 133, 0, 0, 0), ("ff02::2", 0, 0, guest.ns.ifindex(guest.dev)))


def ra(pair):
    for n, (router, host) in enumerate(pair.ways()):
        prefix = f"fd00:198:{50 + n}:"
        key = f"net/ipv6/conf/{host.dev}/accept_ra"
        router.ns.ip(f"addr replace {prefix}:1/64 dev {router.dev} nodad")
        host.ns.sysctl(key, 2)
        try:
            with dnsmasq(router, "--enable-ra", f"--dhcp-range={prefix}:,ra-only,64,600"):
                own = wait_until(lambda: solicit(host) or global_address(host, prefix), pair.wait, 0.2, "an address of its own")
                assert "ff:fe" in own, own
            routes = host.ns.json("ip -6 -j route show default")
            assert [r["dev"] for r in routes] == [host.dev] and routes[0]["gateway"].startswith("fe80:"), routes
            wait_until(lambda: host.ping6(f"{prefix}:1", timeout=1) and router.ping6(own, timeout=1), pair.wait, what="pings")
        finally:
            host.ns.sysctl(key, 0)
            host.ns.run(f"ip -6 route flush default dev {host.dev}", check=False)
            host.ns.run(f"ip -6 addr flush dev {host.dev} dynamic", check=False)
            router.ns.ip(f"addr del {prefix}:1/64 dev {router.dev}")


# ---- multicast -------------------------------------------------------------------------------------------------------

def member(guest, group, port):
    """A socket of the guest that has joined a group."""
    six = ":" in group
    s = guest.ns.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    index = guest.ns.ifindex(guest.dev)
    if six:
        s.bind((group, port, 0, index))
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("=16sI", socket.inet_pton(socket.AF_INET6, group), index))
    else:
        s.bind((group, port))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                     struct.pack("=4s4si", socket.inet_aton(group), bytes(4), index))
    return s


def to_group(guest, group, port, data):
    """A datagram of the guest to a group."""
    six, index = ":" in group, guest.ns.ifindex(guest.dev)
    with guest.ns.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as s:
        if six:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            s.sendto(data, (group, port, 0, index))
        else:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", bytes(4), bytes(4), index))
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            s.sendto(data, (group, port))


def hears(sock, data, wait):
    """Whether a member's socket is given this datagram."""
    limit = time.monotonic() + wait
    while (left := limit - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            if sock.recv(65536) == data:
                return True
        except TimeoutError:
            break
    return False


def reaches(send, sock, data, wait):
    """Whether one of a few datagrams arrives."""
    return any(send() or hears(sock, data, wait / TRIES) for _ in range(TRIES))


QUESTION = struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 0) + b"\x09_services\x07_dns-sd\x04_udp\x05local\0\0\x0c\0\x01"


def mdns(pair):
    for a, b in pair.ways():
        for group in ("224.0.0.251", "ff02::fb"):
            with member(b, group, 5353) as s:
                assert reaches(lambda: to_group(a, group, 5353, QUESTION), s, QUESTION, pair.wait), group


def query4(guest):
    """A general query of IGMPv3 that wants the answer at once."""
    body = struct.pack("!BBHIBBH", 0x11, 1, 0, 0, 2, 125, 0)
    body = body[:2] + struct.pack("!H", 0xFFFF - frames.ones_sum(body)) + body[4:]
    return eth("01:00:5e:00:00:01", guest.mac, frames.ETH_IP,
               frames.ipv4(guest.ip, "224.0.0.1", 2, body, ttl=1, options=b"\x94\x04\0\0", tos=0xC0))


def query6(guest):
    """The same of MLDv2."""
    link = frames.mac_bytes(guest.mac)
    source = socket.inet_ntop(socket.AF_INET6, b"\xfe\x80" + bytes(6) + bytes([link[0] ^ 2]) + link[1:3] + b"\xff\xfe" + link[3:])
    body = struct.pack("!BBHHH16sBBH", 130, 0, 0, 100, 0, bytes(16), 2, 125, 0)
    pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "ff02::1") + struct.pack("!II", len(body), 58)
    body = body[:2] + struct.pack("!H", 0xFFFF - frames.ones_sum(pseudo + body)) + body[4:]
    return eth("33:33:00:00:00:01", guest.mac, frames.ETH_IP6,
               frames.ipv6(source, "ff02::1", 0, b"\x3a\0\x05\x02\0\0\x01\0" + body, hlim=1))


def multicast(pair):
    """The receiver joins; the sender's side hears that at once and again when it asks; the group's datagrams arrive."""
    for n, (a, b) in enumerate(pair.ways()):
        for group, reports, query in ((f"239.198.0.{n + 1}", "01:00:5e:00:00:16", query4), (f"ff15::198:{n + 1}", "33:33:00:00:00:16", query6)):
            raw = socket.inet_pton(socket.AF_INET6 if ":" in group else socket.AF_INET, group)
            near = a.raw(ignore_outgoing=True)

            def reported(frame):
                return frame[:6] == frames.mac_bytes(reports) and raw in frame

            with member(b, group, 2000) as s:
                assert near.recv_match(reported, pair.wait), f"{group}: joined"
                near.drain(0.01)
                assert answered(pair, lambda: near.send(query(a)), near, reported), f"{group}: answered a query"
                assert reaches(lambda: to_group(a, group, 2000, b"to the group"), s, b"to the group", pair.wait), group
            near.close()


# ---- stacks ----------------------------------------------------------------------------------------------------------

def echoes(guest, address, sizes, wait):
    """The first size of echo request that is not answered with the same bytes, or None."""
    six = ":" in address
    guest.ns.sysctl("net.ipv4.ping_group_range", "0 0")
    with guest.ns.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM, 58 if six else 1) as s:
        s.connect((address, 0))
        for number, size in enumerate(sizes, 1):
            data = (number.to_bytes(4, "big") * (size // 4 + 1))[:size]
            request = struct.pack("!BBHHH", 128 if six else 8, 0, 0, 0, number) + data
            if not any(s.send(request) and _answer(s, number, data, wait / TRIES) for _ in range(TRIES)):
                return size
    return None


def _answer(sock, number, data, wait):
    limit = time.monotonic() + wait
    while (left := limit - time.monotonic()) > 0:
        sock.settimeout(left)
        with contextlib.suppress(TimeoutError):
            got = sock.recv(65536)
            if struct.unpack_from("!H", got, 6)[0] == number:
                assert got[8:] == data, f"echo of {len(data)} bytes came back changed"
                return True
    return False


def datagrams(pair, a, b, count, size, v6):
    """Datagrams that b's own socket echoes."""
    assert any(udp_echo(a, b, count, size, v6=v6, timeout=pair.wait / TRIES) == 0 for _ in range(TRIES)), f"{size} bytes, v6 {v6}"


def ping(pair):
    for a, b in pair.ways():
        for address in (b.ip, b.ip6):
            assert echoes(a, address, [*range(0, 1400, 67), 1452], pair.wait) is None
    assert echoes(pair.a, pair.b.ip, [1472], pair.wait) is None


def fragments(pair):
    for a, b in pair.ways():
        for v6 in (False, True):
            assert echoes(a, b.ip6 if v6 else b.ip, [4000], pair.wait) is None
            datagrams(pair, a, b, 3, 8192, v6)
    kinds = [frames.parse(c.frame) for c in pair.seen.collect()]
    assert sum(p.frag for p in kinds) >= 48 and sum(p.proto == 44 for p in kinds) >= 48


def udp(pair):
    for v6 in (False, True):
        for size in (1, 100, 1400):
            for a, b in pair.ways():
                datagrams(pair, a, b, 5, size, v6)


def udp0(pair):
    for a, b in pair.ways():
        for v6 in (False, True):
            family = socket.AF_INET6 if v6 else socket.AF_INET
            with a.ns.socket(family, socket.SOCK_DGRAM) as near, b.ns.socket(family, socket.SOCK_DGRAM) as far:
                near.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
                if v6:
                    near.setsockopt(socket.SOL_UDP, UDP_NO_CHECK6_TX, 1)
                    far.setsockopt(socket.SOL_UDP, UDP_NO_CHECK6_RX, 1)
                far.bind((b.ip6 if v6 else b.ip, 0))
                for size in (1, 1000):
                    data, to = b"0" * size, far.getsockname()[:2]
                    assert reaches(lambda: near.sendto(data, to) and None, far, data, pair.wait), f"{size} bytes, v6 {v6}"
    assert pair.seen.states().get("zero", 0) >= 8


def tcp(pair):
    for v6 in (False, True):
        tcp_transfer(pair.a, pair.b, mib=1, v6=v6, timeout=pair.wait * 4)


def jumbo(pair):
    with pair.mtu(9000):
        for a, b in pair.ways():
            for v6 in (False, True):
                datagrams(pair, a, b, 3, 8192, v6)
        assert sum(len(c.frame) > 8192 for c in pair.seen.collect()) >= 24
        tcp_transfer(pair.a, pair.b, mib=1, timeout=pair.wait * 4)


TUNNELS = {41: ("ip", "noudpcsum"), 42: ("ip", "udpcsum"), 43: ("ip6", "udp6zerocsumtx udp6zerocsumrx"), 44: ("ip6", "noudp6zerocsumtx udp6zerocsumrx")}


@contextlib.contextmanager
def vxlans(pair):
    """Four tunnels between the guests, with permanent neighbours: the first frame of all is the SYN of a TCP inside, and no
    ARP shows the plane what a port's checksums are like. Yields pairs of stations."""
    ends = list(zip((pair.a, pair.b), (pair.b, pair.a), (1, 2), (2, 1)))
    for own, far, n, other in ends:
        own.ns.ip(*[line for vni, (family, how) in TUNNELS.items() for line in (
            f"link add vx{vni} address 52:54:00:01:{vni}:0{n} type vxlan id {vni} dstport 4789 {how} dev {own.dev} "
            f"local {getattr(own, family)} remote {getattr(far, family)}",
            f"link set vx{vni} up", f"addr add 198.19.{vni}.{n}/24 dev vx{vni}", f"addr add fd00:198:{vni}::{n}/64 dev vx{vni} nodad",
            f"neigh replace 198.19.{vni}.{other} lladdr 52:54:00:01:{vni}:0{other} dev vx{vni}",
            f"neigh replace fd00:198:{vni}::{other} lladdr 52:54:00:01:{vni}:0{other} dev vx{vni}")])
    try:
        yield [[Station(g.ns, f"198.19.{vni}.{n}", f"fd00:198:{vni}::{n}") for g, n in ((pair.a, 1), (pair.b, 2))] for vni in TUNNELS]
    finally:
        for own, _, _, _ in ends:
            own.ns.ip(*[f"link del vx{vni}" for vni in TUNNELS])


def vxlan(pair):
    with vxlans(pair) as tunnels:
        for a, b in reversed(tunnels):
            tcp_transfer(a, b, mib=3, piece=1 << 16, timeout=pair.wait * 2)
            for v6 in (False, True):
                datagrams(pair, a, b, 3, 700, v6)
        assert sum(layers.inside(c.frame)[0] is not None for c in pair.seen.collect()) > 50


FUNCTIONS = {f.__name__: f for f in (vxlan, gre, sctp, control, types, arp, dhcp, ra, mdns, multicast, ping, fragments, udp, udp0, tcp,
                                     jumbo)}
