# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A TAP device with us as its VMM: every write mode that selects another path in the kernel is an option."""
import errno
import fcntl
import os
import select
import struct
import time
from collections import namedtuple

from . import frames
from .ns import KERNEL, SLOW, run

TUNSETIFF, TUNSETPERSIST, TUNSETOFFLOAD = 0x400454CA, 0x400454CB, 0x400454D0
TUNSETSNDBUF, TUNSETVNETHDRSZ = 0x400454D4, 0x400454D8
IFF_TAP, IFF_NAPI, IFF_NAPI_FRAGS, IFF_MULTI_QUEUE = 0x0002, 0x0010, 0x0020, 0x0100
IFF_NO_PI, IFF_VNET_HDR = 0x1000, 0x4000
GSO = {None: 0, "tcp4": 1, "udp": 3, "tcp6": 4, "udp_l4": 5}
GSO_NAMES = {number: name for name, number in GSO.items()}
HDR = struct.Struct("<BBHHHHH")

Vnet = namedtuple("Vnet", "flags gso_type hdr_len gso_size csum_start csum_offset num_buffers")
Rx = namedtuple("Rx", "hdr frame")


def vnet_pack(needs_csum=None, gso=None, frame=b""):
    """The 12-byte virtio-net header of a frame that a guest sends."""
    start, offset = needs_csum or (0, 0)
    kind, size, hdr_len = gso or (None, 0, 0)
    return HDR.pack(1 if needs_csum else 0, GSO[kind], hdr_len, size, start, offset, 0)


class Reader:
    """What every source of frames has that has recv(timeout)."""

    def recv_match(self, match, timeout=1.0):
        """The next frame that is equal to `match`, or for which match(frame) holds; others are dropped."""
        limit = time.monotonic() + timeout * SLOW
        while (left := limit - time.monotonic()) > 0:
            got = self.recv(left / SLOW)
            if got is not None and (match(got.frame) if callable(match) else got.frame == match):
                return got
        return None

    def drain(self, quiet=0.05):
        """All frames until `quiet` seconds pass without one."""
        out = []
        while (got := self.recv(quiet)) is not None:
            out.append(got)
        return out


class Tap(Reader):
    """A TAP device in namespace `ns`; the file descriptors stay with us wherever this process is."""

    CSUM, TSO4, TSO6, ECN, UFO, USO4, USO6 = 1, 2, 4, 8, 16, 32, 64
    OFFLOADS = CSUM | TSO4 | TSO6 | ECN | (USO4 | USO6 if KERNEL >= (6, 2) else 0)

    def __init__(self, ns, name, nonblock=True, vnet=True, sndbuf=None, napi=False, napi_frags=False, queues=1,
                 offload=0, persist=False, up=True, mac=None, mtu=None):
        self.ns, self.name, self.vnet, self.fds = ns, name, vnet, []
        flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if vnet else 0) | (IFF_NAPI if napi or napi_frags else 0)
        flags |= (IFF_NAPI_FRAGS if napi_frags else 0) | (IFF_MULTI_QUEUE if queues > 1 else 0)
        try:
            with ns.enter():
                for _ in range(queues):
                    self._open_queue(flags, nonblock, sndbuf)
            if vnet:
                self.set_offload(offload)
            if persist:
                fcntl.ioctl(self.fds[0], TUNSETPERSIST, 1)
            lines = [f"link set {name} address {mac}"] if mac else []
            lines += [f"link set {name} mtu {mtu}"] if mtu else []
            lines += [f"link set {name} up"] if up else []
            if lines:
                ns.ip(*lines)
        except Exception:
            self.close()
            raise

    def _open_queue(self, flags, nonblock, sndbuf):
        fd = os.open("/dev/net/tun", os.O_RDWR | (os.O_NONBLOCK if nonblock else 0) | os.O_CLOEXEC)
        self.fds.append(fd)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", self.name.encode(), flags))
        if self.vnet:
            fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", HDR.size))
        if sndbuf is not None:
            fcntl.ioctl(fd, TUNSETSNDBUF, struct.pack("i", sndbuf))

    def set_offload(self, flags):
        """What this guest accepts (TUNSETOFFLOAD); one flag the kernel does not know is an error."""
        for fd in self.fds:
            fcntl.ioctl(fd, TUNSETOFFLOAD, flags)

    def send(self, frame, needs_csum=None, gso=None, q=0):
        """Writes one frame as the guest; GSO without needs_csum is what no guest sends."""
        os.write(self.fds[q], (vnet_pack(needs_csum, gso) if self.vnet else b"") + frame)

    def send_auto(self, frame, q=0):
        """Writes a frame with the header that its checksum asks for."""
        self.send(frame, frames.csum_args(frame) if frames.csum_state(frame) == "partial" else None, q=q)

    def _read(self, fd):
        """One frame or None; a blocking descriptor is read only when poll says so."""
        try:
            data = os.read(fd, 70000)
        except OSError as e:
            if e.errno in (errno.EAGAIN, errno.EINTR):
                return None
            raise
        if not self.vnet:
            return Rx(None, data)
        return Rx(Vnet(*HDR.unpack_from(data)), data[HDR.size:])

    def recv(self, timeout=1.0, q=None):
        """The next frame that the plane gave this guest, or None after `timeout` seconds."""
        limit = time.monotonic() + timeout * SLOW
        poll = select.poll()
        for fd in self.fds if q is None else [self.fds[q]]:
            poll.register(fd, select.POLLIN)
        while True:
            left = limit - time.monotonic()
            for fd, _ in poll.poll(max(0, left) * 1000):
                got = self._read(fd)
                if got is not None:
                    return got
            if left <= 0:
                return None

    def sniffer(self, **options):
        """A raw capture on the TAP's netdev."""
        from .sniff import Sniffer
        return Sniffer(self.ns, self.name, **options)

    def close(self):
        """Closes the descriptors; the device goes too unless it is persistent."""
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def delete(self):
        """Removes the device, a persistent one too."""
        self.close()
        with self.ns.enter():
            run(["ip", "link", "del", self.name], check=False)
