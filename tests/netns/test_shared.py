# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`attach: shared` where it cannot be had: refused in words, and nothing is left of the attempt.  Where the kernel lets
programs be extended the same tests see it work; beside other programs it is tested in tests/vm/test_shared.py."""
import json
import os

import pytest

from lab.flow import by, variant
from test_bad_input import xdp_object

XDP_PINS = "/sys/fs/bpf/xdp"
RUN = "/run/vpeer"


def refused_clearly(done, port, device):
    """Whether this kernel has no extensions; then the message says all there is to say."""
    if done.returncode == 0:
        return False
    assert done.returncode == 1
    for word in (f"port {port}: device {device}: cannot attach", "`attach: shared`", "extends libxdp's dispatcher",
                 "this kernel refuses", "not permitted", "use `attach: link`"):
        assert word in done.stderr, done.stderr
    return True


def libxdp_pins():
    """Also iproute2 makes a directory of that name; what counts is that nothing is added."""
    return sorted(os.listdir(XDP_PINS)) if os.path.exists(XDP_PINS) else None


def dumps(plane, log, *words, **more):
    """How often a verb asks the kernel about all its devices."""
    done = plane.ns.run(["strace", "-f", "-qq", "-o", log, "-e", "trace=sendto,sendmsg", plane.binary, "--plane", plane.name, *words], **more)
    assert not done.stderr
    with open(log, encoding="utf-8") as f:
        return sum("RTM_GETLINK" in line and "NLM_F_DUMP" in line for line in f)


def talk(a, b):
    return a.ping(b) and b.ping(a)


def xdp_of(net, device):
    return net.host.link(device).get("xdp")


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_a_plane_is_made_or_refused_without_a_trace(net, plane, mode):
    a, other, name = net.vm_guest(1), net.vm_guest(2), "g1"
    conf = plane.segment("lan", {"name": name, "attach": "shared", "mode": mode}, "g2")
    before = net.host.run(["tc", "qdisc"]).stdout
    run, shared = sorted(os.listdir(RUN)), libxdp_pins()
    if refused_clearly(plane.up(conf, check=False), name, name):
        assert libxdp_pins() == shared and not plane.pins()
        assert xdp_of(net, "g1") is None and xdp_of(net, name) is None
        assert net.host.run(["tc", "qdisc"]).stdout == before
        assert net.host.link(name)["promiscuity"] == 0
        assert sorted(os.listdir(RUN)) == run
    else:
        port = plane.port(name)
        assert port["attach"] == "shared" and port["carrier"] == "xdp" and "dispatcher" in port["why"]
        assert talk(a, other) and "nothing to change" in plane.up(conf).stdout
        plane.down()
        assert libxdp_pins() == shared and xdp_of(net, name) is None
    conf["ports"] = [{**p, "attach": "link"} for p in conf["ports"]]
    plane.up(conf)
    assert talk(a, other) and plane.port(name)["attach"] == "link", "the way out"


def test_a_refusal_leaves_the_running_plane_as_it_was(net, plane):
    a, b = net.vm_guest(1), net.vm_guest(2)
    plane.up(plane.segment("lan", "g1", "g2"))
    before, pins, conf = xdp_of(net, "g1"), plane.pins(), plane.run("showconf").stdout
    if refused_clearly(plane.run("port set g1 attach=shared", check=False), "g1", "g1"):
        assert xdp_of(net, "g1") == before and plane.pins() == pins
        assert plane.run("showconf").stdout == conf and plane.port("g1")["state"] == "up"
    else:
        assert plane.port("g1")["attach"] == "shared" and xdp_of(net, "g1") != before
    assert talk(a, b)


def test_a_carrier_of_tc_has_nothing_to_share(net, plane):
    """No XDP program, no dispatcher: nothing that could be refused."""
    a, b, shared = net.vm_guest(1), net.vm_guest(2), libxdp_pins()
    plane.up(plane.segment("lan", {"name": "g1", "attach": "shared", "carrier": "tc"}, "g2"))
    assert plane.port("g1")["carrier"] == "tc" and talk(a, b)
    assert libxdp_pins() == shared


def test_where_it_makes_no_sense_it_is_refused(net, plane):
    conf = plane.segment("lan", host=[{"name": "vp0", "attach": "shared"}])
    done = plane.up(conf, check=False)
    assert done.returncode == 1 and "port vp0: `attach: shared` is for uplinks" in done.stderr
    assert not net.host.exists("vp0")
    net.veth_guest(1)
    done = plane.up(plane.segment("lan", {"name": "g1", "attach": "shared", "carrier": "xdp"}), check=False)
    assert done.returncode == 1 and "port g1: device g1" in done.stderr and "dispatcher takes none" in done.stderr
    assert not plane.pins() and xdp_of(net, "g1") is None


def test_a_program_that_shares_with_nobody_is_still_in_the_way(net, plane):
    net.vm_guest(1), net.vm_guest(2)
    plane.up(plane.segment("lan", "g1"))
    prog = f"/sys/fs/bpf/vpeer/{plane.name}/progs/vp_xdp"
    net.host.run(["ip", "link", "set", "dev", "g2", "xdpgeneric", "pinned", prog])
    plane.down()
    for attach in ("link", "shared"):
        done = plane.up(plane.segment("lan", {"name": "g2", "attach": attach}), check=False)
        assert done.returncode == 1 and "somebody else's XDP program" in done.stderr, done.stderr
    net.host.run(["ip", "link", "set", "dev", "g2", "xdpgeneric", "off"])


@pytest.mark.parametrize("hook", ["xdpgeneric", "xdpdrv"])
def test_beside_tc_any_program_may_stay(net, plane, tmp_path, hook):
    """tc does not need the hook; only whoever says `link` wants the device alone."""
    a, b = net.vm_guest(1), net.vm_guest(2)
    net.host.run(f"ip link set dev g2 {hook} obj {xdp_object(tmp_path)} sec xdp")
    theirs = xdp_of(net, "g2")["prog"]["id"]
    conf = plane.segment("lan", "g1", {"name": "g2", "attach": "shared", "carrier": "tc"})
    for other in ({"attach": "link", "carrier": "tc"}, {"attach": "shared", "carrier": "xdp"}):
        done = plane.up(plane.segment("lan", "g1", {"name": "g2", **other}), check=False)
        assert done.returncode == 1 and "`attach: shared` with `carrier: tc`" in done.stderr, done.stderr
    plane.up(conf)
    assert talk(a, b) and plane.port("g2")["carrier"] == "tc" and plane.port("g2")["state"] == "up"
    assert "nothing to change" in plane.up(conf).stdout and plane.run("doctor").returncode == 0
    assert xdp_of(net, "g2")["prog"]["id"] == theirs
    plane.down()
    assert xdp_of(net, "g2")["prog"]["id"] == theirs


def test_what_libxdp_once_left_behind_costs_nothing(net, plane, tmp_path):
    """Its directory stays for good where any XDP tool has run, and libxdp looks at all devices to learn of one."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    names = [net.tap(f"t{n}").name for n in range(40)]
    conf, log = json.dumps(plane.segment("lan", *names)), str(tmp_path / "calls")
    made = not os.path.exists(XDP_PINS)
    os.makedirs(XDP_PINS, exist_ok=True)
    try:
        other = by(plane, variant("other"))
        for who, verb, text in ((plane, "up -f -", conf), (other, "upgrade", None), (plane, "port del t7", None), (plane, "down", None)):
            assert dumps(who, log, *verb.split(), input=text) < 10, verb
    finally:
        if made:
            os.rmdir(XDP_PINS)
