# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Protocols with more than two stations, or that a plane could get wrong in a way of its own. What crosses between any two
devices is test_matrix.py; that each of its tests fails where nothing may cross is here."""
import contextlib
import errno

import pytest

import lab
from lab import frames, grid, layers, wait_until
from lab.frames import BCAST, ip, ip6, mac
from lab.grid import Row
from lab.pair import Pair
from lab.protocols import (CDP, FUNCTIONS, PTP, QUESTION, control_frames, echoes, hears, inner_frames, dnsmasq, lease, member, neighbour,
                           query4, query6, reaches, to_group)


# ---- the controls of test_matrix.py ----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def apart():
    """A VM and a container, each in a segment of its own: nothing may cross."""
    made = Pair(Row("tap", "veth", "auto", "nonblock", "segment"), link="apart", wait=0.3)
    yield made
    made.close()


@pytest.mark.parametrize("protocol", grid.PROTOCOLS)
def test_nothing_crosses_between_segments(apart, protocol):
    """Each of them fails, and for want of the other side: no tool that does not start, no slip of ours."""
    with apart.watched() as seen, pytest.raises((AssertionError, OSError)) as failure:
        FUNCTIONS[protocol](apart)
    assert getattr(failure.value, "errno", None) in (None, errno.EHOSTUNREACH)
    assert not [c for c in seen.frames if frames.parse(c.frame).src in (apart.a.mac, apart.b.mac)]


def test_the_same_pair_talks_once_it_is_in_one_segment(apart):
    """So the negatives above are due to the segments: every protocol at once, in the same place."""
    apart.plane.up(apart.config("segment"))
    apart.wait, apart.link = 5.0, "segment"
    try:
        for protocol, function in FUNCTIONS.items():
            with apart.watched():
                function(apart)
    finally:
        apart.plane.up(apart.config("apart"))
        apart.wait, apart.link = 0.3, "apart"


def test_every_protocol_has_a_function_and_every_row_its_turn():
    """The grid is as wide as it says: any two of pair, carrier, mode and link are met together, and with each protocol."""
    assert list(FUNCTIONS) == list(grid.PROTOCOLS)
    assert len(set(grid.CELLS)) == len(grid.CELLS)
    rows = [row for row, _ in grid.rows()]
    modes = set(grid.MODES)
    for pair in grid.PAIRS:
        own, carriers = (modes, {"auto", "tc", "generic"}) if "tap" in pair else ({"-"}, {"auto", "tc"})
        assert {(r.carrier, r.mode) for r in rows if r[:2] == pair} == {(c, m) for c in carriers for m in own}
        assert {r.link for r in rows if r[:2] == pair} == set(grid.LINKS)
        for protocol in grid.PROTOCOLS:
            assert {c.row.carrier for c in grid.CELLS if c.row[:2] == pair and c.protocol == protocol} == carriers
            assert {c.row.mode for c in grid.CELLS if c.row[:2] == pair and c.protocol == protocol} == own
    for protocol in grid.PROTOCOLS:
        for carrier in grid.CARRIERS:
            found = {(c.row.link, c.row.mode) for c in grid.CELLS if c.protocol == protocol and c.row.carrier == carrier}
            links = {link for link, _ in found}
            assert links == set(grid.LINKS) if carrier == "auto" else links >= {"segment", "binding"}
            assert {mode for _, mode in found} >= (modes if carrier == "auto" else {"nonblock"})


# ---- what the lab can tell -------------------------------------------------------------------------------------------

def test_the_measure_notices_what_is_wrong_inside():
    """A tunnel is right only if every layer is; SCTP only with its own sum."""
    assert layers.crc32c(b"123456789") == 0xE3069283
    for inner in inner_frames(3):
        unfinished = frames.csum_state(inner) == "partial"
        for sip, dip in ((ip(1), ip(2)), (ip6(1), ip6(2))):
            for frame in (layers.vxlan(mac(1), mac(2), sip, dip, inner), layers.vxlan(mac(1), mac(2), sip, dip, inner, csum="zero"),
                          layers.gre(mac(1), mac(2), sip, dip, inner), layers.gre(mac(1), mac(2), sip, dip, inner, 7, True)):
                mark = layers.vnet(frame)
                assert bool(mark.flags) == unfinished
                assert layers.faults(mark, frame) is None and layers.faults(None, layers.wire(mark, frame)) is None
                if unfinished:
                    assert layers.faults(None, frame), "the mark is lost"
                    assert layers.faults(mark, layers.wire(mark, frame)), "marked, and finished already"
                    assert layers.faults(mark._replace(csum_start=mark.csum_start - 2), frame)
                else:
                    damaged = frame[:-1] + bytes([frame[-1] ^ 1])
                    assert layers.faults(None, damaged)
    good = layers.sctp(mac(1), mac(2), ip(1), ip(2), (1, 0, bytes(16)))
    assert layers.faults(None, good) is None
    assert layers.faults(None, layers.sctp(mac(1), mac(2), ip(1), ip(2), (1, 0, bytes(16)), damage=1))
    assert layers.faults(None, good[:-1] + b"\1")


# ---- tunnels ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [{}, {"nonblock": False}, {"napi_frags": True, "nonblock": True}], ids=str)
@pytest.mark.parametrize("csum", ["zero", "full"])
@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_a_tunnels_inner_checksum_survives_as_the_very_first_frame(net, plane, v6, csum, options):
    """Nothing has told the plane yet that this port's UDP is not finished; the outer checksum, made in advance, fits the
    finished inner one."""
    one, two = net.tap("t1", **options), net.tap("t2")
    plane.up(plane.segment("lan", "t1", "t2"))
    plane.run(f"mac add lan {mac(2)} t2")
    two.drain(0.01)
    for inner in inner_frames(3):
        frame = layers.vxlan(mac(1), mac(2), *((ip6(1), ip6(2)) if v6 else (ip(1), ip(2))), inner, csum=csum)
        one.send(frame, needs_csum=layers.needs_csum(frame))
        got = two.recv(2)
        assert got and layers.faults(got.hdr, got.frame) is None, layers.faults(got.hdr, got.frame)
        assert layers.wire(got.hdr, got.frame) == layers.wire(layers.vnet(frame), frame)


# ---- groups ----------------------------------------------------------------------------------------------------------

class Everybody:
    """One station of each kind in one segment, and an outsider in another one."""

    def __init__(self, net, plane):
        self.vm, self.veth, self.world, self.outsider = net.vm_guest(1), net.veth_guest(2), net.uplink("up0", 4), net.veth_guest(5)
        conf = plane.segment("lan", "g1", "g2", host=["vp0"], uplink=["up0"])
        conf["segments"].append({"name": "other"})
        conf["ports"].append({"name": "g5", "device": "g5", "segment": "other"})
        plane.up(conf)
        self.host = lab.Guest(net, 3, net.host, "vp0", "vp0-p")
        self.host.configure()
        self.members = [self.vm, self.veth, self.host, self.world]
        for g in self.members[1:]:      # a device that has just come up loses what it is given before the kernel has started its queue
            wait_until(lambda: self.vm.ping(g, timeout=0.5), 10, what=f"{g.ns.name} is there")

    def others(self, guest):
        return [g for g in self.members if g is not guest]


@pytest.mark.parametrize("group", ["224.0.0.251", "ff02::fb", "239.255.255.250", "ff15::198:9"])
def test_a_group_reaches_every_member_and_nobody_else(net, plane, group):
    """mDNS, SSDP and a group of one's own, from each member to all others, and not to another segment."""
    all_ = Everybody(net, plane)
    with contextlib.ExitStack() as stack:
        socks = {g: stack.enter_context(member(g, group, 5353)) for g in all_.members + [all_.outsider]}
        for n, sender in enumerate(all_.members):
            question = QUESTION + bytes([n])
            for other in all_.others(sender):
                assert reaches(lambda: to_group(sender, group, 5353, question), socks[other], question, 5), f"{sender.ns.name} to {other.ns.name}"
        assert not hears(socks[all_.outsider], question, 0.1)


