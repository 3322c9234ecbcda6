# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`attach: shared`: the plane and xdp-filter on one NIC, behind libxdp's dispatcher, on Debian's own kernel.

eth of virtio-net has native XDP, that of e1000e has not. The guests and the cables are those of test_uplink.py.
"""
import functools
import glob
import json
import os
import re

import pytest

from lab import Net, frames, wait_until
from lab.flow import B, variant
from lab.net import ROOT, relay_binary
from lab.plane import vpeer_binary
from test_uplink import GUESTS, NICS, WORLD, port, settings, world_pings
from vmlab import DIEAT, Machine, dieat_library, lost_nothing, of_planes

# One queue: of a virtio-net NIC with more of them the kernel (6.1 at least) waits for ever when it is unbound with any
# native XDP program on it, xdp-filter's included: the receive queues that the driver had added for XDP stay.
ONE_QUEUE = [nic[:2] for nic in NICS]
OURS, FILTER = "vp_xdp_ext", "xdpfilt_alw_all"
TOOLS = {"/usr/sbin/taprelay": relay_binary, "/usr/sbin/flow": f"{ROOT}/build/tests/flow", "/usr/bin/xdp-filter": "/usr/sbin/xdp-filter",
         "/usr/bin/xdp-loader": "/usr/sbin/xdp-loader", DIEAT: dieat_library}
OBJECTS = "/usr/lib/x86_64-linux-gnu/bpf/xdp[-f]*.o"      # the dispatcher and xdp-filter's programs
REFUSED = "libxdp's dispatcher (`attach: shared`) does not take the program"


@pytest.fixture(scope="module")
def booted():
    """One machine for the whole file; .nic and .slow are the names of its NICs with and without native XDP."""
    binary = vpeer_binary()
    if binary is None:
        pytest.skip("no build/vpeer: run make")
    tools = {place: tool() if callable(tool) else tool for place, tool in TOOLS.items()}
    tools["/usr/bin/vpeer-other"] = variant("other")
    with Net("shared") as net:
        machine = Machine(net, ONE_QUEUE, binary, extra={**tools, **{o: o for o in glob.glob(OBJECTS)}})
        machine.start().wait(timeout=150)
        machine.run = functools.partial(machine.run, timeout=90)      # programs are verified by an emulated CPU
        machine.run(GUESTS)
        machine.names = machine.slow, machine.nic = [machine.device_of(mac) for mac in machine.macs]
        machine.run("echo 1 >/proc/sys/kernel/bpf_stats_enabled")
        for name in machine.names:
            ready(machine, name)
        yield machine


def ready(machine, name):
    machine.run(f"echo 1 >/proc/sys/net/ipv6/conf/{name}/disable_ipv6; ip link set {name} up")
    wait_until(lambda: "LOWER_UP" in machine.run(f"ip link show {name}")[1], what=f"{name} has a carrier")


@pytest.fixture
def machine(booted):
    for wire in booted.wires:
        wire.drain(0.02)
    before = settings(booted)
    yield booted
    booted.vpeer("down")
    booted.run("xdp-filter unload --all", check=False)
    assert settings(booted) == before, "down leaves the NICs as they were"
    assert not programs(booted) and not pins(booted), "and takes every program and pin with it"
    booted.run("rmdir /sys/fs/bpf/xdp; rm -rf /sys/fs/bpf/xdp-filter", check=False)


def conf(device, **more):
    """g1 (veth), g2 (TAP) and an uplink in one segment."""
    keys = "".join(f", {key}: {value}" for key, value in more.items())
    return f"""version: 1
segments: [{{name: lan}}]
ports:
  - {{name: g1, device: g1, segment: lan}}
  - {{name: g2, device: g2, segment: lan}}
  - {{name: w, device: {device}, kind: uplink, segment: lan{keys}}}
