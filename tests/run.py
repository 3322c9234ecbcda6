#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs the suites and counts.

usage: tests/run.py [-k PATTERN] [-v] [SUITE...]      suites, in order: lint check san valgrind vectors kernel netns vm

Each suite is built (`make build-SUITE`), then run with a time limit, its output in build/logs/SUITE.log. What a failure
printed is shown. A suite that ran no test has failed. A skip fails as well, unless tests/skips.txt lists it.
The last line is "N passed, N failed, N skipped"; exit 1 if anything failed. tests/matrix runs it in emulated guests: with
what is built already (--built), a list of tests to leave out there (--leave), a time limit (--limit), results for a
program (--json) and, in the environment, VPT_SLOW: how many times longer than usual a test may wait.
"""
import argparse
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = "build/logs"
TOTAL_SECONDS = 2250  # .ci/run gives `make test` 2340
TAIL_LINES = 60
LIMITS = {"lint": 600, "check": 120, "san": 300, "valgrind": 420, "vectors": 300, "kernel": 240, "netns": 1200,
          "vm": 1000}
# Of the namespace tests: about half of the time.
BESIDE = ["test_matrix.py", "test_crash.py", "test_undo.py", "test_rollback.py", "test_propagate.py", "test_import.py"]
SLOW = float(os.environ.get("VPT_SLOW", "1"))
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


class Result:
    """One test: its id SUITE/FILE::TEST, what became of it and why."""

    def __init__(self, name, status, why=""):
        self.name, self.status, self.why = name, status, why.strip()


class Job:
    """A process in a session of its own, writing to a log; stop() ends the whole session."""

    def __init__(self, command, log, env=None):
        self.log = log
        self.started = time.monotonic()
        self.timed_out = False
        with open(log, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                            env={**clean_env(), **(env or {})}, start_new_session=True)
        RUNNING.append(self)

    def wait(self, limit):
        """Its exit code; beyond the limit it is interrupted (pytest then still writes its report), then killed."""
        code = self._wait(max(1, limit - (time.monotonic() - self.started)))
        if code is None:
            self.timed_out = True
            self._signal(signal.SIGINT)
            code = self._wait(20)
        self._signal(signal.SIGKILL)  # also what it left behind
        if code is None:
            code = self._wait(5)
        RUNNING.remove(self)
        return -signal.SIGKILL if code is None else code

    def _wait(self, seconds):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def _signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def text(self):
        """What it printed."""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def tail(self):
        """The last lines of what it printed."""
        return "\n".join(self.text().splitlines()[-TAIL_LINES:])


RUNNING = []


def clean_env():
    """Our environment less make's own variables: a make below us must not look for this one's job server."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    env.update(PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1", PYTHONPATH=f"{TOP}/tests", LC_ALL="C.UTF-8")
    return env


def describe(code, job):
    """Why a process counts as failed, in words."""
    if job.timed_out:
        return "time limit"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit {code}"


# ---- readers of results ----------------------------------------------------------------------------------------------

TAP_LINE = re.compile(r"^(ok|not ok) (\d+)(?: - (.*)| # SKIP ?(.*))$")


def read_tap(prefix, job, code):
    """cmocka's TAP: a skip says "not ok N # SKIP NAME", its cause stands on the lines before it, if anywhere."""
    results, before = [], []
    for line in job.text().splitlines():
        found = TAP_LINE.match(line)
        if not found:
            before.append(line)
            # The comments after a failed test are its cause.
            if line.startswith("#") and results and results[-1].status == FAILED and not line.startswith("# not ok"):
                results[-1].why += line + "\n"
            continue
        verdict, _, name, skipped = found.groups()
        if skipped is not None:
            results.append(Result(f"{prefix}::{skipped.strip()}", SKIPPED, "\n".join(before[-3:])))
        else:
            results.append(Result(f"{prefix}::{name.strip()}", PASSED if verdict == "ok" else FAILED))
        before = []
    if code != 0 and not any(r.status == FAILED for r in results):
        results.append(Result(prefix, FAILED, f"{describe(code, job)}\n{job.tail()}"))
    return results


