# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Ten guests restart in a loop for $VPT_RESTARTS seconds while others talk: nobody else loses a frame.

`make restarts T=300` is the long run.
"""
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from lab import frames, wait_until
from lab.net import ROOT
from lab.ns import SLOW
from lab.watch import Watch

SECONDS = float(os.environ.get("VPT_RESTARTS", "6"))
GUESTS = 10


class Pair:
    """Two guests, numbered frames both ways; each is waited for before the next one is sent."""

    def __init__(self, net, name, number):
        self.name = name
        self.ends = [net.tap(f"{name}{i}") for i in range(2)]
        self.macs = [frames.mac(number), frames.mac(number + 1)]
        self.sent = self.lost = self.slowest = 0
        self.missing = []

    def turn(self):
        for i in range(2):
            payload = b"%s %d" % (self.name.encode(), self.sent)
            frame = frames.udp(self.macs[i], self.macs[1 - i], "198.18.0.1", "198.18.0.2", payload=payload)
            begin = time.monotonic()
            self.ends[i].send(frame)
            if not self.ends[1 - i].recv_match(frame, 2.0):
                self.missing.append(self.sent)
            self.slowest = max(self.slowest, time.monotonic() - begin)
            self.sent += 1


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def configure(pairs):
    ports = [{"name": f"{p.name}{i}", "device": f"{p.name}{i}"} for p in pairs for i in range(2)]
    for port in ports:
        if port["name"].startswith("tc"):
            port["carrier"] = "tc"
        if not port["name"].startswith("wire"):
            port["segment"] = "lan"
    ports += [{"name": f"r{i}", "device": f"r{i}", "segment": "lan", "broadcast_pps": 0} for i in range(GUESTS)]
    return {"version": 1, "segments": [{"name": "lan"}], "ports": ports, "bindings": [{"a": "wire0", "b": "wire1"}]}


@pytest.mark.slow
def test_ten_guests_restart_and_nobody_else_notices(plane, net):
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    pairs = [Pair(net, name, 10 * n + 50) for n, name in enumerate(("xdp", "tc", "wire"))]
    conf = configure(pairs)
    plane.up(conf)
    for pair in pairs:
        pair.turn()                     # learned before it begins
    with Watch(plane) as watch:
        before = resident(watch.process.pid), len(os.listdir(f"/proc/{watch.process.pid}/fd"))
        churn = plane.ns.popen([sys.executable, f"{ROOT}/tests/lab/restarts.py", "r", str(GUESTS), str(SECONDS)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        net.processes.append(churn)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for pair in pairs:
                pair.turn()
        starts = int(churn.stdout.readline())
        wait_until(lambda: all(plane.port(f"r{i}")["state"] == "up" for i in range(GUESTS)), 3,
                   what=f"all are back: {watch.log()[-3000:]}")
        after = resident(watch.process.pid), len(os.listdir(f"/proc/{watch.process.pid}/fd"))
        attached = watch.log().count("attached to device")
        print(f"{SECONDS:.0f} s, {starts} starts, {attached} seen in time; " +
              ", ".join(f"{p.name}: {p.sent} frames, {len(p.missing)} lost, slowest {p.slowest * 1000:.0f} ms"
                        for p in pairs) + f"; resident {before[0]} -> {after[0]} KiB")
        assert [p.missing for p in pairs] == [[], [], []], "frames were lost"
        assert starts >= GUESTS * SECONDS and attached >= starts / 2
        assert after[0] < before[0] + 2048 and after[1] == before[1], f"{before} -> {after}"
        assert watch.end(signal.SIGTERM) == 0
    assert min(p.sent for p in pairs) > 100 * SECONDS / SLOW
    assert "nothing to change" in plane.up(conf).stdout
    links = [name for name in plane.pins() if name.startswith("links/")]
    assert len(links) == GUESTS + 4, links
    churn.stdin.close()
    assert churn.wait(10) == 0
