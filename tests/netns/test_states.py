# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Devices in states nobody thinks of: `show` tells the truth, frames flow afterwards, the books balance, and `down`
leaves nothing behind. (Coming, going and returning: test_devices.py.)"""
import fcntl
import os
import struct
import threading
import time

import pytest

from lab import frames, need_kernel, wait_until
from lab.frames import BCAST, ip, mac

TUNSETCARRIER, TUNSETQUEUE = 0x400454E2, 0x400454D9
IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE = 0x0200, 0x0400


@pytest.fixture
def net(net):
    """Without the host's own IPv6 chatter, which reaches a TAP that is up before the plane is."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    net.world.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    return net


def state(plane, name):
    port = plane.port(name)
    return port["state"], port["why"]


def talk(one, two, smac=mac(1), dmac=mac(2)):
    """Whether a frame passes each way."""
    ok = True
    for a, b, src, dst in ((one, two, smac, dmac), (two, one, dmac, smac)):
        frame = frames.udp(src, dst, ip(1), ip(2), payload=os.urandom(20))
        a.send(frame)
        ok = ok and b.recv_match(frame, 1) is not None
    return ok


def bare(ns, device):
    """No XDP program is on it; the kernel takes one away some moments after its pin."""
    return wait_until(lambda: "xdp" not in ns.link(device), what=f"no XDP program on {device}")


def clean(ns, *devices):
    """Nothing of ours hangs on these."""
    return "clsact" not in ns.run("tc qdisc show").stdout and all(bare(ns, d) for d in devices)


def outside(net, dev="up0"):
    """A veth to a world that says nothing of its own; its other end's raw socket."""
    net.veth((net.host, dev), (net.world, "eth0"))
    return net.sniffer(net.world, "eth0", ignore_outgoing=True, promisc=True)


# ---- moved to another namespace ----

@pytest.mark.parametrize("mode", ["native", "generic"])
def test_a_device_in_another_namespace_is_in_no_plane(net, plane, mode):
    """It takes its XDP program along: yet nothing that it sends there comes into the plane; it is that namespace's."""
    need_kernel((6, 2), "bpf_rdonly_cast")
    one, two = net.tap("t1"), net.tap("t2")
    plane.up(plane.segment("lan", {"name": "t1", "device": "t1", "mode": mode}, "t2"))
    assert talk(one, two)
    net.host.ip(f"link set t1 netns {net.world.name}")
    net.world.up("t1")
    assert "xdp" in net.world.link("t1") and state(plane, "t1") == ("waiting", "device t1 is absent")
    theirs = net.sniffer(net.world, "t1", ignore_outgoing=True)
    before = plane.port("t1")["rx"]["packets"]
    ask = frames.arp_request(mac(1), ip(1), ip(2))
    one.send(ask)
    assert theirs.recv_match(ask) and two.recv(0.05) is None and plane.port("t1")["rx"]["packets"] == before
    plane.attach("t2")
    assert "xdp" in net.world.link("t1"), "asked for t2 only"
    plane.attach()
    assert bare(net.world, "t1"), "whoever has it now can load his own"
    net.world.ip(f"link set t1 netns {net.host.name}")
    net.host.up("t1")
    assert state(plane, "t1")[0] == "waiting"
    plane.attach()
    assert state(plane, "t1")[0] == "up" and talk(one, two)
    plane.check_sum("t1")
    net.host.ip(f"link set t1 netns {net.world.name}")
    plane.down()
    assert clean(net.host, "t2") and clean(net.world, "t1")


# ---- renamed ----

def rename(net, old, new):
    net.host.ip(f"link set {old} down", f"link set {old} name {new}", f"link set {new} up")


def test_a_renamed_device_stays_until_an_up_says_otherwise(net, plane):
    one, two, three = net.tap("t1"), net.tap("t2"), net.tap("t3")
    conf = plane.segment("lan", "t1", "t2")
    plane.up(conf)
    rename(net, "t2", "moved")
    for verb in ("attach", "attach t1", "attach t2", "port set t1 quota=9", f"mac add lan {mac(9)} t1"):
        plane.run(verb)
        assert state(plane, "t2") == ("degraded", "device t2 is called moved now; an up that still says t2 lets go of it")
        assert talk(one, two), verb
    assert "nothing to change" in plane.attach().stdout
    plane.run("port set t2 device=t9")
    assert state(plane, "t2") == ("waiting", "device t9 is absent") and bare(net.host, "moved")
    plane.run("port set t2 device=t3")
    assert talk(one, three) and bare(net.host, "moved")
    plane.run("port set t2 device=moved")
    assert state(plane, "t2")[0] == "up" and talk(one, two) and bare(net.host, "t3")
    plane.up(conf)
    assert state(plane, "t2") == ("waiting", "device t2 is absent") and bare(net.host, "moved")
    plane.down()
    assert clean(net.host, "t1", "moved", "t3")


