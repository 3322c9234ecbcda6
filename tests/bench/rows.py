# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The rows: each a topology, one subject and its peers.  All of them stand at once, each in namespaces of its own, and
take turns.  A subject or peer is called by how it forwards:

  auto, tc, xdp     the plane, with that `carrier`           bridge        the kernel's bridge
  passed            the plane on a TAP whose UDP XDP has given up: by XDP_PASS to tc, as without finishing
  least             a program that does nothing but redirect: by XDP (tests/bench/redirect.c, inject.c) or by tc
"""
import lab
from measure import Process, bits_rate, frames_rate

MACS = 64


class Row:
    """`subjects`: {name: function of a Net that gives a Process}; the first is what the others are compared with.
    `goals`: {peer: least ratio}; `copies`: frames to receive for each one sent."""

    def __init__(self, key, title, unit, subjects, goals, command="run {}", rate=frames_rate, copies=1):
        self.key, self.title, self.unit, self.subjects, self.goals = key, title, unit, subjects, goals
        self.command, self.rate, self.copies = command, rate, copies

    @property
    def subject(self):
        return next(iter(self.subjects))


def quiet(ns):
    ns.sysctl("net.ipv6.conf.default.disable_ipv6", 1)


def plane(net, conf):
    made = lab.Plane(net.host)
    net.at_close(made.close)
    made.up(conf)
    return made


def segment(devs, carrier):
    ports = [{"name": d, "device": d, "segment": "lan", "carrier": carrier} for d in devs]
    return {"version": 1, "segments": [{"name": "lan"}], "ports": ports}


def binding(a, b, carrier):
    ports = [{"name": d, "device": d, "carrier": carrier} for d in (a, b)]
    return {"version": 1, "ports": ports, "bindings": [{"a": a, "b": b}]}


def forward(net, how, devs):
    """Joins the devices of net.host."""
    if how == "bridge":
        net.bridge(net.host, "br0", devs)
    elif how in ("least xdp", "least tc"):
        Process(net, "redirect", how.split()[1], net.host.path, *devs)
    else:
        plane(net, segment(devs, "auto" if how == "passed" else how))


def taps(how, *options, receivers=1):
    """From one TAP to others, see tapgen.c."""
    def make(net):
        quiet(net.host)
        gen = Process(net, "tapgen", "-n", net.host.path, "-r", receivers, *options, *(["-t"] if how == "passed" else []))
        forward(net, how, [f"t{n}" for n in range(1, receivers + 2)])
        return gen
    return make


def each(hows, *options, **more):
    return {how: taps(how, *options, **more) for how in hows}


def injected(how, what, outs=2, macs=MACS):
    """XDP frames that come in at a TAP and leave by veths; at their far end a program counts and drops them."""
    def make(net):
        quiet(net.host)
        net.tap("in0")
        for n in range(outs):
            net.veth((net.host, f"out{n}"), (net.host, f"sink{n}"))
        args = [a for n in range(outs) for a in ("-o", f"out{n}", "-s", f"sink{n}")]
        gen = ["-n", net.host.path, "-i", "in0", *args, "-M", macs]
        devs = ["in0", *(f"out{n}" for n in range(outs))]
        if how == "least":
            return Process(net, "inject", *gen, "least")
        if how == "bridge":
            made = Process(net, "inject", *gen, "pass")
            net.bridge(net.host, "br0", devs)
            for m in range(macs):
                net.host.run(f"bridge fdb add {address(m)} dev out{m % outs} master static")
            return made
        # The sinks' programs make the outs targets: they must be there before the plane looks.
        sinks = Process(net, "inject", *gen, "pass")
        conf = binding("in0", "out0", "auto") if what == "binding" else segment(devs, "auto")
        made = plane(net, conf)
        if what == "segment":
            lines = "".join(f"lan {address(m)} out{m % outs}\n" for m in range(macs))
            made.run(["mac", "load", "-"], input=lines)
        sinks.close()
        return Process(net, "inject", *gen, f"/sys/fs/bpf/vpeer/{made.name}/progs/vp_xdp")
    return make


def address(m):
    return f"52:54:00:01:{m >> 8:02x}:{m & 255:02x}"


def stacks(how):
    """Two guests' own kernels behind veths."""
    def make(net):
        quiet(net.host)
        a, b = net.veth_guest(1), net.veth_guest(2)
        forward(net, how, ["g1", "g2"])
        if not a.ping(b, timeout=5):
            raise RuntimeError(f"{how}: no ping")
        return Process(net, "sock", a.ns.path, b.ns.path, b.ip)
    return make


