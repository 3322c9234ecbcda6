# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`diff` and `up --dry-run` tell what `up` would do, what has become of the plane since included; and `up` what it did."""
import json

import pytest

from lab import wait_until

M = ["52:54:00:00:02:%02x" % i for i in range(4)]


def conf(plane):
    return plane.segment("lan", {"name": "g1", "device": "tap1", "mac": M[:2]}, {"name": "g2", "device": "tap2"},
                         {"name": "late", "device": "tap9"}, host=["vp0"])


@pytest.fixture
def live(net, plane):
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    net.tap("tap1"), net.tap("tap2")
    plane.up(conf(plane))
    return plane


def foreseen(plane):
    """What `diff` prints; `up --dry-run`, the JSON and the exit codes must say the same."""
    text = json.dumps(conf(plane))
    done = plane.run("diff -f - --exit-code", input=text, check=False)
    assert done.returncode == (3 if done.stdout else 0) and not done.stderr, done
    told = plane.up(text, "--dry-run").stdout
    assert told == (done.stdout or f"plane {plane.name}: nothing to change\n")
    changes = json.loads(plane.run("diff -f -", input=text, json_out=True).stdout)["changes"]
    assert "".join(f"{c['change']} {c['object']} {c['name']}" + (f": {c['detail']}" if c["detail"] else "") + "\n" for c in changes) == done.stdout
    return done.stdout


def mac_gone(plane, net):
    plane.run(f"mac del lan {M[0]}")
    return "set port g1: 1 MAC entry absent -> entered\n"


def macs_gone(plane, net):
    plane.run(f"mac del lan {M[0]}"), plane.run(f"mac del lan {M[1]}")
    return "set port g1: 2 MAC entries absent -> entered\n"


def interface_gone(plane, net):
    net.host.delete("vp0")
    return "set port vp0: interface absent -> made anew\n"


def device_came(plane, net):
    net.tap("tap9")
    return "set port late: state waiting -> attached\n"


def device_went(plane, net):
    net.host.delete("tap2")
    return "set port g2: state up -> waiting\n"


def filter_gone(plane, net):
    net.host.run("tc filter del dev tap2 ingress")
    return "set port g2: programs incomplete or outdated -> attached\n"


def mtu_other(plane, net):
    net.host.ip("link set dev tap2 mtu 1400")
    return "set port g2: abilities of its device others -> noticed\n"


def device_down(plane, net):
    net.host.ip("link set dev vp0-p down")
    return "set port vp0: device down -> up\n"


@pytest.mark.parametrize("mishap", [device_down, mac_gone, macs_gone, interface_gone, device_came, device_went, filter_gone,
                                    mtu_other])
def test_what_up_would_mend_is_foreseen(live, net, mishap):
    assert foreseen(live) == "", "the control"
    said = mishap(live, net)
    before = live.show("ports"), live.show("macs")
    wait_until(lambda: foreseen(live) == said, timeout=2, what=said)
    assert (live.show("ports"), live.show("macs")) == before, "only told"
    assert ": done" in live.up(conf(live)).stdout
    assert foreseen(live) == ""
    assert "nothing to change" in live.up(conf(live)).stdout


def test_what_is_the_plane_s_own_business_is_not_told(live, net):
    """A MAC entry of the moment stays, and a port that only the file names is added, not mended as well."""
    live.run(f"mac add lan {M[3]} g2")
    assert foreseen(live) == ""
    live.run("port del g1")
    assert foreseen(live) == "add port g1\n"


# ---- what was done ----

def says(plane, done, *words):
    assert done.stdout == f"plane {plane.name}: " + ", ".join(words) + "\n", done.stdout


def test_up_says_what_it_did(net, plane):
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    net.tap("tap1"), net.tap("tap2")
    late = "1 waiting for its device"
    says(plane, plane.up(conf(plane)), "done", "segment lan added", "4 ports added", "3 ports attached", late)
    says(plane, plane.up(conf(plane)), "nothing to change", late)
    plane.run(f"mac del lan {M[0]}")
    says(plane, plane.up(conf(plane)), "done", "1 MAC entry entered", late)
    net.host.ip("link set dev vp0-p down")
    says(plane, plane.up(conf(plane)), "done", "1 device brought up", late)
    net.host.delete("vp0")
    says(plane, plane.up(conf(plane)), "done", "1 port attached", late)
    other = conf(plane)
    other["ports"][1]["quota"] = other["ports"][2]["quota"] = 5
    del other["ports"][0]
    says(plane, plane.up(other), "done", "ports g2 and late changed", "port g1 removed", late)
    other["ports"] = [p for p in other["ports"] if p["name"] != "late"]
    other["ports"] += [{"name": "b", "device": "tap1"}, {"name": "vp1", "kind": "host"}]
    other["bindings"] = [{"a": "b", "b": "vp1"}]
    says(plane, plane.up(other), "done", "ports b and vp1 added", "port late removed", "binding b vp1 added", "2 ports attached")


def test_rollback_says_what_it_did(live):
    changed = conf(live)
    changed["segments"][0]["age"] = 7
    changed["ports"][1]["quota"] = 5
    live.up(changed)
    says(live, live.run("rollback"), "done", "segment lan changed", "port g2 changed", "1 waiting for its device")
    live.run("mac add lan 52:54:00:00:02:09 g2")
    says(live, live.run("rollback"), "done", "segment lan changed", "port g2 changed", "1 waiting for its device")


def test_only_another_configuration_is_to_be_confirmed(live):
    live.run(f"mac del lan {M[0]}")
    says(live, live.up(conf(live), "--confirm", "60"), "done", "1 MAC entry entered", "1 waiting for its device")
    changed = conf(live)
    changed["ports"][1]["quota"] = 5
    assert "taken back in 60 s" in live.up(changed, "--confirm", "60").stdout, "the control"
    live.run("confirm")
