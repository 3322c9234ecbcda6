# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The loader dies at any system call, or any call of it fails: ports that are not concerned forward on, the next `up`
converges, `down` leaves the host as it was.

Here some points of each verb; with VPT_CRASH (make crash) every system call that a traced run makes.
"""
import json
import os
import subprocess
import time

import pytest

from lab import crash, frames
from lab.flow import by, variant
from test_undo import A, B, Host, own

FULL = bool(os.environ.get("VPT_CRASH"))
SOME = None if FULL else 6
END = time.monotonic() + float(os.environ.get("VPT_CRASH", "1e9"))
PART = os.environ.get("VPT_PART")       # of two
ERRORS = {"bpf": ["ENOMEM", "EBUSY", "E2BIG"], "sendto": ["ENOMEM", "EBUSY", "ENODEV"]}


class Scene(Host):
    """A host with a plane on it: two ports that nothing concerns, and all kinds of others."""

    def __init__(self, net, plane):
        super().__init__(net, plane)
        self.three, self.four = net.tap("tap3"), net.tap("tap4")
        self.conf["ports"] += [{"name": "e", "device": "tap3"}, {"name": "f", "device": "nodev1"}]
        self.text = json.dumps(self.conf)
        other = json.loads(self.text)
        other["ports"] = [p for p in other["ports"] if p["name"] not in ("g1", "vp1", "up0")] + [{"name": "vp9", "kind": "host"}]
        other["segments"][0]["age"] = 77
        self.other = json.dumps(other)
        # A guest's device that the host speaks through: its addresses and routes are taken, and come back.
        own(net)
        self.taking = json.dumps({**self.conf, "ports": self.conf["ports"] + [{"name": "o", "device": "own0", "segment": "lan"}]})
        self.sent = 0

    def with_more(self, **f):
        """A configuration in which e and f are in the segment, too; `f` are keys of port f."""
        conf = json.loads(self.text)
        for p in conf["ports"]:
            p.update({"e": {"segment": "lan"}, "f": {"segment": "lan", "carrier": "tc", **f}}.get(p["name"], {}))
        return json.dumps(conf)

    def forwards(self):
        """From a to b, the ports that nothing concerns."""
        self.sent += 1
        frame = frames.udp("52:54:00:00:00:77", A, "198.18.0.1", "198.18.0.2", payload=b"%d" % self.sent)
        self.one.send(frame)
        return self.two.recv_match(frame) is not None

    def converged(self, text):
        """The next `up` finishes; then there is nothing more to do."""
        assert self.plane.up(text).returncode == 0
        assert "nothing to change" in self.plane.up(text).stdout
        assert self.plane.run(["diff", "-f", "-", "--exit-code"], input=text).stdout == ""
        assert self.forwards()

    def settled(self, look):
        """What look() finds after a moment: the kernel takes an XDP link away some time after its pin."""
        for _ in range(20):
            found = look()
            if not found:
                break
            time.sleep(0.05)
        return found

    def clean(self, before):
        self.plane.down()
        assert self.settled(lambda: self.differences(before)) == {}

    def changed(self, before):
        """In what the state is another one than before, key by key."""
        def look():
            now, out = self.state(), []
            for key in before:
                if isinstance(before[key], dict):
                    out += [(key, k, before[key].get(k), now[key].get(k)) for k in {*before[key], *now[key]}
                            if before[key].get(k) != now[key].get(k)]
                elif before[key] != now[key]:
                    out.append((key, before[key], now[key]))
            return out
        return self.settled(look)

    def state(self):
        """All that a run that is refused must leave alone: configuration, hooks, pins, the host."""
        now = self.snapshot()
        pins = self.plane.pins()
        info = self.plane.show() if pins else None
        info = info and {"ports": [(p["name"], p["state"], p["carrier"], p["segment"], p["peer"]) for p in info["ports"]],
                         "macs": [(m["mac"], m["port"]) for m in info["macs"] if m["static"]], "conf": self.plane.run("showconf").stdout}
        # What the other end of a veth thinks of its carrier may lag behind.
        for link in now["links"].values():
            link.pop("operstate")
            link.pop("flags")
        return {**now, "pins": pins, "info": info or {}}


@pytest.fixture
def scene(net, plane):
    return Scene(net, plane)


# verb: is the plane up before, what is run, which of the scene's texts is on standard input, by another build?
VERBS = {
    "up": (False, "up -f -", "text", False),
    "upgrade": (True, "upgrade", None, True),
    "bind": (True, "bind e f", None, False),
    "change": (True, "up -f -", "other", False),
    "down": (True, "down", None, False),
    "port add": (True, "port add n device=tap4 segment=lan", None, False),
    "rollback": (True, "rollback", None, False),
    "take over": (True, "up -f - --take-over", "taking", False),
    "give back": (True, "down", None, False),
}
OURS = [verb for i, verb in enumerate(VERBS) if PART is None or i % 2 == int(PART)]


class Case:
    """One verb, from the same beginning again and again."""

    def __init__(self, scene, name):
        self.up, self.verb, text, build = VERBS[name]
        self.scene, self.name, self.goes = scene, name, self.verb == "down"
        self.text = getattr(scene, text) if text else None
        self.runner = by(scene.plane, variant("other")) if build else scene.plane

    def begin(self):
        """The state before the verb; what comes after `down` is nothing."""
        if not self.up:
            return
        if self.name == "rollback":
            self.scene.plane.up(self.scene.other)
        self.scene.plane.up(self.scene.text)
        if self.name == "upgrade":
            self.scene.plane.run("upgrade")
        if self.name == "give back":
            self.scene.plane.up(self.scene.taking, "--take-over")
        self.scene.one.drain(0), self.scene.two.drain(0)

    def counts(self, calls=()):
        self.begin()
        table = crash.counts(self.runner, self.verb, self.text, calls)
        self.begin() if self.up else self.scene.plane.down()
        table.pop("execve", None)       # before it there is no vpeer, and exits are no system calls that return
        return table


def chains(points):
    """What changes nothing leaves what the call before it left: a few such points together are looked at once."""
    quiet = [p for p in points if p[0] not in crash.CHANGING]
    return [[p] for p in points if p[0] in crash.CHANGING] + [quiet[i:i + 16] for i in range(0, len(quiet), 16)]


def kill_all_over(case, points, before, tally):
    """At each point: kill; then see the traffic, converge, go down and compare."""
    scene = case.scene
    for i, chain in enumerate(chains(points)):
        for k, (call, n) in enumerate(chain):
            # A plane that is there needs no loading, which is most of the reads.
            if not case.up and k and (call != "read" or scene.plane.pins()):
                scene.plane.down()
            case.begin()
            tally[call] = tally.get(call, 0) + crash.killed(case.runner, case.verb, call, n, case.text)
        try:
            if case.up and not case.goes:
                assert scene.forwards(), "untouched ports stopped"
            if i % 3 or case.name == "up":
                scene.converged(scene.text)
            if i % 3 == 0 or case.name == "up" or case.goes:
                scene.clean(before)
        except (AssertionError, RuntimeError) as e:
            raise AssertionError(f"{case.name} killed at {chain}: {e}") from e
        assert time.monotonic() < END, f"no time left at {chain}, number {i + 1}; raise T"


@pytest.mark.parametrize("name", OURS)
def test_killed_at(scene, name):
    before = scene.snapshot()
    case = Case(scene, name)
    table = case.counts()
    assert sum(table.values()) > 60 and table["bpf"] > 10
    points, tally = crash.spread(table, SOME, len(name)), {}
    kill_all_over(case, points, before, tally)
    hits = sum(tally.values())
    print(f"{name}: killed at {hits} of {len(points)} system calls: " + ", ".join(f"{c} {n}" for c, n in sorted(tally.items()) if n))
    # The number of reads of a netlink dump or of the heap's growth may differ by one from run to run.
    assert hits >= len(points) * 0.97 - 1, "strace did kill at nearly each of the traced calls"
    scene.clean(before)


def fail_all_over(case, call, errors, points, tally):
    """At each point the call fails: refused and undone, or done, or done in part and the next `up` does the rest."""
    scene = case.scene
    if case.up:
        scene.plane.down()
    clean = scene.snapshot()
    what = "nothing before it"
    for n in points:
        error, former = errors[n % len(errors)], what
        assert time.monotonic() < END, f"no time left at {call} {n}; raise T"
        what = f"{case.name}: {call} {n} fails with {error}"
        try:
            case.begin()
        except AssertionError as e:
            raise AssertionError(f"beginning anew after {former}: {e}") from e
        before = scene.state()
        done = crash.refused(case.runner, case.verb, call, n, error, case.text)
        tally[done.returncode] = tally.get(done.returncode, 0) + 1
        assert done.returncode in (0, 1, 3), f"{what}: {done}"
        if done.returncode:
            assert done.stderr.startswith("vpeer: ") and "Success" not in done.stderr, f"{what}: {done.stderr}"
        if done.returncode == 1 and not case.goes:
            left = scene.changed(before)
            assert not left, f"{what}: {done.stderr}\nleft: {left}"
        if done.returncode != 1 and not case.goes:
            scene.converged(case.text or scene.plane.run("showconf").stdout)
        if not case.up or case.goes:
            scene.plane.down() if done.returncode or not case.up else None
            assert scene.settled(lambda: scene.differences(clean)) == {}, what


@pytest.mark.parametrize("call", ERRORS)
@pytest.mark.parametrize("name", OURS)
def test_failing(scene, name, call):
    case = Case(scene, name)
    every, tally = list(range(1, case.counts((call,))[call] + 1)), {}
    points = every if FULL or len(every) < 6 else every[len(name) % 5::max(1, len(every) // 5)]
    fail_all_over(case, call, ERRORS[call], points, tally)
    print(f"{name}: {call} failed with {'/'.join(ERRORS[call])} {len(points)} times of {len(every)}: exit codes {tally}")
    assert tally.get(1, 0), "control: some were refused"


# ---- a run that dies while a port changes its device ----

def hooks(scene, device):
    """What is on it: the XDP program's id, whether there is a qdisc of ours."""
    link = scene.ns.json(f"ip -j -d link show dev {device}")[0]
    return link.get("xdp", {}).get("prog", {}).get("id"), "clsact" in scene.ns.run(f"tc qdisc show dev {device}").stdout


