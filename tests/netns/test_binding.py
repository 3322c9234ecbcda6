# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A binding is a crossover cable: each frame of one end comes out of the other unchanged, and nothing else does."""
import random
import socket
import time

import pytest

import lab
from lab import frames, need_kernel

A, B = frames.mac(1), frames.mac(2)
IP_A, IP_B = frames.ip(1), frames.ip(2)


@pytest.fixture
def net(net):
    """Without the host's own IPv6 chatter, which reaches a TAP that is up before the plane is."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    return net


def bind(*names, **port):
    ports = [{"name": n, "device": n, **port} for n in names]
    return {"version": 1, "ports": ports, "bindings": [{"a": names[0], "b": names[1]}]}


def odd_frames(src, dst):
    """Frames that a switch would stop, change or not understand; name -> bytes."""
    seed = random.Random(7)
    out = {f"reserved-{n:x}": frames.eth(f"01:80:c2:00:00:{n:02x}", src, 0x88CC, seed.randbytes(60)) for n in range(16)}
    out["bpdu"] = frames.bpdu(src)
    out["lldp"] = frames.eth("01:80:c2:00:00:0e", src, 0x88CC, seed.randbytes(100))
    out["pause"] = frames.eth("01:80:c2:00:00:01", src, 0x8808, b"\0\1\xff\xff" + bytes(42))
    for name, vlans in (("8021q", [77]), ("priority", [(0x8100, 0xA000)]), ("8021ad", [(0x88A8, 0x2064)]),
                        ("qinq", [(0x88A8, 100), (0x8100, 200)]), ("qq", [(0x8100, 100), (0x8100, 200)]), ("vid4095", [4095])):
        out[f"tag-{name}"] = frames.udp(src, dst, IP_A, IP_B, payload=seed.randbytes(99), vlans=vlans)
    out["tag-9100"] = frames.udp(src, dst, IP_A, IP_B, vlans=[(0x9100, 5)])
    for kind in (0x0000, 0x05DC, 0x0600, 0x22F0, 0x8863, 0x8847, 0x88B5, 0x88E5, 0x8902, 0xFFFF):
        out[f"type-{kind:04x}"] = frames.eth(dst, src, kind, seed.randbytes(77))
    out["group-source"] = frames.eth(dst, "01:00:5e:00:00:01", 0x88B5, seed.randbytes(50))
    out["zero-source"] = frames.eth(dst, "00:00:00:00:00:00", 0x88B5, seed.randbytes(50))
    out["same-source"] = frames.eth(src, src, 0x88B5, seed.randbytes(50))
    out["broadcast"] = frames.arp_request(src, IP_A, IP_B)
    out["multicast"] = frames.eth("33:33:00:00:00:fb", src, 0x86DD, seed.randbytes(60))
    out["lying-ip"] = frames.eth(dst, src, 0x0800, b"\x45" + seed.randbytes(60))
    out["truncated-ip"] = frames.udp(src, dst, IP_A, IP_B)[:30]
    out["bad-csum"] = frames.udp(src, dst, IP_A, IP_B, csum="bad")
    out["zero-csum"] = frames.udp(src, dst, IP_A, IP_B, csum="zero")
    out["padded"] = frames.udp(src, dst, IP_A, IP_B, payload=b"", pad=18)
    out["fragment"] = frames.raw_ip(src, dst, IP_A, IP_B, 17, seed.randbytes(64), frag=0x2000)
    out["sctp"] = frames.raw_ip(src, dst, IP_A, IP_B, 132, seed.randbytes(64))
    out["full-mtu"] = frames.raw_ip(src, dst, IP_A, IP_B, 253, seed.randbytes(1480))
    return out


def cross_all(table, send, far):
    """Sends each frame on its own; returns the names of those that did not come out alone and unchanged."""
    lost = []
    for name, frame in table.items():
        send(frame)
        got = [getattr(r, "tagged", r.frame) for r in [far.recv(0.5)] + far.drain(0.003) if r]
        if got != [frame]:
            lost.append((name, frame.hex(), [g.hex() for g in got]))
    return lost


@pytest.mark.parametrize("options", [{}, {"nonblock": False}, {"sndbuf": 1 << 20}, {"napi_frags": True}, {"vnet": False}], ids=str)
def test_every_frame_crosses_between_taps(net, plane, options):
    one, two = net.tap("t1", **options), net.tap("t2", **options)
    one.send(frames.bpdu(A))
    assert two.recv(0.1) is None, "control: without a plane nothing crosses"
    plane.up(bind("t1", "t2"))
    assert cross_all(odd_frames(A, B), one.send, two) == []
    assert cross_all(odd_frames(B, A), two.send, one) == []
    n = len(odd_frames(A, B))
    for name in ("t1", "t2"):
        port = plane.port(name)
        assert port["rx"]["packets"] == port["tx"]["packets"] == port["forwarded"] == n and not any(port["drops"].values())
    plane.down()
    one.send(frames.bpdu(A))
    assert two.recv(0.1) is None


@pytest.mark.parametrize("kinds", ["veth-veth", "tap-veth", "uplink-tap"])
def test_every_frame_crosses_with_veth(net, plane, kinds):
    ends, conf = [], bind("p1", "p2")
    for n, kind in enumerate(kinds.split("-"), 1):
        if kind == "tap":
            ends.append(net.tap(f"p{n}"))
            continue
        space = net.ns(f"mute{n}")    # a stack without an address answers nothing
        space.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        net.veth((net.host, f"p{n}"), (space, "eth0"))
        ends.append(net.sniffer(space, "eth0", ignore_outgoing=True, promisc=True))
        if kind == "uplink":
            conf["ports"][n - 1]["kind"] = "uplink"
    plane.up(conf)
    for one, two, src, dst in ((ends[0], ends[1], A, B), (ends[1], ends[0], B, A)):
        assert cross_all(odd_frames(src, dst), one.send, two) == []


def test_vlan_tag_beside_the_frame_crosses(net, plane):
    """A guest's VLAN device would put the tag beside the frame; a raw socket leaves it inside, and the far end's kernel
    moves it beside. Sent on from there, by tc in the guest, it enters the plane as a hardware-accelerated tag."""
    a, b = net.veth_guest(1), net.veth_guest(2)
    t = net.tap("t3")
    net.veth((net.ns("far"), "in0"), (a.ns, "in1"))
    a.ns.run("tc qdisc add dev in1 clsact")
    a.ns.run("tc filter add dev in1 ingress protocol all u32 match u32 0 0 action mirred egress redirect dev eth0")
    inject = net.sniffer(net.ns("far"), "in0")
    leaves = net.sniffer(net.host, "g1", ignore_outgoing=True)
    for target, far in (("g2", b.raw(ignore_outgoing=True, promisc=True)), ("t3", t)):
        plane.up({**bind("g1", target)}, "--prune")
        for tci, tpid in ((77, 0x8100), (0xE064, 0x8100), (100, 0x88A8)):
            frame = frames.udp(A, B, IP_A, IP_B, payload=b"tag" * 9, vlans=[(tpid, tci)])
            leaves.drain(0.01), far.drain(0.01)
            inject.send(frame)
            seen = leaves.recv_match(lambda f: f[:12] == frame[:12])
            assert seen.vlan == tci and seen.tpid == tpid, "the tag is beside the frame where the plane gets it"
            got = far.recv_match(lambda f: f[:12] == frame[:12])
            assert getattr(got, "tagged", got.frame) == frame


@pytest.mark.parametrize("vnet", [True, False])
def test_short_frames_cross(net, plane, vnet):
    """A 42-byte ARP from a TAP is normal; no length from 14 bytes on is padded, cut or lost; nor is a tagged frame
    under 20 bytes, which the kernel's skb_vlan_untag() would free before any tc program sees it: XDP carries it."""
    one, two = net.tap("t1", vnet=vnet), net.tap("t2", vnet=vnet)
    plane.up(bind("t1", "t2"))
    seed = random.Random(3)
    for length in range(14, 61):
        for head in (b"\x88\xb5", b"\x08\x00", b"\x08\x06", b"\x81\x00", b"\x86\xdd"):
            frame = (frames.mac_bytes(B) + frames.mac_bytes(A) + head + seed.randbytes(60))[:length]
            one.send(frame)
            got = two.recv(0.5)
            assert got and got.frame == frame, f"{length} bytes, type {head.hex()}"
    assert two.drain() == []


