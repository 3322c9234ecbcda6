#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The table of kernels in README.md, made from docs/kernels.json: what ran on which kernel, and what came of it.

usage: tests/matrix/table.py            writes the table between its marks
       tests/matrix/table.py --check    fails if README.md has another one (make lint)
"""
import json
import os
import shutil
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RESULTS, README = f"{TOP}/docs/kernels.json", f"{TOP}/README.md"
BEGIN, END = "<!-- kernels: written by `make matrix RECORD=1` -->\n", "<!-- kernels end -->\n"


def count(causes):
    """How many tests there are in {cause: {test: how many}}."""
    return sum(sum(tests.values()) for tests in causes.values())


def cell(suite):
    """What came of a suite: passed, then failed and skipped if there are any."""
    words = [str(suite["passed"])]
    if suite["failed"]:
        words.append(f"**{len(suite['failed'])} failed**")
    for key, word in (("lacking", "lack the kernel's help"), ("left_out", "left out")):
        if suite[key]:
            words.append(f"{count(suite[key])} {word}")
    return ", ".join(words)


def lacks(kernel):
    """What the kernel does not have, as the skipped tests say."""
    causes = {why: None for suite in kernel["suites"].values() for why in suite["lacking"]}
    return [f"* {kernel['release']}: {why}" for why in causes]


def table(found):
    """The text between the marks."""
    names = [n for n in next(iter(found["kernels"].values()))["suites"] if n not in ("boot", "dmesg")]
    lines = ["| kernel | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1)]
    for kernel in found["kernels"].values():
        lines.append(f"| {kernel['release']} | " + " | ".join(cell(kernel["suites"][n]) for n in names) + " |")
    lines += ["", f"Tests that passed on {found['date']}, in {found['seconds'] // 60} minutes; `docs/kernels.json` names the "
              "others with the cause. What a kernel lacks for them:", ""]
    lines += [line for kernel in found["kernels"].values() for line in lacks(kernel)]
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
    with open(RESULTS, encoding="utf-8") as f:
        return json.load(f)


def write():
    head, _, tail = parts()
    with open(README, "w", encoding="utf-8") as f:
        f.write(head + BEGIN + table(results()) + END + tail)


def record(source):
    """Keeps the results of a run, and shows them in README.md."""
    shutil.copyfile(source, RESULTS)
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
