# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Every verb while frames flow between two ports that it does not concern: not one frame is lost, doubled or misdirected."""
import contextlib
import json
import os
import struct
import threading
import time

import pytest

from lab import frames

A, B = "52:54:00:00:00:0a", "52:54:00:00:00:0b"
PPS = 4000


class Flow:
    """Numbered UDP frames from one TAP to another, at a fixed rate, received by a thread of their own."""

    def __init__(self, source, target):
        self.source, self.target, self.sent, self.got, self.stop = source, target, 0, [], False
        frame = frames.udp(A, B, "198.18.0.1", "198.18.0.2", payload=b"\0" * 8, csum="full")
        self.head = bytes(12) + frame[:-8]
        # The number may be anything: the checksum is made to match by its complement behind it.
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.send, self.receive)]

    def send(self):
        begin = time.monotonic()
        while not self.stop:
            due = int((time.monotonic() - begin) * PPS)
            while self.sent < due:
                os.write(self.source.fds[0], self.head + struct.pack("!II", self.sent, 0xFFFFFFFF - self.sent))
                self.sent += 1
            time.sleep(0.001)

    def receive(self):
        sender = self.threads[0]
        while sender.is_alive() or len(self.got) < self.sent:
            sending = sender.is_alive()
            rx = self.target.recv(0.5)
            if rx is None and not sending:
                return
            if rx is not None and rx.frame[:12] == self.head[12:24]:
                self.got.append(struct.unpack("!I", rx.frame[-8:-4])[0])

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        for thread in self.threads:
            thread.join(20)

    def verdict(self):
        """Nothing lost, nothing twice, nothing out of order."""
        assert self.sent > PPS // 4, "the flow did flow"
        missing = set(range(self.sent)) - set(self.got)
        assert not missing, f"{len(missing)} of {self.sent} lost, first {sorted(missing)[:5]}"
        assert self.got == list(range(self.sent))


@pytest.fixture(params=["xdp", "tc"])
def scene(request, net, plane):
    """Ports a and b with the flow; c, d, e, f for the verbs."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    taps = {name: net.tap(f"tap-{name}") for name in "abcdef"}
    plane.up({"version": 1, "segments": [{"name": "lan"}, {"name": "other"}],
              "ports": [{"name": n, "device": f"tap-{n}", "segment": "lan", "carrier": request.param} for n in "abcd"]
              + [{"name": n, "device": f"tap-{n}"} for n in "ef"]})
    for name, mac in (("a", A), ("b", B)):
        plane.run(f"mac add lan {mac} {name}")
    assert plane.port("a")["carrier"] == request.param
    for tap in taps.values():
        tap.drain(0)
    return plane, taps


@contextlib.contextmanager
def flowing(scene):
    plane, taps = scene
    before = {p["name"]: p for p in plane.show()["ports"]}
    with Flow(taps["a"], taps["b"]) as flow:
        time.sleep(0.1)
        yield plane, taps
        time.sleep(0.1)
    flow.verdict()
    after = {p["name"]: p for p in plane.show()["ports"]}
    for name, key in (("a", "rx"), ("b", "tx")):
        assert after[name][key]["packets"] - before[name][key]["packets"] == flow.sent, "counted once"
    assert after["a"]["forwarded"] - before["a"]["forwarded"] == flow.sent, "never flooded"
    for name in "cdef":
        assert taps[name].drain(0) == [], "nobody else saw any of it"


def test_ports(scene, net):
    with flowing(scene) as (plane, taps):
        net.tap("tap-n")
        for _ in range(20):
            plane.run("port add n device=tap-n segment=lan")
            plane.run("port set n quota=7 segment=other")
            plane.run("port del n")


def test_host_ports(scene):
    with flowing(scene) as (plane, taps):
        for _ in range(5):
            plane.run("port add vp0 kind=host segment=lan")
            plane.run("port del vp0")


def test_macs(scene, tmp_path):
    path = tmp_path / "macs"
    path.write_text("".join(f"lan 52:55:00:00:{i >> 8:02x}:{i & 255:02x} d\n" for i in range(5000)))
    with flowing(scene) as (plane, taps):
        for i in range(20):
            plane.run(f"mac add lan 52:54:00:00:02:{i:02x} c")
            plane.run(f"mac del lan 52:54:00:00:02:{i:02x}")
            plane.run("mac flush port=c")
            plane.run("mac flush")
        plane.run("mac load", path)


def test_bindings(scene):
    with flowing(scene) as (plane, taps):
        for _ in range(20):
            plane.run("bind e f")
            plane.run("unbind e")


def test_up_and_the_readers(scene):
    plane, _ = scene
    text = plane.run("showconf").stdout
    other = text.replace("name: other", "name: another")
    assert other != text
    with flowing(scene) as (plane, taps):
        for i in range(10):
            plane.up(other if i % 2 == 0 else text, *(["--prune"] if False else []))
            plane.run("show all")
            plane.run(["diff", "-f", "-"], input=text)
            plane.run("attach")
            plane.run(["up", "-f", "-", "--dry-run"], input=other)


def test_devices_of_others_come_and_go(scene, net):
    with flowing(scene) as (plane, taps):
        for i in range(8):
            tap = net.tap("tap-x")
            plane.run("port add x device=tap-x segment=lan") if i == 0 else plane.attach("x")
            assert plane.port("x")["state"] == "up"
            tap.close()
        plane.run("port del x")


def test_the_flow_does_notice(scene):
    """The control: what does concern the flow is seen as lost."""
    plane, taps = scene
    with Flow(taps["a"], taps["b"]) as flow:
        time.sleep(0.2)
        plane.run("port set b segment=")
        time.sleep(0.1)
        plane.run("port set b segment=lan")
        time.sleep(0.2)
    with pytest.raises(AssertionError, match="lost"):
        flow.verdict()
    assert json.loads(plane.run("show", json_out=True).stdout)["ports"][0]["rx"]["packets"] >= flow.sent
