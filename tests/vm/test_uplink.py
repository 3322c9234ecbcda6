# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The plane on Debian's own kernel, with emulated NICs as uplinks: an Intel one (no native XDP) and virtio-net.

The machine has two guests, one behind a veth, one behind a TAP with a VM's offloads; the NICs' cables end here.
"""
import json
import re
import threading

import pytest

from lab import Net, frames, wait_until
from lab.net import ROOT, relay_binary
from lab.plane import vpeer_binary
from vmlab import Machine

# QEMU's e1000e lets some foreign addresses through its hash filter, those ending in 02:00 among them; these it stops.
# Two processors and two queue pairs for the stack: an XDP program wants one more pair for each processor.
NICS = [("e1000e", "52:54:00:12:34:01"), ("virtio-net-pci", "52:54:00:12:34:02", 4)]
IDS = [n[0] for n in NICS]
WORLD, WORLD_IP, WORLD_IP6 = frames.mac(200), frames.ip(200), frames.ip6(200)
GUESTS = """
for n in 1 2; do
	ip netns add g$n
done
ip link add g1 type veth peer name eth0 netns g1
taprelay /proc/1/ns/net g2 /run/netns/g2 eth0 >/tmp/relay 2>&1 &
until grep -q ready /tmp/relay; do sleep 0.05; done
for n in 1 2; do
	ip netns exec g$n sh -c "echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad"
	ip -n g$n link set lo up
	ip link set g$n up
	ip -n g$n link set eth0 address 52:54:00:00:00:1$n
	ip -n g$n link set eth0 up
	ip -n g$n addr add 198.18.0.1$n/15 dev eth0
	ip -n g$n addr add fd00:198::1$n/64 dev eth0 nodad
done
"""


@pytest.fixture(scope="module")
def booted():
    """One machine for the whole file; each test has its own plane."""
    binary = vpeer_binary()
    if binary is None:
        pytest.skip("no build/vpeer: run make")
    with Net("uplink") as net:
        machine = Machine(net, NICS, binary, extra={"/usr/sbin/taprelay": relay_binary()})
        machine.start().wait()
        machine.run(GUESTS)
        machine.names = [machine.device_of(mac) for mac in machine.macs]
        for name in machine.names:
            machine.run(f"echo 1 >/proc/sys/net/ipv6/conf/{name}/disable_ipv6; ip link set {name} up")
        for name in machine.names:
            wait_until(lambda name=name: "LOWER_UP" in machine.run(f"ip link show {name}")[1],
                       what=f"{name} has a carrier")
        yield machine


@pytest.fixture
def machine(booted):
    for wire in booted.wires:
        wire.drain(0.02)
    before = settings(booted)
    yield booted
    booted.vpeer("down")
    assert settings(booted) == before, "down leaves the NICs as they were"


def settings(machine):
    """What `up` changes on a NIC: offloads and promiscuous mode."""
    return [machine.run(f"ethtool -k {n}")[1] + str(promiscuity(machine, n)) for n in machine.names]


def promiscuity(machine, name):
    return int(re.search(r"promiscuity (\d+)", machine.run(f"ip -d link show {name}")[1]).group(1))


def conf_of(uplinks):
    """lan = both guests and vp0, and the uplinks."""
    vlan = ", vlan: 10" if any("tagged" in how for _, how in uplinks) else ""
    ports = "".join(f"  - {{name: {name}, device: {name}, kind: uplink, {how}}}\n" for name, how in uplinks)
    return f"""
version: 1
segments:
  - {{name: lan{vlan}}}
