# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Superframes as hostile or old guests send them: what leaves is what the receiver has agreed to, as with the kernel's bridge."""
import pytest

from lab import Tap, frames, need_kernel
from lab.frames import BCAST, ip, mac

pytestmark = pytest.mark.usefixtures("quiet")
by_either = pytest.mark.parametrize("carrier", ["tc", "auto"])
# (what, frame, where the checksum is, gso): none that a guest's stack makes, and the kernel would not believe them either
LIES = [("icmp", frames.icmp(mac(1), mac(2), ip(1), ip(2), payload=bytes(1000)), (34, 16), ("tcp4", 100, 54)),
        ("arp to all", frames.arp_request(mac(1), ip(1), ip(2)) + bytes(600), (34, 16), ("tcp4", 50, 54)),
        ("a datagram that is right", frames.udp(mac(1), mac(2), ip(1), ip(2), payload=bytes(1000), csum="full"), (34, 6),
         ("udp_l4", 100, 42))]


def lan(net, plane, carrier, offload=0, **more):
    one, two = net.tap("ta"), net.tap("tb", offload=offload)
    plane.up({"version": 1, "segments": [{"name": "lan"}],
              "ports": [{"name": "a", "device": "ta", "segment": "lan", "carrier": carrier, **more},
                        {"name": "b", "device": "tb", "segment": "lan", "mac": [mac(2)]}]})
    return one, two


@by_either
@pytest.mark.parametrize("what, frame, checksum, gso", LIES, ids=[lie[0] for lie in LIES])
def test_who_wants_no_superframes_gets_none(net, plane, carrier, what, frame, checksum, gso):
    if carrier == "auto":       # XDP sees it at the kernel's own structures
        need_kernel((6, 2), "bpf_rdonly_cast")
    one, two = lan(net, plane, carrier)
    plain = frames.udp(mac(1), mac(2), ip(1), ip(2), payload=b"plain")
    one.send(frame, needs_csum=checksum, gso=gso)
    one.send(plain)
    got = two.drain(quiet=0.3)
    assert plain in [r.frame for r in got], "control"
    assert all(not r.hdr.gso_type for r in got), (what, [(len(r.frame), r.hdr) for r in got])
    assert plane.check_sum("a")["rx"]["packets"] > 1 + 1, "it counts as what it claims to be cut into"


@by_either
@pytest.mark.parametrize("offload", [0, Tap.OFFLOADS])
def test_a_datagram_that_is_cut_into_fragments_fits(net, plane, carrier, offload):
    """Guests with Linux before 4.14 send them: the first fragment's payload has the UDP header in it."""
    one, two = lan(net, plane, carrier, offload)
    frame = frames.udp(mac(1), mac(2), ip(1), ip(2), payload=bytes(4000), csum="partial")
    one.send(frame, needs_csum=(34, 6), gso=("udp", 1480, 42))
    assert [len(r.frame) for r in two.drain(quiet=0.3)] == [1514, 1514, 34 + 4008 - 2 * 1480]
    port = plane.check_sum("a")
    assert not plane.drops("a") and port["rx"] == {"packets": 3, "bytes": 3 * 34 + 4008}
    one.send(frame, needs_csum=(34, 6), gso=("udp", 1488, 42))
    assert not two.drain(quiet=0.1) and plane.drops("a") == {"mtu": 3}, "control"


@by_either
def test_a_superframe_to_all_counts_as_its_frames_against_the_limit(net, plane, carrier):
    one, two = lan(net, plane, carrier, broadcast_pps=100)
    frame = frames.udp(mac(1), BCAST, ip(1), "198.19.255.255", payload=bytes(40 * 50), csum="partial")
    for _ in range(10):
        one.send(frame, needs_csum=(34, 6), gso=("udp_l4", 50, 42))
    got, port = len(two.drain(quiet=0.3)), plane.check_sum("a")
    # The limit is a tick's; the ten may fall into two of them.
    assert got == port["flooded"] in (80, 160) and plane.drops("a") == {"storm": 400 - got}
