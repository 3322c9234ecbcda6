# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Open vSwitch as a peer, if the machine has it (Debian: openvswitch-switch; suite `bench` of vendor/manifest)."""
import shutil
import subprocess
import tempfile

import lab
from measure import Absent

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


def ovs(net, devs, macs=()):
    """A bridge of its user-space datapath over the devices of net.host, by AF_PACKET, with static MACs; its own
    database and sockets, in a directory of its own."""
    if not shutil.which("ovs-vswitchd") or not shutil.which("ovsdb-server"):
        raise Absent("no Open vSwitch")
    at = tempfile.mkdtemp(prefix="vpt-ovs-")
    net.at_close(lambda: shutil.rmtree(at, ignore_errors=True))
    net.host.run(["ovsdb-tool", "create", f"{at}/db", SCHEMA])
    db = f"unix:{at}/db.sock"
    start(net, ["ovsdb-server", f"{at}/db", f"--remote=p{db}", f"--unixctl={at}/db.ctl"], f"{at}/db.log")
    vsctl = ["ovs-vsctl", f"--db={db}", "--no-wait"]
    lab.wait_until(lambda: net.host.run([*vsctl, "init"], check=False).returncode == 0, what="ovsdb-server")
    start(net, ["ovs-vswitchd", db, f"--unixctl={at}/switch.ctl"], f"{at}/switch.log",
          {"OVS_RUNDIR": at, "OVS_LOGDIR": at, "OVS_DBDIR": at})
    ports = [word for dev in devs for word in ("--", "add-port", "br0", dev)]
    net.host.run([*vsctl[:-1], "-t", "10", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev",
                  f"other_config:mac-table-size={max(2048, len(macs))}", *ports])
    for mac, dev in macs:
        net.host.run(["ovs-appctl", "-t", f"{at}/switch.ctl", "fdb/add", "br0", dev, "0", mac])


def start(net, command, log, env=None):
    """A daemon of Open vSwitch in net.host, stopped with the net."""
    with open(log, "wb") as out:
        process = net.host.popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                 **({"env": {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **env}} if env else {}))

    def stop():
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    net.at_close(stop)