ports:
  - {{name: g1, device: g1, segment: lan}}
  - {{name: g2, device: g2, segment: lan}}
  - {{name: vp0, kind: host, segment: lan}}
{ports}"""


def plane_up(machine, uplinks):
    """With a carrier: e1000e starts anew when rx-vlan-offload is switched off."""
    machine.vpeer("up -f -", conf_of(uplinks))
    for name, _ in uplinks:
        wait_until(lambda name=name: port(machine, name)["state"] == "up", timeout=15, what=f"{name} has a carrier")


def port(machine, name):
    shown = json.loads(machine.vpeer("--json show ports")[1])
    return next(p for p in shown["ports"] if p["name"] == name)


def world_pings(wire, number, vlans=(), seq=1):
    """ARP and an echo request from the world to a guest; the guest's own stack answers both."""
    mac, ip = frames.mac(number), frames.ip(number)
    wire.send(frames.arp_request(WORLD, WORLD_IP, ip, vlans=vlans))
    if not wire.recv_match(lambda f: frames.parse(f).ethertype == frames.ETH_ARP and f[:6] == frames.mac_bytes(WORLD)):
        return False
    request = frames.icmp(WORLD, mac, WORLD_IP, ip, ident=number, seq=seq, vlans=vlans)
    wire.send(request)
    return wire.recv_match(lambda f: is_reply(f, request)) is not None


def is_reply(frame, request):
    got, want = frames.parse(frame), frames.parse(request)
    return (got.proto == frames.ICMP and frame[got.l4] == 0 and got.vlans == want.vlans and got.dst == want.src
            and got.src == want.dst and frames.check(None, frame) is None and got.payload == want.payload)


def rx_packets(machine, name):
    return int(machine.run(f"cat /sys/class/net/{name}/statistics/rx_packets")[1])


@pytest.mark.parametrize("nic", [0, 1], ids=IDS)
def test_the_nic_hides_a_guests_frames_until_the_plane_makes_it_promiscuous(machine, nic):
    wire, name = machine.wires[nic], machine.names[nic]
    foreign = frames.icmp(WORLD, frames.mac(1), WORLD_IP, frames.ip(1))
    own = frames.icmp(WORLD, machine.macs[nic], WORLD_IP, frames.ip(1))
    start = rx_packets(machine, name)
    for _ in range(5):
        wire.send(foreign)
    assert not (wait_briefly(lambda: rx_packets(machine, name) > start)), "control: the filter of the NIC works"
    for _ in range(5):
        wire.send(own)
    wait_until(lambda: rx_packets(machine, name) == start + 5, what="frames to the NIC's own address arrive")
    assert promiscuity(machine, name) == 0
    plane_up(machine, [(name, "segment: lan")])
    assert promiscuity(machine, name) == 1
    assert world_pings(wire, 1) and world_pings(wire, 2)


def pass_through(name, guest):
    """The ready configuration with this machine's devices."""
    with open(f"{ROOT}/configs/pass-through.yaml", encoding="utf-8") as f:
        return f.read().replace("tap0", guest).replace("eth1", name)


def test_doctor_names_what_this_kernel_lacks(machine):
    """Debian 12's kernel: what it lacks and what that costs, and nothing else but notes; all of it is Linux 6.1's."""
    code, text = machine.vpeer("--json doctor", check=False)
    told = {f["id"]: f for f in json.loads(text)["findings"]}
    features = {"kernel-live-devices": "6.2", "kernel-xdp-features": "6.3", "kernel-veth-tags": "6.8"}
    lacks = {f for f, since in features.items() if release(machine) < tuple(map(int, since.split(".")))}
    assert code == 0 and {f for f in told if f.startswith("kernel-")} == lacks
    assert all(f"Linux {features[f]}" in told[f]["reason"] for f in lacks)
    plane_up(machine, [(name, "segment: lan") for name in machine.names])
    machine.run("ip link set vp0 up")
    code, text = machine.vpeer("--json doctor", check=False)
    told = json.loads(text)["findings"]
    assert code == 0 and not [f for f in told if f["severity"] != "note" and f["id"] not in lacks], told


def test_doctor_fixes_an_uplink(machine):
    name = machine.names[0]
    plane_up(machine, [(name, "segment: lan")])
    machine.run(f"ip link set {name} promisc off")
    code, text = machine.vpeer("doctor", check=False)
    assert code == 1 and "uplink-not-promisc" in text
    code, text = machine.vpeer("doctor --fix", check=False)
    assert code == 0 and promiscuity(machine, name) == 1
    machine.vpeer("down")
    assert promiscuity(machine, name) == 0


