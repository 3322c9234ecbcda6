#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""This plane against its peers on this machine.

usage: tests/bench/run.py [-r ROUNDS] [-t MILLISECONDS] [-l] [-d] [ROW...]     ROW: a key, or the beginning of one

-l lists the rows; -d puts the table of what has been measured into docs/carriers.md.

Subject and peers of a row take turns, so that what else the machine does hits all of them; a ratio is the median of the
rounds' own ratios, and is not printed where their spread makes it meaningless. Writes build/bench/ROW.json, and
build/bench/table.md, which holds every row that has a file. Exit 1 if a checksum was wrong at a reader, or a row failed.
"""
import argparse
import contextlib
import glob
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import lab  # noqa: E402
from measure import BUILD, Absent, Series, difference, environment, ratio  # noqa: E402
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


def said(r):
    """A ratio for people, with its goal."""
    goal = "" if r["goal"] is None else f" (goal {r['goal']:g})"
    if r["median"] is None:
        return f"without end{goal}"
    if r["said"] is None:
        return f"spread {r['quartiles'][0]:.2f}-{r['quartiles'][1]:.2f}{goal}"
    mark = "" if r["met"] is None or r["met"] else " **missed**"
    return f"{r['said']:.2f}{goal}{mark}"


def reached(found, series):
    """Where a row has a goal of its own."""
    if found["least"] is None:
        return ""
    return f"(goal {found['least']:g}){'' if series['median'] >= found['least'] else ' **missed**'}"


def cost(found, name):
    """What a stage adds."""
    base, c = found["bases"].get(name), found["costs"].get(name)
    if not base:
        return ""
    if c["said"] is None:
        return f"{c['quartiles'][0]:+.0f} to {c['quartiles'][1]:+.0f} ns over *{base}*"
    return f"{c['said']:+.0f} ns over *{base}*"


def remarks(series):
    """Lost frames, wrong checksums, disorder: what makes a rate worth less."""
    out = []
    if series["sent"] and series["lost"]:
        out.append(f"{100 * series['lost'] / series['sent']:.1f} % lost")
    if series["wrong_checksums"]:
        out.append(f"{series['wrong_checksums']} WRONG CHECKSUMS")
    if series["out_of_order"]:
        out.append(f"{series['out_of_order']} out of order")
    return ", ".join(out)


def lines(found):
    """The rows of one result in the table."""
    out, subject = [], found["subject"]
    for name, series in found["series"].items():
        low, high = series["quartiles"]
        title = f"`{found['row']}` {found['title']}" if name == subject else ""
        if found["bases"]:
            against = cost(found, name)
        else:
            against = reached(found, series) if name == subject else said(found["ratios"][name])
        out.append(f"| {title} | {name} | {series['median']:.3g} ({low:.3g}-{high:.3g}) {found['unit']} | {against} | "
                   f"{remarks(series)} |")
    return out


def table():
    """Markdown of every row that has been measured, and where."""
    found = {}
    for name in glob.glob(f"{BUILD}/*.json"):
        with open(name, encoding="utf-8") as f:
            one = json.load(f)
        found[one["row"]] = one
    out = ["| row | how | median (quartiles) | subject against this one | remarks |", "|---|---|---|---|---|"]
    for key in [row.key for row in rows() if row.key in found]:
        out += lines(found[key])
    where = {f"Linux {e['kernel']}, {e['cpus']} CPUs ({e['cpu']}), build {e['build']}"
             for e in (one["environment"] for one in found.values())}
    loads = [one["environment"]["load"][0] for one in found.values()]
    out += ["", *sorted(where), f"Load when the rows began: {min(loads):.1f} to {max(loads):.1f}.", ""]
    return "\n".join(out)


def document():
    """The table between the marks of docs/carriers.md."""
    name = f"{os.path.dirname(os.path.dirname(HERE))}/docs/carriers.md"
    with open(name, encoding="utf-8") as f:
        before, _, rest = f.read().partition("<!-- table -->\n")
    with open(name, "w", encoding="utf-8") as f:
        f.write(f"{before}<!-- table -->\n{table()}<!-- end -->{rest.partition('<!-- end -->')[2]}")


def main():
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("-r", type=int, default=7, dest="rounds")
    parser.add_argument("-t", type=int, default=300, dest="ms")
    parser.add_argument("-l", action="store_true", dest="list")
    parser.add_argument("-d", action="store_true", dest="document")
    parser.add_argument("rows", nargs="*")
    args = parser.parse_args()
    if args.document:
        return document()
    picked = [row for row in rows() if not args.rows or any(row.key.startswith(name) for name in args.rows)]
    if args.list or not picked or args.rounds < 5:
        print("\n".join(f"{row.key:20} {row.title}" for row in rows()))
        return 0 if args.list else 2
    if not isolated():
        os.execv(f"{os.path.dirname(HERE)}/isolate.sh", ["isolate.sh", sys.executable, *sys.argv])
    os.makedirs(BUILD, exist_ok=True)
    failed = 0
    for row in picked:
        before = environment()
        try:
            found = result(row, measure(row, args.rounds, args.ms), args.rounds, args.ms, before)
        except (Absent, RuntimeError, AssertionError, OSError, subprocess.SubprocessError) as why:
            print(f"{row.key}: {why}", flush=True)
            failed += 1
            continue
        with open(f"{BUILD}/{row.key}.json", "w", encoding="utf-8") as f:
            json.dump(found, f, indent=1)
        print("\n".join(lines(found)), flush=True)
        failed += any(s["wrong_checksums"] for s in found["series"].values())
    with open(f"{BUILD}/table.md", "w", encoding="utf-8") as f:
        f.write(table())
    print(f"\n{BUILD}/table.md")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
