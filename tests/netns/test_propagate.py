# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`propagate: true` on a binding: one end has no carrier, then the other end's device is held down, by `watch` alone."""
import signal
import time

import pytest

from lab import frames, wait_until

A, B = "52:54:00:00:00:0a", "52:54:00:00:00:0b"
pytestmark = pytest.mark.usefixtures("quiet")


def wire(a, b, **binding):
    """Two ports and their binding; a port is a name (host port), or (name, device), or that and its kind."""
    ports = []
    for p in (a, b):
        if isinstance(p, str):
            ports.append({"name": p, "kind": "host"})
        else:
            ports.append({"name": p[0], "device": p[1], **({"kind": p[2]} if len(p) > 2 else {})})
    return {"version": 1, "ports": ports,
            "bindings": [{"a": ports[0]["name"], "b": ports[1]["name"], "propagate": True, **binding}]}


def flags(ns, device):
    return ns.link(device)["flags"]


def carrier(ns, device):
    return "LOWER_UP" in flags(ns, device)


def until(ns, device, has, timeout=4):
    """The kernel tells of a lost carrier once a second only."""
    wait_until(lambda: carrier(ns, device) == has, timeout, every=0.02, what=f"{device} carrier {has}: {ns.link(device)}")


def test_veth_and_host_port(plane, net, watch):
    guest = net.veth_guest(1)
    plane.up(wire(("g1", "g1"), "vp0"))
    net.host.up("vp0")
    watch()
    assert carrier(net.host, "vp0") and carrier(guest.ns, "eth0")
    for _ in range(2):
        guest.ns.down("eth0")
        until(net.host, "vp0", False)
        guest.ns.up("eth0")
        until(net.host, "vp0", True)
    net.host.down("vp0")
    until(guest.ns, "eth0", False)
    net.host.up("vp0")
    until(guest.ns, "eth0", True)
    net.host.ip("addr add 198.18.0.1/15 dev vp0")
    assert guest.ping("198.18.0.1")


def test_tap_and_nic(plane, net, watch):
    """The guest is gone: the NIC's partner sees it. The cable is out: the guest's VMM is told, at its next frame."""
    net.uplink("up0")
    tap = net.tap("tap0")
    plane.up(wire(("g", "tap0"), ("w", "up0", "uplink")))
    watch()
    assert carrier(net.world, "eth0")
    tap.close()
    until(net.world, "eth0", False)
    tap = net.tap("tap0")
    until(net.world, "eth0", True)
    raw, frame = net.sniffer(net.world, "eth0"), frames.arp_request(A, "198.18.0.1", "198.18.0.2")
    wait_until(lambda: tap.send(frame) or raw.recv_match(frame, 0.1))
    net.world.down("eth0")
    wait_until(lambda: "UP" not in flags(net.host, "tap0"), what="the TAP is held down")
    with pytest.raises(OSError):
        tap.send(frame)
    net.world.up("eth0")
    wait_until(lambda: "UP" in flags(net.host, "tap0"), what="and up again")
    raw.drain()
    wait_until(lambda: tap.send(frame) or raw.recv_match(frame, 0.1))


def test_both_ends(plane, net, watch):
    """One end, then the other; they come back in either order, and nothing is held in the end."""
    one, two = net.veth_guest(1), net.veth_guest(2)
    plane.up(wire(("g1", "g1"), ("g2", "g2")))
    seen = watch()
    for first, second in ((one, two), (two, one)):
        one.ns.down("eth0")
        until(net.host, "g1", False)
        until(two.ns, "eth0", False)
        two.ns.down("eth0")
        time.sleep(0.3)
        first.ns.up("eth0")
        time.sleep(1.5)
        second.ns.up("eth0")
        until(one.ns, "eth0", True)
        until(two.ns, "eth0", True)
        assert one.ping(two)
    net.host.down("g1")                 # the administrator's doing counts, too
    until(two.ns, "eth0", False)
    net.host.up("g1")
    until(two.ns, "eth0", True)
    seen.settle()
    assert all(b["held"] is None for b in plane.show()["bindings"])


def held(plane, net, watch):
    """A guest whose wire's other end is down: its device is held."""
    guest = net.veth_guest(1)
    plane.up(wire(("g1", "g1"), "vp0"))
    net.host.up("vp0")
    seen = watch()
    net.host.down("vp0")
    until(guest.ns, "eth0", False)
    wait_until(lambda: plane.show()["bindings"][0]["held"] == "g1")
    return guest, seen