def release(machine):
    return tuple(int(part) for part in machine.run("uname -r")[1].split(".")[:2])


@pytest.mark.parametrize("nic", [0, 1], ids=IDS)
def test_guests_and_the_world_talk_over_an_uplink(machine, nic):
    wire, name = machine.wires[nic], machine.names[nic]
    plane_up(machine, [(name, "segment: lan")])
    assert port(machine, name)["state"] == "up"
    for seq in range(20):
        assert world_pings(wire, 1, seq=seq) and world_pings(wire, 2, seq=seq)
    for number in (1, 2):                       # the other way: the guest asks, we answer
        machine.run(f"ip -n g{number} neigh replace {WORLD_IP} lladdr {WORLD} dev eth0")
        machine.run(f"ip netns exec g{number} vmtool udp {WORLD_IP} 9 1 32", check=False)
        sent = wire.recv_match(lambda f: frames.parse(f).proto == frames.UDP)
        assert sent and frames.csum_state(sent.frame) == "full" and frames.parse(sent.frame).src == frames.mac(number)
    shown = port(machine, name)
    assert shown["rx"]["packets"] >= 80 and shown["tx"]["packets"] >= 80 and shown["egress_errors"] == 0
    accounted = shown["forwarded"] + shown["flooded"] + shown["passed"] + sum(shown["drops"].values())
    assert shown["rx"]["packets"] == accounted


@pytest.mark.parametrize("nic", [0, 1], ids=IDS)
def test_a_tagged_uplink_keeps_and_strips_tags(machine, nic):
    wire, name = machine.wires[nic], machine.names[nic]
    plane_up(machine, [(name, "tagged: [lan]")])
    assert world_pings(wire, 1, vlans=[10]) and world_pings(wire, 2, vlans=[10])
    assert not world_pings(wire, 1) and not world_pings(wire, 2, vlans=[11])
    assert port(machine, name)["drops"]["vlan_not_allowed"] >= 2


def test_frames_between_two_uplinks(machine):
    plane_up(machine, [(name, "segment: lan") for name in machine.names])
    one, two = machine.wires
    for a, b in ((one, two), (two, one)):
        for size in (18, 100, 1400):
            source = WORLD if a is one else frames.mac(201)
            frame = frames.udp(source, frames.BCAST, WORLD_IP, frames.ip(250), payload=bytes(size))
            a.send(frame)
            assert b.recv_match(frame)
            assert a.recv_match(frame, 0.1) is None, "never back where it came from"
    frame = frames.udp(frames.mac(201), WORLD, frames.ip(201), WORLD_IP)
    two.send(frame)
    assert one.recv_match(frame), "learned"


def carried_by_xdp(machine, name):
    """What virtio-net counts: frames that XDP took from the cable, frames that XDP sent to it."""
    stats = machine.run(f"ethtool -S {name}")[1]
    return [sum(int(n) for n in re.findall(rf"{key}: (\d+)", stats)) for key in ("xdp_redirects", "xdp_tx")]


@pytest.mark.parametrize("nic", [0, 1], ids=IDS)
def test_auto_takes_xdp_where_the_driver_has_it_and_says_why(machine, nic):
    """Before Linux 6.3 a kernel does not tell what a driver has: tc, and `carrier: xdp` is there for who knows."""
    name, tells = machine.names[nic], release(machine) >= (6, 3)
    plane_up(machine, [(name, "segment: lan")])
    shown = port(machine, name)
    want = "xdp" if nic == 1 and tells else "tc"
    assert (shown["carrier"], shown["mode"], shown["xdp_target"]) == (want, "native", want == "xdp")
    why = "has XDP with redirect" if want == "xdp" else "has no XDP" if tells else "does not say"
    assert why in shown["why"] and ("does not say" in shown["xdp_target_why"]) == (not tells)
    assert ("prog/xdp" in machine.run(f"ip link show {name}")[1]) == (want == "xdp")


