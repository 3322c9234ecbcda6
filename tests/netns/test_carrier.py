# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which carrier `auto` chooses for which device, who may be sent to by XDP, and that `show` says why. A frame that XDP
carried is not seen by a packet socket on the port's device, one that tc carried is: so the choice is also observed."""
import pytest

import lab
from lab import frames, need_kernel
from lab.frames import BCAST, ip, mac


@pytest.fixture
def net(net):
    """Without the host's own IPv6 chatter, which reaches a TAP that is up before the plane is."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    return net


def icmp(src, dst):
    return frames.icmp(mac(src), dst if isinstance(dst, str) else mac(dst), ip(src), ip(9))


def went_by(net, sender, dev, frame):
    """The carrier that carried this frame, by the packet socket on the port's device."""
    sniffer = net.sniffer(net.host, dev, ignore_outgoing=True)
    sender.send(frame)
    seen = sniffer.recv_match(lambda f: f[:12] == frame[:12], 0.05)
    sniffer.close()
    return "xdp" if seen is None else "tc"


def prog(net, dev):
    """The XDP program on a device as `ip` shows it."""
    return net.host.link(dev).get("xdp", {})


def test_auto(net, plane):
    net.tap("t1"), net.veth_guest(2), net.uplink()
    net.host.ip("link add br0 type bridge", "link set br0 up")
    plane.up(plane.segment("lan", "t1", "g2", "br0", host=["vp0"], uplink=["up0"]))
    found = {p["name"]: (p["carrier"], p["mode"], p["xdp_target"]) for p in plane.show("ports")["ports"]}
    assert found["t1"] == ("xdp", "native", True)
    for name in ("g2", "vp0", "up0"):
        assert found[name] == ("tc", "native", False)
    assert found["br0"][0] == "tc"
    for p in plane.show("ports")["ports"]:
        assert p["why"] and p["xdp_target_why"], p["name"]
    assert "TAP" in plane.port("t1")["why"] and "segmentation" in plane.port("g2")["why"]
    assert ("NAPI" if lab.KERNEL >= (6, 3) else "does not say") in plane.port("g2")["xdp_target_why"]
    assert prog(net, "t1")["mode"] == 1 and not prog(net, "g2"), "in the driver, never generic"


def test_asked_for(net, plane):
    one, two = net.tap("t1"), net.tap("t2")
    for carrier in ("tc", "xdp", "auto", "tc"):
        plane.up(plane.segment("lan", {"name": "t1", "carrier": carrier}, "t2"))
        port, want = plane.port("t1"), "tc" if carrier == "tc" else "xdp"
        assert port["carrier"] == want and port["xdp_target"] is True
        assert ("asks for it" in port["why"]) == (carrier != "auto")
        assert bool(prog(net, "t1")) == (want == "xdp")
        assert went_by(net, one, "t1", icmp(1, BCAST)) == want
        assert two.recv(0.5)


def test_a_device_without_xdp_is_refused_or_left_to_tc(net, plane):
    net.host.ip("link add br0 type bridge", "link set br0 up")
    net.tap("t1")
    plane.up(plane.segment("lan", "br0", "t1"))
    assert plane.port("br0")["carrier"] == "tc"
    done = plane.up(plane.segment("lan", {"name": "br0", "carrier": "xdp"}, "t1"), check=False)
    assert done.returncode == 1 and "br0" in done.stderr and "xdp" in done.stderr and "carrier: tc" in done.stderr
    assert plane.port("br0")["carrier"] == "tc", "and nothing has changed"


def test_generic_only_when_asked_for_and_marked(net, plane):
    one, two = net.tap("t1"), net.tap("t2")
    conf = plane.segment("lan", {"name": "t1", "mode": "generic"}, "t2")
    plane.up(conf)
    port, there = plane.port("t1"), prog(net, "t1")
    assert "nothing to change" in plane.up(conf).stdout and prog(net, "t1") == there
    assert port["mode"] == "generic" and "generic" in port["why"] and prog(net, "t1")["mode"] == 2
    assert "generic" in plane.run("show ports").stdout
    frame = icmp(1, BCAST)
    one.send(frame)
    assert two.recv_match(frame, 0.5)
    plane.up(plane.segment("lan", "t1", "t2"))
    assert plane.port("t1")["mode"] == "native" and prog(net, "t1")["mode"] == 1
    one.send(frame)
    assert two.recv_match(frame, 0.5)


