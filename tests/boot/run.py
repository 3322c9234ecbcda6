#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The package under a real systemd: a Debian 12 in QEMU, in which it is installed, enabled, rebooted and removed.

usage: tests/isolate.sh tests/boot/run.py        `make boot` builds the package and runs it

The root is a bare Debian 12 and what the package depends on (mmdebstrap), its kernel Debian's own; kept in build/boot.
What it is, all of it under the unit and the udev rule as installed:

    c1  veth of a network namespace      \\
    g1  TAP of a VMM (taprelay)           >  segment lan  ---  wan, an e1000e that udev finds and renames
    vp0 host port, has an address        /

Prints `ok NAME` or `FAIL NAME: WHY`; then what systemd said; the last line counts.
"""
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [f"{TESTS}/vm", TESTS]
os.environ.setdefault("VPT_SLOW", "4")

import vmlab  # noqa: E402
from lab import Net, frames, run  # noqa: E402
from lab.net import ROOT  # noqa: E402

CACHE = f"{ROOT}/build/boot"
PACKAGES = ["systemd-sysv", "udev", "kmod", "iproute2", "iputils-ping"]
MODULE_DIRS = ["arch", "crypto", "lib", "net", "fs/autofs", "fs/configfs", "fs/fuse", "drivers/block", "drivers/net/ethernet/intel", "drivers/virtio",
               "drivers/pps", "drivers/ptp"]
BOOT_MODULES = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"]
WAN_MAC, FAR_MAC = frames.mac(200), frames.mac(201)
CONF = """version: 1
segments: [{name: lan}]
ports:
  - {name: c1, device: c1, segment: lan}
  - {name: g1, device: g1, segment: lan}
  - {name: vp0, kind: host, segment: lan, mac: auto}
  - {name: wan, device: WAN, kind: uplink, segment: lan}
"""
SECOND = "version: 1\nsegments: [{name: lan}]\nports: [{name: lab0, kind: host, segment: lan}, {name: x, device: x, segment: lan}]\n"
INIT = """#!/bin/busybox sh
B=/bin/busybox
$B mkdir -p /proc /sys /dev /sysroot
$B mount -t devtmpfs devtmpfs /dev
for m in $($B cat /modules); do $B insmod "$m"; done
for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /dev/vda ] && break; $B sleep 1; done
$B mount -t ext4 /dev/vda /sysroot
$B cp -a /payload/. /sysroot/
$B ln -sf ../vp-agent.service /sysroot/etc/systemd/system/multi-user.target.wants/vp-agent.service
$B mount -o move /dev /sysroot/dev
exec $B switch_root /sysroot /sbin/init
"""
# The protocol of vmlab's agent, as a unit that comes last.
AGENT = """#!/bin/bash
exec </dev/ttyS1 >/dev/ttyS1
stty raw -echo
systemctl is-system-running --wait >/run/state
echo READY
while read -r id line; do
	base64 -d <<<"$line" >/run/cmd.$id
	bash /run/cmd.$id >/run/out.$id 2>&1 </dev/null
	echo "RC $id $?"
	base64 /run/out.$id
	echo "END $id"
