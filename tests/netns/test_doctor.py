# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
`doctor`: each finding is provoked on real devices, with a control that shows it silent before and after.

Not here: what needs a physical NIC, an older kernel, or native XDP on a veth (tests/unit/test_doctor.c, tests/matrix).
"""
import fcntl
import json
import os
import re
from types import SimpleNamespace

import pytest

from lab import wait_until
from lab.ns import run
from lab.plane import PIN_ROOT
from test_undo import Host, killed, points


def found(plane, *args):
    """{(id, object): finding} of what is not fixed; the exit code must fit."""
    done = plane.run(["doctor", *args], check=False, json_out=True)
    told = json.loads(done.stdout)
    assert told["schema"] == 1 and done.stderr == ""
    left = {(f["id"], f["object"]): f for f in told["findings"] if not f["fixed"]}
    assert done.returncode == (1 if any(f["severity"] == "error" for f in left.values()) else 0), (done.returncode, left)
    return left


def fixed(plane):
    """The same of what `doctor --fix` has fixed."""
    told = plane.json("doctor", "--fix", check=False)
    return {(f["id"], f["object"]) for f in told["findings"] if f["fixed"]}


def ids(plane):
    return set(found(plane))
pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def taps(net, plane):
    """Three TAPs in a segment, and doctor has nothing to say."""
    made = [net.tap(f"tap{i}") for i in range(3)]
    plane.up(plane.segment("lan", "tap0", "tap1", "tap2"))
    assert ids(plane) == set()
    return made


def run_command(plane, finding):
    """The finding's own command, as a user would copy it."""
    plane.ns.sh(re.sub("(^|; )vpeer ", rf"\1{plane.binary} ", finding["command"]))


# ---- the verb ----

def test_a_healthy_plane_has_no_finding(net, plane):
    """Every kind of port, as people have them: notes at most, and each of them true."""
    net.vm_guest(1)
    net.tap("tap0"), net.uplink("up0")
    plane.up(plane.segment("lan", "g1", "tap0", host=["vp0"], uplink=["up0"]))
    net.host.up("vp0")
    left = found(plane)
    assert set(left) == {("veth-gro-off", "port vp0"), ("veth-gro-off", "port up0")}
    assert all(f["severity"] == "note" for f in left.values())
    text = plane.run("doctor").stdout
    assert f"plane {plane.name}: 0 errors, 0 warnings, 2 notes" in text and "$ ethtool -K vp0 gro on" in text
    assert all(len(line) < 80 for line in text.splitlines())


def test_without_a_plane_it_looks_at_the_host(net, plane):
    done = net.host.run([plane.binary, "doctor"])
    assert done.stdout.startswith("host, no plane: 0 errors, 0 warnings")
    told = json.loads(net.host.run([plane.binary, "--json", "doctor", "--fix"]).stdout)
    assert told["plane"] is None and told["findings"] == []
    assert not os.path.exists("/run/vpeer/default"), "nothing was made"


@pytest.mark.parametrize("args, code, says", [
    (["doctor", "--mend"], 2, "--mend"), (["doctor", "--fix", "x"], 2, "usage"), (["doctor"], 1, "no such plane"),
    (["doctor", "--vfio"], 1, "no such plane")])
def test_usage_and_absent_planes(plane, args, code, says):
    done = plane.run(args, check=False)
    assert done.returncode == code and says in done.stderr and done.stdout == "" and len(done.stderr.splitlines()) == 1


def test_from_another_namespace_it_is_refused(net, plane, taps):
    home, plane.ns = plane.ns, net.world
    done = plane.run("doctor", check=False)
    plane.ns = home
    assert done.returncode == 1 and "another network namespace" in done.stderr and done.stdout == ""


def snapshot(net):
    return Host.snapshot(SimpleNamespace(ns=net.host))


