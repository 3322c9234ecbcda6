# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Open vSwitch as a peer: Debian's package, fetched and unpacked under build/ovs, so that none is installed and no daemon
of it runs on the machine but for a row's time."""
import contextlib
import glob
import os
import shutil
import signal
import subprocess
import tempfile

import lab
from lab.net import ROOT
from measure import Absent

UNPACKED = f"{ROOT}/build/ovs"
SCHEMA = f"{UNPACKED}/usr/share/openvswitch/vswitch.ovsschema"
PATH = ":".join(f"{UNPACKED}/usr/{d}" for d in ("sbin", "bin", "lib/openvswitch-switch")) + ":/usr/sbin:/usr/bin:/sbin:/bin"


def fetched():
    """Has Open vSwitch unpacked, once; Absent where there is no Debian package of it."""
    if os.path.exists(SCHEMA):
        return
    os.makedirs(UNPACKED, exist_ok=True)
    try:
        subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "openvswitch-switch",
                        "openvswitch-common"], cwd=UNPACKED, check=True, timeout=120, capture_output=True)
        for package in glob.glob(f"{UNPACKED}/*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, UNPACKED], check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as why:
        raise Absent("no Debian package of Open vSwitch") from why


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
            process = self.net.host.popen([shutil.which(program, path=PATH), *args], stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=out, env=self.env)

        def stop():
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.net.at_close(stop)
        return process

    @contextlib.contextmanager
    def awake(self):
        """Its threads poll: they run only in its own turns."""
        self.daemon.send_signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.daemon.send_signal(signal.SIGSTOP)


def ovs(net, devs, macs=(), afxdp=False):
    """A Switch with a user-space bridge over devices of net.host, with static MACs; by AF_PACKET, or by AF_XDP in
    copy mode with a thread that polls (TAPs only: it attaches native XDP)."""
    fetched()
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
    return switch