def rows():
    """All rows, in order."""
    out = []
    hows = ["auto", "tc", "bridge", "least xdp", "least tc"]
    for what, outs, macs in (("binding", 1, 1), ("segment", 2, MACS)):
        goal = 0.95 if what == "binding" else 0.90
        out.append(Row(f"P1-{what}", f"injected XDP frames, UDP 60 B, {what}, {macs} MAC(s) in random order", "Mpps",
                       {h: injected(h, what, outs, macs) for h in ("auto", "least", "bridge")},
                       {"least": goal, "bridge": 4.5}))
    for way, option in (("burst", ()), ("stream", ("-s",))):
        out.append(Row(f"P2-60-{way}", f"TAP to TAP, UDP 60 B, finished, {way}", "Mpps", each(hows, *option),
                       {"bridge": 3.0, "least xdp": 0.95}))
    out.append(Row("P2-1514-burst", "TAP to TAP, UDP 1514 B, finished, burst", "Mpps", each(hows, "-l", 1514),
                   {"bridge": 1.3}))
    for size in (60, 1514):
        for fd, option in (("native", ()), ("blocking", ("-b",))):
            native = fd == "native"
            out.append(Row(f"P3-{size}-{fd}", f"TAP to TAP, UDP {size} B, unfinished, {fd} fd, burst", "Mpps",
                           each(["auto", "passed", "tc", "bridge", "least tc"] if native else
                                ["auto", "tc", "bridge", "least tc"], "-u", "-l", size, *option),
                           {"bridge": 2.5 if native else 1.3}))
    for how, goal in (("tc", 1.0), ("auto", 0.9)):
        out.append(Row(f"P4-{how}", f"TAP to TAP, TCP superframes of 60,000 B, carrier {how}, burst", "Gbit/s",
                       each([how, "bridge", "least tc"], "-g", 1448, "-l", 60000, "-B", 8), {"bridge": goal},
                       rate=bits_rate))
    for what, unit, goal, rate in (("tcp", "Gbit/s", 1.0, bits_rate), ("udp", "Mpps", 1.3, frames_rate),
                                   ("rr", "M/s", 1.0, frames_rate)):
        title = {"tcp": "bulk TCP", "udp": "UDP of 18 B by sendmmsg", "rr": "request-response of 1 B over TCP"}[what]
        out.append(Row(f"P5-{what}", f"veth guests' own kernels, {title}", unit,
                       {h: stacks(h) for h in ("auto", "bridge", "least tc")}, {"bridge": goal},
                       command=f"run {what} {{}}", rate=rate))
    for n in (8, 32):
        out.append(Row(f"P7-{n}", f"flood from a TAP to {n} TAPs, 60 B, copies, burst", "Mpps",
                       each(["auto", "tc", "bridge"], "-f", "-B", 32, receivers=n), {"bridge": 2.0}, copies=n))
        out.append(Row(f"P7-{n}-unfinished", f"flood from a TAP to {n} TAPs, 60 B, unfinished, copies, burst", "Mpps",
                       each(["auto", "tc", "bridge"], "-f", "-u", "-B", 32, receivers=n), {"bridge": 2.0}, copies=n))
    return out
