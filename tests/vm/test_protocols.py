# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Protocols for which the build machine's kernel has no stack, between real guests: SCTP, GRE; and VXLAN of another kernel.

The guests are cells of docs/compat.md. The containers are not: a veth leaves an SCTP packet's CRC32c to a NIC that can do it,
and the plane must not let it out unfinished through one that can't."""
import pytest

import lab
import vmlab
from lab import frames, grid, layers
from lab.plane import vpeer_binary
from vmlab import ECHO_PORT, Machine, VmGuest, with_libraries

MODULES = ["sctp", "ip_gre", "ip6_gre", "vxlan"]


class Inside:
    """A guest's end of a tunnel, as vmlab's functions take a target."""

    def __init__(self, number):
        self.ip, self.ip6 = f"198.19.1.{number}", f"fd00:198:1::{number}"


class Guests:
    """Two guests and a plane, for all tests of this file."""

    def __init__(self, net):
        self.plane = lab.Plane(net.host)
        net.at_close(self.plane.close)
        programs = with_libraries(["/usr/sbin/ip"])
        self.a, self.b = (VmGuest(net, n, modules=MODULES, programs=programs).start() for n in (1, 2))
        self.plane.up(self.plane.segment("lan", "g1", "g2"))
        self.a.wait(180), self.b.wait(180)
        assert self.a.ping(self.b, timeout=5)

    def apart(self):
        """The same ports, each in a segment of its own."""
        conf = self.plane.segment("lan", "g1", "g2")
        conf["segments"].append({"name": "other"})
        conf["ports"][1]["segment"] = "other"
        return conf


@pytest.fixture(scope="module")
def guests():
    with lab.Net() as net:
        yield Guests(net)


def sctp(g, v6, mib=2):
    target = g.b.ip6 if v6 else g.b.ip
    return g.a.run(f"vmtool sctp {target} {ECHO_PORT} {mib}", check=False, timeout=120)


def associations(g):
    for v6 in (False, True):
        rc, out = sctp(g, v6)
        assert rc == 0 and out.startswith("ok"), out + vm.vpeer("show")[1]
        errors = [vm.run("cat /proc/net/sctp/snmp")[1] for vm in (g.a, g.b)]
        assert all("SctpChecksumErrors" in e and e.split("SctpChecksumErrors")[1].split()[0] == "0" for e in errors), errors


def tunnel(g, kind, options, v6):
    """A tunnel between the guests with TCP and UDP inside; the outer addresses are IPv6 if v6."""
    for vm, own, far in ((g.a, g.a, g.b), (g.b, g.b, g.a)):
        ends = (own.ip6, far.ip6) if v6 else (own.ip, far.ip)
        number = 1 if own is g.a else 2
        vm.run(f"ip link add tun9 type {kind} local {ends[0]} remote {ends[1]} {options} && ip link set tun9 up && "
               f"echo 0 >/proc/sys/net/ipv6/conf/tun9/accept_dad && "
               f"ip addr add 198.19.1.{number}/24 dev tun9 && ip addr add fd00:198:1::{number}/64 dev tun9 nodad")
    try:
        far = Inside(2)
        assert g.a.ping(far, timeout=5), f"{kind} {options}"
        for inner6 in (False, True):
            assert g.a.tcp(far, 2, v6=inner6).startswith("ok")
            assert g.a.udp(far, 5, 700, v6=inner6).startswith("ok")
    finally:
        g.a.run("ip link del tun9"), g.b.run("ip link del tun9")


def gre(g):
    for kind in ("gre", "gretap"):
        tunnel(g, kind, "", False)
        tunnel(g, f"ip6{kind}", "", True)


def vxlan(g):
    tunnel(g, "vxlan id 9 dstport 4789", "udpcsum", False)
    tunnel(g, "vxlan id 9 dstport 4789", "noudp6zerocsumtx", True)


@pytest.mark.parametrize("cell", grid.VM_CELLS, ids=str)
def test_tunnels_and_associations(guests, cell):
    {"sctp": associations, "gre": gre, "vxlan": vxlan}[cell.protocol](guests)


def test_no_association_and_no_tunnel_between_segments(guests):
    together = guests.plane.run("showconf").stdout
    guests.plane.up(guests.apart())
    try:
        rc, _ = guests.a.run(f"timeout 2 vmtool sctp {guests.b.ip} {ECHO_PORT} 1", check=False)
        assert rc != 0
        with pytest.raises(AssertionError):
            tunnel(guests, "gre", "", False)
    finally:
        guests.plane.up(together)
    assert sctp(guests, False, 1)[0] == 0


CONTAINERS = """version: 1
segments:
  - {name: lan}
ports:
  - {name: g1, device: a0, segment: lan}
  - {name: g2, device: b0, segment: lan}
  - {name: wan, device: eth0, kind: uplink, segment: lan}
"""


def test_sctp_of_containers_reaches_each_other_and_the_wire(net, monkeypatch):
    """On the wire its CRC32c is finished: by the kernel, since the NIC has no such thing, and after the plane."""
    monkeypatch.setattr(vmlab, "MACHINE_MODULES", [*vmlab.MACHINE_MODULES, "crc32c_generic", "sctp"])
    vm = Machine(net, [("virtio-net-pci", frames.mac(3))], vpeer_binary()).start().wait(180)
    for name, last in (("a", 1), ("b", 2)):
        vm.run(f"""mkdir -p /run/netns && ip netns add {name} && ip link add {name}0 type veth peer name eth0 netns {name} &&
               ip link set {name}0 up && ip -n {name} link set eth0 up && ip -n {name} addr add 198.18.0.{last}/15 dev eth0 &&
               ip -n {name} neigh add 198.18.0.9 lladdr {frames.mac(9)} dev eth0""")
    vm.run("nsenter --net=/run/netns/b vmtool serve 8 >/dev/null 2>&1 </dev/null &")
    assert "tx-checksum-sctp: on" in vm.run("nsenter --net=/run/netns/a ethtool -k eth0")[1], "the trap is there"
    assert "tx-checksum-sctp: off" in vm.run("ethtool -k eth0")[1]

    def init_at_the_wire():
        vm.run("timeout 1 nsenter --net=/run/netns/a vmtool sctp 198.18.0.9 8 1", check=False)
        return vm.wires[0].recv_match(lambda f: frames.parse(f).proto == layers.SCTP, 0.5)

    assert not init_at_the_wire(), "control: without a plane nothing leaves"
    vm.vpeer("up -f -", CONTAINERS)
    got = lab.wait_until(init_at_the_wire, 30, what="the NIC has come up")
    assert layers.faults(None, got.frame) is None
    rc, out = vm.run("nsenter --net=/run/netns/a vmtool sctp 198.18.0.2 8 2", check=False, timeout=120)
    assert rc == 0 and out.startswith("ok"), out + vm.vpeer("show")[1]