def read_lines(prefix, job, code):
    """Lines `ok NAME`, `skip NAME: REASON` and `FAIL NAME: REASON`; what follows the latter belongs to it."""
    results = []
    for line in job.text().splitlines():
        found = re.match(r"^(ok|skip|FAIL) ([^:]+)(?:: (.*))?$", line)
        if found:
            status = {"ok": PASSED, "skip": SKIPPED, "FAIL": FAILED}[found.group(1)]
            results.append(Result(f"{prefix}::{found.group(2).strip()}", status, found.group(3) or ""))
        elif results and results[-1].status == FAILED:
            results[-1].why += "\n" + line.removeprefix("    ")
    if code != 0 and not any(r.status == FAILED for r in results):
        results.append(Result(prefix, FAILED, f"{describe(code, job)}\n{job.tail()}"))
    return results


def read_junit(prefix, report, job, code):
    """pytest's report; exit 5 means that nothing was collected, which the caller judges."""
    results = []
    try:
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        cases = []
        if code == 0:
            results.append(Result(prefix, FAILED, "pytest wrote no report"))
    for case in cases:
        name = f"{prefix}/{case.get('classname', '').split('.')[-1]}::{case.get('name')}"
        bad = [c for c in case if c.tag in ("failure", "error")]
        skip = case.find("skipped")
        if bad:
            results.append(Result(name, FAILED, "\n".join((c.text or c.get("message") or "").strip() for c in bad)))
        elif skip is not None:
            results.append(Result(name, SKIPPED, skip.get("message") or skip.text or ""))
        else:
            results.append(Result(name, PASSED))
    if job.timed_out or (code not in (0, 5) and not any(r.status == FAILED for r in results)):
        results.append(Result(prefix, FAILED, f"{describe(code, job)}\n{job.tail()}"))
    return results


# ---- suites ----------------------------------------------------------------------------------------------------------


