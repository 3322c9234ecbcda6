# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A segment is one broadcast domain with a MAC table: who gets which frame, by XDP, by tc and by both together."""
import os
import time

import pytest

import lab
from lab import frames, need_kernel, wait_until
from lab.frames import BCAST, ip, mac

MULTICAST = ["01:00:5e:00:00:fb", "33:33:00:00:00:fb", "01:80:c2:00:00:10", "09:00:2b:00:00:01"]


@pytest.fixture
def net(net):
    """Without the host's own IPv6 chatter, which reaches a TAP that is up before the plane is."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    return net


def show_frame(src, dst, word=b"p"):
    """ICMP, which XDP may carry; `word` makes it known again."""
    return frames.icmp(src, dst, ip(1), ip(2), payload=(word * 40)[:40])


class Lan:
    """A segment of TAPs t1 .. tN (the last one a veth, if mixed), each end in our hands."""

    def __init__(self, net, plane, how, count=4, kinds=None, port=None, **segment):
        self.net, self.plane, self.ends, self.how = net, plane, {}, how
        for n in range(1, count + 1):
            if how == "mixed" and n == count:
                net.ns("mute").sysctl("net.ipv6.conf.default.disable_ipv6", 1)
                net.veth((net.host, f"t{n}"), (net.ns("mute"), "eth0"))
                self.ends[n] = net.sniffer(net.ns("mute"), "eth0", ignore_outgoing=True, promisc=True)
            else:
                self.ends[n] = net.tap(f"t{n}")
        ports = []
        for n in self.ends:
            extra = {"carrier": "tc"} if how == "tc" else {}
            if kinds and n in kinds:
                extra["kind"] = kinds[n]
            ports.append({"name": f"t{n}", "device": f"t{n}", **extra, **(port or {}).get(n, {})})
        self.conf = plane.segment("lan", *ports, **segment)
        plane.up(self.conf)
        for end in self.ends.values():
            end.drain(0.001)

    def send(self, n, frame):
        """Sends at port n; returns {port: [frames that came out there]} without the silent ones."""
        self.ends[n].send(frame)
        time.sleep(0.004)
        out = {m: [r.frame for r in e.drain(0)] for m, e in self.ends.items()}
        return {m: got for m, got in out.items() if got}

    def learn(self, *numbers):
        """Each station n shows itself at port n."""
        for n in numbers:
            self.send(n, show_frame(mac(n), mac(99)))

    def macs(self):
        return {m["mac"]: m for m in self.plane.show("macs")["macs"]}

    def drops(self, n):
        return self.plane.drops(f"t{n}")


@pytest.fixture(params=["xdp", "tc", "mixed"])
def how(request):
    return request.param


def test_unknown_unicast_goes_once_to_all_others_and_known_to_one(net, plane, how):
    lan = Lan(net, plane, how)
    frame = show_frame(mac(1), mac(2))
    assert lan.send(1, frame) == {2: [frame], 3: [frame], 4: [frame]}
    lan.learn(2, 3, 4)
    for n in (1, 3, 4):
        frame = show_frame(mac(n), mac(2), b"known")
        assert lan.send(n, frame) == {2: [frame]}
    for n in (1, 3, 4):
        frame = show_frame(mac(2), mac(n), b"back")
        assert lan.send(2, frame) == {n: [frame]}
    assert plane.port("t2")["carrier"] == ("tc" if how == "tc" else "xdp")


def test_broadcast_and_multicast_go_once_to_all_others(net, plane, how):
    lan = Lan(net, plane, how)
    lan.learn(1, 2, 3, 4)
    for n in (1, 2, 4):
        others = set(lan.ends) - {n}
        frame = frames.arp_request(mac(n), ip(n), ip(9))
        assert lan.send(n, frame) == {m: [frame] for m in others}
        for group in MULTICAST:
            for frame in (show_frame(mac(n), group), frames.eth(group, mac(n), 0x88B5, b"multicast" * 9)):
                assert lan.send(n, frame) == {m: [frame] for m in others}


def test_other_types_and_large_frames_are_switched_alike(net, plane, how):
    """Classes that XDP leaves to tc follow the same table."""
    lan = Lan(net, plane, how)
    lan.learn(1, 2, 3, 4)
    for frame in (frames.eth(mac(2), mac(1), 0x88B5, b"?" * 60), frames.tcp(mac(1), mac(2), ip(1), ip(2)),
                  frames.udp(mac(1), mac(2), ip(1), ip(2)), frames.udp(mac(1), mac(2), ip(1), ip(2), csum="zero"),
                  frames.raw_ip(mac(1), mac(2), ip(1), ip(2), 132, bytes(1400)), frames.eth(mac(2), mac(1), 0x88B5, b""),
                  frames.udp(mac(1), mac(2), ip(1), ip(2), vlans=[(0x8100, 0xE000)])):
        got = lan.send(1, frame)
        assert list(got) == [2] and len(got[2]) == 1 and got[2][0] == frame
    assert not any(lan.drops(n) for n in lan.ends)


def test_learning_is_shown(net, plane, how):
    lan = Lan(net, plane, how)
    assert lan.macs() == {}
    lan.learn(1, 2)
    macs = lan.macs()
    assert {m: (e["port"], e["segment"], e["static"]) for m, e in macs.items()} == {
        mac(1): ("t1", "lan", False), mac(2): ("t2", "lan", False)}
    assert all(0 <= e["age"] <= 3 for e in macs.values())
    lan.send(1, show_frame(mac(77), BCAST))
    assert lan.macs()[mac(77)]["port"] == "t1"
    port = plane.port("t1")
    assert port["learned"] == 2 and port["events"]["learned"] == 2
    plane.run("mac flush")
    assert lan.macs() == {} and plane.port("t1")["learned"] == 0


def test_segments_are_apart(net, plane):
    """One MAC address may live in two segments; nothing crosses between them."""
    taps = {n: net.tap(f"t{n}") for n in (1, 2, 3, 4)}
    conf = plane.segment("one", "t1", "t2")
    more = plane.segment("two", "t3", "t4")
    plane.up({"version": 1, "segments": conf["segments"] + more["segments"], "ports": conf["ports"] + more["ports"]})
    for tap in taps.values():
        tap.drain(0.001)
    for n in (1, 3):
        taps[n].send(show_frame(mac(1), mac(2), b"%d" % n))
        taps[n + 1].send(show_frame(mac(2), mac(1), b"%d" % (n + 1)))
    assert {n: [r.frame for r in t.drain()] for n, t in taps.items()} == {
        1: [show_frame(mac(2), mac(1), b"2")], 2: [show_frame(mac(1), mac(2), b"1")],
        3: [show_frame(mac(2), mac(1), b"4")], 4: [show_frame(mac(1), mac(2), b"3")]}
    assert sorted((m["segment"], m["mac"], m["port"]) for m in plane.show("macs")["macs"]) == [
        ("one", mac(1), "t1"), ("one", mac(2), "t2"), ("two", mac(1), "t3"), ("two", mac(2), "t4")]


def test_quota_forwards_but_does_not_learn(net, plane, how):
    lan = Lan(net, plane, how, port={1: {"quota": 3}})
    lan.learn(2)
    for n in range(20, 26):
        frame = show_frame(mac(n), mac(2), b"%d" % n)
        assert lan.send(1, frame) == {2: [frame]}, "beyond its quota a guest still talks"
    port = plane.port("t1")
    assert port["learned"] == 3 and port["events"]["learned"] == 3 and port["events"]["quota"] == 3
    assert len([e for e in lan.macs().values() if e["port"] == "t1"]) == 3
    known, unknown = show_frame(mac(2), mac(20)), show_frame(mac(2), mac(25))
    assert lan.send(2, known) == {1: [known]} and set(lan.send(2, unknown)) == {1, 3, 4}
    plane.run("mac flush port=t1")
    lan.send(1, show_frame(mac(25), mac(2)))
    assert lan.send(2, unknown) == {1: [unknown]}, "room again"


def test_a_guest_cannot_use_another_ones_quota(net, plane, how):
    lan = Lan(net, plane, how, port={1: {"quota": 2}, 2: {"quota": 2}})
    for n in range(20, 40):
        lan.send(1, show_frame(mac(n), BCAST))
    lan.learn(2)
    assert lan.macs()[mac(2)]["port"] == "t2" and len(lan.macs()) == 3


def test_a_learned_address_moves(net, plane, how):
    lan = Lan(net, plane, how, kinds={3: "uplink"})
    lan.learn(1, 2)
    for n in (3, 4, 2, 1):        # to the uplink, to another guest, and home
        before = plane.port(f"t{n}")["events"]["moved"]
        lan.send(n, show_frame(mac(1), BCAST))
        assert lan.macs()[mac(1)]["port"] == f"t{n}" and plane.port(f"t{n}")["events"]["moved"] == before + 1
        asker = 4 if n == 2 else 2
        frame = show_frame(mac(50 + asker), mac(1), b"%d" % n)
        assert lan.send(asker, frame) == {n: [frame]}
    learned = {n: plane.port(f"t{n}")["learned"] for n in lan.ends}
    assert learned[1] == 1 and sum(learned.values()) == len(lan.macs()), "the quota moved with it"


def test_a_move_needs_quota(net, plane, how):
    lan = Lan(net, plane, how, port={2: {"quota": 1}})
    lan.learn(1, 2)
    lan.send(2, show_frame(mac(1), BCAST))
    assert lan.macs()[mac(1)]["port"] == "t1" and plane.port("t2")["events"]["quota"] == 1


def twin(lan, dst=2):
    """Station 1 speaks at its port, and at once somebody with its address at port 3; who gets the latter's frame."""
    frame = show_frame(mac(1), mac(dst), b"twin")
    lan.ends[1].send(show_frame(mac(1), mac(99)))
    lan.ends[3].send(frame)
    time.sleep(0.004)
    return [n for n, end in lan.ends.items() if frame in [r.frame for r in end.drain(0)]]


