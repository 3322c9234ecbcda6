# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Completion of vpeer for bash.  `make install` fills the table in from `vpeer help --completion`, that is from the verb
# table of user/main.c and the key table of user/conf_key.c; the functions read that grammar and know no verb by name.
#
#   lower case, a|b   as it stands           NAME PORT A B P   a port (after `add` a new one)     FILE      a file
#   [...]             may be left out        SEGMENT S         a segment                          key=value a port's key
#   word...           once or more           other capitals    nothing that could be known        X | Y     other forms

declare -gA _vpeer_table=(
	["@TABLE@"]=""
)

# Names in a section (ports, segments) of the live plane; none without root, or without the plane.
_vpeer_live() {
	"${COMP_VPEER:-vpeer}" --plane "$plane" showconf 2>/dev/null |
		sed -n "/^$1:/,/^[^ ]/s/^  - name: \"\\{0,1\\}\\([^\"]*\\)\"\\{0,1\\}\$/\\1/p"
}

_vpeer_planes() {
	local pin
	for pin in /sys/fs/bpf/vpeer/[!+]*/; do
		pin=${pin%/}
		pin=${pin##*/}
		[[ $pin == "[!+]*" ]] || echo "${pin//:/.}"
	done
}

# Keys of a port; behind the equals sign their values.
_vpeer_keys() {
	local key=${cur%%=*}= word
	case $cur in
	device=*) for word in /sys/class/net/*; do echo "device=${word##*/}"; done ;;
	segment=* | tagged=*) _vpeer_live segments | sed "s/^/$key/" ;;
	mac=*) echo mac=auto ;;
	*=*) echo "${_vpeer_table[$key]-}" | tr '|' '\n' | sed "s/^/$key/" ;;
	*) for word in "${!_vpeer_table[@]}"; do [[ $word != *= ]] || echo "$word"; done ;;
	esac
}

# What may stand for one word of the grammar; $2 is the word before it.
_vpeer_words() {
	local token
	for token in $(tr '|' '\n' <<<"$1"); do
		token=${token%...}
		case $2:$token in
		--plane:NAME) _vpeer_planes ;;
		add:NAME | -*:NAME) ;;
		*:PORT | *:NAME | *:A | *:B) _vpeer_live ports ;;
		*:SEGMENT) _vpeer_live segments ;;
		*:FILE) compgen -f -- "$cur" && printf '\t\n' ;;
		*:key=value) _vpeer_keys ;;
		*:*=[SP])
			[[ $cur == *=* ]] || echo "${token%?}"
			case $cur:$token in
			segment=*S) _vpeer_live segments | sed 's/^/segment=/' ;;
			port=*P) _vpeer_live ports | sed 's/^/port=/' ;;
			esac
			;;
		*:*[[:upper:]]*) ;;
		*) echo "$token" ;;
		esac
	done
}

# Does a typed word fit a word of the grammar?
_vpeer_fits() {
	local token=${1//[\[\]]/}
	[[ $token == *[[:upper:]=]* || "|${token//.../}|" == *"|$2|"* ]]
}

# One form of a verb ("[-f FILE] add NAME key=value...") against what was typed behind it: sets options, and words, the
# tokens that may come now.
_vpeer_form() {
	local -a tokens=()
	local -A value=()
	local token open="" last="" i
	for token in $1; do
		[[ $token != "["* ]] || open=1
		case ${token#[} in
		-*) last=${token//[\[\]]/} && options+=("$last") ;;
		"|") last="" ;;
		*) if [[ $open && -n $last ]]; then value[$last]=${token%]}; else tokens+=("$token"); fi ;;
		esac
		[[ $token != *"]"* ]] || { open="" && last=""; }
	done
	local at=0 before=""
	for ((i = 0; i < ${#typed[@]}; i++)); do
		before=${typed[i]}
		if [[ $before == -?* && -n ${value[$before]-} ]]; then
			((++i < ${#typed[@]})) || { words=("${value[$before]}") && return 0; }
		elif [[ $before != -?* ]]; then
			((at < ${#tokens[@]})) || return 1
			_vpeer_fits "${tokens[at]}" "$before" || return 1
			[[ ${tokens[at]%]} == *... ]] || at=$((at + 1))
		fi
	done
	words=()
	for ((; at < ${#tokens[@]}; at++)); do
		words+=("${tokens[at]//[\[\]]/}")
		[[ ${tokens[at]} == "["* ]] || break
	done
}

# The forms of $1: parts between " | " that are not in brackets.
_vpeer_forms() {
	local form="" token open=0
	for token in $1; do
		[[ $token != "["* ]] || open=1
		if [[ $token == "|" && $open == 0 ]]; then
			echo "$form" && form=""
		else
			form+="$token "
		fi
		[[ $token != *"]"* ]] || open=0
	done
	echo "$form"
}

# Everything that may stand at the cursor, one a line, and a tab if there are files among it; typed are the words behind
# the verb.
_vpeer_candidates() {
	local form token before=${all[-1]}
	local -a options words
	while read -r form; do
		options=() && words=()
		_vpeer_form "$form" || continue
		for token in "${words[@]}"; do _vpeer_words "$token" "$before"; done
		[[ $cur != -* ]] || printf '%s\n' "${options[@]}"
	done < <(_vpeer_forms "$1")
}

_vpeer() {
	local line=${COMP_LINE:0:COMP_POINT} cur plane=default verb="" i
	local -a all typed=()
	read -ra all <<<"$line"
	[[ $line != *[[:blank:]] ]] || all+=("")
	cur=${all[-1]}
	unset 'all[-1]'
	for ((i = 1; i < ${#all[@]}; i++)); do
		if [[ -n $verb ]]; then
			typed+=("${all[i]}")
		elif [[ ${all[i]} == --plane ]]; then
			i=$((i + 1)) && plane=${all[i]-}
		elif [[ ${all[i]} != -* ]]; then
			verb=${all[i]}
		fi
	done
	local found
	if [[ -n $verb ]]; then
		found=$(_vpeer_candidates "${_vpeer_table[$verb]-}")
	elif [[ ${all[-1]} == --plane ]]; then
		found=$(_vpeer_planes)
	elif [[ $cur == -* ]]; then
		found=$(_vpeer_candidates "${_vpeer_table[vpeer]}")
	else
		for verb in "${!_vpeer_table[@]}"; do [[ $verb == *= || $verb == vpeer ]] || found+=$verb$'\n'; done
	fi
	mapfile -t COMPREPLY < <(awk -v p="$cur" 'NF && index($0, p) == 1 && !seen[$0]++' <<<"$found" | sort)
	[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
	[[ $found != *$'\t'* ]] || compopt -o filenames 2>/dev/null
	# readline replaces only what is behind the last of its own separators
	local head=${cur%"${cur##*[=:]}"}
	[[ $COMP_WORDBREAKS != *=* || -z $head ]] || COMPREPLY=("${COMPREPLY[@]#"$head"}")
}
complete -F _vpeer vpeer
