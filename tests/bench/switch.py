# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Open vSwitch and DPDK's testpmd as peers: Debian's packages, fetched and unpacked under build/, so that none is
installed and no daemon of them runs on the machine but in a row's own turns."""
import contextlib
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time

import lab
from lab.net import ROOT
from measure import Absent

OVS, DPDK = f"{ROOT}/build/ovs", f"{ROOT}/build/dpdk"
SCHEMA = f"{OVS}/usr/share/openvswitch/vswitch.ovsschema"
PATH = ":".join(f"{OVS}/usr/{d}" for d in ("sbin", "bin", "lib/openvswitch-switch")) + ":/usr/sbin:/usr/bin:/sbin:/bin"
LIBRARIES = f"{DPDK}/usr/lib/{os.uname().machine}-linux-gnu"
PMDS = f"{LIBRARIES}/dpdk/pmds-23.0"

DIES = ["setpriv", "--pdeathsig", "KILL"]       # with the benchmark, however that ends


def fetched(target, probe, *packages):
    """Has Debian packages unpacked in `target`, where then `probe` is; once. Absent where there are none."""
    if os.path.exists(probe):
        return
    os.makedirs(target, exist_ok=True)
    try:
        subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages], cwd=target, check=True,
                       timeout=300, capture_output=True)
        for package in glob.glob(f"{target}/*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, target], check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as why:
        raise Absent(f"no Debian package {packages[0]}") from why


def dpdk_packages():
    """testpmd's own, and the libraries and drivers that it would be installed with."""
    done = subprocess.run(["apt-get", "-s", "install", "--no-install-recommends", "dpdk-dev"], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    names = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Inst librte-")]
    return ["dpdk-dev", *names, "ibverbs-providers", "libibverbs1"]


def stop(process):
    """Ends a process, also one that is stopped."""
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def in_turn(process):
    """A context in which the process, whose threads poll, runs; else it doesn't."""
    @contextlib.contextmanager
    def awake():
        process.send_signal(signal.SIGCONT)
        try:
            yield
        finally:
            process.send_signal(signal.SIGSTOP)
    return awake


class Switch:
    """One ovsdb-server and one ovs-vswitchd in net.host, with a directory of their own; they end with the net."""

    def __init__(self, net):
        self.net, self.at = net, tempfile.mkdtemp(prefix="vpt-ovs-")
        net.at_close(lambda: shutil.rmtree(self.at, ignore_errors=True))
        self.env = {"PATH": PATH, "OVS_RUNDIR": self.at, "OVS_LOGDIR": self.at, "OVS_DBDIR": self.at, "HOME": "/"}
        self.db = f"unix:{self.at}/db.sock"
        self.run("ovsdb-tool", "create", f"{self.at}/db", SCHEMA)
        self.start("ovsdb-server", f"{self.at}/db", f"--remote=p{self.db}", f"--unixctl={self.at}/db.ctl")
        lab.wait_until(lambda: not self.vsctl("--no-wait", "init", check=False).returncode, what="ovsdb-server")
        self.daemon = self.start("ovs-vswitchd", self.db, f"--unixctl={self.at}/switch.ctl")

    def run(self, program, *args, check=True):
        return self.net.host.run([shutil.which(program, path=PATH) or program, *args], check=check, env=self.env)

    def vsctl(self, *args, check=True):
        return self.run("ovs-vsctl", f"--db={self.db}", "-t", "10", *args, check=check)

    def start(self, program, *args):
        with open(f"{self.at}/{program}.log", "wb") as out:
            process = self.net.host.popen([*DIES, shutil.which(program, path=PATH), *args], stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=out, env=self.env)

        self.net.at_close(lambda: stop(process))
        return process


def ovs(net, devs, macs=(), afxdp=False):
    """A user-space bridge over devices of net.host, with static MACs, awake in the context returned; by AF_PACKET, or by AF_XDP in
    copy mode with a thread that polls (TAPs only: it attaches native XDP)."""
    fetched(OVS, SCHEMA, "openvswitch-switch", "openvswitch-common")
    switch = Switch(net)
    if afxdp:
        switch.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:pmd-cpu-mask=2")
    kind = ("type=afxdp", "options:xdp-mode=native") if afxdp else ()
    switch.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", *(
        word for dev in devs for word in ("--", "add-port", "br0", dev, *(("--", "set", "interface", dev, *kind) if kind else ()))))
    errors = [e for e in switch.vsctl("--bare", "--columns=error", "list", "interface").stdout.split("\n") if e]
    if errors:
        raise Absent(f"Open vSwitch: {errors[0]}")
    for mac, dev in macs:
        switch.run("ovs-appctl", "-t", f"{switch.at}/switch.ctl", "fdb/add", "br0", dev, "0", mac)
    return in_turn(switch.daemon)


def testpmd(net, one, two):
    """DPDK's testpmd between two TAPs of net.host, by AF_XDP in copy mode, with a thread that polls: it looks at nothing
    of a frame. Awake in the context returned."""
    binary, prefix = f"{DPDK}/usr/bin/dpdk-testpmd", f"vpt-{os.getpid()}-{net.prefix[-6:]}"
    fetched(DPDK, binary, *([] if os.path.exists(binary) else dpdk_packages()))
    vdevs = [word for n, dev in enumerate((one, two)) for word in ("--vdev", f"net_af_xdp{n},iface={dev},force_copy=1")]
    drivers = [word for name in ("net_af_xdp", "mempool_ring") for word in ("-d", f"{PMDS}/librte_{name}.so.23")]
    net.at_close(lambda: shutil.rmtree(f"/run/dpdk/{prefix}", ignore_errors=True))
    log = tempfile.TemporaryFile()
    process = net.host.popen(
        [*DIES, binary, "--no-huge", "-m", "256", "--no-pci", "--no-telemetry", "--file-prefix", prefix, *drivers, *vdevs,
         "-l", "0,1", "--", "--auto-start", "--forward-mode=io", "--total-num-mbufs=8192", "--no-mlockall"],
        stdin=subprocess.PIPE, stdout=log, stderr=log, env={"PATH": PATH, "LD_LIBRARY_PATH": f"{LIBRARIES}:{PMDS}"})
    net.at_close(lambda: stop(process))
    try:
        lab.wait_until(lambda: process.poll() is not None or "xdp" in net.host.link(two), timeout=20, what="testpmd")
    except AssertionError as why:
        raise Absent("testpmd takes no TAPs") from why
    if process.poll() is not None:
        log.seek(0)
        raise Absent(f"testpmd: {log.read().decode(errors='replace').strip().splitlines()[-1]}")
    time.sleep(1)       # then it starts to forward
    return in_turn(process)
