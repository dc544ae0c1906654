#!/bin/sh
# What `make fuzz` does besides building:
#
#   run.sh check CC SRCDIR                     whether it can be built here; says why not and exits 1
#   run.sh run SECONDS SRCDIR HARNESS...       runs each, built in fuzz-build/, for that long; one line each, then the sum;
#                                              exits 1 when one of them found something, naming the input
set -eu
export LC_ALL=C

fail() { printf 'make fuzz: %s\n' "$*" >&2; exit 1; }

check() {
	command -v "$1" >/dev/null 2>&1 || fail "needs clang, and there is no $1 (Debian: clang; another one: FUZZ_CC=…)"
	probe=$(mktemp -d)
	echo 'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return (int)(n & 0) * d[0]; }' >"$probe/a.c"
	found=0
	"$1" -fsanitize=fuzzer,address,undefined -o "$probe/a" "$probe/a.c" >"$probe/log" 2>&1 || found=1
	[ $found = 0 ] || sed 's/^/  /' "$probe/log" >&2
	rm -rf "$probe"
	[ $found = 0 ] || fail "$1 cannot link -fsanitize=fuzzer,address,undefined (Debian: libclang-rt-dev)"
	[ ! -f "$2/config.status" ] || fail 'needs a build outside the source tree: make distclean, then ../configure in a folder'
}

# The number that libFuzzer prints at its end under NAME.
stat_of() { sed -n "s/^stat::$1: *//p" "$2" | tail -n 1; }

# One harness; its log and its own growing corpus stay in fuzz-build/found/NAME/.
run_one() {
	name=${1##*/fuzz_}
	found=fuzz-build/found/$name
	mkdir -p "$found/corpus"
	status=0
	"fuzz-build/$1" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 \
		-artifact_prefix="$found/" "$found/corpus" "$srcdir/tests/fuzz/corpus/$name" >"$found/log" 2>&1 || status=$?
	count=$(stat_of number_of_executed_units "$found/log")
	count=${count:-0}
	total=$((total + count))
	printf '%-14s %12d executions  %7d a second\n' "$name" "$count" "$(stat_of average_exec_per_sec "$found/log")"
	[ $status = 0 ] && return
	failed="$failed $name"
	grep -E 'Assertion|ERROR: |runtime error|SUMMARY' "$found/log" | head -n 5
	sed -n "s/.*Test unit written to /$name: the input is /p" "$found/log"
	printf '%s: exit status %d, all it said is in %s\n' "$name" "$status" "$found/log"
}

run() {
	seconds=$1 srcdir=$2 total=0 failed=
	shift 2
	case $seconds in
	'' | *[!0-9]* | 0*) fail "SECONDS is \"$seconds\", not a number of seconds" ;;
	esac
	for harness; do
		run_one "$harness"
	done
	printf '%-14s %12d executions\n' total "$total"
	[ -z "$failed" ] || fail "found something:$failed"
}

command=$1
shift
"$command" "$@"
