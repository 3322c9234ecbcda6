# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Every verb against the real binary: what it does, what it says, and its exit code."""
import json
import os
import re
import time

import pytest

from lab import crash, frames
from lab.ns import run
from lab.plane import PIN_ROOT

LATER = ["stats", "top", "explain", "capture", "metrics"]
PORT_FIELDS = {"name", "device", "plane_device", "ifindex", "kind", "state", "why", "carrier", "mode", "attach", "xdp_target", "segment",
               "tagged", "peer", "macs", "rx", "tx", "forwarded", "flooded", "passed", "drops", "egress_errors", "alias", "reconnects"}
MAC_FIELDS = {"segment", "mac", "port", "static", "age"}
M = ["52:54:00:00:01:%02x" % i for i in range(16)]


def pair(plane, **more):
    """Two TAP ports, a host port and a port that waits, in one segment."""
    return plane.segment("lan", {"name": "g1", "device": "tap1"}, {"name": "g2", "device": "tap2"},
                         {"name": "late", "device": "nodev0"}, host=["vp0"], **more)


@pytest.fixture
def taps(net):
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)    # nothing from the time before the plane in their queues
    return net.tap("tap1"), net.tap("tap2")


@pytest.fixture
def live(plane, taps):
    """A plane that is up."""
    plane.up(pair(plane))
    return plane


def write(tmp_path, text):
    path = tmp_path / "plane.yaml"
    path.write_text(text)
    return str(path)


def refused(done, *words, code=1):
    """One message, no output, the exit code."""
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout == "", done.stdout
    lines = [line for line in done.stderr.splitlines() if ": warning: " not in line]
    assert len(lines) == 1 and lines[0].startswith("vpeer: "), done.stderr
    for word in words:
        assert word in lines[0], lines[0]


def wire(a, b, state):
    return {"a": a, "b": b, "state": state, "propagate": False, "held": None}


def macs(plane):
    return {(m["mac"], m["port"], m["static"]) for m in plane.show("macs")["macs"]}


def programs(plane):
    """Ids of the plane's programs and on the devices: the host may have other planes."""
    pins = sorted(p for p in plane.pins() if p.startswith("progs/"))
    ids = [json.loads(plane.ns.run(f"bpftool -j prog show pinned {PIN_ROOT}/{plane.name}/{p}").stdout)["id"]
           for p in pins]
    return ids, plane.ns.run("bpftool -j net show").stdout


# ---- up, diff, showconf ----

def test_up_twice_changes_nothing_and_says_so(plane, taps):
    first = plane.up(pair(plane))
    assert "done" in first.stdout and "3 ports attached" in first.stdout and "1 waiting" in first.stdout
    before = plane.show(), plane.pins(), programs(plane)
    second = plane.up(pair(plane))
    assert "nothing to change" in second.stdout and "attached" not in second.stdout
    assert (plane.show(), plane.pins(), programs(plane)) == before
    third = plane.up(pair(plane, age=17))
    assert "nothing" not in third.stdout and plane.show()["segments"][0]["age"] == 17


def test_up_json_tells_the_same(plane, taps):
    text = json.dumps(pair(plane))
    told = [json.loads(plane.run(["up", "-f", "-"], input=text, json_out=True).stdout) for _ in range(2)]
    assert [t["changed"] for t in told] == [True, False]
    assert told[0]["attached"] == 3 and told[0]["waiting"] == 1 and told[0]["plane"] == plane.name


def test_dry_run_changes_nothing(plane, taps):
    told = plane.up(pair(plane), "--dry-run").stdout
    assert "add segment lan" in told and "add port g1" in told
    assert plane.pins() == [] and not plane.ns.exists("vp0")
    assert plane.ns.run("tc qdisc show dev tap1").stdout.count("clsact") == 0
    plane.up(pair(plane))
    before = plane.show()
    told = plane.up(pair(plane, flood=False), "--dry-run").stdout
    assert "set segment lan" in told and "flood" in told
    assert plane.show() == before
    assert "nothing to change" in plane.up(pair(plane), "--dry-run").stdout


def test_up_removes_what_the_file_lacks(live):
    conf = pair(live)
    conf["ports"] = [p for p in conf["ports"] if p["name"] in ("g1", "late")]
    live.up(conf)
    assert [p["name"] for p in live.show()["ports"]] == ["g1", "late"]
    assert not live.ns.exists("vp0") and "clsact" not in live.ns.run("tc qdisc show dev tap2").stdout
    assert "clsact" in live.ns.run("tc qdisc show dev tap1").stdout


