# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Proves the lab itself, over the kernel's bridge and tc: what the other tests measure with must measure right, and
must notice when something is wrong."""
import os
import random
import socket
import subprocess

import pytest

import lab
from lab import frames, tcp_transfer, udp_echo, wait_until
from lab.net import ROOT

A, B = frames.mac(1), frames.mac(2)
IP_A, IP_B, IP6_A, IP6_B = frames.ip(1), frames.ip(2), frames.ip6(1), frames.ip6(2)
BUILDERS = [
    lambda csum: frames.udp(A, B, IP_A, IP_B, csum=csum),
    lambda csum: frames.udp(A, B, IP6_A, IP6_B, payload=b"odd", csum=csum),
    lambda csum: frames.tcp(A, B, IP_A, IP_B, payload=b"abc" * 99, csum=csum),
    lambda csum: frames.tcp(A, B, IP6_A, IP6_B, csum=csum, vlans=[7]),
]


def redirect(net, dev, side, target, match="u32 0 0"):
    """Sends what passes `dev` to another device, by tc."""
    net.host.run(f"tc qdisc add dev {dev} clsact", check=False)
    action = f"action mirred egress redirect dev {target}"
    net.host.run(f"tc filter add dev {dev} {side} protocol all u32 match {match} {action}")


def cross(net, one, two):
    """Joins two devices as a crossover cable."""
    redirect(net, one, "ingress", two)
    redirect(net, two, "ingress", one)


def sink(net):
    """A device that swallows everything."""
    net.tap("sink")
    return "sink"


@pytest.mark.parametrize("build", BUILDERS)
def test_checksum_states_are_told_apart(build):
    for state in ("full", "partial", "bad"):
        assert frames.csum_state(build(state)) == state
    marked = lab.Vnet(1, 0, 0, 0, *frames.csum_args(build("partial")), 0)
    plain = lab.Vnet(0, 0, 0, 0, 0, 0, 0)
    assert frames.check(plain, build("full")) is None
    assert frames.check(marked, build("partial")) is None
    for hdr, state in ((plain, "partial"), (plain, "bad"), (marked, "full"), (marked, "bad")):
        assert frames.check(hdr, build(state)) is not None
    assert frames.check(marked._replace(csum_start=marked.csum_start + 4), build("partial")) is not None


def test_frames_agree_with_scapy():
    from scapy.all import ARP, ICMP, IP, TCP, UDP, Ether, IPv6, Raw
    seed = random.Random(1)
    for size in (0, 1, 31, 1400):
        data = seed.randbytes(size)
        ours = frames.udp(A, B, IP_A, IP_B, payload=data)
        assert ours == bytes(Ether(src=A, dst=B) / IP(src=IP_A, dst=IP_B) / UDP(sport=1000, dport=2000) / Raw(data))
        ours = frames.tcp(A, B, IP6_A, IP6_B, payload=data)
        segment = TCP(sport=1000, dport=2000, flags="A", seq=1, ack=1, window=65535) / Raw(data)
        assert ours == bytes(Ether(src=A, dst=B) / IPv6(src=IP6_A, dst=IP6_B) / segment)
        assert frames.csum_state(ours) == "full" and frames.parse(ours).payload == data
    theirs = Ether(src=A, dst=B) / IP(src=IP_A, dst=IP_B) / ICMP(id=1, seq=1) / Raw(b"p" * 32)
    assert frames.icmp(A, B, IP_A, IP_B) == bytes(theirs)
    theirs = Ether(src=A, dst=frames.BCAST) / ARP(op=1, hwsrc=A, psrc=IP_A, hwdst="00:00:00:00:00:00", pdst=IP_B)
    assert frames.arp_request(A, IP_A, IP_B) == bytes(theirs)


def test_nd_frames_have_right_checksums():
    for frame in (frames.nd_ns(A, IP6_A, IP6_B), frames.nd_na(A, B, IP6_A, IP6_B), frames.icmp(A, B, IP6_A, IP6_B)):
        assert frames.csum_state(frame) == "full"


def test_guests_talk_over_a_bridge(net):
    a, b, c = net.veth_guest(1), net.vm_guest(2), net.vm_guest(3)
    net.bridge(net.host, "br0", ["g1", "g2", "g3"])
    for one, two in ((a, b), (b, c), (c, a)):
        assert one.ping(two) and one.ping6(two)
        assert udp_echo(one, two, 20) == 0 and udp_echo(one, two, 20, size=1472, v6=False) == 0
        tcp_transfer(one, two, mib=8)
    tcp_transfer(b, c, mib=8, v6=True)


def test_a_relay_guest_sends_superframes_and_unfinished_checksums(net):
    a, b = net.vm_guest(1), net.vm_guest(2)
    net.bridge(net.host, "br0", ["g1", "g2"])
    seen = net.sniffer(net.host, "g1", ignore_outgoing=True, vnet=True)
    tcp_transfer(a, b, mib=4, back=False)
    got = [c for c in seen.drain() if frames.parse(c.frame).proto == frames.TCP]
    assert any(c.hdr.gso_type & 0x7f == 1 and len(c.frame) > 3000 for c in got)
    assert any(c.hdr.flags & frames.NEEDS_CSUM and frames.csum_state(c.frame) == "partial" for c in got)


def test_relay_modes(net):
    for n, options in enumerate(({"blocking": True}, {"sndbuf": 1 << 20}, {"napi": True}, {"napi_frags": True},
                                 {"offload": False}), 1):
        net.vm_guest(n, **options)
    guests = [lab.Guest(net, n, net.ns(f"g{n}"), "eth0", f"g{n}") for n in range(1, 6)]
    net.bridge(net.host, "br0", [g.port for g in guests])
    for one, two in zip(guests, guests[1:]):
        assert one.ping(two)
        tcp_transfer(one, two, mib=2)


def test_a_persistent_tap_survives_its_guest(net):
    a, b = net.vm_guest(1, persist=True), net.vm_guest(2)
    net.bridge(net.host, "br0", ["g1", "g2"])
    assert a.ping(b)
    index, gone = net.host.ifindex("g1"), net.host.ifindex("g2")
    a.kill()
    b.kill()
    wait_until(lambda: not net.host.exists("g2"), what="g2 is gone with its guest")
    assert net.host.ifindex("g1") == index
    a.restart()
    b.restart()
    assert net.host.ifindex("g1") == index and net.host.ifindex("g2") != gone
    net.host.ip("link set g2 master br0")
    wait_until(lambda: a.ping(b), what="guests talk again")


def test_an_unfinished_udp_checksum_arrives_right(net):
    one, two = net.tap("t1"), net.tap("t2", offload=lab.Tap.OFFLOADS)
    plain = net.tap("t3")
    net.bridge(net.host, "br0", ["t1", "t2", "t3"])
    frame = frames.udp(A, frames.BCAST, IP_A, IP_B, csum="partial")
    one.send_auto(frame)
    marked, finished = (tap.recv_match(lambda f: f[6:12] == frame[6:12]) for tap in (two, plain))
    assert marked.frame == frame and marked.hdr.flags & 1 and frames.check(*marked) is None
    assert not finished.hdr.flags & 1 and frames.csum_state(finished.frame) == "full"
    assert frames.check(*finished) is None


def test_a_gso_frame_arrives_whole_or_in_segments(net):
    one, two, plain = net.tap("t1"), net.tap("t2", offload=lab.Tap.OFFLOADS), net.tap("t3")
    net.bridge(net.host, "br0", ["t1", "t2", "t3"])
    frame = frames.tcp(A, frames.BCAST, IP_A, IP_B, payload=random.Random(2).randbytes(14480), csum="partial")
    one.send(frame, frames.csum_args(frame), ("tcp4", 1448, 54))
    whole = two.recv_match(lambda f: f[6:12] == frame[6:12])
    assert whole.frame == frame and whole.hdr.gso_type == 1 and whole.hdr.gso_size == 1448
    pieces = [r for r in plain.drain() if frames.parse(r.frame).proto == frames.TCP]
    assert len(pieces) == 10 and all(frames.check(*r) is None for r in pieces)
    assert b"".join(frames.parse(r.frame).payload for r in pieces) == frames.parse(frame).payload


@pytest.mark.parametrize("options", [{}, {"nonblock": False}, {"vnet": False}, {"sndbuf": 1 << 20}, {"napi": True},
                                     {"napi_frags": True}, {"queues": 2}], ids=str)
def test_tap_modes(net, options):
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)     # or the host itself talks into its TAPs
    one, two = net.tap("t1", **options), net.tap("t2", **options)
    cross(net, "t1", "t2")
    for size in (18, 100, 1400):
        frame = frames.udp(A, B, IP_A, IP_B, payload=bytes(size))
        one.send(frame, q=len(one.fds) - 1)
        assert two.recv_match(frame) is not None
        two.send(frame)
        assert one.recv_match(frame) is not None
    assert one.recv(0.05) is None


def test_sniffer_sees_tags_and_directions(net):
    a, b = net.veth_guest(1), net.veth_guest(2)
    cross(net, "g1", "g2")
    near, far = a.raw(vnet=True), b.raw(vnet=True)
    inside = net.sniffer(net.host, "g1")
    alone = net.sniffer(a.ns, "eth0", ignore_outgoing=True)
    frame = frames.udp(A, B, IP_A, IP_B, vlans=[7])
    near.send(frame)
    caught = far.recv_match(lambda f: f[6:12] == frame[6:12])
    assert caught.vlan == 7 and caught.tpid == 0x8100 and caught.tagged == frame and not caught.outgoing
    assert inside.recv_match(lambda f: f[6:12] == frame[6:12]).tagged == frame
    assert alone.recv_match(lambda f: f[6:12] == frame[6:12], 0.1) is None


def test_raw_socket_sends_unfinished_checksums(net):
    a, b = net.veth_guest(1), net.veth_guest(2)
    cross(net, "g1", "g2")
    near, far = a.raw(vnet=True), b.raw(vnet=True)
    frame = frames.udp(A, B, IP_A, IP_B, csum="partial")
    near.send(frame, frames.csum_args(frame))
    caught = far.recv_match(frame)
    assert caught and caught.csum_notready and caught.hdr.flags & 1 and frames.check(caught.hdr, caught.frame) is None


def test_sniffer_sees_the_first_frame_of_a_device(net):
    net.veth((net.host, "v0"), (net.ns("g"), "v1"), up=False)
    sniffer = net.sniffer(net.ns("g"), "v1", ignore_outgoing=True)
    assert sniffer.recv(0.05) is None
    net.ns("g").up("v1")
    net.host.up("v0")
    assert sniffer.recv(3) is not None, "the host's own IPv6 chatter, which a plane must stop"


def test_a_wrong_checksum_is_noticed(net):
    """By the verifier at the raw reader and by the guest's own stack; right frames before and after are the control."""
    a, b = net.veth_guest(1), net.veth_guest(2)
    net.bridge(net.host, "br0", ["g1", "g2"])
    near, far = a.raw(), b.raw(vnet=True, ignore_outgoing=True)
    with b.ns.socket(kind=socket.SOCK_DGRAM) as reader:
        reader.bind((b.ip, 2000))
        reader.settimeout(0.3)
        for state in ("full", "bad", "full"):
            frame = frames.udp(a.mac, b.mac, a.ip, b.ip, csum=state)
            near.send(frame)
            got = far.recv_match(lambda f: f[:12] == frame[:12])
            assert (frames.check(got.hdr, got.frame) is None) == (state == "full")
            if state == "full":
                assert reader.recv(100) == b"x" * 32
            else:
                with pytest.raises(TimeoutError):
                    reader.recv(100)


