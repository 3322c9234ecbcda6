# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The way out: members of a segment reach what is behind the uplink; what is not meant for the wire never leaves by it;
the host does not lose its NIC by mistake, and gets it back as it was."""
import os
import tempfile
import time

import pytest

import lab
from lab import frames, tcp_transfer, udp_echo
from lab.frames import BCAST, ip, mac
from lab.plane import vpeer_binary


def two_guests(net, plane, **uplink):
    """A VM, a veth guest and a host port behind one uplink; also the configuration."""
    a, b, world = net.vm_guest(1), net.veth_guest(2), net.uplink()
    conf = plane.segment("lan", "g1", "g2", host=["vp0"], uplink=[{"name": "up0", **uplink}])
    plane.up(conf)
    host = lab.Guest(net, 3, net.host, "vp0", "vp0")
    host.configure()
    return a, b, host, world, conf


def test_members_reach_the_world_and_back(net, plane):
    a, b, host, world, _ = two_guests(net, plane)
    for g in (a, b, host):
        assert g.ping(world) and world.ping(g, size=1400) and g.ping6(world, size=1400) and world.ping6(g)
        assert udp_echo(g, world, 10) == 0 and udp_echo(world, g, 10, size=1400, v6=True) == 0
        tcp_transfer(g, world, mib=2)
    plane.down()
    assert not a.ping(world, timeout=0.3)


def test_many_stations_behind_the_uplink(net, plane):
    """An uplink learns more addresses than a guest may."""
    world, t = net.uplink(), net.tap("t1", up=False)
    plane.up(plane.segment("lan", "t1", uplink=["up0"]))
    net.host.up("t1")
    out = world.raw(ignore_outgoing=True, promisc=True)
    for n in range(200):
        out.send(frames.icmp(mac(300 + n), BCAST, ip(1), ip(2)))
    port = plane.port("up0")
    assert port["events"]["learned"] >= 200 and port["events"]["quota"] == 0
    out.drain(), t.drain()
    for n in (0, 100, 199):
        frame = frames.icmp(mac(1), mac(300 + n), ip(1), ip(2))
        t.send(frame)
        assert out.recv_match(frame, 0.5)
    assert plane.port("t1")["flooded"] == 0


def test_guest_to_guest_never_leaves_by_the_wire(net, plane):
    a, b, host, world, _ = two_guests(net, plane)
    guests = {a.mac, b.mac, host.mac}
    for g in (a, b, host):
        for other in (a, b, host):
            assert g is other or (g.ping(other) and g.ping6(other))
    wire = world.raw(ignore_outgoing=True, promisc=True)
    tcp_transfer(a, b, mib=2)
    tcp_transfer(a, host, mib=2)
    assert udp_echo(a, b, 20) == 0 and udp_echo(b, host, 20) == 0 and a.ping(b, count=3)
    leaked = [frames.parse(c.frame)[:4] for c in wire.drain() if frames.parse(c.frame).dst in guests]
    assert not leaked
    assert a.ping(world) and any(frames.parse(c.frame).src == a.mac for c in wire.drain()), "control: the capture sees the wire"
    plane.run("mac flush")
    a.raw().send(frames.icmp(a.mac, b.mac, a.ip, b.ip))
    assert wire.recv_match(lambda f: f[:6] == frames.mac_bytes(b.mac), 0.5), "control: unknown goes to the wire too"


def test_the_host_says_nothing_on_the_uplink(net, plane):
    """Also not while `up` brings a device up that was down. Without a plane it talks."""
    net.veth((net.world, "eth0"), (net.host, "up0"), up=False)
    net.world.sysctl("net/ipv6/conf/eth0/disable_ipv6", 1)
    wire = net.sniffer(net.world, "eth0", ignore_outgoing=True)
    net.world.up("eth0")
    plane.up(plane.segment("lan", "t1", uplink=["up0"]))
    assert net.host.link("up0")["flags"].count("UP") == 1
    time.sleep(2.5)
    net.host.ip("addr add 198.18.9.1/24 dev up0")
    net.host.run("ping -c1 -W1 198.18.9.2", check=False)
    assert [c.frame.hex() for c in wire.drain()] == []
    net.host.ip("addr del 198.18.9.1/24 dev up0")
    plane.down()
    assert "UP" not in net.host.link("up0")["flags"], "`down` leaves it as it was"
    net.host.up("up0")
    assert wire.recv(3), "control: without a plane the host talks"


def test_the_programs_are_there_before_the_device_comes_up(net, plane):
    """Each message to the kernel takes long: what the host says when the uplink comes up is stopped all the same."""
    net.veth((net.world, "eth0"), (net.host, "up0"), up=False)
    net.world.sysctl("net/ipv6/conf/eth0/disable_ipv6", 1)
    wire = net.sniffer(net.world, "eth0", ignore_outgoing=True)
    net.world.up("eth0")
    plane.binary = f"{tempfile.mkdtemp(dir=os.path.dirname(plane.binary))}/slow"
    with open(plane.binary, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\nexec strace -qqf -o /dev/null -e inject=sendto,sendmsg:delay_exit=300000 {vpeer_binary()} \"$@\"\n")
    os.chmod(plane.binary, 0o755)
    plane.up(plane.segment("lan", "t1", uplink=["up0"]))
    assert [c.frame.hex() for c in wire.drain()] == []


@pytest.mark.parametrize("already", [False, True])
def test_promiscuous_while_the_plane_is_up(net, plane, already):
    world, t = net.uplink(), net.tap("t1")
    if already:
        net.host.ip("link set up0 promisc on")

    def promisc():
        return "PROMISC" in net.host.link("up0")["flags"]

    conf = plane.segment("lan", "t1", uplink=["up0"])
    assert promisc() == already
    for _ in range(2):
        plane.up(conf)
        assert promisc()
    t.drain(0.01)
    frame = frames.icmp(world.mac, mac(1), world.ip, ip(1))
    world.raw().send(frame)
    assert t.recv_match(frame, 0.5)
    plane.down()
    assert promisc() == already


def test_promiscuous_ends_when_the_uplink_leaves_the_plane(net, plane):
    net.uplink()
    net.tap("t1")
    plane.up(plane.segment("lan", "t1", uplink=["up0"]))
    assert "PROMISC" in net.host.link("up0")["flags"]
    plane.up(plane.segment("lan", "t1"))
    assert "PROMISC" not in net.host.link("up0")["flags"]


def seen(net):
    """Flags and addresses of the uplink; an address may just have been found to be nobody else's."""
    addresses = net.host.json("ip -j addr show dev up0")[0]["addr_info"]
    return net.host.link("up0")["flags"], [{k: v for k, v in a.items() if k != "tentative"} for a in addresses]


