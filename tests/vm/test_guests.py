# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Two real guests with default offloads on one segment with the host, through the plane."""
import pytest

from lab import wait_until
from vmlab import VmGuest, echo_server

HOST_IP, HOST_IP6 = "198.18.0.1", "fd00:198::1"
MIB = 64


@pytest.fixture
def pair(net, plane):
    """A guest on a TAP that QEMU makes, one on a persistent TAP, the host at vp0 with an echo server."""
    a, b = VmGuest(net, 1).start(), VmGuest(net, 2, persist=True).start()
    plane.up(plane.segment("lan", {"name": "g1", "mac": [a.mac]}, "g2", host=["vp0"]))
    net.host.sysctl("net/ipv6/conf/vp0/accept_dad", 0)
    net.host.ip(f"addr add {HOST_IP}/15 dev vp0", f"addr add {HOST_IP6}/64 dev vp0 nodad", "link set vp0 up")
    echo_server(net.host)
    return a.wait(), b.wait()


def all_talk(a, b):
    for one, two in ((a, b), (b, a), (a, HOST_IP), (b, HOST_IP)):
        assert one.ping(two, count=3)
    for one, two in ((a, b), (b, a), (a, HOST_IP6), (b, HOST_IP6)):
        assert one.ping6(two, count=3)


def nothing_dropped_but(plane, port, *reasons):
    assert not set(plane.drops(port)) - set(reasons), plane.drops(port)


def test_guests_and_host_talk(pair, plane):
    a, b = pair
    all_talk(a, b)
    assert a.tcp(b, MIB).startswith("ok")
    assert b.tcp(HOST_IP, MIB).startswith("ok")
    assert a.tcp(b, 4, v6=True).startswith("ok") and a.tcp(HOST_IP6, 4, v6=True).startswith("ok")
    for size in (1, 1000, 1472, 4000):          # the last one in fragments
        assert a.udp(b, 20, size).startswith("ok") and b.udp(HOST_IP, 20, size).startswith("ok")
        assert b.udp(a, 20, size, v6=True).startswith("ok")
    for name in ("g1", "g2", "vp0"):
        port = plane.check_sum(name)
        assert port["state"] == "up" and port["rx"]["packets"] > 1000 and port["tx"]["packets"] > 1000


def test_a_guest_may_send_only_from_its_own_address(pair, plane):
    a, b = pair
    assert a.ping(b)
    dev = a.run("ip -o link | grep -v ' lo:' | cut -d: -f2")[1].strip()
    a.run(f"ip link set {dev} down; ip link set {dev} address 52:54:00:00:00:66; ip link set {dev} up; "
          f"ip addr add {a.ip}/15 dev {dev} || true", check=False)
    assert not a.ping(b, timeout=1) and plane.drops("g1").get("foreign_mac", 0) > 0
    a.run(f"ip link set {dev} down; ip link set {dev} address {a.mac}; ip link set {dev} up")
    wait_until(lambda: a.ping(b, timeout=1), what="back with its own address")


def test_killed_guests_come_back(pair, net, plane):
    a, b = pair
    all_talk(a, b)
    kept, recreated = net.host.ifindex("g2"), net.host.ifindex("g1")
    b.kill()                                    # its TAP is persistent: no command is needed
    assert not a.ping(b, timeout=1)
    b.restart()
    assert net.host.ifindex("g2") == kept
    wait_until(lambda: a.ping(b), what="guest on a persistent TAP is back")
    a.kill()                                    # its TAP goes with it and comes back as another device
    wait_until(lambda: not net.host.exists("g1"), what="TAP g1 is gone")
    assert plane.port("g1")["state"] == "waiting"
    assert b.ping(HOST_IP), "nobody else suffers"
    a.restart()
    assert net.host.ifindex("g1") != recreated and not a.ping(b, timeout=1), "not attached yet"
    plane.attach()
    assert plane.port("g1")["state"] == "up"
    all_talk(a, b)
    assert a.tcp(b, 4).startswith("ok")
