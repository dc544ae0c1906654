# Helpers of the flow tests: real daemons in homes of their own below one temporary folder. A test is run by bash, begins with
#
#	. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"
#
# and finds the programs in MUSTER_BIN (`make check` and bootstrap set both). Only what was started here is
# stopped, whatever way the test ends, and nothing stays: not the homes, not the plain copies on tmpfs.
# shellcheck shell=bash

set -eu

top_srcdir=$(cd "${top_srcdir:-$(dirname "${BASH_SOURCE[0]}")/../..}" && pwd)
MUSTER_BIN=$(cd "${MUSTER_BIN:-$top_srcdir/build}" && pwd)
PATH=$MUSTER_BIN:$PATH
export PATH top_srcdir MUSTER_BIN

# Nothing of the caller's settings reaches the test.
unset MUSTER_HOME ADMIN SERVICE_ROLE SERVICE_NAME STATUS_LISTEN UI_LISTEN PLAIN_GROUP LOGGING_LEVEL \
	MUSTER_CONFIG_SECRET MUSTER_CONFIG_SECRET_FILE CONFIG_ENCRYPTION_KEY CONFIG_SERVICE_HOST \
	CREDENTIALS_DIRECTORY GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE NOTIFY_SOCKET JOURNAL_STREAM
# Status endpoints on free ports: many daemons share this machine.
export STATUS_LISTEN=127.0.0.1:0
export LC_ALL=C TZ=UTC NO_COLOR=1 GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_PAGER=cat

# Seconds within which a daemon does what it was asked, on a slow machine under sanitizers.
DEADLINE=${DEADLINE:-60}

declare -A pids=() # of the running daemons, by name
AREA=

REASON= # why it failed: told at once, and once more below the logs

fail() {
	REASON=$*
	printf 'FAILED: %s\n' "$*" >&2
	exit 1
}

skip() {
	printf 'skipped: %s\n' "$*" >&2
	exit 77
}

# need PROGRAM...: the test cannot run without.
need() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# Makes the temporary folder AREA. Call it first.
area() {
	AREA=$(mktemp -d "${TMPDIR:-/tmp}/muster.XXXXXX")
	export HOME=$AREA
	trap finish EXIT
	trap 'exit 130' INT TERM HUP
	set -E
	trap 'REASON="${BASH_SOURCE[0]:-} line $LINENO: $BASH_COMMAND"' ERR
}

freeport() { "$MUSTER_BIN/tests/flow/freeport"; }

# jsonget PATH <DOCUMENT
jsonget() { "$MUSTER_BIN/tests/flow/jsonget" "$@"; }

# within SECONDS COMMAND...: until it succeeds; fails when the time is up.
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

alive() { kill -0 "$1" 2>/dev/null; }

gone() { ! alive "$1"; }

# start NAME HOME [OPTION...]: a daemon in the background; its log is AREA/NAME.log.
start() {
	local name=$1 home=$2
	shift 2
	[ -z "${pids[$name]:-}" ] || fail "$name is running already"
	printf -- '--- musterd --home %s %s\n' "$home" "$*" >>"$AREA/$name.log"
	musterd --home "$home" "$@" </dev/null >>"$AREA/$name.log" 2>&1 &
	pids[$name]=$!
}

# stop NAME [SIGNAL]: and waits until it is gone. Gives back the daemon's exit code.
stop() {
	local pid=${pids[$1]:-} code=0
	[ -n "$pid" ] || return 0
	kill "-${2:-TERM}" "$pid" 2>/dev/null || true
	if ! within "$DEADLINE" gone "$pid"; then
		kill -KILL "$pid" 2>/dev/null || true
		echo "$1 did not stop" >>"$AREA/$1.log"
		code=1
	fi
	unset "pids[$1]"
	wait "$pid" || code=$?
	return "$code"
}

# give_secret ADMIN NODE ROLE: the node gets the key of its role, as an operator gives it.
give_secret() {
	mkdir -p "$2/etc"
	(umask 077 && muster --home "$1" secret role-key "$3" >"$2/etc/.secret.new")
	mv "$2/etc/.secret.new" "$2/etc/secret"
}

# field HOME PATH: one value of `muster status --json`.
field() { muster --home "$1" status --json 2>/dev/null | jsonget "$2" 2>/dev/null; }

# field_is HOME PATH VALUE
field_is() { [ "$(field "$1" "$2" || true)" = "$3" ]; }

# wait_state HOME STATE [SECONDS]
wait_state() {
	within "${3:-$DEADLINE}" field_is "$1" .nodeState "$2" ||
		fail "$1 is $(field "$1" .nodeState || echo 'not reachable'), not $2"
}

# wait_sequence HOME NUMBER [SECONDS]
wait_sequence() {
	within "${3:-$DEADLINE}" field_is "$1" .sequence "$2" ||
		fail "$1 has release $(field "$1" .sequence || echo '(not reachable)'), not $2"
}

# wait_admin HOME [SECONDS]: it answers and has published.
wait_admin() {
	within "${2:-$DEADLINE}" admin_ready "$1" || fail "the admin in $1 has not published"
}

admin_ready() { [ -n "$(field "$1" .published.source || true)" ]; }

# remove_plain HOME: the plain copy that a node keeps on tmpfs when its home is on a disk.
remove_plain() {
	local link
	link=$(readlink "$1/run/plain" 2>/dev/null) || return 0
	case $link in
	*/../* | */..) ;;
	/dev/shm/?*)
		link=${link#/dev/shm/}
		rm -rf "/dev/shm/${link%%/*}"
		;;
	esac
}

# copy_home FROM TO: a node's, with a plain copy of its own.
copy_home() {
	local base copy
	cp -a "$1" "$2"
	base=$(readlink "$1/run/plain" 2>/dev/null) || return 0
	[ -d "$base" ] && [ -L "$1/run/plain" ] || return 0
	copy=$(mktemp -d "${base%/*}/muster-XXXXXXXXXX")
	cp -a "$base/." "$copy/"
	ln -sfn "$copy" "$2/run/plain"
	ln -sfn "$copy/$(basename "$(readlink "$1/run/current")")" "$2/run/current"
}

# What a sanitizer wrote is a failure, whatever the exit code was.
sanitizer_reports() {
	grep -hE 'ERROR: (Address|Leak|Thread|Memory)Sanitizer|: runtime error: ' "$AREA"/*.log
}

finish() {
	local code=$? name home
	trap - EXIT INT TERM HUP ERR
	set +e
	for name in "${!pids[@]}"; do
		stop "$name" >/dev/null 2>&1
	done
	if sanitizer_reports >&2 2>/dev/null; then
		code=1
	fi
	if [ "$code" != 0 ] && [ "$code" != 77 ]; then
		tail -n 40 "$AREA"/*.log >&2 2>/dev/null
		printf 'FAILED: %s\n' "${REASON:-exit code $code}" >&2
	fi
	find "$AREA" -type l -path '*/run/plain' | while read -r home; do
		remove_plain "${home%/run/plain}"
	done
	rm -rf "$AREA"
	exit "$code"
}
