# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Coming from QNX: a command line becomes a plane, in one pipe, and its guests talk as they did; names and restarts."""
import json
import os
import re
import subprocess

import pytest
import yaml

import lab
from lab import tcp_transfer
from lab.plane import vpeer_binary

# The example of QNX's own pages: three guests, each with an interface of the host's, and a NIC.
COMMAND = """io-pkt-v6-hc -d e1000 -d vdevpeer-net \\
peer=/dev/qvm/qnx7-guest1/p2p,bind=/dev/vdevpeers/vp0,\\
peer=/dev/qvm/qnx7-guest2/p2p,bind=/dev/vdevpeers/vp1,\\
peer=/dev/qvm/linux-guest/p2p,bind=/dev/vdevpeers/vp2
"""
PATHS = ["/dev/qvm/qnx7-guest1/p2p", "/dev/qvm/qnx7-guest2/p2p", "/dev/qvm/linux-guest/p2p"]


def vpeer_import(*args, input=None):
    """The text that `vpeer import` writes; needs neither root nor a namespace."""
    done = subprocess.run([vpeer_binary(), "import", *args], input=input, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


def guests(net):
    """A VM with the offloads of one, a veth guest, and another VM."""
    return [net.vm_guest(1), net.veth_guest(2), net.vm_guest(3)]


def options():
    return [word for n, path in enumerate(PATHS) for word in ("--device", f"{path}=g{n + 1}")]


def test_three_guests_talk_to_their_host_interfaces(net, plane):
    """As on QNX: each guest reaches its own vpN and no other guest."""
    text = vpeer_import("io-pkt", *options(), "-", input=COMMAND)
    plane.up(text)
    assert not plane.run("diff -f -", input=text).stdout
    members = guests(net)
    plane.attach()
    hosts = []
    for n, guest in enumerate(members):
        host = lab.Guest(net, 11 + n, net.host, f"vp{n}", f"vp{n}")
        net.host.ip(f"link set vp{n} up", f"addr add 198.19.{n}.1/30 dev vp{n}")
        guest.ns.ip(f"addr flush dev {guest.dev}", f"addr add 198.19.{n}.2/30 dev {guest.dev}")
        hosts.append(host)
    for n, guest in enumerate(members):
        assert guest.ping(f"198.19.{n}.1", size=1400), f"guest {n + 1} does not reach vp{n}"
    members[0].ns.ip("addr add 198.19.1.3/30 dev eth0")
    assert not members[0].ping("198.19.1.2", timeout=0.3), "two wires are one"
    members[0].ip, hosts[0].ip = "198.19.0.2", "198.19.0.1"
    tcp_transfer(members[0], hosts[0], mib=2)


def test_bridged_they_reach_each_other_the_host_and_the_world(net, plane):
    members, world = guests(net), net.uplink("eth1")
    plane.up(vpeer_import("io-pkt", "--bridge", "--uplink", "e1000=eth1", *options(), "-", input=COMMAND))
    host = lab.Guest(net, 10, net.host, "vp0", "vp0")
    host.configure()
    everybody = [*members, host, world]
    for a in everybody:
        for b in everybody:
            assert a is b or a.ping(b), f"{a.port} to {b.port}"
    tcp_transfer(members[0], world, mib=2)
    tcp_transfer(world, members[1], mib=2)


def test_the_script_that_made_the_bridge_gives_the_same_plane():
    script = COMMAND + "ifconfig bridge0 create\nbrconfig bridge0 add vp0 add vp1 add vp2 add e1000 up\nifconfig vp0 192.168.1.1\n"
    asked = yaml.safe_load(vpeer_import("io-pkt", "--bridge", "--uplink", "e1000=eth1", "-", input=COMMAND))
    found = yaml.safe_load(vpeer_import("io-pkt", "--uplink", "e1000=eth1", "-", input=script))
    assert asked == found
    words = COMMAND.replace("\\\n", "").split()
    assert yaml.safe_load(vpeer_import("io-pkt", "--bridge", "--uplink", "e1000=eth1", "--", *words)) == asked


def test_ports_wait_for_guests_that_start_later(net, plane):
    plane.up(vpeer_import("vpctl", "--", "vpctl", "vp0", "peer=/dev/qvm/g/net", "bind=/dev/vdevpeers/vp0"))
    assert plane.port("g.net")["state"] == "waiting" and plane.port("g.net")["device"] == "g-net"
    guest = net.vm_guest(1, dev="g-net")
    plane.attach()
    net.host.ip("link set vp0 up", "addr add 198.18.0.99/15 dev vp0")
    assert guest.ping("198.18.0.99")


def test_show_bindings_says_which_wire_is_whose_and_counts_reconnects(net, plane):
    guest = net.vm_guest(1)
    text = vpeer_import("io-pkt", "--device", "/dev/qvm/g/net=g1", "--", "io-pkt-v6-hc", "-d", "vdevpeer-net",
                        "peer=/dev/qvm/g/net,bind=/dev/vdevpeers/vp0")
    plane.up(text)
    net.host.up("vp0")

    def row():
        lines = plane.run("show bindings").stdout.splitlines()
        assert lines[0].split() == ["PORT", "ALIAS", "PEER", "DEVICE", "MAC", "STATE", "RECONNECTS"]
        return lines[1].split()

    assert row() == ["g.net", "/dev/qvm/g/net", "vp0", "g1", "any", "up", "0"]
    assert plane.port("vp0")["alias"] == "/dev/vdevpeers/vp0" and plane.port("g.net")["reconnects"] == 0
    for n in (1, 2):
        guest.kill()
        lab.wait_until(lambda: not net.host.exists("g1"), what="the TAP to go")
        plane.up(text) if n == 1 else None      # a run in between, while the device is away, makes no difference
        guest.restart()
        plane.attach()
        lab.wait_until(lambda: row()[-2] == "up", what="the port to be up")
        assert row()[-1] == str(n) and plane.port("g.net")["reconnects"] == n
    plane.attach()
    assert plane.port("g.net")["reconnects"] == 2 and plane.port("vp0")["reconnects"] == 0
    plane.run("port set g.net device=other")
    assert plane.port("g.net")["reconnects"] == 0, "another device begins anew"


def test_an_alias_is_kept_changed_and_taken_away(net, plane):
    net.tap("t1")
    plane.up("version: 1\nports:\n  - {name: a, device: t1, alias: /dev/qvm/a/n}\n  - {name: vp0, kind: host}\nbindings: [{a: a, b: vp0}]\n")
    assert '    alias: "/dev/qvm/a/n"\n' in plane.run("showconf").stdout
    assert plane.json("showconf")["ports"][0]["alias"] == "/dev/qvm/a/n" and plane.port("vp0")["alias"] is None
    plane.run("port set a alias=/dev/qvm/b/n")
    assert plane.port("a")["alias"] == "/dev/qvm/b/n"
    plane.run("port set a alias=")
    assert plane.port("a")["alias"] is None
    assert plane.run("port set vp0 alias=/dev/qvm/b/n").returncode == 0
    refused = plane.run("port set a alias=/dev/qvm/b/n", check=False)
    assert refused.returncode == 1 and "alias /dev/qvm/b/n is already that of port" in refused.stderr


@pytest.mark.parametrize("args, code", [
    (["io-pkt", "--", "io-pkt-v6-hc", "-d", "vdevpeer-net"], 1),
    (["io-pkt", "--", "io-pkt-v6-hc", "-d", "vdevpeer-net", "peer="], 1),
    (["io-pkt", "/nonexistent/file"], 1),
    (["qvmconf", "-"], 3),
    ([], 2), (["isc"], 2), (["io-pkt"], 2), (["io-pkt", "--"], 2), (["qvmconf", "--", "x"], 2), (["qvmconf", "--bridge", "-"], 2),
    (["io-pkt", "--device", "x", "-"], 2), (["io-pkt", "--device"], 2), (["io-pkt", "--segment", "lan", "-"], 2),
    (["io-pkt", "--device", "/a=b/c", "-"], 2), (["io-pkt", "--device", "a=b", "--device", "a=c", "-"], 2),
    (["libvirt", "--segment", "Lan", "-"], 2),
])
def test_exit_codes(args, code):
    text = "system a\nvdev virtio-net\nname n\npeer /dev/qvm/b/n\n"
    done = subprocess.run([vpeer_binary(), "import", *args], input=text, capture_output=True, text=True, timeout=20)
    assert done.returncode == code, done.stderr
    assert bool(done.stdout) == (code in (0, 3)) and (code in (0, 3) or done.stderr.startswith("vpeer: "))


def test_json_is_the_resolved_plane_and_errors_are_json():
    args = [vpeer_binary(), "--json", "import", "io-pkt", "--", "io-pkt-v6-hc", "-d", "vdevpeer-net"]
    done = subprocess.run([*args, "peer=/dev/qvm/a/n,bind=/vp0"], capture_output=True, text=True, timeout=20)
    ports = {port["name"]: port for port in json.loads(done.stdout)["ports"]}
    assert ports["a.n"]["alias"] == "/dev/qvm/a/n" and len(ports["vp0"]["macs"]) == 1
    done = subprocess.run([*args, "peer=/a,bind=/b,foo=1"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and not done.stdout
    assert json.loads(done.stderr)["error"] == {
        "object": "option", "message": '"foo" is none of peer, bind, mac, name, legacy, priority', "file": "command line", "line": 1, "column": 46}


def blocks(path):
    """(information string, text) of each fenced block."""
    with open(path, encoding="utf-8") as f:
        return re.findall(r"^```(\S+(?: \S+)?)\n(.*?)^```$", f.read(), re.M | re.S)


@pytest.mark.parametrize("guide", ["docs/from-qnx.md", "README.md"])
def test_the_guide_for_qnx_is_true(tmp_path, guide):
    """Each `vpeer import` is run as it stands there, what it prints is what is shown; `sudo vpeer up -f -` is checked only."""
    os.symlink(vpeer_binary(), tmp_path / "vpeer")
    printed, ran = "", 0
    for kind, text in blocks(f"{lab.net.ROOT}/{guide}"):
        if " file=" in kind:
            (tmp_path / kind.split("=")[1]).write_text(text)
        elif kind == "sh":
            for line in re.findall(r"^vpeer import .*?[^\\]$", text, re.M | re.S):
                done = subprocess.run(line.replace("| sudo vpeer up", "| vpeer check").replace("check -f -", "check -"), shell=True, cwd=tmp_path,
                                      capture_output=True, text=True, timeout=20, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
                assert done.returncode == 0 and not done.stderr, f"{line}: {done.stderr}"
                printed, ran = (printed if "check" in done.args else done.stdout), ran + 1
        elif kind == "yaml" and "Made by vpeer import" in text:
            assert printed == text
    assert ran >= (8 if guide != "README.md" else 2)


# ---- libraries that only one verb needs ----

LATE = ["libxml2", "libsystemd"]


def needed(path):
    return subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout


def without(library, words, **options):
    """`vpeer WORDS` on a machine that has no such library: it is empty there."""
    paths = re.findall(rf"\s({library}\.so\S*) \S+ => (\S+)", subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout)
    hidden = "".join(f"mount --bind /dev/null {path} && " for path in {os.path.realpath(path) for _, path in paths})
    assert hidden, "control: it is there"
    return subprocess.run(["unshare", "-m", "sh", "-c", f"{hidden} exec \"$@\"", "sh", vpeer_binary(), *words], capture_output=True, text=True,
                          timeout=20, check=False, **options)


def test_no_other_verb_loads_them():
    assert not [name for name in LATE if name in needed(vpeer_binary())]


def test_what_is_said_where_libxml2_is_missing():
    xml = "<domain><name>g</name><devices/></domain>"
    done = without("libxml2", ["import", "libvirt", "-"], input=xml)
    assert done.returncode == 1 and "libxml2.so" in done.stderr and "install libxml2" in done.stderr and not done.stdout, done
    assert without("libxml2", ["--version"]).returncode == 0
    assert without("libxml2", ["import", "qvmconf", "-"], input="").stderr.count("libxml2") == 0


def test_what_is_said_where_libsystemd_is_missing():
    told = without("libsystemd", ["--plane", "nobody", "watch"], env={**os.environ, "NOTIFY_SOCKET": "/nonexistent"})
    alone = without("libsystemd", ["--plane", "nobody", "watch"])
    assert told.returncode == 1 and "install libsystemd" in told.stderr, told
    assert alone.returncode == 1 and "there is no such plane" in alone.stderr, "who has no service manager needs none"


def test_where_nothing_is_found_nothing_is_written():
    """An empty configuration in a pipe to `up` would remove every port."""
    done = subprocess.run([vpeer_binary(), "import", "qvmconf", "/dev/null"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and done.stdout == "" and "no guest and no interface was found" in done.stderr