def test_runtime_macs_survive_up_unless_pruned(live):
    conf = pair(live)
    conf["ports"][0]["mac"] = [M[0]]
    live.up(conf)
    live.run(f"mac add lan {M[1]} g2")
    live.up(conf)
    assert macs(live) == {(M[0], "g1", True), (M[1], "g2", True)}
    live.up(pair(live, age=9))
    assert macs(live) == {(M[1], "g2", True)}, "an address that the file no longer has goes, a run-time one stays"
    live.up(conf, "--prune")
    assert macs(live) == {(M[0], "g1", True)}


def test_up_puts_back_a_configured_mac_that_was_deleted(live):
    conf = pair(live)
    conf["ports"][0]["mac"] = [M[0]]
    live.up(conf)
    live.run(f"mac del lan {M[0]}")
    assert macs(live) == set()
    live.up(conf)
    assert macs(live) == {(M[0], "g1", True)}
    assert "nothing to change" in live.up(conf).stdout


def test_diff(live, tmp_path):
    same = write(tmp_path, json.dumps(pair(live)))
    done = live.run("diff -f", same, "--exit-code")
    assert (done.stdout, done.returncode) == ("", 0)
    conf = pair(live, vlan=7)
    del conf["ports"][1]
    conf["ports"].append({"name": "g9", "device": "tap9"})
    conf["ports"].append({"name": "g8", "device": "tap8"})
    conf["bindings"] = [{"a": "g8", "b": "g9"}]
    other = write(tmp_path, json.dumps(conf))
    before = live.show()
    done = live.run("diff -f", other)
    assert done.returncode == 0
    lines = sorted(line.split(":")[0] for line in done.stdout.splitlines())
    assert lines == ["add binding g8 g9", "add port g8", "add port g9", "del port g2", "set segment lan"]
    assert live.run("diff --exit-code -f", other, check=False).returncode == 3
    told = live.json("diff", "-f", other)
    assert {(c["change"], c["object"], c["name"]) for c in told["changes"]} >= {("del", "port", "g2"), ("set", "segment", "lan")}
    assert live.show() == before
    live.up(open(other).read())
    assert live.run("diff --exit-code -f", other).stdout == ""


def test_diff_of_an_absent_plane_is_everything(plane, tmp_path):
    path = write(tmp_path, json.dumps(pair(plane)))
    done = plane.run("diff --exit-code -f", path, check=False)
    assert done.returncode == 3 and len(done.stdout.splitlines()) == 5


def test_showconf_is_a_file_with_an_empty_diff(plane, taps):
    conf = pair(plane, vlan=5, age=0, flood=False)
    conf["ports"][0]["mac"] = [M[0], M[1]]
    conf["ports"][1].update(quota=3, broadcast_pps=0, carrier="tc")
    conf["ports"][3]["mac"] = "auto"
    conf["segments"].append({"name": "empty"})
    conf["ports"] += [{"name": "b1", "device": "nodev1"}, {"name": "b2", "kind": "host"},
                      {"name": "up0", "device": "nodev2", "kind": "uplink", "segment": "lan"}]
    conf["bindings"] = [{"a": "b2", "b": "b1"}]
    plane.up(conf)
    text = plane.run("showconf").stdout
    assert "mac: auto" in text and "carrier: tc" in text
    assert "nothing to change" in plane.up(text).stdout
    assert plane.run(["diff", "-f", "-", "--exit-code"], input=text).stdout == ""
    assert plane.run("showconf").stdout == text
    changed = text.replace("carrier: tc", "carrier: auto")
    assert plane.run(["diff", "-f", "-", "--exit-code"], input=changed, check=False).returncode == 3
    plane.down()
    plane.up(text)
    assert plane.run("showconf").stdout == text
    plane.run("mac add lan " + M[5] + " g1")
    assert plane.run("showconf").stdout == text, "run-time entries are not part of the file"


# ---- ports and bindings ----