def test_a_lost_frame_is_noticed(net):
    a, b = net.veth_guest(1), net.vm_guest(2)
    net.bridge(net.host, "br0", ["g1", "g2"])
    assert a.ping(b, count=3) and udp_echo(a, b, 3) == 0
    tcp_transfer(a, b, mib=1)
    redirect(net, "g2", "egress", sink(net), "ip protocol 1 0xff")
    assert not a.ping(b, timeout=0.3)
    redirect(net, "g2", "egress", "sink", "ip protocol 17 0xff")
    assert udp_echo(a, b, 3, timeout=0.1) == 3
    redirect(net, "g2", "ingress", "sink", "ip protocol 6 0xff")
    with pytest.raises((OSError, AssertionError)):
        tcp_transfer(a, b, mib=1, timeout=1)


def test_nothing_stays(net):
    with lab.Net("inner") as inner:
        guest = inner.vm_guest(1, persist=True)
        process = guest.ns.popen("sleep 100")
        paths = [guest.ns.path, inner.host.path]
        relay = guest.relay
    assert process.wait(2) < 0 and relay.poll() is not None
    assert not any(os.path.exists(p) for p in paths)


def test_nothing_stays_after_a_crash(net):
    """A test process that dies by an exception still cleans up."""
    script = ("import sys; sys.path.insert(0, 'tests'); import lab; n = lab.Net(); n.vm_guest(1); "
              "print(n.host.path, flush=True); raise SystemExit(3)")
    done = subprocess.run(["/usr/bin/python3", "-c", script], stdout=subprocess.PIPE, text=True, cwd=lab.net.ROOT)
    assert done.returncode == 3 and done.stdout.startswith("/run/netns/vpt-")
    assert not os.path.exists(done.stdout.strip())


def test_nobody_outside_takes_the_tests_directory_away(tmp_path):
    """A host whose /run/vpeer is removed, by the last plane's `down`, while tests are isolated there."""
    script = f"""mount -t tmpfs tmpfs /run && mkdir /run/vpeer
{ROOT}/tests/isolate.sh sh -c 'touch /run/vpeer/x {tmp_path}/ready; until [ -e {tmp_path}/gone ]; do sleep 0.05; done; [ -e /run/vpeer/x ]' &
until [ -e {tmp_path}/ready ]; do sleep 0.05; done
rmdir /run/vpeer && touch {tmp_path}/gone && wait $!"""
    subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], check=True, timeout=20)


def test_iperf_runs(net):
    a, b = net.veth_guest(1), net.veth_guest(2)
    net.bridge(net.host, "br0", ["g1", "g2"])
    assert lab.iperf(a, b, "-n 8M")["end"]["sum_sent"]["bytes"] >= 8 << 20
