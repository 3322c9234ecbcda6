# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What fits the device it is meant for crosses, whatever its size; what does not is dropped under the name `mtu`, by
either carrier, and nothing is invented for its sender. Host ports take the MTU of those they talk to."""
import itertools
import random

import pytest

import lab
from lab import frames, need_kernel, tcp_transfer, udp_echo, wait_until
from lab.frames import BCAST, ip, mac

KINDS = ("tap", "veth", "host", "uplink")
PAIRS = list(itertools.combinations_with_replacement(KINDS, 2))


@pytest.fixture
def net(net):
    """Without the host's own IPv6 chatter, which reaches a TAP that is up before the plane is."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    return net


class End:
    """One end of a pair: its port, and what its guest sends and hears. A guest's own MTU is larger than the port's by
    the room of a tag, which a veth lets through: so it can send what is too large."""

    def __init__(self, net, kind, number, carrier, mtu=1500):
        self.net, self.kind, self.name, self.mac, self.wire = net, kind, f"p{number}", mac(number), None
        self.port = {"name": self.name, "device": self.name}
        self.is_tap = kind == "tap" or (kind == "uplink" and carrier == "xdp")     # a veth has no generic mode
        if self.is_tap:
            self.wire = net.tap(self.name, mtu=mtu)
            self.port.update({"carrier": carrier} if kind == "tap" else {"kind": "uplink", "mode": "generic"})
        elif kind == "host":
            self.port = {"name": self.name, "kind": "host"}
        else:
            self.ns = net.ns(f"g{number}")
            self.ns.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
            net.veth((net.host, self.name), (self.ns, "eth0"))
            self.set_mtu(mtu)
            if kind == "uplink":
                self.port["kind"] = "uplink"
            self.wire = net.sniffer(self.ns, "eth0", ignore_outgoing=True, promisc=True)

    def started(self):
        """A host port exists only now."""
        if self.kind == "host":
            self.net.host.up(self.name)
            wait_until(lambda: self.net.host.link(self.name + "-p")["operstate"] == "UP")
            self.wire = self.net.sniffer(self.net.host, self.name, ignore_outgoing=True)
        return self

    def set_mtu(self, mtu):
        if self.kind == "host":
            self.net.host.ip(f"link set {self.name} mtu {mtu + 4}")
            return
        self.net.host.ip(f"link set {self.name} mtu {mtu}")
        if not self.is_tap:
            self.ns.ip(f"link set eth0 mtu {mtu + 4}")


def config(how, ends):
    ports = [dict(e.port) for e in ends]
    if how == "binding":
        return {"version": 1, "ports": ports, "bindings": [{"a": ports[0]["name"], "b": ports[1]["name"]}]}
    for p in ports:
        p["segment"] = "lan"
    return {"version": 1, "segments": [{"name": "lan"}], "ports": ports}


def of_size(src, dst, length):
    """Frames of this length: one that tc carries from a TAP, one that XDP does."""
    yield frames.eth(dst, src, 0x88B5, random.Random(length).randbytes(length - 14))
    if length >= 14 + 28:
        yield frames.icmp(src, dst, ip(1), ip(2), payload=random.Random(length).randbytes(length - 42))


def cross(plane, one, two, mtu):
    """All sizes up to the MTU cross unchanged, larger ones are in the books as `mtu`, and nobody hears of it."""
    plane.run("mac flush", check=False)
    before = plane.drops(one.name).get("mtu", 0)
    for length in sorted({mtu + 14, min(mtu + 14, 3470), min(mtu + 14, 3471)}):
        for frame in of_size(one.mac, two.mac, length):
            one.wire.send(frame)
            assert two.wire.recv_match(frame, 2), f"{one.kind} to {two.kind}: {length} bytes, type {frame[12:14].hex()}"
    large = [f for n in (mtu + 15, mtu + 18) for f in of_size(one.mac, two.mac, n)]
    one.wire.drain(0)
    for frame in large:
        one.wire.send(frame)
    assert [r.frame for r in two.wire.drain(0.02)] == []
    assert plane.drops(one.name) == {"mtu": before + len(large)}
    assert [r.frame for r in one.wire.drain(0)] == [], "no ICMP is invented"


