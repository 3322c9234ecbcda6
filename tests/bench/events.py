#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How many events a second `vpeer events` keeps up with, and what frames pay for its being there.

usage: tests/isolate.sh tests/bench/events.py [-r ROUNDS] [-s SECONDS]

A thousand ports send from ever new addresses: each frame is an event (`learned`, then `quota`), as long as a port has
had fewer than 256 of them in this second; each goes to a port whose guest does not read. First at ever higher rates, up
to what one CPU sends, with a reader that writes into a file: what it told and lost, and its CPU time. Then at full
speed without a reader, with one, and with one that is stopped, in turns: CPU time of the writes, the sender's own and
the kernel's, which no other load of the machine changes much.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

import lab  # noqa: E402
from lab.frames import mac, mac_bytes  # noqa: E402
from measure import quartiles  # noqa: E402

PORTS, A_TICK = 1000, 256
RATES = (10000, 20000, 40000, 80000, 160000)
PAUSE = 2.5             # seconds: two ticks, after which each port may tell again
SINK = mac(9)
READERS = ("none", "reading", "stopped")


class Sender:
    """Frames from one new address after the other, each port in turn."""

    def __init__(self, net):
        net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.taps = [net.tap(f"t{n}", up=False) for n in range(PORTS)]
        net.host.ip(*(f"link set t{n} up group 77" for n in range(PORTS)))
        net.at_close(lambda: net.host.run("ip link del group 77"))
        self.sink = net.tap("sink")
        self.fds = [tap.fds[0] for tap in self.taps]
        self.number, self.at = 0, 0
        self.head, self.tail = bytes(12) + mac_bytes(SINK) + b"\x02\x00", b"\x88\xb5" + bytes(46)

    def send(self, count):
        """CPU seconds that it took."""
        fds, head, tail, number, at = self.fds, self.head, self.tail, self.number, self.at
        begin = time.thread_time()
        for _ in range(count):
            os.write(fds[at], head + number.to_bytes(4, "big") + tail)
            number += 1
            at = at + 1 if at + 1 < PORTS else 0
        self.number, self.at = number, at
        return time.thread_time() - begin

    def paced(self, rate, seconds):
        """What was really sent a second."""
        begin, sent = time.monotonic(), 0
        while (now := time.monotonic() - begin) < seconds:
            due = min(int(rate * now) - sent, rate // 100)
            self.send(due)
            sent += due
            time.sleep(0.001)
        return sent / (time.monotonic() - begin)


class Reader:
    """A running `vpeer events`, and what it has said."""

    def __init__(self, plane, path, json_out):
        self.path = path
        with open(path, "w", encoding="utf-8") as out:
            self.process = plane.ns.popen([plane.binary, "--plane", plane.name, *(["--json"] if json_out else []), "events"], stdout=out)
        time.sleep(0.3)

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        """(told, lost, microseconds of CPU time for each told)"""
        time.sleep(0.3)
        self.process.kill()
        _, self.process.returncode, used = os.wait4(self.process.pid, 0)
        told = lost = 0
        with open(self.path, encoding="utf-8") as f:
            for line in f:
                if line.startswith("lost: "):
                    lost += int(line.split()[1])
                elif line.startswith('{"event": "lost"'):
                    lost += json.loads(line)["lost"]
                else:
                    told += 1
        return told, lost, 1e6 * (used.ru_utime + used.ru_stime) / max(1, told)


def keeps_up(plane, sender, path, seconds):
    """[(reader, events a second, told, lost, microseconds)]"""
    for what, json_out in (("text", False), ("--json", True)):
        for rate in RATES:
            time.sleep(PAUSE)
            reader = Reader(plane, path, json_out)
            real = sender.paced(rate, seconds)
            yield what, real, *reader.end()


def frame_costs(plane, sender, path, rounds):
    """{reader: [nanoseconds of CPU time for a frame that is an event]}; every port tells all of its frames."""
    found = {reader: [] for reader in READERS}
    for number in range(rounds):
        for what in READERS if number % 2 == 0 else READERS[::-1]:
            time.sleep(PAUSE)
            reader = Reader(plane, path, False) if what != "none" else None
            if what == "stopped":
                reader.signal(signal.SIGSTOP)
            count = PORTS * A_TICK
            found[what].append(1e9 * sender.send(count) / count)
            if what == "stopped":
                reader.signal(signal.SIGCONT)
            if reader:
                reader.end()
    return found


def middle(values, how):
    """Median and quartiles, as text."""
    low, high = quartiles(values)
    return f"{statistics.median(values):{how}} ({low:{how}}-{high:{how}})"


def main():
    """Two tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-r", dest="rounds", type=int, default=7)
    parser.add_argument("-s", dest="seconds", type=float, default=3)
    args = parser.parse_args()
    with lab.Net() as net, tempfile.TemporaryDirectory() as directory:
        sender, plane = Sender(net), lab.Plane(net.host)
        net.at_close(lambda: plane.run("down", timeout=600))
        ports = [{"name": f"p{n}", "device": f"t{n}", "segment": "lan"} for n in range(PORTS)]
        plane.up(json.dumps({"version": 1, "segments": [{"name": "lan"}],
                             "ports": [*ports, {"name": "sink", "device": "sink", "segment": "lan"}]}), timeout=600)
        plane.run(["mac", "add", "lan", SINK, "sink"])
        print("| reader | frames with events, a second | told | lost | its CPU time for each, us |\n|---|---|---|---|---|")
        for what, real, told, lost, us in keeps_up(plane, sender, f"{directory}/told", args.seconds):
            print(f"| {what} | {real:,.0f} | {told:,} | {lost:,} | {us:.1f} |", flush=True)
        found = frame_costs(plane, sender, f"{directory}/told", args.rounds)
    print("\n| reader | CPU time for a frame, ns: median (quartiles) | against none |\n|---|---|---|")
    for what, each in found.items():
        print(f"| {what} | {middle(each, ',.0f')} | {middle([a / b for a, b in zip(each, found['none'])], '.2f')} |")


if __name__ == "__main__":
    main()
