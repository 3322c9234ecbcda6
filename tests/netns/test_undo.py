# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`down` leaves the host as it was found, also after a loader was killed at any point of its work."""
import json
import os
import random
import re
import time

import pytest

from lab import frames, snapshot, wait_until
from lab.ns import run
from lab.plane import PIN_ROOT

A, B = "52:54:00:00:00:0a", "52:54:00:00:00:0b"


class Host:
    """Devices of every kind that a plane changes something on."""

    def __init__(self, net, plane):
        self.net, self.plane, self.ns = net, plane, net.host
        net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.one, self.two = net.tap("tap1"), net.tap("tap2")
        net.veth_guest(1)
        net.uplink("up0")
        for dev in ("g1", "up0"):       # the kernel says so when it has time
            wait_until(lambda d=dev: net.host.link(d)["operstate"] == "UP")
        net.host.run("tc qdisc add dev g1 clsact")            # somebody else's: it has to stay
        net.host.run("tc filter add dev g1 ingress prio 77 protocol all u32 match u32 0 0 flowid 1:1")
        net.host.ip("link set tap1 alias mine")
        self.conf = plane.segment("lan", {"name": "a", "device": "tap1"}, {"name": "b", "device": "tap2", "mac": [A, B]},
                                  "g1", host=["vp0", "vp1"], uplink=["up0"])
        self.conf["ports"] += [{"name": "w", "device": "nodev0"}, {"name": "vp2", "kind": "host"}]
        self.conf["bindings"] = [{"a": "w", "b": "vp2"}]
        self.text = json.dumps(self.conf)

    def snapshot(self):
        return snapshot.take(self.ns)

    def up(self):
        return self.plane.up(self.text)

    def works(self):
        """The plane is whole: nothing to do, an empty diff, frames pass and are counted once."""
        assert "nothing to change" in self.up().stdout
        assert self.plane.run(["diff", "-f", "-", "--exit-code"], input=self.text).stdout == ""
        states = {p["name"]: p["state"] for p in self.plane.show()["ports"]}
        assert states == {"a": "up", "b": "up", "g1": "up", "up0": "up", "vp0": "degraded", "vp1": "degraded", "w": "waiting",
                          "vp2": "degraded"}, states
        assert {(m["mac"], m["port"]) for m in self.plane.show()["macs"] if m["static"]} == {(A, "b"), (B, "b")}
        self.one.drain(0), self.two.drain(0)
        frame = frames.udp("52:54:00:00:00:77", A, "198.18.0.1", "198.18.0.2")
        self.one.send(frame)
        assert self.two.recv_match(frame)
        flood = frames.arp_request(B, "198.18.0.1", "198.18.0.2")
        self.two.send(flood)
        assert self.one.recv_match(flood) and self.one.recv_match(flood, 0.02) is None

    def differences(self, before):
        return snapshot.differences(before, self.snapshot())


@pytest.fixture
def host(net, plane):
    return Host(net, plane)


def programs(host):
    """Ids of the plane's pinned programs."""
    pins = [f"{PIN_ROOT}/{host.plane.name}/{pin}" for pin in host.plane.pins() if pin.startswith("progs/")]
    return {json.loads(run(f"bpftool -j prog show pinned {pin}").stdout)["id"] for pin in pins}


def loaded(ids):
    return ids & {p["id"] for p in json.loads(run("bpftool -j prog show").stdout)}


def test_down_leaves_the_host_as_found(host):
    before = host.snapshot()
    host.up()
    host.works()
    during, ids = host.snapshot(), programs(host)
    assert len(ids) == 3 and loaded(ids) == ids
    for key in ("links", "filters", "qdiscs", "run", "bpffs"):
        assert during[key] != before[key], f"the control: {key} shows what is there"
    assert during["links"]["up0"]["promiscuity"] == before["links"]["up0"]["promiscuity"] + 1
    assert during["links"]["vp0"]["ifalias"] == f"vpeer:{host.plane.name}:vp0"
    assert os.path.exists(f"/run/vpeer/{host.plane.name}/undo")
    host.plane.down()
    assert host.differences(before) == {}
    wait_until(lambda: not loaded(ids), timeout=3, what="the programs are gone from the kernel")


@pytest.mark.parametrize("changes", [0, 1])
def test_down_after_a_port_got_another_device(host, changes):
    """It goes from the device that the port has, whichever bank tells of the one before."""
    host.net.tap("tap3")
    before = host.snapshot()
    host.up()
    for i in range(changes):
        host.plane.run(f"port set a quota={i + 7}")
    host.plane.run("port set b device=tap3")
    host.plane.down()
    wait_until(lambda: host.differences(before) == {})