def test_it_changes_nothing_and_needs_no_lock(net, plane, taps):
    taps[2].close()
    net.host.down("tap1")
    before = snapshot(net), plane.pins(), plane.show()
    fd = os.open(f"/run/vpeer/{plane.name}", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        assert len(found(plane)) >= 2
    finally:
        os.close(fd)
    assert (snapshot(net), plane.pins(), plane.show()) == before


# ---- what stops frames ----

def test_a_returned_device_needs_attach(net, plane, taps):
    taps[1].close()
    left = found(plane)
    assert set(left) == {("device-absent", "port tap1"), ("stale-link", "port tap1")}
    net.tap("filler"), net.tap("tap1")
    left = found(plane)
    assert left["needs-attach", "port tap1"]["severity"] == "error" and plane.port("tap1")["state"] == "waiting"
    assert fixed(plane) == {("needs-attach", "port tap1"), ("stale-link", "port tap1")}
    assert ids(plane) == set() and plane.port("tap1")["state"] == "up"


@pytest.mark.parametrize("side", ["ingress", "egress"])
def test_a_removed_filter_needs_attach(net, plane, taps, side):
    net.host.run(f"tc filter del dev tap0 {side}")
    left = found(plane)
    assert set(left) == {("needs-attach", "port tap0")} and side in left["needs-attach", "port tap0"]["reason"]
    run_command(plane, left["needs-attach", "port tap0"])
    assert ids(plane) == set()


def test_a_removed_xdp_program_needs_attach(net, plane, taps):
    os.unlink(f"{PIN_ROOT}/{plane.name}/links/xdp_tap0")
    wait_until(lambda: "xdp" not in net.host.link("tap0"), what="the kernel takes the program off")
    assert ids(plane) == {("needs-attach", "port tap0")}
    assert fixed(plane) == {("needs-attach", "port tap0")} and ids(plane) == set()


def test_a_stale_pin_goes(net, plane, taps):
    taps[0].close()
    assert "links/xdp_tap0" in plane.pins()
    assert ("stale-link", "port tap0") in fixed(plane)
    assert ids(plane) == {("device-absent", "port tap0")} and "links/xdp_tap0" not in plane.pins()


def test_device_down(net, plane, taps):
    net.host.down("tap1")
    left = found(plane)
    assert set(left) == {("device-down", "port tap1")} and left["device-down", "port tap1"]["severity"] == "warning"
    assert fixed(plane) == {("device-down", "port tap1")} and ids(plane) == set()
    assert "UP" in net.host.link("tap1")["flags"]
    plane.down()
    assert "UP" not in net.host.link("tap1")["flags"], "it was down before"


def test_a_host_port_that_is_down(net, plane):
    plane.up(plane.segment("lan", host=["vp0", "vp1"]))
    net.host.up("vp1")
    assert ids(plane) == {("device-down", "port vp0")}
    assert fixed(plane) == {("device-down", "port vp0")} and ids(plane) == set()
    assert plane.port("vp0")["state"] == "up"
    net.host.ip("link set vp0-p down")
    assert found(plane)["device-down", "port vp0"]["command"] == "ip link set dev vp0-p up"


def test_a_deleted_host_interface(net, plane):
    plane.up(plane.segment("lan", host=["vp0"]))
    net.host.delete("vp0")
    left = found(plane)
    assert "`up` makes it anew" in left["device-absent", "port vp0"]["reason"]
    assert left["device-absent", "port vp0"]["command"] == f"vpeer --plane {plane.name} up"


def test_a_device_in_a_bridge(net, plane, taps):
    net.bridge(net.host, "br0", ["tap0"])
    left = found(plane)
    assert set(left) == {("device-master", "port tap0")} and "br0" in left["device-master", "port tap0"]["reason"]
    assert plane.attach(check=False).returncode == 3, "as the reason says"
    assert fixed(plane) == {("device-master", "port tap0")} and ids(plane) == set()
    plane.attach()
    plane.down()
    assert net.host.link("tap0")["master"] == "br0", "put back"


def test_a_device_in_a_bridge_that_a_port_waits_for(net, plane, taps):
    plane.run("port add late device=tap9 segment=lan")
    assert ids(plane) == {("device-absent", "port late")}
    net.tap("tap9")
    net.bridge(net.host, "br0", ["tap9"])
    left = found(plane)
    assert set(left) == {("device-master", "port late")}, "`attach`, which needs-attach names, would be refused"
    told = left["device-master", "port late"]
    assert told["severity"] == "error" and "br0" in told["reason"] and "waits" in told["reason"]
    assert "device-master" in plane.run("doctor", check=False).stdout
    assert fixed(plane) == set() and net.host.link("tap9")["master"] == "br0", "the bridge may be the host's own"
    run_command(plane, told)
    assert ids(plane) == set() and plane.port("late")["state"] == "up"


def test_a_renamed_device(net, plane, taps):
    net.host.ip("link set tap0 down", "link set tap0 name new0", "link set new0 up")
    left = found(plane)
    assert set(left) == {("device-renamed", "port tap0")}
    run_command(plane, left["device-renamed", "port tap0"])
    assert ids(plane) == set()


@pytest.fixture
def uplink(net, plane):
    net.uplink("up0")
    plane.up(plane.segment("lan", uplink=["up0"]))
    assert ids(plane) == set()
    return "up0"


def test_an_uplink_that_is_not_promiscuous_any_more(net, plane, uplink):
    net.host.ip("link set up0 promisc off")
    assert ids(plane) == {("uplink-not-promisc", "port up0")}
    assert fixed(plane) == {("uplink-not-promisc", "port up0")} and ids(plane) == set()
    plane.down()
    assert "PROMISC" not in net.host.link("up0")["flags"]


def test_an_uplink_that_was_given_an_address(net, plane, uplink):
    net.host.ip("addr add 198.18.0.7/15 dev up0")
    left = found(plane)
    assert set(left) == {("uplink-address", "port up0")} and not left["uplink-address", "port up0"]["fixable"]
    assert fixed(plane) == set() and "198.18.0.7" in net.host.run("ip addr show dev up0").stdout
    run_command(plane, left["uplink-address", "port up0"])
    assert ids(plane) == set()


def test_nobody_at_the_other_end(net, plane, uplink):
    tap = net.tap("tap0", persist=True)
    plane.run("port add tap0 device=tap0 segment=lan")
    assert ("far-end-down", "port tap0") not in ids(plane)
    tap.close()
    assert "no program has tap0 open" in found(plane)["far-end-down", "port tap0"]["reason"]
    net.world.down("eth0")
    assert "other end of up0" in found(plane)["far-end-down", "port up0"]["reason"]
    net.world.up("eth0")
    assert ("far-end-down", "port up0") not in ids(plane)
    tap.delete()


# ---- MTU ----

def test_unequal_mtus_in_a_segment(net, plane, taps):
    net.host.ip("link set tap1 mtu 1400")
    left = found(plane)
    assert set(left) == {("mtu-differs", "port tap1")} and not left["mtu-differs", "port tap1"]["fixable"]
    run_command(plane, left["mtu-differs", "port tap1"])
    assert ids(plane) == set()


def test_unequal_mtus_across_a_binding(net, plane, taps):
    plane.run("port set tap0 segment="), plane.run("port set tap1 segment="), plane.run("bind tap0 tap1")
    assert ids(plane) == set()
    net.host.ip("link set tap1 mtu 2000")
    assert ids(plane) == {("mtu-differs", "port tap0")}
    net.host.ip("link set tap1 mtu 1500", "link set tap2 mtu 2000")
    assert ids(plane) == set(), "the third one is alone in its segment"


def test_unequal_ends_of_a_veth(net, plane):
    plane.up(plane.segment("lan", host=["vp0"]))
    net.host.up("vp0")
    assert ids(plane) == set()
    net.host.ip("link set vp0 mtu 1400")
    left = found(plane)
    assert set(left) == {("veth-mtu", "port vp0")}
    run_command(plane, left["veth-mtu", "port vp0"])
    assert ids(plane) == set()


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_check_warns_of_unequal_mtus(net, plane, user):
    conf = json.dumps(plane.segment("lan", "tap0", "tap1", {"name": "far", "device": "nodev0"}))
    as_user = [] if user == "root" else ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
    check = [*as_user, plane.binary, "check", "-"]
    os.chmod(os.path.dirname(plane.binary), 0o755)
    net.tap("tap0"), net.tap("tap1")
    assert net.host.run(check, input=conf).stderr == ""
    net.host.ip("link set tap0 mtu 1400")
    done = net.host.run(check, input=conf)
    assert "ok: 3 ports" in done.stdout and len(done.stderr.splitlines()) == 1
    assert "tap0 has MTU 1400, port tap1 in segment lan has 1500" in done.stderr
    net.host.ip("link set tap1 mtu 1400")
    assert net.host.run(check, input=conf).stderr == ""


# ---- what makes frames slow ----

@pytest.mark.parametrize("finding, options", [
    ("tap-blocking", {"nonblock": False}), ("tap-napi-frags", {"napi_frags": True}), ("tap-sndbuf", {"sndbuf": 100000})])
def test_a_tap_whose_frames_take_the_generic_path(net, plane, taps, finding, options):
    """The control: beside it are TAPs that are open the right way, and NAPI without FRAGS is no finding."""
    net.tap("slow0", **options), net.tap("napi0", napi=True), net.tap("two0", queues=os.cpu_count() or 1)
    for tap in ("slow0", "napi0", "two0"):
        plane.run(f"port add {tap} device={tap} segment=lan")
    left = found(plane)
    assert set(left) == {(finding, "port slow0")}
    assert f"process {os.getpid()} (" in left[finding, "port slow0"]["reason"] and not left[finding, "port slow0"]["fixable"]
    run_command(plane, left[finding, "port slow0"])
    assert ids(plane) == set(), "tc does not care"


def test_a_descriptor_that_becomes_blocking_under_a_live_plane(net, plane, taps):
    os.set_blocking(taps[1].fds[0], True)
    assert ids(plane) == {("tap-blocking", "port tap1")}
    os.set_blocking(taps[1].fds[0], False)
    assert ids(plane) == set()


def test_a_tap_of_the_same_name_elsewhere_does_not_count(net, plane, taps):
    net.tap("tap1", ns=net.world, nonblock=False)
    assert ids(plane) == set()


def test_queues_of_a_tap(net, plane, taps):
    cpus = os.cpu_count() or 1
    if cpus < 2:
        pytest.skip("one CPU: no TAP has fewer queues")
    tap = net.tap("mq0", queues=cpus)
    plane.run("port add mq0 device=mq0 segment=lan")
    assert ids(plane) == set()
    os.close(tap.fds.pop())
    assert ids(plane) == {("tap-queues", "port mq0")}


def test_a_tap_without_a_virtio_header(net, plane, taps):
    net.tap("bare0", vnet=False)
    plane.run("port add bare0 device=bare0 segment=lan")
    assert ids(plane) == {("tap-no-vnet-hdr", "port bare0")}


def test_generic_mode_that_was_asked_for(net, plane, taps):
    plane.run("port set tap0 mode=generic")
    left = found(plane)
    assert set(left) == {("mode-generic", "port tap0")}
    run_command(plane, left["mode-generic", "port tap0"])
    assert ids(plane) == set()


def test_generic_mode_that_was_not_asked_for(net, plane, taps):
    """A loader that dies after it has attached and before it has switched leaves that."""
    host = SimpleNamespace(ns=net.host, plane=plane)
    calls = points(host, "port set tap0 mode=generic")["bpf"]
    for n in range(calls, 0, -1):
        plane.run("port set tap0 mode=native")
        assert ids(plane) == set()
        killed(host, "port set tap0 mode=generic", "bpf", n)
        if ids(plane) == {("xdp-generic", "port tap0")}:
            break
    assert ids(plane) == {("xdp-generic", "port tap0")}
    assert fixed(plane) == {("xdp-generic", "port tap0")} and ids(plane) == set()
    assert net.host.link("tap0")["xdp"]["mode"] == 1


def here_veth(net, name):
    """A veth with both ends in the plane's namespace, as a container has before its end is moved."""
    net.veth((net.host, name), (net.host, f"{name}x"))


def test_gro_off_at_the_other_end(net, plane, taps):
    here_veth(net, "va")
    before = net.host.ethtool("-k vax").stdout
    plane.run("port add va device=va segment=lan")
    left = found(plane)
    assert set(left) == {("veth-gro-off", "port va")} and not plane.port("va")["xdp_target"]
    assert left["veth-gro-off", "port va"]["command"] == "ethtool -K vax gro on"
    assert fixed(plane) == {("veth-gro-off", "port va")} and ids(plane) == set()
    assert plane.port("va")["xdp_target"], "and the plane knows"
    assert net.host.ethtool("-k vax").stdout != before
    plane.down()
    assert net.host.ethtool("-k vax").stdout == before


def test_more_queues_at_the_other_end(net, plane, taps):
    """Then the kernel takes all of XDP from a veth; GRO has nothing to do with it."""
    net.veth((net.host, "va"), (net.host, "vax"), options="numrxqueues 4 numtxqueues 4")
    net.host.run("ethtool -L va rx 1 tx 1", check=False), net.host.run("ethtool -L vax rx 1 tx 1", check=False)
    net.host.ethtool("-K vax gro on")
    plane.run("port add va device=va segment=lan")
    assert ids(plane) == set()
    net.host.ethtool("-L vax tx 4")
    left = found(plane)
    assert ("veth-queues", "port va") in left and ("veth-gro-off", "port va") not in left, left
    run_command(plane, left["veth-queues", "port va"])
    assert ids(plane) == set()


def test_gro_off_does_not_matter_where_nothing_comes_by_xdp(net, plane):
    here_veth(net, "va"), here_veth(net, "vb")
    plane.up(plane.segment("lan", "va", "vb"))
    assert ids(plane) == set()


def test_the_plane_learns_what_a_device_can_do_now(net, plane, taps):
    guest = net.veth_guest(1)
    plane.run("port add g1 device=g1 segment=lan")
    assert ids(plane) == {("veth-gro-off", "port g1")} and not found(plane)["veth-gro-off", "port g1"]["fixable"]
    guest.ns.ethtool("-K eth0 gro on")
    left = found(plane)
    assert set(left) == {("target-outdated", "port g1")}
    run_command(plane, left["target-outdated", "port g1"])
    assert ids(plane) == set() and plane.port("g1")["xdp_target"]
    guest.ns.ethtool("-K eth0 gro off")
    assert ("target-outdated", "port g1") in ids(plane)
    assert fixed(plane) == {("target-outdated", "port g1")} and not plane.port("g1")["xdp_target"]


def test_the_kernel_did_not_notice_gro(net, plane, taps):
    """Until Linux 7.2: GRO on while this end is up and the other one is not (KERNEL.md, veth, ordering trap)."""
    here_veth(net, "va")
    plane.run("port add va device=va segment=lan")
    net.host.down("vax")
    net.host.ethtool("-K vax gro on")
    net.host.up("vax")
    left = ids(plane)
    if left == {("target-outdated", "port va")}:
        pytest.skip("this kernel notices")
    assert left == {("veth-xmit-unnoticed", "port va")}
    before = net.host.ethtool("-k vax").stdout, plane.run("showconf").stdout
    assert fixed(plane) == {("veth-xmit-unnoticed", "port va")} and ids(plane) == set()
    assert plane.port("va")["xdp_target"] and (net.host.ethtool("-k vax").stdout, plane.run("showconf").stdout) == before
    plane.down()
    assert net.host.ethtool("-k vax").stdout == before[0], "GRO was on before: nothing to put back"


def test_iptables_on_a_bridge_uplink(net, plane, taps):
    net.bridge(net.host, "br0", [])
    key = "net.bridge.bridge-nf-call-iptables"
    if not os.path.exists("/proc/sys/" + key.replace(".", "/")):
        pytest.skip("no br_netfilter")
    net.host.sysctl(key, 0)
    plane.run("port add world device=br0 kind=uplink segment=lan")
    assert ("bridge-nf", "port world") not in ids(plane)
    net.host.sysctl(key, 1)
    assert ("bridge-nf", "port world") in ids(plane)
    run_command(plane, found(plane)["bridge-nf", "port world"])
    assert ("bridge-nf", "port world") not in ids(plane)


# ---- the host ----

def host_findings(script, binary, *args):
    """{id: finding} of a doctor that a shell runs in a mount namespace of its own, after `script`; in no plane."""
    text = f"set -e; {script}"
    done = run(["unshare", "--mount", "sh", "-c", text, "sh", binary, "--json", "doctor", *args], check=False)
    assert done.stdout, done.stderr
    told = {f["id"]: f for f in json.loads(done.stdout)["findings"]}
    assert done.returncode == (1 if any(f["severity"] == "error" for f in told.values()) else 0)
    return told


GO = 'exec "$@"'
NO_BPFFS = "while umount -l /sys/fs/bpf; do :; done 2>/dev/null"     # the host may have one under that of the tests


@pytest.mark.parametrize("finding, script, also", [
    ("no-capability", 'exec setpriv --bounding-set -perfmon "$@"', set()),
    ("no-capability", 'exec setpriv --bounding-set -net_admin "$@"', set()),
    ("no-btf", f"mount -t tmpfs tmpfs /sys/kernel/btf; {GO}", set()),
    ("jit-off", f"echo 0 >/tmp/jit.$$; mount --bind /tmp/jit.$$ /proc/sys/net/core/bpf_jit_enable; rm /tmp/jit.$$; {GO}", set()),
    ("bpffs-missing", f"{NO_BPFFS}; {GO}", set()),
    ("bpffs-hidden", f"{NO_BPFFS}; mkdir -p /run/vpeer/somewhere; {GO}", set()),
    ("memlock-low", 'ulimit -l 1024; exec setarch --uname-2.6 "$@"', set()),
])
def test_what_the_host_lacks(plane, finding, script, also):
    """BTF, JIT and bpffs are hidden from that process only; the controls are the same process without."""
    drop = "setpriv --bounding-set -sys_admin " if "perfmon" in script else ""
    assert set(host_findings(f'exec {drop}"$@"', plane.binary)) <= ({"no-capability"} if drop else set())
    try:
        told = host_findings(script.replace("setpriv --bounding-set ", "setpriv --bounding-set -sys_admin,") if drop else script,
                             plane.binary)
    finally:
        os.path.isdir("/run/vpeer/somewhere") and os.rmdir("/run/vpeer/somewhere")
    assert set(told) == {finding} | also
    assert told[finding]["object"] == "host" and not told[finding]["fixable"]
    if finding == "no-capability":
        assert ("CAP_PERFMON" if drop else "CAP_NET_ADMIN") in told[finding]["reason"]


def test_memlock_is_enough_for_a_plane(net, plane, taps):
    """The limit that memlock-low asks for is what a plane's maps really take, with room to spare."""
    pins = [p for p in plane.pins() if p.startswith("maps/")]
    total = sum(json.loads(run(f"bpftool -j map show pinned {PIN_ROOT}/{plane.name}/{p}").stdout)["bytes_memlock"] for p in pins)
    assert 16 << 20 < total < 64 << 20, total


def test_an_ordinary_user_is_told_what_is_missing(net, plane, taps):
    os.chmod(os.path.dirname(plane.binary), 0o755)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = net.host.run([*user, plane.binary, "--plane", plane.name, "--json", "doctor"], check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 1 and [f["id"] for f in told["findings"]] == ["no-capability"]
    assert "CAP_BPF CAP_NET_ADMIN CAP_PERFMON" in told["findings"][0]["reason"]


# ---- what loaders left ----

def test_a_plane_of_another_abi(net, plane, taps):
    pin = f"{PIN_ROOT}/{plane.name}/maps/vp_plane"
    value = run(f"bpftool -j map lookup pinned {pin} key 0 0 0 0").stdout
    bytes_now = [str(int(b, 16)) for b in json.loads(value)["value"]]
    run(f"bpftool map update pinned {pin} key 0 0 0 0 value 77 {' '.join(bytes_now[1:])}")
    try:
        left = found(plane)
        assert set(left) == {("plane-other-abi", f"plane {plane.name}")} and "ABI 77" in next(iter(left.values()))["reason"]
        assert fixed(plane) == set() and plane.run("down", check=False).returncode == 1
    finally:
        run(f"bpftool map update pinned {pin} key 0 0 0 0 value {' '.join(bytes_now)}")
    assert ids(plane) == set()


def test_a_half_made_plane(net, plane, taps):
    rest, notes = f"{PIN_ROOT}/+gone{os.getpid()}", f"/run/vpeer/gone{os.getpid()}"
    key = ("plane-half-made", f"plane gone{os.getpid()}")
    os.makedirs(f"{rest}/maps")
    os.makedirs(notes)
    fd = os.open(notes, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert ids(plane) == set(), "a loader is at work on it"
    os.close(fd)
    assert ids(plane) == {key}
    assert fixed(plane) == {key} and not os.path.exists(rest) and not os.path.exists(notes)
    assert ids(plane) == set()


def test_settings_that_were_never_put_back(net, plane, taps):
    net.uplink("up0")
    name = f"lost{os.getpid()}"
    os.makedirs(f"/run/vpeer/{name}")
    assert "empty directory" in found(plane)["plane-leftover", f"plane {name}"]["reason"]
    with open(f"/run/vpeer/{name}/undo", "w", encoding="ascii") as f:
        f.write(f"{net.host.ifindex('up0')} up0 promisc 0 1\n")
    net.host.ip("link set up0 promisc on")
    left = found(plane)
    assert "never put back" in left["plane-leftover", f"plane {name}"]["reason"]
    run_command(plane, left["plane-leftover", f"plane {name}"])
    assert ids(plane) == set() and "PROMISC" not in net.host.link("up0")["flags"]


# ---- --fix and down ----

def test_down_undoes_what_fix_did(net, plane):
    """All at once, on the devices of test_undo: the host is as it was found."""
    host = Host(net, plane)
    here_veth(net, "va")
    host.conf["ports"].append({"name": "va", "device": "va", "segment": "lan"})
    text = json.dumps(host.conf)
    host.ns.down("tap2")
    net.bridge(net.host, "br0", [])
    before = host.snapshot()
    plane.up(text)
    host.ns.ip("link set up0 promisc off")
    assert {("uplink-not-promisc", "port up0"), ("device-down", "port b"), ("veth-gro-off", "port va")} <= fixed(plane)
    again = fixed(plane)
    assert again <= {("veth-gro-off", f"port vp{i}") for i in range(3)}, "what could not be told while they were down"
    assert fixed(plane) == set(), "then there is nothing left to fix"
    during = host.snapshot()
    assert during["features"]["vax"] != before["features"]["vax"] and during["links"]["tap2"] != before["links"]["tap2"]
    plane.down()
    assert host.differences(before) == {}


# ---- VFIO ----

NICS = {
    # address: (class, driver, group, netdev)
    "0000:00:1c.0": ("0x060400", "pcieport", 7, None),
    "0000:03:00.0": ("0x020000", "ixgbe", 7, "eth9"),
    "0000:03:00.1": ("0x020000", "ixgbe", 8, "up0"),
    "0000:04:00.0": ("0x020000", "vfio-pci", 9, None),
    "0000:05:00.0": ("0x020000", "igb", 10, "eth7"),
    "0000:05:00.1": ("0x010802", "nvme", 10, None),
    "0000:06:00.0": ("0x020000", None, None, None),
}


def make_sysfs(top, nics, iommu=True):
    """A tree with what the kernel shows of these devices, links included."""
    for address, (kind, driver, group, netdev) in nics.items():
        device = top / "devices" / "pci0000:00" / address
        device.mkdir(parents=True)
        (device / "class").write_text(kind + "\n")
        (top / "bus/pci/devices").mkdir(parents=True, exist_ok=True)
        (top / "bus/pci/devices" / address).symlink_to(f"../../../devices/pci0000:00/{address}")
        if driver:
            (top / "bus/pci/drivers" / driver).mkdir(parents=True, exist_ok=True)
            (device / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")
        if netdev:
            (device / "net" / netdev).mkdir(parents=True)
        if iommu and group is not None:
            members = top / "kernel/iommu_groups" / str(group) / "devices"
            members.mkdir(parents=True, exist_ok=True)
            (members / address).symlink_to(f"../../../../devices/pci0000:00/{address}")
            (device / "iommu_group").symlink_to(f"../../../kernel/iommu_groups/{group}")
    return top


def vfio(plane, top, json_out=True):
    text = plane.ns.run(["env", f"VPEER_SYSFS={top}", plane.binary, "--plane", plane.name, *(["--json"] if json_out else []), "doctor",
                         "--vfio"]).stdout
    return json.loads(text) if json_out else text


def test_vfio_lists_what_could_be_given_away(net, plane, uplink, tmp_path):
    top = make_sysfs(tmp_path, NICS)
    told = vfio(plane, top)
    assert told["schema"] == 1 and told["iommu"] is True
    nics = {n.pop("address"): n for n in told["nics"]}
    assert list(nics) == ["0000:03:00.0", "0000:03:00.1", "0000:04:00.0", "0000:05:00.0", "0000:06:00.0"]
    assert nics["0000:03:00.0"] == {"device": "eth9", "driver": "ixgbe", "group": 7, "others": [], "port": None, "away": False}
    assert nics["0000:03:00.1"]["port"] == "up0"
    assert nics["0000:04:00.0"] == {"device": None, "driver": "vfio-pci", "group": 9, "others": [], "port": None, "away": True}
    assert nics["0000:05:00.0"]["others"] == ["0000:05:00.1"]
    assert nics["0000:06:00.0"] == {"device": None, "driver": None, "group": None, "others": [], "port": None, "away": False}
    text = vfio(plane, top, json_out=False)
    uses = {line.split()[0]: line.split(maxsplit=5)[5] for line in text.splitlines()[1:6]}
    assert uses == {"0000:03:00.0": "yes", "0000:03:00.1": "used by the plane", "0000:04:00.0": "given away",
                    "0000:05:00.0": "with its group", "0000:06:00.0": "no: no IOMMU"}
    assert "group 10 of 0000:05:00.0 goes as a whole" in text and "no IOMMU:" not in text
    assert all(len(line) < 80 for line in text.splitlines())


def test_vfio_without_iommu_or_pci(plane, uplink, tmp_path):
    told = vfio(plane, make_sysfs(tmp_path / "a", NICS, iommu=False))
    assert told["iommu"] is False and {n["group"] for n in told["nics"]} == {None}
    assert "no IOMMU: " in vfio(plane, tmp_path / "a", json_out=False)
    assert vfio(plane, tmp_path / "nothing") == {"schema": 1, "iommu": False, "nics": []}
    assert "no PCI network controller" in vfio(plane, tmp_path / "nothing", json_out=False)


def test_an_uplink_that_went_to_a_guest(net, plane, uplink, tmp_path):
    net.host.delete("up0")
    assert found(plane)["device-absent", "port up0"]["command"] is None
    top = make_sysfs(tmp_path, NICS)
    done = net.host.run(["env", f"VPEER_SYSFS={top}", plane.binary, "--plane", plane.name, "doctor"], check=False)
    assert "bound to vfio-pci" in " ".join(done.stdout.split()) and "$ vpeer doctor --vfio" in done.stdout


def test_a_pci_address_is_no_device(net, plane):
    done = plane.up(plane.segment("lan", uplink=[{"name": "wan0", "device": "0000:03:00.0"}]), check=False)
    assert done.returncode == 1 and "no PCI address: see vpeer doctor --vfio" in done.stderr and len(done.stderr.splitlines()) == 1