def test_port_add_set_del(live, net):
    t3 = net.tap("tap3")
    live.run("port add g3 device=tap3 segment=lan quota=2")
    assert live.port("g3")["state"] == "up" and live.port("g3")["segment"] == "lan"
    frame = frames.arp_request(M[3], "198.18.0.3", "198.18.0.4")
    t3.send(frame)
    assert net.taps[0].recv_match(frame) and net.taps[1].recv_match(frame)
    live.run("port set g3 carrier=tc mac=" + M[4])
    now = live.port("g3")
    assert now["carrier"] == "tc" and now["macs"] == [M[4]]
    t3.send(frame)
    assert net.taps[0].recv(0.2) is None and live.drops("g3") == {"foreign_mac": 1}
    assert "nothing to change" in live.run("port set g3 carrier=tc").stdout
    live.run("port set g3 carrier=auto mac=")
    assert live.port("g3")["carrier"] == "xdp" and live.port("g3")["macs"] == []
    live.run("port del g3")
    assert "g3" not in [p["name"] for p in live.show()["ports"]]
    t3.send(frame)
    assert net.taps[0].recv(0.2) is None
    assert "xdp" not in live.ns.link("tap3") and "clsact" not in live.ns.run("tc qdisc show dev tap3").stdout
    live.run("port add vp7 kind=host segment=lan mac=auto")
    assert live.ns.link("vp7")["address"] == live.port("vp7")["macs"][0]
    live.run("port del vp7")
    assert not live.ns.exists("vp7") and not live.ns.exists("vp7-p")


@pytest.mark.parametrize("words, told", [
    ("add g1 device=tap9", "g1 is there already"),
    ("add g9", "device"),
    ("add g9 device=tap1", "already used by port g1"),
    ("add g9 device=tap9 segment=nolan", "no segment nolan"),
    ("add g9 device=tap9 colour=red", "colour"),
    ("add g9 device=tap9 quota=many", "quota"),
    ("add g9 device=tap9 tagged=lan", "segment lan has no `vlan`"),
    ("add g9 device=tap9 tagged=lan,lan", "listed twice"),
    ("add BAD device=tap9", "is no name for a port"),
    ("set nobody quota=1", "no port nobody"),
    ("set g1 name=g2", "name"),
    ("set g1 quota", "key=value"),
    ("set g1 mac=01:00:5e:00:00:01", "group"),
    ("del nobody", "no port nobody"),
])
def test_port_refuses(live, words, told):
    before = live.show()
    refused(live.run("port " + words, check=False), told)
    assert live.show() == before
    live.run("port set g1 quota=5")          # the control: the same verb works


@pytest.mark.parametrize("words", ["add aa device=tap1 segment=lan", "add zz device=tap1 segment=lan", "set g2 device=tap1",
                                   "set late device=tap1", "add aa device=tap3 segment=lan mac=52:54:00:00:01:00",
                                   "add aa device=tap3 segment=lan alias=/dev/x"])
def test_a_conflict_blames_the_new_one(live, words):
    live.run(f"port set g1 mac={M[0]} alias=/dev/x")
    both = f"vpeer: port {words.split()[1]}: .* (used by|address of|that of) port g1$"
    done = live.run(f"port {words}", check=False)
    refused(done, "already")
    assert re.fullmatch(both, done.stderr.strip()), done.stderr
    # Nor does it matter which of the two was changed last.
    live.run("port set g2 mac= alias=/dev/y")
    done = live.run("port set g1 device=tap2", check=False)
    refused(done, "port g1: device tap2 is already used by port g2")


def test_bind_and_unbind(plane, net, taps):
    one, two = taps
    plane.up({"version": 1, "segments": [{"name": "lan"}],
              "ports": [{"name": "a", "device": "tap1"}, {"name": "b", "device": "tap2"},
                        {"name": "c", "device": "nodev0", "segment": "lan"}, {"name": "d", "device": "nodev1"}]})
    frame = frames.bpdu(M[0])
    one.send(frame)
    assert two.recv(0.2) is None and plane.drops("a") == {"unbound": 1}
    plane.run("bind a b")
    one.send(frame)
    assert two.recv_match(frame), "a binding is a wire, for reserved groups too"
    assert plane.show()["bindings"] == [wire("a", "b", "up")] and plane.port("a")["peer"] == "b"
    refused(plane.run("bind a d", check=False), "port a is bound to b", f"vpeer --plane {plane.name} unbind a")
    refused(plane.run("bind d b", check=False), "port b is bound to a")
    refused(plane.run("bind d c", check=False), "port c is in segment lan")
    refused(plane.run("bind d nobody", check=False), "no port nobody")
    refused(plane.run("bind d d", check=False), "itself")
    refused(plane.run("port set a segment=lan", check=False), "bound")
    refused(plane.run("unbind d", check=False), "not bound")
    refused(plane.run("unbind nobody", check=False), "nobody")
    one.send(frame)
    assert two.recv_match(frame), "nothing of that did harm"
    plane.run("unbind b")
    assert plane.show()["bindings"] == [] and plane.port("a")["peer"] is None
    two.send(frame)
    assert one.recv(0.2) is None
    plane.run("bind d b")


