# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Proves the VM lab itself, over the kernel's bridge."""
import pytest

from vmlab import VmGuest, echo_server


def test_two_guests_talk_over_a_bridge(net):
    a, b = VmGuest(net, 1).start(), VmGuest(net, 2, persist=True).start()
    net.bridge(net.host, "br0", ["g1", "g2"])
    net.host.ip("addr add 198.18.0.1/15 dev br0")
    echo_server(net.host)
    a.wait()
    b.wait()
    assert a.ping(b) and b.ping6(a) and a.ping("198.18.0.1")
    assert a.tcp(b, 4).startswith("ok") and b.tcp(a, 4, v6=True).startswith("ok")
    assert a.tcp("198.18.0.1", 16).startswith("ok")
    a.udp(b)
    assert a.run("exit 3", check=False) == (3, "")
    net.host.down("g2")
    assert not a.ping(b, timeout=1), "a guest that is cut off does not answer"
    with pytest.raises(AssertionError):
        a.udp(b, count=1)
