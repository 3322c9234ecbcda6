# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""vpeer under strace: killed where it enters a system call, or told by one that it failed."""
import os
import random
from collections import Counter

# What changes something, or asks the kernel for it.
CHANGING = ("bpf", "sendto", "sendmsg", "mkdir", "unlink", "rmdir", "rename", "renameat2", "write", "fsync", "mount", "ioctl", "openat",
            "flock", "ftruncate", "munmap", "membarrier")


def counts(plane, verb, text=None, calls=()):
    """How often each system call is made by a run that works: {call: n}; all calls if none are named."""
    out = f"/tmp/vpt-strace-{os.getpid()}"
    which = ["-e", "trace=" + ",".join(calls)] if calls else []
    try:
        done = plane.ns.run(["strace", "-f", "-qq", "-o", out, *which, plane.binary, "--plane", plane.name, *verb.split()], input=text, check=False)
        assert done.returncode == 0, done.stderr
        with open(out, encoding="utf-8", errors="replace") as f:
            names = [line.split("(")[0].split()[-1] for line in f if "(" in line and "resumed>" not in line]
    finally:
        if os.path.exists(out):
            os.unlink(out)
    return dict(Counter(names))


def prefix(call, action, n):
    """What makes the command behind it meet `action` at its n-th `call`."""
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{action}:when={n}"]


def _strace(plane, verb, call, action, n, text):
    return plane.ns.run([*prefix(call, action, n), plane.binary, "--plane", plane.name, *verb.split()], input=text, check=False)


def killed(plane, verb, call, n, text=None):
    """Runs vpeer until it enters its n-th `call`, where SIGKILL waits; True if it came so far."""
    return _strace(plane, verb, call, "signal=KILL", n, text).returncode not in (0, 1, 2, 3)


def refused(plane, verb, call, n, error, text=None):
    """Runs vpeer with its n-th `call` failing; what it said."""
    return _strace(plane, verb, call, f"error={error}", n, text)


def spread(table, n=None, seed=1):
    """(call, i) for every one, shuffled; or n of them, of those that change something, rare calls preferred."""
    every = [(call, i) for call in sorted(table) for i in range(1, table[call] + 1)]
    random.Random(seed).shuffle(every)
    if n is None or n >= len(every):
        return every
    picked, names = [], sorted(set(table) & set(CHANGING))
    for k in range(n):
        call = names[(k + seed) % len(names)]
        picked.append((call, random.Random(seed * 1000 + k).randint(1, table[call])))
    return picked