@pytest.mark.parametrize("policy", ["move", "drop", "ignore"])
def test_an_address_at_two_ports_at_a_time(net, plane, how, policy):
    lan = Lan(net, plane, how, duplicate=policy)
    assert plane.show()["segments"][0]["duplicate"] == policy
    lan.learn(1, 2)
    assert twin(lan) == ([] if policy == "drop" else [2])
    assert lan.macs()[mac(1)]["port"] == ("t3" if policy == "move" else "t1")
    assert lan.drops(3) == ({"duplicate": 1} if policy == "drop" else {})
    events = plane.port("t3")["events"]
    assert (events["duplicate"], events["moved"]) == (1, 1 if policy == "move" else 0)
    assert plane.port("t1")["events"]["duplicate"] == 0
    plane.check_sum("t3")
    if policy == "move":                            # to and fro: the other one is a duplicate, too
        assert twin(lan) == [2] and plane.port("t1")["events"]["duplicate"] == 1
        return
    time.sleep(2.3)                                 # silent for two ticks: now it is a move
    frame = show_frame(mac(1), mac(2), b"moved")
    assert lan.send(3, frame) == {2: [frame]} and lan.macs()[mac(1)]["port"] == "t3"
    events = plane.port("t3")["events"]
    assert (events["duplicate"], events["moved"]) == (1, 1)


