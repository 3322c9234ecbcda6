# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The short soak (`make soak` is the long one), and for each of its checks a fault that it must find."""
import contextlib
import json
import os
import random
import signal
import subprocess
import time

import pytest

from lab import Tap, frames
from lab.net import Net
from lab.ns import SLOW, run
from lab.plane import PIN_ROOT
from soak import checks
from soak import run as soak_run
from soak.checks import Checks
from soak.work import Broken, Soak

SECONDS, SEED = 20, 7
HELD = "/sys/fs/bpf/held"       # a pin that is none of the plane's: somebody else holds what it should have let go


def test_a_short_soak():
    print(soak_run.run(SEED, SECONDS))


# ---- a fault for each check: what is done in the plane, the kernel or the world without the model's knowledge ----

@contextlib.contextmanager
def behind(soak, there, back):
    """A verb that the soak knows nothing of, and the one that makes up for it."""
    soak.plane.run(there)
    yield
    soak.plane.run(back)


@contextlib.contextmanager
def segment(soak):
    with behind(soak, "port set l1 segment=s0", "port set l1 segment=s1"):
        soak.world.send("l1", soak.world.frame("l1", soak.world.address["l1"], frames.BCAST)[0])
        yield


@contextlib.contextmanager
def twice(soak):
    frame = soak.world.frame("lb0", soak.world.address["lb0"], frames.BCAST)[0]
    soak.world.send("lb0", frame), soak.world.send("lb0", frame)
    soak.world.settle()
    yield


@contextlib.contextmanager
def state(soak):
    soak.world.host.ip("link set l0 down")
    yield
    soak.world.host.ip("link set l0 up")


def diff(soak):
    return behind(soak, "port set l0 quota=7", "port set l0 quota=64")


def showconf(soak):
    return diff(soak)


def macs(soak):
    return behind(soak, "mac add s0 52:54:02:00:00:01 l0", "mac del s0 52:54:02:00:00:01")


@contextlib.contextmanager
def books(soak):
    """A frame that the port has got, and that nothing became of."""
    pin = f"{PIN_ROOT}/{soak.plane.name}/maps/vp_counters"
    names = json.loads(run(f"bpftool -j map dump pinned {PIN_ROOT}/{soak.plane.name}/maps/vp_port_info").stdout)
    key = next(r["formatted"]["key"] for r in names if r["formatted"]["value"]["name"] == "l0")
    write = f"bpftool map update pinned {pin} key {key} 0 0 0 value"
    run(f"{write} 5" + " 0" * 511)
    yield
    run(f"{write}" + " 0" * 512)


@contextlib.contextmanager
def pinned(what):
    run(f"bpftool {what} {HELD}")
    yield
    os.unlink(HELD)


def prog_id(soak, name="vp_xdp"):
    return json.loads(run(f"bpftool -j prog show pinned {PIN_ROOT}/{soak.plane.name}/progs/{name}").stdout)["id"]


@contextlib.contextmanager
def pins(soak):
    path = f"{PIN_ROOT}/{soak.plane.name}/links/xdp_nobody"
    run(f"bpftool prog pin id {prog_id(soak)} {path}")
    yield
    os.unlink(path)


@contextlib.contextmanager
def hooks(soak):
    tap = Tap(soak.world.host, "stray")
    soak.world.host.run("tc qdisc add dev stray clsact")
    yield
    tap.close()


@contextlib.contextmanager
def programs(soak):
    with pinned(f"prog pin id {prog_id(soak)}"):
        soak.do_upgrade()
        yield


@contextlib.contextmanager
def links(soak):
    link = json.loads(run(f"bpftool -j link show pinned {PIN_ROOT}/{soak.plane.name}/links/xdp_l0").stdout)
    with pinned(f"link pin id {link['id']}"), behind(soak, "port set l0 carrier=tc", "port set l0 carrier=auto"):
        yield


@contextlib.contextmanager
def maps(soak):
    soak.checks.maps()
    with pinned(f"map pin id {max(soak.checks.flooding())}"), behind(soak, "port set l0 segment=", "port set l0 segment=s0"):
        for name in ("l1", "l2", "l3"):
            soak.plane.run(f"port set {name} segment=")
        yield
        for name in ("l1", "l2", "l3"):
            soak.plane.run(f"port set {name} segment=s{name[1]}")


