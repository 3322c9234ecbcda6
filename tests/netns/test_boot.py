# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The unit that starts a plane at boot: what it takes from the loader, the loader does without."""
import re

import lab

WITHOUT_CAPS = ["NoNewPrivileges", "RestrictAddressFamilies", "RestrictNamespaces", "MemoryDenyWriteExecute", "ProtectSystem=strict",
                "ReadOnlyPaths=/sys /proc/sys", "PrivateDevices", "SystemCallFilter"]
# What ProtectSystem and ReadOnlyPaths make of it: bpffs and /run/vpeer are mounts of their own here.
READ_ONLY = 'mount --bind /proc/sys /proc/sys; for at in / /sys /proc/sys; do mount -o remount,bind,ro $at; done; exec "$@"'


def unit():
    with open(f"{lab.net.ROOT}/dist/vpeer.service", encoding="utf-8") as f:
        return f.read()


def test_the_loader_gets_by_with_the_units_capabilities(net, plane):
    """up before the guests exist, attach when they come, up again, down: as in the unit, by the capabilities it leaves."""
    caps = re.search(r"^CapabilityBoundingSet=(.*)$", unit(), re.M).group(1).lower().replace("cap_", "").split()
    text = "version: 1\nsegments: [{name: lan}]\nports:\n  - {name: g1, device: g1, segment: lan}\n" \
           "  - {name: vp0, kind: host, segment: lan, mac: auto}\n  - {name: wan, kind: uplink, device: eth1, segment: lan}\n"

    def bounded(*words, input=None):
        cmd = ["unshare", "--mount", "--propagation", "slave", "sh", "-ec", READ_ONLY, "sh", "setpriv", "--no-new-privs",
               "--bounding-set", ",".join(["-all", *(f"+{c}" for c in caps)]), "--inh-caps", "-all",
               plane.binary, "--plane", plane.name, *words]
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


def test_the_unit_says_what_it_means():
    for key in WITHOUT_CAPS:
        assert re.search(rf"^{key}", unit(), re.M), key
    assert re.search(r"^Before=.*network\.target", unit(), re.M) and "\nRemainAfterExit=yes\n" in unit()
    # Read-only is all but where the next run looks for pins and notes; a private copy of either would hide them.
    assert re.search(r"^ReadWritePaths=/sys/fs/bpf$", unit(), re.M) and "\nRuntimeDirectoryPreserve=yes\n" in unit()
    assert not re.search(r"^(Private(Mounts|Network|Users)|TemporaryFileSystem|BindPaths|ProtectProc|ProtectKernelTunables)", unit(), re.M)