def test_frames_cross_between_tap_and_nic_by_native_xdp(machine):
    wire, name = machine.wires[1], machine.names[1]
    plane_up(machine, [(name, "segment: lan, carrier: xdp")])
    shown = port(machine, name)
    assert (shown["carrier"], shown["mode"], shown["state"]) == ("xdp", "native", "up")
    assert " xdp qdisc" in machine.run(f"ip link show {name}")[1], "in the driver, not generic"
    assert world_pings(wire, 2)
    start = carried_by_xdp(machine, name)
    for seq in range(20):
        assert world_pings(wire, 2, seq=seq)
    came, went = (b - a for a, b in zip(start, carried_by_xdp(machine, name)))
    assert came >= 20, "from the NIC to the TAP"
    assert went >= 20 if shown["xdp_target"] else went == 0, "from the TAP to the NIC"
    assert shown["xdp_target"] == (release(machine) >= (6, 3))
    assert port(machine, name)["egress_errors"] == 0


def test_a_nic_without_xdp_is_refused_unless_generic_is_asked_for(machine):
    wire, name = machine.wires[0], machine.names[0]
    rc, said = machine.vpeer("up -f -", conf_of([(name, "segment: lan, carrier: xdp")]), check=False)
    assert rc == 1 and name in said and "mode: generic" in said and "carrier: tc" in said
    plane_up(machine, [(name, "segment: lan, carrier: xdp, mode: generic")])
    assert (port(machine, name)["carrier"], port(machine, name)["mode"]) == ("xdp", "generic")
    assert "xdpgeneric" in machine.run(f"ip link show {name}")[1]
    assert world_pings(wire, 1) and world_pings(wire, 2)


class Patch(threading.Thread):
    """A cable between two wires."""

    def __init__(self, one, two):
        super().__init__(daemon=True)
        self.pair, self.ending = (one, two), False

    def run(self):
        import select
        socks = {self.pair[0].sock: self.pair[1], self.pair[1].sock: self.pair[0]}
        for sock in socks:      # recv() of an earlier test left its time limit there: a full queue must block, not raise
            sock.settimeout(None)
        while not self.ending:
            for sock in select.select(list(socks), [], [], 0.1)[0]:
                socks[sock].send(sock.recv(70000))


def test_bulk_tcp_through_both_nics(machine):
    """g1 - lan - e1000e - a cable - virtio-net - far - g2: both drivers send and receive a real TCP stream."""
    one, two = machine.names
    machine.vpeer("up -f -", f"""
version: 1
segments: [{{name: lan}}, {{name: far}}]
ports:
  - {{name: g1, device: g1, segment: lan}}
  - {{name: g2, device: g2, segment: far}}
  - {{name: {one}, device: {one}, kind: uplink, segment: lan}}
  - {{name: {two}, device: {two}, kind: uplink, segment: far}}
""")
    machine.run("ip netns exec g2 vmtool serve 9 >/tmp/serve2 2>&1 &\n"
                "until grep -q ready /tmp/serve2; do sleep 0.05; done")
    patch = Patch(*machine.wires)
    patch.start()
    try:
        assert "ok" in machine.run("ip netns exec g1 vmtool tcp 198.18.0.12 9 1", timeout=120)[1]
        assert "ok" in machine.run("ip netns exec g1 vmtool udp fd00:198::12 9 20 1000")[1]
    finally:
        patch.ending = True
        patch.join()
        machine.run("kill $(pidof vmtool | tr ' ' '\\n' | head -1)", check=False)


