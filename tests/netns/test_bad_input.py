# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is wrong is refused with exactly one message that names the place and the way out; what runs goes on untouched."""
import os
import re

import pytest
import yaml

from lab import frames
from lab.ns import run

A, B, C = "52:54:00:00:00:0a", "52:54:00:00:00:0b", "52:54:00:00:00:0c"
GOOD = """version: 1
segments:
  - name: lan
ports:
  - {name: g1, device: tap1, segment: lan}
  - {name: g2, device: tap2, segment: lan}
"""
PORT = "  - {name: g3, device: tap3, segment: lan%s}\n"


class Running:
    """A plane with two TAPs that must not notice anything."""

    def __init__(self, net, plane):
        net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.net, self.plane = net, plane
        self.one, self.two = net.tap("tap1"), net.tap("tap2")
        plane.up(GOOD)
        self.seq = 0

    def state(self):
        told = self.plane.show()
        for port in told["ports"]:
            for key in ("rx", "tx", "forwarded", "flooded"):
                del port[key]
        for mac in told["macs"]:
            del mac["age"]
        return (told, self.plane.pins(), self.plane.run("showconf").stdout, self.net.host.devices(),
                self.net.host.run("tc qdisc show").stdout)

    def passes_frames(self):
        self.seq += 1
        frame = frames.udp(A, B, "198.18.0.1", "198.18.0.2", payload=b"%d" % self.seq)
        back = frames.udp(B, A, "198.18.0.2", "198.18.0.1", payload=b"%d" % self.seq)
        self.one.send(frame)
        self.two.send(back)
        return bool(self.two.recv_match(frame) and self.one.recv_match(back))


@pytest.fixture
def running(net, plane):
    made = Running(net, plane)
    assert made.passes_frames()
    made.before = made.state()
    yield made
    assert made.state() == made.before, "the running plane was changed"
    assert made.passes_frames()


def messages(done):
    """The errors, without warnings; each line must be one."""
    lines = done.stderr.splitlines()
    assert all(line.startswith("vpeer: ") for line in lines), done.stderr
    return [line for line in lines if ": warning: " not in line]


def refused(done, *words):
    lines = messages(done)
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], lines[0]


