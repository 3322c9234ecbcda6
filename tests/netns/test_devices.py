# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Devices come and go: a port keeps its name and its place, and nobody gets what was meant for another."""
import json

import pytest

from lab import frames, need_kernel, wait_until
from lab.crash import killed
from lab.tell import A, B, lan, states, talk

C, D = "52:54:00:00:00:0c", "52:54:00:00:00:0d"
pytestmark = pytest.mark.usefixtures("quiet")


def test_absent_device_waits(plane, net):
    one = net.tap("tap1")
    done = plane.up(lan(("g1", "tap1"), ("g2", "tap2"), ("g3", "tap3")))
    assert done.returncode == 0 and done.stderr == "" and "2 waiting" in done.stdout
    assert states(plane) == {"g1": "up", "g2": "waiting", "g3": "waiting"}
    assert "tap2 is absent" in plane.port("g2")["why"] and plane.port("g2")["ifindex"] is None
    one.send(frames.arp_request(A, "198.18.0.1", "198.18.0.2"))
    assert plane.drops("g1") == {"no_member": 1}
    two = net.tap("tap2")
    assert "attach" in plane.port("g2")["why"]
    assert not talk(one, two), "a device that nobody attached is not in the plane"
    assert "1 port attached" in plane.attach("g2").stdout
    assert states(plane) == {"g1": "up", "g2": "up", "g3": "waiting"} and talk(one, two)
    assert "nothing to change" in plane.attach().stdout


@pytest.mark.parametrize("bound", [False, True], ids=["segment", "binding"])
def test_tap_recreated(plane, net, bound):
    one, two = net.tap("tap1"), net.tap("tap2")
    conf = lan(("g1", "tap1"), ("g2", "tap2"))
    if bound:
        conf = {"version": 1, "ports": [{"name": n, "device": d} for n, d in (("g1", "tap1"), ("g2", "tap2"))],
                "bindings": [{"a": "g1", "b": "g2"}]}
    plane.up(conf)
    assert talk(one, two)
    was = plane.port("g2")
    two.close()
    wait_until(lambda: states(plane)["g2"] == "waiting")
    assert "tap2 is absent" in plane.port("g2")["why"] and "nothing" in plane.run("diff --exit-code -f -", check=False).stdout or True
    one.send(frames.udp(A, B, "198.18.0.1", "198.18.0.2"))
    assert plane.drops("g1") == ({"peer_down": 1} if bound else {"no_member": 1})
    other = net.tap("filler")                  # so that the number can't be the same by chance
    two = net.tap("tap2")
    assert not talk(one, two)
    assert "another index" in plane.port("g2")["why"] or "attach" in plane.port("g2")["why"]
    plane.attach("g2")
    now = plane.port("g2")
    assert now["state"] == "up" and now["ifindex"] != was["ifindex"] and now["id"] == was["id"]
    assert now["rx"]["packets"] >= was["rx"]["packets"], "a port keeps its counters"
    assert talk(one, two)
    assert other.drain() == []


def test_up_takes_a_returned_device_back_too(plane, net):
    one, two = net.tap("tap1"), net.tap("tap2")
    conf = lan(("g1", "tap1"), ("g2", "tap2"))
    plane.up(conf)
    two.close()
    two = net.tap("tap2")
    assert "1 port attached" in plane.up(conf).stdout and talk(one, two)
    assert "nothing to change" in plane.up(conf).stdout


def test_attach_touches_nothing_else(plane, net):
    one, two = net.tap("tap1"), net.tap("tap2")
    plane.up(lan(("g1", "tap1"), ("g2", "tap2"), ("g3", "tap3")))
    assert talk(one, two)
    plane.run(f"mac add lan {C} g3")
    before = {p["name"]: p for p in plane.show()["ports"]}, plane.show()["macs"], plane.run("showconf").stdout
    net.tap("tap3")
    plane.attach("g3")
    after = {p["name"]: p for p in plane.show()["ports"]}, plane.show()["macs"], plane.run("showconf").stdout
    for name in ("g1", "g2"):
        assert after[0][name] == before[0][name]
    assert {m["mac"]: m["port"] for m in after[1]} == {m["mac"]: m["port"] for m in before[1]} and after[2] == before[2]
    assert after[0]["g3"]["state"] == "up"


