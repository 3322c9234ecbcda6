# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Fixtures of the namespace tests; see the docstring of tests/lab for what they give."""
import fnmatch
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import compat  # noqa: E402
import lab  # noqa: E402
from lab.plane import vpeer_binary  # noqa: E402
from lab.watch import Watch  # noqa: E402


def _isolated():
    """Whether tests/isolate.sh has given us a bpffs and a /run/vpeer of our own."""
    with open("/proc/self/mounts", encoding="ascii", errors="replace") as f:
        mounts = {tuple(line.split()[1:3]) for line in f}
    return os.geteuid() == 0 and {("/sys/fs/bpf", "bpf"), ("/run/vpeer", "tmpfs")} <= mounts


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes longer than five seconds")
    if not _isolated():
        pytest.exit("these tests need root and tests/isolate.sh: use `make netns`, `make vm` or tests/netns/run.sh",
                    returncode=4)
    config.pluginmanager.register(compat.Recorder())


def pytest_collection_modifyitems(items):
    """Leaves out what $VPT_LEAVE lists, as `FILE::TEST reason`: tests/matrix says so for emulated guests."""
    path = os.environ.get("VPT_LEAVE")
    if path:
        with open(path, encoding="utf-8") as f:
            lines = [line.split(None, 1) for line in f if line.strip() and not line.startswith("#")]
        for item in items:
            name = f"netns/{item.path.stem}::{item.name}"
            for pattern, reason in lines:
                if fnmatch.fnmatchcase(name, pattern.replace("[", "[[]")):
                    item.add_marker(pytest.mark.skip(reason=reason.strip()))
                    break


@pytest.fixture
def net():
    """A fresh Net, removed afterwards."""
    with lab.Net() as made:
        yield made


@pytest.fixture
def plane(net):
    """A Plane in net.host, taken down afterwards (before the devices go)."""
    if vpeer_binary() is None:
        pytest.skip("no build/vpeer: run make")
    made = lab.Plane(net.host)
    yield made
    made.close()


@pytest.fixture
def quiet(net):
    """The host's own stack says nothing of IPv6 on devices to come."""
    net.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)


@pytest.fixture
def watch(plane):
    """Starts a `watch` of the plane; ended with the test."""
    made = []

    def start(*options, **more):
        made.append(Watch(plane, *options, **more))
        return made[-1]
    yield start
    for one in made:
        one.end(signal.SIGKILL)