# What is wrong: the text after GOOD's ports, where (line:column; None = no line), words of the message.
BAD = {
    "unknown key": (PORT % ", colour: red", "7:44", ["port g3", "unknown key \"colour\""]),
    "misspelt key": (PORT % ", kidn: host", "7:44", ["did you mean \"kind\""]),
    "unknown top key": ("potrs: []\n", "7:1", ["unknown key \"potrs\"", "ports"]),
    "later key": (PORT % ", addresses: [x]", "7:44", ["does not have `addresses` yet"]),
    "key twice": (PORT % ", segment: lan", "7:44", ["given twice"]),
    "list for a word": ("  - {name: g3, device: [tap3]}\n", "7:24", ["device", "a list where one value belongs"]),
    "word for a number": (PORT % ", quota: many", "7:51", ["quota", "many", "number"]),
    "quoted number": (PORT % ", quota: \"5\"", "7:51", ["quota", "quotes"]),
    "negative number": (PORT % ", quota: -1", "7:51", ["quota", "-1"]),
    "number too large": (PORT % ", quota: 65537", "7:51", ["65536"]),
    "unknown word": (PORT % ", kind: gust", "7:50", ["guest, host or uplink"]),
    "mapping for a list": ("bindings: {a: g1}\n", "7:11", ["a mapping where a list belongs"]),
    "word for a mapping": ("bindings: [g1]\n", "7:12", ["a single value where a mapping"]),
    "empty value": (PORT % ", mac: ", "7:49", ["no value"]),
    "no name": ("  - {device: tap3, segment: lan}\n", "7:5", ["has no `name`"]),
    "no device": ("  - {name: g3, segment: lan}\n", "7:5", ["port g3", "device"]),
    "not YAML": ("  - {name: g3\n", None, []),
    "duplicate port": ("  - {name: g1, device: tap3, segment: lan}\n", "7:5", ["port g1", "taken", ":5:5"]),
    "duplicate MAC": (f"  - {{name: g3, device: tap3, segment: lan, mac: \"{A}\"}}\n"
                      f"  - {{name: g4, device: tap4, segment: lan, mac: \"{A}\"}}\n", "8:5", ["g3", "g4", A, ":7:5"]),
    "MAC twice in a list": (PORT % f", mac: [\"{A}\", \"{A}\"]", None, ["listed twice"]),
    "in a segment and bound": ("  - {name: g3, device: tap3}\nbindings: [{a: g3, b: g1}]\n", "5:5",
                               ["port g1", "segment lan", "bound to g3"]),
    "dangling binding": ("  - {name: g3, device: tap3}\nbindings: [{a: g3, b: g9}]\n", "8:12", ["no port g9"]),
    "binding with one end": ("  - {name: g3, device: tap3}\nbindings: [{a: g3}]\n", "8:12", ["`b`"]),
    "bound to itself": ("  - {name: g3, device: tap3}\nbindings: [{a: g3, b: g3}]\n", "8:12", ["itself"]),
    "bound twice": ("  - {name: g3, device: tap3}\n  - {name: g4, device: tap4}\n  - {name: g5, device: tap5}\n"
                    "bindings: [{a: g3, b: g4}, {a: g5, b: g3}]\n", "10:28", ["g3 is already bound to g4"]),
    "missing segment": ("  - {name: g3, device: tap3, segment: nolan}\n", "7:5", ["no segment nolan", "segments"]),
    "multicast MAC": (PORT % ", mac: \"01:00:5e:00:00:01\"", "7:49", ["01:00:5e:00:00:01", "group"]),
    "zero MAC": (PORT % ", mac: \"00:00:00:00:00:00\"", "7:49", ["zero"]),
    "broadcast MAC": (PORT % ", mac: \"ff:ff:ff:ff:ff:ff\"", "7:49", ["broadcast"]),
    "no MAC": (PORT % ", mac: \"52:54:00:00:00\"", "7:49", ["not a MAC address"]),
    "port name of 32": ("  - {name: %s, device: tap3, segment: lan}\n" % ("n" * 32), "7:12", ["31 characters"]),
    "segment name of 32": ("  - {name: g3, device: tap3, segment: %s}\n" % ("s" * 32), "7:39", ["31 characters"]),
    "upper case name": ("  - {name: G3, device: tap3, segment: lan}\n", "7:12", ["a-z0-9"]),
    "device name of 16": ("  - {name: g3, device: %s, segment: lan}\n" % ("d" * 16), "7:24", ["15 characters"]),
    "host name of 14": ("  - {name: %s, kind: host, segment: lan}\n" % ("h" * 14), "7:5", ["13 characters"]),
    "generic mode of a host port": ("  - {name: vp0, kind: host, segment: lan, carrier: xdp, mode: generic}\n", "7:5",
                                    ["port vp0", "mode: generic", "leave `mode` out"]),
    "one device, two ports": ("  - {name: g3, device: tap1, segment: lan}\n", "7:5", ["tap1", "g1", ":5:5"]),
    "device of a host port": ("  - {name: vp0, kind: host, segment: lan}\n  - {name: g3, device: vp0-p, segment: lan}\n", "8:5",
                              ["vp0-p", "port vp0"]),
}


@pytest.mark.parametrize("what", BAD)
def test_file_is_refused_at_its_place(running, tmp_path, what):
    text, at, words = BAD[what]
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD + text)
    for verb in ("check", "up -f", "diff -f"):
        refused(running.plane.run(f"{verb} {path}", check=False), f"{path}:{at}: " if at else f"{path}:", *words)
    # The control: what is around the fault is right.
    path.write_text(GOOD + PORT % "")
    running.plane.run(f"check {path}")


def test_names_of_31_characters_are_right(running):
    text = GOOD.replace("lan", "s" * 31) + "  - {name: %s, device: %s}\n  - {name: %s, kind: host}\n" % ("n" * 31, "d" * 15, "h" * 13)
    running.plane.run(["check", "-"], input=text)


def test_version(running):
    for text, words in ((GOOD.replace("version: 1", "version: 2"), ["\"2\""]), (GOOD.replace("version: 1\n", ""), ["version: 1"]),
                        ("", ["(empty|configuration|version)"]), ("- 1\n", ["a list"])):
        done = running.plane.up(text, check=False)
        lines = messages(done)
        assert done.returncode == 1 and len(lines) == 1 and re.search("|".join(map(re.escape, words)) if text else words[0], lines[0]), lines


