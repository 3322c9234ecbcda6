# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The tables in which both banks stand: only what differs is written, and what a dead loader left comes in force never."""
import json
import struct

import pytest

from lab import frames
from lab.crash import counts, killed
from lab.ns import run
from lab.plane import PIN_ROOT
from lab.tell import A, B

X, Y = "52:54:00:00:00:0f", "52:54:00:00:00:10"
MAX_SEGMENTS = 512
pytestmark = pytest.mark.usefixtures("quiet")


class Tables:
    """vp_guards and vp_vlans of a plane whose ports have the ids 1 and 2."""

    def __init__(self, plane):
        self.top = f"{PIN_ROOT}/{plane.name}/maps"
        self.json = lambda *words: plane.ns.json(f"bpftool -j map {' '.join(words)}")

    @staticmethod
    def words(data):
        return " ".join(f"0x{b:02x}" for b in data)

    @staticmethod
    def number(words):
        return struct.unpack("=I", bytes(int(b, 16) for b in words))[0]

    @staticmethod
    def guard(port, mac):
        return struct.pack("=H", port) + bytes.fromhex(mac.replace(":", ""))

    def bank(self):
        value = self.json("lookup", "pinned", f"{self.top}/vp_plane", "key", "0 0 0 0")["value"]
        return int(value[4], 16)

    def put(self, table, key, value):
        run(f"bpftool map update pinned {self.top}/{table} key {self.words(key)} value {self.words(struct.pack('=I', value))}")

    def floods(self):
        """The ids of the flood maps that the segment with the id 1 has in the two banks, None = none."""
        found = {}
        for row in self.json("dump", "pinned", f"{self.top}/vp_floods"):
            if "error" not in row["value"]:
                found[self.number(row["key"])] = self.number(row["value"])
        return [found.get(bank * MAX_SEGMENTS + 1) for bank in (0, 1)]

    def targets(self, map_id=None):
        """{port id: ifindex} of vp_targets, or of a flood map."""
        which = ["id", str(map_id)] if map_id else ["pinned", f"{self.top}/vp_targets"]
        return {self.number(r["key"]): self.number(r["value"][:4]) for r in self.json("dump", *which) if r["value"][:4] != ["0x00"] * 4}

    def all(self, table):
        """{key: value}"""
        rows = self.json("dump", "pinned", f"{self.top}/{table}")
        return {bytes(int(b, 16) for b in r["key"]): struct.unpack("=I", bytes(int(b, 16) for b in r["value"]))[0] for r in rows}


def conf(quota=100, vlan=10, macs=(A,)):
    return {"version": 1, "segments": [{"name": "lan", "vlan": vlan}],
            "ports": [{"name": "g1", "device": "tap1", "segment": "lan", "mac": list(macs), "quota": quota},
                      {"name": "g2", "device": "tap2", "tagged": ["lan"]}]}


def test_what_a_dead_loader_left_in_the_other_bank_never_counts(net, plane):
    one, two = net.tap("tap1"), net.tap("tap2")
    plane.up(conf())
    tables = Tables(plane)
    idle = 1 - tables.bank()
    good = {struct.pack("=HHI", 2, 10, bank): 1 for bank in (0, 1)}
    assert tables.all("vp_guards") == {tables.guard(1, A): 3} and tables.all("vp_vlans") == good
    tables.put("vp_guards", tables.guard(1, A), 1 << (1 - idle))        # not entered yet
    tables.put("vp_guards", tables.guard(1, X), 1 << idle)              # of what was never in force
    tables.put("vp_vlans", struct.pack("=HHI", 2, 77, idle), 1)
    tables.put("vp_vlans", struct.pack("=HHI", 2, 10, idle), 5)         # another segment
    plane.up(conf(quota=99))
    assert tables.all("vp_guards") == {tables.guard(1, A): 3} and tables.all("vp_vlans") == good
    frame = frames.eth(B, A, 0x88B5, bytes(46))
    one.send(frame)
    assert two.recv_match(frames.eth(B, A, 0x88B5, bytes(46), vlans=[10]), 0.5)
    tables.put("vp_guards", tables.guard(1, X), 1 << (1 - tables.bank()))   # now it is wanted
    plane.up(conf(macs=(A, X)))
    assert tables.all("vp_guards") == {tables.guard(1, A): 3, tables.guard(1, X): 3}


def test_both_banks_are_alike_after_a_change(net, plane):
    net.tap("tap1"), net.tap("tap2")
    plane.up(conf())
    tables = Tables(plane)
    for vlan, macs in ((20, (A, X)), (20, (X, Y)), (30, (Y,)), (10, (A,))):
        plane.up(conf(vlan=vlan, macs=macs))
        assert tables.all("vp_vlans") == {struct.pack("=HHI", 2, vlan, bank): 1 for bank in (0, 1)}
        assert tables.all("vp_guards") == {tables.guard(1, m): 3 for m in macs}


