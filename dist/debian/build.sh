#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A Debian package from this tree: a copy of what git knows or would know, with dist/debian where debhelper wants it,
# under build/deb. What lintian says stays beside it (dist/debian/vpeer.lintian-overrides tells what is meant to be).
#
# usage: dist/debian/build.sh [-v]
set -eu
cd "$(dirname "$0")/../.."
top=$PWD
deb=$top/build/deb
log=$deb/log

rm -rf "$deb"
mkdir -p "$deb/vpeer"
if [ -e .git ] && command -v git >/dev/null; then
	git -c safe.directory="$top" ls-files -zco --exclude-standard
else
	find . -type f -not -path './build/*' -not -name '*.pyc' -print0
fi | while IFS= read -r -d '' file; do
	[ ! -f "$file" ] || printf '%s\0' "$file"
done | tar -c --null -T - | tar -x -C "$deb/vpeer"
cp -a dist/debian "$deb/vpeer/debian"
rm "$deb/vpeer/debian/build.sh"

# The file's date is that of the last commit, so that the same tree gives the same package.
SOURCE_DATE_EPOCH=$(git -c safe.directory="$top" log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH
# make's own variables are those of another build
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
if ! (cd "$deb/vpeer" && DEB_BUILD_OPTIONS="parallel=2" dpkg-buildpackage -b -us -uc) >"$log" 2>&1; then
	tail -n 30 "$log" >&2
	exit 1
fi
[ "${1:-}" != -v ] || cat "$log"
package=$(echo "$deb"/vpeer_*.deb)
echo "made ${package#"$top"/}"
command -v lintian >/dev/null || exit 0
cd "$deb"
if ! lintian --allow-root --fail-on error,warning vpeer_*.changes >lintian.log 2>&1; then
	cat lintian.log >&2
	exit 1
fi
