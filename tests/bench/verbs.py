#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What each verb costs at 1, 100 and 1,000 ports.

usage: tests/isolate.sh tests/bench/verbs.py [-r ROUNDS] [-c calls|instructions] [-m] [PORTS...]

Prints a table of milliseconds, the process included: the median of ROUNDS. -c counts instead, which no other load of the
machine changes: system calls that reach the kernel's tables (bpf, sendto and ioctl; by strace), or millions of
instructions of the loader itself (by valgrind). -m: the ports share 65,536 addresses and 256 segments, instead of none
and one. $VPEER names another loader to be measured.
"""
import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import lab  # noqa: E402

MACS, SEGMENTS = 65536, 256
CALLS = "bpf,sendto,ioctl"


def configuration(n, full):
    """`n` ports and two that are free to be bound."""
    segments, each = (SEGMENTS, MACS // n if n > 1 else 65) if full else (1, 0)
    ports = [{"name": f"p{i}", "device": f"t{i}", "segment": f"s{i % segments}",
              **({"mac": ["52:55:%02x:%02x:%02x:%02x" % (0, m >> 16, m >> 8 & 255, m & 255)
                          for m in range(i * each, i * each + each)]} if each else {})} for i in range(n)]
    free = [{"name": name, "device": f"t-{name}"} for name in ("free1", "free2")]
    return {"version": 1, "segments": [{"name": f"s{i}"} for i in range(segments)], "ports": ports + free}


class Measured:
    """A plane whose verbs are timed, or counted."""

    def __init__(self, net, count):
        self.plane, self.count = lab.Plane(net.host), count
        net.at_close(lambda: self.plane.run("down", timeout=600))

    def wrapped(self, words, log):
        """The command that does and counts it."""
        if self.count == "calls":
            return ["strace", "-f", "-c", "-e", f"trace={CALLS}", "-U", "name,calls", "-o", log, *words]
        if self.count == "instructions":
            return ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}", *words]
        return words

    def run(self, *words):
        """One figure."""
        command = [self.plane.binary, "--plane", self.plane.name, *words]
        with tempfile.NamedTemporaryFile("r") as log:
            command = self.wrapped(command, log.name)
            start = time.monotonic()
            done = self.plane.ns.run(command, check=False, timeout=900)
            took = 1000 * (time.monotonic() - start)
            text = log.read()
        if done.returncode:
            raise RuntimeError(f"vpeer {' '.join(words)}: exit {done.returncode}\n{done.stderr[-2000:]}")
        if self.count == "calls":
            return sum(int(n) for name, n in re.findall(r"^\s*(\w+)\s+(\d+)", text, re.M) if name in CALLS.split(","))
        if self.count == "instructions":
            return int(re.search(r"Collected\s*:\s*(\d+)", text)[1]) / 1e6
        return took


def one_changed(conf, quota):
    """The same, and another quota for the port in the middle."""
    ports = [dict(p) for p in conf["ports"]]
    ports[(len(ports) - 2) // 2]["quota"] = quota
    return {**conf, "ports": ports}


def rounds(made, conf, directory, number):
    """{verb: figure} of one round; it ends as it began, without a plane."""
    middle = conf["ports"][(len(conf["ports"]) - 2) // 2]["name"]
    files = {name: f"{directory}/{name}.json" for name in ("same", "other")}
    for name, what in (("same", conf), ("other", one_changed(conf, 100 + number))):
        with open(files[name], "w", encoding="utf-8") as f:
            json.dump(what, f)
    return {"help (no plane at all)": made.run("help"),
            "`up` from nothing": made.run("up", "-f", files["same"]),
            "`up`, nothing changed": made.run("up", "-f", files["same"]),
            "`up`, one port changed": made.run("up", "-f", files["other"]),
            "`port set`": made.run("port", "set", middle, f"quota={7 + number}"),
            "`bind`": made.run("bind", "free1", "free2"),
            "`unbind`": made.run("unbind", "free1"),
            "`mac add`": made.run("mac", "add", "s0", "52:56:00:00:00:01", conf["ports"][0]["name"]),
            "`show`": made.run("show"),
            "`diff`": made.run("diff", "-f", files["same"]),
            "`down`": made.run("down")}


def measure(n, full, count, times):
    """{verb: median}"""
    with lab.Net() as net, tempfile.TemporaryDirectory() as directory:
        net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        conf = configuration(n, full)
        devices = [p["device"] for p in conf["ports"]]
        net.host.ip(*(f"tuntap add {d} mode tap" for d in devices))
        net.host.ip(*(f"link set {d} up group 77" for d in devices))
        net.at_close(lambda: net.host.run("ip link del group 77"))
        made = Measured(net, count)
        found = [rounds(made, conf, directory, number) for number in range(times)]
    return {verb: statistics.median(f[verb] for f in found) for verb in found[0]}


def main():
    """The table, a column for each number of ports."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-r", dest="rounds", type=int, default=0)
    parser.add_argument("-c", dest="count", choices=("calls", "instructions"))
    parser.add_argument("-m", dest="full", action="store_true")
    parser.add_argument("ports", nargs="*", type=int)
    args = parser.parse_args()
    sizes = args.ports or [1, 100, 1000]
    times = args.rounds or (1 if args.count else 5)
    found = [measure(n, args.full, args.count, times) for n in sizes]
    unit = {"calls": f"calls of {CALLS}", "instructions": "million instructions"}.get(args.count, "ms")
    print(f"| {unit} |" + "".join(f" {n:,} port{'s' if n > 1 else ''} |" for n in sizes))
    print("|---|" + "---|" * len(sizes))
    for verb in found[0]:
        print(f"| {verb} |" + "".join(f" {f[verb]:,.1f} |" if args.count != "calls" else f" {f[verb]:,} |"
                                      for f in found))


if __name__ == "__main__":
    main()
