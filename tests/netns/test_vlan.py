# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Segments that are tagged on some ports: stations of one VLAN reach each other whatever the form at either end, with all
that offloads do, and no tag, none or two, in the frame or beside it, is a way into another segment."""
import itertools

import pytest

import lab
from lab import frames
from lab.frames import BCAST, ETH_8021AD, ETH_8021Q, mac
from lab.pair import traffic, wrong

SEGMENTS = [{"name": "lan", "vlan": 10}, {"name": "dmz", "vlan": 20}]


def port(name, kind="guest", **more):
    p = {"name": name, "kind": kind, **more}
    if kind != "host":
        p["device"] = name
    return p


def config(*ports, segments=SEGMENTS):
    return {"version": 1, "segments": segments, "ports": list(ports)}


# ---- stacks ----------------------------------------------------------------------------------------------------------

class End:
    """A guest with a real stack that speaks one VLAN, untagged or tagged."""

    def __init__(self, net, kind, number, tagged):
        self.net, self.kind, self.number, self.tagged = net, kind, number, tagged
        how = {"tagged": ["lan"]} if tagged else {"segment": "lan"}
        if kind == "host":
            self.port = port("vp0", "host", **how)
        elif kind == "uplink":
            self.guest = net.uplink("up0", number)
            self.port = port("up0", "uplink", **how)
        else:
            self.guest = net.vm_guest(number) if kind == "tap" else net.veth_guest(number)
            self.port = port(f"g{number}", **how)

    def started(self):
        if self.kind == "host":
            self.guest = lab.Guest(self.net, self.number, self.net.host, "vp0", "vp0")
            self.guest.configure()
        if self.tagged:
            self.guest.vlan(10)
        return self.guest


PAIRS = [("tap", "tap"), ("tap", "veth"), ("veth", "tap"), ("veth", "veth"), ("uplink", "tap"), ("uplink", "veth"),
         ("host", "tap"), ("host", "veth")]
CELLS = [(one, two, True, False) for one, two in PAIRS] + [("tap", "tap", True, True), ("tap", "veth", True, True),
                                                           ("veth", "veth", True, True), ("uplink", "tap", True, True)]


@pytest.mark.parametrize("one, two, tagged1, tagged2", CELLS)
def test_a_vlan_is_one_network(net, plane, one, two, tagged1, tagged2):
    """TCP, UDP, ping, fragments, over IPv4 and IPv6, full-size frames; every checksum is right at the reader."""
    ends = [End(net, one, 1, tagged1), End(net, two, 2, tagged2)]
    other = net.veth_guest(9)
    plane.up(config(*[e.port for e in ends], port("g9", segment="dmz")))
    a, b = (e.started() for e in ends)
    sniffers = [net.sniffer(g.ns, g.dev, vnet=True, ignore_outgoing=True) for g in (a, b)]
    outside = net.sniffer(other.ns, other.dev, ignore_outgoing=True)
    traffic(a, b)
    assert a.ping(b, size=1472, df=True) and b.ping(a, size=1472, df=True), "full size, and a tag on top"
    for sniffer in sniffers:
        faults, seen = wrong(sniffer)
        assert not faults, f"{len(faults)} of {seen}: {faults[:3]}"
        assert seen > 50
    assert not outside.drain(), "nothing of lan in dmz"
    for e in ends:
        drops = {reason for reason, n in plane.check_sum(e.port["name"])["drops"].items() if n}
        assert drops <= {"vlan_not_allowed", "no_member"}, "what the stack said before it, or anybody, was in its VLAN"


def test_a_tag_counts_also_for_stacks(net, plane):
    """Control of the above: without the tag, or with another one, the same guests do not reach each other."""
    a, b = net.vm_guest(1), net.veth_guest(2)
    plane.up(config(port("g1", tagged=["lan", "dmz"]), port("g2", segment="lan")))
    assert not a.ping(b, timeout=0.3)
    a.vlan(20)
    assert not a.ping(b, timeout=0.3)
    a.vlan(10)
    assert a.ping(b) and b.ping6(a)
    plane.run("port set g1 tagged=dmz")
    assert not a.ping(b, timeout=0.3)
    assert plane.drops("g1")["vlan_not_allowed"] >= 2


# ---- hopping ---------------------------------------------------------------------------------------------------------

# What a guest may put in front of its EtherType, from the outside in.
STACKS = [(), (0,), (0xE000,), (10,), (0xE00A,), (20,), (30,), (4095,), (10, 10), (10, 20), (20, 10), (0, 10), (0, 20),
          (10, 0), ((ETH_8021AD, 10),), ((ETH_8021AD, 0),), ((ETH_8021AD, 10), 20), (10, (ETH_8021AD, 20)), ((0x9100, 10),),
          (10, 20, 30)]
# Who is in which segment in which form: 0 = untagged.
TOPOLOGY = {"a1": {"lan": 0}, "a2": {"dmz": 0}, "t1": {"lan": 10, "dmz": 20}, "t2": {"lan": 10, "dmz": 20},
            "n1": {"dmz": 0, "lan": 10}, "n2": {"dmz": 0, "lan": 10}}


def plane_of(kind_of):
    ports = []
    for name, member in TOPOLOGY.items():
        p = port(name, kind_of(name), broadcast_pps=0)
        untagged = [s for s, vid in member.items() if not vid]
        p.update({"segment": untagged[0]} if untagged else {})
        p.update({"tagged": t} if (t := [s for s, vid in member.items() if vid]) else {})
        ports.append(p)
    return config(*ports)


def belongs_to(sender, stack):
    """The segment of a frame with these tags from this port, and its priority; None = dropped."""
    tpid, tci = (ETH_8021Q, 0) if not stack else stack[0] if isinstance(stack[0], tuple) else (ETH_8021Q, stack[0])
    if len(stack) > 1 or tpid != ETH_8021Q:
        return None, 0
    for segment, vid in TOPOLOGY[sender].items():
        if vid == (tci & 0xFFF):
            return segment, tci & 0xF000
    return None, 0


def expected(sender, receiver, stack, src):
    """The frame that the receiver gets, or None."""
    segment, priority = belongs_to(sender, stack)
    if segment is None or segment not in TOPOLOGY[receiver]:
        return None
    came, leaves = TOPOLOGY[sender][segment], TOPOLOGY[receiver][segment]
    if leaves:
        tags = [priority | leaves]
    else:
        tags = stack if not came else []        # a priority tag stays where no tag is taken off
    return frames.eth(BCAST, src, 0x88B5, bytes(46), vlans=tags)


@pytest.mark.parametrize("how", ["xdp", "tc", "beside"])
def test_no_tag_leads_into_another_segment(net, plane, how):
    """Every stack of tags from every kind of port, against a model; `beside`: from veths, the outer tag as metadata."""
    senders, receivers = {}, {}
    for name in TOPOLOGY:
        if how == "beside":
            net.veth((net.host, name), (net.ns(f"far-{name}"), "eth0"))
            net.ns(f"far-{name}").sysctl("net/ipv6/conf/eth0/disable_ipv6", 1)
            senders[name] = receivers[name] = net.sniffer(net.ns(f"far-{name}"), "eth0", ignore_outgoing=True, vnet=True)
        else:
            senders[name] = receivers[name] = net.tap(name)
    conf = plane_of(lambda name: "uplink" if name.startswith("n") and how != "tc" else "guest")
    for p in conf["ports"]:
        if how == "tc":
            p["carrier"] = "tc"
    plane.up(conf)
    for thing in receivers.values():
        thing.drain(0.02)
    for n, (sender, stack) in enumerate(itertools.product(TOPOLOGY, STACKS)):
        src = mac(100 + n)
        senders[sender].send(frames.eth(BCAST, src, 0x88B5, bytes(46), vlans=stack))
        for receiver in TOPOLOGY:
            want = expected(sender, receiver, stack, src) if receiver != sender else None
            got = receivers[receiver].recv(0.5 if want else 0)
            frame = getattr(got, "tagged", got.frame) if got else None
            assert frame == want, f"{stack} from {sender} to {receiver}: {frame and frame.hex()}, not {want and want.hex()}"
    leftovers = {name: thing.drain(0.02) for name, thing in receivers.items()}
    assert not any(leftovers.values())
    bad = sum(belongs_to("t1", s)[0] is None for s in STACKS)
    assert plane.drops("t1") == {"vlan_not_allowed": bad}
    for name in TOPOLOGY:
        plane.check_sum(name)


def test_addresses_are_per_segment(net, plane):
    """One address in two VLANs behind one trunk, and one at two ports in two segments: each frame goes where its tag says."""
    taps = {name: net.tap(name) for name in ("a1", "a2", "t1")}
    plane.up(config(port("a1", segment="lan"), port("a2", segment="dmz"), port("t1", tagged=["lan", "dmz"])))

    def send(name, dst, src, *vlans):
        taps[name].send(frames.eth(dst, src, 0x88B5, bytes(46), vlans=vlans))

    def got(name):
        return [r.frame for r in taps[name].drain(0.02)]

    for vid in (10, 20):
        send("t1", BCAST, mac(7), vid)
    send("a1", BCAST, mac(8))
    send("a2", BCAST, mac(8))
    for name in taps:
        got(name)
    send("t1", mac(8), mac(7), 20)
    assert (len(got("a2")), got("a1")) == (1, [])
    send("t1", mac(8), mac(7), 10)
    assert (len(got("a1")), got("a2")) == (1, [])
    send("a2", mac(7), mac(8))
    assert got("t1") == [frames.eth(mac(7), mac(8), 0x88B5, bytes(46), vlans=[20])] and got("a1") == []
    rows = {(m["segment"], m["mac"]): m["port"] for m in plane.show("macs")["macs"]}
    assert rows == {("lan", mac(7)): "t1", ("dmz", mac(7)): "t1", ("lan", mac(8)): "a1", ("dmz", mac(8)): "a2"}


# ---- the loader ------------------------------------------------------------------------------------------------------

def test_the_configuration_comes_back_as_it_went_in(net, plane):
    for name in ("t1", "t2"):
        net.tap(name)
    conf = config(port("t1", segment="dmz", tagged=["lan"], mac=mac(1)), port("t2", tagged=["lan", "dmz"]))
    plane.up(conf)
    assert "nothing to change" in plane.up(conf).stdout
    text = plane.run("showconf").stdout
    assert plane.run("diff -f -", input=text).stdout == ""
    assert plane.port("t1")["tagged"] == ["lan"] and plane.port("t2")["tagged"] == ["dmz", "lan"]
    assert plane.port("t2")["segment"] is None
    assert "dmz+lan" in plane.run("show ports").stdout and "+2" in plane.run("show ports").stdout
    rows = {(m["segment"], m["mac"]) for m in plane.show("macs")["macs"] if m["static"]}
    assert rows == {("lan", mac(1)), ("dmz", mac(1))}
    plane.run(f"mac add lan {mac(9)} t2")
    plane.run("port set t2 tagged=dmz")
    assert ("lan", mac(9)) not in {(m["segment"], m["mac"]) for m in plane.show("macs")["macs"]}
    done = plane.run(f"mac add lan {mac(9)} t2", check=False)
    assert done.returncode == 1 and "port t2 is not in segment lan" in done.stderr
    done = plane.run("bind t1 t2", check=False)
    assert done.returncode == 1 and f"vpeer --plane {plane.name} port set t1 segment= tagged=" in done.stderr
    plane.run("port set t1 segment= tagged=")
    plane.run("port set t2 tagged=")
    plane.run("bind t1 t2")


def test_a_changed_vlan_is_the_new_one_at_once(net, plane):
    a, t = net.tap("a1"), net.tap("t1")
    conf = config(port("a1", segment="lan"), port("t1", tagged=["lan"]))
    plane.up(conf)
    for vid in (10, 4094, 1, 10):
        conf["segments"] = [{"name": "lan", "vlan": vid}]
        plane.up(conf)
        frame = frames.eth(BCAST, mac(1), 0x88B5, bytes(46))
        a.send(frame)
        assert t.recv_match(frames.eth(BCAST, mac(1), 0x88B5, bytes(46), vlans=[vid]), 0.5)
        t.send(frames.eth(BCAST, mac(2), 0x88B5, bytes(46), vlans=[vid]))
        assert a.recv_match(frames.eth(BCAST, mac(2), 0x88B5, bytes(46)), 0.5)
        t.send(frames.eth(BCAST, mac(2), 0x88B5, bytes(46), vlans=[vid ^ 3]))
        assert a.recv(0.02) is None
