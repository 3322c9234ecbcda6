# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""vpeer bench: figures that can be, and nothing left of it."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lab import wait_until
from lab.net import ROOT
from lab.plane import vpeer_binary

sys.path.append(f"{ROOT}/tests/bench")
from measure import Series, difference, ratio  # noqa: E402

WORKS = 5


def left_over(net):
    """What a program that leaves something behind leaves: devices, pins, files, processes in other namespaces."""
    pins = os.listdir("/sys/fs/bpf/vpeer") if os.path.isdir("/sys/fs/bpf/vpeer") else []
    return net.host.devices(), sorted(pins), sorted(os.listdir("/run/vpeer"))


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(word) for word in f.read().split()]


def ended(pid):
    """Gone, or dead and not yet buried by whoever inherited it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_figures_and_nothing_left(net):
    before = left_over(net)
    done = net.host.run([vpeer_binary(), "--json", "bench"], check=False, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    found = json.loads(done.stdout)
    assert found["schema"] == 1 and found["cpus"] == os.cpu_count() and len(found["works"]) == WORKS
    for work in found["works"]:
        for side in ("plane", "bridge"):
            got = work[side]
            assert 0 < got["low"] <= got["median"] <= got["high"], work
            assert 0.9 * got["sent"] < got["received"] <= got["sent"], work
        low, high = work["spread"]
        assert 0 < low <= high and (work["ratio"] is None or low <= work["ratio"] <= high), work
    copies = found["works"][-1]["plane"]
    assert copies["received"] % 8 == 0 or copies["received"] < copies["sent"]
    assert left_over(net) == before


@pytest.mark.parametrize("whom", ["parent", "child"])
def test_killed_it_leaves_nothing(net, whom):
    before = left_over(net)
    process = net.host.popen([vpeer_binary(), "bench"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    child = wait_until(lambda: children(process.pid), what="a child")[0]
    own = os.readlink(f"/proc/{process.pid}/ns/net")
    wait_until(lambda: os.readlink(f"/proc/{child}/ns/net") != own, what="namespaces of its own")
    time.sleep(1)       # it is at work
    os.kill(process.pid if whom == "parent" else child, signal.SIGKILL)
    process.wait(10)
    wait_until(lambda: ended(child), timeout=1.5, what="the child's end")
    _, told = process.communicate(timeout=10)       # the child had its ends of the pipes, too
    assert whom == "parent" or (process.returncode == 1 and "signal 9; nothing of it is left" in told), told
    assert left_over(net) == before


def test_words_it_does_not_know(net):
    done = net.host.run([vpeer_binary(), "bench", "fast"], check=False)
    assert done.returncode == 2 and "fast is not understood" in done.stderr


def series(*rates):
    made = Series()
    for rate in rates:
        made.add(rate, {"sent": 1, "received": 1})
    return made


def test_make_bench_gives_no_ratio_that_means_nothing():
    """Drift that hits both is no spread; noise of one of them is. A goal is reached or not only where there is a ratio."""
    steady = ratio(series(2, 4, 8, 2, 4), series(1, 2, 4, 1, 2), goal=2)
    assert steady["said"] == 2 and steady["met"] is True
    assert ratio(series(2, 4, 8, 2, 4), series(1, 2, 4, 1, 2), goal=2.1)["met"] is False
    noisy = ratio(series(1, 2, 3, 4, 5), series(1, 1, 1, 1, 1), goal=2)
    assert noisy["said"] is None and noisy["met"] is None and noisy["quartiles"] == (2, 4)
    nothing = ratio(series(1, 1, 1, 1, 1), series(0, 1, 1, 1, 1), goal=2)
    assert nothing["said"] is None and nothing["met"] is None
    assert difference(series(110, 121, 111, 120, 112), series(100, 110, 101, 110, 102))["said"] == 10
    assert difference(series(100, 130, 101, 150, 110), series(100, 100, 100, 100, 100))["said"] is None