@pytest.mark.parametrize("v6", [False, True], ids=["igmp", "mld"])
def test_queries_reach_all_and_reports_reach_the_querier(net, plane, v6):
    """One querier anywhere in the segment hears of every member."""
    all_ = Everybody(net, plane)
    for querier in (all_.veth, all_.world):
        raw = querier.raw(ignore_outgoing=True)
        with contextlib.ExitStack() as stack:
            for g in all_.others(querier):
                stack.enter_context(member(g, "ff15::198:7" if v6 else "239.198.0.7", 2000))
            raw.drain(0.02)
            heard = set()

            def reports():
                raw.send((query6 if v6 else query4)(querier))
                for c in raw.drain(0.01):
                    if c.frame[:6] == frames.mac_bytes("33:33:00:00:00:16" if v6 else "01:00:5e:00:00:16"):
                        heard.add(frames.parse(c.frame).src)
                return heard >= {g.mac for g in all_.others(querier)}

            wait_until(reports, every=0.3, what="a report of each member")
        raw.close()


# ---- frames for the next bridge --------------------------------------------------------------------------------------

@pytest.mark.parametrize("carrier", ["auto", "tc"])
def test_frames_for_the_next_bridge_stop_with_their_reason(net, plane, carrier):
    """In a segment: all sixteen addresses, at every port; PTP's and CDP's own groups are ordinary multicast."""
    world, one, two = net.uplink(), net.tap("t1"), net.tap("t2")
    plane.up(plane.segment("lan", {"name": "t1", "carrier": carrier}, "t2", uplink=["up0"]))
    two.drain(0.01)
    wire = world.raw(ignore_outgoing=True)
    nearest = [frames.eth(f"01:80:c2:00:00:{n:02x}", mac(1), 0x88CC, b"lldp") for n in range(16)]
    for frame in nearest:
        one.send(frame)
    assert plane.drops("t1") == {"reserved_group": 16}
    _, others = control_frames(mac(1))
    for frame in others:
        one.send(frame)
        assert two.recv(1).frame == frame and wire.recv_match(frame, 1), "nothing else came before it"
    assert {frames.mac_text(f[:6]) for f in others} >= {PTP, CDP}
    wire.send(nearest[14].replace(frames.mac_bytes(mac(1)), frames.mac_bytes(world.mac)))
    assert plane.drops("up0") == {"reserved_group": 1}
    assert not [rx for rx in two.drain(0.02) if rx.frame[12:14] == b"\x88\xcc"]   # a kernel's MLD may come


