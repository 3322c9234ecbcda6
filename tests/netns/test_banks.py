# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The tables in which both banks stand: only what differs is written, and what a dead loader left comes in force never."""
import struct

import pytest

from lab import frames
from lab.ns import run
from lab.plane import PIN_ROOT
from lab.tell import A, B

X, Y = "52:54:00:00:00:0f", "52:54:00:00:00:10"
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
    def guard(port, mac):
        return struct.pack("=H", port) + bytes.fromhex(mac.replace(":", ""))

    def bank(self):
        value = self.json("lookup", "pinned", f"{self.top}/vp_plane", "key", "0 0 0 0")["value"]
        return int(value[4], 16)

    def put(self, table, key, value):
        run(f"bpftool map update pinned {self.top}/{table} key {self.words(key)} value {self.words(struct.pack('=I', value))}")

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


def test_both_banks_are_alike_after_a_change(net, plane):
    net.tap("tap1"), net.tap("tap2")
    plane.up(conf())
    tables = Tables(plane)
    for vlan, macs in ((20, (A, X)), (20, (X, Y)), (30, (Y,)), (10, (A,))):
        plane.up(conf(vlan=vlan, macs=macs))
        assert tables.all("vp_vlans") == {struct.pack("=HHI", 2, vlan, bank): 1 for bank in (0, 1)}
        assert tables.all("vp_guards") == {tables.guard(1, m): 3 for m in macs}