@pytest.mark.parametrize("carrier", ["xdp", "tc"])
@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_every_size_crosses_between_every_pair(net, plane, kinds, carrier):
    """The MTU changes under the live plane, and a device's programs go by the one it has now."""
    if kinds == ("host", "host"):           # their MTU is changed after the loader has looked
        need_kernel((6, 2), "bpf_rdonly_cast")
    how = "binding" if carrier == "xdp" else "segment"
    ends = [End(net, kind, number, carrier, 9000) for number, kind in enumerate(kinds, 1)]
    plane.up(config(how, ends))
    one, two = (e.started() for e in ends)
    for mtu in (9000, 68) if kinds != ("veth", "veth") else (9000, 68, 65000):
        for end in ends:
            end.set_mtu(mtu)
        plane.attach()
        if kinds == ("host", "host"):       # nobody whose MTU they could take
            net.host.ip(f"link set p1-p mtu {mtu}", f"link set p2-p mtu {mtu}")
        for end in ends:
            end.set_mtu(mtu)
        assert net.host.link(one.name + ("-p" if one.kind == "host" else ""))["mtu"] == mtu
        cross(plane, one, two, mtu)
        cross(plane, two, one, mtu)
    for end in ends:
        plane.check_sum(end.name)


@pytest.mark.parametrize("kind", ["tap", "uplink"])
def test_a_frame_of_several_buffers_is_left_to_tc(net, plane, kind):
    """XDP redirects small frames of this port, past every packet socket. A TAP's large ones come in several buffers: XDP
    neither sends nor floods them. In generic mode a frame is one buffer, but a large one is not flooded either."""
    if kind == "tap":
        need_kernel((6, 9), "generic XDP on frames of several buffers")
    one, two, three = End(net, kind, 1, "xdp", 9000), End(net, "tap", 2, "xdp", 9000), End(net, "tap", 3, "xdp", 9000)
    plane.up(config("segment", [one, two, three]))
    assert plane.port("p1")["carrier"] == "xdp" and all(plane.port(p)["xdp_target"] for p in ("p1", "p2", "p3"))
    plane.run(f"mac add lan {two.mac} p2")
    seen = net.sniffer(net.host, "p1", ignore_outgoing=True)
    for dst, targets in ((two.mac, (two,)), (BCAST, (two, three))):
        large = kind == "tap" or dst == BCAST
        for length, by_tc in ((60, False), (2900, False), (8000, large), (9014, large)):
            frame = frames.icmp(one.mac, dst, ip(1), ip(2), payload=random.Random(length).randbytes(length - 42))
            seen.drain(0)
            one.wire.send(frame)
            for end in targets:
                got = end.wire.recv_match(frame, 2)
                assert got and end.wire.recv(0) is None, f"{length} bytes to {dst}"
            assert (frame in [c.frame for c in seen.drain(0.02)]) == by_tc, f"{length} bytes to {dst}"
    port = plane.check_sum("p1")
    assert port["forwarded"] == port["flooded"] == 4 and not plane.drops("p1")


def test_the_mtu_of_this_moment_counts(net, plane):
    """`ip link set mtu` under a live plane needs no command; the books and `show` agree."""
    need_kernel((6, 2), "bpf_rdonly_cast")
    one, two = net.tap("p1"), net.tap("p2")
    conf = plane.segment("lan", "p1", "p2")
    plane.up(conf)
    for mtu in (1500, 1400, 68, 1500, 2000):
        net.host.ip(f"link set p2 mtu {mtu}")
        for n, fits in ((mtu + 14, True), (mtu + 15, False)):
            for frame in of_size(mac(1), mac(2), n):
                one.send(frame)
                assert bool(two.recv_match(frame, 1 if fits else 0.02)) == fits, (mtu, n)
    assert plane.drops("p1") == {"mtu": 10}
    net.host.ip("link set p1 mtu 9000")
    assert plane.port("p1")["carrier"] == "xdp" and "today tc" in plane.port("p1")["why"]
    assert "1 port attached" in plane.up(conf).stdout
    assert plane.port("p1")["carrier"] == "tc" and "MTU" in plane.port("p1")["why"]
    assert "nothing to change" in plane.up(conf).stdout