def test_a_new_device_of_the_old_name_wins(net, plane):
    one, two = net.tap("t1"), net.tap("t2")
    plane.up(plane.segment("lan", "t1", "t2"))
    rename(net, "t2", "moved")
    new = net.tap("t2")
    plane.attach()
    assert state(plane, "t2")[0] == "up" and talk(one, new) and two.drain() == [] and bare(net.host, "moved")


def test_a_renamed_uplink_is_put_back(net, plane):
    wire, one = outside(net), net.tap("t1")
    conf = plane.segment("lan", "t1", uplink=["up0"])
    plane.up(conf)
    rename(net, "up0", "wan7")
    assert talk(one, wire) and "PROMISC" in net.host.link("wan7")["flags"]
    plane.up(plane.segment("lan", "t1"))
    assert "PROMISC" not in net.host.link("wan7")["flags"]
    plane.up(plane.segment("lan", "t1", uplink=[{"name": "up0", "device": "wan7"}]))
    rename(net, "wan7", "wan8")
    plane.down()
    assert "PROMISC" not in net.host.link("wan8")["flags"] and clean(net.host, "wan8", "t1")


def test_a_renamed_end_of_a_host_port_is_followed(net, plane):
    one = net.tap("t1")
    conf = plane.segment("lan", "t1", host=["vp0"])
    plane.up(conf)
    net.host.up("vp0")
    rename(net, "vp0-p", "odd")
    plane.up(conf)
    wait_until(lambda: net.host.link("odd")["operstate"] == "UP")
    assert talk(one, net.sniffer(net.host, "vp0", ignore_outgoing=True)) and "odd" in state(plane, "vp0")[1]
    plane.down()
    assert not {"vp0", "odd", "vp0-p"} & set(net.host.devices())


def test_ports_in_generic_mode_exchange_devices_and_names(net, plane):
    one, two = net.tap("t1"), net.tap("t2")
    ports = [{"name": n, "device": d, "mode": "generic"} for n, d in (("a", "t1"), ("b", "t2"))]
    plane.up(plane.segment("lan", *ports))
    for names, devices in ((("a", "b"), ("t2", "t1")), (("c", "b"), ("t2", "t1"))):
        ports = [{"name": n, "device": d, "mode": "generic"} for n, d in zip(names, devices)]
        plane.up(plane.segment("lan", *ports))
        assert all(state(plane, n)[0] == "up" for n in names) and talk(one, two)


# ---- carrier, queues, kinds of descriptors ----

def test_carrier_switched_off_by_the_descriptor(net, plane):
    need_kernel((6, 2), "bpf_rdonly_cast")
    one, two, three = net.tap("t1"), net.tap("t2"), net.tap("t3")
    plane.up(plane.segment("lan", "t1", "t2", "t3"))
    assert talk(one, two)
    three.drain()
    fcntl.ioctl(two.fds[0], TUNSETCARRIER, struct.pack("i", 0))
    assert state(plane, "t2") == ("degraded", "no program has t2 open, or it has switched the carrier off")
    frame = frames.udp(mac(1), mac(2), ip(1), ip(2), payload=b"gone")
    one.send(frame)
    assert three.recv_match(frame) and two.recv(0.02) is None, "unknown, no black hole"
    fcntl.ioctl(two.fds[0], TUNSETCARRIER, struct.pack("i", 1))
    assert state(plane, "t2")[0] == "up" and talk(one, two)
    plane.check_sum("t1")


def test_a_persistent_tap_is_closed_and_opened(net, plane):
    """The guest restarts, its device stays: no command is needed."""
    need_kernel((6, 2), "bpf_rdonly_cast")
    one, two = net.tap("t1"), net.tap("t2", persist=True)
    plane.up(plane.segment("lan", "t1", "t2"))
    index = net.host.ifindex("t2")
    two.close()
    assert state(plane, "t2")[0] == "degraded"
    one.send(frames.arp_request(mac(1), ip(1), ip(2)))
    assert plane.drops("t1") == {"no_member": 1}
    two = net.tap("t2")
    assert net.host.ifindex("t2") == index and state(plane, "t2")[0] == "up" and talk(one, two)
    two.delete()