def heard(sender, receiver):
    frame = frames.arp_request("52:54:00:00:00:78", "198.18.0.1", "198.18.0.3")
    receiver.drain(0)
    sender.send(frame)
    return receiver.recv_match(frame, 0.2) is not None


# What comes next: on whom tap4's frames must not fall, or to whom they go on.
NEXT = {"up -f -": False, "attach": False, "down": False, "port set e device=nodev9": False, "port set f device=tap4": True,
        "port set e device=tap4": True}


@pytest.mark.parametrize("verb", NEXT)
def test_killed_with_another_device_attached(scene, verb):
    """No configuration names the device then: its frames come to nobody, and the next run lets go of it."""
    before = scene.snapshot()
    scene.up()
    text = scene.with_more()
    scene.plane.up(text)
    assert heard(scene.three, scene.two) and not heard(scene.four, scene.two)
    assert crash.killed(scene.plane, "port set e device=tap4", "rename", 1), "where the former configuration is noted"
    dead = hooks(scene, "tap4")
    assert all(dead) and hooks(scene, "tap3") == (None, False)
    assert not heard(scene.four, scene.two) and scene.forwards()
    scene.plane.run(verb, input=text)
    assert not scene.settled(lambda: hooks(scene, "tap4") != (dead[0] if " e " in verb else None, True) if NEXT[verb] else any(hooks(scene, "tap4")))
    assert heard(scene.four, scene.two) == NEXT[verb]
    if verb != "down":
        assert scene.forwards() and heard(scene.three, scene.two) == (verb in ("up -f -", "attach", "port set f device=tap4"))
        scene.converged(scene.plane.run("showconf").stdout)
    scene.clean(before)