@pytest.mark.parametrize("carrier", ["xdp", "tc"])
def test_a_flood_reaches_those_it_fits(net, plane, carrier):
    ends = [End(net, kind, n, carrier, mtu) for n, (kind, mtu) in
            enumerate((("tap", 9000), ("tap", 576), ("veth", 1500), ("tap", 9000)), 1)]
    plane.up(config("segment", ends))
    one, others = ends[0], ends[1:]
    for length, fits in ((590, [2, 3, 4]), (591, [3, 4]), (1514, [3, 4]), (1515, [4]), (9014, [4])):
        for frame in of_size(one.mac, BCAST, length):
            one.wire.send(frame)
            assert [n for n, e in enumerate(others, 2) if e.wire.recv_match(frame, 1 if n in fits else 0.02)] == fits
    port = plane.check_sum("p1")
    assert port["flooded"] == 10 and plane.drops("p1") == {}
    assert [plane.port(f"p{n}")["tx"]["packets"] for n in (2, 3, 4)] == [2, 6, 10]
    for frame in of_size(one.mac, BCAST, 9015):
        one.wire.send(frame)
    assert plane.drops("p1") == {"mtu": 2} and plane.port("p1")["flooded"] == 10


@pytest.mark.parametrize("mtu", [1500, 9000])
@pytest.mark.parametrize("target", ["tap", "veth"])
def test_each_segment_of_a_superframe_must_fit(net, plane, target, mtu):
    one, two = End(net, "tap", 1, "xdp", mtu), End(net, target, 2, "xdp", mtu)
    plane.up(config("binding", [one, two]))
    frame = frames.tcp(mac(1), mac(2), ip(1), ip(2), payload=random.Random(1).randbytes(40000), csum="partial")
    data = frames.parse(frame).payload
    for size, fits in ((mtu - 40, True), (mtu - 39, False), (1000, True)):
        before = plane.drops("p1").get("mtu", 0)
        one.wire.send(frame, frames.csum_args(frame), ("tcp4", size, 54))
        got = b"".join(frames.parse(r.frame).payload for r in two.wire.drain(0.05))
        assert got == (data if fits else b"")
        assert plane.drops("p1").get("mtu", 0) - before == (0 if fits else -(-40000 // size))
    plane.check_sum("p1")


def mtus(net, *names):
    return [net.host.link(n)["mtu"] for name in names for n in (name, name + "-p")]


def test_a_host_port_takes_the_mtu_of_its_segment(net, plane):
    one, two = net.tap("p1", mtu=9000), net.tap("p2", mtu=3000)
    conf = plane.segment("lan", "p1", "p2", "p3", host=["vp0", "vp1"])
    conf["ports"] += [{"name": "vp2", "kind": "host"}, {"name": "p4", "device": "p4"}, {"name": "vp3", "kind": "host"}]
    conf["bindings"] = [{"a": "p4", "b": "vp2"}]
    net.tap("p4", mtu=4000)
    plane.up(conf)
    assert mtus(net, "vp0", "vp1", "vp2", "vp3") == [3000] * 4 + [4000] * 2 + [1500] * 2
    for _ in range(2):
        assert "nothing to change" in plane.up(conf).stdout and "nothing to change" in plane.attach().stdout
    net.host.ip("link set p2 mtu 2000")
    assert mtus(net, "vp0") == [3000, 3000], "nothing of ours runs that could notice"
    assert "done" in plane.up(conf).stdout and mtus(net, "vp0", "vp1", "vp2") == [2000] * 4 + [4000] * 2
    net.tap("p3", mtu=1400)
    plane.attach("p3")
    assert mtus(net, "vp0", "vp1", "vp2") == [1400] * 4 + [4000] * 2
    plane.run("port del p3")
    two.close()
    plane.attach()
    assert mtus(net, "vp0", "vp1") == [9000] * 4, "who is gone does not count"
    plane.up(plane.segment("lan", host=["vp0", "vp1"]))
    assert mtus(net, "vp0", "vp1") == [9000] * 4, "nobody is there: as it was"
    assert one.fds


def test_an_mtu_set_by_hand_on_a_host_port(net, plane):
    """vpN is its owner's until the segment's MTU changes; the plane's end is the plane's."""
    net.tap("p1", mtu=9000)
    conf = plane.segment("lan", "p1", host=["vp0"])
    plane.up(conf)
    net.host.ip("link set vp0 mtu 1500")
    assert "nothing to change" in plane.up(conf).stdout and mtus(net, "vp0") == [1500, 9000]
    plane.attach()
    assert mtus(net, "vp0") == [1500, 9000]
    net.host.ip("link set vp0-p mtu 4000")
    plane.up(conf)
    assert mtus(net, "vp0") == [9000, 9000]
    net.host.ip("link set vp0 mtu 1500", "link set p1 mtu 8000")
    plane.up(conf)
    assert mtus(net, "vp0") == [8000, 8000]
    net.host.ip(f"link set vp0 netns {net.world.name}", "link set p1 mtu 7000")
    done = plane.up(conf)
    assert done.stderr == "" and net.host.link("vp0-p")["mtu"] == net.world.link("vp0")["mtu"] == 8000, "both or none"
    net.world.ip("link set vp0 mtu 7000", f"link set vp0 netns {net.host.name}")
    plane.up(conf)
    assert mtus(net, "vp0") == [7000, 7000]


def test_jumbo_stacks(net, plane):
    """Guests with MTU 9000, as people run them: ping with DF, TCP with offloads, datagrams of one frame."""
    a, b, world = net.vm_guest(1), net.veth_guest(2, mtu=9000), net.uplink()
    net.host.ip("link set g1 mtu 9000", "link set up0 mtu 9000")
    plane.up(plane.segment("lan", "g1", "g2", host=["vp0"], uplink=["up0"]))
    net.host.sysctl("net.ipv6.conf.vp0.disable_ipv6", 0)
    host = lab.Guest(net, 3, net.host, "vp0", "vp0")
    host.configure()
    for g in (a, world):
        g.ns.ip(f"link set {g.dev} mtu 9000")
    assert net.host.link("vp0")["mtu"] == 9000, "nobody set it by hand"
    for one, two in itertools.combinations((a, b, host, world), 2):
        assert one.ping(two, size=8972, df=True, timeout=5) and two.ping(one, size=8972, df=True, timeout=5)
        assert udp_echo(one, two, 5, size=8972) == 0
    for one, two in ((a, b), (b, host), (host, a), (a, world)):
        tcp_transfer(one, two, mib=2)
    assert all(plane.drops(p) == {} for p in ("g1", "g2", "vp0", "up0"))


def test_unequal_mtus_are_the_users_to_mend(net, plane):
    """Too large is dropped, and the sender's stack hears nothing; with the guest's own MTU right, all is well."""
    a, b = net.veth_guest(1), net.vm_guest(2)
    net.host.ip("link set g2 mtu 1400")
    plane.up(plane.segment("lan", "g1", "g2"))
    b.ns.ip("link set eth0 mtu 1400")
    heard = a.raw(ignore_outgoing=True)
    assert a.ping(b, size=1372, df=True, timeout=5)
    heard.drain()
    assert not a.ping(b, size=1472, df=True, timeout=0.3)
    assert list(plane.drops("g1")) == ["mtu"]
    assert [c for c in heard.drain() if c.frame[12:14] == b"\x08\x00"] == [], "an ICMP was invented"
    a.ns.ip("link set eth0 mtu 1400")
    assert a.ping(b, size=1472, timeout=5), "fragments"
    tcp_transfer(a, b, mib=1)
