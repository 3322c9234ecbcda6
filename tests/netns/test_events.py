# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`events`: who sees what, how much is told of one port, and what a reader that is slow loses."""
import json
import os
import signal
import subprocess
import time

import pytest

from lab import frames, wait_until
from lab.frames import mac

A_TICK, RING = 256, 4096


class Stream:
    """A running `vpeer --json events`."""

    def __init__(self, plane, path):
        self.path = path
        with open(path, "w", encoding="utf-8") as out:
            self.process = plane.ns.popen([plane.binary, "--plane", plane.name, "--json", "events"], stdout=out,
                                          stderr=subprocess.STDOUT)
        wait_until(lambda: "hrtimer" in self.where() or "nanosleep" in self.where(), what="it waits")

    def where(self):
        with open(f"/proc/{self.process.pid}/wchan", encoding="ascii") as f:
            return f.read()

    def seen(self):
        """What it has written, read at once: line by line, half a line and later its other half may come."""
        with open(self.path, encoding="utf-8") as f:
            *lines, _half = f.read().split("\n")
        return [json.loads(line) for line in lines]

    def wait(self, **want):
        """The first event like this."""
        def found():
            return next((e for e in self.seen() if want.items() <= e.items()), None)
        return wait_until(found, timeout=3, what=str(want))

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def lan(net, plane):
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    taps = [net.tap(f"tap{n}") for n in (1, 2)]
    plane.up(config())
    return taps


def config(*more):
    ports = [{"name": f"g{n}", "device": f"tap{n}", "segment": "lan", "broadcast_pps": 20} for n in (1, 2)]
    return {"version": 1, "segments": [{"name": "lan", "age": 2}], "ports": ports + list(more)}


@pytest.fixture
def stream(plane, lan, tmp_path):
    made = Stream(plane, tmp_path / "events")
    yield made
    made.close()


