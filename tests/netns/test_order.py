# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A flow stays on one carrier, so its frames stay in order. Two ways to see it: the order at the receiver, and which
frames a packet socket on the sender's port saw: those that tc carried. Without vhost on this machine a TAP hands over
one frame per write, which hides a disorder; so the second way is the sharper one: UDP that XDP could not finish goes by
tc from then on. Batches that are real come from a veth whose NAPI is on."""
import os
import random
import socket
import struct
import threading
import time

import pytest

import lab
from lab import frames, need_kernel
from lab.frames import BCAST, ip, ip6, mac

SO_NO_CHECK, SOL_UDP, UDP_SEGMENT = 11, 17, 103
COUNT = 600


@pytest.fixture
def net(net):
    """Without the host's own IPv6 chatter, which reaches a TAP that is up before the plane is."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    return net


def reordered(numbers):
    """How many arrived after one that was sent later."""
    top, late = -1, 0
    for n in numbers:
        late += n < top
        top = max(top, n)
    return late


def test_the_measure_notices_disorder():
    assert reordered([0, 1, 2, 5, 6]) == 0 and reordered([0, 2, 1, 3, 5, 4]) == 2 and reordered([1, 1]) == 0


def number_of(frame):
    """The sequence number that a frame of ours carries, or None."""
    p = frames.parse(frame)
    if p.proto == frames.UDP and p.dport == 2000 and len(p.payload) >= 8 and p.payload[:4] == b"seq:":
        return struct.unpack_from("!I", p.payload, 4)[0]
    return None


def flow(states, seed=1, v6=False):
    """COUNT frames of one UDP 5-tuple, of mixed sizes and checksum states."""
    pick = random.Random(seed)
    a, b = (ip6(1), ip6(2)) if v6 else (ip(1), ip(2))
    for i in range(COUNT):
        data = b"seq:" + struct.pack("!I", i) + bytes(pick.choice([0, 10, 56, 500, 1440]))
        yield frames.udp(mac(1), mac(2), a, b, payload=data, csum=pick.choice(states(i)))


FLOWS = {
    "finished": lambda i: ["full"],
    "unfinished": lambda i: ["partial"],
    "mixed": lambda i: ["full", "full", "partial"],
    "without": lambda i: ["zero"],
    "late": lambda i: ["full"] if i < COUNT // 2 else ["full", "partial"],
    "one": lambda i: ["partial"] if i == COUNT // 3 else ["full"],
}


def observe(sender, far, seen, source):
    """Sends a flow; (numbers as they arrived, numbers that went by tc)."""
    arrived, by_tc = [], []
    for i, frame in enumerate(source):
        sender.send_auto(frame)
        if i % 50 == 49:
            arrived += [number_of(r.frame) for r in far.drain(0.001)]
            by_tc += [number_of(c.frame) for c in seen.drain(0)]
    arrived += [number_of(r.frame) for r in far.drain(0.02)]
    by_tc += [number_of(c.frame) for c in seen.drain(0)]
    return [n for n in arrived if n is not None], [n for n in by_tc if n is not None]


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
@pytest.mark.parametrize("kind", FLOWS)
@pytest.mark.parametrize("options", [{}, {"napi": True}, {"queues": 2}, {"nonblock": False}], ids=str)
def test_a_flow_from_a_tap_never_returns_to_xdp(net, plane, options, kind, v6):
    one, two = net.tap("t1", **options), net.tap("t2")
    plane.up(plane.segment("lan", "t1", "t2"))
    plane.run(f"mac add lan {mac(2)} t2")
    two.drain(0.001)
    if options.get("nonblock", True):
        seen = net.sniffer(net.host, "t1", ignore_outgoing=True)
    else:
        seen = net.sniffer(net.host, "t2")        # the generic path's redirect passes no packet socket on t2 either
    arrived, by_tc = observe(one, two, seen, flow(FLOWS[kind], v6=v6))
    assert sorted(arrived) == list(range(COUNT)), "none lost, none twice"
    assert reordered(arrived) == 0
    first = next((i for i in range(COUNT) if FLOWS[kind](i) != ["full"]), COUNT)
    if kind == "without":
        assert by_tc == list(range(COUNT)), "none of them by XDP"
    elif kind == "finished" or options.get("nonblock", True):
        assert by_tc == [], "XDP finishes what is not"
    else:
        assert by_tc == list(range(by_tc[0], COUNT)), "from the first one on all"
        assert by_tc[0] >= first