# ---- the MAC table ----

def test_mac_verbs(live, taps, tmp_path):
    one, two = taps
    one.send(frames.arp_request(M[1], "198.18.0.1", "198.18.0.9"))
    two.send(frames.arp_request(M[2], "198.18.0.2", "198.18.0.9"))
    assert macs(live) == {(M[1], "g1", False), (M[2], "g2", False)}
    live.run(f"mac add lan {M[3]} g2")
    live.run(f"mac add lan {M[1]} g1")
    assert macs(live) == {(M[1], "g1", True), (M[2], "g2", False), (M[3], "g2", True)}
    assert live.port("g1")["learned"] == 0 and live.port("g2")["learned"] == 1
    one.drain(), two.drain()
    frame = frames.udp(M[1], M[3], "198.18.0.1", "198.18.0.3")
    one.send(frame)
    assert two.recv_match(frame) and live.port("g1")["forwarded"] == 1
    live.run(f"mac del lan {M[3]}")
    assert live.port("g2")["learned"] == 1, "a static entry gives no quota back"
    one.send(frame)
    assert two.recv_match(frame) and live.port("g1")["forwarded"] == 1, "unknown again, so flooded"
    refused(live.run(f"mac del lan {M[3]}", check=False), M[3], "not in the table")
    assert "1 learned entry removed" in live.run("mac flush").stdout
    assert macs(live) == {(M[1], "g1", True)} and live.port("g2")["learned"] == 0
    two.send(frames.arp_request(M[2], "198.18.0.2", "198.18.0.9"))
    assert "0 learned" in live.run("mac flush port=g1").stdout and "1 learned" in live.run("mac flush segment=lan port=g2").stdout
    path = tmp_path / "macs"
    path.write_text(f"# segment mac port\n\nlan {M[4]} g1\nlan\t{M[5]}  g2\n")
    assert "2 of 2" in live.run("mac load", path).stdout
    assert macs(live) == {(M[1], "g1", True), (M[4], "g1", True), (M[5], "g2", True)}


def test_mac_verbs_in_json(live, tmp_path):
    path = tmp_path / "macs"
    path.write_text(f"lan {M[4]} g1\nlan {M[5]} g2\n")
    name = {"plane": live.name}
    assert live.json(f"mac add lan {M[3]} g2") == {**name, "made": 1, "of": 1}
    assert live.json(f"mac del lan {M[3]}") == {**name, "removed": 1}
    assert live.json("mac load", path) == {**name, "made": 2, "of": 2}
    assert live.json("mac flush") == {**name, "removed": 0}
    refused(live.run(["mac", "load", str(tmp_path)], check=False), str(tmp_path), "cannot be read")
    assert live.run("mac frobnicate", check=False).returncode == 2


@pytest.mark.parametrize("command, told", [
    ("show --json", "vpeer --json show"), ("show --plane x", "vpeer --plane NAME show"), ("up -f", "wants a file"),
    ("up --confirm", "wants seconds"), ("mac", "usage: vpeer mac add"), ("help nonsense", "no such verb")])
def test_usual_slips_are_told_what_is_right(plane, command, told):
    refused(plane.run(command, check=False), told, code=2)


def test_a_verb_tells_its_own_usage(plane):
    text = plane.run("help bind").stdout
    assert "A B" in text and "mac" not in text and plane.run("bind --help").stdout == plane.run("bind -h").stdout == text


