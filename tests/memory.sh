#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# `vpeer check` of each ready configuration and every unit test under valgrind: a wild read or a definite leak is an
# error.  Prints `ok NAME` or `FAIL NAME: REASON` per program, below it what valgrind said.
# usage: tests/memory.sh [PART-OF-NAME]
set -u

part=${1:-}
failed=0
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here" || exit 1
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

# memcheck NAME COMMAND...: 99 is valgrind's own verdict, everything else but 0 the program's.
memcheck() {
	local name=$1 rc
	shift
	case $name in *"$part"*) ;; *) return ;; esac
	timeout 240 valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite --error-exitcode=99 \
		--child-silent-after-fork=yes --suppressions=tests/valgrind.supp "$@" >"$log" 2>&1 </dev/null
	rc=$?
	case $rc in
	0) echo "ok $name" && return ;;
	99) echo "FAIL $name: valgrind reports an error" ;;
	124) echo "FAIL $name: longer than 240 s" ;;
	*) echo "FAIL $name: exit $rc" ;;
	esac
	failed=1
	tail -n 60 "$log" | sed 's/^/    /'
}

for conf in configs/*.yaml; do
	[ -e "$conf" ] || continue
	memcheck "check ${conf##*/}" build/vpeer check "$conf"
	memcheck "check --json ${conf##*/}" build/vpeer --json check "$conf"
done
for source in tests/unit/test_*.c; do
	[ -e "$source" ] || continue
	name=${source##*/}
	name=${name%.c}
	memcheck "$name" "build/tests/$name"
done
exit $failed
