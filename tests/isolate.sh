#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Runs a command where it can neither see nor touch a plane of the host: a private mount namespace with an empty bpffs,
# an empty /run/vpeer and an empty /run/netns.  With -n in an empty network namespace too.  Namespaces that are bound in
# there vanish with it, even after SIGKILL.  /run itself is a copy that shows the host's directories: a mount on a
# directory of the host goes when somebody removes that, as `vpeer down` there does with an empty /run/vpeer.
#
# usage: tests/isolate.sh [-n] COMMAND [ARGUMENT...]
set -eu

net=
if [ "${1:-}" = -n ]; then
	net=--net
	shift
fi
if [ $# = 0 ]; then
	echo "usage: $0 [-n] COMMAND [ARGUMENT...]" >&2
	exit 2
fi
if [ "$(id -u)" != 0 ]; then
	echo "$0: needs root" >&2
	exit 1
fi

# shellcheck disable=SC2016 # expanded by the inner shell
inner='
	set -e
	if [ -n "$1" ]; then
		mount -t sysfs sysfs /sys
		ip link set lo up
	fi
	shift
	mount -t bpf bpf /sys/fs/bpf
	mount -t tmpfs -o mode=0755 tmpfs /mnt
	mkdir /mnt/vpeer /mnt/netns
	for dir in /run/*/; do
		mkdir "/mnt/${dir#/run/}" 2>/dev/null || continue
		mount --rbind "$dir" "/mnt/${dir#/run/}"
	done
	mount --move /mnt /run
	mount -t tmpfs -o mode=0755 tmpfs /run/vpeer
	mount -t tmpfs -o mode=0755 tmpfs /run/netns
	exec "$@"
'
exec unshare --mount --propagation private $net /bin/sh -c "$inner" isolate "$net" "$@"
