#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""docs/compat.md: which protocols were tested between which devices, as the suite itself says.

usage: tests/compat.py write        make docs/compat.md of what the last run left in build/compat (`make compat` runs it)
       tests/compat.py check        does the committed table have exactly the cells that the suite has, all passed?

Cells come from tests/lab/grid.py. The Recorder is a pytest plugin that notes what became of each test with a parameter
`cell`. A cell that was not run makes `write` fail: nothing is ever claimed that was not seen.
"""
import json
import os
import platform
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, f"{TOP}/tests")

from lab import grid  # noqa: E402

FOLDER, TABLE = f"{TOP}/build/compat", f"{TOP}/docs/compat.md"
COMMAND = "make compat"
SIGNS = {"segment": "S", "binding": "B", "trunk": "T"}
NOT_TESTED = "-"


class Recorder:
    """Writes build/compat/SUITE.json at the end of a run that tested cells."""

    def __init__(self):
        self.suites = {}

    def pytest_runtest_makereport(self, item, call):
        """Called for set-up, test and clean-up; the first of them that fails is what counts."""
        cell = getattr(getattr(item, "callspec", None), "params", {}).get("cell")
        if cell is not None:
            cells = self.suites.setdefault(os.path.basename(os.path.dirname(item.fspath)), {})
            if call.excinfo is not None:
                cells[str(cell)] = "FAILED"
            else:
                cells.setdefault(str(cell), "passed")

    def pytest_sessionfinish(self):
        """The run is over."""
        for suite, cells in self.suites.items():
            os.makedirs(FOLDER, exist_ok=True)
            with open(f"{FOLDER}/{suite}.json", "w", encoding="ascii") as f:
                json.dump({"kernel": platform.release(), "date": time.strftime("%Y-%m-%d"), "cells": cells}, f, indent=1)


def results(suite):
    """What the last run of a suite left, or sys.exit."""
    try:
        with open(f"{FOLDER}/{suite}.json", encoding="ascii") as f:
            return json.load(f)
    except FileNotFoundError:
        sys.exit(f"tests/compat.py: {suite} has left no result in build/compat: run `{COMMAND}`")


def verdict(cells, rows, protocol):
    """The text of one place in the table: rows that differ in their link only share a line."""
    out = ""
    for row in rows:
        state = cells.get(str(grid.Cell(row, protocol)))
        if state is not None:
            out += SIGNS[row.link] if state == "passed" else "FAILED"
    return out or NOT_TESTED


def table(rows, protocols, cells):
    """The lines of one table."""
    yield f"| devices | carrier | TAP fd | {' | '.join(protocols)} |"
    yield "|---" * (3 + len(protocols)) + "|"
    lines = {}
    for row in rows:
        lines.setdefault(row[:4], []).append(row)
    for (one, two, carrier, mode), same in lines.items():
        same.sort(key=lambda row: grid.LINKS.index(row.link))
        yield f"| {one}, {two} | {carrier} | {mode} | {' | '.join(verdict(cells, same, p) for p in protocols)} |"


def legend(protocols):
    """What was done, a line each."""
    yield "| column | what crossed, both ways |"
    yield "|---|---|"
    for name, text in protocols.items():
        yield f"| {name} | {text} |"


def document(tested, netns, vm):
    """The whole file; `tested` is its only line that is not made from grid.py and the outcomes."""
    yield "# Devices, carriers, protocols"
    yield ""
    yield f"Made by `{COMMAND}` from what its tests found; `make lint` compares it with the tests that there are."
    yield ""
    yield tested
    yield ""
    yield from """A cell is one test. `S` = passed in a segment, `B` = passed in a binding, `T` = passed in a segment that one of the two is in
with a tag (the uplink if there is one, else the first), `SBT` = all were tested, `-` = not tested in this combination.
Each test also looks at every frame that the two guests receive: IP, TCP, UDP, ICMP and SCTP checksums, those
inside a tunnel too, must be right, or left to the reader with the mark in the right place. That each protocol test fails
without a plane between the two is a test of its own (`tests/netns/test_protocols.py`).

* devices: `tap` = a guest behind a TAP as a VM, default offloads; `veth` = a container, default offloads; `veth+gro` = the
  same with GRO on inside, so that XDP may send to it; `uplink` = a station of the world behind an uplink (here a veth);
  `host` = the host itself on a host port.
* carrier: of both ports, as in the configuration; `generic` = `mode: generic` on the TAPs, which no other device may have.
  `carrier: xdp` on a veth is tested in QEMU only (`make matrix`). More about tags: `tests/netns/test_vlan.py`.
* TAP fd: how the VMM opened the TAP: non-blocking, blocking, with a send buffer limit, with NAPI_FRAGS. All but the first make
  the kernel take its generic XDP path.""".split("\n")
    yield ""
    yield from table([row for row, _ in grid.rows()], grid.PROTOCOLS, netns)
    yield ""
    yield from legend(grid.PROTOCOLS)
    if grid.VM_CELLS:
        yield ""
        yield "## Real guests"
        yield ""
        yield "Two QEMU machines with Debian 12's cloud kernel on TAPs: what the build machine's own kernel lacks."
        yield ""
        yield from table(dict.fromkeys(cell.row for cell in grid.VM_CELLS), grid.VM_PROTOCOLS, vm)
        yield ""
        yield from legend(grid.VM_PROTOCOLS)


def write():
    """Makes the file; exit code."""
    netns, vm = results("netns"), results("vm") if grid.VM_CELLS else {"cells": {}}
    wanted = {str(c) for c in grid.CELLS}, {str(c) for c in grid.VM_CELLS}
    for suite, found, want in (("netns", netns, wanted[0]), ("vm", vm, wanted[1])):
        if want != set(found["cells"]):
            missing = sorted(want - set(found["cells"]))
            sys.exit(f"tests/compat.py: {len(missing)} cells of {suite} were not run, e.g. {missing[:3]}: run `{COMMAND}`")
    outcomes = [*netns["cells"].values(), *vm["cells"].values()]
    passed = outcomes.count("passed")
    tested = f"Tested: Linux {netns['kernel']}, {netns['date']}, `{COMMAND}`: {passed} of {len(outcomes)} cells passed."
    with open(TABLE, "w", encoding="ascii") as f:
        f.write("\n".join(document(tested, netns["cells"], vm["cells"])) + "\n")
    print(f"docs/compat.md: {passed} of {len(outcomes)} cells passed")
    return 0 if passed == len(outcomes) else 1


def check():
    """Compares the file with what it must be; exit code."""
    with open(TABLE, encoding="ascii") as f:
        lines = f.read().splitlines()
    tested = next((line for line in lines if line.startswith("Tested: Linux ")), "Tested: not at all")
    count = len(grid.CELLS) + len(grid.VM_CELLS)
    if not tested.endswith(f", `{COMMAND}`: {count} of {count} cells passed."):
        print(f"docs/compat.md: the suite has {count} cells, but: {tested}")
        return 1
    want = list(document(tested, *({str(c): "passed" for c in cells} for cells in (grid.CELLS, grid.VM_CELLS))))
    for number, (is_, be) in enumerate(zip(lines + [""] * len(want), want + [""] * len(lines)), 1):
        if is_ != be:
            print(f"docs/compat.md:{number}: is   {is_}\ndocs/compat.md:{number}: want {be}\nrun `{COMMAND}`")
            return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1:] not in (["write"], ["check"]):
        sys.exit(__doc__.split("\n\n")[1])
    sys.exit(write() if sys.argv[1] == "write" else check())
