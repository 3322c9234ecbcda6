#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Installs what vendor/manifest lists and this machine lacks, with apt and nothing else.
#
# usage: vendor/install.sh [all|SUITE...] [--check]
#   SUITE is build, demo, check, test, deb, boot or bench.  --check installs nothing: it names what is missing and
#   exits 1.
# Quiet and quick (one dpkg-query) when nothing is missing.
set -eu

manifest=$(dirname "$0")/manifest
check=
suites=
for arg; do
	case $arg in
	--check) check=1 ;;
	all | build | demo | check | test | deb | boot | bench) suites="$suites $arg" ;;
	*)
		echo "usage: $0 [all|build|demo|check|test|deb|boot|bench]... [--check]" >&2
		exit 2
		;;
	esac
done
suites=${suites:-all}

# Lines "ALTERNATIVES LEAST" of the suites asked for.
wanted() {
	awk -v suites="$suites" '
		BEGIN { n = split(suites, s, " "); for (i = 1; i <= n; i++) want[s[i]] = 1 }
		/^[ \t]*(#|$)/ { next }
		NF < 4 { print FILENAME ":" FNR ": needs package, version, suites, reason" >"/dev/stderr"; exit 2 }
		{
			hit = ("all" in want)
			n = split($3, s, ",")
			for (i = 1; i <= n; i++) if (s[i] in want) hit = 1
			if (hit) print $1, $2
		}' "$manifest"
}

# Lines "ALTERNATIVES LEAST" of those that are not installed in a sufficient version.
missing() {
	list=$(wanted)
	names=$(echo "$list" | awk '{ gsub(/\|/, " ", $1); print $1 }')
	# shellcheck disable=SC2086,SC2016 # a list of words; a format of dpkg's own
	have=$(dpkg-query -W -f '${Package} ${db:Status-Status} ${Version}\n' $names 2>/dev/null || true)
	echo "$list" | while read -r alternatives least; do
		found=
		for name in $(echo "$alternatives" | tr '|' ' '); do
			version=$(echo "$have" | awk -v p="$name" '$1 == p && $2 == "installed" { print $3; exit }')
			[ -n "$version" ] || continue
			if [ "$least" = 0 ] || dpkg --compare-versions "$version" ge "$least"; then found=1; fi
		done
		[ -n "$found" ] || echo "$alternatives $least"
	done
}

# The first alternative that apt can install.
candidate() {
	for name in $(echo "$1" | tr '|' ' '); do
		if apt-cache policy "$name" 2>/dev/null | grep -q 'Candidate: [^(]'; then
			echo "$name"
			return
		fi
	done
}

# Sets $packages; fails when apt knows none of a line's alternatives (its lists may be missing or old).
resolve() {
	packages=
	while read -r alternatives _; do
		name=$(candidate "$alternatives")
		if [ -z "$name" ]; then
			unknown=$alternatives
			return 1
		fi
		packages="$packages $name"
	done <<LIST
$lack
LIST
}

# Quiet unless it fails.
apt() {
	if ! DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 \
		-o Dpkg::Use-Pty=0 "$@" </dev/null >"$log" 2>&1; then
		tail -n 30 "$log" >&2
		return 1
	fi
}

if ! command -v dpkg-query >/dev/null; then
	echo "vendor/install.sh: no dpkg here; the packages of vendor/manifest, or their equals, must be present" >&2
	exit 0
fi

lack=$(missing)
[ -n "$lack" ] || exit 0
words=$(echo "$lack" | awk '{ sub(/\|.*/, "", $1); printf " %s%s", $1, ($2 == "0" ? "" : "(>=" $2 ")") }')
plain=$(echo "$lack" | awk '{ sub(/\|.*/, "", $1); printf " %s", $1 }')
if [ -n "$check" ] || [ "$(id -u)" != 0 ]; then
	echo "missing packages:$words" >&2
	echo "install them as root: apt-get install --no-install-recommends$plain" >&2
	exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "installing:$words" >&2
for try in 1 2 3; do
	# The lists are fetched only when needed: they are old or absent if apt knows no candidate or a download fails.
	if [ "$try" -gt 1 ] || ! resolve; then
		apt update || true
		if ! resolve; then
			echo "vendor/install.sh: apt offers no package $unknown" >&2
			exit 1
		fi
	fi
	# shellcheck disable=SC2086 # a list of words
	if apt install --no-install-recommends $packages; then
		lack=$(missing)
		[ -n "$lack" ] || exit 0
		echo "vendor/install.sh: still missing or too old after installing: $lack" >&2
		exit 1
	fi
	echo "vendor/install.sh: apt-get failed (try $try of 3)" >&2
	sleep $((try * 3))
done
exit 1