def test_generic_mode_is_refused_where_it_would_not_see_tags(net, plane):
    net.veth_guest(1), net.tap("t1")
    plane.up(plane.segment("lan", "g1", "t1"))
    done = plane.run("port set g1 mode=generic", check=False)
    assert done.returncode == 1 and "port g1" in done.stderr and "VLAN tags" in done.stderr and "leave `mode` out" in done.stderr
    assert plane.port("g1")["mode"] == "native"
    plane.run("port set g1 mode=generic carrier=tc")


def test_a_veth_is_an_xdp_target_when_its_peer_has_napi(net, plane):
    """GRO at the guest's end gives it NAPI; `attach` or `up` sees it, and XDP sends there then."""
    t, b = net.tap("t1"), net.veth_guest(2)
    b.offload("gro off")
    conf = plane.segment("lan", "t1", "g2")
    plane.up(conf)
    assert plane.port("g2")["xdp_target"] is False
    far = b.raw(ignore_outgoing=True, promisc=True)
    assert went_by(net, t, "t1", icmp(1, BCAST)) == "tc" and far.recv_match(icmp(1, BCAST), 0.5)
    plane.down()
    b.offload("gro on")
    plane.up(conf)
    port = plane.port("g2")
    far.drain()
    if lab.KERNEL < (6, 3):
        assert port["xdp_target"] is False and "does not say" in port["xdp_target_why"]
        assert went_by(net, t, "t1", icmp(1, BCAST)) == "tc" and far.recv_match(icmp(1, BCAST), 0.5)
        return
    assert port["xdp_target"] is True and port["carrier"] == "tc", "a target by XDP, but no source"
    assert went_by(net, t, "t1", icmp(1, BCAST)) == "xdp" and far.recv_match(icmp(1, BCAST), 0.5)
    plane.run(f"mac add lan {mac(2)} g2")
    assert went_by(net, t, "t1", icmp(1, 2)) == "xdp" and far.recv_match(icmp(1, 2), 0.5)
    assert lab.udp_echo(b, b, 1) == 0
    b.offload("gro off")
    assert went_by(net, t, "t1", icmp(1, 2)) == "tc" and far.recv_match(icmp(1, 2), 0.5), "seen without any process"


def test_the_class_decides(net, plane):
    """What XDP carries from a TAP and what it leaves to tc, each with the receiver's control."""
    need_kernel((6, 2), "bpf_cast_to_kern_ctx")
    one, two = net.tap("t1"), net.tap("t2")
    plane.up(plane.segment("lan", "t1", "t2"))
    two.send(icmp(2, BCAST))
    a, b, ip_a, ip_b, six_a, six_b = mac(1), mac(2), ip(1), ip(2), frames.ip6(1), frames.ip6(2)
    ports = {"xdp": [
        frames.icmp(a, b, ip_a, ip_b), frames.icmp(a, b, six_a, six_b), frames.nd_ns(a, six_a, six_b),
        frames.arp(2, a, ip_a, b, ip_b), frames.raw_ip(a, b, ip_a, ip_b, 17, bytes(100), frag=0x2000),
        frames.raw_ip(a, b, ip_a, ip_b, 6, bytes(100), frag=0x0010), frames.udp(a, b, ip_a, ip_b),
        frames.udp(a, b, six_a, six_b, payload=bytes(1400)), frames.raw_ip(a, b, ip_a, ip_b, 2, bytes(8)),
        frames.udp(a, b, ip_a, ip_b, vlans=[(0x8100, 0)])], "tc": [
        frames.tcp(a, b, ip_a, ip_b), frames.tcp(a, b, six_a, six_b), frames.raw_ip(a, b, ip_a, ip_b, 132, bytes(64)),
        frames.raw_ip(a, b, ip_a, ip_b, 47, bytes(64)), frames.raw_ip(a, b, six_a, six_b, 0, bytes(64)),
        frames.eth(b, a, 0x88B5, bytes(60)), frames.eth(b, a, 0x8847, bytes(60))]}
    for carrier, table in ports.items():
        for frame in table:
            two.drain(0.001)
            assert went_by(net, one, "t1", frame) == carrier, frames.parse(frame)[:7]
            assert two.recv_match(frame, 0.5)
    finished, without = (frames.udp(a, b, ip_a, ip_b, csum=c) for c in ("full", "zero"))
    two.drain(0.001)
    for v6 in (False, True):
        ends = (six_a, six_b) if v6 else (ip_a, ip_b)
        assert went_by(net, one, "t1", frames.udp(a, b, *ends, csum="partial")) == "xdp", "and finished there"
        assert two.recv_match(frames.udp(a, b, *ends), 0.5).hdr.flags == 0
    assert went_by(net, one, "t1", without) == "tc" and two.recv_match(without, 0.5)
    assert went_by(net, one, "t1", frames.udp(a, b, ip_a, ip_b, csum="bad")) == "tc", "perhaps a tunnel"
    assert went_by(net, one, "t1", finished) == "xdp", "neither says anything about other flows"


