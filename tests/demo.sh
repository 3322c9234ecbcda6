#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The demo (`make demo`): a plane between guests, in namespaces of its own; nothing of the host is touched.
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
exec tests/isolate.sh /usr/bin/python3 -B tests/demo.py "$@"