def test_a_station_whose_port_goes_down_may_move_at_once(net, plane, how):
    lan = Lan(net, plane, how, duplicate="drop")
    lan.learn(1, 2)
    assert twin(lan) == []
    lan.ends[1].send(show_frame(mac(1), mac(99)))
    plane.set_device("t1", "down")
    frame = show_frame(mac(1), mac(2), b"moved")
    lan.ends[3].send(frame)
    assert lan.ends[2].recv_match(frame) and lan.macs()[mac(1)]["port"] == "t3"
    assert plane.port("t3")["events"]["duplicate"] == 1


def no_process(lan):
    """Is nothing of ours running?"""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe") == lan.plane.binary:
                return False
        except OSError:
            continue
    return True


def test_learned_entries_age_and_are_reclaimed_without_a_process(net, plane):
    lan = Lan(net, plane, "xdp", age=2)
    plane.run(f"mac add lan {mac(9)} t4")
    lan.learn(1, 2, 3)
    frame = show_frame(mac(1), mac(2))
    assert lan.send(1, frame) == {2: [frame]} and no_process(lan)
    began = time.monotonic()
    while time.monotonic() < began + 4.5:       # 1 goes on talking, 2 and 3 are silent
        lan.send(1, show_frame(mac(1), mac(9)))
        time.sleep(0.3)
        assert no_process(lan)
    assert set(lan.send(1, frame)) == {2, 3, 4}, "aged: unknown again"
    assert set(lan.macs()) == {mac(1), mac(9)}, "and reclaimed"
    assert [plane.port(f"t{n}")["learned"] for n in (1, 2, 3)] == [1, 0, 0], "the quota came back"
    to_static, home = show_frame(mac(1), mac(9), b"s"), show_frame(mac(4), mac(1), b"h")
    assert lan.send(1, to_static) == {4: [to_static]}, "static entries do not age"
    assert lan.send(4, home) == {1: [home]}, "who talks stays known"
    lan.learn(2)
    assert lan.send(1, frame) == {2: [frame]}