def macs(n):
    return ["52:%02x:%02x:%02x:%02x:%02x" % tuple(i.to_bytes(5, "big")) for i in range(n)]


def test_too_many_macs(running, tmp_path):
    many = macs(70000)
    path = tmp_path / "many.yaml"
    path.write_text(GOOD + PORT % (", mac: [" + ", ".join(f"\"{m}\"" for m in many[:35000]) + "]")
                    + (PORT % (", mac: [" + ", ".join(f"\"{m}\"" for m in many[35000:]) + "]")).replace("3", "4", 2))
    refused(running.plane.run(f"up -f {path}", check=False), str(path), "70000", "65536")
    load = tmp_path / "macs"
    load.write_text("".join(f"lan {m} g1\n" for m in many))
    refused(running.plane.run(f"mac load {load}", check=False), "70000", "65536")


def test_too_many_ports(running):
    text = GOOD + "".join(f"  - {{name: p{i}, device: d{i}, segment: lan}}\n" for i in range(2046))
    refused(running.plane.up(text, check=False), "2048", "2047")
    running.plane.run(["check", "-"], input=text.replace("  - {name: p0, device: d0, segment: lan}\n", ""))


def test_all_faults_are_told_at_once(running):
    text = GOOD + PORT % ", colour: red, quota: many" + "  - {name: g4, device: tap4, segment: lan, kind: gust}\n"
    assert len(messages(running.plane.up(text, check=False))) == 3


# ---- devices that are somebody else's ----

def xdp_object(tmp_path):
    source = tmp_path / "pass.c"
    source.write_text("__attribute__((section(\"xdp\"), used)) int pass(void *ctx) { return 2; }\n"
                      "char _license[] __attribute__((section(\"license\"), used)) = \"GPL\";\n")
    run(["clang", "-target", "bpf", "-O2", "-c", str(source), "-o", str(tmp_path / "pass.o")])
    return tmp_path / "pass.o"


def test_somebody_elses_xdp_program(running, tmp_path):
    running.net.tap("tap3")
    running.before = running.state()
    running.net.host.run(f"ip link set dev tap3 xdp obj {xdp_object(tmp_path)} sec xdp")
    before = running.net.host.link("tap3")["xdp"]
    refused(running.plane.up(GOOD + PORT % "", check=False), "port g3", "tap3", "XDP program", "ip link set dev tap3 xdp off")
    refused(running.plane.run("port add g3 device=tap3 segment=lan", check=False), "tap3", "xdp off")
    assert running.net.host.link("tap3")["xdp"] == before
    running.net.host.run("ip link set dev tap3 xdp off")
    running.plane.run("port add g3 device=tap3 segment=lan")
    running.plane.run("port del g3")


def test_device_with_a_master(running):
    running.net.tap("tap3")
    running.net.bridge(running.net.host, "br0", ["tap3"])
    running.before = running.state()
    refused(running.plane.up(GOOD + PORT % "", check=False), "port g3", "tap3", "br0", "nomaster")
    running.net.host.ip("link set tap3 nomaster")
    running.plane.run("port add g3 device=tap3 segment=lan")
    running.plane.run("port del g3")


def test_uplink_with_an_address(running):
    running.net.uplink("up0")
    running.net.host.ip("addr add 198.19.0.1/24 dev up0")
    running.before = running.state()
    text = GOOD + "  - {name: wan, device: up0, kind: uplink, segment: lan}\n"
    refused(running.plane.up(text, check=False), "port wan", "up0", "an address", "--take-over")
    running.net.host.ip("addr del 198.19.0.1/24 dev up0")
    running.plane.up(text)
    running.plane.up(GOOD)


# ---- an environment that will not do ----

def test_no_capability(running, tmp_path):
    text = GOOD.replace("tap1", "tap8").replace("tap2", "tap9")
    binary = str(running.plane.binary)
    for bound in ("-all", "-net_admin,-sys_admin,-bpf,-perfmon"):
        done = running.net.host.run(["setpriv", f"--bounding-set={bound}", f"--inh-caps={bound}", binary, "--plane", "nocap", "up", "-f", "-"],
                                    input=text, check=False)
        refused(done, "CAP_" if "CAP_" in done.stderr else "root")
    assert not os.path.exists("/run/vpeer/nocap")
    running.net.host.run([binary, "--plane", "nocap", "up", "-f", "-"], input=text)
    running.net.host.run([binary, "--plane", "nocap", "down"])