def set_queue(tap, number, attach):
    fcntl.ioctl(tap.fds[number], TUNSETQUEUE, struct.pack("16sH22x", b"", IFF_ATTACH_QUEUE if attach else IFF_DETACH_QUEUE))


@pytest.mark.parametrize("carrier", ["xdp", "tc"])
def test_queues_come_and_go_under_traffic(net, plane, carrier):
    """Frames to the queues that stay are not lost while another one is detached and attached. XDP picks a queue by the CPU
    that sends, tc by the flow: the guest's own frame binds this flow to queue 0."""
    one, two = net.tap("t1"), net.tap("t2", queues=4)
    plane.up(plane.segment("lan", *({"name": n, "device": n, "carrier": carrier} for n in ("t1", "t2"))))
    for q in range(4):
        two.send(frames.icmp(mac(2), BCAST, ip(2), ip(1), payload=b"from queue %d" % q), q=q)
        assert one.recv_match(lambda f, q=q: b"from queue %d" % q in f), "each queue sends"
    before, end, toggled = os.sched_getaffinity(0), threading.Event(), []

    def toggle():
        while not end.is_set():
            for on in (False, True):
                set_queue(two, 3, on)
                toggled.append(on)
    thread = threading.Thread(target=toggle)
    os.sched_setaffinity(0, {min(before)})
    try:
        two.send(frames.udp(mac(2), mac(1), ip(2), ip(1), sport=2000, dport=1000), q=0)
        one.drain()
        two.drain()
        thread.start()
        limit, lost, n = time.monotonic() + 10, 0, 0
        while n < 600 or (len(toggled) < 20 and time.monotonic() < limit):
            frame = frames.udp(mac(1), mac(2), ip(1), ip(2), sport=1000, dport=2000, payload=b"%08d" % n)
            one.send(frame)
            lost += two.recv_match(frame, 1) is None
            n += 1
        assert lost == 0 and len(toggled) >= 20
    finally:
        end.set()
        thread.join()
        os.sched_setaffinity(0, before)
    assert plane.check_sum("t1")["forwarded"] >= n and state(plane, "t2")[0] == "up" and plane.port("t2")["egress_errors"] == 0


def test_channels_of_a_veth_change_under_a_live_plane(net, plane):
    """Trap 1 of the kernel is XDP's, and a veth's frames are carried by tc: every queue is."""
    space, two = net.ns("g1"), net.tap("t2")
    space.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    net.veth((net.host, "g1"), (space, "eth0"), options="numrxqueues 4 numtxqueues 4")
    one = net.sniffer(space, "eth0", ignore_outgoing=True)
    for ns, dev in ((net.host, "g1"), (space, "eth0")):
        ns.ethtool(f"-L {dev} rx 1 tx 1")
    plane.up(plane.segment("lan", "g1", "t2"))
    for n in (4, 1, 3):
        for ns, dev in ((net.host, "g1"), (space, "eth0")):
            ns.ethtool(f"-L {dev} rx {n} tx {n}")
        wait_until(lambda: net.host.link("g1")["operstate"] == "UP")
        assert state(plane, "g1")[0] == "up"
        sent = [frames.udp(mac(1), mac(2), ip(1), ip(2), sport=p, payload=b"%d" % n) for p in range(1000, 1100)]
        for frame in sent:
            one.send(frame)
        assert sorted(r.frame for r in two.drain()) == sorted(sent)
        assert talk(one, two)
    plane.check_sum("g1")


@pytest.mark.parametrize("options", [{"nonblock": False}, {"sndbuf": 1 << 20}, {"napi_frags": True}, {"napi": True}, {"queues": 2}], ids=str)
def test_state_and_books_of_every_kind_of_descriptor(net, plane, options):
    need_kernel((6, 2), "bpf_rdonly_cast")
    one, two = net.tap("t1", **options), net.tap("t2")
    plane.up(plane.segment("lan", "t1", "t2"))
    for n in range(3):
        assert talk(one, two) and state(plane, "t1")[0] == "up"
        net.host.down("t1")
        assert state(plane, "t1") == ("degraded", "device t1 is down; run ip link set t1 up")
        with pytest.raises(OSError, match="Input/output error"):
            one.send(frames.arp_request(mac(1), ip(1), ip(2)))
        assert two.recv(0) is None, "XDP runs before the kernel looks whether the TAP is up"
        two.send(frames.arp_request(mac(2), ip(2), ip(1)))
        net.host.up("t1")
    assert plane.drops("t2") == {"no_member": 3} and talk(one, two)
    plane.check_sum("t1"), plane.check_sum("t2")
    plane.down()
    assert clean(net.host, "t1", "t2")