# ---- addresses -------------------------------------------------------------------------------------------------------

def test_an_announcement_moves_a_station(net, plane):
    """A guest that moves to another host port announces itself, by RARP as QEMU does or by gratuitous ARP: from that frame on
    its mail goes to the new place only."""
    one, two, three = net.tap("t1"), net.tap("t2"), net.tap("t3")
    plane.up(plane.segment("lan", "t1", "t2", "t3"))
    mail = frames.icmp(mac(3), mac(9), ip(3), ip(9))
    announcements = [frames.arp_request(mac(9), ip(9), ip(9)), frames.arp(2, mac(9), ip(9), mac(9), ip(9), dst=BCAST),
                     frames.eth(BCAST, mac(9), 0x8035, bytes.fromhex("0001080006040003") + (frames.mac_bytes(mac(9)) + bytes(4)) * 2),
                     frames.arp_request(mac(9), "0.0.0.0", ip(9)), frames.nd_na(mac(9), "33:33:00:00:00:01", ip6(9), "ff02::1")]
    places = (one, two) * len(announcements)
    for announcement, (here, there) in zip(announcements, zip(places, places[1:])):
        here.send(announcement)
        for t in (one, two, three):
            t.drain(0.01)
        three.send(mail)
        assert here.recv(1).frame == mail and there.recv(0.02) is None
    assert plane.port("t1")["events"]["moved"] + plane.port("t2")["events"]["moved"] == len(announcements) - 1


