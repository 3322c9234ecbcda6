# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What /run/vpeer/PLANE notes is one plane's, one namespace's and one device's, and goes only when it is settled."""
import json
import os
import subprocess

import pytest

import lab
from lab import wait_until
from lab.crash import killed, prefix
from lab.ns import run
from lab.tell import lan

pytestmark = pytest.mark.usefixtures("quiet")
OLD = ("198.18.5.1/24", "198.18.6.1/24")


def notes(plane):
    """The names of the files, None: there is not even the directory."""
    top = f"/run/vpeer/{plane.name}"
    return sorted(os.listdir(top)) if os.path.exists(top) else None


def uplinked(device="w0", name="up", **more):
    return {"version": 1, "segments": [{"name": "lan"}],
            "ports": [{"name": name, "device": device, "kind": "uplink", "segment": "lan", **more}]}


def veth(net, dev, *options):
    net.host.ip(f"link add {dev} {' '.join(options)} type veth peer name {dev}x", f"link set {dev}x up")


def addresses(net, dev):
    found = net.host.json(f"ip -j addr show dev {dev}")[0]["addr_info"]
    return {f"{a['local']}/{a['prefixlen']}" for a in found if a["family"] == "inet"}


def test_where_no_bpffs_is_seen_nothing_is_touched(net, plane):
    """`ip netns exec` has its own mount namespace, and another /sys there."""
    veth(net, "w0")
    plane.up(uplinked())
    before = notes(plane)

    def vpeer(*words, text=None):
        return run(["ip", "netns", "exec", net.host.name, plane.binary, "--plane", plane.name, *words], input=text, check=False)
    for words, text in ((("down",), None), (("up", "-f", "-"), json.dumps(uplinked())),
                        (("up", "--dry-run", "-f", "-"), json.dumps(uplinked())), (("show",), None), (("port", "del", "up"), None)):
        done = vpeer(*words, text=text)
        assert done.returncode == 1 and "nsenter --net=/run/netns/NAME" in done.stderr, (words, done.stdout, done.stderr)
    assert notes(plane) == before == ["undo"] and plane.port("up")["state"] == "up"
    assert "PROMISC" in net.host.link("w0")["flags"]


def test_notes_of_another_namespace_wait_for_it(net, plane):
    """`down` died when the pins were gone: the settings are put back by one that runs where the devices are."""
    veth(net, "w0", "index 4001")
    plane.up(uplinked())
    line = open(f"/run/vpeer/{plane.name}/undo", encoding="ascii").read()
    plane.down()
    os.mkdir(f"/run/vpeer/{plane.name}")
    with open(f"/run/vpeer/{plane.name}/undo", "w", encoding="ascii") as f:
        f.write(line)
    net.host.ip("link set w0 promisc on up")
    there = net.ns("elsewhere")
    there.ip("link add w0 index 4001 type veth peer name w1", "link set w0 promisc on up")
    done = there.run([plane.binary, "--plane", plane.name, "down"], check=False)
    assert done.returncode == 1 and "another network namespace" in done.stderr and notes(plane) == ["undo"]
    assert "PROMISC" in there.link("w0")["flags"]
    assert plane.down().returncode == 0 and notes(plane) is None
    assert "PROMISC" not in net.host.link("w0")["flags"] and "UP" not in net.host.link("w0")["flags"]


def dies_at_the_notes(plane):
    """`down`, killed where it removes the first file in /run/vpeer/PLANE: the pins are gone."""
    assert killed(plane, "down", "unlinkat", 1) and f"+{plane.name}" not in os.listdir("/sys/fs/bpf/vpeer")
    assert plane.name not in os.listdir("/sys/fs/bpf/vpeer")


def test_a_later_plane_of_the_name_is_another_one(net, plane):
    net.tap("tap1")
    other = lab.Plane(net.host)             # or bpffs would be left, too
    net.at_close(other.close)
    other.up(lan())
    plane.up(lan(("g1", "tap1")))
    plane.up(lan(("g1", "tap1"), ("g2", "tap2")), "--confirm", "2")
    dies_at_the_notes(plane)
    assert "confirm" in notes(plane), "control"
    plane.up(lan(("g1", "tap1"), ("g3", "tap3")))
    assert "taken back" not in plane.run("show").stdout and notes(plane) == []
    refused = plane.run("rollback", check=False)
    assert refused.returncode == 1 and "no former configuration" in refused.stderr
    with pytest.raises(AssertionError):
        wait_until(lambda: "g3" not in plane.run("showconf").stdout, timeout=3, what="the promise of the dead plane kept")


def test_up_keeps_what_a_down_could_not_put_back(net, plane):
    veth(net, "w0")
    plane.up(uplinked())
    # The last change of a setting of a device that `down` makes fails.
    last = counts_of_down(net, plane)
    plane.up(uplinked())
    done = net.host.run([*prefix("sendto", "error=EACCES", last), plane.binary, "--plane", plane.name, "down"], check=False)
    assert done.returncode == 1 and "put back" in done.stderr and "undo" in notes(plane), (done.stdout, done.stderr)
    plane.run(["up", "--dry-run", "-f", "-"], input=json.dumps(uplinked()))
    assert "undo" in notes(plane)
    refused = plane.up(uplinked(device="lo"), check=False)
    assert refused.returncode == 1 and "undo" in notes(plane)
    plane.down()
    assert notes(plane) is None and "PROMISC" not in net.host.link("w0")["flags"] and "UP" not in net.host.link("w0")["flags"]