"""


def up(machine, check=True, before="", **more):
    device = more.pop("device", machine.nic)
    machine.put("/tmp/conf", conf(device, **more))
    return machine.run(f"{before} vpeer up -f /tmp/conf", check=check)


def shared(machine, **more):
    return up(machine, attach="shared", carrier="xdp", **more)


def programs(machine):
    """What xdp-loader sees on all devices: {device: [(program, id, mode or None)]}, a dispatcher before its parts."""
    found, device = {}, None
    for line in machine.run("xdp-loader status")[1].splitlines():
        part = re.match(r" => +\d+ +(\S+) +(\d+) ", line)
        whole = re.match(r"(\S+) +(\S+) +(native|skb) +(\d+) ", line)
        if part:
            found[device].append((part[1], int(part[2]), None))
        elif whole:
            device = whole[1]
            found[device] = [(whole[2], int(whole[4]), whole[3])]
    return found


def names(machine, device=None):
    return [name for name, _, _ in programs(machine).get(device or machine.nic, [])]


def pins(machine):
    return machine.run("find /sys/fs/bpf/xdp -type f 2>/dev/null", check=False)[1].split()


def frags(machine):
    """Whether the dispatcher that was loaded last takes frames in several buffers."""
    maps = [m for m in json.loads(machine.run("bpftool -j map list")[1]) if m.get("name", "").startswith("xdp_disp")]
    dump = machine.run(f"bpftool -j map dump id {maps[-1]['id']}")[1]
    return bool(re.search(r'"is_xdp_frags": ?(true|1)', dump))


def sees_devices(machine):
    """Whether our extension asks a device for its state (vp_live)."""
    ours = next(p for p in json.loads(machine.run("bpftool -j prog")[1]) if p.get("name") == OURS and p["type"] == "ext")
    maps = {m["id"]: m for m in json.loads(machine.run("bpftool -j map list")[1])}
    rodata = next(m for m in ours["map_ids"] if maps[m].get("name", "").endswith(".rodata"))
    return bool(re.search(r'"vp_live": ?1', machine.run(f"bpftool -j map dump id {rodata}")[1]))


def tc_runs(machine):
    """How often the plane's tc program has run."""
    shown = json.loads(machine.run("bpftool -j prog show pinned /sys/fs/bpf/vpeer/default/progs/vp_tc_in")[1])
    return shown.get("run_cnt", 0)


def forwards(machine, nic=1):
    """Both guests answer the world."""
    return world_pings(machine.wires[nic], 1) and world_pings(machine.wires[nic], 2)


def by_xdp(machine):
    """Frames from the NIC to the TAP never see tc."""
    wire, before = machine.wires[1], tc_runs(machine)
    for _ in range(20):
        wire.send(frames.mac_bytes(frames.mac(2)) + frames.mac_bytes(WORLD) + b"\x88\xb5" + bytes(46))
    wait_until(lambda: port(machine, "w")["forwarded"] >= 20, what="the NIC's frames are forwarded")
    return tc_runs(machine) - before < 20


def blocked_then_not(machine, nic=1):
    """xdp-filter's rule works and the plane forwards what it lets through; both controls around it."""
    assert forwards(machine, nic), "control: no rule yet"
    machine.run(f"xdp-filter ether -m src {WORLD}")
    assert not forwards(machine, nic)
    other = frames.udp(frames.mac(201), frames.mac(1), frames.ip(201), frames.ip(1))
    rx = port(machine, "w")["rx"]["packets"]
    machine.wires[nic].send(other)
    wait_until(lambda: port(machine, "w")["rx"]["packets"] > rx, what="the rest gets through")
    machine.run(f"xdp-filter ether -r -m src {WORLD}")
    assert forwards(machine, nic), "control: the rule is gone"


def filter_drops(machine):
    return int(re.search(r"XDP_DROP +(\d+) pkts", machine.run("xdp-filter status")[1])[1])


def filter_works_alone(machine, nic=1):
    machine.run(f"xdp-filter ether -m src {WORLD}")
    before = filter_drops(machine)
    for _ in range(3):
        machine.wires[nic].send(frames.arp_request(WORLD, frames.ip(200), frames.ip(1)))
    wait_until(lambda: filter_drops(machine) == before + 3, what="xdp-filter drops what it shall")
    machine.run(f"xdp-filter ether -r -m src {WORLD}")