def test_killed_before_two_ports_exchange_devices(scene):
    """Only their names were entered, each with the other's device: what is there stays there, and the next run says so."""
    text = scene.with_more(device="tap4", carrier="auto")
    scene.plane.up(text)
    was = [hooks(scene, d) for d in ("tap3", "tap4")]
    other = text.replace("tap3", "tapX").replace("tap4", "tap3").replace("tapX", "tap4")
    assert crash.killed(scene.plane, "up -f -", "unlink", 1, other), "where the first one's XDP pin would go"
    assert [hooks(scene, d) for d in ("tap3", "tap4")] == [(None, True), was[1]] and heard(scene.four, scene.two)
    assert "1 port attached" in scene.plane.up(text).stdout, "the other had nothing to get"
    assert heard(scene.three, scene.two) and heard(scene.four, scene.two)


# ---- no space, two at once ----

@pytest.fixture
def full_run():
    """/run/vpeer (a tmpfs of this test run) without room for a byte."""
    def fill():
        subprocess.run(["mount", "-o", "remount,size=4k", "/run/vpeer"], check=True)
        with open("/run/vpeer/.fill", "wb") as f:
            try:
                f.write(b"x" * 65536)
            except OSError:
                pass
    yield fill
    if os.path.exists("/run/vpeer/.fill"):
        os.unlink("/run/vpeer/.fill")
    subprocess.run(["mount", "-o", "remount,size=64m", "/run/vpeer"], check=True)


