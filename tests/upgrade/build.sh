#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Another build of this tree, for the tests of `vpeer upgrade`: a copy in build/variants/NAME, changed by the lines of
# tests/upgrade/NAME.txt (`FILE ; SED-EXPRESSION`; each must change something), with what is built already taken along.
#
# usage: tests/upgrade/build.sh NAME
set -eu

name=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
copy=$top/build/variants/$name
new=$copy.$$

trap 'rm -rf "$new"' EXIT
mkdir -p "$new/build"
cp -a "$top"/{Makefile,bpf,include,user,vendor} "$new"
cp -a "$top"/build/{config.mk,vpeer.bpf.o,vpeer.bpf.o.d,vpeer.skel.h,user,libvpeer.a} "$new/build"
while IFS= read -r line; do
	case $line in
	'' | '#'*) continue ;;
	esac
	file=$new/${line%% ; *}
	before=$(cat "$file")
	sed -i -e "${line#* ; }" "$file"
	if [ "$before" = "$(cat "$file")" ]; then
		echo "tests/upgrade/$name.txt: changes nothing: $line" >&2
		exit 1
	fi
done <"$top/tests/upgrade/$name.txt"
MAKEFLAGS='' make -s -C "$new" INSTALL=0 -j2 all
rm -rf "$copy"
mv "$new" "$copy"
