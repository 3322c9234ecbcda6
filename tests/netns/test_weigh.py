# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`watch` gives each TAP the carrier that what its guest sends asks for (`carrier: auto`), and tells of it."""
import time

import pytest

import lab
from lab import frames, need_kernel, wait_until
from lab.ns import SLOW
from lab.tell import A, B

IP_A, IP_B = "198.18.0.1", "198.18.0.2"
pytestmark = pytest.mark.usefixtures("quiet")


def small(count):
    return [frames.udp(A, B, IP_A, IP_B, payload=b"%05d" % i) for i in range(count)]


def bulk(count):
    """Wire frames in superframes, ten in each."""
    frame = frames.tcp(A, B, IP_A, IP_B, payload=bytes(14480), csum="partial")
    return [(frame, frames.csum_args(frame), ("tcp4", 1448, 54))] * (count // 10)


def carriers(plane):
    return {p["name"]: p["carrier"] for p in plane.show()["ports"]}


class Pair:
    """A guest that sends and one that gets."""

    def __init__(self, net, plane, carrier="auto", **options):
        self.plane = plane
        self.ends = [net.tap(d, offload=lab.Tap.OFFLOADS, **options) for d in ("tap1", "tap2")]
        plane.up(plane.segment("lan", {"name": "g1", "device": "tap1", "carrier": carrier},
                               {"name": "g2", "device": "tap2"}))
        plane.run(f"mac add lan {B} g2")

    def send(self, what):
        """None of them is lost on the way."""
        for i in range(0, len(what), 50):
            for one in what[i:i + 50]:
                self.ends[0].send(*one) if isinstance(one, tuple) else self.ends[0].send(one)
            got = self.ends[1].drain(0.05)
            assert len(got) == len(what[i:i + 50]) and all(frames.check(*r) is None for r in got)

    def until(self, carrier, what):
        """Such frames bring g1 to that carrier."""
        def there():
            self.send(what)
            return carriers(self.plane)["g1"] == carrier
        wait_until(there, 10, every=0.3, what=f"carrier {carrier}")


def test_superframes_bring_a_port_to_tc_and_small_frames_back(net, plane, watch):
    pair = Pair(net, plane)
    assert carriers(plane) == {"g1": "xdp", "g2": "xdp"}
    seen = watch()
    pair.until("tc", bulk(1200))
    assert "sends superframes" in plane.port("g1")["why"] and carriers(plane)["g2"] == "xdp"
    seen.wait_log("port g1: its frames go by tc from now on")
    port = plane.port("g1")
    assert port["reconnects"] == 0 and port["rx"]["packets"] == port["forwarded"] and not sum(port["drops"].values())
    plane.run("attach")
    assert carriers(plane)["g1"] == "tc", "whoever comes next chooses the same"
    pair.until("xdp", small(1100))
    seen.wait_log("port g1: its frames go by XDP from now on")
    assert seen.end() == 0


def test_half_and_half_is_no_reason(net, plane, watch):
    pair = Pair(net, plane)
    seen = watch()
    for _ in range(4):
        pair.send([x for pairs in zip(bulk(600), small(60)) for x in pairs] + small(60))
        time.sleep(1.1 * SLOW)          # it has weighed
        assert carriers(plane)["g1"] == "xdp"
    assert seen.end() == 0


def test_what_was_asked_for_is_kept(net, plane, watch):
    pair = Pair(net, plane, carrier="xdp")
    watch()
    for _ in range(4):
        pair.send(bulk(1200))
        time.sleep(1.1 * SLOW)
        assert carriers(plane)["g1"] == "xdp"


def test_the_generic_path_brings_a_port_to_tc_until_its_device_is_a_new_one(net, plane, watch):
    need_kernel((6, 2), "bpf_cast_to_kern_ctx")
    pair = Pair(net, plane, nonblock=False)
    watch()
    unfinished = frames.udp(A, B, IP_A, IP_B, payload=b"u" * 20, csum="partial")
    pair.until("tc", [(unfinished, frames.csum_args(unfinished), None)])
    assert "generic path" in plane.port("g1")["why"]
    pair.ends[0].close()
    wait_until(lambda: plane.port("g1")["state"] == "waiting", 3)
    net.tap("filler")
    pair.ends[0] = net.tap("tap1", offload=lab.Tap.OFFLOADS)
    wait_until(lambda: plane.port("g1")["state"] == "up", 3)
    assert carriers(plane)["g1"] == "xdp"
    for _ in range(5):                  # and what the former one had sent is forgotten
        pair.send(small(10))
        time.sleep(0.5 * SLOW)
    assert carriers(plane)["g1"] == "xdp"


def test_without_watch_nothing_is_weighed(net, plane):
    pair = Pair(net, plane)
    pair.send(bulk(3000))
    time.sleep(1.1 * SLOW)
    plane.run("attach")
    assert carriers(plane)["g1"] == "xdp"