def recent(plane):
    out = plane.run("events --recent", json_out=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def hello(tap, number):
    tap.send(frames.arp_request(mac(number), "198.18.0.1", "198.18.0.2"))


def station(number):
    """A frame of one more station to one that is there."""
    return frames.udp(mac(1000 + number), mac(9), "198.18.0.1", "198.18.0.2", payload=b"x")


def test_what_an_address_does_is_told(plane, lan, stream):
    one, two = lan
    hello(one, 1)
    told = stream.wait(event="learned", port="g1", segment="lan", mac=mac(1))
    assert told["from"] is None and told["missed"] == 0 and told["time"].startswith("20") and told["time"].endswith("Z")
    hello(two, 1)
    stream.wait(event="duplicate", port="g2", **{"from": "g1"}, mac=mac(1))
    stream.wait(event="moved", port="g2", **{"from": "g1"}, mac=mac(1))
    wait_until(lambda: any(e["event"] == "aged" and e["mac"] == mac(1) and e["port"] == "g2" for e in stream.seen()), 8, what="aged")
    events = plane.port("g2")["events"]
    assert (events["moved"], events["duplicate"], events["aged"]) == (1, 1, 1)


def test_an_address_that_was_flushed_is_learned(plane, lan, stream):
    """The loader leaves an entry of nobody, which neither moves nor ages."""
    one, _ = lan
    hello(one, 1)
    stream.wait(event="learned", mac=mac(1))
    plane.run("mac flush")
    hello(one, 1)
    wait_until(lambda: [e["event"] for e in stream.seen() if e["mac"] == mac(1)] == ["learned", "learned"])
    plane.run("mac flush")
    time.sleep(0.4)         # some turns of the sweep
    assert [e["event"] for e in stream.seen() if e["mac"] == mac(1)] == ["learned", "learned"]


def test_an_address_that_flaps_is_held_and_told(plane, lan, stream):
    one, two = lan
    end = time.monotonic() + 1.5
    while time.monotonic() < end:           # more than a whole tick of it
        hello(one, 1), hello(two, 1)
        one.drain(0), two.drain(0)
        time.sleep(0.01)
    flaps = stream.wait(event="flapping", mac=mac(1))
    assert {flaps["port"], flaps["from"]} == {"g1", "g2"}
    moves = sum(plane.port(p)["events"]["moved"] for p in ("g1", "g2"))
    assert 5 <= moves <= 15, "five a tick"
    assert sum(plane.port(p)["events"]["flapping"] for p in ("g1", "g2")) > 20


def test_a_storm(plane, lan, stream):
    for _ in range(60):
        hello(lan[0], 1)
    stream.wait(event="storm", port="g1", mac=mac(1))
    assert plane.port("g1")["events"]["storm"] <= 2, "once a tick"


def test_one_port_cannot_wash_away_the_others(plane, lan):
    one, two = lan
    hello(two, 9)
    for n in range(2000):
        one.send(station(n))
    told = recent(plane)
    of_one = [e for e in told if e["port"] == "g1" and e["event"] in ("learned", "quota")]
    assert A_TICK <= len(of_one) <= 4 * A_TICK and any(e["port"] == "g2" and e["event"] == "learned" for e in told)
    events = plane.port("g1")["events"]
    assert events["learned"] + events["quota"] == 2000, "all are counted"
    time.sleep(1.2)
    one.send(station(5000))
    last = [e for e in recent(plane) if e["port"] == "g1"][-1]
    assert last["missed"] > 0 and sum(e["missed"] + 1 for e in recent(plane) if e["port"] == "g1") >= 2000


def test_what_the_loader_does_is_told(plane, lan, stream, net):
    plane.up(config({"name": "late", "device": "tap3", "segment": "lan"}))
    assert stream.wait(event="config")["generation"] > 1
    stream.wait(event="waiting", port="late")
    net.tap("tap3")
    plane.attach()
    stream.wait(event="up", port="late")
    net.taps[1].close()
    net.tap("tap2")
    plane.attach()
    stream.wait(event="reconnected", port="g2")
    plane.run("port del late")
    stream.wait(event="removed", port="late")
    count = len(stream.seen())
    plane.attach(), plane.run("show")
    time.sleep(0.3)
    assert len(stream.seen()) == count, "nothing happened"
    plane.run("down")
    assert stream.process.wait(3) == 0
    with open(stream.path, encoding="utf-8") as f:
        assert "is gone" in f.readlines()[-1]


def test_a_device_that_returns_with_its_old_index_is_told(plane, lan, stream, net):
    """It was in another namespace meanwhile, and nobody has looked."""
    guest, away = net.veth_guest(5), net.ns("away")
    plane.up(config({"name": "far", "device": guest.port, "segment": "lan"}))
    stream.wait(event="up", port="far")
    index = plane.port("far")["ifindex"]

    def told():
        return [e["event"] for e in stream.seen() if e["port"] == "far" and e["event"] != "learned"]
    for times in (1, 2):
        net.host.ip(f"link set {guest.port} netns {away.path}")
        away.ip(f"link set {guest.port} netns {net.host.path}")
        net.host.up(guest.port)
        plane.attach()
        assert plane.port("far")["ifindex"] == index, "control: it is the same"
        wait_until(lambda n=times: told().count("reconnected") == n, 3, what="told")
    plane.up(config({"name": "far", "device": guest.port, "segment": "lan", "quota": 7}))
    time.sleep(0.3)
    assert told() == ["up", "reconnected", "reconnected"], "once each time"


def test_a_slow_reader_loses_the_oldest_and_is_told_how_many(plane, lan, stream, net):
    """It is stopped while more is told than the ring holds."""
    ports = [net.tap(f"more{n}") for n in range(20)]
    plane.up(config(*[{"name": p.name, "device": p.name, "segment": "lan", "quota": 0} for p in ports]))
    stream.wait(event="up", port="more19")
    os.kill(stream.process.pid, signal.SIGSTOP)
    for port in ports:
        for n in range(A_TICK):
            port.send(station(n))
    os.kill(stream.process.pid, signal.SIGCONT)
    lost = stream.wait(event="lost")["lost"]

    def told():
        return [e for e in stream.seen() if e["event"] == "quota"]
    wait_until(lambda: len(told()) + lost == 20 * A_TICK, 3, what="all the others")
    assert told()[0]["port"] != "more0" and told()[-1]["port"] == "more19" and len(told()) == RING, "the newest are there"


def test_the_ring_is_looked_at_before_it_is_full(stream):
    """It holds 4,096 events; a thousand ports may tell 2,400 in a hundredth of a second (tests/bench/events.py)."""
    def looks():
        with open(f"/proc/{stream.process.pid}/status", encoding="ascii") as f:
            return int(next(line for line in f if line.startswith("voluntary_ctxt")).split()[1])
    before = looks()
    time.sleep(1)
    assert looks() - before > 30


def test_text_and_usage(plane, lan):
    hello(lan[0], 1)
    lines = plane.run("events --recent").stdout.splitlines()
    assert any(f" learned     g1 {mac(1)} in lan" in line for line in lines), lines
    done = plane.run("events --all", check=False)
    assert done.returncode == 2 and "--recent" in done.stderr
