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


def injected(how, what, outs=2, macs=MACS, sources=1, threads=1, size=60, sinks="xdp"):
    """XDP frames that come in at a TAP and leave by veths; at their far end a program counts and drops them.
    `what`: binding | segment | uplink (in0 is one) | back (out0 is one)."""
    def make(net):
        quiet(net.host)
        net.tap("in0")
        net.host.ip(*(f"link add name out{n} type veth peer name sink{n}" for n in range(outs)))
        # GRO at the far end makes a veth a target; a program there would do so, too, but is not there yet.
        for n in range(outs if how not in ("least tc", "bridge") else 0):
            net.host.ethtool(f"-K sink{n} gro on")
        net.host.ip(*(f"link set {d}{n} up" for d in ("sink", "out") for n in range(outs)))
        gen = ["-n", net.host.path, "-i", "in0", "-o", "out", "-s", "sink", "-N", outs, "-M", macs, "-S", sources,
               "-T", threads, "-l", size, *(["-t"] if sinks == "tc" else [])]
        devs = ["in0", *(f"out{n}" for n in range(outs))]
        if how.startswith("least"):
            return Process(net, "inject", *gen, how.replace(" ", "-"))
        if how.startswith("bridge"):
            made = Process(net, "inject", *gen, "pass")
            net.bridge(net.host, "br0", devs)
            net.host.run("bridge -batch -", input="".join(
                f"fdb add {address(m)} dev out{m % outs} master static\n" for m in range(macs)))
            return made
        conf = binding("in0", "out0", how) if what == "binding" else segment(devs, how)
        for port in conf["ports"][1:]:
            port["carrier"] = "tc"      # never a bound program on a veth of this machine, whatever `auto` may come to
        if what in ("uplink", "back"):
            conf["ports"][what == "back"]["kind"] = "uplink"
        made = plane(net, conf)
        if what != "binding":
            made.run(["mac", "load", "-"], input="".join(f"lan {address(m)} out{m % outs}\n" for m in range(macs)))
        by_xdp = f"/sys/fs/bpf/vpeer/{made.name}/progs/vp_xdp"
        return Process(net, "inject", *gen, "pass" if how == "tc" else by_xdp)
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


def burdened(ports, guests):
    """The plane on veths by tc, with a program that only passes, as natively as a port's own would be, on the ports'
    ends, on the guests' ends, or on both: what XDP there costs the guests' own stacks before it has done anything.
    An ordinary program, not the plane's bound one, which does not run natively on the machine of the tests."""
    def make(net):
        quiet(net.host)
        a, b = net.veth_guest(1), net.veth_guest(2)
        plane(net, segment(["g1", "g2"], "tc"))
        for ns, dev in [(net.host, "g1"), (net.host, "g2")] * ports + [(a.ns, "eth0"), (b.ns, "eth0")] * guests:
            Process(net, "redirect", "pass", ns.path, dev, dev)
        if not a.ping(b, timeout=5):
            raise RuntimeError("no ping")
        return Process(net, "sock", a.ns.path, b.ns.path, b.ip)
    return make


def host_port(how):
    """The host's own stack and a guest behind a veth."""
    def make(net):
        quiet(net.host)
        b = net.veth_guest(2)
        if how == "bridge":
            net.bridge(net.host, "br0", ["g2"])
            dev = "br0"
        else:
            conf = segment(["g2"], how)
            conf["ports"].append({"name": "vp0", "kind": "host", "segment": "lan"})
            plane(net, conf)
            dev = "vp0"
        net.host.ip(f"addr add 198.18.0.1/15 dev {dev}", f"link set {dev} up")
        lab.wait_until(lambda: net.host.run(f"ping -c 1 -W 1 {b.ip}", check=False).returncode == 0, what="ping")
        return Process(net, "sock", net.host.path, b.ns.path, b.ip)
    return make


STACK_WORK = {"tcp": ("bulk TCP", "Gbit/s", bits_rate), "udp": ("UDP of 18 B by sendmmsg", "Mpps", frames_rate),
              "rr": ("request-response of 1 B over TCP", "M/s", frames_rate)}


def stack_rows(key, title, subjects, goals):
    """One row for each thing that two stacks do; `goals`: {work: {peer: ratio}}."""
    return [Row(f"{key}-{what}", f"{title}, {STACK_WORK[what][0]}", STACK_WORK[what][1], subjects, goals.get(what, {}),
                command=f"run {what} {{}}", rate=STACK_WORK[what][2]) for what in STACK_WORK]


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
    out += stack_rows("P5", "veth guests' own kernels", {h: stacks(h) for h in ("auto", "bridge", "least tc")},
                      {"tcp": {"bridge": 1.0}, "udp": {"bridge": 1.3}, "rr": {"bridge": 1.0}})
    out.append(Row("P6-packets", f"uplink to veth guests that run XDP, injected UDP 60 B, {MACS} MACs", "Mpps",
                   {h: injected(h, "uplink") for h in ("auto", "tc", "bridge")}, {"bridge": 3.0}))
    for n in (8, 32):
        out.append(Row(f"P7-{n}", f"flood from a TAP to {n} TAPs, 60 B, copies, burst", "Mpps",
                       each(["auto", "tc", "bridge"], "-f", "-B", 32, receivers=n), {"bridge": 2.0}, copies=n))
        out.append(Row(f"P7-{n}-unfinished", f"flood from a TAP to {n} TAPs, 60 B, unfinished, copies, burst", "Mpps",
                       each(["auto", "tc", "bridge"], "-f", "-u", "-B", 32, receivers=n), {"bridge": 2.0}, copies=n))
    out += stack_rows("C-veth", "veth guests by tc, XDP programs that pass on these ends", {
        "none": burdened(False, False), "ports": burdened(True, False), "guests": burdened(False, True),
        "both": burdened(True, True)}, {})
    out += stack_rows("C-host", "host port to a veth guest", {h: host_port(h) for h in ("auto", "bridge")},
                      {"tcp": {"bridge": 1.0}, "udp": {"bridge": 1.3}, "rr": {"bridge": 1.0}})
    return out
