# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Traffic between the stacks of two guests, each check with a time limit."""
import hashlib
import json
import socket
import subprocess
import threading
import time

from .ns import SLOW

CHUNK = 1 << 20


def _payload(seed):
    """A megabyte that no other transfer has."""
    return hashlib.shake_128(seed.encode()).digest(CHUNK)


class _Worker(threading.Thread):
    """A thread whose exception reaches the test."""

    def __init__(self, work, *args):
        super().__init__(daemon=True)
        self.work, self.args, self.result, self.error = work, args, None, None
        self.start()

    def run(self):
        try:
            self.result = self.work(*self.args)
        except Exception as e:
            self.error = e

    def wait(self, timeout):
        self.join(timeout)
        if self.is_alive():
            raise TimeoutError(f"{self.work.__name__} still runs after {timeout} s")
        if self.error:
            raise self.error
        return self.result


def _send(sock, seed, count, size):
    block, digest = _payload(seed)[:size], hashlib.sha256()
    for i in range(count):
        piece = i.to_bytes(8, "big") + block[8:]
        digest.update(piece)
        sock.sendall(piece)
    sock.shutdown(socket.SHUT_WR)
    return digest.hexdigest()


def _receive(sock):
    digest, total = hashlib.sha256(), 0
    while data := sock.recv(CHUNK):
        digest.update(data)
        total += len(data)
    return digest.hexdigest(), total


def _connect(a, b, v6, timeout):
    family = socket.AF_INET6 if v6 else socket.AF_INET
    with b.ns.socket(family) as listener:
        listener.settimeout(timeout)
        listener.bind((b.ip6 if v6 else b.ip, 0))
        listener.listen(1)
        near = a.ns.socket(family)
        near.settimeout(timeout)
        try:
            near.connect(listener.getsockname()[:2])
            far = listener.accept()[0]
        except OSError:
            near.close()
            raise
    far.settimeout(timeout)
    return near, far


def tcp_transfer(a, b, mib=8, back=True, v6=False, timeout=60, piece=CHUNK):
    """Moves `mib` MiB (pieces of that size) from a to b, and at once as much back if `back`; compares SHA-256 at both ends.
    Returns the seconds taken; raises on a lost byte, a wrong byte or the time limit."""
    timeout *= SLOW
    near, far = _connect(a, b, v6, min(timeout, 15 * SLOW))
    with near, far:
        for sock in (near, far):
            sock.settimeout(timeout)
        began = time.monotonic()
        jobs = [(_Worker(_send, near, "to", mib, piece), _Worker(_receive, far))]
        if back:
            jobs.append((_Worker(_send, far, "fro", mib, piece), _Worker(_receive, near)))
        for sender, receiver in jobs:
            sent, (got, total) = sender.wait(timeout), receiver.wait(timeout)
            if total != mib * piece or sent != got:
                verdict = "equal" if sent == got else "differs"
                raise AssertionError(f"TCP: {total} of {mib * piece} bytes, hash {verdict}")
        return time.monotonic() - began


def udp_echo(a, b, count=50, size=100, v6=False, timeout=1.0):
    """Sends `count` datagrams from a to b, each echoed by b's own socket; returns how many did not come back intact."""
    family = socket.AF_INET6 if v6 else socket.AF_INET
    with a.ns.socket(family, socket.SOCK_DGRAM) as near, b.ns.socket(family, socket.SOCK_DGRAM) as far:
        far.bind((b.ip6 if v6 else b.ip, 0))
        near.connect(far.getsockname()[:2])
        near.settimeout(timeout * SLOW)
        far.settimeout(timeout * SLOW)
        lost = 0
        for i in range(count):
            want = (i.to_bytes(4, "big") * (size // 4 + 1))[:size]
            try:
                near.send(want)
                data, source = far.recvfrom(65536)
                far.sendto(data, source)
                lost += near.recv(65536) != want
            except TimeoutError:
                lost += 1
        return lost


def iperf(a, b, args="-t 2", v6=False, timeout=60):
    """iperf3 from a (client) to b (server); the client's JSON."""
    target = b.ip6 if v6 else b.ip
    server = b.ns.popen(["iperf3", "-s", "-1", "-B", target, "--forceflush"], text=True, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT)
    try:
        while "listening" not in (line := server.stdout.readline()):
            if not line:
                raise RuntimeError("iperf3 server did not start")
        done = a.ns.run(f"iperf3 -J -c {target} {args}", timeout=timeout, check=False)
        result = json.loads(done.stdout)
        if "error" in result:
            raise RuntimeError(f"iperf3: {result['error']}")
        return result
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