def test_a_value_that_is_not_ours_any_more_stays(host):
    host.up()
    host.ns.ip("link set up0 promisc off", "link set up0 promisc on", "link set tap2 alias theirs")
    host.ns.ip("link set up0 promisc off")
    host.plane.down()
    assert "PROMISC" not in host.ns.link("up0")["flags"] and host.ns.link("tap2")["ifalias"] == "theirs"
    host.ns.ip("link set up0 promisc on")
    host.up()
    host.plane.down()
    assert "PROMISC" in host.ns.link("up0")["flags"], "it was so before"


def test_port_del_undoes_its_own_part(host):
    before = host.snapshot()
    host.up()
    for port in ("up0", "a", "b", "g1", "vp0"):
        host.plane.run(f"port del {port}")
    after = host.snapshot()
    for dev in ("up0", "tap1", "tap2", "g1"):
        assert after["links"][dev] == before["links"][dev] and after["filters"][dev] == before["filters"][dev]
    assert "vp0" not in after["links"] and "vp1" in after["links"]


def test_take_over_and_back(host, net):
    net.bridge(net.host, "br0", ["up0"])
    wait_until(lambda: host.ns.link("br0")["operstate"] == "UP")     # its port's carrier comes to it a little later
    before = host.snapshot()
    assert host.plane.up(host.text, check=False).returncode == 1
    assert host.differences(before) == {}
    host.plane.up(host.text, "--take-over")
    assert "master" not in host.ns.link("up0")
    host.plane.down()
    assert host.ns.link("up0")["master"] == "br0"
    left = host.differences(before)
    assert set(left) <= {"links"} and set(left.get("links", {})) <= {"br0"}, "a bridge's own state follows its ports"
    host.plane.up(host.text, "--take-over")
    net.bridge(net.host, "br1", ["up0"])
    host.plane.down()
    assert host.ns.link("up0")["master"] == "br1", "somebody else has changed it meanwhile, so it is theirs"


def bridge_port(ns, dev):
    """What the bridge knows of it."""
    def told(what):
        return ns.run(f"bridge -d {what}", check=False).stdout      # VLANs are not in every kernel
    return told(f"link show dev {dev}"), sorted(told(f"fdb show brport {dev}").splitlines()), told(f"vlan show dev {dev}")


def test_a_bridges_port_comes_back_as_it_was(host, net):
    net.bridge(net.host, "br0", ["up0"])
    ns = net.host
    ns.run("bridge link set dev up0 isolated on learning off flood off mcast_flood off hairpin on cost 77 priority 9")
    ns.run("bridge fdb add 52:54:00:00:00:77 dev up0 master static")
    if ns.run("ip link set br0 type bridge vlan_filtering 1", check=False).returncode == 0:     # not every kernel has that
        for line in ("del dev up0 vid 1", "add dev up0 vid 20 pvid untagged", "add dev up0 vid 30-40"):
            ns.run(f"bridge vlan {line}")
        ns.run("bridge fdb add 52:54:00:00:00:78 dev up0 master static vlan 30")
    wait_until(lambda: ns.link("br0")["operstate"] == "UP")
    before = bridge_port(ns, "up0")
    host.plane.up(host.text, "--take-over")
    assert bridge_port(ns, "up0") != before
    host.plane.down()
    wait_until(lambda: ns.link("br0")["operstate"] == "UP")
    assert bridge_port(ns, "up0") == before


# What a host may have on its NIC, all that `ip` can say of it.
OWN = (
    "addr add 198.18.9.1/24 brd 198.18.9.200 label own0:one dev own0",
    "addr add 198.18.9.2/24 dev own0",                  # secondary
    "addr add 198.18.10.1 peer 198.18.10.2/32 metric 77 dev own0",
    "addr add 198.18.11.1/24 scope link noprefixroute dev own0",
    "addr add 198.18.12.1/24 valid_lft 60000 preferred_lft 30000 dev own0",
    "addr add fd00:198:9::1/64 nodad dev own0",
    "addr add fd00:198:a::1 peer fd00:198:a::2/128 nodad metric 78 dev own0",
    "addr add fd00:198:b::1/64 nodad valid_lft 60000 preferred_lft 0 dev own0",
    "route add default via 198.18.9.9 proto dhcp metric 100",
    "route add 198.19.0.0/16 via 198.18.9.9 src 198.18.9.2 mtu 1300 metric 5",
    "route append 198.19.0.0/16 via 198.18.9.8 metric 5",
    "route add 198.19.128.0/24 dev own0 scope link table 77",
    "route add 198.19.129.0/24 via 198.19.200.1 dev own0 onlink",
    "route add 198.19.134.0/24 dev own0 scope link",
    "route add 198.19.133.0/24 via 198.19.134.9",       # told first, and reached through the one above
    "route add 198.19.130.0/24 nexthop via 198.18.9.9 weight 2 nexthop via 198.18.9.8",
    "route add 198.19.131.0/24 nexthop via 198.18.9.9 nexthop via 198.18.13.9",         # another device is beside it
    "nexthop add id 7 via 198.18.9.9 dev own0",
    "route add 198.19.132.0/24 nhid 7",
    "route add fd00:199::/32 via fd00:198:9::9 metric 7",
    "route add fd00:19a::/32 nexthop via fd00:198:9::8 nexthop via fd00:198:9::9",
    "route add default via fd00:198:9::9 proto ra expires 50000 pref high",
)


