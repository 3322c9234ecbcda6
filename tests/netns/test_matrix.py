# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Whatever stands at the two ends, in a segment or in a binding: TCP, UDP and ping cross in both directions over IPv4
and IPv6 with the offloads that guests have by default, and each frame that a receiver sees has a right checksum."""
import pytest

import lab
from lab import frames, tcp_transfer, udp_echo

TAP_MODES = {"nonblock": {}, "blocking": {"blocking": True}, "sndbuf": {"sndbuf": 1 << 20}, "napi_frags": {"napi_frags": True}}
PAIRS = [("tap", "tap"), ("tap", "veth"), ("veth", "veth"), ("uplink", "tap"), ("uplink", "veth"), ("host", "tap"),
         ("host", "veth")]
CELLS = [(a, b, "nonblock") for a, b in PAIRS]
CELLS += [(a, b, mode) for mode in TAP_MODES if mode != "nonblock" for a, b in PAIRS if "tap" in (a, b) and a != "host"]


class End:
    """One end of a cell: its guest and its port in the configuration."""

    def __init__(self, net, kind, number, mode):
        self.kind, self.guest = kind, None
        self.port = {"name": f"g{number}", "device": f"g{number}"}
        if kind == "tap":
            self.guest = net.vm_guest(number, **TAP_MODES[mode])
        elif kind == "veth":
            self.guest = net.veth_guest(number)
        elif kind == "uplink":
            self.guest = net.uplink("up0", number)
            self.port = {"name": "up0", "device": "up0", "kind": "uplink"}
        else:
            self.port = {"name": "vp0", "kind": "host"}

    def started(self, net, number):
        """A host port exists only now."""
        if self.kind == "host":
            self.guest = lab.Guest(net, number, net.host, "vp0", "vp0")
            self.guest.configure()
        return self.guest


def config(how, ends):
    ports = [dict(e.port) for e in ends]
    if how == "binding":
        return {"version": 1, "ports": ports, "bindings": [{"a": ports[0]["name"], "b": ports[1]["name"]}]}
    for p in ports:
        p["segment"] = "lan"
    return {"version": 1, "segments": [{"name": "lan"}], "ports": ports}


def traffic(a, b):
    """Everything between the two stacks, both ways; how many datagrams were lost."""
    # Five seconds: a neighbour solicitation that a busy machine answers late is sent again after one.
    assert a.ping(b, timeout=5) and b.ping(a, size=1400, timeout=5)
    assert a.ping6(b, size=1400, timeout=5) and b.ping6(a, timeout=5)
    assert a.ping(b, size=4000) and b.ping6(a, size=4000), "fragments"
    for v6 in (False, True):
        tcp_transfer(a, b, mib=3, v6=v6, timeout=20)
        for size in (1, 100, 1400):
            assert udp_echo(a, b, 8, size=size, v6=v6) == 0
            assert udp_echo(b, a, 8, size=size, v6=v6) == 0


def wrong(sniffer):
    """What is wrong with the frames that this end received, and how many there were with a checksum."""
    got = sniffer.drain()
    faults = [f"{frames.parse(c.frame)[:11]} {c.hdr}: {why}" for c in got if (why := frames.check(c.hdr, c.frame))]
    return faults, sum(frames.csum_state(c.frame) in ("full", "partial", "both") for c in got)


@pytest.mark.parametrize("how", ["segment", "binding"])
@pytest.mark.parametrize("one, two, mode", CELLS)
def test_traffic_crosses(net, plane, one, two, mode, how):
    ends = [End(net, kind, number, mode) for number, kind in enumerate((one, two), 1)]
    plane.up(config(how, ends))
    a, b = (end.started(net, number) for number, end in enumerate(ends, 1))
    sniffers = [net.sniffer(g.ns, g.dev, vnet=True, ignore_outgoing=True) for g in (a, b)]
    traffic(a, b)
    for sniffer in sniffers:
        faults, seen = wrong(sniffer)
        assert not faults, f"{len(faults)} of {seen}: {faults[:3]}"
        assert seen > 50


def test_traffic_crosses_in_generic_mode(net, plane):
    """What generic XDP passes on arrives at tc whole."""
    a, b = net.vm_guest(1), net.vm_guest(2)
    plane.up(plane.segment("lan", *[{"name": g, "mode": "generic"} for g in ("g1", "g2")]))
    sniffers = [net.sniffer(g.ns, g.dev, vnet=True, ignore_outgoing=True) for g in (a, b)]
    traffic(a, b)
    for sniffer in sniffers:
        faults, seen = wrong(sniffer)
        assert not faults and seen > 50, f"{len(faults)} of {seen}: {faults[:3]}"
    assert not sum(plane.check_sum("g1")["drops"].values())


def test_nothing_crosses_without_a_plane_or_a_link(net, plane):
    """The matrix measures the plane: the same traffic fails before `up`, between segments and after `down`."""
    a, b = net.vm_guest(1), net.veth_guest(2)
    conf = plane.segment("lan", "g1", "g2")
    assert not a.ping(b, timeout=0.3)
    plane.up(conf)
    assert a.ping(b)
    conf["segments"].append({"name": "other"})
    conf["ports"][1]["segment"] = "other"
    plane.up(conf)
    assert not a.ping(b, timeout=0.3)
    conf["ports"][1]["segment"] = "lan"
    plane.up(conf)
    assert a.ping(b)
    plane.down()
    assert not a.ping(b, timeout=0.3)