# Last, since what the guests' addresses go through here does not leave the machine as it was.
ODD = [frames.eth("01:80:c2:00:00:00", WORLD, 0x8899, b"a bridge's" * 6),
       frames.eth("01:80:c2:00:00:0e", WORLD, 0x88CC, b"LLDP" * 15),
       frames.eth(frames.mac(77), WORLD, 0x88B5, b"to nobody" * 8),
       frames.eth(frames.BCAST, WORLD, 0x88B5, b"to all" * 9),
       frames.udp(WORLD, frames.mac(77), WORLD_IP, frames.ip(77), payload=b"one tag" * 9, vlans=[100]),
       frames.udp(WORLD, frames.mac(77), WORLD_IP, frames.ip(77), payload=b"two" * 9, vlans=[(0x88A8, 7), 100])]


@pytest.mark.parametrize("nic", [0, 1], ids=IDS)
@pytest.mark.parametrize("guest", [1, 2], ids=["veth", "tap"])
def test_a_nic_of_its_own(machine, nic, guest):
    """Pass-through: every frame in both directions, and the host's stack neither hears nor speaks there."""
    wire, name = machine.wires[nic], machine.names[nic]
    machine.vpeer("up -f -", pass_through(name, f"g{guest}"))
    wait_until(lambda: port(machine, "wan0")["state"] == "up", timeout=15, what=f"{name} has a carrier")
    assert promiscuity(machine, name) == 1 and world_pings(wire, guest)
    comes_back_as_it_went(machine, wire, guest, [*ODD, frames.eth(machine.macs[nic], WORLD, 0x88B5, b"NIC's own" * 8)])
    speaks_with_the_nics_own_address(machine, wire, nic, guest)
    nothing_of_the_hosts_own(machine, wire, nic)
    shown = port(machine, "wan0")
    assert not any(shown["drops"].values()) and shown["rx"]["packets"] == shown["forwarded"]
    machine.vpeer("down")
    assert promiscuity(machine, name) == 0


def comes_back_as_it_went(machine, wire, guest, sent):
    """The guest sends back what it hears."""
    machine.run(f"ip netns exec g{guest} vmtool reflect eth0 >/tmp/reflect 2>&1 & echo $! >/tmp/reflect.pid\n"
                "until grep -q ready /tmp/reflect; do sleep 0.05; done")
    try:
        for frame in sent:
            wire.send(frame)
            assert wire.recv_match(frame), f"there and back: {frame.hex()}"
    finally:
        machine.run("kill $(cat /tmp/reflect.pid)")


def speaks_with_the_nics_own_address(machine, wire, nic, guest):
    """The guest may have the NIC's address."""
    mac, link = machine.macs[nic], f"ip -n g{guest} link set eth0"
    machine.run(f"{link} down; {link} address {mac}; {link} up\n"
                f"ip -n g{guest} neigh replace {WORLD_IP} lladdr {WORLD} dev eth0")
    try:
        request = frames.icmp(WORLD, mac, WORLD_IP, frames.ip(guest), ident=7)
        wire.send(request)
        assert wire.recv_match(lambda f: is_reply(f, request)), "the guest answers from the NIC's own address"
    finally:
        machine.run(f"{link} down; {link} address {frames.mac(guest)}; {link} up\n"
                    f"ip -n g{guest} addr add {frames.ip6(guest)}/64 dev eth0 nodad")


def nothing_of_the_hosts_own(machine, wire, nic):
    """The host has an address on the NIC: it is not answered for, and what the host says there goes nowhere."""
    name = machine.names[nic]
    machine.run(f"ip addr add 198.19.7.1/24 dev {name}")
    try:
        wire.drain()
        wire.send(frames.arp_request(WORLD, "198.19.7.2", "198.19.7.1"))
        machine.run("ping -c 1 -W 1 198.19.7.2", check=False)
        assert [r.frame.hex() for r in wire.drain() if r.frame[6:12] == frames.mac_bytes(machine.macs[nic])] == []
        assert WORLD not in machine.run(f"ip neigh show dev {name}")[1], "the host has not heard the world"
    finally:
        machine.run(f"ip addr del 198.19.7.1/24 dev {name}")


def wait_briefly(cond):
    try:
        return wait_until(cond, timeout=0.4)
    except AssertionError:
        return False
