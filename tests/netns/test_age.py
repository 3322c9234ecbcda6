# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The MAC table looks after itself: with no process of ours running, stale entries are reclaimed and the quota returns,
from a table that is full as well. (When an entry counts as aged is tested in test_segment.py.)"""
import ctypes
import os
import struct
import subprocess
import time
from collections import Counter

import pytest

from lab import crash, frames, wait_until
from lab.frames import BCAST, ip, mac

TABLE = 65536
STATION = "02:aa:00:00:00:01"      # the first of shout()


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


def tickets(plane):
    """{address of a ticket in vp_sweep: how many}; takes them out, so that nothing is reclaimed any more."""
    call = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
    path = ctypes.create_string_buffer(f"/sys/fs/bpf/vpeer/{plane.name}/maps/vp_sweep".encode())
    key = ctypes.create_string_buffer(8)

    def bpf(command, attr):
        return ctypes.CDLL(None).syscall(call, command, ctypes.create_string_buffer(attr, 128), 128)
    fd, found = bpf(7, struct.pack("QII", ctypes.addressof(path), 0, 0)), Counter()     # BPF_OBJ_GET
    assert fd >= 0
    while bpf(21, struct.pack("IIQQQ", fd, 0, 0, ctypes.addressof(key), 0)) == 0:       # BPF_MAP_LOOKUP_AND_DELETE_ELEM
        found[key.raw[2:]] += 1
    os.close(fd)
    return found


@pytest.mark.parametrize("how", ["mac flush", "mac flush port=t1", "mac del", "up --prune", "port del"])
def test_whoever_is_learned_again_has_one_ticket(net, plane, how):
    """More would stay as long as the address speaks, until there is no room for others'."""
    one, _ = prepare(net, plane, 0, 64)
    conf = plane.segment("lan", {"name": "t1", "quota": 64}, "t2", age=0)
    for _ in range(10):
        shout(one, 0, 8)
        assert learned(plane, "t1") == 8
        if how == "mac del":
            for m in plane.show("macs")["macs"]:
                m["static"] or plane.run(["mac", "del", "lan", m["mac"]])
        elif how == "up --prune":
            plane.up(conf, "--prune")
            plane.run(f"mac add lan {mac(9)} t2")
        elif how == "port del":
            plane.run("port del t1")
            plane.run("port add t1 device=t1 segment=lan quota=64")
        else:
            plane.run(how)
        assert learned(plane, "t1") == 0 and [m["mac"] for m in plane.show("macs")["macs"]] == [mac(9)]
    shout(one, 0, 8)
    assert learned(plane, "t1") == 8
    found = tickets(plane)
    assert len(found) == 8 and set(found.values()) == {1}, found


def test_whoever_was_static_meanwhile_has_one_ticket(net, plane):
    """Faster than the sweep, which would have dropped the ticket of an entry that is static or gone."""
    one, _ = prepare(net, plane, 0, 64)
    for _ in range(60):
        shout(one, 1, 1)
        plane.run(f"mac add lan {STATION} t1")
        plane.run(f"mac del lan {STATION}")
    shout(one, 1, 1)
    assert learned(plane, "t1") == 1
    assert tickets(plane) == {bytes.fromhex(STATION.replace(":", "")): 1}


def test_a_static_entry_keeps_its_ticket_and_goes_with_it(net, plane):
    one, _ = prepare(net, plane, 0, 64)
    shout(one, 1, 1)
    plane.run(f"mac add lan {STATION} t1")
    time.sleep(0.5)
    text = plane.run("showconf").stdout
    plane.run(f"mac del lan {STATION}")
    pinned = f"/sys/fs/bpf/vpeer/{plane.name}/maps/vp_macs"
    wait_until(lambda: plane.ns.run(f"bpftool map dump pinned {pinned}").stdout.count("incarnation") == 1, what="the void one is reclaimed")
    assert plane.run("showconf").stdout == text and learned(plane, "t1") == 0
    assert not tickets(plane)


@pytest.mark.parametrize("words, text", [(f"mac add lan {STATION} t1", None), ("mac load -", f"lan {STATION} t1\n")])
def test_what_is_learned_while_it_is_made_static_gives_its_quota_back(net, plane, words, text):
    """The guest speaks between the loader's look at the table and its change of it."""
    one, _ = prepare(net, plane, 0, 64)
    calls = crash.counts(plane, words, text, calls=["bpf"])["bpf"]
    plane.run(f"mac del lan {STATION}")
    for _ in range(2):
        with plane.ns.popen([*crash.prefix("bpf", "delay_enter=1500000", calls), plane.binary, "--plane", plane.name, *words.split()],
                            stdin=subprocess.PIPE, text=True) as loader:
            loader.stdin.write(text or "")
            loader.stdin.close()
            time.sleep(0.7)
            shout(one, 1, 1)
            assert learned(plane, "t1") == 1 and loader.poll() is None, "in between"
        assert loader.returncode == 0 and learned(plane, "t1") == 0
        assert STATION in [m["mac"] for m in plane.show("macs")["macs"] if m["static"]]
        plane.run(f"mac del lan {STATION}")
    shout(one, 0, 8)
    assert learned(plane, "t1") == 8


def test_a_static_entry_goes_when_its_port_leaves_the_segment(net, plane):
    """It would say of nobody where he is, and keep the address from being learned where it is."""
    one, two = prepare(net, plane, 0, 64)
    three = net.tap("t3")
    plane.run("port add t3 device=t3 segment=lan")
    plane.run(f"mac add lan {mac(8)} t3")
    assert {m["mac"]: m["port"] for m in plane.show("macs")["macs"]} == {mac(8): "t3", mac(9): "t2"}
    plane.run("port set t3 segment=")
    assert [m["mac"] for m in plane.show("macs")["macs"]] == [mac(9)]
    one.send(frames.arp_request(mac(8), ip(8), ip(9)))
    wait_until(lambda: {m["mac"]: m["port"] for m in plane.show("macs")["macs"]} == {mac(8): "t1", mac(9): "t2"})
    assert not three.drain(0) and two.drain(0)
