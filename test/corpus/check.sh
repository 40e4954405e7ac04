#!/bin/sh
# Loads every entry of this corpus with nft, in a network namespace of its own, and prints what is not as the
# corpus says. Usage: check.sh [-v] [rules|files|refused ...]
#
#   load   nft does not take an entry of rules.txt or files/: the entry is wrong             (counts as a failure)
#   list   nft takes it, but `nft list ruleset` fails or does not end afterwards             (a note)
#   taken  nft takes an entry of refused/ whose class says that it must not                  (counts as a failure)
#   error  nft refuses an entry of refused/ whose class says that only tapwall refuses it    (counts as a failure)
set -u
export LC_ALL=C TZ=UTC
here=$(cd "$(dirname "$0")" && pwd)

if [ "${TAPWALL_CORPUS_NETNS:-}" != "$$" ]; then
	# The process that unshare becomes keeps its number, which is how the second pass knows that it is the second.
	if [ "$(id -u)" = 0 ]; then
		exec env TAPWALL_CORPUS_NETNS=$$ unshare --net -- sh "$here/check.sh" "$@"
	fi
	exec env TAPWALL_CORPUS_NETNS=$$ unshare --user --map-root-user --net -- sh "$here/check.sh" "$@"
fi
# A mistake above would flush the machine's own ruleset: a new namespace has a loopback device and nothing else.
if [ "$(ip -o link | grep -cv ': \(lo\|sit0\|tunl0\|ip6tnl0\|gre0\|gretap0\|erspan0\|ip_vti0\|ip6_vti0\|ip6gre0\)[:@]')" != 0 ]; then
	echo "check.sh: this is not a new network namespace" >&2
	exit 2
fi

verbose=
[ "${1:-}" = -v ] && { verbose=1; shift; }
parts=${*:-rules files refused}
cd "$here" || exit 2
ulimit -c 0
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT INT TERM

ip link add base0 type veth peer name base1 &&
	ip link set base0 up && ip link set base1 up &&
	ip link add link base0 name macvtap0 type macvtap mode bridge &&
	ip link set macvtap0 up || { echo "check.sh: no macvtap0" >&2; exit 2; }

failed=0 notes=0

say() { # kind, entry
	printf '%s: %s\n' "$1" "$2"
	sed -n '1,3s/^/      /p' "$work/out" | tr -d '\000'
}

load() { # file
	timeout 10 nft -I . -D intf=macvtap0 -f "$1" >"$work/out" 2>&1
}

must_load() { # entry, file
	if ! load "$2"; then
		say load "$1"
		failed=$((failed + 1))
	elif ! timeout 10 nft list ruleset >"$work/out" 2>&1; then
		say list "$1"
		notes=$((notes + 1))
	elif [ "$verbose" ]; then
		printf 'good: %s\n' "$1"
	fi
	nft flush ruleset
}

rules() {
	ingress=0 egress=0 lines=0
	while IFS= read -r line; do
		case $line in
		'' | '#'*) continue ;;
		'both | '*) hooks='ingress egress' ;;
		'ingress | '* | 'egress | '*) hooks=${line%% *} ;;
		*)
			: >"$work/out"
			say load "rules.txt: not an entry: $line"
			failed=$((failed + 1))
			continue
			;;
		esac
		rule=${line#* | }
		lines=$((lines + 1))
		for hook in $hooks; do
			case $hook in ingress) ingress=$((ingress + 1)) ;; *) egress=$((egress + 1)) ;; esac
			printf 'table netdev t { chain c { type filter hook %s device $intf priority 0; policy accept;\n%s\n} }\n' \
				"$hook" "$rule" | sed 's/^} }$/}\n}/' >"$work/rule.nft"
			must_load "$hook | $rule" "$work/rule.nft"
		done
	done <rules.txt
	sort rules.txt | grep -v '^#' | grep . | uniq -d >"$work/out"
	if [ -s "$work/out" ]; then
		say load 'rules.txt: twice'
		failed=$((failed + 1))
	fi
	echo "rules.txt: $lines lines, $ingress on ingress, $egress on egress"
}

files() {
	count=0
	for file in files/*.nft; do
		count=$((count + 1))
		must_load "$file" "$file"
	done
	echo "files: $count"
}

refused() {
	count=0
	for file in refused/*.nft; do
		count=$((count + 1))
		class=$(sed -n '1s/^# refused: //p' "$file" | tr -d '\000')
		load "$file"
		status=$?
		[ "$verbose" ] && say "$class, $status" "$file"
		case $class in
		family | device | no-hook)
			[ $status = 0 ] || { say error "$file"; failed=$((failed + 1)); }
			;;
		include) ;; # nft may read what tapwall must not
		syntax | kernel | flowtable)
			[ $status = 1 ] || { say taken "$file ($status)"; failed=$((failed + 1)); }
			;;
		hang-or-crash) # an nft without the mistake refuses the file with an error, or loads it
			[ $status -ge 124 ] || { say list "$file: $status, no longer hangs or crashes"; notes=$((notes + 1)); }
			;;
		*)
			say error "$file: no such class: $class"
			failed=$((failed + 1))
			;;
		esac
		nft flush ruleset
	done
	echo "refused: $count"
}

for part in $parts; do
	case $part in
	rules | files | refused) "$part" ;;
	*) echo "check.sh: rules, files or refused, not $part" >&2; exit 2 ;;
	esac
done
nft --version
echo "failures: $failed, notes: $notes"
[ "$failed" = 0 ]
