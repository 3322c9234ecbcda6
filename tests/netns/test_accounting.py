# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The books balance: what the sender counted is `rx`, what became of it adds up, what the receivers counted is `tx`
minus what their device lost. Packets are wire frames, also where the kernel moves superframes."""
import json
import random
import threading

import pytest

import lab
from lab import frames, tcp_transfer, udp_echo
from lab.frames import BCAST, ip, ip6, mac


@pytest.fixture
def net(net):
    """Without the host's own IPv6 chatter, which reaches a TAP that is up before the plane is."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    return net


def balance(plane):
    """Every port's rx is what became of it; returns the ports by name."""
    ports = {p["name"]: p for p in plane.show("ports")["ports"]}
    for p in ports.values():
        assert p["rx"]["packets"] == p["forwarded"] + p["flooded"] + p["passed"] + sum(p["drops"].values()), p
        assert p["passed"] == 0 and p["drops"]["internal"] == 0
    return ports


def random_frame(seed):
    """Something a guest might send: any class, any fate."""
    src = mac(1) if seed.random() < 0.9 else mac(seed.randrange(20, 24))
    dst = seed.choice([mac(2), mac(2), mac(3), mac(4), mac(1), mac(50), BCAST, "33:33:00:00:00:01", "01:80:c2:00:00:0e"])
    data = seed.randbytes(seed.choice([0, 1, 30, 200, 1400]))
    return seed.choice([
        lambda: frames.icmp(src, dst, ip(1), ip(2), payload=data), lambda: frames.udp(src, dst, ip(1), ip(2), payload=data),
        lambda: frames.udp(src, dst, ip6(1), ip6(2), payload=data), lambda: frames.tcp(src, dst, ip(1), ip(2), payload=data),
        lambda: frames.arp(1, src, ip(1), "00:00:00:00:00:00", ip(2), dst=dst), lambda: frames.eth(dst, src, 0x88B5, data),
        lambda: frames.udp(src, dst, ip(1), ip(2), payload=data, vlans=[seed.choice([0, 0, 7])])])()


@pytest.mark.parametrize("carrier", ["xdp", "tc", "generic", "veth"])
def test_every_frame_is_in_the_books(net, plane, carrier):
    """A random mix; the counts of sender and receivers are taken by the test itself."""
    net.ns("mute").sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    net.veth((net.host, "t4"), (net.ns("mute"), "eth0"))
    if carrier == "veth":
        net.veth((net.host, "t1"), (net.ns("mute"), "eth1"))
        sender = net.sniffer(net.ns("mute"), "eth1", ignore_outgoing=True)
    else:
        sender = net.tap("t1", nonblock=carrier != "generic")
    ends = {n: net.tap(f"t{n}") for n in (2, 3)}
    ends[4] = net.sniffer(net.ns("mute"), "eth0", ignore_outgoing=True, promisc=True)
    for members in (("t2", "t3"), ("t2", "t3", "t4")):       # by XDP alone, and mixed
        one = {"name": "t1", "device": "t1", "quota": 3, **({"carrier": "tc"} if carrier == "tc" else {})}
        plane.up(plane.segment("lan", one, *members))
        before = balance(plane)
        for n in ends:
            plane.run(f"mac flush port=t{n}", check=False)
            if f"t{n}" in members:
                ends[n].send(frames.eth("01:80:c2:00:00:00", mac(n), 0x88CC, bytes(46)))
                plane.run(f"mac add lan {mac(n)} t{n}", check=False)
        for e in ends.values():
            e.drain(0.001)
        seed, sent, received = random.Random(carrier), [], {n: [] for n in ends}
        for _ in range(300):
            frame = random_frame(seed)
            sender.send(frame)
            sent.append(frame)
            for n, e in ends.items():
                received[n] += [getattr(r, "tagged", r.frame) for r in e.drain(0)]
        after = balance(plane)

        def moved(name, key, what):
            return after[name][key][what] - (before[name][key][what] if name in before else 0)

        assert moved("t1", "rx", "packets") == 300 and moved("t1", "rx", "bytes") == sum(map(len, sent))
        for n in ends:
            if f"t{n}" in members:
                assert moved(f"t{n}", "tx", "packets") == len(received[n]), n
                assert moved(f"t{n}", "tx", "bytes") == sum(map(len, received[n])), n
            else:
                assert not received[n]
        for fate in ("forwarded", "flooded"):
            assert after["t1"][fate] > before.get("t1", {}).get(fate, 0)
        assert {"reserved_group", "same_port", "vlan_not_allowed"} <= {k for k, v in after["t1"]["drops"].items() if v}