def test_frames_without_a_header_are_refused_by_the_kernel(net, plane):
    """Under 14 bytes a TAP's write fails: such frames never reach the plane, and the next frame is not hurt."""
    one, two = net.tap("t1"), net.tap("t2")
    plane.up(bind("t1", "t2"))
    for length in (0, 1, 13):
        with pytest.raises(OSError):
            one.send(bytes(length))
    one.send(frames.bpdu(A))
    assert two.recv(0.5).frame == frames.bpdu(A) and two.drain() == []


def test_gso_and_checksum_state_cross(net, plane):
    """What the sender left to its NIC arrives so at a guest that accepts it, and finished at one that does not."""
    one, rich, plain = net.tap("t1"), net.tap("t2", offload=lab.Tap.OFFLOADS), net.tap("t3")
    frame = frames.tcp(A, B, IP_A, IP_B, payload=random.Random(5).randbytes(14480), csum="partial")
    plane.up(bind("t1", "t2"))
    one.send(frame, frames.csum_args(frame), ("tcp4", 1448, 54))
    got = rich.recv()
    assert got.frame == frame and got.hdr.gso_size == 1448 and frames.check(*got) is None
    plane.up(bind("t1", "t3"))
    one.send(frame, frames.csum_args(frame), ("tcp4", 1448, 54))
    pieces = plain.drain()
    assert len(pieces) == 10 and all(frames.check(*r) is None for r in pieces)
    assert b"".join(frames.parse(r.frame).payload for r in pieces) == frames.parse(frame).payload
    for build in (frames.udp, frames.tcp):
        unfinished = build(A, B, IP_A, IP_B, payload=b"u" * 99, csum="partial")
        one.send_auto(unfinished)
        got = plain.recv()
        assert frames.csum_state(got.frame) == "full" and frames.check(*got) is None