done
"""
AGENT_UNIT = """[Unit]
Description=command agent of the test
[Service]
Type=exec
ExecStart=/usr/local/sbin/vp-agent
[Install]
WantedBy=multi-user.target
"""
# Guests as a user would start them: after the plane, knowing nothing of it.
GUESTS = """#!/bin/bash
set -e
ip netns add c
ip link add c1 type veth peer name eth0 netns c
ip link set c1 up
ip -n c addr replace 198.18.0.11/24 dev eth0
ip -n c link set eth0 up
until ip link set g1 up && ip -n g link set eth0 up; do sleep 0.2; done 2>/dev/null
ip -n g addr replace 198.18.0.12/24 dev eth0
ip addr replace 198.18.0.1/24 dev vp0
ip link set vp0 up
"""
UNITS = {"vp-agent": AGENT_UNIT, "vmm": """[Unit]
Description=VMM of a guest
After=vpeer.service
[Service]
Type=exec
ExecStartPre=ip netns add g
ExecStart=/usr/local/sbin/taprelay /proc/1/ns/net g1 /run/netns/g eth0
""", "guests": """[Unit]
Description=guests of the test
After=vpeer.service vmm.service
Requires=vmm.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/guests
TimeoutStartSec=120
[Install]
WantedBy=multi-user.target
"""}


# ---- the machine -----------------------------------------------------------------------------------------------------

def package():
    """(file, names it depends on)"""
    deb = f"{ROOT}/build/deb/" + [f for f in os.listdir(f"{ROOT}/build/deb") if re.match(r"vpeer_.*\.deb$", f)][0]
    depends = run(["dpkg-deb", "-f", deb, "Depends"]).stdout
    return deb, re.findall(r"(?:^|, )([a-z0-9.+-]+)", depends)


def install_modules(tree, root):
    """Those parts of a kernel's modules that a machine without sound and wireless needs, as depmod knows them."""
    version = os.listdir(f"{tree}/lib/modules")[0]
    target = f"{root}/lib/modules/{version}"
    for part in MODULE_DIRS:
        if os.path.isdir(f"{tree}/lib/modules/{version}/kernel/{part}"):
            shutil.copytree(f"{tree}/lib/modules/{version}/kernel/{part}", f"{target}/kernel/{part}")
    for name in ("drivers/net/veth.ko", "drivers/net/tun.ko", "drivers/net/virtio_net.ko", "drivers/net/net_failover.ko"):
        os.makedirs(os.path.dirname(f"{target}/kernel/{name}"), exist_ok=True)
        shutil.copy2(f"{tree}/lib/modules/{version}/kernel/{name}", f"{target}/kernel/{name}")
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        if os.path.exists(f"{tree}/lib/modules/{version}/{name}"):
            shutil.copy2(f"{tree}/lib/modules/{version}/{name}", target)
    run(["depmod", "-b", root, version], timeout=120)


def disk(tree, depends):
    """An ext4 image with a bare Debian 12, the packages and the modules; made once."""
    packages = sorted({*PACKAGES, *depends})
    stamp = hashlib.sha256(" ".join([*packages, tree, *MODULE_DIRS]).encode()).hexdigest()[:12]
    image, root = f"{CACHE}/disk-{stamp}.img", f"{CACHE}/root-{stamp}"
    if os.path.exists(image):
        return image
    os.makedirs(CACHE, exist_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}",
         '--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Check-Date "false"', "bookworm", root], timeout=600)
    install_modules(tree, root)
    with open(f"{root}/etc/hostname", "w", encoding="ascii") as f:
        f.write("boot\n")
    # systemd fills it in at the first boot; `mac: auto` hangs on it
    open(f"{root}/etc/machine-id", "w", encoding="ascii").close()
    run(["mke2fs", "-q", "-t", "ext4", "-d", root, f"{image}.new", "1200M"], timeout=300)
    os.replace(f"{image}.new", image)
    shutil.rmtree(root)
    return image


def boot_files(deb):
    """(kernel, initramfs): the latter mounts the disk, lays the payload on it and leaves."""
    tree = vmlab.unpacked(vmlab.MACHINE_KERNEL, meta=True)
    kernel = [f for f in os.listdir(f"{tree}/boot") if f.startswith("vmlinuz-")][0]
    modules = vmlab.modules_in_order(f"{tree}/lib/modules", BOOT_MODULES)
    relay = f"{CACHE}/taprelay"
    os.makedirs(CACHE, exist_ok=True)
    run(["gcc", "-static", "-std=gnu11", "-O2", "-o", relay, f"{TESTS}/lab/taprelay.c", "-pthread"], timeout=60)
    archive = vmlab.Cpio()
    archive.add("init", INIT.encode())
    archive.add("modules", "\n".join(f"/lib/mod/{os.path.basename(m)}" for m in modules).encode() + b"\n", 0o100644)
    archive.device("dev/console", 5, 1)
    archive.copy("bin/busybox", f"{vmlab.unpacked('busybox-static')}/bin/busybox")
    for module in modules:
        archive.copy(f"lib/mod/{os.path.basename(module)}", module)
    archive.copy("payload/root/vpeer.deb", deb)
    archive.copy("payload/usr/local/sbin/taprelay", relay)
    for name, text in {"vp-agent": AGENT, "guests": GUESTS}.items():
        archive.add(f"payload/usr/local/sbin/{name}", text.encode())
    for name, text in UNITS.items():
        archive.add(f"payload/etc/systemd/system/{name}.service", text.encode(), 0o100644)
    archive.directory("payload/etc/systemd/system/multi-user.target.wants")
    archive.write(f"{CACHE}/initramfs")
    return f"{tree}/boot/{kernel}", f"{CACHE}/initramfs"