def test_what_show_says(plane, net, watch):
    guest, seen = held(plane, net, watch)
    told = plane.show()
    assert told["bindings"] == [{"a": "g1", "b": "vp0", "state": "degraded", "propagate": True, "held": "g1"}]
    assert "g1 is held down by watch: its peer vp0 has no carrier" in plane.port("g1")["why"]
    text = " ".join(plane.run("show bindings").stdout.split())
    assert "g1, vp0: propagate: g1 is held down, the other end has no carrier" in text
    found = plane.json("doctor", check=False)["findings"]
    assert [f["object"] for f in found if f["id"] == "device-down"] == ["port vp0"], "g1 is not down by mistake"
    seen.end(signal.SIGKILL)
    assert plane.show()["bindings"][0]["held"] is None and plane.show()["watched"] is False
    text = " ".join(plane.run("show bindings").stdout.split())
    assert "g1, vp0: propagate needs a running vpeer watch, and there is none" in text
    assert not carrier(guest.ns, "eth0")


def test_other_verbs_leave_it_held(plane, net, watch):
    guest, seen = held(plane, net, watch)
    conf = wire(("g1", "g1"), "vp0")
    for _ in range(2):
        assert "nothing to change" in plane.up(conf).stdout
        plane.attach()
    assert "UP" not in flags(net.host, "g1") and seen.log().count("held down") == 1
    net.host.up("g1")                   # by hand: held again, and there is still one record
    until(guest.ns, "eth0", False)
    wait_until(lambda: "UP" not in flags(net.host, "g1"))
    with open(f"/run/vpeer/{plane.name}/undo", encoding="ascii") as f:
        assert f.read().count(" held ") == 1


def test_an_uplink_that_is_held_is_not_brought_up(plane, net, watch):
    """`attach` brings uplinks up; one that is held stays down."""
    net.uplink("up0")
    plane.up(wire(("g", "tap0"), ("w", "up0", "uplink")))
    seen = watch()
    until(net.world, "eth0", False)
    seen.kill(signal.SIGSTOP)           # or it would hold it again at once
    plane.attach()
    assert "UP" not in flags(net.host, "up0") and not carrier(net.world, "eth0")
    seen.kill(signal.SIGCONT)
    net.tap("tap0")
    until(net.world, "eth0", True)


@pytest.mark.parametrize("repair", ["attach", "up", "down", "watch", "end", "unbind", "port del"])
def test_nothing_stays_down(plane, net, watch, repair):
    """Killed while it held: whoever comes next repairs it. Ended, or told that there is nothing to hold: it does itself."""
    guest, seen = held(plane, net, watch)
    if repair not in ("end", "unbind", "port del"):
        seen.end(signal.SIGKILL)
        assert not carrier(guest.ns, "eth0")
    if repair == "up":
        plane.up(wire(("g1", "g1"), "vp0"))
    elif repair == "watch":
        net.host.up("vp0")
        watch()
    elif repair == "end":
        assert seen.end() == 0
    elif repair in ("attach", "down"):
        plane.run(repair)
    else:
        plane.run(f"{repair} g1")
    until(guest.ns, "eth0", True)
    assert "UP" in flags(net.host, "g1")


def test_switched_off_and_on(plane, net, watch):
    guest, seen = held(plane, net, watch)
    plane.up(wire(("g1", "g1"), "vp0", propagate=False))
    until(guest.ns, "eth0", True)
    done = plane.run(["diff", "-f", "-"], input="""{version: 1, ports: [{name: g1, device: g1}, {name: vp0, kind: host}],
        bindings: [{a: vp0, b: g1, propagate: true}]}""")
    assert done.stdout == "set binding g1 vp0: propagate false -> true\n"
    assert plane.up(wire(("g1", "g1"), "vp0")).stderr == "", "a watch runs"
    until(guest.ns, "eth0", False)
    assert "propagate: true" in plane.run("showconf").stdout
    assert plane.run(["diff", "-f", "-"], input=plane.run("showconf").stdout).stdout == ""
    assert seen.log().count("held down") == 2


def test_who_is_told_that_a_watch_is_needed(plane, net, tmp_path):
    net.tap("tap0")
    conf = wire(("g", "tap0"), "vp0")
    assert "binding g vp0: `propagate` works only while `vpeer watch` runs" in plane.up(conf).stderr
    assert "watch" not in plane.up(wire(("g", "tap0"), "vp0", propagate=False)).stderr
    path = tmp_path / "plane.yaml"
    path.write_text("version: 1\nports: [{name: a, device: t}, {name: b, device: u}]\n"
                    "bindings:\n  - {a: a, b: b, propagate: true}\n")
    done = plane.run("check", path)
    assert f"{path}:4:5: warning: binding a b: `propagate` works only while" in done.stderr


def test_a_device_that_was_down_before_is_down_after(plane, net, watch):
    """Undo: the uplink was down when `up` came, and is again after `down`, held in between or not."""
    net.veth((net.host, "up0"), (net.world, "eth0"), up=False)
    net.world.up("eth0")
    plane.up(wire(("g", "tap0"), ("w", "up0", "uplink")))
    watch()
    wait_until(lambda: plane.show()["bindings"][0]["held"] == "w")
    plane.down()
    assert "UP" not in flags(net.host, "up0")