def test_deleted_and_made_again_with_name_and_number(net, plane):
    """Nothing tells the new one from the old by its name or number; its programs are gone, and `show` says so."""
    one, space = net.tap("t1"), net.ns("g2")
    space.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    net.veth((net.host, "g2"), (space, "eth0"))
    plane.up(plane.segment("lan", "t1", "g2"))
    index = net.host.ifindex("g2")
    net.host.delete("g2")
    net.host.ip(f"link add g2 index {index} type veth peer name eth0 netns {space.name}", "link set g2 up")
    space.up("eth0")
    wait_until(lambda: net.host.link("g2")["operstate"] == "UP")
    two = net.sniffer(space, "eth0", ignore_outgoing=True)
    assert state(plane, "g2") == ("degraded", "the tc ingress program is gone from g2; run vpeer "
                                  f"--plane {plane.name} attach")
    one.send(frames.arp_request(mac(1), ip(1), ip(2)))
    assert two.recv(0.05) is None
    plane.attach()
    assert state(plane, "g2")[0] == "up" and talk(one, two)


# ---- what can be an uplink ----

def bridge(net):
    """A bridge with one station behind each of two ports."""
    for n in (1, 2):
        net.ns(f"s{n}").sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        net.veth((net.host, f"b{n}"), (net.ns(f"s{n}"), "eth0"))
    net.bridge(net.host, "br0", ["b1", "b2"])
    return "br0", net.sniffer(net.ns("s1"), "eth0", ignore_outgoing=True, promisc=True)


def vxlan(net):
    for ns, dev, n in ((net.host, "u0", 1), (net.world, "eth0", 2)):
        if n == 1:
            net.veth((net.host, "u0"), (net.world, "eth0"), addr1=["198.18.99.1/24"], addr2=["198.18.99.2/24"])
        ns.ip(f"link add vx0 type vxlan id 7 dstport 4789 local 198.18.99.{n} remote 198.18.99.{3 - n} dev {dev}", "link set vx0 up")
    return "vx0", net.sniffer(net.world, "vx0", ignore_outgoing=True, promisc=True)


def macvlan(net):
    wire = outside(net)
    net.host.ip("link add mv0 link up0 type macvlan mode passthru", "link set mv0 up")
    return "mv0", wire


def veth(net):
    return "up0", outside(net)


@pytest.mark.parametrize("make", [veth, bridge, vxlan, macvlan], ids=lambda f: f.__name__)
def test_kinds_of_uplink(net, plane, make):
    dev, wire = make(net)
    one, two = net.tap("t1"), net.tap("t2")
    before = net.host.link(dev)
    plane.up(plane.segment("lan", "t1", "t2", host=["vp0"], uplink=[dev]))
    port = plane.port(dev)
    assert (port["state"], port["carrier"], port["xdp_target"]) == ("up", "tc", False)
    assert net.host.link("vp0")["mtu"] == before["mtu"] == (1450 if make is vxlan else 1500)
    assert talk(one, wire) and two.drain() and talk(one, wire) and two.drain() == [], "learned after the first one"
    for dst in ("01:00:5e:7f:00:63", "33:33:00:00:00:99", BCAST):
        frame = frames.udp(mac(2), dst, ip(2), "239.255.0.99", payload=b"group")
        wire.send(frame)
        assert one.recv_match(frame) and two.recv_match(frame), "a group that nobody has joined on the host"
    for name in (dev, "t1"):
        plane.check_sum(name)
    plane.down()
    assert net.host.link(dev)["flags"] == before["flags"] and clean(net.host, dev, "t1", "t2")


def test_a_bridge_as_uplink_still_bridges(net, plane):
    """Its ports go on reaching each other; the plane sees that and adds nothing; the bridge's own address is gone."""
    dev, s1 = bridge(net)
    s2, one = net.sniffer(net.ns("s2"), "eth0", ignore_outgoing=True, promisc=True), net.tap("t1")
    conf = plane.segment("lan", "t1", uplink=[dev])
    net.host.ip("addr add 198.18.77.1/24 dev br0")
    done = plane.up(conf, check=False)
    assert done.returncode == 1 and "device br0 has an address that the host would lose" in done.stderr
    ask = frames.arp_request(mac(3), "198.18.77.2", "198.18.77.1")
    s1.send(ask)
    assert s1.recv_match(lambda f: f[12:14] == b"\x08\x06"), "control: the host answers"
    plane.up(conf, "--take-over")
    s1.drain(), s2.drain(), one.drain()
    s1.send(ask)
    assert [c.frame for c in s2.drain()] == [ask] and [r.frame for r in one.drain()] == [ask] and s1.drain() == []
    assert talk(one, s1) and talk(one, s2, mac(1), mac(4))
    one.drain(), s1.drain(), s2.drain()
    for a, b, src, dst in ((s1, s2, mac(2), mac(4)), (s2, s1, mac(4), mac(2))):
        frame = frames.udp(src, dst, ip(2), ip(4))
        a.send(frame)
        assert [c.frame for c in b.drain()] == [frame] and one.drain() == []
    assert plane.drops(dev) == {"same_port": 2}
    plane.down()
    s1.send(ask)
    assert s1.recv_match(lambda f: f[12:14] == b"\x08\x06"), "the address is back"


