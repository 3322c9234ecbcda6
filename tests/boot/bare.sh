#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the README promises, where nothing was installed by hand: in a bare Debian 12 (mmdebstrap, minbase: no make, no
# compiler, no package lists) a fresh clone of this tree's last commit is demonstrated, built, tested and packaged.
# Everything is mounted in a mount namespace of its own and gone with it; the system is thrown away, its archive kept in
# build/boot.
#
# usage: tests/boot/bare.sh
set -eu
cd "$(dirname "$0")/../.."
top=$PWD
cache=$top/build/boot
archive=$cache/bare.tar

mkdir -p "$cache"
if [ ! -s "$archive" ]; then
	mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='Acquire::Check-Date "false"' bookworm "$cache/new.tar"
	mv "$cache/new.tar" "$archive"
fi
root=$(mktemp -d "${TMPDIR:-/tmp}/vpeer-bare-XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
# No device files: /dev is bound over theirs, and whoever copied the tree meanwhile would read them.
tar -x -f "$archive" -C "$root" --exclude='./dev/*'
cp /etc/resolv.conf "$root/etc/resolv.conf"
git -c safe.directory='*' clone -q "$top" "$root/root/vpeer"

# shellcheck disable=SC2016 # expanded by the inner shells
outer='
	set -e
	mount --bind "$1" "$1"
	mount -t proc proc "$1/proc"
	mount --rbind /sys "$1/sys"
	mount -o remount,bind,ro "$1/sys"
	mount --rbind /dev "$1/dev"
	mount -o remount,bind,ro "$1/dev"
	mount -t tmpfs tmpfs "$1/run"
	mount -t tmpfs tmpfs "$1/tmp"
	exec chroot "$1" /usr/bin/env -i HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		/bin/bash -eu -c "$2"
'
# shellcheck disable=SC2016
inner='
	cd /root/vpeer
	step() { echo "== $*"; local from=$SECONDS; "$@"; echo "== $*: done in $((SECONDS - from)) s"; }
	if command -v make gcc clang bpftool; then echo "not bare"; exit 1; fi
	step vendor/install.sh build
	step make demo
	step vendor/install.sh all
	step make -j2
	step make check
	step make deb
'
unshare --mount --propagation private --pid --fork --kill-child /bin/bash -c "$outer" bare "$root" "$inner"
echo "bare Debian 12: all passed"
