# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Two guests of a plane as a row of the matrix wants them: in one segment, one of them tagged there (an uplink if there is
one), wired, or apart (the control)."""
import contextlib

from . import frames, layers
from .net import Guest, Net
from .plane import Plane
from .traffic import tcp_transfer, udp_echo

VID = 10
TAP_MODES = {"nonblock": {}, "blocking": {"blocking": True}, "sndbuf": {"sndbuf": 1 << 20}, "napi_frags": {"napi_frags": True}}


class End:
    """One end: its guest and its port in the configuration."""

    def __init__(self, net, kind, number, mode):
        self.kind, self.guest = kind, None
        self.port = {"name": f"g{number}", "device": f"g{number}"}
        if kind == "tap":
            self.guest = net.vm_guest(number, **TAP_MODES[mode])
        elif kind.startswith("veth"):
            self.guest = net.veth_guest(number)
            if kind == "veth+gro":
                self.guest.offload("gro on")
        elif kind == "uplink":
            self.guest = net.uplink("up0", number)
            self.port = {"name": "up0", "device": "up0", "kind": "uplink"}
        else:
            self.port = {"name": "vp0", "kind": "host"}

    def started(self, net, number):
        """The guest; a host port exists only when the plane is up."""
        if self.kind == "host":
            self.guest = Guest(net, number, net.host, "vp0", "vp0-p")
            self.guest.configure()
        return self.guest


class Seen:
    """What the two guests received while somebody watched."""

    def __init__(self, pair):
        self.sniffers = [g.raw(vnet=True, ignore_outgoing=True) for g in (pair.a, pair.b)]
        self.frames = []

    def collect(self):
        """Reads on; the first frame that is not as it should be is an AssertionError."""
        for sniffer in self.sniffers:
            for c in sniffer.drain(0.005):
                why = layers.faults(c.hdr, c.frame)
                assert why is None, f"{sniffer.ns.name} received {frames.parse(c.frame)[:11]} {c.hdr}: {why}"
                self.frames.append(c)
        return self.frames

    def states(self):
        """How many frames there were of each checksum state."""
        states = [frames.csum_state(c.frame) for c in self.collect()]
        return {s: states.count(s) for s in set(states)}


class Pair:
    """Guests .a and .b of .plane in .net. `wait` is how long a protocol waits for what should come at once."""

    def __init__(self, row, link=None, wait=5.0):
        self.net, self.row, self.link, self.wait, self.seen = Net(), row, link or row.link, wait, None
        self.plane = Plane(self.net.host)
        self.net.at_close(self.plane.close)
        try:
            self.ends = [End(self.net, kind, n, row.mode) for n, kind in enumerate((row.one, row.two), 1)]
            self.plane.up(self.config(self.link))
            self.a, self.b = (end.started(self.net, n) for n, end in enumerate(self.ends, 1))
            if self.link == "trunk":
                (self.b if self.ends[1].kind == "uplink" else self.a).vlan(VID)
        except BaseException:
            self.net.close()
            raise

    def config(self, link):
        """The plane of this row."""
        ports = [{**end.port, **self._carrier(end)} for end in self.ends]
        if link == "binding":
            return {"version": 1, "ports": ports, "bindings": [{"a": ports[0]["name"], "b": ports[1]["name"]}]}
        segments = ["lan", "other"] if link == "apart" else ["lan", "lan"]
        for port, segment in zip(ports, segments):
            port["segment"] = segment
        if link == "trunk":
            tagged = ports[self.ends[1].kind == "uplink"]
            tagged["tagged"] = [tagged.pop("segment")]
        return {"version": 1, "segments": [{"name": s, "vlan": VID + n} for n, s in enumerate(dict.fromkeys(segments))], "ports": ports}

    def _carrier(self, end):
        if self.row.carrier == "generic":
            return {"mode": "generic"} if end.kind == "tap" else {}
        return {"carrier": self.row.carrier}

    def ways(self):
        """(sender, receiver), both ways."""
        return (self.a, self.b), (self.b, self.a)

    def port_of(self, guest):
        """The name of a guest's port."""
        return self.ends[guest is self.b].port["name"]

    def devices(self):
        """(namespace, device) of everything between the two stacks."""
        return [(g.ns, g.dev) for g in (self.a, self.b)] + [(self.net.host, g.port) for g in (self.a, self.b)]

    @contextlib.contextmanager
    def watched(self):
        """Each frame that either guest receives meanwhile must be right at its reader."""
        self.seen = Seen(self)
        try:
            yield self.seen
            self.seen.collect()
        finally:
            for sniffer in self.seen.sniffers:
                sniffer.close()
                self.net.sniffers.remove(sniffer)

    @contextlib.contextmanager
    def mtu(self, size):
        """All devices have this MTU meanwhile."""
        self._set_mtu(size)
        try:
            yield
        finally:
            self._set_mtu(1500)

    def _set_mtu(self, size):
        for ns, dev in self.devices():
            ns.ip(f"link set {dev} mtu {size}")
        self.plane.told()

    def close(self):
        self.net.close()


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
