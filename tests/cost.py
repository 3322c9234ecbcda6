#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes tests/vectors/cost.txt anew for this kernel and clang: what the programs cost now is the new measure.

usage: tests/cost.py      (see tests/vectors/test_cost.c; build/tests/vectors must be built)"""
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASELINE, FOUND = f"{TOP}/tests/vectors/cost.txt", f"{TOP}/build/cost.txt"
HEAD = """# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# KERNEL CLANG PROGRAM WHAT NUMBER: instructions and verifier states, see tests/vectors/test_cost.c; made by `make cost`.
"""


def figures(name):
    """{(kernel, clang): its lines} of a file."""
    out = {}
    if os.path.exists(name):
        with open(name, encoding="ascii") as f:
            for line in f:
                if not line.startswith("#"):
                    out.setdefault(tuple(line.split()[:2]), []).append(line)
    return out


def main():
    """Runs the vectors' cost tests, which write what they find; other kernels' figures stay."""
    subprocess.run([f"{TOP}/tests/isolate.sh", f"{TOP}/build/tests/vectors", "cost_of"], cwd=TOP, check=True,
                   env={**os.environ, "VP_COST": FOUND}, stdout=subprocess.DEVNULL)
    found = {**figures(BASELINE), **figures(FOUND)}
    with open(BASELINE, "w", encoding="ascii") as f:
        f.write(HEAD + "".join(line for key in sorted(found) for line in found[key]))
    print(f"{BASELINE}: {', '.join(' and clang '.join(key) for key in figures(FOUND))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
