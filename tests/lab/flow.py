# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Numbered frames through a plane, fast enough to notice a gap of microseconds: see tests/lab/flow.c."""
import json
import os
import shutil
import subprocess

from .net import ROOT
from .plane import Plane, vpeer_binary

A, B = "52:54:00:00:00:0a", "52:54:00:00:00:0b"


def variant(name):
    """A private copy of another build of this tree; tests/upgrade/NAME.txt says in what it differs."""
    path = f"{ROOT}/build/variants/{name}/build/vpeer"
    copy = f"{vpeer_binary()}-{name}"
    if not os.path.exists(copy):
        shutil.copy2(path, copy)
    return copy


def by(plane, binary):
    """The same plane, in the hands of another build."""
    other = Plane(plane.ns, plane.name)
    other.binary = binary
    return other


class Flow:
    """From a TAP (`tap`), or from the socket of a guest behind a veth (`guest`), to the TAPs of the receivers."""

    def __init__(self, net, receivers, tap=None, mac=B, guest=None, address="198.18.0.2", rate=100000):
        source = ["-t", tap, "-m", mac] if tap else ["-g", guest.ns.path, "-a", address]
        if guest:
            guest.ns.run("ethtool -K eth0 tx-udp-segmentation off")
            guest.ns.run("tc qdisc replace dev eth0 root pfifo limit 20000")
            guest.ns.ip(f"neigh replace {address} lladdr {mac} dev eth0")
            net.host.run(f"ethtool -K {guest.port} gro on")
        cmd = [f"{ROOT}/build/tests/flow", "-n", net.host.path, "-r", ",".join(receivers), *source, "-R", str(rate)]
        self.process = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        net.processes.append(self.process)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"flow: exit {self.process.wait(5)}")
        self.result = None

    def _say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def __enter__(self):
        self._say("go")
        return self

    def stop(self):
        """What has become of every frame; the TAPs are still there."""
        self._say("stop")
        self.result = json.loads(self.process.stdout.readline())

    def __exit__(self, *_):
        if self.result is None:
            self.stop()
        self.process.stdin.close()
        self.process.wait(5)

    def look(self):
        """How far it is: sent, refused, twice, late, and `next`, the first number that has not come yet."""
        self._say("look")
        return json.loads(self.process.stdout.readline())

    @property
    def rate(self):
        """Frames a second that were really sent."""
        return self.result["sent"] / self.result["seconds"]

    def clean(self):
        """Nothing lost, nothing twice, nothing late within its flow; the result."""
        bad = {key: self.result[key] for key in ("refused", "lost", "twice", "late") if self.result[key]}
        if bad or not self.result["sent"]:
            raise AssertionError(f"of {self.result['sent']} frames: {bad}; {self.result}")
        return self.result