def refuse(net, plane, conf, *words):
    """`up` must refuse, name the port and the way out, and leave nothing behind."""
    before = seen(net)
    done = plane.up(conf, check=False)
    assert done.returncode == 1
    for word in ("up0", "--take-over", *words):
        assert word in done.stderr
    assert not plane.pins()
    assert before == seen(net)


def works(net, plane, world, t):
    t.drain(0.01)
    frame = frames.icmp(world.mac, mac(1), world.ip, ip(1))
    world.raw().send(frame)
    return t.recv_match(frame, 0.5) is not None


def test_a_device_with_an_address_is_refused(net, plane):
    world, t = net.uplink(), net.tap("t1")
    conf = plane.segment("lan", "t1", uplink=["up0"])
    for address in ("198.18.9.1/24", "fd00:198:9::1/64"):
        net.host.ip(f"addr add {address} dev up0 {'nodad' if ':' in address else ''}")
        refuse(net, plane, conf, "address")
        net.host.ip(f"addr del {address} dev up0")
    plane.up(conf)
    assert works(net, plane, world, t), "control: a link-local address is no reason"


def test_a_device_with_the_default_route_is_refused(net, plane):
    world, t = net.uplink(), net.tap("t1")
    conf = plane.segment("lan", "t1", uplink=["up0"])
    net.host.run("ip route add default dev up0")
    refuse(net, plane, conf, "default route")
    net.host.run("ip route del default dev up0")
    plane.up(conf)
    assert works(net, plane, world, t)


def test_a_device_with_a_master_is_refused(net, plane):
    world, t = net.uplink(), net.tap("t1")
    conf = plane.segment("lan", "t1", uplink=["up0"])
    net.bridge(net.host, "br0", ["up0"])
    refuse(net, plane, conf, "br0")
    net.host.ip("link set up0 nomaster")
    plane.up(conf)
    assert works(net, plane, world, t)


def test_take_over_and_back(net, plane):
    world, t = net.uplink(), net.tap("t1")
    conf = plane.segment("lan", "t1", uplink=["up0"])
    net.bridge(net.host, "br0", ["up0"])
    net.host.ip("addr add 198.18.9.1/24 dev up0", "addr add fd00:198:9::1/64 dev up0 nodad")

    def found():
        info = net.host.json("ip -j addr show dev up0")[0]
        return info.get("master"), sorted(a["local"] for a in info["addr_info"] if a["scope"] == "global")

    before = found()
    plane.up(conf, "--take-over")
    assert found() == (None, []) and works(net, plane, world, t)
    with open(f"/run/vpeer/{plane.name}/undo", encoding="utf-8") as f:
        record = f.read()
    assert "198.18.9.1/24" in record and "fd00:198:9::1/64" in record
    done = plane.up(conf)
    assert done.returncode == 0, "the second time it needs no permission"
    plane.down()
    assert found() == before


def test_uplink_down_and_up(net, plane):
    """A cable that is pulled: members still reach each other; what was behind it is flooded, and comes back by itself."""
    a, b, _, world, _ = two_guests(net, plane)
    assert a.ping(world) and a.ping(b)
    world.ns.down("eth0")
    assert plane.port("up0")["state"] == "degraded"
    assert not a.ping(world, timeout=0.3) and a.ping(b)
    world.ns.up("eth0")
    assert a.ping(world, timeout=3) and plane.port("up0")["state"] == "up"


def test_two_uplinks_do_not_make_a_loop_by_themselves(net, plane):
    """A frame that came in by one uplink leaves by the other once, never by the same."""
    one, two = net.uplink("up0", 200), None
    net.veth((net.host, "up1"), (net.ns("far"), "eth0"))
    two = net.sniffer(net.ns("far"), "eth0", ignore_outgoing=True, promisc=True)
    plane.up(plane.segment("lan", uplink=["up0", "up1"]))
    back = one.raw(ignore_outgoing=True, promisc=True)
    back.drain(), two.drain()
    frame = frames.icmp(one.mac, BCAST, one.ip, ip(9))
    back.send(frame)
    assert [c.frame for c in two.drain()].count(frame) == 1 and frame not in [c.frame for c in back.drain()]