def test_nobody(running, tmp_path):
    os.chmod(running.plane.binary, 0o755)
    os.chmod(os.path.dirname(running.plane.binary), 0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", running.plane.binary, "--plane", running.plane.name]
    for verb in ("up -f -", "down", "show ports", "showconf", "port del g1", "bind g1 g2", "mac flush", "attach", "diff -f -"):
        refused(running.net.host.run([*nobody, *verb.split()], input=GOOD, check=False), "root")


def private(running, setup, command, text):
    """Runs vpeer in a mount namespace of its own, after `setup`."""
    script = f"{setup} && exec {running.plane.binary} --plane other {command}"
    return running.net.host.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], input=text, check=False)


OTHER = GOOD.replace("tap1", "tap8").replace("tap2", "tap9")


def test_kernel_without_btf(running, tmp_path):
    hide = f"mount --bind {tmp_path} /sys/kernel/btf"
    refused(private(running, hide, "up -f -", OTHER), "plane other", "BTF", "CONFIG_DEBUG_INFO_BTF=y")
    assert not os.path.exists("/run/vpeer/other") and not os.path.exists("/sys/fs/bpf/vpeer/other")
    assert private(running, hide, "check -", OTHER).returncode == 0
    assert private(running, "true", "up -f -", OTHER).returncode == 0
    assert private(running, "true", "down", "").returncode == 0


def test_missing_bpffs_is_mounted_and_unmounted(running):
    """Somebody's umount must not hide a plane, but here there is none: ours lives in the tests' own bpffs."""
    gone = ("while mountpoint -q /sys/fs/bpf; do umount -l /sys/fs/bpf; done; mount -t tmpfs tmpfs /run/vpeer; "
            "B='%s --plane other'; " % running.plane.binary)
    script = gone + ("$B up -f - >/dev/null || exit 11; mountpoint -q /sys/fs/bpf || exit 12; "
                     "[ -e /sys/fs/bpf/vpeer/other ] || exit 13; $B show >/dev/null || exit 14; $B down >/dev/null || exit 15; "
                     "! mountpoint -q /sys/fs/bpf || exit 16; [ -z \"$(ls -A /run/vpeer)\" ] || exit 17; "
                     "mount -t bpf bpf /sys/fs/bpf; echo \"$CONF\" | $B up -f - >/dev/null || exit 18; $B down >/dev/null || exit 19; "
                     "mountpoint -q /sys/fs/bpf || exit 20")
    done = running.net.host.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], input=OTHER, check=False,
                                env={**os.environ, "CONF": OTHER})
    assert done.returncode == 0, f"step {done.returncode}: {done.stderr}"
    # Two planes: only the last `down` unmounts.  A refused `up` leaves no mount behind.
    script = gone + ("C='%s --plane second'; $B up -f - >/dev/null || exit 11; echo 'version: 1' | $C up -f - >/dev/null || exit 12; "
                     "$B down >/dev/null; mountpoint -q /sys/fs/bpf || exit 13; $C down >/dev/null; ! mountpoint -q /sys/fs/bpf || exit 14; "
                     "mount --bind /mnt /sys/kernel/btf; echo 'version: 1' | $B up -f - 2>/dev/null && exit 15; "
                     "! mountpoint -q /sys/fs/bpf || exit 16" % running.plane.binary)
    done = running.net.host.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], input=OTHER, check=False)
    assert done.returncode == 0, f"step {done.returncode}: {done.stderr}"


def test_refused_plane_leaves_nothing(running, net):
    """One bad port of three: nothing of the others is left, neither attached nor made."""
    net.host.ip("link add vp1 type veth peer name other1")
    net.tap("tap3")
    running.before = running.state()
    conf = yaml.safe_load(GOOD)
    conf["ports"] += [{"name": "g3", "device": "tap3", "segment": "lan"}, {"name": "vp0", "kind": "host", "segment": "lan"},
                      {"name": "vp1", "kind": "host", "segment": "lan"}]
    refused(running.plane.up(conf, check=False), "port vp1", "exists", "not this plane's")
    assert "clsact" not in net.host.run("tc qdisc show dev tap3").stdout and not net.host.exists("vp0")
