# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Several planes, several namespaces, several loaders at once."""
import json
import threading

import pytest

import lab
from lab import frames
from lab.ns import run

A, B = "52:54:00:00:00:0a", "52:54:00:00:00:0b"
pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def second(net):
    made = lab.Plane(net.host)
    yield made
    made.close()


def lan(*taps):
    return {"version": 1, "segments": [{"name": "lan"}], "ports": [{"name": t, "device": t, "segment": "lan"} for t in taps]}


def test_two_planes_in_one_namespace(plane, second, net):
    taps = [net.tap(f"tap{i}") for i in range(4)]
    plane.up(lan("tap0", "tap1"))
    second.up(lan("tap2", "tap3"))
    frame = frames.arp_request(A, "198.18.0.1", "198.18.0.2")
    taps[0].send(frame)
    assert taps[1].recv_match(frame) and taps[2].recv(0.1) is None and taps[3].recv(0.1) is None
    taps[2].send(frame)
    assert taps[3].recv_match(frame) and taps[1].recv(0.1) is None
    assert plane.port("tap0")["flooded"] == 1 and second.port("tap2")["flooded"] == 1
    assert {m["port"] for m in plane.show()["macs"]} == {"tap0"}
    plane.down()
    taps[2].send(frame)
    assert taps[3].recv_match(frame), "the other one goes on"
    assert second.show()["ports"][0]["state"] == "up"


def test_device_of_another_plane_is_refused(plane, second, net):
    one, two = net.tap("tap0"), net.tap("tap1")
    net.tap("tap2")
    plane.up(lan("tap0", "tap1"))
    done = second.up(lan("tap1", "tap2"), check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"tap1 belongs to plane {plane.name}" in done.stderr
    assert second.pins() == []
    frame = frames.arp_request(A, "198.18.0.1", "198.18.0.2")
    one.send(frame)
    assert two.recv_match(frame)
    second.up(lan("tap2"))
    done = second.run("port add x device=tap0 segment=lan", check=False)
    assert done.returncode == 1 and plane.name in done.stderr
    done = second.run("port add vp0 kind=host segment=lan")
    done = plane.run("port add vp0 kind=host segment=lan", check=False)
    assert done.returncode == 1 and "vp0" in done.stderr
    plane.run("port del tap0")
    second.run("port add x device=tap0 segment=lan")


def test_verbs_from_another_namespace_are_refused(plane, net):
    one, two = net.tap("tap0"), net.tap("tap1")
    plane.up(lan("tap0", "tap1"))
    net.world.ip("link add tap0 type veth peer name far0")
    pins, home = plane.pins(), plane.ns
    for verb in ("up -f -", "up --dry-run -f -", "show", "showconf", "attach", "down", "diff -f -", "port del tap0",
                 "bind tap0 tap1", "unbind tap0", "mac flush", f"mac add lan {A} tap0", "show macs"):
        plane.ns = net.world
        done = plane.run(verb, check=False, input=json.dumps(lan("tap0")))
        plane.ns = home
        assert done.returncode == 1 and "another network namespace" in done.stderr, f"{verb}: {done}"
        assert len(done.stderr.splitlines()) == 1 and done.stdout == ""
    assert plane.pins() == pins and "clsact" not in net.world.run("tc qdisc show").stdout
    frame = frames.arp_request(A, "198.18.0.1", "198.18.0.2")
    one.send(frame)
    assert two.recv_match(frame)


def test_show_lists_planes(plane, second, net):
    def bare(*words):
        return net.host.run([plane.binary, *words])
    assert bare("show").stdout == "no plane\n"
    plane.name, second.name = "b.plane", "a_plane-2"
    plane.up("version: 1\n")
    second.up("version: 1\n")
    assert bare("show").stdout == "a_plane-2\nb.plane\n" == bare().stdout
    assert json.loads(bare("--json", "show").stdout) == ["a_plane-2", "b.plane"]
    default = lab.Plane(net.host, "default")
    default.up("version: 1\n")
    assert "plane default" in bare("show").stdout, "the default plane is shown, not listed"
    default.down()


@pytest.mark.parametrize("name", ["with.dots.in-it", "a..b", "0", "x" * 31, "a_b-c.d"])
def test_plane_names(net, name):
    plane = lab.Plane(net.host, name)
    try:
        one, two = net.tap("tap0"), net.tap("tap1")
        plane.up({"version": 1, "segments": [{"name": "l.1"}],
                  "ports": [{"name": "g.0.x", "device": "tap0", "segment": "l.1"},
                            {"name": "g.1", "device": "tap1", "segment": "l.1"},
                            {"name": "vp.0", "kind": "host", "segment": "l.1"}]})
        assert plane.show()["plane"] == name and plane.port("g.0.x")["carrier"] == "xdp"
        frame = frames.arp_request(A, "198.18.0.1", "198.18.0.2")
        one.send(frame)
        assert two.recv_match(frame)
        assert "nothing to change" in plane.up(plane.run("showconf").stdout).stdout
        assert net.host.link("vp.0")["ifalias"] == f"vpeer:{name}:vp.0"
        plane.down()
        assert plane.pins() == [] and run("ls -A /run/vpeer").stdout == ""
    finally:
        plane.close()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".a", "-a", "A", "a b", "x" * 32, "a:b", "ä", "+a"])
