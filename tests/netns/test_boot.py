# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The unit that starts a plane at boot: what it takes from the loader, the loader does without."""
import os
import re
import signal

import pytest

import lab
from lab import wait_until
from lab.watch import Watch

WITHOUT_CAPS = ["NoNewPrivileges", "RestrictAddressFamilies", "RestrictNamespaces", "MemoryDenyWriteExecute", "ProtectSystem=strict",
                "ReadOnlyPaths=/sys /proc/sys", "PrivateDevices", "SystemCallFilter"]
# What ProtectSystem and ReadOnlyPaths make of it: bpffs and /run/vpeer are mounts of their own here.
READ_ONLY = 'mount --bind /proc/sys /proc/sys; for at in / /sys /proc/sys; do mount -o remount,bind,ro $at; done; exec "$@"'


def unit(name="vpeer.service"):
    with open(f"{lab.net.ROOT}/dist/{name}", encoding="utf-8") as f:
        return f.read()


def bounded_by(text):
    """The command behind which a unit's capabilities, and what it may write to, are all that is left."""
    caps = re.search(r"^CapabilityBoundingSet=(.*)$", text, re.M).group(1).lower().replace("cap_", "").split()
    return ["unshare", "--mount", "--propagation", "slave", "sh", "-ec", READ_ONLY, "sh", "setpriv", "--no-new-privs",
            "--bounding-set", ",".join(["-all", *(f"+{c}" for c in caps)]), "--inh-caps", "-all"]


def test_the_loader_gets_by_with_the_units_capabilities(net, plane):
    """up before the guests exist, attach when they come, up again, down: as in the unit, by the capabilities it leaves."""
    text = "version: 1\nsegments: [{name: lan}]\nports:\n  - {name: g1, device: g1, segment: lan}\n" \
           "  - {name: vp0, kind: host, segment: lan, mac: auto}\n  - {name: wan, kind: uplink, device: eth1, segment: lan}\n"

    def bounded(*words, input=None):
        cmd = [*bounded_by(unit()), plane.binary, "--plane", plane.name, *words]
        done = net.host.run(cmd, check=False, input=input, timeout=60)
        assert done.returncode == 0 and "warning" not in done.stderr, f"{words}: {done.stdout}{done.stderr}"

    world = net.uplink("eth1")
    before = net.host.run("ip -d link show dev eth1").stdout
    bounded("up", "-f", "-", input=text)
    guest = net.vm_guest(1)
    bounded("attach")
    bounded("up", "-f", "-", input=text)
    assert guest.ping(world) and plane.port("g1")["carrier"] == "xdp"
    bounded("down")
    assert net.host.run("ip -d link show dev eth1").stdout == before and not plane.pins()


def test_watch_gets_by_with_its_units_capabilities(net, plane):
    text = unit("vpeer-watch@.service")
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
    up, tap = net.uplink("up0"), net.tap("tap1")
    plane.up({"version": 1, "ports": [{"name": "g1", "device": "tap1"}, {"name": "w", "kind": "uplink", "device": "up0"}],
              "bindings": [{"a": "g1", "b": "w", "propagate": True}]})
    with Watch(plane, prefix=bounded_by(text)) as watch:
        os.set_blocking(tap.fds[0], True)
        watch.kill(signal.SIGHUP)
        watch.wait_log("tap1 is open in blocking mode")
        tap.close()
        wait_until(lambda: "LOWER_UP" not in up.ns.link("eth0")["flags"])
        net.tap("tap1")
        wait_until(lambda: "LOWER_UP" in up.ns.link("eth0")["flags"] and plane.port("g1")["state"] == "up")
        assert watch.end() == 0
    assert "Type=notify" in text and "WatchdogSec=" in text and "Restart=on-failure" in text and "--plane %i watch" in text


@pytest.mark.parametrize("name", ["vpeer.service", "vpeer-watch@.service"])
def test_units_see_what_other_loaders_see(name):
    """Read-only is all but where the next run looks for pins and notes; a private copy of either would hide them."""
    assert not re.search(r"^(Private(Mounts|Network|Users)|TemporaryFileSystem|BindPaths|ProtectProc|ProtectKernelTunables)", unit(name), re.M)
    for key in WITHOUT_CAPS:
        assert re.search(rf"^{key}", unit(name), re.M), key
    assert re.search(r"^ReadWritePaths=/sys/fs/bpf$", unit(name), re.M) and "\nRuntimeDirectoryPreserve=yes\n" in unit(name)


def test_the_unit_says_what_it_means():
    assert re.search(r"^Before=.*network\.target", unit(), re.M) and "\nRemainAfterExit=yes\n" in unit()