def test_attach_of_one_leaves_another_that_returned_alone(plane, net):
    one, two, three = net.tap("tap1"), net.tap("tap2"), net.tap("tap3")
    plane.up(lan(("g1", "tap1"), ("g2", "tap2"), ("g3", "tap3")))
    two.close(), three.close()
    two, three = net.tap("tap2"), net.tap("tap3")
    plane.attach("g2")
    assert states(plane) == {"g1": "up", "g2": "up", "g3": "waiting"} and talk(one, two)
    plane.attach("g3")
    assert states(plane)["g3"] == "up" and talk(one, three, A, C)


def test_attach_writes_nothing_of_the_others(plane, net, tmp_path):
    """
    Replacing what is so already would lose frames: the kernel takes an entry out before it puts the new one in.  Also
    after a run that died, when nothing that was told of the others is believed.
    """
    for i in range(20):
        net.tap(f"tap{i}")
    conf = lan(*[(f"g{i}", f"tap{i}") for i in range(20)], ("late", "late0"))
    plane.up(conf)
    conf["ports"][0]["quota"] = 9
    assert killed(plane, "up -f -", "membarrier", 1, json.dumps(conf))
    net.tap("late0")
    cmd = ["strace", "-o", tmp_path / "calls", "-e", "trace=bpf", plane.binary, "--plane", plane.name, "attach", "late"]
    assert "1 port attached" in net.host.run([str(word) for word in cmd]).stdout
    written = (tmp_path / "calls").read_text().count("BPF_MAP_UPDATE_ELEM")
    assert 2 + 21 >= written >= 2, "its own two entries, and the members of the new flood map"


def test_a_change_of_one_port_asks_about_no_other(plane, net, tmp_path):
    """What hangs on a device takes two questions for each; only `up` and `attach` ask about all."""
    def questions(*verb, text=None):
        cmd = ["strace", "-v", "-o", str(tmp_path / "calls"), "-e", "trace=sendto", plane.binary, "--plane", plane.name, *verb]
        net.host.run(cmd, input=text)
        return (tmp_path / "calls").read_text().count("RTM_GETTFILTER")
    for i in range(40):
        net.tap(f"tap{i}")
    conf = lan(*[(f"g{i}", f"tap{i}") for i in range(40)])
    conf["ports"] += [{"name": n, "device": f"no-{n}"} for n in ("a", "b")]
    plane.up(conf)
    assert questions("up", "-f", "-", text=json.dumps(conf)) >= 80, "control"
    for verb in ("port set g7 quota=9", "bind a b", "unbind a", "port del g3", "port add g3 device=tap3 segment=lan"):
        assert questions(*verb.split()) < 10, verb
    assert states(plane)["g3"] == "up" and "nothing to change" in plane.attach().stdout


def test_attach_takes_the_others_and_says_which_it_left(plane, net):
    """What the unit and the udev rule call: one device that cannot be had keeps no other guest away."""
    plane.up(lan(("g1", "tap1"), ("g2", "tap2"), ("g3", "tap3")))
    taps = [net.tap(f"tap{n}") for n in (1, 2, 3)]
    net.bridge(net.host, "br0", ["tap2"])
    done = plane.attach(check=False)
    assert done.returncode == 3 and "port g2: device tap2 is part of br0" in done.stderr and "2 ports attached" in done.stdout
    assert states(plane) == {"g1": "up", "g2": "waiting", "g3": "up"} and talk(taps[0], taps[2])
    assert plane.attach(check=False).returncode == 3 and plane.attach("g2", check=False).returncode == 1
    assert states(plane) == {"g1": "up", "g2": "waiting", "g3": "up"} and talk(taps[0], taps[2])
    net.host.ip("link set tap2 nomaster")
    assert "1 port attached" in plane.attach().stdout and states(plane)["g2"] == "up" and talk(taps[0], taps[1], dmac=C)