class Booted(vmlab.Vm):
    """A machine with a disk, whose changes last as long as QEMU, and an e1000e with a cable; it may reboot."""

    def __init__(self, net, boot, image):
        super().__init__(net, "boot", boot, list(vmlab.CPU), "net.ifnames=1 panic=0", memory=768, smp=2)
        near, far = f"{self.scratch}/wire", f"{self.scratch}/nic"
        self.wire = vmlab.Wire(near, far)
        net.at_close(self.wire.close)
        self.nics += ["-drive", f"file={image},if=virtio,format=raw,snapshot=on",
                      "-netdev", f"dgram,id=n,local.type=unix,local.path={far},remote.type=unix,remote.path={near}",
                      "-device", f"e1000e,netdev=n,mac={WAN_MAC}"]

    def command(self):
        return [word for word in super().command() if word != "-no-reboot"]

    def ports(self):
        """Ports by name, as `show --json` has them."""
        return {p["name"]: p for p in json.loads(self.run("vpeer --json show")[1])["ports"]}

    def wait_ports(self, seconds=30):
        """Ports, once all are up, or as they are then."""
        end = time.monotonic() + seconds * vmlab.SLOW
        while True:
            ports = self.ports()
            if all(p["state"] == "up" for p in ports.values()) or time.monotonic() > end:
                return ports
            time.sleep(1)


# ---- what is seen ----------------------------------------------------------------------------------------------------

class Checks:
    """Named checks; one that fails is told and the next is made."""

    def __init__(self, machine):
        self.machine, self.passed, self.failed, self.started = machine, 0, 0, time.monotonic()

    def __call__(self, name, good, why=""):
        if good:
            self.passed += 1
            print(f"ok {name} ({time.monotonic() - self.started:.0f} s)", flush=True)
        else:
            self.failed += 1
            print(f"FAIL {name}: {why}", flush=True)

    def run(self, name, cmd, want=0, timeout=120):
        """A command in the machine and its exit code."""
        rc, out = self.machine.run(cmd, check=False, timeout=timeout)
        self(name, rc == want, f"{cmd}: exit {rc}\n{out}")
        return out

    def equal(self, name, have, want):
        self(name, have == want, f"{have!r}, not {want!r}")


def plane_works(check, when):
    """Every port is up, and every pair that matters talks."""
    machine = check.machine
    ports = machine.wait_ports()
    check.equal(f"{when}: every port is up", {n: p["state"] for n, p in ports.items()},
                dict.fromkeys(("c1", "g1", "vp0", "wan"), "up"))
    check.equal(f"{when}: the TAP's carrier", ports["g1"]["carrier"], "xdp")
    check.run(f"{when}: guest to host", "ip netns exec c ping -c 3 -W 5 198.18.0.1")
    check.run(f"{when}: guest to guest", "ip netns exec c ping -c 3 -W 5 198.18.0.12")
    machine.wire.drain()
    machine.wire.send(frames.arp_request(FAR_MAC, "198.18.0.99", "198.18.0.12"))
    answer = machine.wire.recv_match(lambda f: f[12:14] == b"\x08\x06" and f[20:22] == b"\x00\x02", timeout=10)
    check(f"{when}: the world to a guest", answer is not None, "no answer to an ARP request through the NIC")
    check.run(f"{when}: nothing differs from the file", "vpeer diff --exit-code")


def quiet(check, when):
    """Neither the unit nor the rule has anything to complain about."""
    out = check.machine.run("journalctl -b -q -o cat -u vpeer.service -u 'vpeer@*' -u 'vpeer-watch@*' | grep -iE 'warn|fail|cannot|not permitted|read-only'; "
                            "journalctl -b -q -o cat -u systemd-udevd.service | grep -i vpeer", check=False)[1]
    check.equal(f"{when}: nothing in the journal", out, "")


def installed(check):
    """The package alone: there, and idle."""
    machine = check.machine
    check.run("apt installs the package", "cd /root && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "
              "./vpeer.deb", timeout=180)
    check.run("it is not enabled", "systemctl is-enabled vpeer.service", want=1)
    check.run("it is not running", "systemctl is-active vpeer.service", want=3)
    check.run("it runs", "vpeer --version && test -s /usr/share/bash-completion/completions/vpeer")
    check.run("without a file the unit fails", "systemctl start vpeer.service", want=1)
    check("and says why", "/etc/vpeer/plane.yaml" in machine.run("journalctl -q -o cat -u vpeer.service")[1], "")
    machine.run("systemctl reset-failed vpeer.service; journalctl --rotate -q; journalctl --vacuum-time=1s -q")
    wan = machine.run(f"grep -l {WAN_MAC} /sys/class/net/*/address | cut -d/ -f5")[1].strip()
    check("udev has renamed the NIC", re.match(r"en", wan), wan)
    machine.run("mkdir -p /etc/vpeer")
    machine.put("/etc/vpeer/plane.yaml", CONF.replace("WAN", wan))


