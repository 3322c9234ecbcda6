# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The rows: each a topology, one subject and its peers.  All of them stand at once, each in namespaces of its own, and
take turns.  A subject or peer is called by how it forwards:

  auto, tc, xdp     the plane, with that `carrier`; from TAPs `auto` has `vpeer watch` running, which weighs it
  passed            the plane on a TAP whose UDP XDP has given up: by XDP_PASS to tc, as without finishing
  bridge            the kernel's bridge; bridge-nf: with bridge-nf-call-iptables, though no rule is there
  least xdp, tc     a program that does nothing but redirect (tests/bench/redirect.c, inject.c): what hooks can do
  ovs               Open vSwitch in user space, by AF_PACKET or AF_XDP: wall clock, for it has CPUs of its own
  testpmd           DPDK's, by AF_XDP, which sends what comes in at one to the other: wall clock as well
"""
import contextlib
import time

import lab
from lab.watch import Watch
from life import PATIENCE, mac_loads, many_ports
from measure import NoDrop, Process, Wall, bits_rate, frames_rate, nanoseconds
from stages import stage_rows
from switch import ovs, testpmd

MACS = 64


class Row:
    """`subjects`: {name: function of a Net that gives a Process}; the first is what the others are compared with.
    `goals`: {peer: least ratio}; `least`: what the first one itself is to reach; `copies`: frames to receive for each
    one sent; `bases`: {subject: the one it is the difference to}, for rows of what something costs."""

    def __init__(self, key, title, unit, subjects, goals, command="run {}", rate=frames_rate, copies=1, least=None,
                 bases=None):
        self.key, self.title, self.unit, self.subjects, self.goals = key, title, unit, subjects, goals
        self.command, self.rate, self.copies, self.least, self.bases = command, rate, copies, least, bases

    @property
    def subject(self):
        return next(iter(self.subjects))


def quiet(ns):
    ns.sysctl("net.ipv6.conf.default.disable_ipv6", 1)


def netfilter(ns, on):
    """Whether bridges show what they forward to iptables: in this namespace, if the kernel can."""
    for family in ("iptables", "ip6tables", "arptables"):
        ns.run(f"sysctl -qw net.bridge.bridge-nf-call-{family}={int(on)}", check=on)


def plane(net, conf):
    made = lab.Plane(net.host)
    net.at_close(lambda: made.run("down", check=False, timeout=PATIENCE))
    made.up(conf, timeout=PATIENCE)
    return made


def segment(devs, carrier):
    ports = [{"name": d, "device": d, "segment": "lan", "carrier": carrier} for d in devs]
    return {"version": 1, "segments": [{"name": "lan"}], "ports": ports}


def binding(a, b, carrier):
    ports = [{"name": d, "device": d, "carrier": carrier} for d in (a, b)]
    return {"version": 1, "ports": ports, "bindings": [{"a": a, "b": b}]}


def forward(net, how, devs):
    """Joins the devices of net.host; a context for the time in which it is measured."""
    if how.startswith("bridge"):
        net.bridge(net.host, "br0", devs)
        netfilter(net.host, how == "bridge-nf")
    elif how.startswith("ovs"):
        return ovs(net, devs, afxdp=how == "ovs af_xdp")
    elif how == "testpmd":
        return testpmd(net, *devs)
    elif how in ("least xdp", "least tc"):
        Process(net, "redirect", "flood" if len(devs) > 2 else how.split()[1], net.host.path, *devs)
    else:
        made = plane(net, segment(devs, "auto" if how == "passed" else how))
        if how == "auto":
            net.at_close(Watch(made).end)
    return contextlib.nullcontext


def taps(how, *options, receivers=1, way="burst"):
    """From one TAP to others, see tapgen.c."""
    def make(net):
        quiet(net.host)
        options_here = [*options, *(["-t"] if how == "passed" else []), *([] if way == "burst" else ["-s"])]
        gen = (NoDrop if way == "ndr" else Process)(net, "tapgen", "-n", net.host.path, "-r", receivers, *options_here)
        gen.around = forward(net, how, [f"t{n}" for n in range(1, receivers + 2)])
        if how == "auto":       # `watch` has seen what is sent
            Process.ask(gen, "run 100")
            time.sleep(1.5)
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
            return Process(net, "inject", *gen, "least-tc" if how == "least tc" else "least")
        if how == "ovs":
            made = Wall(net, "inject", *gen, "pass")
            made.around = ovs(net, devs, [(address(m), f"out{m % outs}") for m in range(macs)])
            return made
        if how.startswith("bridge"):
            made = Process(net, "inject", *gen, "pass")
            net.bridge(net.host, "br0", devs)
            netfilter(net.host, how == "bridge-nf")
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


def stacks(how, what="guests", cpus=2, back=False):
    """Two kernels behind veths: two guests, or the world behind an uplink and a guest."""
    def make(net):
        quiet(net.host)
        a = net.uplink("g1") if what == "uplink" else net.veth_guest(1)
        b = net.veth_guest(2)
        if how.startswith("bridge") or how.startswith("least"):
            forward(net, how, ["g1", "g2"])
        else:
            conf = segment(["g1", "g2"], how)
            if what == "uplink":
                conf["ports"][0]["kind"] = "uplink"
            plane(net, conf)
        if not a.ping(b, timeout=5):
            raise RuntimeError(f"{how}: no ping")
        one, two = (b, a) if back else (a, b)
        return Process(net, "sock", one.ns.path, two.ns.path, two.ip, cpus)
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
            netfilter(net.host, False)
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


def stack_rows(key, title, subjects, goals, works=tuple(STACK_WORK)):
    """One row for each thing that two stacks do; `goals`: {work: {peer: ratio}}."""
    return [Row(f"{key}-{what}", f"{title}, {STACK_WORK[what][0]}", STACK_WORK[what][1], subjects, goals.get(what, {}),
                command=f"run {what} {{}}", rate=STACK_WORK[what][2]) for what in works]


def rows_injected():
    """P1, P6 and P8 by packets: frames as a NIC's driver hands them over."""
    def of(hows, what, **more):
        return {h: injected(h, what, **more) for h in hows}

    def row(key, title, what, hows, goals, **more):
        return Row(key, f"injected XDP frames, UDP {title}", "Mpps", of(hows, what, **more), goals)

    one, many = {"outs": 1, "macs": 1}, {"outs": 2, "macs": MACS}
    hows = ("auto", "least xdp", "least tc", "bridge", "ovs")
    out = [
        row("P1-binding", "60 B, binding", "binding", hows, {"least xdp": 0.95, "bridge": 4.5}, **one),
        row("P1-segment", f"60 B, segment, {MACS} MACs at random", "segment", (*hows, "bridge-nf"),
            {"least xdp": 0.90, "bridge": 4.5}, **many),
        row("P1-segment-1514", f"1514 B, segment, {MACS} MACs", "segment", hows, {"bridge": 4.5}, **many, size=1514),
        row("P1-segment-2cpu", f"60 B, segment, {MACS} MACs, two CPUs sending", "segment",
            ("auto", "least xdp", "bridge"), {"least xdp": 0.90, "bridge": 4.5}, **many, threads=2),
        row("P1-segment-stack", f"60 B, segment, {MACS} MACs, to guests' stacks (dropped by tc there)", "segment",
            ("auto", "least xdp", "least tc", "bridge"), {}, **many, sinks="tc"),
        row("P6-packets", f"60 B, uplink to guests, {MACS} MACs", "uplink", ("auto", "tc", "least xdp", "bridge"),
            {"bridge": 3.0}, **many, sources=64),
        row("P6-packets-back", "60 B, guest to uplink", "back", ("auto", "tc", "least xdp", "bridge"),
            {"bridge": 3.0}, **one)]
    big = {"outs": 1000, "macs": 65536}
    out.append(Row("P8", "injected XDP frames, UDP 60 B, segment, 1,000 ports and 65,536 MACs at random", "Mpps", {
        "auto": injected("auto", "segment", **big), "auto, 2 ports and MACs": injected("auto", "segment", 2, 2),
        "least xdp": injected("least xdp", "segment", **big),
        "least xdp, 2 ports and MACs": injected("least xdp", "segment", 2, 2)}, {"auto, 2 ports and MACs": 0.9}))
    return out


