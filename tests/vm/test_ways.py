# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Two of the three ways to connect a guest, with real guests; the third, a NIC of its own, is in test_uplink.py."""
from lab import wait_until
from lab.net import ROOT
from vmlab import VmGuest, echo_server

HOST_IP, HOST_IP6 = "198.18.0.1", "fd00:198::1"


def config(name):
    with open(f"{ROOT}/configs/{name}.yaml", encoding="utf-8") as f:
        return f.read()


def restart(net, plane, guest):
    """The guest dies and comes back on a TAP with another index, which `vpeer attach` takes."""
    index = net.host.ifindex(guest.port)
    guest.kill()
    wait_until(lambda: not net.host.exists(guest.port), what="the TAP to go")
    assert plane.port(guest.port_name)["state"] == "waiting"
    guest.restart()
    assert net.host.ifindex(guest.port) != index
    plane.attach()
    assert plane.port(guest.port_name)["state"] == "up"


def test_guest_to_guest(net, plane):
    """A wire between two guests; either may restart, the other one does nothing."""
    plane.up(config("guest-to-guest"))
    assert {p["state"] for p in plane.show()["ports"]} == {"waiting"}
    a, b = VmGuest(net, 1, dev="tap0").start(), VmGuest(net, 2, dev="tap1").start()
    a.port_name, b.port_name = "g1", "g2"
    plane.attach()
    a.wait()
    b.wait()
    assert a.ping(b, 3) and b.ping6(a, 3)
    assert a.tcp(b, 16).startswith("ok") and b.udp(a, 20, 4000).startswith("ok")
    for one, other in ((a, b), (b, a)):
        restart(net, plane, one)
        wait_until(lambda one=one, other=other: other.ping(one), what="both talk again")
        assert one.tcp(other, 4).startswith("ok") and other.ping6(one, 3)
    assert [p["reconnects"] for p in plane.show()["ports"]] == [1, 1]
    assert not plane.drops("g1").keys() - {"peer_down"} and not plane.drops("g2").keys() - {"peer_down"}


def host_addresses(net):
    net.host.sysctl("net/ipv6/conf/vp0/accept_dad", 0)
    net.host.ip(f"addr add {HOST_IP}/15 dev vp0", f"addr add {HOST_IP6}/64 dev vp0 nodad", "link set vp0 up")


def talk(guest):
    assert guest.ping(HOST_IP, 3) and guest.ping6(HOST_IP6, 3)
    assert guest.tcp(HOST_IP, 8).startswith("ok") and guest.udp(HOST_IP, 20, 4000).startswith("ok")


def test_guest_to_host(net, plane):
    """A wire to vp0: the host's side first, then the guest's first; vp0's addresses survive the guest."""
    plane.up(config("guest-to-host"))
    host_addresses(net)
    echo_server(net.host)
    guest = VmGuest(net, 1, dev="tap0").start()
    guest.port_name = "g1"
    plane.attach()
    talk(guest.wait())
    index = net.host.ifindex("vp0")
    restart(net, plane, guest)
    shown = net.host.run("ip addr show dev vp0").stdout
    assert net.host.ifindex("vp0") == index and f"{HOST_IP}/15" in shown and f"{HOST_IP6}/64" in shown
    talk(guest)
    plane.down()                                        # now the host's side goes, and comes back to a running guest
    assert not net.host.exists("vp0") and not guest.ping(HOST_IP, timeout=1)
    plane.up(config("guest-to-host"))
    host_addresses(net)
    talk(guest)
