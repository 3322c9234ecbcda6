#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""usage: tests/isolate.sh tests/soak/run.py [-t SECONDS] [-s SEED]      (make soak T=600 SEED=n)

The seed is said first; it repeats the operations, though not their timing. Every operation is in build/soak/SEED.log.
"""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab.net import ROOT, Net  # noqa: E402
from soak.checks import Checks  # noqa: E402
from soak.work import Soak  # noqa: E402

DEAR_EVERY = 8
TOLD = 12


def log_path(seed):
    os.makedirs(f"{ROOT}/build/soak", exist_ok=True)
    return f"{ROOT}/build/soak/{seed}.log"


def make(net, seed, log):
    return Soak(net, random.Random(seed), random.Random(seed + 1), log)


def work(soak, seconds, long):
    """Operations for so many seconds, then the end; the checks raise."""
    end = time.monotonic() + seconds
    soak.begin()
    while time.monotonic() < end:
        soak.step()
        if soak.number % DEAR_EVERY == 0:
            soak.checks.sample()
            soak.expect(Checks.DEAR)
    soak.expect(Checks.DEAR + (Checks.LAST if long else ()))
    soak.finish()


def summary(soak, seed, seconds):
    sent, delivered, steady = soak.frames
    kinds = ", ".join(f"{name} {n}" for name, n in sorted(soak.tally.items()))
    return (f"soak: seed {seed}: {soak.number} operations ({kinds}); {sent} frames sent, {delivered} delivered, "
            f"of the steady {steady} none lost, twice or late; {soak.kills} kills; {seconds:.0f} s")


def run(seed, seconds, long=False):
    """One soak; what the last line says."""
    begun, path = time.monotonic(), log_path(seed)
    with open(path, "w", encoding="utf-8") as log, Net() as net:
        soak = make(net, seed, log)
        try:
            work(soak, seconds, long)
        except BaseException as e:
            soak.note(f"FAILED {e}")
            raise
    return summary(soak, seed, time.monotonic() - begun)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-t", type=float, default=60, metavar="SECONDS")
    parser.add_argument("-s", type=int, default=None, metavar="SEED")
    args = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 31) if args.s is None else args.s
    print(f"soak: seed {seed}, {args.t:.0f} s, log in build/soak/{seed}.log", flush=True)
    try:
        print(run(seed, args.t, long=args.t >= 300))
    except (AssertionError, RuntimeError, OSError) as e:
        with open(log_path(seed), encoding="utf-8") as f:
            last = [line for line in f.read().split("FAILED")[0].splitlines() if line.strip()][-2 * TOLD:]
        print(f"soak: FAILED; repeat with: make soak T={args.t:.0f} SEED={seed}\nlast operations (all: build/soak/{seed}.log):")
        print("\n".join(last) + f"\n{type(e).__name__}: {e}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
