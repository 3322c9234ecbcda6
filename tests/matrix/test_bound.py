# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
`carrier: xdp` on a veth: a program bound to the device, so that it may ask for the tag beside the frame.

In a VM only.  A kernel follows a stale address when such a program has outgrown its pages and its device goes, and
then rtnl is held for ever: vp_room in bpf/xdp.h and check_unmoved() in user/plane_port.c are there to prevent that,
and this is the place to find out that they do not.
"""
import json

import pytest

from lab import wait_until
from lab.flow import B, variant
from lab.net import ROOT
from lab.plane import vpeer_binary
from vmlab import (CPU, DIEAT, MACHINE_KERNEL, MACHINE_MODULES, MACHINE_TOOLS, Vm, boot_files, dieat_library, lost_nothing, of_planes,
                   with_libraries)

CONF = """version: 1
segments:
  - {name: lan}
ports:
  - {name: g1, device: a0, segment: lan, carrier: xdp}
  - {name: g2, device: b0, segment: lan, carrier: xdp}
"""
ENDS = {
    "the devices go while it is attached": "ip link del a0; ip link del b0; vpeer down",
    "the namespaces of the guests go": "ip netns del a; ip netns del b; sleep 1; vpeer down",
    "down comes first": "vpeer down; ip link del a0; ip link del b0",
}


@pytest.fixture(scope="module")
def boot():
    places = {"/usr/sbin/vpeer": vpeer_binary(), "/usr/bin/vpeer-other": variant("other"),
              "/usr/sbin/flow": f"{ROOT}/build/tests/flow", DIEAT: dieat_library()}
    programs = with_libraries([*MACHINE_TOOLS, *places.values()])
    for place, path in places.items():
        programs[place] = programs.pop(path)
    return boot_files(MACHINE_KERNEL, MACHINE_MODULES, programs)


@pytest.fixture
def vm(net, boot):
    return Vm(net, "m", boot, list(CPU), memory=640, smp=2, thread="single").start().wait()


def has_bound(vm):
    """Whether this kernel lets a program bound to a veth ask for the tag beside a frame."""
    return tuple(int(n) for n in vm.run("uname -r")[1].split(".")[:2]) >= (6, 8)


def make_guests(vm):
    for name, last in (("a", 1), ("b", 2)):
        vm.run(f"""ip netns add {name} && ip link add {name}0 type veth peer name eth0 netns {name} &&
               ip link set {name}0 up && ip -n {name} link set eth0 up &&
               ip -n {name} addr add 198.18.0.{last}/15 dev eth0 && nsenter --net=/run/netns/{name} ethtool -K eth0 gro on""")


def test_it_is_refused_where_the_kernel_has_no_bound_programs(vm):
    vm.run("mkdir -p /run/netns")
    make_guests(vm)
    vm.put("/tmp/conf", CONF)
    rc, said = vm.run("vpeer up -f /tmp/conf 2>&1", check=False)
    if has_bound(vm):
        assert rc == 0 and vm.run("vpeer --json show")[1].count('"carrier": "xdp"') == 2
        return
    assert rc == 1 and "g1" in said and "Linux 6.8" in said and "carrier: tc" in said, said
    vm.run("test ! -e /run/vpeer && sed -i 's/carrier: xdp/carrier: tc/' /tmp/conf && vpeer up -f /tmp/conf")
    vm.run("nsenter --net=/run/netns/a ping -c 3 -W 2 198.18.0.2")


def test_bound_programs_outlive_their_devices(vm):
    if not has_bound(vm):
        pytest.skip("programs bound to a device that see its tags came with Linux 6.8")
    vm.run("mkdir -p /run/netns")
    vm.put("/tmp/conf", CONF)
    for why, end in list(ENDS.items()) * 2:
        make_guests(vm)
        said = vm.run("vpeer -v up -f /tmp/conf 2>&1")[1]
        assert said.count("not moved") == 2, said
        assert "vp_xdp_bound" in vm.run("bpftool prog")[1]
        vm.run("nsenter --net=/run/netns/a ping -c 3 -W 2 198.18.0.2")
        shown = vm.run("vpeer --json show")[1]
        assert shown.count('"carrier": "xdp"') == 2
        vm.run(end, check=False)
        vm.run("ip netns del a; ip netns del b", check=False)
        assert vm.run("timeout 5 ip link show lo", check=False)[0] == 0, f"{why}: rtnl is stuck"
        assert not vm.run("dmesg | grep -E 'Oops|BUG:|general protection'", check=False)[1], why


def gro_of(vm, dev):
    return "generic-receive-offload: on" in vm.run(f"ethtool -k {dev}")[1]


def test_the_other_end_is_made_ready_and_put_back(vm):
    if not has_bound(vm):
        pytest.skip("programs bound to a device that see its tags came with Linux 6.8")
    vm.run("ip link add a0 type veth peer name a1 && ip link set a0 up && ip link set a1 up")
    vm.put("/tmp/conf", CONF)
    assert not gro_of(vm, "a1"), "control: off by default"
    vm.run("vpeer up -f /tmp/conf")
    assert gro_of(vm, "a1") and "a1 gro 0 1" in vm.run("cat /run/vpeer/default/undo")[1]
    assert '"xdp_target": true' in vm.run("vpeer --json show")[1]
    vm.run("vpeer down")
    assert not gro_of(vm, "a1")
    vm.run("test ! -e /run/vpeer")


# ---- upgrade ----

ROAD = f"""version: 1
segments: [{{name: lan}}]
ports:
  - {{name: a, device: a0, segment: lan, carrier: xdp}}
  - {{name: b, device: b0, segment: lan, carrier: xdp}}
  - {{name: t, device: ft, segment: lan, mac: ["{B}"]}}
