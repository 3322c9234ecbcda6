#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The suites on other kernels, each booted in QEMU, all kernels at once.

usage: tests/isolate.sh tests/matrix/run.py [-k PATTERN] [--record] [--rest] [SERIES | SUITE]...

For each SERIES (6.1: Debian 12's own kernel, 6.12: that of its backports):

    vectors kernel netns    inside a guest with this machine's userland (native.py), less what leave.txt lists; what
                            lacks.txt names for the series is expected to be skipped there
    nic                     tests/vm/test_uplink.py: a machine with an emulated e1000e and a virtio-net NIC
    veth                    the tests of this directory: XDP on a veth, where it can do no harm

Results are in build/matrix/kernels.json, logs in build/matrix/SERIES.  --record keeps those of each suite that was run
whole in docs/kernels.json and writes the table in README.md, failures included.  --rest runs what of the suites inside
the guest has not passed in the last run (it was cut short, or failed), and adds it to what has.
"""
import argparse
import fnmatch
import glob
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from importlib.util import module_from_spec, spec_from_file_location

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
TOP = os.path.dirname(TESTS)
OUT = f"{TOP}/build/matrix"
sys.path[:0] = [HERE, f"{TESTS}/vm", TESTS]

import backports  # noqa: E402
import table  # noqa: E402
from lab import Net, net  # noqa: E402
from native import Native  # noqa: E402
from vmlab import unpacked  # noqa: E402

# Emulation is slow, and so is a machine that is shared.
SLOW = int(os.environ.get("VPT_SLOW", "8"))
INSIDE = {"vectors": 900, "kernel": 400, "netns": 3600}
# Name: what its tests are called in tests/skips.txt and lacks.txt, where they are, seconds.
OUTSIDE = {"nic": ("vm", "tests/vm/test_uplink.py", 500), "veth": ("veth", "tests/matrix", 500)}
SUITES = [*INSIDE, *OUTSIDE]
BEFORE = "has passed in the last run"
LOCK = threading.Lock()


def load(name, path):
    """A module whose name is taken already."""
    spec = spec_from_file_location(name, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


runner = load("runner", f"{TESTS}/run.py")


def say(text):
    """A whole line, whichever thread it comes from."""
    with LOCK:
        print(text, flush=True)


def passed_before(logs, names):
    """{test: its result} of what has passed in the last run."""
    done = {}
    for path in (f"{logs}/{name}.json" for name in names):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                found = [runner.Result(*r) for results in json.load(f).values() for r in results]
            done.update({r.name: r for r in found if r.status == runner.PASSED})
    return done


def expected(series, path, done):
    """leave.txt, the series' lines of lacks.txt, and what was run before, in one file, for tests/run.py."""
    with open(f"{HERE}/leave.txt", encoding="utf-8") as f:
        lines = f.readlines()
    with open(f"{HERE}/lacks.txt", encoding="utf-8") as f:
        lines += [line.split(None, 1)[1] for line in f if line.split()[:1] == [series]]
    lines += [re.sub(r"\s", "*", name) + " " + BEFORE + "\n" for name in done]
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(lines)


class Series:
    """One kernel: everything it is to be asked, one after the other."""

    def __init__(self, series, names, pattern, rest):
        self.series, self.names, self.pattern = series, names, pattern
        self.logs = f"{OUT}/{series}"
        os.makedirs(self.logs, exist_ok=True)
        self.done = passed_before(self.logs, [n for n in names if n in INSIDE]) if rest else {}
        expected(series, f"{self.logs}/leave.txt", self.done)
        self.release, self.results, self.seconds = "", {}, {}

    def run(self):
        """Everything; whatever goes wrong is a failure of the suite that it happened in."""
        began = time.monotonic()
        try:
            tree = unpacked(backports.full(self.series), meta=True)
            self.release = os.path.basename(glob.glob(f"{tree}/lib/modules/*")[0])
            if set(self.names) & set(INSIDE):
                self.inside()
        except Exception as error:      # pylint: disable=broad-except
            for name in (n for n in self.names if n in INSIDE and n not in self.results):
                why = f"{type(error).__name__}: {error}"
                self.keep(name, [runner.Result(f"{name}/boot", runner.FAILED, why)], began)
        for name, (prefix, path, limit) in OUTSIDE.items():
            if name in self.names:
                self.outside(name, prefix, path, limit)

    def keep(self, name, results, began):
        """Notes a suite's results and says how many there are of each."""
        self.results[name], self.seconds[name] = results, round(time.monotonic() - began)
        counts = [sum(r.status == s for r in results) for s in (runner.PASSED, runner.FAILED, runner.SKIPPED)]
        text = [f"{self.series} {name}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped "
                f"in {self.seconds[name]} s"]
        for r in results:
            if r.status == runner.FAILED:
                text.append(f"FAILED {self.series} {r.name}:\n    " + "\n    ".join(r.why.splitlines()[-40:]))
        say("\n".join(text))

    def inside(self):
        """The suites that run in the guest."""
        with Net(f"native-{self.series}") as made:
            guest = Native(made, self.series, self.logs).start().wait(600)
            pick = f"-k '{self.pattern}'" if self.pattern else ""
            for name, limit in ((n, s) for n, s in INSIDE.items() if n in self.names):
                began = time.monotonic()
                guest.run(f"export VPT_SLOW={SLOW}; python3 tests/run.py --built --limit {limit} {pick} "
                          f"--leave build/logs/leave.txt --json build/logs/{name}.json {name} >build/logs/{name}.out",
                          check=False, timeout=limit + 120)
                with open(f"{self.logs}/{name}.json", encoding="utf-8") as f:
                    found = [runner.Result(*r) for r in json.load(f)[name]]
                if self.done:
                    found = self.with_before(name, found)
                self.keep(name, self.without_emptiness(name, found), began)
            oops = guest.run("dmesg | grep -E 'Oops|BUG:|WARNING:|general protection|blocked for more'", check=False)[1]
            self.keep("dmesg", [runner.Result("dmesg", runner.FAILED if oops else runner.PASSED, oops)], began)

    def with_before(self, name, found):
        """What has passed in the last run stands for what was left out for that reason, and is kept with the rest."""
        mine = {n: r for n, r in self.done.items() if n.startswith(f"{name}/")}
        found = [r for r in found if r.name not in mine or r.why != BEFORE]
        found += [r for n, r in mine.items() if n not in {r.name for r in found}]
        with open(f"{self.logs}/{name}.json", "w", encoding="utf-8") as f:
            json.dump({name: [(r.name, r.status, r.why) for r in found]}, f)
        return found

    def without_emptiness(self, name, results):
        """With a pattern a suite may have nothing to run."""
        return [r for r in results if not (self.pattern and r.name == name and r.why == "ran no test")]

    def outside(self, name, prefix, path, limit):
        """A suite of pytest that boots its own machine with this kernel."""
        began = time.monotonic()
        report = f"{self.logs}/{name}.xml"
        command = ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", f"--junitxml={report}",
                   path, *(["-k", self.pattern] if self.pattern else [])]
        job = runner.Job(command, f"{self.logs}/{name}.log", {"VPT_KERNEL": backports.full(self.series), "VPT_SLOW": str(SLOW)})
        results = runner.read_junit(prefix, report, job, job.wait(limit))
        runner.judge(name, results, runner.allowed_skips() + runner.allowed_skips(f"{self.logs}/leave.txt"))
        self.keep(name, self.without_emptiness(name, results), began)

    def cause(self, result):
        """Why a test was skipped: what lacks.txt says of it, else its own word."""
        with open(f"{HERE}/lacks.txt", encoding="utf-8") as f:
            lines = [line.split(None, 2) for line in f if line.split()[:1] == [self.series]]
        for _, pattern, reason in lines:
            if fnmatch.fnmatchcase(result.name, pattern):
                return reason.strip()
        return " ".join(result.why.split())

    def summary(self):
        """What docs/kernels.json keeps of it."""
        suites = {}
        with open(f"{HERE}/leave.txt", encoding="utf-8") as f:
            left = {line.split(None, 1)[1].strip() for line in f if line.startswith("netns/")}
        for name, results in self.results.items():
            skips = [(self.cause(r), r.name) for r in results if r.status == runner.SKIPPED]
            suites[name] = {
                "date": time.strftime("%Y-%m-%d"), "seconds": self.seconds[name],
                "passed": sum(r.status == runner.PASSED for r in results),
                "failed": sorted(r.name for r in results if r.status == runner.FAILED),
                "lacking": by_cause(skip for skip in skips if skip[0] not in left),
                "left_out": by_cause(skip for skip in skips if skip[0] in left),
            }
        return {"release": self.release, "suites": suites}