@pytest.mark.parametrize("first", ["the plane", "xdp-filter"])
def test_beside_xdp_filter(machine, first):
    load = f"xdp-filter load -m native {machine.nic}"
    if first == "xdp-filter":
        machine.run(load)
        assert not frags(machine), "control: xdp-filter has no frags"
        shared(machine)
    else:
        shared(machine)
        assert names(machine) == ["xdp_dispatcher", OURS] and frags(machine), "alone it keeps frags"
        assert forwards(machine) and by_xdp(machine)
        kernel_can = "bpf_rdonly_cast" in machine.run("grep -w bpf_rdonly_cast /proc/kallsyms", check=False)[1]
        assert sees_devices(machine) == kernel_can
        machine.run(load)
    assert names(machine) == ["xdp_dispatcher", FILTER, OURS], "ours comes last"
    assert not frags(machine), "only if all have it"
    shown = port(machine, "w")
    assert shown["attach"] == "shared" and shown["mode"] == "native" and shown["state"] == "up"
    assert "dispatcher, with 1 other" in shown["why"]
    ids = programs(machine)
    assert ids[machine.nic][0][2] == "native"
    assert "nothing to change" in shared(machine)[1] and "nothing to change" in machine.vpeer("attach")[1]
    assert programs(machine) == ids, "the second run touches nothing"
    blocked_then_not(machine)
    assert by_xdp(machine)

    machine.vpeer("down")
    assert names(machine) == ["xdp_dispatcher", FILTER]
    filter_works_alone(machine)
    shared(machine)
    machine.run(f"xdp-filter unload {machine.nic}")
    assert names(machine) == ["xdp_dispatcher", OURS] and forwards(machine) and by_xdp(machine)


def test_native_is_never_generic_in_silence(machine):
    code, said = shared(machine, device=machine.slow, check=False)
    assert code == 1 and f"port w: device {machine.slow}: cannot attach: `carrier: xdp` can't be had: its driver has no XDP" in said
    assert "mode: generic" in said and not programs(machine) and not pins(machine)
    up(machine, device=machine.slow, attach="shared", mode="generic")
    assert not frags(machine), "generic XDP with frags would cost tc the Ethernet header"
    assert programs(machine)[machine.slow][0][2] == "skb" and port(machine, "w")["mode"] == "generic"
    machine.run(f"xdp-filter load -m skb {machine.slow}")
    wait_until(lambda: port(machine, "w")["state"] == "up", timeout=15, what="e1000e has started anew")
    assert names(machine, machine.slow) == ["xdp_dispatcher", FILTER, OURS]
    blocked_then_not(machine, nic=0)


def test_link_and_shared_at_run_time(machine):
    up(machine, carrier="xdp")
    assert names(machine) == ["vp_xdp"] and forwards(machine)
    code, said = machine.run(f"xdp-filter load -m native {machine.nic}", check=False)
    assert code != 0, "control: a link has the device alone"
    machine.vpeer("port set w attach=shared")
    assert names(machine) == ["xdp_dispatcher", OURS] and forwards(machine)
    assert "attach: shared" in machine.vpeer("showconf")[1]
    machine.run("vpeer showconf >/tmp/shown; vpeer diff --exit-code -f /tmp/shown")
    machine.run(f"xdp-filter load -m native {machine.nic}")
    for change, why in (("attach=link", "unload it"), ("mode=generic", "run in native mode")):
        code, said = machine.vpeer(f"port set w {change}", check=False)
        assert code == 1 and why in said and machine.nic in said, said
    assert names(machine) == ["xdp_dispatcher", FILTER, OURS] and forwards(machine)
    machine.vpeer("port set w carrier=tc")
    assert names(machine) == ["xdp_dispatcher", FILTER] and forwards(machine), "tc carries on behind the filter"
    machine.run(f"xdp-filter unload {machine.nic}")
    machine.vpeer("port set w carrier=xdp mode=generic")
    assert programs(machine)[machine.nic][0][2] == "skb"
    machine.vpeer("port set w attach=link mode=native")
    assert names(machine) == ["vp_xdp"] and not pins(machine) and forwards(machine)


def test_where_libxdp_cannot_the_message_says_so_and_nothing_changes(machine):
    code, said = shared(machine, before="LIBXDP_SKIP_DISPATCHER=1", check=False)
    assert code == 1 and f"port w: device {machine.nic}: cannot attach: {REFUSED}" in said and "attach: link" in said
    assert not programs(machine) and not pins(machine), "the bare program is never attached"
    code, said = shared(machine, before="LIBXDP_OBJECT_PATH=/nowhere", check=False)
    assert code == 1 and "xdp-dispatcher.o is missing" in said and not programs(machine)
    up(machine, carrier="xdp")
    before = programs(machine)
    code, said = machine.run("LIBXDP_SKIP_DISPATCHER=1 vpeer port set w attach=shared", check=False)
    assert code == 1 and REFUSED in said and programs(machine) == before, "the link is back"
    assert port(machine, "w")["state"] == "up" and forwards(machine)
    machine.vpeer("down")
    machine.run(f"bpftool prog load {OBJECTS.split('[')[0]}-dispatcher.o /sys/fs/bpf/alone type xdp 2>/dev/null; "
                f"ip link set dev {machine.nic} xdpdrv pinned /sys/fs/bpf/alone")
    code, said = shared(machine, check=False)
    machine.run(f"ip link set dev {machine.nic} xdpdrv off; rm /sys/fs/bpf/alone")
    assert code == 1 and "somebody else's XDP program" in said, "a program that shares with nobody"


