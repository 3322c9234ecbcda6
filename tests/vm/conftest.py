# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Fixtures of the VM tests: those of the namespace tests, and QEMU."""
import importlib.util
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
# Emulated machines answer late; how long anything may take is read when the lab is imported.
os.environ.setdefault("VPT_SLOW", "4")
sys.path[:0] = [HERE, os.path.dirname(HERE)]
_spec = importlib.util.spec_from_file_location("netns_conftest", f"{HERE}/../netns/conftest.py")
_netns = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_netns)
pytest_configure, net, plane = _netns.pytest_configure, _netns.net, _netns.plane

import vmlab  # noqa: E402


@pytest.fixture(autouse=True)
def qemu():
    """Skips where there is no QEMU."""
    if vmlab.missing():
        pytest.skip(vmlab.missing())
