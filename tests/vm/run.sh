#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# VM tests by hand: tests/vm/run.sh [pytest arguments], e.g. -k guests -x
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top" || exit 1
case "$*" in *tests/vm/*) ;; *) set -- tests/vm "$@" ;; esac
exec tests/isolate.sh /usr/bin/python3 -m pytest -q -p no:cacheprovider "$@"