def own(net):
    """own0, with all of that; other0 with the second way."""
    for dev in ("own0", "other0"):
        net.host.ip(f"link add {dev} type veth peer name {dev}x", f"link set {dev}x up", f"link set {dev} up")
        net.host.sysctl(f"net/ipv6/conf/{dev}/disable_ipv6", 0)
    net.host.ip("addr add 198.18.13.1/24 dev other0")
    net.host.ip(*OWN)


def test_addresses_and_routes_come_back_as_they_were(host, net):
    own(net)
    before = host.snapshot()
    host.conf["ports"] += [{"name": "own0", "device": "own0", "segment": "lan"}]
    refused = host.plane.up(host.conf, check=False)
    assert refused.returncode == 1 and "own0 has an address" in refused.stderr and host.differences(before) == {}
    done = host.plane.up(host.conf, "--take-over")
    assert re.search("device own0: the host has lost its addresses [^ ;]*198.18.9.1/24,[^ ;=]*; `down` gives them back", done.stderr)
    assert "lost its routes " in done.stderr and "default" in done.stderr.split("lost its routes ")[1]
    during = host.snapshot()
    assert not during["addresses"]["own0"] and sum("own0" in r for r in during["routes"]) == 1, during["routes"]
    assert "198.18.13.9" in host.ns.run("ip route show 198.19.131.0/24").stdout, "the other way stays"
    time.sleep(1.2)
    host.plane.down()
    assert host.differences(before) == {}
    assert re.search("default .* expires 4[0-9]{4}sec", host.ns.run("ip -6 route").stdout)
    left = [a.get("valid_life_time") for a in host.ns.json("ip -j addr show dev own0")[0]["addr_info"]]
    assert 59900 < min(left) < 60000, "the time goes on"


@pytest.mark.parametrize("n", [14, 22, 33])
def test_taken_twice_by_runs_that_died(host, net, n):
    """The second finds what the first has left, and notes that; what comes back is what was there before both."""
    own(net)
    host.up()
    before = host.snapshot()
    text = json.dumps({**host.conf, "ports": host.conf["ports"] + [{"name": "own0", "device": "own0", "segment": "lan"}]})
    for k in (n, n + 1):
        killed(host, "up --take-over -f -", "sendto", k, text)
        host.up()
    host.plane.up(text, "--take-over")
    host.plane.run("port del own0")
    now = host.snapshot()
    assert (now["addresses"], now["routes"]) == (before["addresses"], before["routes"])


def test_routes_that_somebody_has_made_meanwhile_stay(host, net):
    own(net)
    host.conf["ports"] += [{"name": "own0", "device": "own0", "segment": "lan"}]
    host.plane.up(host.conf, "--take-over")
    net.host.ip("addr add 198.18.20.1/24 dev own0", "route add 198.19.7.0/24 via 198.18.20.9")
    mine = snapshot.addresses(net.host)["own0"], snapshot.routes(net.host)
    host.plane.down()
    assert (snapshot.addresses(net.host)["own0"], snapshot.routes(net.host)) == mine


# ---- killed ----

def points(host, verb, text=None):
    """How often each system call is made that changes something."""
    out = f"/tmp/vpt-strace-{os.getpid()}"
    calls = "bpf,sendto,sendmsg,mkdir,unlink,rmdir,rename,write,fsync,mount,ioctl,openat,flock,ftruncate,munmap"
    try:
        done = host.ns.run(["strace", "-f", "-qq", "-c", "-e", f"trace={calls}", "-o", out, host.plane.binary, "--plane", host.plane.name,
                            *verb.split()], input=text, check=False)
        assert done.returncode == 0, done.stderr
        rows = [line.split() for line in open(out) if line.strip() and line.split()[-1] in calls.split(",")]
    finally:
        os.path.exists(out) and os.unlink(out)
    return {row[-1]: int(row[3]) for row in rows}


def killed(host, verb, call, n, text=None):
    """Runs vpeer until it enters its n-th `call`, where SIGKILL waits; True if it came so far."""
    done = host.ns.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={n}",
                        host.plane.binary, "--plane", host.plane.name, *verb.split()], input=text, check=False)
    return done.returncode not in (0, 1, 2, 3)


