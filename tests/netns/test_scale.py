# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A thousand ports and a full MAC table: configured, shown, and each address reaches its port and no other."""
import json
import os
import random
import select
import time

import pytest

import lab
from lab import frames

PORTS, MACS, SAMPLE = 1000, 65536, 1000
SOURCE = "52:54:00:00:00:fe"


def mac(i):
    return "52:55:%02x:%02x:%02x:%02x" % tuple(i.to_bytes(4, "big"))


class Crowd:
    """TAPs t0 to t999 in one poll set."""

    def __init__(self, net, n):
        net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.taps = [net.tap(f"t{i}", up=False) for i in range(n)]
        net.host.ip(*[f"link set t{i} up group 77" for i in range(n)])
        net.at_close(lambda: net.host.run("ip link del group 77"))      # all in one: each close would take 20 ms
        self.poll = select.poll()
        self.by_fd = {}
        for i, tap in enumerate(self.taps):
            self.poll.register(tap.fds[0], select.POLLIN)
            self.by_fd[tap.fds[0]] = i

    def receive(self, count, timeout=10):
        """[(index, frame)] of the next `count` frames, and whatever else comes within 50 ms after them."""
        found, limit = [], time.monotonic() + timeout
        while time.monotonic() < limit:
            ready = self.poll.poll(50)
            if not ready and len(found) >= count:
                return found
            for fd, _ in ready:
                try:
                    found.append((self.by_fd[fd], os.read(fd, 2048)[12:]))
                except BlockingIOError:
                    pass
        return found


def timed(what, limit, work):
    """The work's result; slower than `limit` is a failure, since people wait for it."""
    begin = time.monotonic()
    result = work()
    took = time.monotonic() - begin
    print(f"{what}: {took:.2f} s")
    assert took < limit, f"{what} took {took:.1f} s"
    return result


@pytest.mark.slow
def test_a_thousand_ports_and_a_full_table(net, plane, tmp_path):
    crowd = Crowd(net, PORTS)
    conf = json.dumps({"version": 1, "segments": [{"name": "lan"}],
                       "ports": [{"name": f"p{i}", "device": f"t{i}", "segment": "lan"} for i in range(PORTS)]})
    done = timed("up", 60, lambda: plane.run(["up", "-f", "-"], input=conf, timeout=120))
    assert f"{PORTS} ports attached" in done.stdout
    assert "nothing to change" in timed("up again", 10, lambda: plane.run(["up", "-f", "-"], input=conf)).stdout
    owner = [i % PORTS for i in range(MACS)]
    random.Random(1).shuffle(owner)
    path = tmp_path / "macs"
    path.write_text("".join(f"lan {mac(i)} p{owner[i]}\n" for i in range(MACS)))
    assert f"{MACS} of {MACS} entries made" in timed("mac load", 20, lambda: plane.run("mac load", path)).stdout
    told = timed("show", 20, lambda: plane.show())
    assert [p for p in told["ports"] if p["state"] != "up"] == [] and len(told["ports"]) == PORTS
    assert {m["mac"]: m["port"] for m in told["macs"]} == {mac(i): f"p{owner[i]}" for i in range(MACS)}
    assert all(m["static"] for m in told["macs"])

    # The table is full: what would be learned is counted, and forwarded all the same.
    sample = random.Random(2).sample([i for i in range(MACS) if owner[i] != 7], SAMPLE)
    sent = [frames.udp(SOURCE, mac(i), "198.18.0.1", "198.18.0.2", payload=b"%d" % i) for i in sample]
    got = []
    for at in range(0, SAMPLE, 100):
        for frame in sent[at:at + 100]:
            crowd.taps[7].send(frame)
        got += crowd.receive(100)
    assert sorted(got) == sorted((owner[i], frame) for i, frame in zip(sample, sent)), "each to its port and to no other"
    port = plane.port("p7")
    assert port["forwarded"] == port["events"]["table_full"] == SAMPLE and port["learned"] == 0
    assert port["flooded"] == 0 and not any(port["drops"].values())
    assert "table_full" in plane.run("show drops").stdout
    text = plane.run("show macs", timeout=60).stdout
    assert len(text.splitlines()) == MACS + 1

    # A flood reaches all others once.
    flood = frames.arp_request(SOURCE, "198.18.0.1", "198.18.0.2")
    crowd.taps[7].send(flood)
    assert sorted(crowd.receive(PORTS - 1)) == sorted((i, flood) for i in range(PORTS) if i != 7)

    # One change among many is no work for the others, and leaves no trace of the table.
    timed("port del", 10, lambda: plane.run("port del p3"))
    left = plane.show()
    assert len(left["macs"]) == MACS - owner.count(3)
    crowd.taps[7].send(flood)
    assert len(crowd.receive(PORTS - 2)) == PORTS - 2
    assert plane.port("p7")["events"]["learned"] == 1, "there is room again"
    timed("down", 60, lambda: plane.run("down", timeout=120))
    assert "clsact" not in net.host.run("tc qdisc show").stdout


def test_quota_and_table_full_are_counted(net, plane):
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    one, two = net.tap("tap1"), net.tap("tap2")
    plane.up({"version": 1, "segments": [{"name": "lan"}],
              "ports": [{"name": "a", "device": "tap1", "segment": "lan", "quota": 100},
                        {"name": "b", "device": "tap2", "segment": "lan"}]})
    for i in range(130):
        one.send(frames.udp(mac(i), SOURCE, "198.18.0.1", "198.18.0.2"))
    assert len(two.drain()) == 130, "forwarded all the same"
    port = plane.port("a")
    assert port["learned"] == port["events"]["learned"] == 100 and port["events"]["quota"] == 30
    assert port["events"]["table_full"] == 0 and len(plane.show()["macs"]) == 100
    plane.run("mac flush")
    for i in range(200, 230):
        one.send(frames.udp(mac(i), SOURCE, "198.18.0.1", "198.18.0.2"))
    assert plane.port("a")["learned"] == 30, "the quota came back"


def test_flood_in_many_segments_reaches_its_own(net, plane):
    """200 ports in 100 segments: what is flooded in one is seen in that one."""
    crowd = Crowd(net, 200)
    plane.up({"version": 1, "segments": [{"name": f"s{i}"} for i in range(100)],
              "ports": [{"name": f"p{i}", "device": f"t{i}", "segment": f"s{i % 100}"} for i in range(200)]})
    sent = {i: frames.arp_request(lab.frames.mac(i), "198.18.0.1", "198.18.0.2") for i in range(200)}
    for i, frame in sent.items():
        crowd.taps[i].send(frame)
    assert sorted(crowd.receive(200)) == sorted(((i + 100) % 200, frame) for i, frame in sent.items())