GSO = [("tcp4", 1448, 14480, 10), ("tcp4", 1448, 14481, 11), ("tcp4", 100, 1000, 10), ("tcp4", 1448, 1448, 1), ("tcp4", 536, 60000, 112),
       ("tcp6", 1428, 14280, 10), ("tcp6", 1000, 1001, 2)]


def superframe(kind, payload, vlans=()):
    a, b = (ip6(1), ip6(2)) if kind == "tcp6" else (ip(1), ip(2))
    return frames.tcp(mac(1), mac(2), a, b, payload=random.Random(payload).randbytes(payload), csum="partial", vlans=vlans)


@pytest.mark.parametrize("tag", [(), ((0x8100, 0x2007),)], ids=["plain", "tagged"])
@pytest.mark.parametrize("carrier", ["auto", "tc"])
def test_superframes_count_as_what_is_on_the_wire(net, plane, carrier, tag):
    """Computed by the plane, and counted by a receiver whose device cuts them."""
    one, whole, cut = net.tap("t1"), net.tap("t2", offload=lab.Tap.OFFLOADS), net.tap("t3")
    for name, far in (("t2", whole), ("t3", cut)):
        plane.up({"version": 1, "ports": [{"name": "t1", "device": "t1", "carrier": carrier}, {"name": name, "device": name}],
                  "bindings": [{"a": "t1", "b": name}]}, "--prune")
        for kind, size, payload, count in GSO:
            frame = superframe(kind, payload, tag)
            before = balance(plane)
            one.send(frame, frames.csum_args(frame), (kind, size, len(frame) - payload))
            got, after = far.drain(0.01), balance(plane)
            wire = len(frame) + (count - 1) * (len(frame) - payload)
            for port, way in (("t1", "rx"), (name, "tx")):
                assert after[port][way]["packets"] - before[port][way]["packets"] == count, (kind, size, payload)
                assert after[port][way]["bytes"] - before[port][way]["bytes"] == wire
            if far is cut:
                assert len(got) == count and sum(len(r.frame) for r in got) == wire
                assert all(frames.check(*r) is None for r in got)
            else:
                assert len(got) == 1 and got[0].frame == frame


def test_a_pass_from_xdp_to_tc_is_counted_once(net, plane):
    """UDP with a checksum by XDP, that without by tc."""
    one, two = net.tap("t1"), net.tap("t2")
    plane.up(plane.segment("lan", "t1", "t2"))
    plane.run(f"mac add lan {mac(2)} t2")
    seen = net.sniffer(net.host, "t1", ignore_outgoing=True)
    full, zero = (frames.udp(mac(1), mac(2), ip(1), ip(2), csum=c) for c in ("full", "zero"))
    for i, frame in enumerate([full] * 10 + [zero] * 10 + [full] * 10, 1):
        one.send_auto(frame)
        assert two.recv(0.5) and plane.port("t1")["rx"] == {"packets": i, "bytes": i * len(full)}
    assert len(seen.drain()) == 10, "control: 20 by XDP, 10 by tc"
    ports = balance(plane)
    assert ports["t1"]["forwarded"] == 30 and ports["t2"]["tx"] == {"packets": 30, "bytes": 30 * len(full)}
    assert ports["t1"]["events"]["learned"] == 1


@pytest.mark.parametrize("carrier", ["xdp", "tc"])
def test_what_the_egress_device_lost_is_shown(net, plane, carrier):
    """A guest that does not read: receivers' count = tx - egress_errors."""
    one, two = net.tap("t1"), net.tap("t2")
    net.host.ip("link set t2 txqueuelen 50")
    one_port = {"name": "t1", "carrier": carrier}
    plane.up(plane.segment("lan", one_port, "t2"))
    plane.run(f"mac add lan {mac(2)} t2")
    frame = frames.icmp(mac(1), mac(2), ip(1), ip(2))
    for _ in range(20):
        one.send(frame)
    assert plane.port("t2")["egress_errors"] == 0 and len(two.drain()) == 20
    for _ in range(500):
        one.send(frame)
    got, ports = len(two.drain()), balance(plane)
    assert ports["t1"]["forwarded"] == ports["t2"]["tx"]["packets"] == 520
    assert 0 < got < 500 and ports["t2"]["egress_errors"] == 500 - got
    one.send(frame)
    assert two.recv(0.5) and plane.port("t2")["egress_errors"] == 500 - got