class Suites:
    """One method per suite; each returns results and must be done by its deadline."""

    def __init__(self, pattern, built=False, leave=None, limit=None):
        self.pattern, self.built, self.leave, self.limit = pattern, built, leave, limit
        self.deadline, self.results = 0.0, {}

    def left(self, most=1e9):
        """Seconds until the deadline, at most `most`."""
        return max(1.0, min(most, self.deadline - time.monotonic()))

    def run(self, name):
        """Builds and runs a suite."""
        if self.built:
            return getattr(self, name)()
        goals = {"netns": ["build-netns", "build-unit-root"]}.get(name, [f"build-{name}"])
        command = ["make", "--no-print-directory", f"-j{min(2, os.cpu_count() or 1)}", *goals]
        build = Job(command, f"{LOGS}/{name}-build.log")
        code = build.wait(self.left(600))
        if code != 0:
            return [Result(f"{name}/build", FAILED, f"{describe(code, build)}\n{build.tail()}")]
        return getattr(self, name)()

    def lint(self):
        """One check per tool and rule."""
        return self.script("lint", ["tests/lint.sh"])

    def valgrind(self):
        """Leaks and wild reads."""
        return self.script("valgrind", ["tests/memory.sh", *([self.pattern] if self.pattern else [])])

    def check(self):
        """Unit tests."""
        return self.cmocka("check", units("tests/unit", "build/tests"))

    def san(self):
        """Unit tests with sanitizers."""
        env = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
        return self.cmocka("san", units("tests/unit", "build/san/tests"), env=env)

    def vectors(self):
        """Frames through the programs."""
        programs = ["build/tests/vectors"] if glob.glob("tests/vectors/*.c") else []
        return self.cmocka("vectors", programs, prefix=["tests/isolate.sh"])

    def kernel(self):
        """Facts of the kernel."""
        results = []
        for source in sorted(glob.glob("tests/kernel/*.c")):
            name = os.path.basename(source)[:-2]
            if self.pattern and self.pattern not in name:
                continue
            job = Job(["tests/isolate.sh", "-n", f"build/tests/kernel/{name}"], f"{LOGS}/kernel-{name}.log")
            code = job.wait(self.left(60 * SLOW))
            status = {0: PASSED, 77: SKIPPED}.get(code, FAILED)
            why = f"{describe(code, job)}\n{job.tail()}" if status == FAILED else job.tail()
            results.append(Result(f"kernel/{name}", status, why))
        return results

    def netns(self):
        """Unit tests that need root, then namespaces: what counts no time beside all the rest; more at a time would disturb each other."""
        programs = units("tests/unit-root", "build/tests/unit-root")
        return self.cmocka("netns", programs, prefix=["tests/isolate.sh", "-n"]) + self.pytest("netns", BESIDE)

    def vm(self):
        """Real guests."""
        return self.pytest("vm")

    def script(self, name, command):
        """A suite that is one script which prints a line per check."""
        job = Job(command, f"{LOGS}/{name}.log")
        return read_lines(name, job, job.wait(self.left()))

    def cmocka(self, name, programs, prefix=(), env=None):
        """Test programs in C, one after the other."""
        env = dict(env or {}, CMOCKA_MESSAGE_OUTPUT="TAP")
        if self.pattern:
            env["CMOCKA_TEST_FILTER"] = f"*{self.pattern}*"
        results = []
        for program in programs:
            base = os.path.basename(program)
            job = Job([*prefix, program], f"{LOGS}/{name}-{base}.log", env)
            found = read_tap(f"{name}/{base}", job, job.wait(self.left()))
            if not found and not self.pattern:
                found = [Result(f"{name}/{base}", FAILED, "ran no test")]
            results += found
        return results

    def pytest(self, name, beside=()):
        """Python tests, the biggest files first; those that are `beside` the others run at the same time."""
        files = sorted(glob.glob(f"tests/{name}/test_*.py"), key=os.path.getsize, reverse=True)
        second = [f for f in files if os.path.basename(f) in beside]
        split = [some for some in ([f for f in files if f not in second], second) if some]
        jobs = []
        for number, some in enumerate(split):
            report = f"{LOGS}/{name}-{number + 1}.xml"
            if os.path.exists(report):
                os.unlink(report)
            command = ["tests/isolate.sh", "/usr/bin/python3", "-m", "pytest", "-q", "-rs", "--durations=10",
                       "-p", "no:cacheprovider", f"--junitxml={report}"]
            if self.pattern:
                command += ["-k", self.pattern]
            env = {"VPT_LEAVE": self.leave} if self.leave else {}
            jobs.append((report, Job(command + some, f"{LOGS}/{name}-{number + 1}.log", env)))
        results = []
        for report, job in jobs:
            results += read_junit(name, report, job, job.wait(self.left()))
        return results


def units(folder, built):
    """The programs built from test_*.c of a folder."""
    return [f"{built}/{os.path.basename(source)[:-2]}" for source in sorted(glob.glob(f"{folder}/test_*.c"))]


# ---- verdict ---------------------------------------------------------------------------------------------------------


def allowed_skips(path="tests/skips.txt"):
    """Regular expressions from a list of patterns and reasons; only `*` is special there."""
    patterns = []
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            words = line.split(None, 1)
            if not words or words[0].startswith("#"):
                continue
            if len(words) < 2:
                sys.exit(f"{path}:{number}: a pattern needs a reason")
            patterns.append(re.compile(".*".join(re.escape(part) for part in words[0].split("*")) + r"\Z"))
    return patterns


def judge(name, results, allowed):
    """Adds what the results themselves do not say: nothing ran, or a skip that nobody allowed."""
    for result in results:
        if result.status == SKIPPED and not any(p.match(result.name) for p in allowed):
            result.status = FAILED
            result.why = f"skipped, and tests/skips.txt does not list it: {result.why}"
    if not any(r.status != SKIPPED for r in results):
        results.append(Result(name, FAILED, "ran no test"))