def test_no_space_on_run(scene, full_run):
    before = scene.snapshot()
    full_run()
    done = scene.plane.up(scene.text, check=False)
    assert done.returncode == 1 and "No space left on device" in done.stderr and "up0" in done.stderr
    os.unlink("/run/vpeer/.fill")
    assert scene.differences(before) == {}
    scene.up()
    was = scene.state()
    full_run()
    for verb, text in (("port set e quota=7", None), ("up -f -", scene.other), ("up -f - --confirm 9", scene.other)):
        done = scene.plane.run(verb, input=text, check=False)
        assert done.returncode == 1 and "former configuration in /run/vpeer/" in done.stderr and "No space left on device" in done.stderr
        now = scene.state()
        assert {k: now[k] for k in now if k != "run"} == {k: was[k] for k in was if k != "run"}
    assert scene.forwards()
    scene.plane.down()
    os.unlink("/run/vpeer/.fill")
    assert scene.differences(before) == {}, "and down needs no room"


def test_loaders_at_once(scene):
    """Twenty of them change different things; two make the plane two different things: each waits for its turn."""
    scene.up()
    with scene.ns.enter():
        jobs = [subprocess.Popen([scene.plane.binary, "--plane", scene.plane.name, "port", "add", f"n{i}", f"device=no{i}", "segment=lan"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(20)]
    assert [job.wait(60) for job in jobs] == [0] * 20
    assert {p["name"] for p in scene.plane.show()["ports"]} >= {f"n{i}" for i in range(20)}
    for _ in range(5):
        with scene.ns.enter():
            jobs = [subprocess.Popen([scene.plane.binary, "--plane", scene.plane.name, *verb], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True) for verb in (["up", "-f", "-"], ["up", "-f", "-"], ["upgrade"], ["attach"])]
        told = [job.communicate(text, timeout=60) for job, text in zip(jobs, (scene.text, scene.other, None, None))]
        assert [job.returncode for job in jobs] == [0] * 4, told
        differ = [scene.plane.run(["diff", "-f", "-"], input=text).stdout == "" for text in (scene.text, scene.other)]
        assert differ.count(True) == 1, "one of the two, wholly"
    assert scene.forwards()


def test_up_and_down_at_once(scene):
    before = scene.snapshot()
    for _ in range(6):
        with scene.ns.enter():
            jobs = [subprocess.Popen([scene.plane.binary, "--plane", scene.plane.name, *verb], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True) for verb in (["up", "-f", "-"], ["down"], ["up", "-f", "-"])]
        told = [job.communicate(scene.text, timeout=60) for job in jobs]
        assert [job.returncode for job in jobs] == [0] * 3, told
    scene.converged(scene.text)
    scene.clean(before)


def test_the_harness_notices(scene):
    """The control: a device that is changed, a port that is not wanted, and a kill that does not happen are seen."""
    scene.up()
    before = scene.state()
    scene.ns.ip("link set up0 promisc off", "link set up0 promisc off")
    assert scene.state() != before
    assert not crash.killed(scene.plane, "show", "bpf", 100000) and crash.killed(scene.plane, "show", "bpf", 1)
    scene.plane.run("port set b segment=")
    assert not scene.forwards() and B