@pytest.mark.parametrize("kinds", ["tap-tap", "tap-veth", "veth-veth"])
def test_books_of_real_traffic(net, plane, kinds):
    """Real stacks with their superframes, both ways at once: what one port took in, the other gave out."""
    a, b = (net.vm_guest(n) if k == "tap" else net.veth_guest(n) for n, k in enumerate(kinds.split("-"), 1))
    plane.up(plane.segment("lan", "g1", "g2"))
    assert a.ping(b)
    tcp_transfer(a, b, mib=8)
    assert udp_echo(a, b, 50) == 0 and udp_echo(b, a, 50, size=1400, v6=True) == 0
    ports = balance(plane)
    for one, two in (("g1", "g2"), ("g2", "g1")):
        for what in ("packets", "bytes"):
            assert ports[one]["rx"][what] == ports[two]["tx"][what]
        assert ports[one]["egress_errors"] == 0 and not any(ports[one]["drops"].values())
        assert ports[one]["rx"]["packets"] > (8 << 20) / 1448 and ports[one]["rx"]["bytes"] > 8 << 20
    assert ports["g1"]["rx"]["packets"] < 4 * (8 << 20) / 1448


def test_a_guest_that_counts_wire_frames_agrees(net, plane):
    """With segmentation off the guest's own device counts the same."""
    a, b = net.veth_guest(1), net.veth_guest(2)
    for g in (a, b):
        g.offload("tso off gso off gro off")
        g.net.host.ethtool(f"-K {g.port} tso off gso off gro off")
        g.ns.sysctl("net/ipv6/conf/eth0/disable_ipv6", 1)       # whatever it says must be ours
    before = {g: g.ns.link("eth0")["stats64"] for g in (a, b)}
    plane.up(plane.segment("lan", "g1", "g2"))
    tcp_transfer(a, b, mib=2)
    ports = balance(plane)
    for g in (a, b):
        stats = g.ns.link("eth0")["stats64"]
        for ours, theirs in (("rx", "tx"), ("tx", "rx")):
            assert ports[g.port][ours] == {w: stats[theirs][w] - before[g][theirs][w] for w in ("packets", "bytes")}


def test_no_count_is_lost_between_cpus(net, plane):
    """Several senders at once on all CPUs, XDP and tc, towards one port."""
    taps = [net.tap(f"t{n}") for n in (1, 2, 3, 4)]
    plane.up(plane.segment("lan", "t1", "t2", {"name": "t3", "carrier": "tc"}, "t4"))
    plane.run(f"mac add lan {mac(4)} t4")
    net.host.ip("link set t4 txqueuelen 20000")

    def send(n):
        for i in range(1000):
            taps[n - 1].send(frames.icmp(mac(n), mac(4), ip(n), ip(4), seq=i & 0xFFFF))

    threads = [threading.Thread(target=send, args=(n,)) for n in (1, 2, 3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    ports = balance(plane)
    assert [ports[f"t{n}"]["forwarded"] for n in (1, 2, 3)] == [1000] * 3 and ports["t4"]["tx"]["packets"] == 3000
    assert len(taps[3].drain()) == 3000 - ports["t4"]["egress_errors"]


def test_show_says_what_the_map_says(net, plane):
    one, two = net.tap("t1"), net.tap("t2")
    plane.up(plane.segment("lan", "t1", "t2"))
    for n in range(20):
        one.send(frames.icmp(mac(1), BCAST, ip(1), ip(2), payload=bytes(n)))
        one.send(frames.bpdu(mac(1)))
    two.drain()
    dump = net.host.run(f"bpftool -j map dump pinned /sys/fs/bpf/vpeer/{plane.name}/maps/vp_counters")
    rows = {e["formatted"]["key"]: [v["value"] for v in e["formatted"]["values"]] for e in json.loads(dump.stdout)}
    for port in balance(plane).values():
        mine = rows[port["id"]]
        for field in ("forwarded", "flooded", "passed"):
            assert port[field] == sum(v[field] for v in mine)
        for way in ("rx", "tx"):
            for what in ("packets", "bytes"):
                assert port[way][what] == sum(v[f"{way}_{what}"] for v in mine)
        there = [sum(column) for column in zip(*(v["drops"] for v in mine))][1:]
        named = list(port["drops"].values())
        assert named == there[:len(named)] and not any(there[len(named):]), "the rest is room for reasons to come"