def test_bad_plane_names(net, name):
    done = lab.Plane(net.host, "ok").ns.run([lab.plane.vpeer_binary(), "--plane", name, "show"], check=False)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


def at_once(works):
    """Runs them in threads that start together; the results in order."""
    results, gate = [None] * len(works), threading.Barrier(len(works))

    def one(i):
        gate.wait()
        results[i] = works[i]()
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(works))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    return results


def test_loaders_wait_for_each_other(plane, net):
    one, two = net.tap("tap0"), net.tap("tap1")
    plane.up(lan("tap0", "tap1", *[f"w{i}" for i in range(10)]))
    works = [lambda i=i: plane.run(f"port set w{i} quota={100 + i}", check=False) for i in range(10)]
    works += [lambda i=i: plane.run(f"mac add lan 52:54:00:00:01:{i:02x} w{i}", check=False) for i in range(10)]
    works += [lambda i=i: plane.run(f"port add n{i} device=x{i} segment=lan", check=False) for i in range(5)]
    works += [lambda: plane.run("show", check=False)] * 3
    for done in at_once(works):
        assert done.returncode == 0, done.stderr
    conf = json.loads(plane.run("showconf", json_out=True).stdout)
    quotas = {p["name"]: p["quota"] for p in conf["ports"]}
    assert all(quotas[f"w{i}"] == 100 + i for i in range(10)) and all(f"n{i}" in quotas for i in range(5))
    assert len({(m["mac"], m["port"]) for m in plane.show()["macs"]}) == 10
    frame = frames.arp_request(A, "198.18.0.1", "198.18.0.2")
    one.send(frame)
    assert two.recv_match(frame)


def test_up_and_down_at_once(plane, net):
    """Whatever the order, each succeeds and the end is a whole plane or none."""
    net.tap("tap0")
    conf = json.dumps({**lan("tap0"), "ports": [*lan("tap0")["ports"], {"name": "vp0", "kind": "host", "segment": "lan"}]})
    for _ in range(4):
        works = [lambda: plane.run(["up", "-f", "-"], input=conf, check=False), lambda: plane.run("down", check=False)] * 3
        for done in at_once(works):
            assert done.returncode == 0, done.stderr
    plane.down()
    assert plane.pins() == [] and not net.host.exists("vp0") and "clsact" not in net.host.run("tc qdisc show").stdout
    assert run("ls -A /run/vpeer").stdout == ""
    plane.up(conf)
    assert plane.show()["ports"][0]["state"] == "up"
