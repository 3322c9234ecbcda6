# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A vpeer plane in a namespace, driven through its command line as anyone else would."""
import atexit
import json
import os
import secrets
import shlex
import shutil
import tempfile
import time

import yaml

from .net import KERNEL, ROOT

PIN_ROOT = "/sys/fs/bpf/vpeer"
_copy = None


def vpeer_binary():
    """A private copy of $VPEER or build/vpeer: a rebuild meanwhile must not hurt. None if there is no binary."""
    global _copy
    if _copy is None:
        source = os.environ.get("VPEER") or f"{ROOT}/build/vpeer"
        if not os.path.exists(source):
            return None
        directory = tempfile.mkdtemp(prefix="vpt-bin-")
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        _copy = shutil.copy2(source, f"{directory}/vpeer")
    return _copy


class Plane:
    """One plane. Nothing runs between the calls: the loader has exited after each."""

    def __init__(self, ns, name=None):
        self.ns = ns
        self.name = name or f"t{os.getpid()}{secrets.token_hex(2)}"
        self.binary = vpeer_binary()

    def run(self, verb, *args, check=True, input=None, timeout=60, json_out=False):
        """`vpeer --plane NAME VERB ...`; verb may be text with blanks or a list."""
        words = (shlex.split(verb) if isinstance(verb, str) else list(verb)) + [str(a) for a in args]
        cmd = [self.binary, "--plane", self.name, *(["--json"] if json_out else []), *words]
        done = self.ns.run(cmd, check=False, input=input, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"vpeer {' '.join(words)}: exit {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}{input or ''}")
        return done

    def up(self, conf, *args, check=True, timeout=60):
        """Makes the plane equal to `conf` (text or dict), given on standard input."""
        text = conf if isinstance(conf, str) else yaml.safe_dump(conf, sort_keys=False)
        return self.run(["up", "-f", "-"], *args, input=text, check=check, timeout=timeout)

    def down(self, check=True):
        return self.run("down", check=check)

    def attach(self, *ports, check=True):
        return self.run("attach", *ports, check=check)

    def told(self):
        """Before Linux 6.2 programs do not see by themselves what became of a device: the plane is told."""
        if KERNEL < (6, 2):
            self.attach()

    def set_device(self, device, state):
        """Brings a device "up" or "down", and waits until the programs remember no verdict from before: a jiffy."""
        self.ns.ip(f"link set {device} {state}")
        time.sleep(0.012)
        self.told()

    def json(self, verb, *args, check=True):
        """The parsed `--json` output of a verb."""
        return json.loads(self.run(verb, *args, check=check, json_out=True).stdout)

    def show(self, what="all"):
        return self.json("show", what)

    def port(self, name):
        """`show --json` of one port."""
        for port in self.show("ports")["ports"]:
            if port["name"] == name:
                return port
        raise AssertionError(f"plane {self.name} has no port {name}")

    def drops(self, name):
        """The reasons for which frames of this port were dropped: {reason: how many}."""
        return {reason: n for reason, n in self.port(name)["drops"].items() if n}

    def check_sum(self, name):
        """The port as shown; every frame it received must be forwarded, flooded, passed or dropped."""
        port = self.port(name)
        accounted = port["forwarded"] + port["flooded"] + port["passed"] + sum(port["drops"].values())
        assert port["rx"]["packets"] == accounted, f"port {name}: {accounted} accounted for: {port}"
        return port

    def pins(self):
        """Names of the pinned objects, below the plane's directory."""
        top = f"{PIN_ROOT}/{self.name}"
        return sorted(os.path.relpath(os.path.join(d, f), top) for d, _, files in os.walk(top) for f in files)

    def close(self):
        """Takes the plane down whatever state it is in."""
        if self.binary and os.path.exists(self.ns.path):
            self.run("down", check=False)

    @staticmethod
    def segment(name, *ports, host=(), uplink=(), **segment):
        """A configuration with one segment: guest ports by device or as dict, host ports by name, uplinks by device."""
        out = []
        for kind, names in (("guest", ports), ("host", host), ("uplink", uplink)):
            for port in names:
                port = dict(port) if isinstance(port, dict) else {"name": port}
                if kind != "host":
                    port.setdefault("device", port["name"])
                if kind != "guest":
                    port.setdefault("kind", kind)
                out.append({**port, "segment": name})
        return {"version": 1, "segments": [{"name": name, **segment}], "ports": out}
