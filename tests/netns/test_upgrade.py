# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Other programs under traffic, and every other change: 100,000 numbered frames a second, none lost, doubled or late.

With VPT_LONG (make hitless) a hundred upgrades and a thousand `up`s; without, a few. On TAPs each write is a frame of its
own to the kernel; frames from a veth whose GRO is on come in batches of up to 32, and go by tc.
"""
import contextlib
import json
import os
import time

import pytest

from lab import wait_until
from lab.flow import A, B, Flow, by, variant
from lab.ns import run
from lab.plane import PIN_ROOT
from lab.watch import Watch
from test_events import Stream

LONG = bool(os.environ.get("VPT_LONG"))
UPGRADES, UPS = (100, 1000) if LONG else (6, 20)
RATE = 105000


def hooks(plane, device):
    """Ids of the programs on a device: tc in, tc out, XDP (None)."""
    ids = []
    for side in ("ingress", "egress"):
        found = [f for f in json.loads(plane.ns.run(f"tc -j filter show dev {device} {side}").stdout) if "options" in f]
        ids.append(found[0]["options"]["prog"]["id"] if found else None)
    return [*ids, plane.ns.link(device).get("xdp", {}).get("prog", {}).get("id")]


def pinned(plane):
    """{name: (id, tag)} of the plane's own programs."""
    out = {}
    for name in ("vp_tc_in", "vp_tc_out", "vp_xdp"):
        prog = json.loads(run(f"bpftool -j prog show pinned {PIN_ROOT}/{plane.name}/progs/{name}").stdout)
        out[name] = (prog["id"], prog["tag"])
    return out


class Road:
    """Ports a and b with a flow between them, and c that everything else happens to."""

    def __init__(self, net, plane, carrier, mode="native"):
        net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.net, self.plane, self.carrier, self.mode = net, plane, carrier, mode
        guest = net.veth_guest(1) if carrier == "tc" else None
        self.device = guest.port if guest else "tap-a"
        self.source = {"guest": guest} if guest else {"tap": "tap-a"}
        self.flow = Flow(net, ["tap-b", "tap-d"], rate=RATE, **self.source)
        self.extra = net.tap("tap-c")
        plane.up(self.conf())
        assert (plane.port("a")["carrier"], plane.port("a")["mode"]) == (carrier, mode)

    def conf(self, **c):
        """A configuration; `c` are keys of port c."""
        return {"version": 1, "segments": [{"name": "lan"}], "ports": [
            {"name": "a", "device": self.device, "segment": "lan", "carrier": self.carrier, "mode": self.mode},
            {"name": "b", "device": "tap-b", "segment": "lan", "mac": [B]},
            {"name": "d", "device": "tap-d", "segment": "lan"},
            {"name": "c", "device": "tap-c", "segment": "lan", **c}]}

    def verdict(self, what):
        """Told for the report, then asserted."""
        r = self.flow.result
        print(f"{self.carrier}: {what}: {r['sent']} frames at {self.flow.rate:.0f}/s: lost {r['lost']}, twice {r['twice']}, late {r['late']}")
        self.flow.clean()
        assert r["received"] == [r["sent"], 0], "and nobody else saw any"
        assert self.plane.port("a")["forwarded"] == r["sent"] <= self.plane.port("b")["tx"]["packets"]
        if LONG:
            assert self.flow.rate >= 100000


@pytest.fixture(params=["xdp", "tc"])
def road(request, net, plane):
    return Road(net, plane, request.param)


@pytest.fixture(params=["xdp", "tc", "generic"])
def any_road(request, net, plane):
    """In generic mode a port has a copy of the program for itself."""
    return Road(net, plane, "xdp", "generic") if request.param == "generic" else Road(net, plane, request.param)


def test_upgrades_lose_nothing(any_road):
    road = any_road
    builds = [by(road.plane, variant("other")), road.plane]
    tags = set()
    with road.flow:
        for i in range(UPGRADES):
            before = hooks(road.plane, road.device)
            done = builds[i % 2].run("upgrade")
            assert "replaced on 4 ports" in done.stdout
            now = pinned(road.plane)
            tags.add(tuple(tag for _, tag in now.values()))
            after = hooks(road.plane, road.device)
            assert after[:2] == [now["vp_tc_in"][0], now["vp_tc_out"][0]] and not set(before) & set(after) - {None}
            assert bool(after[2]) == (road.carrier == "xdp")
            assert (after[2] == now["vp_xdp"][0]) == (road.carrier == "xdp" and road.mode == "native")
    assert len(tags) == 2 and all(a != b for a, b in zip(*tags)), "two really different builds"
    road.verdict(f"{UPGRADES} upgrades")


