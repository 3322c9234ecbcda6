# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Network namespaces without `ip netns exec`, which would remount /sys and hide bpffs.

A thread changes its own network namespace and back; what it makes meanwhile (sockets, TAPs, subprocesses)
stays there. The namespace is also bound to /run/netns/NAME, so that `ip -n NAME` and nsenter work by hand.
"""
import contextlib
import ctypes
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import time

CLONE_NEWNET = 0x40000000
MS_BIND = 4096
MNT_DETACH = 2
# How many times longer than usual everything may take: tests/matrix sets it in emulated guests.
SLOW = float(os.environ.get("VPT_SLOW", "1"))
NETNS_DIR = "/run/netns"
# (major, minor) of the running kernel.
KERNEL = tuple(int(n) for n in re.match(r"(\d+)\.(\d+)", os.uname().release).groups())
_libc = ctypes.CDLL(None, use_errno=True)


def _check(ret, what):
    if ret < 0:
        err = ctypes.get_errno()
        raise OSError(err, f"{what}: {os.strerror(err)}")


def _setns(fd):
    _check(_libc.setns(fd, CLONE_NEWNET), "setns")


@contextlib.contextmanager
def _keep_ns():
    fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        yield
    finally:
        _setns(fd)
        os.close(fd)


def run(cmd, check=True, timeout=30, input=None, env=None, shell=False):
    """Runs a command (text or list), with a time limit; stdout and stderr are text."""
    if isinstance(cmd, str) and not shell:
        cmd = shlex.split(cmd)
    done = subprocess.run(cmd, shell=shell, text=True, input=input, timeout=timeout * SLOW, env=env,
                          stdin=subprocess.DEVNULL if input is None else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if check and done.returncode != 0:
        raise RuntimeError(f"{cmd}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Ns:
    """A network namespace of our own, with loopback up."""

    def __init__(self, name):
        self.name = name
        self.path = f"{NETNS_DIR}/{name}"
        os.makedirs(NETNS_DIR, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o444))
        try:
            with _keep_ns():
                _check(_libc.unshare(CLONE_NEWNET), "unshare")
                _check(_libc.mount(b"/proc/thread-self/ns/net", self.path.encode(), b"none", MS_BIND, None),
                       f"bind {self.path}")
        except OSError:
            os.unlink(self.path)
            raise
        self.inode = os.stat(self.path).st_ino
        self.ip("link set lo up")

    @contextlib.contextmanager
    def enter(self):
        """This thread is in the namespace inside the `with`."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            with _keep_ns():
                _setns(fd)
                yield self
        finally:
            os.close(fd)

    def run(self, cmd, **options):
        with self.enter():
            return run(cmd, **options)

    def sh(self, text, **options):
        return self.run(text, shell=True, **options)

    def popen(self, cmd, **options):
        """Starts a process in the namespace; clean-up kills it."""
        if isinstance(cmd, str):
            cmd = shlex.split(cmd)
        with self.enter():
            return subprocess.Popen(cmd, **options)

    def ip(self, *lines, check=True):
        """One `ip` process for all lines (without the leading word `ip`)."""
        return self.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", check=check)

    def json(self, cmd):
        return json.loads(self.run(cmd).stdout or "[]")

    def sysctl(self, key, value=None):
        """Reads or writes a key such as net.ipv6.conf.all.forwarding (a slash keeps dots in device names)."""
        path = "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))
        with self.enter():
            if value is None:
                with open(path, encoding="ascii") as f:
                    return f.read().strip()
            with open(path, "w", encoding="ascii") as f:
                f.write(str(value))
        return str(value)

    def ethtool(self, args, check=True):
        return self.run("ethtool " + args, check=check)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        with self.enter():
            return socket.socket(family, kind, proto)

    def ifindex(self, dev):
        with self.enter():
            return socket.if_nametoindex(dev)

    def exists(self, dev):
        with self.enter():
            return dev in {name for _, name in socket.if_nameindex()}

    def devices(self):
        with self.enter():
            return sorted(name for _, name in socket.if_nameindex())

    def link(self, dev):
        return self.json(f"ip -j -s -d link show dev {dev}")[0]

    def up(self, *devs):
        self.ip(*[f"link set {d} up" for d in devs])

    def down(self, *devs):
        self.ip(*[f"link set {d} down" for d in devs])

    def delete(self, dev):
        self.ip(f"link del {dev}")

    def processes(self):
        """Ids of the processes that live in this namespace, ourselves excepted."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{pid}/ns/net").st_ino == self.inode and int(pid) != os.getpid():
                    found.append(int(pid))
        return found

    def kill_all(self):
        for pid in self.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        limit = time.monotonic() + 2
        while self.processes() and time.monotonic() < limit:
            time.sleep(0.01)

    def remove(self):
        """Kills what runs inside and removes the namespace; nothing to do the second time."""
        if not os.path.exists(self.path):
            return
        self.kill_all()
        _libc.umount2(self.path.encode(), MNT_DETACH)
        with contextlib.suppress(OSError):
            os.unlink(self.path)