def rows_taps():
    """P2 to P4 and P7: from one TAP to others."""
    out = []
    hows = ["auto", "tc", "bridge", "bridge-nf", "least xdp", "least tc"]
    for way, text in (("burst", "one CPU, its time in write()"), ("stream", "two CPUs, a reader for itself"),
                      ("ndr", "two CPUs, the most without loss")):
        out.append(Row(f"P2-60-{way}", f"TAP to TAP, UDP 60 B, finished; {text}", "Mpps",
                       each(hows if way == "burst" else [*hows, "ovs", "ovs af_xdp", "testpmd"], way=way),
                       {"bridge": 3.0, "least xdp": 0.95}))
    out.append(Row("P2-1514-burst", "TAP to TAP, UDP 1514 B, finished", "Mpps", each(hows, "-l", 1514),
                   {"bridge": 1.3}))
    out.append(Row("P2-9000-burst", "TAP to TAP, UDP 9014 B, finished (too large for the native path)", "Mpps",
                   each(["auto", "tc", "bridge", "least tc"], "-l", 9014, "-m", 9000), {"bridge": 1.0}))
    for size in (60, 1514):
        for fd, option in (("native", ()), ("blocking", ("-b",))):
            native = fd == "native"
            out.append(Row(f"P3-{size}-{fd}", f"TAP to TAP, UDP {size} B, unfinished, {fd} fd", "Mpps",
                           each(["auto", "passed", "tc", "bridge", "least tc"] if native else
                                ["auto", "tc", "bridge", "least tc"], "-u", "-l", size, *option),
                           {"bridge": 2.5 if native else 1.3}))
    for how, goal in (("tc", 1.0), ("auto", 0.9)):
        out.append(Row(f"P4-{how}", f"TAP to TAP, TCP superframes of 60,000 B, carrier {how}", "Gbit/s",
                       each([how, "bridge", "least tc"], "-g", 1448, "-l", 60000, "-B", 8), {"bridge": goal},
                       rate=bits_rate))
    for n in (2, 8, 32):
        for key, text, option in (("", "finished", ()), ("-unfinished", "unfinished", ("-u",))):
            out.append(Row(f"P7-{n}{key}", f"flood from a TAP to {n} TAPs, 60 B, {text}, copies", "Mpps",
                           each(["auto", "tc", "bridge", *([] if option else ["least xdp"])], "-f", *option, "-B", 32,
                                receivers=n), {"bridge": 2.0}, copies=n))
    return out


