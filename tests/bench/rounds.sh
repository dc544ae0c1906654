# What the benches of latency share; read after tests/flow/lib.sh, and after area.
# shellcheck shell=bash

export GIT_AUTHOR_NAME=bench GIT_AUTHOR_EMAIL=bench@example.com \
	GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench@example.com

watcher=
others=() # processes besides the daemons

# Gives back the exit code it was called with.
end_others() {
	local code=$? pid
	set +e # or what was called for ends here, before the daemons do
	for pid in "${others[@]}"; do
		kill "$pid" 2>/dev/null || continue
		wait "$pid" 2>/dev/null || true # it was told to end
	done
	return "$code"
}

trap 'end_others; finish' EXIT

# watch FOLDER NAME...: the watcher tells when one of them moves, by its number from 0.
watch() {
	local word
	mkfifo "$AREA/moves"
	"$MUSTER_BIN/tests/bench/moved" "$@" >"$AREA/moves" &
	watcher=$!
	others+=("$watcher")
	exec 9<"$AREA/moves"
	rm "$AREA/moves"
	read -r -t "$DEADLINE" word <&9 && [ "$word" = ready ] || fail 'the watcher does not watch'
}

unwatch() {
	kill "$watcher"
	wait "$watcher" 2>/dev/null || true
	exec 9<&-
}

# round FROM TO COMMAND...: runs the command, which commits; $took is the nanoseconds from the move of FROM to that of TO. When
# $hook is a number as well, $hooked is those from TO to its move.
hook=
round() {
	local which at from= to= first=$1 last=$2
	shift 2
	took=
	hooked=
	"$@" || fail "$* failed"
	while read -r -t "$DEADLINE" which at <&9; do
		if [ "$which" = "$first" ]; then
			from=$at
		elif [ "$which" = "$last" ] && [ -n "$from" ]; then
			to=$at
			took=$((at - from))
		elif [ "$which" = "$hook" ] && [ -n "$to" ]; then
			hooked=$((at - to))
		fi
		if [ -n "$took" ] && [ -n "$hooked$([ -n "$hook" ] || echo none)" ]; then
			return
		fi
	done
	fail "nothing moved after: $*"
}

# quantile FILE PERCENT: in milliseconds.
quantile() {
	sort -n "$1" | awk -v p="$2" '{ v[NR] = $1 } END { i = int((NR - 1) * p / 100 + 0.5) + 1; printf "%.2f", v[i] / 1e6 }'
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'; }

# change REPOSITORY NUMBER [OPTION...]: one leaf of one role; the options are for git.
change() {
	local repository=$1 number=$2
	shift 2
	sed -i "s|<access-token-ttl>[0-9]*<|<access-token-ttl>$((1000 + number))<|" "$repository/tokens.xml"
	git -C "$repository" "$@" commit -q -a -m "lifetime $number"
}

# setup_cluster ADMIN NODE: both run.
setup_cluster() {
	local port
	port=$(freeport)
	mkdir -p "$1/etc/init" "$2/etc/init"
	cp "$top_srcdir"/tests/fixtures/demo/*.xml "$1/etc/init/"
	muster --home "$1" init --host 127.0.0.1 --port "$port" >/dev/null
	(umask 077 && genclust -c 127.0.0.1 -p "$port" -k "$1/var/admin/cluster.key" >"$2/etc/init/cluster.xml" 2>/dev/null)
	give_secret "$1" "$2" internal
	start "$1" "$1" --admin
	wait_admin "$1"
	start_node "$2"
	wait_state "$2" RUNNING
}

start_node() { start "$1" "$1" --no-admin --service-role internal --service-name node --no-status; }

# private_memory PID: kilobytes of anonymous memory, or nothing where it may not be read.
private_memory() { awk '/^Anonymous:/ { print $2 }' "/proc/$1/smaps_rollup" 2>/dev/null || true; }

megabytes() { [ -z "$1" ] || awk -v k="$1" 'BEGIN { printf "%.1f", k / 1024 }'; }