def superframe(size):
    """UDP that a guest leaves its NIC to cut (USO)."""
    frame = frames.udp(mac(1), mac(2), ip(1), ip(2), sport=9, payload=b"seq:" + bytes(size - 4), csum="partial")
    return frame, frames.csum_args(frame), ("udp_l4", 500, 42)


def large(size):
    """More than TAPs hand to XDP natively."""
    frame = frames.udp(mac(1), mac(2), ip(1), ip(2), sport=9, payload=b"seq:" + bytes(size - 4), csum="partial")
    return frame, frames.csum_args(frame), None


@pytest.mark.parametrize("build, size", [(superframe, 1500), (superframe, 30000), (large, 3415), (large, 8000)])
def test_one_that_xdp_cannot_finish_takes_all_along(net, plane, build, size):
    """A sender that mixes single datagrams with superframes, as QUIC does: from the first superframe on all go by tc."""
    need_kernel((6, 2), "bpf_cast_to_kern_ctx")
    one, two = net.tap("t1", offload=lab.Tap.OFFLOADS, mtu=9000), net.tap("t2", offload=lab.Tap.OFFLOADS, mtu=9000)
    plane.up(plane.segment("lan", {"name": "t1", "carrier": "xdp"}, "t2"))
    plane.run(f"mac add lan {mac(2)} t2")
    two.drain(0.001)
    seen = net.sniffer(net.host, "t1", ignore_outgoing=True)
    single = frames.udp(mac(1), mac(2), ip(1), ip(2), sport=9, payload=b"seq:" + bytes(4), csum="partial")
    for _ in range(3):
        one.send_auto(single)
        assert frames.check(*two.recv(0.5)) is None
    assert seen.drain(0.01) == [], "control: natively, finished by XDP"
    one.send(*build(size))
    assert frames.check(*two.recv(0.5)) is None
    for _ in range(3):
        one.send_auto(single)
        assert frames.check(*two.recv(0.5)) is None
    assert len(seen.drain()) == 4


def test_the_largest_native_frame_is_finished(net, plane):
    """The other side of the limit above: 3456 bytes."""
    need_kernel((6, 2), "bpf_cast_to_kern_ctx")
    one, two = net.tap("t1", mtu=9000), net.tap("t2", mtu=9000)
    plane.up(plane.segment("lan", {"name": "t1", "carrier": "xdp"}, "t2"))
    plane.run(f"mac add lan {mac(2)} t2")
    two.drain(0.001)
    seen = net.sniffer(net.host, "t1", ignore_outgoing=True)
    one.send(*large(3414))
    got = two.recv(0.5)
    assert len(got.frame) == 3456 and frames.csum_state(got.frame) == "full" and got.hdr.flags == 0
    assert seen.drain(0.01) == []


def test_other_flows_of_the_port_follow_but_not_other_ports(net, plane):
    """The switch is the port's, since the flows of one guest leave by one driver; and it does not spread."""
    one, two, three = net.tap("t1"), net.tap("t2"), net.tap("t3")
    plane.up(plane.segment("lan", "t1", "t2", "t3"))
    plane.run(f"mac add lan {mac(3)} t3")
    sniffers = {n: net.sniffer(net.host, n, ignore_outgoing=True) for n in ("t1", "t2")}
    finished = [frames.udp(mac(n), mac(3), ip(n), ip(3), sport=5, payload=b"seq:" + bytes(4)) for n in (1, 2)]
    for _ in range(3):
        one.send(finished[0])
        two.send(finished[1])
    assert not any(s.drain(0.01) for s in sniffers.values())
    one.send(*large(3415))
    for _ in range(3):
        one.send(finished[0])
        two.send(finished[1])
    assert len(sniffers["t1"].drain()) == 4 and sniffers["t2"].drain() == []
    assert len(three.drain()) == 12, "and the large one is not for this one"


