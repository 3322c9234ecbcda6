# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""P10: what each stage and feature takes, in nanoseconds a frame, as the difference to the same frame without it."""
from lab import frames
from measure import Absent, Process

SEGMENT = {"name": "lan"}
XDP_DROP, XDP_PASS, XDP_REDIRECT, TC_SHOT, TC_REDIRECT = 1, 2, 4, 2, 7


class Expecting(Process):
    """A wrong verdict would be a fast one."""
    verdict = None

    def ask(self, line):
        got = super().ask(line)
        if self.verdict is not None and got["verdict"] != self.verdict:
            raise RuntimeError(f"{self.command}: verdict {got['verdict']}, not {self.verdict}")
        return got


class Live(Process):
    """inject, asked for nanoseconds a frame, the way through the devices included."""

    def ask(self, line):
        got = super().ask(line)
        if got["received"] != got["sent"]:
            raise RuntimeError(f"{self.command}: {got['sent'] - got['received']} frames did not arrive")
        return {"ns": got["seconds"] / got["received"] * 1e9}


def udp(dst=2, payload=18):
    return frames.udp(frames.mac(1), frames.mac(dst) if dst else "01:00:5e:7f:00:01", frames.ip(1), frames.ip(2),
                      payload=b"x" * payload)


def port(n, **keys):
    return {"name": f"t{n}", "device": f"t{n}", **keys}


def stage(plane, hook, ports, verdict, frame, bound=False, device="t1", members=2, static=(1, 2)):
    """One frame through the plane's program; `ports`: keys of t1, or None for no plane at all; `static`: the guests
    whose addresses are programmed, the others' are learned."""
    def make(net):
        net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        for n in range(1, members + 2):     # one more than there are ports
            net.tap(f"t{n}")
        pinned = "-"
        if ports is not None:
            lan = {} if bound else {"segment": "lan"}
            conf = {"version": 1, "ports": [port(1, **lan, **ports), *(port(n, **lan) for n in range(2, members + 1))],
                    **({"bindings": [{"a": "t1", "b": "t2"}]} if bound else {"segments": [SEGMENT]})}
            try:
                made = plane(net, conf)
            except AssertionError as why:
                if "does not have" in str(why):
                    raise Absent("not in this build") from why
                raise
            if not bound:
                made.run(["mac", "load", "-"], input="".join(f"lan {frames.mac(n)} t{n}\n" for n in static))
            pinned = f"/sys/fs/bpf/vpeer/{made.name}/progs/vp_{'xdp' if hook == 'xdp' else 'tc_in'}"
        asked = Expecting(net, "stage", net.host.path, device, hook, pinned, frame.hex())
        asked.verdict = verdict
        return asked
    return make


def live(plane, into, out, *options):
    """inject through the plane; `into`, `out`: how the two ports are in the segment."""
    def make(net):
        net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        net.tap("in0")
        net.host.ip("link add name out0 type veth peer name sink0")
        net.host.ethtool("-K sink0 gro on")
        net.host.up("sink0", "out0")
        made = plane(net, {"version": 1, "segments": [{"name": "lan", "vlan": 10}], "ports": [
            {"name": "in0", "device": "in0", **into},
            {"name": "out0", "device": "out0", "kind": "uplink", "carrier": "tc", **out}]})
        made.run(["mac", "load", "-"], input="lan 52:54:00:01:00:00 out0\n")
        return Live(net, "inject", "-n", net.host.path, "-i", "in0", "-o", "out", "-s", "sink", *options,
                    f"/sys/fs/bpf/vpeer/{made.name}/progs/vp_xdp")
    return make


def stage_rows(plane):
    """[(key, title, {name: maker}, {name: base})]; the first of a row is the bottom of its differences."""
    macs, ips = {"mac": [frames.mac(1)]}, {"addresses": [f"{frames.ip(1)}/32"]}
    out = []
    for hook, drop, sent in (("xdp", XDP_DROP, XDP_REDIRECT), ("tc", TC_SHOT, TC_REDIRECT)):
        subjects = {
            "the kernel's loop": stage(plane, hook, None, drop, udp()),
            "binding": stage(plane, hook, {}, sent, udp(), bound=True),
            "segment, known unicast": stage(plane, hook, {}, sent, udp()),
            "segment, 1514 B": stage(plane, hook, {}, sent, udp(payload=1472)),
            "source learned": stage(plane, hook, {}, sent, udp(), static=(2,)),
            "guard: mac": stage(plane, hook, macs, sent, udp()),
            "guard: mac, addresses": stage(plane, hook, {**macs, **ips}, sent, udp()),
        }
        bases = {"binding": "the kernel's loop", "segment, known unicast": "the kernel's loop",
                 "segment, 1514 B": "segment, known unicast", "source learned": "segment, known unicast", "guard: mac": "segment, known unicast",
                 "guard: mac, addresses": "guard: mac"}
        if hook == "xdp":       # tc's flood clones for good
            subjects["not a port of ours"] = stage(plane, hook, {}, XDP_PASS, udp(), device="t3")
            bases["not a port of ours"] = "the kernel's loop"
            for n in (8, 32):
                subjects[f"flood to {n}, decided and counted"] = stage(plane, hook, {}, sent, udp(0), members=n + 1)
                bases[f"flood to {n}, decided and counted"] = "segment, known unicast"
        out.append((f"P10-{hook}", f"{hook}: one frame of 60 B through the program, nothing sent", subjects, bases))
    lan, tagged, tagged_out = {"segment": "lan"}, {"tagged": ["lan"]}, {"tagged": ["lan"]}
    subjects = {"segment, known unicast": live(plane, lan, lan), "tag pushed": live(plane, lan, tagged_out),
                "tag popped": live(plane, tagged, lan, "-V", 10, "-l", 64),
                "tag kept": live(plane, tagged, tagged_out, "-V", 10, "-l", 64),
                "checksum finished, 60 B": live(plane, lan, lan, "-u"),
                "1514 B": live(plane, lan, lan, "-l", 1514),
                "checksum finished, 1514 B": live(plane, lan, lan, "-u", "-l", 1514)}
    bases = {name: "segment, known unicast" for name in subjects if name != "segment, known unicast"}
    bases["checksum finished, 1514 B"] = "1514 B"
    out.append(("P10-live", "xdp: injected frames from device to device", subjects, bases))
    return out