def enabled(check):
    """enable --now, then the guests: they join by the rule."""
    check.run("the unit is enabled and started", "systemctl enable --now vpeer.service")
    check.equal("guests are waited for", sorted(n for n, p in check.machine.ports().items() if p["state"] == "waiting"), ["c1", "g1"])
    check.run("guests come", "systemctl enable --now guests.service")
    plane_works(check, "started")
    check("reload changes nothing", "nothing to change" in check.run(
        "reload", "systemctl reload vpeer.service && journalctl -q -o cat -u vpeer.service | tail -n 5"), "it did")
    check.run("an upgrade of the package leaves the plane", "dpkg -i /root/vpeer.deb && test -e /sys/fs/bpf/vpeer/default")
    plane_works(check, "after an upgrade")
    check.run("the optional service", "systemctl enable --now vpeer-watch@default.service")
    check.run("it takes back what returns", "ip link del c1 && ip netns del c && systemctl restart guests.service", timeout=180)
    plane_works(check, "with watch")
    check.machine.put("/etc/vpeer/lab.yaml", SECOND)
    check.run("a second plane", "systemctl enable --now vpeer@lab vpeer-watch@lab && test -e /sys/fs/bpf/vpeer/lab")
    quiet(check, "started")
    out = check.machine.run("systemd-analyze --no-pager security vpeer.service | tail -n 1", check=False)[1]
    exposure = re.search(r": ([0-9.]+)", out)
    check(f"exposure by systemd-analyze: {exposure and exposure.group(1)}", exposure and float(exposure.group(1)) < 3, out)


def rebooted(check):
    """All comes back by itself."""
    machine = check.machine
    addresses = machine.run("cat /sys/class/net/vp0/address")[1]
    machine.run("(sleep 1; systemctl reboot) >/dev/null 2>&1 &")
    machine.wait(75)
    check.equal("rebooted: systemd is content", machine.run("cat /run/state")[1].strip(), "running")
    check.run("rebooted: the unit is active", "systemctl is-active vpeer.service vpeer-watch@default.service guests.service")
    check.run("rebooted: the second plane, too", "systemctl is-active vpeer@lab vpeer-watch@lab && vpeer --plane lab diff --exit-code -f /etc/vpeer/lab.yaml")
    plane_works(check, "rebooted")
    check.equal("rebooted: `mac: auto` is the same", machine.run("cat /sys/class/net/vp0/address")[1], addresses)
    quiet(check, "rebooted")
    up = machine.run("systemctl show -P ExecMainStartTimestampMonotonic -P ExecMainExitTimestampMonotonic vpeer")[1].split()
    guests = int(machine.run("systemctl show -P ExecMainStartTimestampMonotonic guests.service")[1] or 0)
    check("rebooted: the plane was there before its guests", int(up[1]) < guests or not guests, f"{up} {guests}")
    print(f"   `vpeer up` at boot took {(int(up[1]) - int(up[0])) / 1e6:.2f} s (emulated)")


def removed(check):
    """The plane goes with the package, and nothing is left."""
    check.run("the package is removed", "apt-get purge -y vpeer", timeout=180)
    check.run("no pins, no host port, no program", "! systemctl is-active vpeer-watch@default && "
              "! ls -d /sys/fs/bpf/vpeer /sys/class/net/vp0 2>/dev/null && ! ip link | grep xdp && "
              "! ls -A /run/vpeer 2>/dev/null | grep .")
    quiet(check, "removed")


def main():
    """Boots, checks, counts."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("tests/boot: out of time"))
    deb, depends = package()
    boot = boot_files(deb)
    image = disk(vmlab.unpacked(vmlab.MACHINE_KERNEL, meta=True), depends)
    with Net("boot") as net:
        machine = Booted(net, boot, image)
        check = Checks(machine)
        try:
            machine.start().wait(75)
            for part in (installed, enabled, rebooted, removed):
                part(check)
        except (AssertionError, RuntimeError, OSError, TypeError, KeyError) as error:
            check("the machine answers", False, f"{error}\n{machine.log()}")
        if check.failed:
            print(machine.run("systemctl --no-pager status vpeer guests vmm; journalctl -b --no-pager | tail -n 60; "
                              "vpeer show", check=False)[1]
                  if machine.process.poll() is None and machine.link else machine.log())
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