def draw(seed, counts, n):
    """n points, spread over the calls: rare calls are where the interesting moments are."""
    picked = []
    for i in range(n):
        call = sorted(counts)[(i + seed) % len(counts)]
        picked.append((call, random.Random(seed * 1000 + i).randint(1, counts[call])))
    return picked


def converges(host, before, what):
    """After the kill: up finishes, or down cleans."""
    try:
        host.up()
        host.works()
        host.plane.down()
        assert host.differences(before) == {}
    except (AssertionError, RuntimeError) as e:
        raise AssertionError(f"killed in {what}: {e}") from e


@pytest.mark.parametrize("seed", range(2))
def test_killed_while_coming_up(host, seed):
    before = host.snapshot()
    counts = points(host, "up -f -", host.text)
    host.plane.down()
    assert host.differences(before) == {} and counts["bpf"] > 50 and counts["sendto"] > 10
    hits = 0
    for call, n in draw(seed, counts, 8):
        hits += killed(host, "up -f -", call, n, host.text)
        converges(host, before, f"up at {call} {n} of {counts[call]}")
    assert hits >= 6, "strace did kill"


@pytest.mark.parametrize("seed", range(2))
def test_killed_while_coming_up_then_down(host, seed):
    before = host.snapshot()
    counts = points(host, "up -f -", host.text)
    host.plane.down()
    for call, n in [("sendto", n) for n in range(seed + 1, counts["sendto"], 6)] + draw(seed + 50, counts, 4):
        killed(host, "up -f -", call, n, host.text)
        host.plane.down()
        assert host.differences(before) == {}, f"up killed at {call} {n} of {counts[call]}"


@pytest.mark.parametrize("seed", range(2))
def test_killed_while_going_down(host, seed):
    before = host.snapshot()
    host.up()
    counts = points(host, "down")
    assert host.differences(before) == {}
    for i, (call, n) in enumerate(draw(seed + 80, counts, 10)):
        host.up()
        killed(host, "down", call, n)
        if i % 2:
            converges(host, before, f"down at {call} {n} of {counts[call]}")
        host.plane.down()
        assert host.differences(before) == {}, f"down killed at {call} {n} of {counts[call]}"


@pytest.mark.parametrize("seed", range(2))
def test_killed_while_changing(host, seed):
    """From one configuration to another: untouched ports forward all the while, and the next up finishes."""
    before = host.snapshot()
    other = json.loads(host.text)
    other["ports"] = [p for p in other["ports"] if p["name"] not in ("g1", "vp1", "up0")] + [{"name": "vp9", "kind": "host"}]
    other["segments"][0]["age"] = 77
    other = json.dumps(other)
    host.up()
    counts = points(host, "up -f -", other)
    for i, (call, n) in enumerate(draw(seed + 20, counts, 8)):
        host.up()
        host.works()
        killed(host, "up -f -", call, n, other)
        frame = frames.udp("52:54:00:00:00:77", A, "198.18.0.1", "198.18.0.2", payload=b"%d" % i)
        host.one.send(frame)
        assert host.two.recv_match(frame), f"untouched ports stopped: {call} {n}"
        if i % 2:
            host.plane.up(other)
            assert "nothing to change" in host.plane.up(other).stdout
            assert host.plane.run(["diff", "-f", "-", "--exit-code"], input=other).stdout == ""
    host.plane.down()
    assert host.differences(before) == {}


def test_what_a_dead_loader_was_about_to_remove_is_removed_by_the_next(host):
    """Killed after the switch, while ports of the old configuration still hang on their devices."""
    before = host.ns.run("tc qdisc show").stdout
    less = json.loads(host.text)
    less["ports"] = [p for p in less["ports"] if p["name"] not in ("g1", "vp1", "up0")]
    less = json.dumps(less)
    host.up()
    counts = points(host, "up -f -", less)
    seen = 0
    for n in range(1, counts["unlink"] + 1):
        host.up()
        killed(host, "up -f -", "unlink", n, less)
        seen += "up0" not in {p["name"] for p in host.plane.show("ports")["ports"]}
        host.plane.up(less)
        assert "clsact" not in host.ns.run("tc qdisc show dev up0").stdout and not host.ns.exists("vp1"), f"unlink {n}"
    assert seen, "control: some were killed after the switch"
    host.plane.down()
    assert host.ns.run("tc qdisc show").stdout == before


def test_pins_are_named_for_people(host):
    host.up()
    assert {p.split("/")[0] for p in host.plane.pins()} == {"maps", "progs", "links"}
    assert "links/xdp_a" in host.plane.pins() and "maps/vp_macs" in host.plane.pins()
    assert os.stat(f"{PIN_ROOT}/{host.plane.name}").st_mode & 0o77 == 0