"""
START = f"""ip tuntap add ft mode tap vnet_hdr; echo 1 >/proc/sys/net/ipv6/conf/ft/disable_ipv6
in_a="nsenter --net=/run/netns/a"
$in_a /usr/sbin/ethtool -K eth0 tx-udp-segmentation off && $in_a /usr/sbin/tc qdisc replace dev eth0 root pfifo limit 20000 &&
$in_a /usr/sbin/ip neigh replace 198.18.0.9 lladdr {B} dev eth0 || exit 1
rm -f /tmp/go /tmp/stop
wait_for() {{ until [ -e $1 ]; do sleep 0.1; done; echo ${{1#/tmp/}}; }}
{{ wait_for /tmp/go; wait_for /tmp/stop; }} |
	flow -n /proc/1/ns/net -r ft -g /run/netns/a -a 198.18.0.9 -R 4000 >/tmp/flow 2>&1 &
for i in $(seq 100); do grep -q ready /tmp/flow && exit 0; sleep 0.1; done; cat /tmp/flow; exit 1
"""


@pytest.fixture
def road(vm):
    """A flow from the veth a0 to a TAP."""
    if not has_bound(vm):
        pytest.skip("programs bound to a device that see its tags came with Linux 6.8")
    vm.run("mkdir -p /run/netns")
    make_guests(vm)
    vm.run(START)
    vm.put("/tmp/conf", ROAD)
    vm.run("vpeer up -f /tmp/conf")
    vm.run("touch /tmp/go")
    wait_until(lambda: forwarded(vm), what="frames are under way")
    return vm


def forwarded(vm):
    return next(p for p in json.loads(vm.run("vpeer --json show ports")[1])["ports"] if p["name"] == "a")["forwarded"]


def on_devices(vm):
    """Ids of the XDP programs of a0 and b0, which are bound to them, and of ft."""
    return [json.loads(vm.run(f"ip -j -d link show {d}")[1])[0]["xdp"]["prog"]["id"] for d in ("a0", "b0", "ft")]


def tags(vm):
    """What makes out a build, of the programs of a0 and b0."""
    return {p["tag"] for p in json.loads(vm.run("bpftool -j prog")[1]) if p["id"] in on_devices(vm)[:2]}


def test_upgrades_lose_nothing(road):
    for build in ("vpeer-other", "vpeer"):
        programs, before, sent = of_planes(road), on_devices(road), forwarded(road)
        assert "replaced on 3 ports" in road.run(f"{build} upgrade")[1]
        assert forwarded(road) > sent, "control: frames were under way"
        assert not set(before) & set(on_devices(road))
        wait_until(lambda p=programs: not p & of_planes(road), what="the former programs are gone")
    lost_nothing(road)


def test_an_upgrade_that_dies_on_its_way_back_is_finished(road):
    """The first veth is back by then, the second one is not: no program that was refused passes for the plane's own."""
    assert road.run(f"FAIL_AT=3 DIE_AT='filters 5' LD_PRELOAD={DIEAT} vpeer-other upgrade", check=False)[0] == 137
    assert len(tags(road)) == 2, "control: of either build"
    road.run("vpeer-other attach")
    assert len(tags(road)) == 1
    lost_nothing(road)


def test_an_upgrade_that_fails_midway_puts_bound_programs_back(road):
    """It is the TAP that refuses; both veths have new programs by then. Nobody keeps the former ones but the upgrade itself."""
    programs, before = of_planes(road), on_devices(road)
    code, said = road.run(f"FAIL_AT=3 LD_PRELOAD={DIEAT} vpeer-other upgrade", check=False)
    assert code == 1 and "port t: device ft: cannot replace its programs" in said, said
    assert on_devices(road) == before
    wait_until(lambda: of_planes(road) == programs, what="only the former programs are left")
    assert "nothing to change" in road.run("vpeer up -f /tmp/conf")[1]
    lost_nothing(road)
    road.run("ip link del a0; ip link del b0; vpeer down")
    assert road.run("timeout 5 ip link show lo", check=False)[0] == 0 and not of_planes(road)
