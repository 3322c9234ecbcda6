# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What all rows share: generators that answer `run` with a line of JSON, and what may be said of their numbers."""
import contextlib
import json
import os
import statistics
import subprocess
import time

from lab.net import ROOT

BUILD = f"{ROOT}/build/bench"
MEANINGLESS = 0.25      # of the ratio's median: a middle half that is wider says nothing
LINE_LIMIT = 60


class Process:
    """A helper of tests/bench/*.c that says "ready" and then obeys its standard input; ends with `net`."""

    def __init__(self, net, name, *args):
        self.command = [f"{BUILD}/{name}", *map(str, args)]
        # Before whatever else this machine does; the kernel's own threads excepted.
        self.process = subprocess.Popen(["nice", "-n", "-20", *self.command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.around = contextlib.nullcontext    # what holds only while it is asked
        net.at_close(self.close)
        said = self.process.stdout.readline().strip()
        if said != "ready":
            rest = (said + "\n" + self.process.stdout.read()).strip().splitlines()
            raise RuntimeError(f"{self.command}: {' / '.join(rest[-4:])}; exit {self.process.wait(5)}")

    def ask(self, line):
        with self.around():
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.command}: exit {self.process.wait(5)}")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Absent(Exception):
    """A peer that this machine does not have; the row goes on without it."""


class NoDrop(Process):
    """The most frames a second of which none is lost, found by halving as RFC 2544 does it: each trial with numbers on
    the frames, its full time, and a second chance, since a neighbour on the machine takes the CPU at times."""
    TRIALS = 7

    def ask(self, line):
        ms = int(line.split()[1]) // 2
        peak = super().ask(line)
        low, high, best = 0.0, peak["sent"] / peak["seconds"], None
        for _ in range(self.TRIALS):
            rate = (low + high) / 2
            got = next((g for g in (super(NoDrop, self).ask(f"run {ms} {rate:.0f}") for _ in range(2))
                        if g["received"] == g["sent"] and not g["late"]), None)
            low, high, best = (rate, high, got) if got else (low, rate, best)
        return best or {**peak, "received": 0}


class Wall(Process):
    """A generator that gives CPU time, asked for wall clock."""

    def ask(self, line):
        got = super().ask(line)
        return {**got, "seconds": got["wall"] or 1}


def frames_rate(got):
    """Received frames a second, in Mpps."""
    return got["received"] / got["seconds"] / 1e6


def bits_rate(got):
    """Received Gbit/s."""
    return got["bytes"] * 8 / got["seconds"] / 1e9


def nanoseconds(got):
    return got["ns"]


def quartiles(values):
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


class Series:
    """The rounds of one subject of a row."""

    def __init__(self):
        self.rates, self.sent, self.received, self.wrong, self.late = [], 0, 0, 0, 0

    def add(self, rate, got, copies=1):
        self.rates.append(rate)
        self.sent += got.get("sent", 0) * copies
        self.received += got.get("received", 0)
        self.wrong += got.get("wrong", 0)
        self.late += got.get("late", 0)

    def as_dict(self):
        return {"rates": self.rates, "median": statistics.median(self.rates), "quartiles": quartiles(self.rates),
                "sent": self.sent, "received": self.received, "lost": max(0, self.sent - self.received),
                "wrong_checksums": self.wrong, "out_of_order": self.late}


def ratio(subject, peer, goal=None):
    """Subject against peer, from the pairs of each round; `said` is None where the spread makes it meaningless."""
    pairs = [a / b if b else float("inf") for a, b in zip(subject.rates, peer.rates)]
    if float("inf") in pairs:
        return {"pairs": [], "median": None, "quartiles": (0, 0), "said": None, "goal": goal, "met": None}
    low, high = quartiles(pairs)
    middle = statistics.median(pairs)
    clear = (high - low) / middle <= MEANINGLESS
    met = None if goal is None or not clear else round(middle, 2) >= goal
    return {"pairs": pairs, "median": middle, "quartiles": (low, high), "said": middle if clear else None, "goal": goal,
            "met": met}


def difference(one, base):
    """Nanoseconds that `one` takes more than its base, from the pairs of each round; `said` is None where the middle
    half of them is wider than 5 ns and than a quarter."""
    pairs = [a - b for a, b in zip(one.rates, base.rates)]
    low, high = quartiles(pairs)
    middle = statistics.median(pairs)
    return {"median": middle, "quartiles": (low, high),
            "said": middle if high - low <= max(5, MEANINGLESS * abs(middle)) else None}


def system_call():
    """What the least system call takes, in ns: what a TAP's owner pays for a frame before the kernel does anything."""
    def loop(call, n=100_000):
        start = time.perf_counter()
        for _ in range(n):
            call()
        return 1e9 * (time.perf_counter() - start) / n
    return round(min(loop(os.getppid) - loop(bool) for _ in range(5)))


def environment():
    """Where and when the numbers were taken."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in f)}
    cpu = " family ".join(told[key] for key in ("model name", "cpu family") if key in told)
    commit = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "describe", "--always", "--dirty"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout.strip()
    with open("/sys/devices/system/clocksource/clocksource0/current_clocksource", encoding="ascii") as f:
        clock = f.read().strip()
    return {"kernel": os.uname().release, "cpus": os.cpu_count(), "cpu": cpu, "clock": clock,
            "system_call": system_call(), "load": os.getloadavg(), "build": commit, "time": time.strftime("%Y-%m-%d %H:%M", time.gmtime())}