def test_commands_in_messages_are_for_this_plane(live):
    mine = f"vpeer --plane {live.name} "
    live.run("port add a device=nodev1"), live.run("port add b device=nodev2"), live.run("bind a b")
    refused(live.run("bind a g1", check=False), mine + "unbind a")
    refused(live.run("bind g1 g2", check=False), mine + "port set g1 segment=")
    refused(live.run("port add a device=nodev3", check=False), mine + "port set a")
    live.run(f"mac add lan {M[3]} g2")
    refused(live.run(f"mac add lan {M[3]} g1", check=False), f"{mine}mac del lan {M[3]}")
    refused(live.run("port add c device=tap1", check=False), "tap1 is already used")
    assert "(live plane)" not in live.run("port add c device=tap1", check=False).stderr


@pytest.mark.parametrize("words, told", [
    (f"add nolan {M[1]} g1", "no segment nolan"),
    (f"add lan {M[1]} nobody", "no port nobody"),
    ("add lan 52:54:00:00:01 g1", "no MAC address"),
    ("add lan 00:00:00:00:00:00 g1", "zero"),
    ("add lan ff:ff:ff:ff:ff:ff g1", "broadcast"),
    ("add lan 01:80:c2:00:00:00 g1", "group"),
    (f"add lan {M[1]} alone", "alone is not in segment lan"),
    ("flush segment=nolan", "nolan"),
    ("flush port=nobody", "nobody"),
    ("load /nonexistent/macs", "/nonexistent/macs"),
])
def test_mac_refuses(live, words, told):
    live.run("port add alone device=nodev5", check=False)
    before = live.show()
    refused(live.run("mac " + words, check=False), told)
    assert live.show() == before
    live.run(f"mac add lan {M[1]} g1")


def test_a_static_mac_of_another_port_is_refused(live):
    live.run(f"mac add lan {M[1]} g1")
    refused(live.run(f"mac add lan {M[1]} g2", check=False), M[1], "g1", "g2")
    assert macs(live) == {(M[1], "g1", True)}
    live.run(f"mac add lan {M[1]} g1")
    live.run(f"mac del lan {M[1]}")
    live.run(f"mac add lan {M[1]} g2")
    assert macs(live) == {(M[1], "g2", True)}


def test_mac_load_is_all_or_nothing(live, tmp_path):
    path = tmp_path / "macs"
    path.write_text(f"lan {M[1]} g1\nlan {M[2]} nobody\n")
    refused(live.run("mac load", path, check=False), f"{path}:2", "no port nobody")
    path.write_text(f"lan {M[1]} g1\nlan {M[2]}\n")
    refused(live.run("mac load", path, check=False), f"{path}:2", "SEGMENT MAC PORT")
    assert macs(live) == set()


def test_mac_load_refuses_an_address_of_two_ports(live, tmp_path):
    path = tmp_path / "macs"
    live.run(f"mac add lan {M[3]} g1")
    before = macs(live)
    path.write_text(f"lan {M[1]} g1\nlan {M[3]} g2\n")
    refused(live.run("mac load", path, check=False), f"{path}:2", M[3], "port g1", "port g2", f"mac del lan {M[3]}")
    path.write_text(f"lan {M[2]} g1\n\nlan {M[1]} g2\nlan {M[2]} g2\nlan {M[2]} g1\n")
    refused(live.run("mac load", path, check=False), f"{path}:4", M[2], "port g1", "line 1", "port g2")
    assert macs(live) == before
    path.write_text(f"lan {M[3]} g1\nlan {M[2]} g2\nlan {M[2]} g2\n")
    assert "3 of 3 entries made" in live.run("mac load", path).stdout
    assert macs(live) == {(M[3], "g1", True), (M[2], "g2", True)}


def test_mac_load_takes_over_what_was_learned(live, taps, tmp_path):
    """More entries than one call to the kernel makes; the port that had learned one of the last of them has its quota back."""
    path = tmp_path / "macs"
    addresses = [f"52:55:00:00:{i >> 8:02x}:{i & 255:02x}" for i in range(600)]
    taps[1].send(frames.arp_request(addresses[598], "198.18.0.2", "198.18.0.9"))
    assert live.port("g2")["learned"] == 1, "control"
    path.write_text("".join(f"lan {mac} g1\n" for mac in addresses))
    assert "600 of 600 entries made" in live.run("mac load", path).stdout
    assert macs(live) == {(mac, "g1", True) for mac in addresses} and live.port("g2")["learned"] == 0


