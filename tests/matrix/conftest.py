# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The fixtures of the VM tests."""
import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
VM = f"{os.path.dirname(HERE)}/vm"
sys.path[:0] = [HERE, VM]
_spec = importlib.util.spec_from_file_location("vm_conftest", f"{VM}/conftest.py")
_vm = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_vm)
pytest_configure, net, plane, qemu = _vm.pytest_configure, _vm.net, _vm.plane, _vm.qemu