def test_changes_of_another_port_lose_nothing(road):
    with road.flow:
        for i in range(UPS):
            road.plane.up(road.conf(quota=i + 1))
    assert road.plane.port("c")["state"] == "up"
    road.verdict(f"{UPS} ups")


def test_detaching_and_attaching_again_does_lose(road):
    """The control: an upgrade by way of another attachment would be seen."""
    text = road.plane.run("showconf").stdout
    with road.flow:
        time.sleep(0.2)
        road.plane.run("port del a")
        road.plane.up(text)
        time.sleep(0.2)
    with pytest.raises(AssertionError, match="lost"):
        road.flow.clean()


def test_from_tc_to_xdp_and_back(net, plane):
    """A flow changes its carrier under way: frames in flight at that moment may be late; the number is told, and lost is none."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    flow = Flow(net, ["tap-b"], tap="tap-a", rate=RATE)
    base = {"version": 1, "segments": [{"name": "lan"}], "ports": [
        {"name": "a", "device": "tap-a", "segment": "lan", "carrier": "tc"},
        {"name": "b", "device": "tap-b", "segment": "lan", "mac": [B]}]}
    plane.up(base)
    changes = 40 if LONG else 6
    with flow:
        time.sleep(0.1)
        for i in range(changes):
            base["ports"][0]["carrier"] = ["xdp", "tc"][i % 2]
            plane.up(base)
            assert plane.port("a")["carrier"] == ["xdp", "tc"][i % 2]
    r = flow.result
    print(f"{changes} changes of carrier: {r['sent']} frames at {flow.rate:.0f}/s: lost {r['lost']}, twice {r['twice']}, late {r['late']}")
    flow.clean()


# ---- what is refused, migrated, finished ----

@pytest.fixture
def small(net, plane):
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    net.tap("tap1"), net.tap("tap2")
    plane.up(plane.segment("lan", {"name": "a", "device": "tap1"}, {"name": "b", "device": "tap2", "mac": [A]}, host=["vp0"]))
    return plane


def set_abi(plane, major, minor):
    """As a plane made by another build."""
    pin = f"{PIN_ROOT}/{plane.name}/maps/vp_plane"
    value = json.loads(run(f"bpftool -j map lookup pinned {pin} key 0 0 0 0").stdout)["value"]
    value[:4] = [f"0x{major:02x}", "0x00", f"0x{minor:02x}", "0x00"]
    run(f"bpftool map update pinned {pin} key 0 0 0 0 value {' '.join(value)}")


def everything(plane):
    """What an upgrade that was refused must not have touched."""
    devices = {d: hooks(plane, d) for d in ("tap1", "tap2", "vp0-p")}
    return devices, pinned(plane), plane.pins(), os.listdir(f"/run/vpeer/{plane.name}")


def test_the_same_build_has_nothing_to_do(small):
    before = everything(small)
    assert "nothing to change" in small.run("upgrade").stdout
    assert small.json("upgrade") == {"plane": small.name, "changed": False, "ports": 0, "abi": "1.4"}
    assert everything(small) == before


def test_another_build_keeps_all_that_is_known(small):
    small.run("mac add lan 52:54:00:00:00:77 a")
    conf, shown, ids = small.run("showconf").stdout, small.show(), pinned(small)
    other = by(small, variant("other"))
    assert other.json("upgrade") == {"plane": small.name, "changed": True, "ports": 3, "abi": "1.4"}
    assert pinned(small) != ids and small.show() == shown and small.run("showconf").stdout == conf
    assert "nothing to change" in other.up(conf).stdout and "nothing to change" in small.up(conf).stdout
    assert "nothing to change" in other.run("upgrade").stdout


def test_it_may_open_more_files_than_a_process_by_default(small):
    """It keeps what each port had, for going back: with two thousand ports that is beyond the usual 1024."""
    other = by(small, variant("other"))
    few = ["prlimit", "--nofile=40:4096", other.binary, "--plane", small.name]
    assert small.ns.run([*few, "show"], check=False).returncode == 0, "control: enough for the plane"
    assert "replaced on 3 ports" in small.ns.run([*few, "upgrade"]).stdout


def test_who_watches_holds_no_programs(small, tmp_path):
    """What an upgrade has replaced is gone although `watch` and `events` go on."""
    was = {i for i, _ in pinned(small).values()}
    with Watch(small), contextlib.closing(Stream(small, tmp_path / "events")):
        by(small, variant("other")).run("upgrade")
        wait_until(lambda: not was & {p["id"] for p in json.loads(run("bpftool -j prog show").stdout)})


@pytest.mark.parametrize("major, minor, verb, said", [
    (2, 0, "upgrade", "do not fit together; use that vpeer, or change over with a gap: its `showconf` and `down`, then `up`"),
    (1, 7, "upgrade", "newer vpeer with ABI 1.7, this one has 1.4; use that one"),
    (2, 0, "down", "do not fit"), (1, 7, "down", "newer"), (2, 0, "show", "do not fit"), (1, 7, "port del a", "newer")])
def test_another_abi_is_refused_untouched(small, major, minor, verb, said):
    before = everything(small)
    set_abi(small, major, minor)
    done = small.run(verb, check=False)
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    set_abi(small, 1, 1)
    assert everything(small) == before


def test_maps_of_another_shape_are_refused_whatever_the_version_says(small):
    """A number that somebody forgot to raise must not become a wild write."""
    before = everything(small)
    pin = f"{PIN_ROOT}/{small.name}/maps/vp_ifaces"
    run(f"bpftool map create {pin}x type hash key 4 value 4 entries 1 name vp_ifaces")
    os.rename(pin, f"{pin}0"), os.rename(f"{pin}x", pin)
    done = small.run("upgrade", check=False)
    os.unlink(pin), os.rename(f"{pin}0", pin)
    assert done.returncode == 1 and "vp_ifaces has another shape" in done.stderr
    assert everything(small) == before


def test_a_newer_minor_version_migrates(small):
    newer = by(small, variant("minor"))
    small.run("mac add lan 52:54:00:00:00:77 a")
    conf = small.run("showconf").stdout
    for verb in ("show", "attach", "port del a"):
        done = newer.run(verb, check=False)
        assert done.returncode == 1 and f"run: vpeer --plane {small.name} upgrade" in done.stderr
    assert newer.json("upgrade")["abi"] == "1.5"
    assert "maps/vp_later" in small.pins() and newer.run("showconf").stdout == conf
    assert "later" in newer.port("a")["drops"] and newer.port("a")["state"] == "up"
    assert [m["mac"] for m in newer.show()["macs"]].count("52:54:00:00:00:77") == 1
    done = small.run("show", check=False)
    assert done.returncode == 1 and "newer vpeer with ABI 1.5" in done.stderr, "and the older build knows its limits"
    assert "nothing to change" in newer.up(conf).stdout
    newer.down()


def test_a_plane_of_the_first_minor_version_gets_the_ring_of_events(small):
    """1.0 had no vp_events and no vp_told, and until 1.2 there was vp_flows in the place of vp_memory."""
    set_abi(small, 1, 0)
    maps = f"{PIN_ROOT}/{small.name}/maps"
    for name in ("vp_events", "vp_told", "vp_memory"):
        os.unlink(f"{maps}/{name}")
    run(f"bpftool map create {maps}/vp_flows type percpu_array key 4 value 32 entries 1024 name vp_flows")
    done = small.run("show", check=False)
    assert done.returncode == 1 and f"run: vpeer --plane {small.name} upgrade" in done.stderr
    small.run("upgrade")
    assert {"maps/vp_events", "maps/vp_told", "maps/vp_memory"} <= set(small.pins()) and small.port("a")["state"] == "up"
    assert "maps/vp_flows" not in small.pins()
    assert " upgraded" in small.run("events --recent").stdout


def test_down_needs_no_upgrade(small):
    by(small, variant("minor")).down()
    assert not small.pins()


def test_a_port_whose_device_is_away_does_not_matter(small, net):
    net.taps[1].close()
    assert by(small, variant("other")).json("upgrade")["ports"] == 2
    net.tap("tap2")
    assert small.attach().returncode == 0 and small.port("b")["state"] == "up"
    assert hooks(small, "tap2")[0] == pinned(small)["vp_tc_in"][0]


@pytest.mark.parametrize("finisher", ["upgrade", "up", "attach", "down"])
def test_an_upgrade_that_was_cut_short_is_finished(small, finisher):
    """Killed after the first hook was replaced: seen by show, and the next loader, of either build, finishes."""
    conf = small.run("showconf").stdout
    other = by(small, variant("other"))
    trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2,sendto", "-e", "inject=sendto:signal=KILL:when=12"]
    done = small.ns.run([*trace, other.binary, "--plane", small.name, "upgrade"], check=False)
    assert done.returncode not in (0, 1, 2, 3), "it was killed"
    why = {p["name"]: p["why"] for p in small.show()["ports"]}
    assert any("programs of a former build" in w for w in why.values()), why
    if finisher == "down":
        small.down()
        assert not small.pins() and "bpf" not in small.ns.run("tc filter show dev tap1 ingress").stdout
        return
    small.up(conf) if finisher == "up" else small.run(finisher)
    now = pinned(small)
    for device in ("tap1", "tap2", "vp0-p"):
        assert hooks(small, device)[:2] == [now["vp_tc_in"][0], now["vp_tc_out"][0]], device
    assert not any("former build" in p["why"] for p in small.show()["ports"])
    assert "nothing to change" in small.up(conf).stdout


def sendto_of(small, trace, n):
    """Which sendto() of an upgrade replaces the n-th filter, counted from the end: kernels differ in what is asked before."""
    small.ns.run(["strace", "-f", "-qq", "-o", str(trace), "-e", "sendto", by(small, variant("other")).binary, "--plane", small.name,
                  "upgrade"])
    small.run("upgrade")
    with open(trace, encoding="utf-8") as f:
        calls = [line for line in f if "sendto(" in line]
    return [i for i, line in enumerate(calls, 1) if "RTM_NEWTFILTER" in line][n]


def test_one_that_is_finished_in_part_says_so(small, tmp_path):
    """The same build again after a kill: its programs are in force, so nothing goes back, and what is done stays done."""
    first, other = sendto_of(small, tmp_path / "trace", 0), by(small, variant("other"))

    def upgrade(action, n):
        return small.ns.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject=sendto:{action}:when={n}", other.binary, "--plane",
                             small.name, "upgrade"], check=False).returncode

    def old():
        return sum("former build" in p["why"] for p in small.show()["ports"])

    assert upgrade("signal=KILL", first) not in (0, 1, 2, 3) and old() == 3, "control: killed before the first hook"
    assert upgrade("error=ENOMEM", first) == 1 and old() == 3, "nothing was done"
    runs = [(old(), upgrade("error=ENOMEM", n), old()) for n in range(first + 1, first + 12)]
    assert runs[-1] == (0, 0, 0) and 3 in [code for _, code, _ in runs], runs
    assert all(code == (0 if not after else 3 if after < before else 1) for before, code, after in runs), runs


@pytest.mark.parametrize("call, n", [("bpf", 60), ("sendto", 0), ("sendto", -1), ("renameat2", 1), ("mkdir", 1)])
def test_what_the_kernel_refuses_is_undone(small, tmp_path, call, n):
    n = sendto_of(small, tmp_path / "trace", n) if call == "sendto" else n
    before = {d: hooks(small, d) for d in ("tap1", "tap2", "vp0-p")}, pinned(small), small.pins()
    other = by(small, variant("other"))
    done = small.ns.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:error=ENOMEM:when={n}", other.binary,
                         "--plane", small.name, "upgrade"], check=False)
    after = {d: hooks(small, d) for d in ("tap1", "tap2", "vp0-p")}, pinned(small), small.pins()
    assert done.returncode == 1 and done.stderr.startswith("vpeer: ") and "memory" in done.stderr, done
    assert after[0] == before[0] and after[1] == before[1] and after[2] == before[2]
