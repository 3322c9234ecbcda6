# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a plane's life costs: its MAC table filled, a thousand ports taken and left."""
import functools
import json
import os
import subprocess
import time

import lab
from measure import BUILD, Process

PORTS = 1000
PATIENCE = 600   # seconds for a thousand ports, when others want the same locks of the kernel
MACS = 65536


class Timed:
    """Answers as a Process does: does `work`, with the clock on, between `before` and `after`."""

    def __init__(self, count, work, before=None, after=None):
        self.count, self.work, self.before, self.after = count, work, before, after

    def ask(self, _):
        if self.before:
            self.before()
        start = time.monotonic()
        self.work()
        seconds = time.monotonic() - start
        if self.after:
            self.after()
        return {"sent": self.count, "received": self.count, "seconds": seconds}


def mac_loads(by_bridge):
    """Static entries for one port, from a file, into an empty table."""
    def make(net):
        net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        net.tap("t1")
        macs = [f"52:54:00:01:{m >> 8:02x}:{m & 255:02x}" for m in range(MACS)]
        if by_bridge:
            net.bridge(net.host, "br0", ["t1"])
            text = "".join(f"fdb add {m} dev t1 master static\n" for m in macs)
            return Timed(MACS, lambda: net.host.run("bridge -batch -", input=text),
                         after=lambda: net.host.run("bridge fdb flush dev br0", check=False))
        made = lab.Plane(net.host)
        net.at_close(made.close)
        made.up(made.segment("lan", "t1"))
        text = "".join(f"lan {m} t1\n" for m in macs)
        return Timed(MACS, lambda: made.run(["mac", "load", "-"], input=text), after=lambda: made.run("mac flush"))
    return make


def many_ports(what):
    """`up` or `down` of a thousand TAPs in one segment, or the links alone that it makes or takes away."""
    def make(net):
        net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        names = [f"t{n}" for n in range(PORTS)]
        net.host.ip(*(f"tuntap add {n} mode tap" for n in names))
        net.host.ip(*(f"link set {n} up" for n in names))
        if what.startswith("bare"):
            gen = Process(net, "redirect", "many", net.host.path, "t", PORTS)
            attach, detach = (lambda: gen.ask("attach")), (lambda: gen.ask("detach"))
            return Timed(PORTS, attach, after=detach) if what == "bare attach" else Timed(PORTS, detach, before=attach)
        made = lab.Plane(net.host)
        down = functools.partial(made.run, "down", timeout=PATIENCE)
        net.at_close(down)
        text = json.dumps(made.segment("lan", *names))      # beforehand: that takes longer than `up`
        up = functools.partial(made.up, text, timeout=PATIENCE)
        return Timed(PORTS, up, after=down) if what == "up" else Timed(PORTS, down, before=up)
    return make


def held(made):
    """{map: bytes} that the kernel holds for the plane's maps, as bpftool tells it."""
    pins = f"/sys/fs/bpf/vpeer/{made.name}/maps"
    out = {}
    for name in os.listdir(pins):
        shown = json.loads(made.ns.run(["bpftool", "-j", "map", "show", "pinned", f"{pins}/{name}"]).stdout)
        out[name] = shown.get("bytes_memlock", 0)
    return out


def memory(net):
    """What a plane holds in the kernel, and what a loader of a thousand ports took meanwhile."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    names = [f"t{n}" for n in range(PORTS)]
    net.host.ip(*(f"tuntap add {n} mode tap" for n in names))
    made = lab.Plane(net.host)
    net.at_close(lambda: made.run("down", check=False, timeout=PATIENCE))
    made.up(made.segment("lan", *names[:2]))
    small = held(made)
    conf = json.dumps(made.segment("lan", *names))
    with net.host.popen([made.binary, "--plane", made.name, "up", "-f", "-"], stdin=subprocess.PIPE,
                        stdout=subprocess.DEVNULL) as process:
        process.stdin.write(conf.encode())
        process.stdin.close()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"up: exit {process.returncode}")
    many = held(made)
    entries = json.loads(net.host.run(["bpftool", "-j", "map", "show", "pinned",
                                       f"/sys/fs/bpf/vpeer/{made.name}/maps/vp_macs"]).stdout)["max_entries"]
    return {"a plane's maps with 2 ports": sum(small.values()), f"a plane's maps with {PORTS:,} ports": sum(many.values()),
            "more for each port": round((sum(many.values()) - sum(small.values())) / (PORTS - 2)),
            f"of these the MAC table ({entries:,} entries, made at once)": small["vp_macs"],
            "which is for each MAC": round(small["vp_macs"] / entries),
            f"the loader's peak, `up` with {PORTS:,} ports (then it is gone)": used.ru_maxrss * 1024}


def write_memory():
    """build/bench/memory.json."""
    with lab.Net() as net:
        found = memory(net)
    with open(f"{BUILD}/memory.json", "w", encoding="utf-8") as f:
        json.dump(found, f, indent=1)
    print("\n".join(f"memory: {what}: {n:,}" for what, n in found.items()))
