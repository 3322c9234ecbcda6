#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The table of kernels in README.md, made from docs/kernels.json: what ran on which kernel, and what came of it.

usage: tests/matrix/table.py            writes the table between its marks
       tests/matrix/table.py --check    fails if README.md has another one (make lint)
"""
import json
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RESULTS, README = f"{TOP}/docs/kernels.json", f"{TOP}/README.md"
BEGIN, END = "<!-- kernels: written by `make matrix RECORD=1` -->\n", "<!-- kernels end -->\n"


def count(causes):
    """How many tests there are in {cause: {test: how many}}."""
    return sum(sum(tests.values()) for tests in causes.values())


def cell(suite):
    """What came of a suite: passed, then failed and skipped if there are any."""
    if suite is None:
        return "not run"
    words = [str(suite["passed"])]
    if suite["failed"]:
        words.append(f"**{len(suite['failed'])} failed**")
    for key, word in (("lacking", "lacking"), ("left_out", "left out")):
        if suite[key]:
            words.append(f"{count(suite[key])} {word}")
    return ", ".join(words)


def lacks(kernel):
    """What the kernel does not have, as the skipped tests say."""
    causes = {why: None for suite in kernel["suites"].values() for why in suite["lacking"]}
    return [f"* {kernel['release']}: {why}" for why in causes]


def table(found):
    """The text between the marks."""
    names = ["vectors", "kernel", "netns", "nic", "veth"]
    lines = ["| kernel | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1)]
    for kernel in found.values():
        lines.append(f"| {kernel['release']} | " + " | ".join(cell(kernel["suites"].get(n)) for n in names) + " |")
    lines += ["", "The numbers are tests that passed; `docs/kernels.json` names the others, each with its cause, and when it "
              "was run. What a kernel lacks:", ""]
    lines += [line for kernel in found.values() for line in lacks(kernel)]
    return "\n".join(lines) + "\n"


def parts():
    """README.md before the marks, between them and after them."""
    with open(README, encoding="utf-8") as f:
        text = f.read()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit("README.md: the marks of the table of kernels are not there once each")
    head, rest = text.split(BEGIN)
    middle, tail = rest.split(END)
    return head, middle, tail


def results():
    """What docs/kernels.json has."""
    with open(RESULTS, encoding="utf-8") as f:
        return json.load(f)


def write():
    """Puts the table into README.md."""
    head, _, tail = parts()
    with open(README, "w", encoding="utf-8") as f:
        f.write(head + BEGIN + table(results()) + END + tail)


def record(found):
    """Keeps the results of the suites that were run, and shows them in README.md."""
    kept = results() if os.path.exists(RESULTS) else {}
    for series, kernel in found.items():
        old = kept.setdefault(series, {"suites": {}})
        if old.get("release") != kernel["release"]:
            old["suites"] = {}
        old["release"] = kernel["release"]
        old["suites"].update(kernel["suites"])
    with open(RESULTS, "w", encoding="utf-8") as f:
        json.dump(kept, f, indent=1)
        f.write("\n")
    write()


def main():
    """Writes or checks."""
    if sys.argv[1:] == ["--check"]:
        if parts()[1] != table(results()):
            sys.exit("README.md: the table of kernels is not that of docs/kernels.json: run tests/matrix/table.py")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
