# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Ports of one segment, whether they reach each other, and what `show` says of them."""
from . import frames

A, B = "52:54:00:00:00:0a", "52:54:00:00:00:0b"


def lan(*ports, **more):
    return {"version": 1, "segments": [{"name": "lan"}],
            "ports": [{"name": n, "device": d, "segment": "lan"} for n, d in ports], **more}


def talk(one, two, smac=A, dmac=B):
    """Whether a frame passes each way; both addresses are known afterwards."""
    there = frames.udp(smac, dmac, "198.18.0.1", "198.18.0.2", payload=b"there")
    back = frames.udp(dmac, smac, "198.18.0.2", "198.18.0.1", payload=b"back")
    one.send(there)
    first = two.recv_match(there, 0.5)
    two.send(back)
    return bool(first and one.recv_match(back, 0.5))


def states(plane):
    return {p["name"]: p["state"] for p in plane.show()["ports"]}