def test_up_enters_more_addresses_than_one_call_makes(plane, taps):
    addresses = [f"52:55:00:00:{i >> 8:02x}:{i & 255:02x}" for i in range(600)]
    plane.up(plane.segment("lan", {"name": "g1", "device": "tap1", "mac": addresses}))
    assert macs(plane) == {(mac, "g1", True) for mac in addresses}


def test_a_load_that_the_kernel_refuses_has_made_nothing(live, tmp_path):
    path = tmp_path / "macs"
    path.write_text(f"lan {M[1]} g1\n")
    last = crash.counts(live, f"mac load {path}", calls=["bpf"])["bpf"]
    live.run(f"mac del lan {M[1]}")
    done = crash.refused(live, f"mac load {path}", "bpf", last, "ENOMEM")
    assert done.returncode == 1 and "Cannot allocate memory" in done.stderr and "entries made" not in done.stdout, done
    assert macs(live) == set()


# ---- show ----

def test_show_tables_fit_80_columns(live, net):
    """With names of up to 10 characters in every column at once; each sentence is wrapped whatever it holds."""
    live.run("port add third.name device=longdevnm0 segment=lan")
    live.run("port add other.name device=longdevnm1 kind=uplink")
    live.run("port add fourt.name kind=host")
    live.run("bind other.name fourt.name")
    live.run(f"mac add lan {M[1]} third.name")
    for frame in [frames.bpdu(M[1])] * 3 + [frames.arp_request(M[2], "198.18.0.3", "198.18.0.4")] * 1200:
        net.taps[0].send(frame)
    for what in ("", "ports", "bindings", "segments", "macs", "drops", "all"):
        text = live.run(["show", *what.split()]).stdout
        assert text and max(map(len, text.splitlines())) <= 80, text
        assert "\033" not in text
    assert "g1" in live.run("show ports").stdout and M[1] in live.run("show macs").stdout
    assert "reserved_group" in live.run("show drops").stdout and "reserved_group" in live.run("show").stdout
    assert "other.name" in live.run("show bindings").stdout
    assert live.run([]).stdout == live.run("show").stdout, "no verb = show"


def test_show_json_has_every_field(live, taps):
    began = time.monotonic()
    taps[0].send(frames.arp_request(M[1], "198.18.0.1", "198.18.0.9"))
    live.run(f"mac add lan {M[2]} g2")
    live.run("port add a device=nodev1")
    live.run("port add b kind=host")
    live.run("bind a b")
    told = live.show()
    assert told["schema"] == 1 and told["plane"] == live.name
    assert set(told) >= {"schema", "plane", "ports", "segments", "bindings", "macs"}
    reasons = set(re.findall(r"X\([A-Z0-9_]+, (\w+), \"", open("include/vp_names.h").read().split("VP_EVENTS")[0]))
    assert len(reasons) > 10
    for port in told["ports"]:
        assert set(port) >= PORT_FIELDS, PORT_FIELDS - set(port)
        assert set(port["drops"]) == reasons and all(type(n) is int for n in port["drops"].values())
        assert set(port["rx"]) == set(port["tx"]) == {"packets", "bytes"}
        assert port["state"] in ("up", "waiting", "degraded") and port["mode"] in ("native", "generic")
        assert type(port["xdp_target"]) is bool and port["carrier"] in ("xdp", "tc", None)
        assert port["kind"] in ("guest", "host", "uplink") and type(port["why"]) is str
    ports = {p["name"]: p for p in told["ports"]}
    late = ports["late"]
    assert late["state"] == "waiting" and late["ifindex"] is None and late["peer"] is None and "nodev0" in late["why"]
    assert late["carrier"] is None and late["plane_device"] is None and late["tagged"] == [] and late["macs"] == []
    assert ports["g1"]["rx"] == {"packets": 1, "bytes": 42} and ports["g1"]["flooded"] == 1
    assert ports["g2"]["tx"] == {"packets": 1, "bytes": 42}
    assert ports["g1"]["ifindex"] == live.ns.ifindex("tap1")
    assert ports["vp0"]["plane_device"] == "vp0-p" and ports["vp0"]["device"] == "vp0"
    assert ports["a"]["segment"] is None and ports["a"]["peer"] == "b"
    assert told["bindings"] == [wire("a", "b", "waiting")]
    assert told["segments"] == [{"name": "lan", "vlan": None, "age": 300, "flood": True,
                                 "duplicate": "move"}]
    assert all(set(m) >= MAC_FIELDS for m in told["macs"])
    by_mac = {m["mac"]: m for m in told["macs"]}
    assert by_mac[M[2]]["static"] is True and by_mac[M[2]]["age"] is None
    assert by_mac[M[1]]["static"] is False and 0 <= by_mac[M[1]]["age"] <= time.monotonic() - began + 1