def test_a_guest_port_does_not_take_the_hosts_own_way_out(plane, net):
    """`kind: uplink` forgotten: the device has an address, or the default route."""
    net.host.ip("link add w0 type veth peer name w1", "link set w0 up", "link set w1 up", "addr add 198.18.9.254/24 dev w0",
                "route add default via 198.18.9.1")
    conf = lan(("wan", "w0"))
    done = plane.up(conf, check=False)
    assert done.returncode == 1 and "w0 has an address that the host would lose" in done.stderr and "up --take-over" in done.stderr
    done = plane.up(conf, "--take-over")
    assert "has lost its addresses 198.18.9.254/24" in done.stderr
    plane.down()
    assert "198.18.9.254" in net.host.run("ip addr show dev w0").stdout


def test_host_port_and_its_address_survive_the_guest(plane, net):
    guest = net.vm_guest(1)
    plane.up(plane.segment("lan", "g1", host=["vp0"]))
    net.host.ip("link set vp0 up", "addr add 198.18.0.1/15 dev vp0")
    assert guest.ping("198.18.0.1")
    index = net.host.ifindex("vp0")
    guest.kill()
    wait_until(lambda: not net.host.exists("g1"))
    assert plane.port("vp0")["state"] == "up" and plane.port("g1")["state"] == "waiting"
    guest.restart()
    assert not guest.ping("198.18.0.1", timeout=1)
    guest.ns.run("ip neigh flush dev eth0")
    plane.attach("g1")
    assert guest.ping("198.18.0.1")
    assert net.host.ifindex("vp0") == index and "198.18.0.1" in net.host.run("ip -4 addr show dev vp0").stdout


def test_deleted_while_up_is_unknown_and_the_rest_goes_on(plane, net):
    """Entries that point to it count as unknown: the frame is flooded, and found by who took the address over."""
    one, two, three = net.tap("tap1"), net.tap("tap2"), net.tap("tap3")
    plane.up(lan(("g1", "tap1"), ("g2", "tap2"), ("g3", "tap3")))
    assert talk(one, two)
    three.drain()
    assert plane.port("g1")["drops"]["no_member"] == 0
    frame = frames.udp(A, B, "198.18.0.1", "198.18.0.2", payload=b"known")
    one.send(frame)
    assert two.recv_match(frame) and three.recv(0.2) is None, "the control: it is known now"
    two.close()
    one.send(frame)
    assert three.recv_match(frame), "flooded, not lost"
    assert plane.drops("g1") == {} and talk(one, three, A, C)
    assert "nothing to change" not in plane.up(lan(("g1", "tap1"), ("g3", "tap3"))).stdout
    assert talk(one, three, A, C)


def test_device_is_down_then_up(plane, net):
    need_kernel((6, 2), "bpf_rdonly_cast")
    one, two, three = net.tap("tap1"), net.tap("tap2"), net.tap("tap3")
    plane.up(lan(("g1", "tap1"), ("g2", "tap2"), ("g3", "tap3")))
    assert talk(one, two)
    plane.set_device("tap2", "down")
    assert states(plane)["g2"] == "degraded" and "ip link set tap2 up" in plane.port("g2")["why"]
    frame = frames.udp(A, B, "198.18.0.1", "198.18.0.2", payload=b"gone")
    three.drain()
    one.send(frame)
    assert three.recv_match(frame) and plane.drops("g1") == {}
    plane.set_device("tap2", "up")
    assert states(plane)["g2"] == "up" and talk(one, two), "without any command"


def test_renamed_while_up(plane, net):
    one, two = net.tap("tap1"), net.tap("tap2")
    conf = lan(("g1", "tap1"), ("g2", "tap2"))
    plane.up(conf)
    net.host.ip("link set tap2 down", "link set tap2 name moved", "link set moved up")
    assert talk(one, two), "programs know devices by number"
    assert plane.port("g2")["state"] == "degraded" and "moved" in plane.port("g2")["why"]
    conf["ports"][1]["device"] = "moved"
    plane.up(conf)
    assert plane.port("g2")["state"] == "up" and talk(one, two)
    plane.down()
    assert "clsact" not in net.host.run("tc qdisc show").stdout and "xdp" not in net.host.link("moved")


def test_renamed_and_left_is_cleaned(plane, net):
    """The file still says the old name: the port waits, and what was on the device goes."""
    one, two = net.tap("tap1"), net.tap("tap2")
    conf = lan(("g1", "tap1"), ("g2", "tap2"))
    plane.up(conf)
    net.host.ip("link set tap2 down", "link set tap2 name moved", "link set moved up")
    for _ in range(3):
        plane.up(conf)
        assert states(plane) == {"g1": "up", "g2": "waiting"} and not talk(one, two)
    plane.down()
    assert "clsact" not in net.host.run("tc qdisc show").stdout and "xdp" not in net.host.link("moved")


