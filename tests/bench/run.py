#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""This plane against its peers on this machine.

usage: tests/bench/run.py [-r ROUNDS] [-t MILLISECONDS] [-l] [-d] [-D] [ROW...]     ROW: a key, or the beginning of one

-l lists the rows; -d then puts all that has been measured into docs/performance.md, docs/carriers.md and docs/plots;
-D does only that.

Subject and peers of a row take turns, so that what else the machine does hits all of them; a ratio is the median of the
rounds' own ratios, and is not printed where their spread makes it meaningless. Writes build/bench/rows/ROW.json, and
build/bench/table.md and build/bench/bench.json, which hold every row that has a file. Exit 1 if a checksum was wrong at
a reader, or a row failed.
"""
import argparse
import contextlib
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import lab  # noqa: E402
from life import write_memory  # noqa: E402
from measure import BUILD, Absent, Series, difference, environment, ratio  # noqa: E402
from report import document, everything, lines, table  # noqa: E402
from rows import rows  # noqa: E402


def isolated():
    """Planes of the bench must not meet a plane of the host."""
    with open("/proc/self/mounts", encoding="ascii", errors="replace") as f:
        return ["/run/vpeer", "tmpfs"] in [line.split()[1:3] for line in f]


def measure(row, rounds, ms):
    """{name: Series}, {name: why not}: all subjects set up, then in turn."""
    series, absent = {}, {}
    with contextlib.ExitStack() as stack:
        made = {}
        for name, make in row.subjects.items():
            try:
                made[name] = make(stack.enter_context(lab.Net()))
                made[name].ask(row.command.format(ms // 4))     # learned addresses
                made[name].ask(row.command.format(ms))          # warm caches; inject learns how much to send
                series[name] = Series()
            except Absent as why:
                absent[name] = str(why)
                made.pop(name, None)
        for number in range(rounds):
            names = list(made) if number % 2 == 0 else list(made)[::-1]
            for name in names:
                got = made[name].ask(row.command.format(ms))
                series[name].add(row.rate(got), got, row.copies)
    return series, absent


def result(row, measured, rounds, ms, before):
    """A row as JSON."""
    series, absent = measured
    first = row.subject
    peers = {name: ratio(series[first], s, row.goals.get(name)) for name, s in series.items() if name != first}
    costs = {name: difference(series[name], series[base]) for name, base in (row.bases or {}).items()
             if name in series and base in series}
    return {"row": row.key, "title": row.title, "unit": row.unit, "rounds": rounds, "milliseconds": ms,
            "environment": before, "subject": first, "series": {n: s.as_dict() for n, s in series.items()},
            "ratios": peers, "absent": absent, "least": row.least, "bases": row.bases, "costs": costs}


def main():
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("-r", type=int, default=7, dest="rounds")
    parser.add_argument("-t", type=int, default=300, dest="ms")
    parser.add_argument("-l", action="store_true", dest="list")
    parser.add_argument("-d", action="store_true", dest="document")
    parser.add_argument("-D", action="store_true", dest="only_document")
    parser.add_argument("rows", nargs="*")
    args = parser.parse_args()
    if args.only_document:
        return document(rows())
    picked = [row for row in rows() if not args.rows or any(row.key.startswith(name) for name in args.rows)]
    if args.list or (not picked and args.rows != ["memory"]) or args.rounds < 5:
        print("\n".join(f"{row.key:20} {row.title}" for row in rows()))
        return 0 if args.list else 2
    if not isolated():
        os.execv(f"{os.path.dirname(HERE)}/isolate.sh", ["isolate.sh", sys.executable, *sys.argv])
    os.makedirs(f"{BUILD}/rows", exist_ok=True)
    if not args.rows or "memory" in args.rows:
        write_memory()
    failed = sum(one(row, args.rounds, args.ms) for row in picked)
    with open(f"{BUILD}/table.md", "w", encoding="utf-8") as f:
        f.write(table(rows()))
    with open(f"{BUILD}/bench.json", "w", encoding="utf-8") as f:
        json.dump({"schema": 1, "rows": list(everything().values())}, f, indent=1)
    print(f"\n{BUILD}/table.md, {BUILD}/bench.json")
    if args.document:
        document(rows())
    return 1 if failed else 0


def one(row, rounds, ms):
    """Measures and prints a row; 1 if it failed."""
    before = environment()
    try:
        found = result(row, measure(row, rounds, ms), rounds, ms, before)
    except (Absent, RuntimeError, AssertionError, OSError, subprocess.SubprocessError) as why:
        print(f"{row.key}: {why}", flush=True)
        return 1
    with open(f"{BUILD}/rows/{row.key}.json", "w", encoding="utf-8") as f:
        json.dump(found, f, indent=1)
    print("\n".join(lines(found)), flush=True)
    return int(any(s["wrong_checksums"] for s in found["series"].values()))


if __name__ == "__main__":
    sys.exit(main())