def show(results, verbose):
    """Failures with their cause, skips with theirs."""
    for result in results:
        if result.status == FAILED:
            lines = result.why.splitlines() or [""]
            cut = lines if verbose or len(lines) <= TAIL_LINES else [lines[0], "...", *lines[-TAIL_LINES:]]
            print(f"FAILED {result.name}: {cut[0]}" + "".join(f"\n    {line}" for line in cut[1:]))
        elif result.status == SKIPPED:
            print(f"skipped {result.name}: " + " ".join(result.why.split()))
        elif verbose:
            print(f"passed {result.name}")


def kernel_is_healthy():
    """False when rtnl is wedged: nothing that touches a device would ever end."""
    try:
        probe = subprocess.Popen(["ip", "link", "show", "lo"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, start_new_session=True)
        return probe.wait(10) == 0
    except FileNotFoundError:
        return True
    except subprocess.TimeoutExpired:
        return False


def run_suite(name, suites, end, allowed, verbose):
    """A suite's results, judged and shown."""
    started = time.monotonic()
    suites.deadline = min(started + (suites.limit or LIMITS[name]), end)
    if started >= end:
        results = [Result(name, FAILED, "not run: no time left")]
    elif not kernel_is_healthy():
        results = [Result(name, FAILED, "not run: `ip link show lo` hangs, the kernel's rtnl is wedged; reboot")]
    else:
        try:
            results = suites.run(name)
        except OSError as error:
            results = [Result(name, FAILED, str(error))]
    judge(name, results, allowed)
    show(results, verbose)
    counts = [sum(r.status == s for r in results) for s in (PASSED, FAILED, SKIPPED)]
    seconds = time.monotonic() - started
    print("suite {}: {} passed, {} failed, {} skipped in {:.1f} s".format(name, *counts, seconds), flush=True)
    suites.results[name] = [[r.name, r.status, r.why] for r in results]
    return counts


def stop(number, _frame):
    """Asked to end: nothing of ours stays behind."""
    for job in list(RUNNING):
        try:
            os.killpg(job.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    print(f"tests/run.py: stopped by {signal.Signals(number).name}", flush=True)
    os._exit(1)


def main():
    """Parses, runs, counts."""
    parser = argparse.ArgumentParser(description="Runs the test suites and counts.")
    parser.add_argument("-k", metavar="PATTERN", default="", help="only tests whose name matches")
    parser.add_argument("-v", action="store_true", help="also name what passed, and cut nothing")
    parser.add_argument("--built", action="store_true", help="run what is built")
    parser.add_argument("--leave", metavar="FILE", help="tests to leave out: lines as in tests/skips.txt")
    parser.add_argument("--limit", metavar="SEC", type=int, help="seconds that each suite may take")
    parser.add_argument("--json", metavar="FILE", help="write {suite: [[test, result, why]]}")
    parser.add_argument("suite", nargs="*", help=" ".join(LIMITS))
    args = parser.parse_args()
    unknown = [s for s in args.suite if s not in LIMITS]
    if unknown:
        parser.error(f"no suite {unknown[0]}; there are {' '.join(LIMITS)}")
    os.chdir(TOP)
    os.makedirs(LOGS, exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    allowed = allowed_skips() + (allowed_skips(args.leave) if args.leave else [])
    suites = Suites(args.k, args.built, args.leave and os.path.abspath(args.leave), args.limit)
    end = time.monotonic() + max(TOTAL_SECONDS, args.limit or 0)
    total = [0, 0, 0]
    for name in [s for s in LIMITS if s in args.suite or not args.suite]:
        total = [a + b for a, b in zip(total, run_suite(name, suites, end, allowed, args.v))]
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(suites.results, f)
    print("{} passed, {} failed, {} skipped".format(*total), flush=True)
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
