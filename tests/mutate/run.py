#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Breaks the code on purpose, one line at a time: each mutation must turn its check red.

usage: tests/mutate/run.py [PATTERN]        only lines of tests/mutate/list.txt that contain PATTERN
       tests/mutate/run.py --stale         lines whose sed changes nothing any more; `make lint` asks

A line of the list is `FILE ; SED-EXPRESSION ; CHECK`. All happens in a scratch copy of the tree: every distinct CHECK
is first seen green, then for each line FILE is changed by `sed`, `make` must still build, and CHECK must fail within
300 s. Broken: sed changed nothing, the build failed, the verifier refused the program (then no test did), or CHECK was
not green to begin with.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIST = f"{TOP}/tests/mutate/list.txt"
LIMIT = 300
VERIFIER = re.compile(r"BEGIN PROG LOAD LOG|prog '\w+': failed to load|failed to load object|rejected by the verifier")


def environment():
    """Ours less make's own variables, without installing anything; the first failure is enough."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "K")}
    return dict(env, INSTALL="0", PYTHONDONTWRITEBYTECODE="1", FAIL_FAST="1", PYTEST_ADDOPTS="-x")


def shell(command, folder, limit=LIMIT):
    """(exit code or None for the time limit, output); ends the whole session afterwards."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(["/bin/bash", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT, env=environment(), start_new_session=True)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
        out.seek(0)
        return code, out.read().decode("utf-8", "replace")


def read_list(pattern):
    """[(line number, file, sed expression, check)]"""
    lines = []
    with open(LIST, encoding="utf-8") as f:
        for number, text in enumerate(f, 1):
            text = text.strip()
            if not text or text.startswith("#") or pattern not in text:
                continue
            parts = [part.strip() for part in text.split(" ; ")]
            if len(parts) < 3:
                sys.exit(f"{LIST}:{number}: want FILE ; SED-EXPRESSION ; CHECK")
            lines.append((number, parts[0], " ; ".join(parts[1:-1]), parts[-1]))
    return lines


def stale(name, expression):
    """Whether there is nothing any more that it could change."""
    path = f"{TOP}/{name}"
    if not os.path.isfile(path):
        return True
    done = subprocess.run(["sed", "-e", expression, path], stdout=subprocess.PIPE, check=False)
    with open(path, "rb") as f:
        return done.returncode != 0 or done.stdout == f.read()


def copy_tree(scratch):
    """What git knows or would know, and build/, with their times so that nothing is built twice."""
    names = subprocess.run(["git", "-c", f"safe.directory={TOP}", "ls-files", "-zco", "--exclude-standard"], cwd=TOP,
                           check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    for name in filter(None, names):
        if os.path.isfile(f"{TOP}/{name}"):
            os.makedirs(os.path.dirname(f"{scratch}/{name}"), exist_ok=True)
            shutil.copy2(f"{TOP}/{name}", f"{scratch}/{name}")
    shutil.copytree(f"{TOP}/build", f"{scratch}/build", symlinks=True,
                    ignore=shutil.ignore_patterns("logs", "fuzz", "mutate*", "boot", "deb"))


def indent(text, lines=15):
    """The last lines, for people."""
    return "\n".join("    " + line for line in text.splitlines()[-lines:])


class Mutator:
    """The scratch tree and the tally."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.tally = {"red": 0, "green": 0, "broken": 0}
        self.not_green = set()

    def see_green(self, checks):
        """Each check must pass on the code as it is."""
        for check in checks:
            code, text = shell(check, self.scratch)
            print(f"{'green' if code == 0 else 'NOT GREEN'} unchanged: {check}", flush=True)
            if code != 0:
                self.not_green.add(check)
                print(indent(text), flush=True)

    def judge(self, path, expression, check):
        """(red, green or broken; why)"""
        if check in self.not_green:
            return "broken", "its check fails without it"
        with open(path, "rb") as f:
            before = f.read()
        done = subprocess.run(["sed", "-i", "-e", expression, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
        if done.returncode != 0:
            return "broken", done.stdout.decode().strip()
        try:
            with open(path, "rb") as f:
                if f.read() == before:
                    return "broken", "sed changed nothing"
            code, text = shell("make -s -j2 all", self.scratch)
            if code != 0:
                return "broken", "does not build\n" + indent(text)
            code, text = shell(check, self.scratch)
            if code == 0:
                return "green", "its check does not notice"
            if VERIFIER.search(text):
                return "broken", "the verifier refused the program, so no test was needed\n" + indent(text)
            if re.search(r"FAILED \w+/build:", text):
                return "broken", "the tests do not build\n" + indent(text)
            return "red", "time limit" if code is None else ""
        finally:
            with open(path, "wb") as f:  # a new time, so that it is built again
                f.write(before)

    def mutate(self, number, name, expression, check):
        """One line of the list."""
        started = time.monotonic()
        path = f"{self.scratch}/{name}"
        if os.path.isfile(path):
            verdict, why = self.judge(path, expression, check)
        else:
            verdict, why = "broken", "no such file"
        self.tally[verdict] += 1
        mark = verdict if verdict == "red" else verdict.upper()
        print(f"{mark} list.txt:{number}: {name} ; {expression} ; {check} ({time.monotonic() - started:.0f} s)"
              + (f": {why}" if why else ""), flush=True)


def main():
    """Parses, copies, mutates, counts."""
    if sys.argv[1:] == ["--stale"]:
        old = [f"{LIST}:{number}: {name} ; {sed}" for number, name, sed, _ in read_list("") if stale(name, sed)]
        print("\n".join(old), end="\n" if old else "")
        return 1 if old else 0
    if len(sys.argv) > 2 or (len(sys.argv) == 2 and sys.argv[1].startswith("-")):
        sys.exit("usage: tests/mutate/run.py [PATTERN]")
    lines = read_list(sys.argv[1] if len(sys.argv) == 2 else "")
    if not lines:
        sys.exit("tests/mutate: no mutation matches")
    with tempfile.TemporaryDirectory(prefix="vpeer-mutate-") as scratch:
        copy_tree(scratch)
        code, text = shell("make -s -j2 all", scratch, 600)
        if code != 0:
            sys.exit("tests/mutate: the unchanged tree does not build\n" + indent(text))
        mutator = Mutator(scratch)
        mutator.see_green(dict.fromkeys(check for _, _, _, check in lines))
        for line in lines:
            mutator.mutate(*line)
    tally = mutator.tally
    print(f"{tally['red']} red, {tally['green']} green, {tally['broken']} broken")
    return 0 if tally["green"] == tally["broken"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