def test_another_guest_takes_over_an_address(net, plane):
    """A virtual IP address fails over: the new owner's announcement is believed by all, and they reach it."""
    all_ = Everybody(net, plane)
    shared = "198.18.99.1"
    for owner in (all_.veth, all_.vm, all_.host):
        owner.ns.ip(f"addr add {shared}/32 dev {owner.dev}")
        raw = owner.raw()
        for other in all_.others(owner):
            wait_until(lambda: raw.send(frames.arp_request(owner.mac, shared, shared)) or (
                other.ping(shared, timeout=1) and neighbour(other, shared) == owner.mac), what=f"{other.ns.name} follows")
        owner.ns.ip(f"addr del {shared}/32 dev {owner.dev}")


@pytest.mark.parametrize("crosses", [True, False])
def test_duplicate_addresses_are_found(net, plane, crosses):
    """IPv6 duplicate address detection and its IPv4 counterpart, as DHCP clients do it: across the plane, not across segments."""
    a, b = net.vm_guest(1), net.veth_guest(2)
    conf = plane.segment("lan", "g1", "g2")
    if not crosses:
        conf["segments"].append({"name": "other"})
        conf["ports"][1]["segment"] = "other"
    plane.up(conf)
    a.ns.sysctl("net.ipv6.conf.all.accept_dad", 1)
    a.ns.sysctl(f"net/ipv6/conf/{a.dev}/accept_dad", 1)
    a.ns.ip(f"addr add {b.ip6}/64 dev {a.dev}")

    def state():
        found = [i for i in a.ns.json(f"ip -6 -j addr show dev {a.dev}")[0]["addr_info"] if i.get("local") == b.ip6][0]
        return "duplicate" if found.get("dadfailed") else "asking" if found.get("tentative") else "mine"

    assert wait_until(lambda: state() != "asking" and state(), what="an answer") == ("duplicate" if crosses else "mine")
    probe = a.ns.run(f"busybox arping -D -f -c 1 -w 1 -I {a.dev} {b.ip}", check=False)
    assert (probe.returncode == 1) == crosses, probe.stdout


# ---- DHCP ------------------------------------------------------------------------------------------------------------

def test_dhcp_from_the_world_and_from_the_host_to_each_guest(net, plane):
    """A relay-free network: one server at a time, all guests get their lease through it; none from another segment."""
    all_ = Everybody(net, plane)
    all_.wait = 5.0
    for server in (all_.world, all_.host, all_.veth):
        with dnsmasq(server, "--dhcp-range=198.18.90.1,198.18.90.50,255.254.0.0,300"):
            for client in all_.others(server):
                assert (lease(all_, client) or "").startswith("198.18.90."), f"{server.ns.name} to {client.ns.name}"
    with dnsmasq(all_.vm, "--dhcp-range=198.18.90.1,198.18.90.50,255.254.0.0,300"):
        all_.wait = 1.0
        assert lease(all_, all_.outsider) is None


# ---- sizes -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kinds", ["tap-tap", "tap-veth", "veth-tap"])
def test_pings_of_every_size(net, plane, kinds):
    """0 to 1472 bytes, one by one: the last fills the MTU. One more needs a fragment, or fails if none is allowed."""
    a, b = (net.vm_guest(n) if k == "tap" else net.veth_guest(n) for n, k in enumerate(kinds.split("-"), 1))
    plane.up(plane.segment("lan", "g1", "g2"))
    assert echoes(a, b.ip, range(1473), 5) is None
    assert echoes(a, b.ip6, range(0, 1453, 11), 5) is None
    assert a.ping(b, size=1472, df=True) and not a.ping(b, size=1473, df=True, timeout=0.3) and a.ping(b, size=1473)