def test_age_zero_is_never(net, plane):
    lan = Lan(net, plane, "xdp", age=0)
    lan.learn(1, 2)
    time.sleep(3.3)
    frame = show_frame(mac(1), mac(2))
    assert lan.send(1, frame) == {2: [frame]}


def test_static_entries_are_neither_moved_nor_usurped(net, plane, how):
    lan = Lan(net, plane, how)
    lan.learn(1, 3)
    lan.send(2, show_frame(mac(9), BCAST))
    assert lan.macs()[mac(9)]["port"] == "t2", "control: without a static entry anyone may have it"
    plane.run(f"mac add lan {mac(9)} t1")
    assert lan.macs()[mac(9)] == {"segment": "lan", "mac": mac(9), "port": "t1", "static": True, "age": None}
    assert lan.send(2, show_frame(mac(9), mac(3))) == {} and lan.drops(2) == {"mac_static": 1}
    assert lan.send(2, show_frame(mac(9), BCAST)) == {} and lan.drops(2) == {"mac_static": 2}
    frame = show_frame(mac(3), mac(9))
    assert lan.send(3, frame) == {1: [frame]}
    own = show_frame(mac(9), mac(3))
    assert lan.send(1, own) == {3: [own]}, "its own port may use it"
    plane.run(f"mac del lan {mac(9)}")
    assert lan.send(2, own) == {3: [own]} and lan.macs()[mac(9)]["port"] == "t2" and lan.drops(2) == {"mac_static": 2}


def test_what_a_segment_never_forwards(net, plane, how):
    lan = Lan(net, plane, how)
    lan.learn(1, 2, 3)
    good = show_frame(mac(1), mac(2))
    bad = [("reserved_group", frames.eth(f"01:80:c2:00:00:{n:02x}", mac(1), 0x88CC, bytes(60))) for n in range(16)]
    bad += [("reserved_group", frames.bpdu(mac(1))),
            ("src_multicast", frames.eth(mac(2), "01:00:5e:00:00:01", 0x88B5, bytes(60))),
            ("src_multicast", show_frame(BCAST, mac(2))), ("src_multicast", show_frame("00:00:00:00:00:00", mac(2))),
            ("vlan_not_allowed", frames.udp(mac(1), mac(2), ip(1), ip(2), vlans=[77])),
            ("vlan_not_allowed", frames.udp(mac(1), BCAST, ip(1), ip(2), vlans=[(0x88A8, 5)])),
            ("vlan_not_allowed", frames.udp(mac(1), mac(2), ip(1), ip(2), vlans=[(0x8100, 0), (0x8100, 5)])),
            ("same_port", show_frame(mac(2), mac(1))), ("same_port", frames.eth(mac(1), mac(1), 0x88B5, bytes(60)))]
    want = {}
    for reason, frame in bad:
        assert lan.send(1, good) == {2: [good]}
        assert lan.send(1, frame) == {}, reason
        want[reason] = want.get(reason, 0) + 1
        assert lan.drops(1) == want
        lan.learn(2)            # a frame for its own port was learned from its source
    assert lan.send(1, good) == {2: [good]}


