# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
`carrier: xdp` on a veth: a program bound to the device, so that it may ask for the tag beside the frame.

In a VM only.  A kernel follows a stale address when such a program has outgrown its pages and its device goes, and
then rtnl is held for ever: vp_room in bpf/xdp.h and check_unmoved() in user/plane_port.c are there to prevent that,
and this is the place to find out that they do not.
"""
import pytest

from lab.plane import vpeer_binary
from vmlab import CPU, MACHINE_KERNEL, MACHINE_MODULES, MACHINE_TOOLS, Vm, boot_files, with_libraries

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
    binary = vpeer_binary()
    programs = with_libraries([*MACHINE_TOOLS, binary])
    programs["/usr/sbin/vpeer"] = programs.pop(binary)
    return boot_files(MACHINE_KERNEL, MACHINE_MODULES, programs)


@pytest.fixture
def vm(net, boot):
    return Vm(net, "m", boot, list(CPU), memory=640, smp=2).start().wait()


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
