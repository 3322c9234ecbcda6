# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A small network made of namespaces: the plane's host, guests, the world behind an uplink."""
import atexit
import contextlib
import math
import os
import secrets
import signal
import subprocess
import time
import weakref

from . import frames
from .ns import KERNEL, SLOW, Ns, run
from .sniff import Sniffer
from .tap import Tap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_open_nets = weakref.WeakSet()


@atexit.register
def close_all():
    """Removes all nets, whoever made them."""
    for net in list(_open_nets):
        net.close()


def need_kernel(version, what):
    """Skips the test on a kernel before `version`, such as (6, 3); tests/matrix/lacks.txt lists which may be."""
    if KERNEL < version:
        import pytest       # the benchmarks have the lab without it
        pytest.skip(f"{what} came with Linux {version[0]}.{version[1]}")


def wait_until(cond, timeout=5, every=0.05, what=""):
    """Waits for cond() to be true and returns its value; AssertionError after `timeout` seconds."""
    limit = time.monotonic() + timeout * SLOW
    while not (value := cond()):
        if time.monotonic() > limit:
            raise AssertionError(f"not within {timeout} s: {what or cond}")
        time.sleep(every)
    return value


def relay_binary():
    """build/tests/taprelay, built when missing or older than its source."""
    source, binary = f"{ROOT}/tests/lab/taprelay.c", f"{ROOT}/build/tests/taprelay"
    if not os.path.exists(binary) or os.path.getmtime(binary) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(binary), exist_ok=True)
        temporary = f"{binary}.{os.getpid()}"
        run(["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", temporary, source, "-pthread"],
            timeout=60)
        os.replace(temporary, binary)
    return binary


def vlan_object(vid):
    """build/tests/vlan-VID.o: tests/lab/vlan.bpf.c for one VLAN, built when missing or older than its source."""
    source, target = f"{ROOT}/tests/lab/vlan.bpf.c", f"{ROOT}/build/tests/vlan-{vid}.o"
    if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        temporary = f"{target}.{os.getpid()}"
        run(["clang", "-target", "bpf", "-O2", "-g", f"-DVID={vid}", f"-I/usr/include/{os.uname().machine}-linux-gnu",
             "-c", source, "-o", temporary], timeout=60)
        os.replace(temporary, target)
    return target