def test_show_agrees_with_bpftool(live, taps):
    for i in range(7):
        taps[0].send(frames.arp_request(M[i], "198.18.0.1", "198.18.0.9"))
    taps[0].send(frames.bpdu(M[0]))
    port = live.port("g1")
    dump = live.ns.json(f"bpftool -j map dump pinned {PIN_ROOT}/{live.name}/maps/vp_counters")
    values = [v["value"] for e in dump if e["formatted"]["key"] == port["id"] for v in e["formatted"]["values"]]
    assert sum(v["rx_packets"] for v in values) == port["rx"]["packets"] == 8
    assert sum(v["flooded"] for v in values) == port["flooded"] == 7
    entries = live.ns.json(f"bpftool -j map dump pinned {PIN_ROOT}/{live.name}/maps/vp_macs")
    assert len(entries) == len(live.show()["macs"]) == port["learned"] == 7


# ---- the rest ----

def test_help_and_version(plane):
    text = plane.run("help").stdout
    for verb in ("up", "attach", "down", "check", "diff", "showconf", "port", "bind", "unbind", "mac", "show"):
        assert re.search(rf"^  {verb} ", text, re.M), verb
    assert max(map(len, text.splitlines())) <= 110
    assert run([plane.binary, "--help"]).stdout == text
    assert re.match(r"vpeer \S+, ABI \d+\n$", run([plane.binary, "--version"]).stdout)


def test_check_needs_no_root(plane, tmp_path):
    tmp_path.chmod(0o755)
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps({"version": 1, "segments": [{"name": "lan"}], "ports": [
        {"name": "vp0", "kind": "host", "segment": "lan", "mac": "auto"}, {"name": "g", "device": "x0", "segment": "lan"}]}))
    binary = tmp_path / "vpeer"
    binary.write_bytes(open(plane.binary, "rb").read())
    binary.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", str(binary)]
    assert "ok: 2 ports, 1 segment" in run([*nobody, "check", str(path)]).stdout
    told = json.loads(run([*nobody, "--json", "check", str(path)]).stdout)
    auto = {p["name"]: p for p in told["ports"]}["vp0"]["macs"][0]
    assert int(auto[:2], 16) & 3 == 2, "locally administered, and one station's"
    other = json.loads(run([*nobody, "--plane", "other", "--json", "check", str(path)]).stdout)
    assert {p["name"]: p for p in other["ports"]}["vp0"]["macs"][0] != auto
    plane.name = "default"
    plane.up(path.read_text())
    refused(run([*nobody, "show", "ports"], check=False), "run as root")
    assert plane.port("vp0")["macs"] == [auto] and plane.ns.link("vp0")["address"] == auto


def test_exit_codes(live, tmp_path):
    for words in (["nosuchverb"], ["port"], ["port", "add"], ["port", "set", "g1"], ["bind", "g1"], ["unbind"], ["mac"],
                  ["mac", "add", "lan"], ["show", "everything"], ["show", "ports", "macs"], ["check"], ["down", "now"],
                  ["up", "--sideways"], ["up", "-f"], ["diff", "nofile"], ["showconf", "x"], ["sho"], ["UP"]):
        refused(live.run(words, check=False), code=2)
    assert run([live.binary, "--plane"], check=False).returncode == 2
    assert run([live.binary, "--plane", "Bad Name", "show"], check=False).returncode == 2
    assert run([live.binary, "--nonsense", "show"], check=False).returncode == 2
    refused(live.run("up -f /nonexistent.yaml", check=False), "/nonexistent.yaml")
    refused(live.run("attach nobody", check=False), "nobody")
    assert "nothing to change" in live.run("attach g1").stdout
    full = live.ns.sh(f"{live.binary} --plane {live.name} show > /dev/full", check=False)
    assert full.returncode == 1, "what could not be written was not done"
    live.down()
    assert live.down().returncode == 0, "an absent plane is down already"
    for verb in ("show", "showconf", "attach", "port del g1", "bind a b", "mac flush"):
        refused(live.run(verb, check=False), live.name, "no such plane")