def test_a_guests_tap_too_but_no_veth(machine):
    text = conf(machine.nic).replace("device: g2,", "device: g2, attach: shared,")
    machine.vpeer("up -f -", text)
    machine.run("xdp-filter load -m native g2")
    assert names(machine, "g2") == ["xdp_dispatcher", FILTER, OURS] and forwards(machine)
    machine.run(f"xdp-filter ether -m src {frames.mac(2)}")
    assert world_pings(machine.wires[1], 1) and not world_pings(machine.wires[1], 2)
    machine.run(f"xdp-filter ether -r -m src {frames.mac(2)}")
    assert forwards(machine)
    machine.vpeer("down")
    code, said = up(machine, check=False)
    assert code == 1 and "port g2: device g2 carries 1 XDP program of somebody else" in said, "`attach: link`"
    machine.run("xdp-filter unload g2")
    code, said = machine.vpeer("up -f -", conf(machine.nic).replace("device: g1,", "device: g1, carrier: xdp, "
                                                                   "attach: shared,"), check=False)
    assert code == 1 and "port g1: device g1" in said and "dispatcher takes none" in said


ROAD = f"""version: 1
segments: [{{name: lan}}]
ports:
  - {{name: a, device: fa, segment: lan, carrier: xdp, attach: shared}}
  - {{name: b, device: fb, segment: lan, mac: ["{B}"]}}
"""
START = f"""for d in fa fb; do ip tuntap add $d mode tap vnet_hdr; echo 1 >/proc/sys/net/ipv6/conf/$d/disable_ipv6; done
rm -f /tmp/go /tmp/stop
wait_for() {{ until [ -e $1 ]; do sleep 0.1; done; echo ${{1#/tmp/}}; }}
{{ wait_for /tmp/go; wait_for /tmp/stop; }} | flow -n /proc/1/ns/net -r fb -t fa -m {B} -R 4000 >/tmp/flow 2>&1 &
for i in $(seq 100); do grep -q ready /tmp/flow && exit 0; sleep 0.1; done; cat /tmp/flow; exit 1
"""


@pytest.fixture
def road(machine):
    """A flow from fa, which the plane shares with xdp-filter, to fb."""
    machine.run(START)
    machine.run("xdp-filter load -m native fa")
    machine.vpeer("up -f -", ROAD)
    machine.run("touch /tmp/go")
    wait_until(lambda: port(machine, "a")["forwarded"], what="frames are under way")
    yield machine
    machine.vpeer("down")
    machine.run("touch /tmp/go /tmp/stop; xdp-filter unload fa; for d in fa fb; do ip tuntap del $d mode tap; done", check=False)


def beside_the_filter(machine):
    """What is on fa: xdp-filter's program and ours, and nothing of a dispatcher that was there before."""
    found = programs(machine)["fa"]
    assert [name for name, _, _ in found] == ["xdp_dispatcher", FILTER, OURS] and len(pins(machine)) == 4
    return found[1:]


def test_upgrades_beside_xdp_filter_lose_nothing(road):
    """Both builds' programs are in the dispatcher for a moment, the filter before them all the time."""
    stranger, ours = beside_the_filter(road)
    for build in ("vpeer-other", "vpeer"):
        before, sent = of_planes(road), port(road, "a")["forwarded"]
        assert "replaced on 2 ports" in road.run(f"{build} upgrade")[1]
        assert port(road, "a")["forwarded"] > sent, "control: frames were under way"
        wait_until(lambda b=before: not b & of_planes(road), what="the former programs are gone")
        was, (is_there, ours) = ours, beside_the_filter(road)
        assert is_there == stranger and ours != was
    lost_nothing(road)