def chatter(net, plane, conf, settle):
    """Frames that an idle veth guest and an idle TAP guest see from before their link is up, with the given set-up."""
    net.veth((net.host, "v1"), (net.ns("idle"), "eth0"), up=False)
    for key, value in (("addr_gen_mode", 1), ("router_solicitations", 0), ("disable_ipv6", 1)):
        net.ns("idle").sysctl(f"net/ipv6/conf/eth0/{key}", value)
    seen = net.sniffer(net.ns("idle"), "eth0", ignore_outgoing=True)
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 0)
    net.host.sysctl("net/ipv6/conf/v1/disable_ipv6", 0)
    tap = net.tap("t1", up=False)
    if conf:
        plane.up(conf)
    net.ns("idle").up("eth0")
    net.host.up("v1", "t1")
    time.sleep(settle)
    return len(seen.drain()), len(tap.drain())


def test_a_host_without_a_plane_talks_to_an_idle_guest(net, plane):
    """The control of the two tests below."""
    veth, tap = chatter(net, plane, None, 3)
    assert veth >= 3 and tap >= 3


@pytest.mark.parametrize("way", ["bridged", "routed"])
def test_what_the_host_passes_on_stays_out(net, plane, way):
    """From a device that is no port: somebody has put a port into a bridge, or a route there, since."""
    stranger, guest, other = net.tap("t9"), net.tap("t1"), net.tap("t2")
    to = "ff:ff:ff:ff:ff:ff" if way == "bridged" else net.host.link("t9")["address"]

    def arrives():
        guest.drain(0)
        stranger.send(frames.udp(B, to, IP_A, "198.19.7.7"))
        return guest.recv(0.3) is not None
    if way == "bridged":
        net.bridge(net.host, "br0", ["t9"])
    else:
        net.host.sysctl("net.ipv4.ip_forward", 1)
        net.host.ip("addr add 198.18.0.254/15 dev t9")
    plane.up(plane.segment("lan", "t1", "t2"))
    if way == "bridged":
        net.host.ip("link set t1 master br0")
    else:
        net.host.ip("route add 198.19.7.7/32 dev t1", f"neigh add 198.19.7.7 lladdr {A} dev t1")
    assert not arrives()
    other.send(frames.arp_request(B, IP_A, "198.18.0.9"))
    assert guest.recv(1) is not None, "a port's frames go on"
    plane.run("port del t1")
    assert arrives(), "control: the host does pass it on"