def rows_stacks():
    """P5, P6 and C: kernels' own TCP and UDP."""
    goals = {"tcp": {"bridge": 1.0}, "udp": {"bridge": 1.3}, "rr": {"bridge": 1.0}}
    hows = ("auto", "bridge", "bridge-nf", "least tc")
    out = stack_rows("P5", "veth guests' own kernels", {h: stacks(h) for h in hows}, goals)
    out += stack_rows("P5-1cpu", "veth guests' own kernels on one CPU", {h: stacks(h, cpus=1) for h in hows}, goals)
    for key, title, back in (("P6", "uplink to a veth guest", False), ("P6-back", "veth guest to the uplink", True)):
        out += stack_rows(key, title, {h: stacks(h, "uplink", back=back) for h in ("auto", "bridge", "least tc")},
                          goals, ("tcp",))
    out += stack_rows("C-veth", "veth guests by tc, XDP programs that pass on these ends", {
        "none": burdened(False, False), "ports": burdened(True, False), "guests": burdened(False, True),
        "both": burdened(True, True)}, {})
    out += stack_rows("C-host", "host port to a veth guest", {h: host_port(h) for h in ("auto", "bridge")}, goals)
    return out


def rows_life():
    """P9: what programming costs. Rates, so that more is better here as well: 0.77 of the rate is 1.3 times the time."""
    out = [Row("P9-mac", "65,536 MACs by `mac load`; the peer: `bridge -batch`", "M/s",
               {"mac load": mac_loads(False), "bridge": mac_loads(True)}, {}, least=0.3)]
    for verb, bare in (("up", "attach"), ("down", "detach")):
        out.append(Row(f"P9-{verb}", f"`{verb}` with 1,000 TAPs; the peer: {bare} clsact, two filters and XDP, only",
                       "ports/ms", {verb: many_ports(verb), f"bare {bare}": many_ports(f"bare {bare}")},
                       {f"bare {bare}": 0.77}, rate=lambda got: got["received"] / got["seconds"] / 1e3, least=0.2))
    return out


def rows_sweeps():
    """S: the same over sizes, and over ports and MACs; for the plots."""
    out = [Row(f"S-size-{size}", f"TAP to TAP, UDP {size} B, finished", "Mpps",
               each(["auto", "tc", "bridge", "least xdp"], "-l", size, "-m", max(1500, size - 14)), {})
           for size in (60, 128, 256, 512, 1024, 1514, 3000, 9014)]
    for ports, macs in ((2, 2), (16, 1024), (128, 8192), (1000, 65536)):
        out.append(Row(f"S-ports-{ports}", f"injected XDP frames, UDP 60 B, {ports} ports, {macs} MACs at random", "Mpps",
                       {h: injected(h, "segment", ports, macs) for h in ("auto", "least xdp", "bridge")}, {}))
    return out


ORDER = "PCS"


def rows():
    """All rows, in order."""
    found = rows_sweeps() + rows_injected() + rows_taps() + rows_stacks() + rows_life()
    found += [Row(key, title, "ns", subjects, {}, rate=nanoseconds, bases=bases)
              for key, title, subjects, bases in stage_rows(plane)]
    return sorted(found, key=lambda row: (ORDER.index(row.key[0]), int(row.key[1:].split("-")[0])
                                           if row.key[0] == "P" else 0))