def test_an_upgrade_that_fails_midway_puts_the_shared_program_back(road):
    """It is b that refuses; a has the new one by then. Nobody keeps the former one's copy but the upgrade itself."""
    before, there = of_planes(road), beside_the_filter(road)
    code, said = road.run(f"FAIL_AT=2 LD_PRELOAD={DIEAT} vpeer-other upgrade", check=False)
    assert code == 1 and "port b: device fb: cannot replace its programs" in said, said
    assert beside_the_filter(road) == there
    wait_until(lambda: of_planes(road) == before, what="only the former programs are left")
    assert "nothing to change" in road.vpeer("up -f -", ROAD)[1]
    lost_nothing(road)


def test_an_upgrade_that_dies_between_two_copies_is_finished(road):
    """By the same build: one of the two is old. It dies while libxdp unpins the dispatcher that had the first one only."""
    before = of_planes(road)
    assert killed(road, "upgrade", "unlink", 8, "vpeer-other")
    assert names(road, "fa") == ["xdp_dispatcher", FILTER, OURS, OURS], "control: it died there"
    assert "programs of a former build" in port(road, "a")["why"]
    assert "replaced on" in road.run("vpeer-other upgrade")[1]
    beside_the_filter(road)
    wait_until(lambda: not before & of_planes(road), what="the former programs are gone")
    lost_nothing(road)


def killed(machine, verb, call, n, build="vpeer"):
    """vpeer dies as it enters its n-th `call`; True if it came so far."""
    return machine.run(f"DIE_AT='{call} {n}' LD_PRELOAD={DIEAT} {build} {verb}", check=False)[0] == 137


# libxdp locks its directory, pins a new dispatcher, unlocks, swaps it in, locks, unpins the old one.
MOMENTS = [("up -f /tmp/conf", "flock", 14), ("up -f /tmp/conf", "flock", 15), ("up -f /tmp/conf", "unlink", 6),
           ("down", "flock", 12), ("down", "unlink", 7)]


def test_a_loader_that_dies_leaves_no_second_copy(machine):
    machine.run(f"xdp-filter load -m native {machine.nic}")
    shared(machine)
    hits = 0
    for verb, call, n in MOMENTS:
        if verb != "down":
            machine.vpeer("down")
        hits += killed(machine, verb, call, n)
        shared(machine)
        assert names(machine) == ["xdp_dispatcher", FILTER, OURS], f"{verb} killed at {call} {n}"
    for call, n in (("flock", 12), ("unlink", 7)):
        shared(machine)
        hits += killed(machine, "down", call, n)
        machine.vpeer("down")
        assert names(machine) == ["xdp_dispatcher", FILTER], f"down killed at {call} {n}"
        assert "vp_" not in machine.run("bpftool prog")[1], f"down killed at {call} {n}"
    assert hits == len(MOMENTS) + 2, "each of them died"
    filter_works_alone(machine)
    machine.run("xdp-filter unload --all; xdp-loader clean")


def test_the_device_goes_and_returns(machine):
    """Last, since the NIC has another index afterwards."""
    bus = machine.run(f"basename $(readlink -f /sys/class/net/{machine.nic}/device)")[1].strip()
    drivers = "/sys/bus/virtio/drivers/virtio_net"
    shared(machine)
    first = programs(machine)[machine.nic]
    machine.run(f"echo {bus} >{drivers}/unbind")
    assert port(machine, "w")["state"] == "waiting"
    machine.run(f"echo {bus} >{drivers}/bind; until [ -e /sys/class/net/{machine.nic} ]; do sleep 0.1; done")
    assert "another index" in port(machine, "w")["why"] and pins(machine)
    machine.vpeer("attach w")
    ready(machine, machine.nic)
    assert names(machine) == ["xdp_dispatcher", OURS] and programs(machine)[machine.nic] != first
    assert len(pins(machine)) == 2, "those of the dispatcher that went with the device are gone"
    assert forwards(machine) and by_xdp(machine)
    machine.run(f"echo {bus} >{drivers}/unbind")
    machine.vpeer("down")
    assert not pins(machine) and "vp_" not in machine.run("bpftool prog")[1]
    machine.run(f"echo {bus} >{drivers}/bind; until [ -e /sys/class/net/{machine.nic} ]; do sleep 0.1; done")
    ready(machine, machine.nic)