def counts_of_down(net, plane):
    """Which of the `sendto` of `down` is the last that changes a device: RTM_NEWLINK."""
    out = f"/tmp/vpt-notes-{os.getpid()}"
    try:
        net.host.run(["strace", "-qq", "-o", out, "-e", "trace=sendto", plane.binary, "--plane", plane.name, "down"])
        with open(out, encoding="ascii", errors="replace") as f:
            return max(n for n, line in enumerate(f, 1) if "RTM_NEWLINK" in line)
    finally:
        os.unlink(out)


@pytest.mark.parametrize("way", ["taking them", "putting them back"])
def test_addresses_of_a_take_over_that_died_come_back(net, plane, way):
    veth(net, "w0")
    net.host.ip("link set w0 up", *(f"addr add {a} dev w0" for a in OLD))
    conf = json.dumps(uplinked())
    call = "RTM_DELADDR" if way == "taking them" else "RTM_NEWADDR"
    if way != "taking them":
        plane.up(conf, "--take-over")
    verb, text = ("up --take-over -f -", conf) if way == "taking them" else ("down", None)
    for n in range(1, 400):
        assert killed(plane, verb, "sendto", n, text), "it never came so far"
        if len(addresses(net, "w0")) == 1:
            break
        if way != "taking them" and plane.name not in os.listdir("/run/vpeer"):
            raise AssertionError(f"no {call} was met")
    plane.down()
    assert addresses(net, "w0") == set(OLD)


def test_what_was_changed_follows_the_device_not_its_name(net, plane):
    veth(net, "w0")
    plane.up(uplinked())
    net.host.ip("link set w0 down", "link set w0 name w9", "link set w9 up")
    plane.run("port set up device=w9")
    net.host.ip("link add w0 type veth peer name w1")
    plane.run("port add second device=w0 kind=uplink segment=lan")
    plane.run("port del second")
    assert "PROMISC" in net.host.link("w9")["flags"] and "PROMISC" not in net.host.link("w0")["flags"]
    assert plane.port("up")["state"] == "up"
    plane.down()
    assert "PROMISC" not in net.host.link("w9")["flags"]


def test_a_stranger_with_the_number_is_left_alone(net, plane):
    """A veth that comes from another namespace keeps its number there."""
    veth(net, "w0", "index 4001")
    plane.up(uplinked())
    net.host.ip("link del w0")
    plane.attach()
    net.host.ip("link add cont index 4001 type veth peer name contx", "link set cont promisc on up")
    plane.down()
    assert {"PROMISC", "UP"} <= set(net.host.link("cont")["flags"])


def test_gro_at_the_other_end_goes_with_the_port(net, plane):
    for n in (1, 2):
        veth(net, f"w{n}")
        net.host.ip(f"link set w{n} up")

    def gro():
        return [n for n in (1, 2) if net.host.json(f"ethtool --json -k w{n}x")[0]["generic-receive-offload"]["active"]]
    before = gro()
    plane.up(lan(("g1", "w1"), ("g2", "w2")) | {"ports": [{"name": f"g{n}", "device": f"w{n}", "segment": "lan", "carrier": "xdp"}
                                                        for n in (1, 2)]})
    assert before == [] and gro() == [1, 2]
    plane.run("port del g1")
    assert gro() == [2]


def test_of_two_planes_that_want_a_device_at_once_one_gets_it(net, plane):
    """As two units that are started together; nothing is left on it after both are gone."""
    net.tap("tap1")
    before = net.host.run("tc qdisc show dev tap1").stdout
    two = [plane, lab.Plane(net.host)]
    net.at_close(two[1].close)
    text = json.dumps(lan(("g1", "tap1")))
    for _ in range(6):
        runs = [net.host.popen([p.binary, "--plane", p.name, "up", "-f", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True) for p in two]
        for r in runs:
            r.stdin.write(text)
            r.stdin.close()
        said = [r.stderr.read() for r in runs]
        codes = [r.wait(30) for r in runs]
        for r in runs:
            r.stderr.close()
        assert 1 in codes, "not both"
        for p, code, words in zip(two, codes, said):
            if code:
                assert "belongs to plane" in words or "somebody else's" in words, words
            else:
                assert p.port("g1")["state"] == "up"
        for p in two:
            p.down()
        assert net.host.run("tc qdisc show dev tap1").stdout == before


def test_a_plane_whose_namespace_is_gone_can_be_removed(net, plane):
    space = net.ns("short")
    made = lab.Plane(space)
    space.ip("tuntap add tap1 mode tap")
    made.up(lan(("g1", "tap1"), ("vp", "gone")))
    elsewhere = [made.binary, "--plane", made.name]
    done = net.host.run([*elsewhere, "down"], check=False)
    assert done.returncode == 1 and "lives in another network namespace" in done.stderr
    space.ip("link del tap1")                                   # as its end does
    done = net.host.run([*elsewhere, "show"], check=False)
    assert done.returncode == 1 and "`down` removes it" in done.stderr
    assert "removed" in net.host.run([*elsewhere, "down"]).stdout
    assert notes(made) is None and made.name not in os.listdir("/sys/fs/bpf") + os.listdir("/run/vpeer")
