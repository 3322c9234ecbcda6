#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Namespace tests by hand: tests/netns/run.sh [pytest arguments], e.g. -k lab -x
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top" || exit 1
case "$*" in *tests/netns/*) ;; *) set -- tests/netns "$@" ;; esac
exec tests/isolate.sh /usr/bin/python3 -m pytest -q -p no:cacheprovider "$@"
