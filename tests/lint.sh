#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Warnings, static analysis and the house rules.  Prints `ok NAME` or `FAIL NAME: REASON` per check.
# usage: tests/lint.sh [PART-OF-NAME]
# shellcheck disable=SC2317 # the checks are called by name, through lint()
set -u

part=${1:-}
failed=0
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT

# Our files, also where there is no git (the scratch trees of tests/mutate).
files() {
	if [ -e .git ]; then
		git -c safe.directory="$top" ls-files -co --exclude-standard | while read -r file; do
			[ -f "$file" ] && echo "$file"
		done
	else
		find . -type f -not -path './build/*' -not -path '*/__pycache__/*' | sed 's,^\./,,' | sort
	fi
}

# lint NAME COMMAND...: red if the command fails; what it printed follows the line.
lint() {
	local name=$1
	shift
	case $name in *"$part"*) ;; *) return ;; esac
	if "$@" >"$out" 2>&1; then
		echo "ok $name"
	else
		echo "FAIL $name: $(grep -c . "$out") lines"
		head -n 80 "$out" | sed 's/^/    /'
		failed=1
	fi
}

# Fails if there are lines, and shows them.
none() {
	! grep .
}

source_files() { files | grep -E '^(bpf|include|user|tests)/.*\.[ch]$'; }
code_files() { files | grep -E '(^Makefile|^\.ci/run|\.(c|h|py|sh))$'; }

compile() {
	make --no-print-directory B="$1" CC="$2" objects >/dev/null
}

# One process per file, two at a time; the flags are those of the build.
tidy() {
	local flags
	ls user/*.c >/dev/null || return 1
	flags="-std=gnu11 -D_GNU_SOURCE -Iinclude -Iuser -Ibuild"
	flags="$flags $(sed -n 's/^LIB_CFLAGS := //p' build/config.mk)"
	# shellcheck disable=SC2086 # a list of words
	printf '%s\n' user/*.c | xargs -P 2 -I{} clang-tidy --quiet {} -- $flags 2>&1 |
		grep -vE '^[0-9]+ warnings? (generated|treated as error)' | none
}

shell() {
	files | grep -E '(\.sh$|^\.ci/run$)' | xargs shellcheck
}

# Only plane*.c sees libbpf, libxdp and the skeletons, only link*.c netlink.
includes_libbpf() {
	grep -nE '#include.*([<"](bpf|xdp)/|skel\.h)' user/*.[ch] | grep -vE '^user/plane[a-z_]*\.[ch]:' | none
}

includes_netlink() {
	grep -nE '#include <(libmnl/|linux/(rtnetlink|netlink|neighbour|pkt_sched|pkt_cls)\.h)' user/*.[ch] |
		grep -vE '^user/link[a-z_]*\.[ch]:' | none
}

# A drop that is not counted cannot be written by accident.
actions() {
	grep -nE '\b(XDP_DROP|XDP_ABORTED|TC_ACT_SHOT)\b' bpf/*.[ch] |
		grep -vE '^bpf/(count|xdp|tc|act_xdp|act_tc)\.h:' | none
}

# Third-party text has no place here; files with no place for a comment, and data, are excepted.
spdx() {
	local bare='^LICENSE$|^dist/debian/(changelog|source/)|\.(md|json|pcap|hex|bin|png|svg)$|/(corpus|data)/'
	files | grep -vE "$bare" |
	while read -r file; do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause' ||
			echo "$file: no SPDX line"
	done | none
}

# A function's body starts with `{` and ends with `}` in column 1.
function_length() {
	# shellcheck disable=SC2016 # awk's own $0
	source_files | xargs awk '
		FNR == 1 { start = 0 }
		/^[a-zA-Z_].*\(/ { name = $0 }
		/^\{/ { start = FNR }
		/^\}/ && start {
			lines = FNR - start - 1
			if (lines > 100) printf "%s:%d: %d lines: %s\n", FILENAME, start, lines, name
			start = 0
		}
	' | none
}

file_length() {
	code_files | while read -r file; do
		most=700
		case $file in tests/*) most=900 ;; esac
		lines=$(wc -l <"$file")
		[ "$lines" -le "$most" ] || echo "$file: $lines lines, at most $most"
	done | none
}

# A tab is eight columns.
# Tests in Python hold tables of cases, one a line: they may be wider.
line_length() {
	code_files | while read -r file; do
		case $file in *.py) over=161 ;; *) over=121 ;; esac
		expand "$file" | LC_ALL=C.UTF-8 grep -nE "^.{$over,}" | sed "s,^,$file:,"
	done | none
}

blanks() {
	code_files | xargs grep -nE '[[:blank:]]+$' /dev/null | none
}

# Every finding of `doctor` stands in the table of docs/operations.md, with its severity and whether --fix can do it.
# shellcheck disable=SC2016 # Markdown's backquotes
findings() {
	local code docs
	code=$(grep -hE '^.\{ "[a-z-]+", DOCTOR_' user/doctor_*.c | tr -d '\t{",' |
		awk '{ print $1, tolower(substr($2, 8)), $4 == "FIX_NONE" ? "" : "yes" }' | sort)
	docs=$(grep -E '^\| `[a-z-]+` \| (error|warning|note) \|' docs/operations.md | tr -d '`' |
		awk -F ' *\\| *' '{ print $2, $3, $4 }' | sort)
	[ -n "$code" ] && diff <(echo "$code") <(echo "$docs")
}

# docs/compat.md is made by the suite; it must have the cells that the suite has.
compat() {
	/usr/bin/python3 tests/compat.py check
}

# Help, manual page, completion, code and verb table; the package and what it is made from.
agree() {
	/usr/bin/python3 tests/agree.py
}

python() {
	files | grep '\.py$' | xargs /usr/bin/python3 -c '
import ast, sys
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as f:
        ast.parse(f.read(), name)'
}

# README's table is that of the last recorded run of the matrix.
kernels() {
	/usr/bin/python3 tests/matrix/table.py --check
}

lint "gcc" compile build gcc
lint "clang" compile build/clang clang
lint "clang-tidy" tidy
lint "shellcheck" shell
lint "python" python
lint "only plane sees libbpf" includes_libbpf
lint "only link sees netlink" includes_netlink
lint "drops are counted" actions
lint "SPDX" spdx
lint "findings of doctor are documented" findings
lint "help, manual, completion and verb table agree" agree
lint "kernels" kernels
lint "mutations still change something" tests/mutate/run.py --stale
lint "functions up to 100 lines" function_length
lint "files up to 700 lines" file_length
lint "lines up to 120 columns (Python 160)" line_length
lint "no blanks at line ends" blanks
lint "docs/compat.md" compat
exit $failed