def test_a_flood_map_is_in_both_banks_at_once_where_nobody_looks(net, plane):
    """Each write to that table waits for all programs: the change after the first one need not wait."""
    net.tap("tap1"), net.tap("tap2"), net.tap("tap3")
    plane.up(plane.segment("lan", "tap1", "tap2"))
    tables = Tables(plane)
    first, same = tables.floods()
    assert first and first == same
    plane.run("port set tap1 quota=9")
    assert tables.floods() == [first, first]
    plane.up(plane.segment("lan", "tap1", "tap2", "tap3"))
    after, bank = tables.floods(), tables.bank()
    assert after[bank] != first and after[1 - bank] == first, "frames that began before the switch have the map of then"
    plane.run("port set tap1 quota=9")
    assert tables.floods() == [after[bank], after[bank]]


def three(devices=("v1", "v2", "v3"), leave=(), **more):
    return {"version": 1, "segments": [{"name": "lan"}],
            "ports": [{"name": f"g{n}", "device": d, **({} if n in leave else {"segment": "lan"}), **more} for n, d in enumerate(devices, 1)]}


def pair(net, n, index):
    """A veth whose host's end has the index, with the other end's program that makes it a target of XDP."""
    net.host.ip(f"link add name v{n} index {index} type veth peer name w{n}", f"link set v{n} up", f"link set w{n} up")
    net.host.run(f"ethtool -K w{n} gro on")


def test_what_has_not_changed_is_not_looked_at_and_what_has_is_entered(net, plane):
    """The kernel takes a device that goes out of its maps: one that is back, be it with its index, must be entered again."""
    for n in (1, 2, 3):
        pair(net, n, 70000 + n)
    plane.up(three())
    tables = Tables(plane)

    def flood():
        return tables.targets(tables.floods()[tables.bank()])
    everybody = {n: 70000 + n for n in (1, 2, 3)}
    assert tables.targets() == flood() == everybody
    first = tables.floods()[tables.bank()]
    plane.up(three(quota=7))
    assert tables.floods()[tables.bank()] == first, "control: nothing that a flood needs has changed"
    net.host.ip("link del v2")
    pair(net, 2, 70002)
    assert tables.targets() == flood() == {1: 70001, 3: 70003}, "control: the kernel has taken it out"
    plane.up(three(quota=7))
    assert tables.targets() == flood() == everybody
    plane.up(three(devices=("v1", "v3", "v2"), quota=7))
    assert tables.targets() == flood() == {1: 70001, 2: 70003, 3: 70002}
    plane.up(three(quota=7))
    plane.up(three(leave=(3,), quota=7))
    assert flood() == {1: 70001, 2: 70002}
    plane.up(three(leave=(1,), quota=7))
    assert flood() == {2: 70002, 3: 70003}


def test_a_flood_map_of_before_it_was_left_to_tc_is_not_taken_up_again(net, plane):
    for n in (1, 2, 3):
        pair(net, n, 70000 + n)
    plane.up(three())
    tables = Tables(plane)
    net.host.run("ethtool -K w3 gro off")
    plane.up(three())
    net.host.ip("link del v2")
    pair(net, 2, 70012)
    plane.up(three())
    assert tables.targets(tables.floods()[tables.bank()]) == {1: 70001, 3: 70003}, "control: nobody looks at it"
    net.host.run("ethtool -K w3 gro on")
    plane.up(three())
    assert tables.targets(tables.floods()[tables.bank()]) == {1: 70001, 2: 70012, 3: 70003}


def test_after_a_run_that_died_everything_is_looked_at(net, plane):
    for n in (1, 2, 3):
        pair(net, n, 70000 + n)
    plane.up(three())
    tables = Tables(plane)
    run(f"bpftool map delete pinned {tables.top}/vp_targets key 2 0 0 0")
    plane.up(three(quota=7))
    assert tables.targets() == {1: 70001, 3: 70003}, "control: nobody but the kernel and vpeer writes there"
    assert killed(plane, "up -f -", "membarrier", 1, json.dumps(three(quota=8)))
    plane.up(three(quota=9))
    assert tables.targets() == {n: 70000 + n for n in (1, 2, 3)}


def test_who_can_have_read_the_former_bank_is_waited_for(net, plane):
    """A grace period, which is most of what a change takes; there is none to wait for where there was no configuration."""
    net.tap("tap1"), net.tap("tap2")

    def waits(quota):
        return counts(plane, "up -f -", json.dumps(conf(quota=quota)), ("membarrier",))
    assert waits(7) == {} and waits(8) == {"membarrier": 1}


def test_where_membarrier_is_refused_a_write_waits(net, plane, tmp_path):
    """As it is on a host with nohz_full CPUs."""
    net.tap("tap1"), net.tap("tap2")
    plane.up(conf())

    def writes(quota, *refused):
        out = str(tmp_path / "calls")
        net.host.run(["strace", "-o", out, "-e", "trace=bpf,membarrier", *refused, plane.binary, "--plane", plane.name, "up", "-f", "-"],
                     input=json.dumps(conf(quota=quota)))
        with open(out, encoding="ascii", errors="replace") as f:
            return sum("BPF_MAP_UPDATE_ELEM" in line for line in f)
    assert writes(7) == 0 and writes(8, "-e", "inject=membarrier:error=EINVAL") == 1
    assert all(row["key"] != ["0x00"] * 4 or "error" in row["value"]
               for row in Tables(plane).json("dump", "pinned", f"{Tables(plane).top}/vp_floods")), "nothing of it is left"