def test_the_fd_decides_who_finishes(net, plane):
    """XDP only where it runs natively; else it would be summed again by the next hop that believes the header's mark."""
    need_kernel((6, 2), "bpf_cast_to_kern_ctx")
    two, modes = net.tap("t0"), [{"nonblock": False}, {"sndbuf": 1 << 20}, {"napi_frags": True}, {}, {"napi": True}, {"queues": 2}]
    taps = [net.tap(f"t{n}", **options) for n, options in enumerate(modes, 1)]
    plane.up(plane.segment("lan", *(f"t{n}" for n in range(len(modes) + 1))))
    plane.run(f"mac add lan {mac(99)} t0")
    for n, tap in enumerate(taps, 1):
        sniffer = net.sniffer(net.host, "t0")
        tap.send_auto(frames.udp(mac(n), mac(99), ip(n), ip(99), csum="partial"))
        got = two.recv_match(lambda f, n=n: f[6:12] == frames.mac_bytes(mac(n)), 0.5)
        assert frames.check(*got) is None and frames.csum_state(got.frame) == "full", modes[n - 1]
        assert bool(sniffer.recv_match(lambda f: f[12:14] == b"\x08\0", 0.05)) == (n <= 3), "those by tc pass it"
        sniffer.close()


@pytest.mark.parametrize("carrier", ["auto", "tc"])
def test_both_carriers_give_the_same_verdicts(net, plane, carrier):
    """The same frames through a port with XDP and through one without: the same copies, drops and MAC table."""
    taps = [net.tap(f"t{n}") for n in (1, 2, 3)]
    conf = plane.segment("lan", {"name": "t1", "carrier": carrier, "quota": 2}, "t2", "t3")
    plane.up(conf)
    plane.run(f"mac add lan {mac(2)} t2")
    plane.run(f"mac add lan {mac(4)} t3")
    for frame in (icmp(1, 2), icmp(1, 5), icmp(4, 2), icmp(6, 2), icmp(7, 2), icmp(1, BCAST), icmp(1, "01:80:c2:00:00:03"), icmp(1, 1),
                  icmp(1, 4), frames.udp(mac(1), mac(2), ip(1), ip(2), csum="zero"), icmp(1, 3)):
        taps[0].send(frame)
    port = plane.port("t1")
    assert port["drops"] == {**dict.fromkeys(port["drops"], 0), "mac_static": 1, "reserved_group": 1, "same_port": 1}
    assert (port["rx"]["packets"], port["forwarded"], port["flooded"]) == (11, 5, 3)
    assert [len(t.drain()) for t in taps] == [0, 7, 4]
    assert port["events"]["quota"] == 1 and port["events"]["learned"] == 2
    assert sorted((m["mac"], m["port"]) for m in plane.show("macs")["macs"]) == [
        (mac(1), "t1"), (mac(2), "t2"), (mac(4), "t3"), (mac(6), "t1")]
