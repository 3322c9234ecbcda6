# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What all rows share: generators that answer `run` with a line of JSON, and what may be said of their numbers."""
import json
import os
import statistics
import subprocess

from lab.net import ROOT

BUILD = f"{ROOT}/build/bench"
MEANINGLESS = 0.25      # of the ratio's median: a middle half that is wider says nothing
LINE_LIMIT = 60


class Process:
    """A helper of tests/bench/*.c that says "ready" and then obeys its standard input; ends with `net`."""

    def __init__(self, net, name, *args):
        self.command = [f"{BUILD}/{name}", *map(str, args)]
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        net.at_close(self.close)
        said = self.process.stdout.readline().strip()
        if said != "ready":
            rest = (said + "\n" + self.process.stdout.read()).strip().splitlines()
            raise RuntimeError(f"{self.command}: {' / '.join(rest[-4:])}; exit {self.process.wait(5)}")

    def ask(self, line):
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


def frames_rate(got):
    """Received frames a second, in Mpps."""
    return got.get("timed", got["received"]) / got["seconds"] / 1e6


def bits_rate(got):
    """Received Gbit/s."""
    return got["bytes"] * 8 / got["seconds"] / 1e9


def quartiles(values):
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


class Series:
    """The rounds of one subject of a row."""

    def __init__(self):
        self.rates, self.sent, self.received, self.wrong, self.late = [], 0, 0, 0, 0

    def add(self, rate, got, copies=1):
        self.rates.append(rate)
        self.sent += got["sent"] * copies
        self.received += got["received"]
        self.wrong += got.get("wrong", 0)
        self.late += got.get("late", 0)

    def as_dict(self):
        return {"rates": self.rates, "median": statistics.median(self.rates), "quartiles": quartiles(self.rates),
                "sent": self.sent, "received": self.received, "lost": max(0, self.sent - self.received),
                "wrong_checksums": self.wrong, "out_of_order": self.late}


def ratio(subject, peer, goal=None):
    """Subject against peer, from the pairs of each round; `said` is None where the spread makes it meaningless."""
    pairs = [a / b for a, b in zip(subject.rates, peer.rates)]
    low, high = quartiles(pairs)
    middle = statistics.median(pairs)
    clear = (high - low) / middle <= MEANINGLESS
    met = None if goal is None or not clear else middle >= goal
    return {"pairs": pairs, "median": middle, "quartiles": (low, high), "said": middle if clear else None, "goal": goal,
            "met": met}


def environment():
    """Where and when the numbers were taken."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        models = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    commit = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "describe", "--always", "--dirty"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout.strip()
    return {"kernel": os.uname().release, "cpus": os.cpu_count(), "cpu": models[0] if models else "",
            "load": os.getloadavg(), "build": commit}
