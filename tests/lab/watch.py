# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`vpeer watch` as a service manager runs it: with a notification socket, its log in a file, and signals."""
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

from .net import wait_until
from .ns import SLOW


class Watch:
    """A running `vpeer watch`; .log() and .messages are what it said to the journal and to the service manager."""

    def __init__(self, plane, *options, notify=True, ready=True, env=None, prefix=()):
        self.plane, self.messages = plane, []
        self.dir = tempfile.TemporaryDirectory(prefix="vpt-watch-")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"{self.dir.name}/notify")
        threading.Thread(target=self._listen, daemon=True).start()      # a full socket would stop the sender
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("NOTIFY", "WATCHDOG", "JOURNAL"))}
        if notify:
            environment["NOTIFY_SOCKET"] = f"{self.dir.name}/notify"
        environment.update(env or {})
        with open(f"{self.dir.name}/log", "wb") as log:
            self.process = plane.ns.popen([*prefix, plane.binary, "--plane", plane.name, *options, "watch"], env=environment,
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if notify and ready:
            self.wait_message("READY=1")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGKILL)

    def log(self):
        with open(f"{self.dir.name}/log", encoding="utf-8") as f:
            return f.read()

    def _listen(self):
        while message := self.socket.recv(4096):
            self.messages.append(message.decode())

    def hear(self):
        """Every message up to now, newest last."""
        return list(self.messages)

    def wait_message(self, part, timeout=10):
        def is_there():
            if self.process.poll() is not None:
                raise AssertionError(f"watch ended with {self.process.returncode}: {self.log()}")
            return any(part in m for m in self.hear())
        wait_until(is_there, timeout, every=0.005, what=f"{part} in {self.messages}, log: {self.log()}")

    def wait_log(self, part, timeout=5):
        wait_until(lambda: part in self.log(), timeout, every=0.01, what=f"{part!r} in the log:\n{self.log()}")

    def kill(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=10):
        return self.process.wait(timeout * SLOW)

    def end(self, number=signal.SIGTERM):
        """Its exit code; the second time nothing happens."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(20 * SLOW)
        with contextlib.suppress(OSError):      # ends the listener
            self.socket.sendto(b"", f"{self.dir.name}/notify")
        return code

    def cpu_ticks(self):
        """Processor time up to now, in ticks (of 10 ms)."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))

    def settle(self):
        """Waits until it has read all events of now and done what they ask for: it sleeps, and its passes are over."""
        time.sleep(0.15 * SLOW)