def test_same_port_is_dropped_and_not_flooded(net, plane, how):
    lan = Lan(net, plane, how)
    lan.send(1, show_frame(mac(20), BCAST))
    lan.send(1, show_frame(mac(21), BCAST))
    assert lan.send(1, show_frame(mac(20), mac(21))) == {} and lan.drops(1) == {"same_port": 1}
    frame = show_frame(mac(2), mac(21))
    assert lan.send(2, frame) == {1: [frame]}


def test_an_entry_to_a_port_that_is_down_counts_as_unknown(net, plane, how):
    need_kernel((6, 2), "bpf_rdonly_cast")
    lan = Lan(net, plane, how)
    lan.learn(1, 2)
    frame = show_frame(mac(1), mac(2))
    assert lan.send(1, frame) == {2: [frame]}
    plane.set_device("t2", "down")
    assert lan.send(1, frame) == {3: [frame], 4: [frame]}
    plane.set_device("t2", "up")
    assert lan.send(1, frame) == {2: [frame]}
    assert lan.drops(1) == {}


def test_an_entry_to_a_port_that_is_gone_counts_as_unknown(net, plane, how):
    """And when the device returns with another index, `attach` takes it back."""
    lan = Lan(net, plane, how)
    lan.learn(1, 2)
    plane.run(f"mac add lan {mac(9)} t2")
    lan.ends.pop(2).close()
    wait_until(lambda: not net.host.exists("t2"))
    for dst in (mac(2), mac(9)):
        frame = show_frame(mac(1), dst)
        assert lan.send(1, frame) == {3: [frame], 4: [frame]}
    assert plane.port("t2")["state"] == "waiting" and lan.drops(1) == {}
    lan.ends[2] = net.tap("t2")
    plane.attach("t2")
    lan.ends[2].drain(0.001)
    frame = show_frame(mac(1), mac(9), b"back")
    assert lan.send(1, frame) == {2: [frame]} and plane.port("t2")["state"] == "up"
    lan.learn(2)
    frame = show_frame(mac(1), mac(2), b"back")
    assert lan.send(1, frame) == {2: [frame]}


def test_a_removed_port_leaves_no_mail_to_its_successor(net, plane, how):
    lan = Lan(net, plane, how)
    lan.learn(1, 2)
    plane.run("port del t2")
    frame = show_frame(mac(1), mac(2))
    assert lan.send(1, frame) == {3: [frame], 4: [frame]}
    net.tap("t5")
    plane.run("port add t5 device=t5 segment=lan")
    lan.ends[5] = net.taps[-1]
    lan.ends[5].drain(0.001)
    assert set(lan.send(1, frame)) == {3, 4, 5}, "unknown, and not the new port's alone"


def test_broadcast_storm_is_limited(net, plane, how):
    lan = Lan(net, plane, how, port={1: {"broadcast_pps": 10}})
    lan.learn(1, 2)
    storm = frames.arp_request(mac(1), ip(1), ip(9))
    time.sleep(1.2)
    for _ in range(100):
        lan.ends[1].send(storm)
    got = len(lan.ends[2].drain())
    assert 10 <= got <= 20, "one second's allowance, or two if a second ended meanwhile"
    assert lan.drops(1) == {"storm": 100 - got}
    frame = show_frame(mac(1), mac(2))
    lan.ends[3].drain(0), lan.ends[4].drain(0)
    assert lan.send(1, frame) == {2: [frame]}, "unicast is not limited"
    other = frames.arp_request(mac(2), ip(2), ip(9))
    assert set(lan.send(2, other)) == {1, 3, 4}, "nor are others"
    time.sleep(1.2)
    assert set(lan.send(1, storm)) == {2, 3, 4}


def test_default_storm_limit_is_a_thousand(net, plane):
    lan = Lan(net, plane, "xdp", count=2, kinds={2: "uplink"})
    storm = frames.arp_request(mac(1), ip(1), ip(9))
    for n in (1, 2):
        for i in range(2500):
            lan.ends[n].send(storm if n == 1 else frames.arp_request(mac(2), ip(2), ip(9)))
            if i % 500 == 499:
                lan.ends[3 - n].drain(0)
    assert plane.drops("t1")["storm"] >= 400 and plane.drops("t2") == {}, "an uplink has no limit by default"