def by_cause(skips):
    """{cause: {test without its parameters: how many}}"""
    causes = {}
    for why, name in skips:
        tests = causes.setdefault(why, {})
        name = name.split("[")[0]
        tests[name] = tests.get(name, 0) + 1
    return causes


def stop(_number, _frame):
    """Asked to end: the suites' processes go, and the guests."""
    for job in list(runner.RUNNING):
        try:
            os.killpg(job.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    net.close_all()
    os._exit(1)


def main():
    """Parses, runs all series at once, records."""
    parser = argparse.ArgumentParser(description="Runs the suites on other kernels, in QEMU.")
    parser.add_argument("-k", metavar="PATTERN", default="", help="only tests whose name matches")
    parser.add_argument("--record", action="store_true", help="write docs/kernels.json and the table in README.md")
    parser.add_argument("--rest", action="store_true", help="only what has not passed in the last run")
    parser.add_argument("what", nargs="*", help=" ".join(backports.SERIES + SUITES))
    args = parser.parse_args()
    unknown = [word for word in args.what if word not in backports.SERIES + SUITES]
    if unknown:
        parser.error(f"there is no {unknown[0]}")
    os.chdir(TOP)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    os.makedirs(OUT, exist_ok=True)
    began = time.monotonic()
    names = [word for word in args.what if word in SUITES] or SUITES
    all_series = [Series(s, names, args.k, args.rest) for s in backports.SERIES if s in args.what or not set(args.what) - set(SUITES)]
    threads = [threading.Thread(target=s.run, daemon=True) for s in all_series]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = round(time.monotonic() - began)
    found = {s.series: s.summary() for s in all_series}
    with open(f"{OUT}/kernels.json", "w", encoding="utf-8") as f:
        json.dump(found, f, indent=1)
        f.write("\n")
    suites = [suite for kernel in found.values() for suite in kernel["suites"].values()]
    failed = sum(len(suite["failed"]) for suite in suites)
    print("{} passed, {} failed, {} lacking, {} left out in {} s".format(
        sum(suite["passed"] for suite in suites), failed, sum(table.count(suite["lacking"]) for suite in suites),
        sum(table.count(suite["left_out"]) for suite in suites), seconds))
    if args.record and args.k:
        sys.exit("not recorded: only whole suites are")
    if args.record:
        table.record(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