@contextlib.contextmanager
def memory(soak):
    path = f"{PIN_ROOT}/{soak.plane.name}/maps/more"
    run(f"bpftool map create {path} type array key 4 value 8 entries 1000 name more")
    yield
    os.unlink(path)


@contextlib.contextmanager
def counted(soak):
    """Frames that the port ought to have counted."""
    send = soak.world.send
    soak.world.send = lambda sender, frame: sender == "l0" or send(sender, frame)
    yield
    del soak.world.send


def reach(soak):
    return behind(soak, "port set l1 segment=s0", "port set l1 segment=s1")


@contextlib.contextmanager
def watch(soak):
    """One that closes nothing from some point on."""
    if soak.watch:
        soak.end_watch(signal.SIGTERM)
    soak.start_watch()
    soak.checks.watch()
    soak.end_watch(signal.SIGTERM)
    soak.watch_prefix = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=close", "-e", "inject=close:retval=0:when=150+"]
    soak.start_watch()
    soak.watch_prefix = ()
    try:
        soak.world.devices["w0"].restore()
        soak.world.host.ip("link set l0 mtu 1400", "link set l0 mtu 1500")
        yield
    finally:
        soak.end_watch(signal.SIGKILL)


@contextlib.contextmanager
def processes(soak):
    process = soak.world.host.popen([soak.plane.binary, "--plane", soak.plane.name, "events"], stdout=subprocess.DEVNULL)
    yield
    process.kill()
    process.wait()


@contextlib.contextmanager
def notes(soak):
    path = f"/run/vpeer/{soak.plane.name}/stray"
    with open(path, "w", encoding="ascii"):
        pass
    yield
    os.unlink(path)


@contextlib.contextmanager
def log(soak):
    with open("/dev/kmsg", "w", encoding="ascii") as f:
        f.write(f"<4>soak {soak.world.token.hex()}: WARNING of the test\n")
    yield


@contextlib.contextmanager
def kernel(soak):
    for _ in range(8):
        soak.checks.sample()
    path = f"{PIN_ROOT}/{soak.plane.name}/links/big"
    run(f"bpftool map create {path} type array key 4 value 4096 entries 40000 name big")
    for _ in range(8):
        soak.checks.sample()
    yield
    os.unlink(path)
    soak.checks.taken.clear()


@contextlib.contextmanager
def flows(soak):
    with behind(soak, "port set sxb segment=", "port set sxb segment=s0"):
        time.sleep(0.2)         # frames come in batches
        yield


FAULTS = (segment, twice, state, diff, showconf, macs, books, pins, hooks, programs, links, maps, memory, counted, reach, watch, processes,
          notes, log, kernel)
LASTING = {"flows"}         # what was lost stays lost


@pytest.fixture(scope="module")
def soak():
    with Net() as net, open(os.devnull, "w", encoding="ascii") as nowhere:
        it = Soak(net, random.Random(SEED), random.Random(SEED), nowhere)
        it.begin()
        for _ in range(5):
            it.step()
        yield it


def found(soak, name):
    return [n for n, _ in soak.checks.run([name])]


def test_there_is_a_fault_for_each_check():
    assert {f.__name__ for f in FAULTS} | LASTING == {*Checks.QUICK, *Checks.DEAR, *Checks.LAST}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_finds(soak, fault, monkeypatch):
    name = fault.__name__
    assert not soak.checks.run([name]), "control before"
    with fault(soak), monkeypatch.context() as m:
        m.setattr(checks, "patience", 0.1 * SLOW)
        assert found(soak, name) == [name]
    soak.world.settle()
    soak.world.faults.clear()
    assert not soak.checks.run([name]), "control after"


def test_finds_a_verb_that_is_refused(soak):
    with pytest.raises(Broken, match="exit 1") as e:
        soak.verb(["bind", "l0", "l1"])
    assert e.value.names == ["verb"]


def test_finds_frames_that_were_lost_and_what_down_leaves(soak):
    """The last one: of the flows nothing is made up for, and `down` ends the plane."""
    assert not found(soak, "flows"), "control"
    with flows(soak):
        assert found(soak, "flows") == ["flows"]
    soak.world.settle()
    soak.world.faults.clear()       # they were flooded
    soak.world.host.ip("link set l0 alias changed")
    with pytest.raises(Broken) as e:
        soak.finish()
    assert e.value.names == ["flows", "books", "restored"]
    soak.world.host.ip("link set l0 alias ''")
    assert not soak.checks.restored(soak.before)