def test_what_goes_by_xdp_does_not_depend_on_size(net, plane):
    """ICMP and ARP of any size, unicast and flooded, known and unknown: always the same carrier."""
    one, two, three = net.tap("t1"), net.tap("t2"), net.tap("t3")
    plane.up(plane.segment("lan", "t1", "t2", "t3"))
    plane.run(f"mac add lan {mac(2)} t2")
    seen = net.sniffer(net.host, "t1", ignore_outgoing=True)
    for dst in (mac(2), mac(9), BCAST):
        for size in (0, 1, 56, 1000, 1472):
            frame = frames.icmp(mac(1), dst, ip(1), ip(2), payload=bytes(size))
            one.send(frame)
            assert two.recv(0.5).frame == frame
    assert seen.drain() == [] and len(three.drain()) == 10
    for size in (0, 1000, 1460):
        one.send(frames.tcp(mac(1), mac(2), ip(1), ip(2), payload=bytes(size)))
    assert len(seen.drain()) == 3


def blast(guest, target, count, mixed):
    """A guest's own socket: numbered datagrams of mixed sizes, with and without a checksum, single and as GSO."""
    with guest.ns.socket(kind=socket.SOCK_DGRAM) as s:
        s.connect((target.ip, 2000))
        pick, i = random.Random(4), 0
        while i < count:
            if mixed:
                s.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, int(pick.random() < 0.3))
            size, many = pick.choice([8, 100, 1000]), 1
            if mixed and pick.random() < 0.3:
                s.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 0)
                many = 8
            s.setsockopt(SOL_UDP, UDP_SEGMENT, size if many > 1 else 0)
            s.send(b"".join((b"seq:" + struct.pack("!I", i + k)).ljust(size, b".") for k in range(many)))
            i += many
            if i % 64 < many:
                time.sleep(0.001)        # let the others on this CPU read
    return i


@pytest.fixture
def one_cpu():
    """Everything on one CPU: else the kernel's own backlogs, one for each CPU, disorder what a sender that is moved from
    one to the other sends, whoever forwards it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
@pytest.mark.parametrize("kinds", ["veth-veth", "veth-tap", "tap-veth", "tap-tap"])
def test_real_guests_keep_their_order(one_cpu, net, plane, kinds, mixed):
    """With NAPI on at the veth's port frames come in batches; the receiver's own socket sees the order."""
    a, b = (net.vm_guest(n) if k == "tap" else net.veth_guest(n) for n, k in enumerate(kinds.split("-"), 1))
    if kinds.startswith("veth"):
        net.host.ethtool("-K g1 gro on")
    if kinds.endswith("veth"):
        b.offload("gro on")
    plane.up(plane.segment("lan", "g1", "g2"))
    assert a.ping(b)
    got = []
    with b.ns.socket(kind=socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)        # SO_RCVBUFFORCE
        s.bind((b.ip, 2000))
        s.settimeout(0.5)

        def receive():
            try:
                while True:
                    got.append(struct.unpack_from("!I", s.recv(2000), 4)[0])
            except TimeoutError:
                pass

        reader = threading.Thread(target=receive)
        reader.start()
        sent = blast(a, b, 8000, mixed)
        reader.join()
    assert len(got) > sent // 2 and len(set(got)) == len(got)
    assert reordered(got) == 0
    assert lab.tcp_transfer(a, b, mib=4, back=True) > 0
    retrans = a.ns.run("nstat -az TcpExtTCPTSReorder TcpExtTCPSACKReorder").stdout
    assert all(int(line.split()[1]) == 0 for line in retrans.splitlines() if line.startswith("Tcp")), retrans