def test_flood_false_drops_unknown_unicast_only(net, plane, how):
    lan = Lan(net, plane, how, flood=False)
    lan.learn(1, 2)
    drops = dict(lan.drops(1))
    assert drops == {"unknown_unicast": 1}
    assert lan.send(1, show_frame(mac(1), mac(3))) == {} and lan.drops(1) == {"unknown_unicast": 2}
    frame = show_frame(mac(1), BCAST)
    assert lan.send(1, frame) == {2: [frame], 3: [frame], 4: [frame]}
    frame = show_frame(mac(1), mac(2))
    assert lan.send(1, frame) == {2: [frame]}
    plane.up({**lan.conf, "segments": [{"name": "lan", "flood": True}]})
    frame = show_frame(mac(1), mac(3))
    assert lan.send(1, frame) == {2: [frame], 3: [frame], 4: [frame]}


def test_nobody_to_flood_to(net, plane):
    need_kernel((6, 2), "bpf_rdonly_cast")
    lan = Lan(net, plane, "xdp", count=2)
    frame = show_frame(mac(1), BCAST)
    assert lan.send(1, frame) == {2: [frame]}
    plane.set_device("t2", "down")
    assert lan.send(1, frame) == {} and lan.drops(1) == {"no_member": 1}
    plane.set_device("t2", "up")
    assert lan.send(1, frame) == {2: [frame]}
    plane.up({**lan.conf, "ports": [
        {k: v for k, v in p.items() if k != "segment" or p["name"] != "t1"} for p in lan.conf["ports"]]})
    assert lan.send(1, frame) == {} and lan.drops(1) == {"no_member": 1, "unbound": 1}
    plane.up(lan.conf)
    assert lan.send(1, frame) == {2: [frame]}


def test_flood_serves_those_who_can_take_it(net, plane, how):
    """One member is down, one has a small MTU: the others get the frame once all the same."""
    lan = Lan(net, plane, how, count=5)
    net.host.ip("link set t3 mtu 600")
    plane.set_device("t2", "down")
    small, big = show_frame(mac(1), BCAST), frames.icmp(mac(1), BCAST, ip(1), ip(2), payload=bytes(1000))
    assert lan.send(1, small) == {3: [small], 4: [small], 5: [small]}
    assert lan.send(1, big) == {4: [big], 5: [big]}
    net.host.ip("link set t3 mtu 1500")
    plane.set_device("t2", "up")
    assert set(lan.send(1, big)) == {2, 3, 4, 5}


def test_a_frame_over_the_mtu_is_dropped_with_its_reason(net, plane, how):
    lan = Lan(net, plane, how)
    lan.learn(1, 2)
    big = frames.icmp(mac(1), mac(2), ip(1), ip(2), payload=bytes(1000))
    assert lan.send(1, big) == {2: [big]}
    net.host.ip("link set t2 mtu 600")
    plane.told()
    assert lan.send(1, big) == {} and lan.drops(1) == {"mtu": 1}
    net.host.ip("link set t2 mtu 1500")
    plane.told()
    assert lan.send(1, big) == {2: [big]} and lan.drops(1) == {"mtu": 1}


def test_a_gso_superframe_is_flooded_whole(net, plane):
    lan = Lan(net, plane, "xdp", count=3)
    for n in (2, 3):
        lan.ends[n].set_offload(lab.Tap.OFFLOADS)
    frame = frames.tcp(mac(1), mac(2), ip(1), ip(2), payload=bytes(14480), csum="partial")
    lan.ends[1].send(frame, frames.csum_args(frame), ("tcp4", 1448, 54))
    for n in (2, 3):
        got = lan.ends[n].drain()
        assert [r.frame for r in got] == [frame] and frames.check(*got[0]) is None and got[0].hdr.gso_size == 1448
    port = plane.port("t1")
    assert port["rx"]["packets"] == port["flooded"] == 10 and plane.port("t2")["tx"]["packets"] == 10
