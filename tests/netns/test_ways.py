# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The three ways to connect a guest, each as its ready configuration has it: to a guest, to the host, to a NIC."""
import re

import lab
from lab import frames, tcp_transfer, wait_until
from lab.frames import BCAST, ip, mac


def config(name):
    with open(f"{lab.net.ROOT}/configs/{name}.yaml", encoding="utf-8") as f:
        return f.read()


def commands(name):
    """The commands in a configuration's comments."""
    return re.findall(r"^#     ((?:ip|sysctl|nft) .*)$", config(name), re.M)


def test_guest_to_guest(net, plane):
    """Both restart orders: the one that stays needs to do nothing."""
    plane.up(config("guest-to-guest"))
    assert {p["state"] for p in plane.show()["ports"]} == {"waiting"}
    a, b = net.vm_guest(1, dev="tap0"), net.vm_guest(2, dev="tap1")
    plane.attach()
    assert a.ping(b) and a.ping6(b)
    tcp_transfer(a, b, mib=4)
    for one in (a, b):
        one.kill()
        wait_until(lambda: not net.host.exists(one.port), what="the TAP to go")
        assert not (b if one is a else a).ping(one, timeout=0.3)
        one.restart()
        plane.attach()
        assert a.ping(b), f"after the restart of {one.port}"
    assert [p["reconnects"] for p in plane.show()["ports"]] == [1, 1]


def test_guest_to_host_and_on_to_the_world(net, plane):
    """The recipe as it stands in the comments; the host's address survives the guest."""
    world = net.uplink("eth1")
    net.host.ip("addr add 198.19.0.1/24 dev eth1")
    world.ns.ip("addr flush dev eth0", "addr add 198.19.0.2/24 dev eth0")
    plane.up(config("guest-to-host"))
    for line in commands("guest-to-host"):
        net.host.sh(line)
    guest = net.vm_guest(1, dev="tap0")

    def settle():
        guest.ns.ip("addr flush dev eth0", "addr add 198.18.0.2/30 dev eth0", "route replace default via 198.18.0.1")

    plane.attach()
    settle()
    assert guest.ping("198.18.0.1") and guest.ping("198.19.0.2")
    wire = net.sniffer(net.world, "eth0", ignore_outgoing=True)
    assert guest.ping("198.19.0.2")
    seen = [frames.parse(c.frame) for c in wire.drain()]
    assert seen and all(f.src != guest.mac for f in seen), "no frame of the guest's itself is on the wire"
    guest.kill()
    wait_until(lambda: not net.host.exists("tap0"), what="the TAP to go")
    assert "198.18.0.1/30" in net.host.run("ip addr show dev vp0").stdout
    guest.restart()
    plane.attach()
    settle()
    assert guest.ping("198.18.0.1") and guest.ping("198.19.0.2")


def test_pass_through(net, plane):
    """Every frame, tags and reserved groups too; the host's stack neither hears nor speaks there."""
    world = net.uplink("eth1")
    plane.up(config("pass-through"))
    guest = net.vm_guest(1, dev="tap0")
    plane.attach()
    assert guest.ping(world) and world.ping6(guest)
    tcp_transfer(guest, world, mib=4)
    nic = net.host.link("eth1")["address"]
    inside, outside = guest.raw(promisc=True, ignore_outgoing=True), world.raw(promisc=True, ignore_outgoing=True)
    odd = [frames.eth("01:80:c2:00:00:00", mac(9), 0x8899, b"x" * 50), frames.eth("01:80:c2:00:00:0e", mac(9), 0x88CC, b"x" * 50),
           frames.eth(nic, mac(9), 0x88B5, b"to the NIC's own address" * 3), frames.eth(BCAST, nic, 0x88B5, b"from it" * 9),
           frames.udp(mac(9), mac(8), ip(9), ip(8), vlans=[100])]
    for frame in odd:
        outside.send(frame)
        assert inside.recv_match(lambda f, frame=frame: f[:12] == frame[:12], 1), frame.hex()
        inside.send(frame)
        assert outside.recv_match(lambda f, frame=frame: f[:12] == frame[:12], 1), frame.hex()
    outside.drain()
    net.host.ip("addr add 198.19.7.1/24 dev eth1")
    net.host.run("ping -c1 -W0.3 198.19.7.2", check=False)
    spoken = [c.frame.hex() for c in outside.drain() if c.frame[6:12] == frames.mac_bytes(nic)]
    assert spoken == [], "the host speaks on that NIC"
    world.ns.ip("addr add 198.19.7.2/24 dev eth0")
    assert not world.ping("198.19.7.1", timeout=0.3), "the host answers on that NIC"
    assert "promiscuity 0" not in net.host.run("ip -d link show dev eth1").stdout
    plane.down()
    assert "promiscuity 0" in net.host.run("ip -d link show dev eth1").stdout