@pytest.mark.parametrize("how", ["binding", "segment"])
def test_an_idle_guest_sees_nothing(net, plane, how):
    conf = bind("v1", "t1") if how == "binding" else plane.segment("lan", "v1", "t1", host=["vp0"])
    assert chatter(net, plane, conf, 3) == (0, 0)
    with net.host.enter(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:    # the host insists
        for dev in ("v1", "t1"):
            s.bind((dev, 3))
            with pytest.raises(OSError, match="No buffer space"):
                s.send(frames.bpdu(A))
    net.host.ip("addr add 198.18.7.1/24 dev t1", "addr add 198.18.8.1/24 dev v1")
    net.host.run("ping -c1 -W1 198.18.7.2", check=False)
    assert not net.sniffers[0].drain() and not net.taps[0].drain()


def test_a_frame_to_the_host_never_reaches_its_stack(net, plane):
    """What a guest sends to the TAP's own address, or as broadcast, is for the peer only."""
    one, two = net.tap("t1", mac="52:54:00:00:99:01"), net.tap("t2")
    net.host.ip("addr add 198.18.7.1/24 dev t1")
    ask = frames.arp_request(A, "198.18.7.2", "198.18.7.1")
    one.drain()
    one.send(ask)
    assert one.recv_match(lambda f: frames.parse(f).ethertype == 0x0806), "control: without a plane the host answers"
    net.host.ip("addr del 198.18.7.1/24 dev t1")
    plane.up(bind("t1", "t2"))      # refuses a device with an address; who adds one later may
    net.host.ip("addr add 198.18.7.1/24 dev t1")
    one.drain(), two.drain()
    one.send(ask)
    one.send(frames.icmp(A, "52:54:00:00:99:01", "198.18.7.2", "198.18.7.1"))
    assert [r.frame for r in two.drain()] == [ask, frames.icmp(A, "52:54:00:00:99:01", "198.18.7.2", "198.18.7.1")]
    assert one.drain() == [] and plane.port("t1")["passed"] == 0
    plane.down()
    one.send(ask)
    assert one.recv_match(lambda f: frames.parse(f).ethertype == 0x0806), "control: after `down` it answers again"


def test_peer_down_is_counted_and_passes(net, plane):
    need_kernel((6, 2), "bpf_rdonly_cast")
    one, two = net.tap("t1"), net.tap("t2")
    plane.up(bind("t1", "t2"))
    frame = frames.bpdu(A)
    one.send(frame)
    assert two.recv(0.5)
    plane.set_device("t2", "down")
    one.send(frame)
    one.send(frames.arp_request(A, IP_A, IP_B))
    assert two.recv(0.1) is None and plane.drops("t1") == {"peer_down": 2}
    plane.set_device("t2", "up")
    one.send(frame)
    assert two.recv(0.5) and plane.drops("t1") == {"peer_down": 2}


def test_bindings_are_apart(net, plane):
    """Two bindings share nothing, broadcast included."""
    taps = {n: net.tap(f"t{n}") for n in (1, 2, 3, 4)}
    conf = bind("t1", "t2")
    other = bind("t3", "t4")
    conf["ports"] += other["ports"]
    conf["bindings"] += other["bindings"]
    plane.up(conf)
    taps[1].send(frames.arp_request(A, IP_A, IP_B))
    taps[3].send(frames.eth(A, B, 0x88B5, b"only for t4" * 5))
    assert len(taps[2].drain()) == len(taps[4].drain()) == 1
    assert taps[1].drain() == taps[3].drain() == []


def test_a_tagged_frame_of_full_size_crosses(net, plane):
    """1500 bytes of payload and a tag: 1518 on the wire; more than the peer's MTU is dropped with its reason."""
    one, two = net.tap("t1"), net.tap("t2")
    plane.up(bind("t1", "t2"))
    tagged = frames.eth(B, A, 0x88B5, bytes(1500), vlans=[5])
    plain = frames.eth(B, A, 0x88B5, bytes(1500))
    for frame in (tagged, plain):
        one.send(frame)
        assert two.recv(0.5).frame == frame
    for frame in (frames.eth(B, A, 0x88B5, bytes(1501), vlans=[5]), frames.eth(B, A, 0x88B5, bytes(1501))):
        one.send(frame)
    assert two.recv(0.1) is None and plane.drops("t1") == {"mtu": 2}
    one.send(plain)
    assert two.recv(0.5).frame == plain
