#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Guests that restart in a loop, in a process of their own: restarts.py PREFIX COUNT SECONDS, inside the namespace.

Each of the TAPs PREFIX0, PREFIX1, ... exists for 20 to 300 ms, says something, and is gone for up to 200 ms.  At the end
they stay.  A line tells how often they have started; then they read what comes until standard input ends.
"""
import fcntl
import os
import random
import select
import socket
import struct
import sys
import time

TUNSETIFF, SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x400454CA, 0x8913, 0x8914, 1
IFF_TAP, IFF_NO_PI = 2, 0x1000


class Restarting:
    def __init__(self, name, number):
        self.name, self.fd, self.due, self.starts = name, None, 0, 0
        self.mac = b"\x52\x55\0\0\0" + bytes([number])

    def start(self, control):
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", self.name.encode(), IFF_TAP | IFF_NO_PI))
        flags, = struct.unpack_from("16xH", fcntl.ioctl(control, SIOCGIFFLAGS,
                                                        struct.pack("16s24x", self.name.encode())))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", self.name.encode(), flags | IFF_UP))
        self.starts += 1

    def speak(self):
        os.write(self.fd, b"\xff" * 6 + self.mac + b"\x08\x06" + bytes(28))

    def stop(self):
        os.close(self.fd)
        self.fd = None


def drain(guests, timeout):
    poll = select.poll()
    by_fd = {g.fd: g for g in guests if g.fd is not None}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    for fd, _ in poll.poll(timeout * 1000):
        try:
            os.read(fd, 70000)
        except BlockingIOError:
            pass


def main():
    prefix, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    guests = [Restarting(f"{prefix}{i}", i) for i in range(count)]
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for g in guests:
            if time.monotonic() < g.due:
                continue
            if g.fd is None:
                g.start(control)
                g.due = time.monotonic() + random.uniform(0.02, 0.3)
            else:
                g.speak()
                g.stop()
                g.due = time.monotonic() + random.uniform(0, 0.2)
        drain(guests, 0.005)
    for g in guests:
        if g.fd is None:
            g.start(control)
    print(sum(g.starts for g in guests), flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        drain(guests, 0.1)


main()
