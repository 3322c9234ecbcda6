# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The MAC table looks after itself: with no process of ours running, stale entries are reclaimed and the quota returns,
from a table that is full as well. (When an entry counts as aged is tested in test_segment.py.)"""
import struct
import time

import pytest

from lab import frames, wait_until
from lab.frames import BCAST, ip, mac

TABLE = 65536


@pytest.fixture
def net(net):
    """Without the host's own IPv6 chatter, which reaches a TAP that is up before the plane is."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    return net


def shout(tap, first, count):
    """One frame each from `count` stations; unicast to a static entry, so that nobody has to read floods."""
    body = frames.icmp(mac(1), mac(9), ip(1), ip(9))
    head, rest = body[:6] + b"\x02\xaa", body[12:]
    for n in range(first, first + count):
        tap.send(head + struct.pack("!I", n) + rest)


def learned(plane, name):
    return plane.port(name)["learned"]


def prepare(net, plane, age, quota):
    one, two = net.tap("t1"), net.tap("t2")
    plane.up(plane.segment("lan", {"name": "t1", "quota": quota}, "t2", age=age))
    plane.run(f"mac add lan {mac(9)} t2")
    return one, two


def test_quota_returns_again_and_again(net, plane):
    """A guest that uses new addresses all the time never gets more than its quota, and never loses it."""
    one, _ = prepare(net, plane, 1, 32)
    for turn in range(2):
        shout(one, 1000 * turn, 50)
        assert learned(plane, "t1") == 32 and len(plane.show("macs")["macs"]) == 33
        wait_until(lambda: learned(plane, "t1") == 0, timeout=8, what="reclaimed")
        assert [m["mac"] for m in plane.show("macs")["macs"]] == [mac(9)]
    assert plane.port("t1")["events"]["quota"] == 36


def test_a_flush_and_an_aged_entry_give_back_only_once(net, plane):
    """Tickets of flushed entries come by later and must not be counted as a second return."""
    one, _ = prepare(net, plane, 0, 64)
    shout(one, 0, 20)
    plane.run("mac flush port=t1")
    shout(one, 0, 30)
    assert learned(plane, "t1") == 30
    time.sleep(1.5)
    assert learned(plane, "t1") == 30 and len(plane.show("macs")["macs"]) == 31


def test_entries_of_a_port_that_is_removed_are_reclaimed(net, plane):
    one, _ = prepare(net, plane, 0, 64)
    shout(one, 0, 20)
    plane.run("port del t1")
    wait_until(lambda: len(plane.show("macs")["macs"]) == 1, timeout=5)
    plane.run("port add t1 device=t1 segment=lan")
    assert learned(plane, "t1") == 0
    shout(one, 0, 64)
    assert learned(plane, "t1") == 64


@pytest.mark.slow
def test_a_full_table_recovers_by_itself(net, plane):
    """Full: frames still pass, nothing is evicted, the failure is counted; silence empties the table."""
    one, two = prepare(net, plane, 4, TABLE)
    began = time.monotonic()
    shout(one, 0, TABLE)
    took = time.monotonic() - began
    full = plane.port("t1")
    if took < 3.5:
        assert full["learned"] == TABLE - 1 and full["events"]["table_full"] == 1, "one entry is the static one"
    else:
        assert full["learned"] > TABLE // 4, "too slow a machine to fill it before the first ones age"
    two.drain(0)
    frame = frames.icmp(mac(77), mac(9), ip(1), ip(9))
    one.send(frame)
    assert two.recv_match(frame, 0.5) and full["forwarded"] == TABLE
    wait_until(lambda: learned(plane, "t1") == 0, timeout=25, every=0.5, what="the whole table is reclaimed")
    assert [m["mac"] for m in plane.show("macs")["macs"]] == [mac(9)]
    one.send(frames.icmp(mac(77), BCAST, ip(1), ip(9)))
    assert {m["mac"] for m in plane.show("macs")["macs"]} == {mac(9), mac(77)}