class Guest:
    """A namespace that behaves as a guest of the plane; `port` is its device on the plane's side."""

    def __init__(self, net, number, ns, dev, port):
        self.net, self.number, self.ns, self.dev, self.port = net, number, ns, dev, port
        self.mac, self.ip, self.ip6 = frames.mac(number), frames.ip(number), frames.ip6(number)
        self.relay, self.relay_args = None, None

    def configure(self):
        """Addresses inside the guest; no router solicitations, no duplicate address detection, no second MLD report a second later."""
        self.ns.sysctl("net.ipv6.conf.default.accept_dad", 0)
        for key, value in (("accept_dad", 0), ("accept_ra", 0), ("router_solicitations", 0), ("mldv2_unsolicited_report_interval", 1)):
            self.ns.sysctl(f"net/ipv6/conf/{self.dev}/{key}", value)
        self.ns.ip(f"link set {self.dev} address {self.mac}",
                   f"link set {self.dev} up",
                   f"addr replace {self.ip}/15 dev {self.dev}",
                   f"addr replace {self.ip6}/64 dev {self.dev} nodad")

    def start(self):
        """Starts the relay of a guest that is a VM and waits until both TAPs exist."""
        if self.relay_args is None:
            return
        self.relay = subprocess.Popen(self.relay_args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.net.processes.append(self.relay)
        if self.relay.stdout.readline().strip() != "ready":
            raise RuntimeError(f"taprelay {self.relay_args}: exit {self.relay.wait(5)}")
        self.configure()

    def kill(self):
        """The VM dies: SIGKILL; its TAP goes too unless it is persistent."""
        self.relay.send_signal(signal.SIGKILL)
        self.relay.wait()
        self.relay.stdout.close()

    def restart(self):
        """The VM comes back with the same addresses; a recreated TAP has another ifindex and is brought up."""
        self.start()
        self.net.host.up(self.port)

    def _ping(self, version, target, count, size, timeout, df):
        address = getattr(target, "ip6" if version == 6 else "ip", target)
        timeout *= SLOW
        cmd = ["ping", f"-{version}", "-n", "-q", "-i", "0.05", "-c", str(count), "-s", str(size), "-W", str(timeout)]
        cmd += (["-M", "do"] if df else []) + ["-w", str(math.ceil(timeout) + count), address]
        done = self.ns.run(cmd, check=False, timeout=timeout + count + 10)
        if "invalid argument" in done.stderr:       # else every negative would be green for a slip of ours
            raise ValueError(done.stderr)
        if done.returncode != 0:        # or the next ping waits for this one's neighbour discovery to time out
            self.ns.run(f"ip -{version} neigh flush dev {self.dev} nud incomplete nud failed", check=False)
        return done.returncode == 0 and f"{count} received" in done.stdout

    def ping(self, target, count=1, size=56, timeout=2, df=False):
        """True if every echo request was answered."""
        return self._ping(4, target, count, size, timeout, df)

    def ping6(self, target, count=1, size=56, timeout=2, df=False):
        return self._ping(6, target, count, size, timeout, df)

    def raw(self, **options):
        """A raw socket on the guest's own end."""
        return self.net.sniffer(self.ns, self.dev, **options)

    def vlan(self, vid):
        """From now on the guest's stack lives in this VLAN of its device, as on a VLAN interface."""
        obj = vlan_object(vid)
        self.ns.run(f"tc qdisc replace dev {self.dev} clsact")
        for hook, section in (("egress", "tc/out"), ("ingress", "tc/in")):
            self.ns.run(f"tc filter replace dev {self.dev} {hook} handle 1 pref 1 bpf da obj {obj} sec {section}")

    def offload(self, features):
        """offload("tso off gso off") on the guest's own end."""
        self.ns.ethtool(f"-K {self.dev} {features}")


class Net:
    """Namespaces and devices of one test; close() removes everything, also after a failure."""

    def __init__(self, tag=""):
        self.prefix = f"vpt-{os.getpid()}-{secrets.token_hex(3)}{'-' + tag if tag else ''}"
        self.spaces, self.taps, self.sniffers, self.processes, self.owner = {}, [], [], [], os.getpid()
        self.closers = []
        _open_nets.add(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ns(self, name):
        """The namespace called NAME in this net; made at the first use."""
        if name not in self.spaces:
            self.spaces[name] = Ns(f"{self.prefix}-{name}")
        return self.spaces[name]

    @property
    def host(self):
        return self.ns("host")

    @property
    def world(self):
        return self.ns("world")

    def close(self):
        if self.owner != os.getpid():       # a forked child must not clean up for its parent
            return
        while self.closers:
            self.closers.pop()()
        for thing in self.sniffers + self.taps:
            with contextlib.suppress(OSError):
                thing.close()
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
        for space in self.spaces.values():
            space.remove()
        self.spaces, self.taps, self.sniffers, self.processes = {}, [], [], []

    def at_close(self, closer):
        """Has a function called at the end, before anything else goes; the last one first."""
        self.closers.append(closer)

    def veth(self, one, two, mac1=None, mac2=None, addr1=(), addr2=(), mtu=None, up=True, options=""):
        """A veth pair between (ns, device) and (ns, device); `options` go to `ip link add` (e.g. "numrxqueues 4")."""
        (ns1, dev1), (ns2, dev2) = one, two
        ns1.ip(f"link add name {dev1} {options} type veth peer name {dev2} netns {ns2.name} {options}")
        for ns, dev, mac, addrs in ((ns1, dev1, mac1, addr1), (ns2, dev2, mac2, addr2)):
            lines = [f"link set {dev} address {mac}"] if mac else []
            lines += [f"link set {dev} mtu {mtu}"] if mtu else []
            lines += [f"addr add {a} dev {dev}{' nodad' if ':' in a else ''}" for a in addrs]
            lines += [f"link set {dev} up"] if up else []
            if lines:
                ns.ip(*lines)

    def veth_guest(self, number, dev=None, up=True, **options):
        """A guest behind a veth pair; dev = host end, "gN"."""
        port = dev or f"g{number}"
        guest = Guest(self, number, self.ns(f"g{number}"), "eth0", port)
        self.veth((self.host, port), (guest.ns, "eth0"), up=False, **options)
        guest.configure()
        if up:
            self.host.up(port)
        return guest

    def uplink(self, dev="up0", number=200):
        """The world: a guest behind a veth whose host end is the uplink."""
        guest = Guest(self, number, self.world, "eth0", dev)
        self.veth((self.host, dev), (guest.ns, "eth0"), up=False)
        guest.configure()
        self.host.up(dev)
        return guest

    def vm_guest(self, number, dev=None, blocking=False, sndbuf=0, napi_frags=False, napi=False, persist=False, up=True,
                 offload=True):
        """A guest with a real stack behind a TAP, with a virtio-net header and the default offloads of a VM."""
        port = dev or f"g{number}"
        guest = Guest(self, number, self.ns(f"g{number}"), "eth0", port)
        guest.relay_args = [relay_binary(), *(["-b"] if blocking else []), *(["-s", str(sndbuf)] if sndbuf else []),
                            *(["-f"] if napi_frags else []), *(["-n"] if napi else []), *(["-p"] if persist else []),
                            *([] if offload else ["-o"]), self.host.path, port, guest.ns.path, guest.dev]
        guest.start()
        if up:
            self.host.up(port)
        return guest

    def tap(self, dev, ns=None, **options):
        """A bare TAP in the host, or in `ns`."""
        tap = Tap(ns or self.host, dev, **options)
        self.taps.append(tap)
        return tap

    def sniffer(self, ns, dev, **options):
        sniffer = Sniffer(ns, dev, **options)
        self.sniffers.append(sniffer)
        return sniffer

    def bridge(self, ns, name, devs):
        """A kernel bridge over the devices, without spanning tree and without multicast snooping."""
        ns.ip(f"link add {name} type bridge stp_state 0 mcast_snooping 0 forward_delay 0", f"link set {name} up",
              *[line for d in devs for line in (f"link set {d} master {name}", f"link set {d} up")])