def test_another_device_takes_the_name(plane, net):
    """tap2 is renamed away and a new tap2 comes: the port goes with the name, the old device is let go."""
    one, two = net.tap("tap1"), net.tap("tap2")
    conf = lan(("g1", "tap1"), ("g2", "tap2"))
    plane.up(conf)
    net.host.ip("link set tap2 down", "link set tap2 name moved", "link set moved up")
    new = net.tap("tap2")
    plane.up(conf)
    assert talk(one, new) and two.drain() == []
    two.send(frames.arp_request(D, "198.18.0.4", "198.18.0.1"))
    assert one.recv(0.2) is None
    plane.down()
    assert "clsact" not in net.host.run("tc qdisc show").stdout


def test_device_moved_to_another_namespace(plane, net):
    guest = net.veth_guest(1)
    two = net.tap("tap2")
    plane.up(lan(("g1", "g1"), ("g2", "tap2")))
    raw = guest.raw()
    two.send(frames.arp_request(B, "198.18.0.2", "198.18.0.11"))
    assert raw.recv_match(lambda f: f[12:14] == b"\x08\x06")
    net.host.ip(f"link set g1 netns {net.world.name}")
    assert states(plane)["g1"] == "waiting"
    net.world.ip("link set g1 up")
    raw.drain()
    two.send(frames.arp_request(B, "198.18.0.2", "198.18.0.11"))
    assert raw.recv_match(lambda f: f[12:14] == b"\x08\x06", 0.2) is None
    net.world.ip(f"link set g1 netns {net.host.name}")
    net.host.ip("link set g1 up")
    plane.attach("g1")
    two.send(frames.arp_request(B, "198.18.0.2", "198.18.0.11"))
    assert raw.recv_match(lambda f: f[12:14] == b"\x08\x06")


def test_foreign_interface_named_like_a_host_port(plane, net):
    net.host.ip("link add vp0 type veth peer name far0")
    before = net.host.link("vp0")
    done = plane.up(plane.segment("lan", host=["vp0"]), check=False)
    assert done.returncode == 1 and "vp0 exists and is not this plane's" in done.stderr and len(done.stderr.splitlines()) == 1
    assert net.host.link("vp0")["ifindex"] == before["ifindex"] and plane.pins() == []
    net.host.ip("link set vp0 name vp0-p")         # the plane's end of the pair is a name, too
    done = plane.up(plane.segment("lan", host=["vp0"]), check=False)
    assert done.returncode == 1 and "vp0-p exists and is not this plane's" in done.stderr
    net.host.delete("vp0-p")
    plane.up(plane.segment("lan", host=["vp0"]))
    alias = f"vpeer:{plane.name}:vp0"
    assert net.host.link("vp0")["ifalias"] == net.host.link("vp0-p")["ifalias"] == alias


def test_host_port_deleted_by_hand_comes_back(plane, net):
    conf = plane.segment("lan", {"name": "g1", "device": "tap1"}, host=["vp0"])
    one = net.tap("tap1")
    plane.up(conf)
    net.host.delete("vp0")
    assert states(plane)["vp0"] == "waiting"
    plane.up(conf)
    net.host.ip("link set vp0 up")
    # Carrier comes at once, the queue behind it when the kernel has time: until then what is sent there is lost.
    wait_until(lambda: net.host.link(plane.port("vp0")["plane_device"])["operstate"] == "UP")
    raw = net.sniffer(net.host, "vp0")
    frame = frames.arp_request(A, "198.18.0.1", "198.18.0.9")
    one.send(frame)
    assert raw.recv_match(frame) and states(plane) == {"g1": "up", "vp0": "up"}


