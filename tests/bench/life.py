# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a plane's life costs: its MAC table filled, a thousand ports taken and left."""
import time

import lab
from measure import Process

PORTS = 1000
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
        net.at_close(made.close)
        conf = made.segment("lan", *names)
        up, down = (lambda: made.up(conf)), made.down
        return Timed(PORTS, up, after=down) if what == "up" else Timed(PORTS, down, before=up)
    return make
