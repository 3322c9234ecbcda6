# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `doctor` says of native XDP on a veth, which is in a VM only: see test_bound.py."""
import json

import pytest

import backports
from lab.plane import vpeer_binary
from test_bound import CPU
from vmlab import MACHINE_MODULES, MACHINE_TOOLS, Vm, boot_files, with_libraries

CONF = """version: 1
segments: [{name: lan}]
ports: [{name: g1, device: a0, segment: lan, carrier: xdp}]
"""


@pytest.fixture
def vm(net):
    binary = vpeer_binary()
    programs = with_libraries([*MACHINE_TOOLS, binary])
    programs["/usr/sbin/vpeer"] = programs.pop(binary)
    made = Vm(net, "m", boot_files(backports.kernel(), MACHINE_MODULES, programs), CPU, memory=640, smp=2).start()
    made.wait(300)
    made.run("ip link add a0 numrxqueues 4 numtxqueues 4 type veth peer name a1 numrxqueues 4 numtxqueues 4 && ip link set a0 up && "
             "ip link set a1 up && ethtool -L a0 rx 1 tx 1 && ethtool -L a1 rx 1 tx 1")
    made.put("/tmp/conf", CONF)
    made.run("vpeer up -f /tmp/conf")
    return made


def found(vm, *args):
    told = json.loads(vm.run(f"vpeer --json doctor {' '.join(args)}", check=False)[1])["findings"]
    return {f["id"]: f for f in told if f["object"] == "port g1"}


def test_queues_of_a_veth_that_runs_xdp(vm):
    """New rx queues run without the program until it is attached anew; more tx queues at the other end prevent that."""
    assert set(found(vm)) == {"veth-xdp-tso"}
    old = int(vm.run("uname -r")[1].split(".")[0]) < 7
    vm.run("ethtool -L a0 rx 4")
    left = found(vm)
    assert set(left) == {"veth-xdp-tso"} | ({"veth-new-channels"} if old else set())
    if old:
        assert "had 1 rx queues when its XDP program was attached and has 4" in left["veth-new-channels"]["reason"]
        assert found(vm, "--fix")["veth-new-channels"]["fixed"]
        assert set(found(vm)) == {"veth-xdp-tso"}
    vm.run("rm /sys/fs/bpf/vpeer/default/links/xdp_g1; sleep 1; ethtool -L a0 rx 1 && ethtool -L a1 tx 4")
    left = found(vm)
    assert set(left) == {"needs-attach", "veth-queues"}
    assert vm.run("vpeer attach", check=False)[0] == 1, "as the reason says"
    vm.run(left["veth-queues"]["command"])
    vm.run(left["needs-attach"]["command"])
    assert set(found(vm)) == {"veth-xdp-tso"}
    vm.run("vpeer down")
    assert vm.run("timeout 5 ip link show lo", check=False)[0] == 0


def test_watch_gives_new_queues_the_program(vm):
    """At once, by itself; and without it, the next `attach` does."""
    if int(vm.run("uname -r")[1].split(".")[0]) >= 7:
        pytest.skip("the kernel does it by itself")
    vm.run("ethtool -L a0 rx 2")
    assert "veth-new-channels" in found(vm), "the control"
    vm.run("vpeer attach")
    assert set(found(vm)) == {"veth-xdp-tso"}
    vm.run("vpeer watch >/tmp/watch 2>&1 & sleep 2; ethtool -L a0 rx 4; sleep 2")
    assert set(found(vm)) == {"veth-xdp-tso"}, vm.run("cat /tmp/watch")[1]
    vm.run("killall vpeer; sleep 1; vpeer down")
    assert vm.run("timeout 5 ip link show lo", check=False)[0] == 0