def test_id_of_a_deleted_port_brings_no_mail(plane, net):
    """g2's id goes to g3: what is known of g2's address must not reach g3."""
    one, two, three = net.tap("tap1"), net.tap("tap2"), net.tap("tap3")
    plane.up(lan(("g1", "tap1"), ("g2", "tap2")))
    assert talk(one, two)
    plane.run("port del g2")
    plane.run("port add g3 device=tap3")
    plane.run("port set g3 segment=lan")
    assert not [m for m in plane.show()["macs"] if m["mac"] == B]
    flooded = plane.port("g1")["flooded"]
    frame = frames.udp(A, B, "198.18.0.1", "198.18.0.2", payload=b"mail")
    one.send(frame)
    assert plane.port("g1")["flooded"] == flooded + 1 and three.recv_match(frame), "unknown, and so for all"
    assert two.recv(0.1) is None


def test_returned_device_with_somebodys_number(plane, net):
    """The number of a deleted TAP may come back with another device: that one is not in the plane."""
    one, two = net.tap("tap1"), net.tap("tap2")
    plane.up(lan(("g1", "tap1"), ("g2", "tap2")))
    index = net.host.ifindex("tap2")
    assert talk(one, two)
    two.close()
    net.host.ip(f"link add strange index {index} type veth peer name far0", "link set strange up", "link set far0 up")
    far = net.sniffer(net.host, "far0")
    one.send(frames.udp(A, B, "198.18.0.1", "198.18.0.2", payload=b"mail"))
    assert far.drain(0.2) == [] and plane.drops("g1") == {"no_member": 1}
    assert states(plane)["g2"] != "up"
    net.host.run("tc qdisc add dev strange clsact")
    plane.attach()
    assert states(plane)["g2"] == "waiting"
    plane.down()
    assert "clsact" in net.host.run("tc qdisc show dev strange").stdout, "it is somebody else's"


def test_two_ports_exchange_their_devices(plane, net):
    one, two, three = net.tap("tap1"), net.tap("tap2"), net.tap("tap3")
    plane.up(lan(("g1", "tap1"), ("g2", "tap2"), ("g3", "tap3")))
    assert talk(one, two)
    plane.up(lan(("g1", "tap1"), ("g2", "tap3"), ("g3", "tap2")))
    ports = {p["name"]: p for p in plane.show()["ports"]}
    assert all(p["state"] == "up" and p["carrier"] == "xdp" for p in ports.values())
    assert ports["g2"]["ifindex"] == net.host.ifindex("tap3") and talk(two, one, B, A) and talk(one, three, A, C)
    assert {m["mac"]: m["port"] for m in plane.show()["macs"]}[B] == "g3"
    plane.down()
    assert "clsact" not in net.host.run("tc qdisc show").stdout and "xdp" not in net.host.link("tap2")


def test_port_gets_another_name(plane, net):
    """The device stays: it is taken from the old name and given to the new one."""
    one, two = net.tap("tap1"), net.tap("tap2")
    plane.up(lan(("g1", "tap1"), ("g2", "tap2")))
    assert talk(one, two)
    for name in ("h2", "g2", "h2"):
        plane.up(lan(("g1", "tap1"), (name, "tap2")))
        assert plane.port(name)["state"] == "up" and plane.port(name)["carrier"] == "xdp" and talk(one, two)
        assert "nothing to change" in plane.up(lan(("g1", "tap1"), (name, "tap2"))).stdout
    assert [p for p in plane.pins() if p.startswith("links/")] == ["links/xdp_g1", "links/xdp_h2"]
    plane.down()
    assert "clsact" not in net.host.run("tc qdisc show").stdout and "xdp" not in net.host.link("tap2")


@pytest.mark.parametrize("keys", [{"mode": "generic"}, {"carrier": "xdp"}], ids=["generic", "veth"])
def test_port_with_a_program_of_its_own_gets_another_name(plane, net, keys):
    """Of these programs only the maps they use tell whose they are."""
    if "carrier" in keys:
        need_kernel((6, 8), "the tag of a veth")
    net.tap("tap1"), net.tap("tap2"), net.veth_guest(3)
    device = "g3" if "carrier" in keys else "tap2"
    for name in ("a", "b", "a"):
        plane.up(plane.segment("lan", "tap1", {"name": name, "device": device, **keys}))
        assert (plane.port(name)["state"], plane.port(name)["carrier"]) == ("up", "xdp")
    assert [p for p in plane.pins() if p.startswith("links/")] == ["links/xdp_a", "links/xdp_tap1"]
