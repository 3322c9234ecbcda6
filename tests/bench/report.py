# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What has been measured, for people: the tables of docs/performance.md and docs/carriers.md, and the plots."""
import glob
import json
import os
import shutil
import subprocess

from lab.net import ROOT
from measure import BUILD

PLOTS = f"{ROOT}/docs/plots"
HEAD = ["| row | how | median (quartiles) | subject against this one | remarks |", "|---|---|---|---|---|"]


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


def everything():
    """{key: row} of all that has been measured."""
    found = {}
    for name in glob.glob(f"{BUILD}/rows/*.json"):
        with open(name, encoding="utf-8") as f:
            one = json.load(f)
        found[one["row"]] = one
    return found


def where(found):
    """The machine, and how busy it was."""
    envs = [one["environment"] for one in found]
    texts = {f"Linux {e['kernel']}, {e['cpus']} CPUs ({e['cpu']}), clock {e['clock']}, build {e['build']}, "
             f"{one['rounds']} rounds of {one['milliseconds']} ms" for one, e in zip(found, envs)}
    loads = [e["load"][0] for e in envs]
    calls = [e["system_call"] for e in envs]
    return [*(f"{t}  " for t in sorted(texts)), f"A system call took {min(calls):,} to {max(calls):,} ns.  ",
            f"Load when the rows began: {min(loads):.1f} to {max(loads):.1f}."]


def table(rows, wanted=lambda key: True):
    """Markdown of the rows that have been measured, in order, and where."""
    found = everything()
    found = [found[row.key] for row in rows if row.key in found and wanted(row.key)]
    if not found:
        return "Nothing measured.\n"
    absent = sorted({f"{name}: {why}" for one in found for name, why in one["absent"].items()})
    out = HEAD + [line for one in found for line in lines(one)] + ["", *where(found)]
    return "\n".join(out + [f"Left out: {'; '.join(absent)}." for _ in absent[:1]] + [""])


def memory():
    """Markdown of what a plane holds, as life.memory() found it."""
    name = f"{BUILD}/memory.json"
    if not os.path.exists(name):
        return "Not measured.\n"
    with open(name, encoding="utf-8") as f:
        m = json.load(f)
    out = ["| what | bytes |", "|---|---|"]
    out += [f"| {what} | {n:,} |" for what, n in m.items()]
    return "\n".join(out + [""])


def misses(rows):
    """The goals that are not reached: what to work on, and what README must own up to."""
    found, out = everything(), []
    for row in rows:
        one = found.get(row.key)
        for name, r in (one["ratios"] if one else {}).items():
            if r["met"] is False:
                out.append(f"* `{row.key}`: {r['said']:.2f} of {name}, goal {r['goal']:g}")
    return "\n".join([*(out or ["None."]), ""])


def put(name, parts):
    """Replaces what is between `<!-- PART -->` and `<!-- end -->` of a page."""
    with open(name, encoding="utf-8") as f:
        text = f.read()
    for part, made in parts.items():
        before, mark, rest = text.partition(f"<!-- {part} -->\n")
        if not mark:
            raise RuntimeError(f"{name} has no <!-- {part} -->")
        text = f"{before}{mark}{made}<!-- end -->{rest.partition('<!-- end -->')[2]}"
    with open(name, "w", encoding="utf-8") as f:
        f.write(text)


def data(name, heads, found):
    """A file for gnuplot: one line for each row or subject, "?" for what there is not."""
    with open(f"{BUILD}/{name}.dat", "w", encoding="utf-8") as f:
        f.write("\t".join(heads) + "\n")
        for label, values in found:
            f.write("\t".join([f'"{label}"', *("?" if v is None else f"{v:.6g}" for v in values)]) + "\n")


def medians(one, names):
    return [one["series"].get(name, {}).get("median") for name in names]


def plots():
    """docs/plots/*.svg, by gnuplot; False if there is none."""
    found = everything()
    peers = ["auto", "least xdp", "least tc", "bridge", "bridge-nf"]
    data("peers", ["row", *peers], [(key, medians(found[key], peers)) for key in
                                   ("P1-binding", "P1-segment", "P2-60-burst", "P2-1514-burst") if key in found])
    sizes = ["auto", "tc", "bridge", "least xdp"]
    data("sizes", ["bytes", *sizes], [(key.split("-")[-1], medians(found[key], sizes)) for key in
                                     sorted((k for k in found if k.startswith("S-size-")), key=lambda k: int(k[7:]))])
    scale = ["auto", "least xdp", "bridge"]
    data("scale", ["ports", *scale], [(key.split("-")[-1], medians(found[key], scale)) for key in
                                     sorted((k for k in found if k.startswith("S-ports-")), key=lambda k: int(k[8:]))])
    for hook in ("xdp", "tc", "live"):
        one = found.get(f"P10-{hook}")
        data(f"stages-{hook}", ["stage", "ns"],
             [(name, [s["median"]]) for name, s in one["series"].items()] if one else [])
    if not shutil.which("gnuplot"):
        return False
    os.makedirs(PLOTS, exist_ok=True)
    subprocess.run(["gnuplot", "-e", f"from='{BUILD}'; to='{PLOTS}'", f"{ROOT}/tests/bench/plots.gp"], check=True)
    return True


def document(rows):
    """Pages and plots of all that has been measured."""
    put(f"{ROOT}/docs/performance.md", {
        "table": table(rows, lambda key: key[0] == "P" and not key.startswith("P10")), "misses": misses(rows),
        "stages": table(rows, lambda key: key.startswith("P10")), "memory": memory()})
    put(f"{ROOT}/docs/carriers.md", {"table": table(rows, lambda key: key[0] == "C" or key[:2] in ("P3", "P4"))})
    if not plots():
        print("no gnuplot (package gnuplot-nox): the plots are as they were")
    return 0