def test_partly_done_is_3(live, tmp_path):
    """65,537 entries can't be seen to fail before the table is full: learned ones may be in the way."""
    path = tmp_path / "macs"
    path.write_text("".join("lan 52:55:%02x:%02x:%02x:%02x g1\n" % tuple(i.to_bytes(4, "big")) for i in range(65536)))
    live.run(f"mac add lan {M[1]} g2")
    done = live.run("mac load", path, check=False)
    assert done.returncode == 3 and "65535 of 65536 entries made" in done.stdout and "full" in done.stderr


@pytest.mark.parametrize("verb", LATER)
def test_later_verbs_say_so(plane, verb):
    refused(plane.run(verb, check=False), verb, "does not have this verb yet", code=2)


def test_json_errors(live, tmp_path):
    def told(*words, input=None):
        done = live.run(list(words), check=False, json_out=True, input=input)
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert len(lines) == 1, done.stderr
        error = json.loads(lines[0])["error"]
        assert set(error) == {"object", "message", "file", "line", "column"}
        return done.returncode, error
    code, e = told("port", "del", "nobody")
    assert code == 1 and "nobody" in e["message"] and e["file"] is None and e["line"] is None and e["column"] is None
    path = write(tmp_path, "version: 1\nports:\n  - {name: g1, device: tap1, colour: red}\n")
    code, e = told("check", path)
    assert code == 1 and e["object"] == "port g1" and "colour" in e["message"]
    assert (e["file"], e["line"], e["column"]) == (path, 3, 30)
    code, e = told("nosuchverb")
    assert code == 2 and e["object"] == "nosuchverb"
    code, e = told("metrics")
    assert code == 2 and "yet" in e["message"]


def test_no_colour_without_a_terminal_and_colour_with_one(live):
    cmd = f"{live.binary} --plane {live.name} show ports"
    script = ["script", "-qec", cmd, "/dev/null"]
    assert "\033[" in live.ns.run(script, env={"TERM": "xterm", "PATH": "/usr/bin:/bin"}).stdout
    assert "\033[" not in live.ns.run(script, env={"TERM": "xterm", "PATH": "/usr/bin:/bin", "NO_COLOR": "1"}).stdout


# ---- what the programs look at first ----

def plane_map(plane, name, key=0):
    """The value at a key of one of the plane's arrays."""
    words = " ".join(str(b) for b in key.to_bytes(4, "little"))
    shown = plane.ns.run(f"bpftool -j map lookup pinned {PIN_ROOT}/{plane.name}/maps/{name} key {words}").stdout
    return json.loads(shown)["formatted"]["value"]


def test_plane_epoch_counts_switches(plane, taps):
    """Verdicts that XDP remembers hold for one epoch."""
    plane.up(pair(plane))
    before = plane_map(plane, "vp_plane")["epoch"]
    plane.up(pair(plane, age=17))
    assert plane_map(plane, "vp_plane")["epoch"] > before


def test_an_index_is_forgotten_with_its_port(plane, taps):
    plane.up(pair(plane))
    port = next(p for p in plane.show()["ports"] if p["state"] == "up")
    assert plane_map(plane, "vp_near", port["ifindex"]) > 0
    plane.run(f"port del {port['name']}")
    assert plane_map(plane, "vp_near", port["ifindex"]) == 0


def test_down_is_done_when_it_returns(plane, taps):
    """An XDP link goes some time after its pin alone, too soon to be caught here and too late for an `up` right behind
    it, which finds a stranger's program: so each is detached."""
    plane.up(pair(plane))
    by_xdp = sum(p["carrier"] == "xdp" and p["state"] == "up" for p in plane.show()["ports"])
    log = f"/tmp/vpt-{plane.name}.strace"
    plane.ns.run(["strace", "-f", "-qq", "-o", log, "-e", "trace=bpf", plane.binary, "--plane", plane.name, "down"])
    with open(log, encoding="utf-8") as f:
        detached = f.read().count("BPF_LINK_DETACH")
    os.unlink(log)
    assert detached == by_xdp > 0 and "xdp" not in plane.ns.run("ip link show").stdout
