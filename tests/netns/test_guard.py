# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The guard: a port with a `mac` list sends from these addresses only, whichever carrier sees the frame."""
import time

import pytest

from lab import frames
from lab.frames import BCAST, ip, mac

OWN, OTHER, FOREIGN = mac(1), mac(7), mac(66)
# XDP may carry the first kind; the rest goes to tc also on an `xdp` port
KINDS = {
    "icmp": lambda src, dst: frames.icmp(src, dst, ip(1), ip(2)),
    "arp": lambda src, dst: frames.arp(2, src, ip(1), dst, ip(2)),
    "tcp": lambda src, dst: frames.tcp(src, dst, ip(1), ip(2), flags="S"),
    "unknown": lambda src, dst: frames.eth(dst, src, 0x88B5, bytes(60)),
    "tagged": lambda src, dst: frames.udp(src, dst, ip(1), ip(2), vlans=[(0x8100, 0xE000)]),
    "reserved": lambda src, dst: frames.eth("01:80:c2:00:00:0e", src, 0x88CC, bytes(60)),
}


@pytest.fixture
def net(net):
    """Without the host's own IPv6 chatter, which reaches a TAP that is up before the plane is."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    return net


def ends(net, carrier):
    """A guarded sender and two that listen: (sender, listener, bystander), and the sender's port."""
    if carrier == "veth":
        net.ns("mute").sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        net.veth((net.host, "p1"), (net.ns("mute"), "eth0"))
        sender = net.sniffer(net.ns("mute"), "eth0", ignore_outgoing=True, promisc=True)
    else:
        sender = net.tap("p1", nonblock=carrier != "generic")
    port = {"name": "p1", "device": "p1", "mac": [OWN, OTHER], **({"carrier": "tc"} if carrier == "tc" else {})}
    return sender, net.tap("p2"), net.tap("p3"), port


CARRIERS = {"xdp": "xdp", "generic": "xdp", "tc": "tc", "veth": "tc"}


@pytest.mark.parametrize("how", ["segment", "binding"])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_foreign_source_is_dropped(net, plane, carrier, how):
    sender, listener, bystander, port = ends(net, carrier)
    p2 = {"name": "p2", "device": "p2"}
    if how == "segment":
        plane.up(plane.segment("lan", port, "p2", "p3"))
    else:
        plane.up({"version": 1, "ports": [port, p2], "bindings": [{"a": "p1", "b": "p2"}]})
    assert plane.port("p1")["carrier"] == CARRIERS[carrier] and plane.port("p1")["macs"] == sorted([OWN, OTHER])
    dropped = 0
    for name, build in KINDS.items():
        if how == "segment" and name == "reserved":
            continue
        for dst in (mac(2), BCAST):
            for src in (OWN, FOREIGN, OTHER, "52:54:00:00:00:10", "00:00:00:00:00:00", OWN):
                frame = build(src, dst)
                sender.send(frame)
                time.sleep(0.001)
                got = [r.frame for r in listener.drain(0)]
                assert got == ([frame] if src in (OWN, OTHER) else []), (name, src)
                dropped += src not in (OWN, OTHER)
            assert plane.drops("p1") == {"foreign_mac": dropped}
    assert {m["mac"] for m in plane.show("macs")["macs"]} <= {OWN, OTHER}, "nor is it learned"
    counted = plane.port("p1")
    assert counted["rx"]["packets"] == counted["forwarded"] + counted["flooded"] + dropped
    bystander.drain()


def test_a_guarded_guest_cannot_take_another_ones_mail(net, plane):
    """The same attack works without the guard: that is the control."""
    taps = {n: net.tap(f"p{n}") for n in (1, 2, 3)}
    mail = frames.icmp(mac(3), mac(2), ip(3), ip(2))
    steal = frames.icmp(mac(2), BCAST, ip(2), ip(9))
    for guarded, thief_gets in ((False, True), (True, False), (False, True)):
        ports = [{"name": f"p{n}", "device": f"p{n}", **({"mac": mac(n)} if guarded else {})} for n in taps]
        plane.up(plane.segment("lan", *ports))
        plane.run("mac flush")
        taps[2].send(frames.icmp(mac(2), BCAST, ip(2), ip(9)))
        taps[1].send(steal)
        for t in taps.values():
            t.drain(0.01)
        taps[3].send(mail)
        assert (taps[1].recv_match(mail, 0.1) is not None) == thief_gets
        assert (taps[2].recv_match(mail, 0.1) is not None) != thief_gets


def test_the_list_changes_at_run_time(net, plane):
    sender, listener, _, port = ends(net, "xdp")
    conf = plane.segment("lan", port, "p2")
    plane.up(conf)

    def passes(src):
        frame = frames.icmp(src, BCAST, ip(1), ip(2))
        sender.send(frame)
        return listener.recv_match(frame, 0.05) is not None

    assert passes(OWN) and not passes(FOREIGN)
    port = dict(conf["ports"][0], mac=[OWN, FOREIGN])
    plane.up({**conf, "ports": [port, conf["ports"][1]]})
    assert passes(OWN) and passes(FOREIGN) and not passes(OTHER)
    plane.run(f"port set p1 mac={OWN}")
    assert passes(OWN) and not passes(FOREIGN)
    plane.up({**conf, "ports": [{k: v for k, v in port.items() if k != "mac"}, conf["ports"][1]]})
    assert passes(OWN) and passes(FOREIGN) and passes(OTHER)


def test_the_guard_is_the_ports_own(net, plane):
    """An address that one port may send from is foreign at another."""
    taps = {n: net.tap(f"p{n}") for n in (1, 2, 3)}
    plane.up(plane.segment("lan", *[{"name": f"p{n}", "device": f"p{n}", "mac": mac(n)} for n in taps]))
    for n in taps:
        for m in taps:
            taps[n].send(frames.icmp(mac(m), BCAST, ip(m), ip(9)))
    assert {n: plane.drops(f"p{n}") for n in taps} == {n: {"foreign_mac": 2} for n in taps}
    assert all(plane.port(f"p{n}")["flooded"] == 1 for n in taps)


def test_nobody_can_take_the_hosts_address(net, plane):
    """`mac: auto` on a host port is its interface's address, the same after every restart, and nobody else's."""
    guest, thief = net.veth_guest(2), net.tap("p1")
    conf = plane.segment("lan", "g2", "p1", {"name": "vp0", "kind": "host", "mac": "auto"})
    seen = set()
    for _ in range(2):
        plane.up(conf)
        own = net.host.link("vp0")["address"]
        seen.add(own)
        assert plane.port("vp0")["macs"] == [own] and int(own[:2], 16) & 3 == 2
        net.host.ip("link set vp0 up", f"addr add {ip(3)}/15 dev vp0")
        assert guest.ping(ip(3))
        for dst in (BCAST, guest.mac):
            thief.send(frames.icmp(own, dst, ip(3), guest.ip))
        assert plane.drops("p1") == {"mac_static": 2} and guest.ping(ip(3))
        plane.down()
    assert len(seen) == 1