def test_the_multicast_filter_of_an_uplink(net, plane):
    """A macvlan has one, as a NIC has. The plane opens it; when somebody closes it again, `show` says so."""
    wire, one = outside(net), net.tap("t1")
    net.host.ip("link add mv0 link up0 type macvlan mode bridge", "link set mv0 up")
    seen = net.sniffer(net.host, "mv0", ignore_outgoing=True)
    for n in range(99, 104):    # the filter is a hash of 256 bits: another group may lie where a joined one does
        frame = frames.udp(mac(2), f"01:00:5e:7f:00:{n:02x}", ip(2), f"239.255.0.{n}")
        seen.drain()
        wire.send(frame)
        if seen.recv(0.05) is None:
            break
    else:
        raise AssertionError("control: nobody has joined")
    plane.up(plane.segment("lan", "t1", uplink=["mv0"]))
    one.drain()
    wire.send(frame)
    assert one.recv_match(frame)
    net.host.ip("link set mv0 promisc off")
    wire.send(frame)
    assert one.recv(0.05) is None
    assert state(plane, "mv0") == ("degraded", "device mv0 is no longer promiscuous: it hears only its own address; run vpeer "
                                   f"--plane {plane.name} attach")
    net.host.ip("link set mv0 allmulticast on")
    wire.send(frame)
    assert one.recv_match(frame), "all groups, no foreign unicast"
    net.host.ip("link set mv0 allmulticast off")
    plane.attach()
    wire.send(frame)
    assert one.recv_match(frame) and state(plane, "mv0")[0] == "up"
    plane.down()
    assert "PROMISC" not in net.host.link("mv0")["flags"]


# ---- what is refused ----

def refused(plane, conf, *words, args=()):
    done = plane.up(conf, *args, check=False)
    assert done.returncode == 1 and all(w in done.stderr for w in words), done.stderr
    assert plane.pins() == []


def test_a_device_without_ethernet_frames_is_refused(net, plane):
    net.host.run("ip tuntap add dev tun7 mode tun")
    refused(plane, plane.segment("lan", "tun7"), "port tun7", "device tun7 carries no Ethernet frames", "TUN device", "mode tap")
    refused(plane, plane.segment("lan", "lo"), "device lo carries no Ethernet frames; a port needs an Ethernet device")
    refused(plane, plane.segment("lan", uplink=["tun7"]), "TUN device")


@pytest.mark.parametrize("kind", ["macvlan", "macvtap"])
def test_a_device_with_another_on_top_is_refused(net, plane, kind):
    """tc takes the frames before the upper device would: a VLAN or MACVLAN device would be dead without a word."""
    wire, one = outside(net), net.tap("t1")
    net.host.ip(f"link add top0 link up0 type {kind}")
    conf = plane.segment("lan", "t1", uplink=["up0"])
    refused(plane, conf, "port up0", f"device up0 carries top0 ({kind}), which would get no more frames", "--take-over")
    plane.up(conf, "--take-over")
    assert "nothing to change" in plane.up(conf).stdout and talk(one, wire)
    plane.down()
    net.host.delete("top0")
    plane.up(conf)


def test_attach_of_one_port_is_not_stopped_by_another(net, plane):
    """t2 has become what no port may have: who asks for t3 only gets t3; who asks for all hears of it."""
    one, two = net.tap("t1"), net.tap("t2")
    plane.up(plane.segment("lan", "t1", "t2", "t3"))
    two.close()
    net.host.run("ip tuntap add dev t2 mode tun")
    three = net.tap("t3")
    assert "1 port attached" in plane.attach("t3").stdout and talk(one, three)
    done = plane.attach(check=False)
    assert done.returncode == 3 and "TUN device" in done.stderr and talk(one, three)
