#!/bin/bash
# How long a small commit takes from `main` moving on the admin to the release being active on a node, beside the same change
# taken by git push, git daemon and a loop of git fetch, checkout and symlink swap, all on this machine. See README.md here.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

ROUNDS=${ROUNDS:-100}
WARM=5 # rounds before those that count

need git awk
export GIT_AUTHOR_NAME=bench GIT_AUTHOR_EMAIL=bench@example.com \
	GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench@example.com

# --- measuring ---

watcher=
others=() # processes besides the daemons

# watch SOURCE-REPOSITORY FOLDER: the watcher tells when main moves (0) and when `current` does in FOLDER (1).
watch() {
	local word
	mkfifo "$AREA/moves"
	"$MUSTER_BIN/tests/bench/moved" "$1/.git/refs/heads" main "$2" current >"$AREA/moves" &
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

# One round: runs the command, which commits; prints the nanoseconds from main to current.
round() {
	local which at from=
	"$@" || fail "$* failed"
	while read -r -t "$DEADLINE" which at <&9; do
		if [ "$which" = 0 ]; then
			from=$at
		elif [ -n "$from" ]; then
			echo $((at - from))
			return
		fi
	done
	fail "nothing moved after: $*"
}

# rounds FILE COMMAND...: COMMAND gets the number of the round as its last argument.
rounds() {
	local file=$1 i
	shift
	for ((i = 1; i <= WARM + ROUNDS; i++)); do
		if [ "$i" -le "$WARM" ]; then
			round "$@" "$i" >/dev/null
		else
			round "$@" "$i" >>"$file"
		fi
	done
}

# quantile FILE PERCENT: in milliseconds.
quantile() {
	sort -n "$1" | awk -v p="$2" '{ v[NR] = $1 } END { i = int((NR - 1) * p / 100 + 0.5) + 1; printf "%.2f", v[i] / 1e6 }'
}

# change REPOSITORY NUMBER: one leaf of one role.
change() {
	sed -i "s|<access-token-ttl>[0-9]*<|<access-token-ttl>$((1000 + $2))<|" "$1/tokens.xml"
	git -C "$1" commit -q -a -m "lifetime $2"
}

# --- muster ---

setup_muster() {
	local port
	port=$(freeport)
	mkdir -p admin/etc/init node/etc/init
	cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
	muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
	(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml 2>/dev/null)
	give_secret admin node internal
	start admin admin --admin
	wait_admin admin
	start node node --no-admin --service-role internal --service-name node --no-status
	wait_state node RUNNING
}

# private_memory PID: kilobytes of anonymous memory, or nothing where it may not be read.
private_memory() { awk '/^Anonymous:/ { print $2 }' "/proc/$1/smaps_rollup" 2>/dev/null || true; }

# --- git alone ---

push_change() {
	change author "$1"
	git -C author push -q origin main
}

fetch_for_ever() {
	local now last=
	# it ends with the bench, however that ends
	while kill -0 "$$" 2>/dev/null && [ -d replica ]; do
		git -C replica fetch -q origin main || { sleep 0.1; continue; }
		now=$(git -C replica rev-parse FETCH_HEAD)
		[ "$now" != "$last" ] || continue
		last=$now
		mkdir -p "served/$now"
		git -C replica --work-tree="../served/$now" checkout -q -f "$now" -- .
		ln -s "$now" served/next
		mv -T served/next served/current
	done
}

setup_git() {
	local port daemon=
	port=$(freeport)
	daemon=$(git --exec-path)/git-daemon
	[ -x "$daemon" ] || skip 'git daemon is not installed'
	git init -q -b main author
	cp "$top_srcdir"/tests/fixtures/demo/*.xml author/
	git -C author add -A
	git -C author commit -q -m first
	git clone -q --bare author bare.git
	git -C author remote add origin "$AREA/bare.git"
	# The program itself, and not `git daemon`: the number is that of the one that must end.
	"$daemon" --listen=127.0.0.1 --port="$port" --base-path="$AREA" --export-all --reuseaddr \
		</dev/null >git-daemon.log 2>&1 &
	others+=($!)
	within "$DEADLINE" git ls-remote -q "git://127.0.0.1:$port/bare.git" main >/dev/null 2>&1 ||
		fail 'git daemon does not answer'
	git clone -q --no-checkout "git://127.0.0.1:$port/bare.git" replica
	mkdir served
	fetch_for_ever >fetch.log 2>&1 &
	others+=($!)
	within "$DEADLINE" test -L served/current || fail 'the loop of git fetch does not begin'
}

# --- both ---

# Gives back the exit code it was called with.
end_others() {
	local code=$? pid
	for pid in "${others[@]}"; do
		kill "$pid" 2>/dev/null || continue
		wait "$pid" 2>/dev/null || true # it was told to end
	done
	return "$code"
}

area
trap 'end_others; finish' EXIT
cd "$AREA"

setup_muster
watch admin/var/admin/config node/var/node
rounds muster.ns change admin/var/admin/config
memory=$(private_memory "${pids[node]}")
unwatch
stop node
stop admin

setup_git
watch author served
rounds git.ns push_change
unwatch

ours=$(quantile muster.ns 50)
theirs=$(quantile git.ns 50)
ratio=$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.3f", a / b }')
printf '%-34s %10s %10s\n' "$ROUNDS small commits, milliseconds" median '95%'
printf '%-34s %10s %10s\n' 'muster: main moved to active' "$ours" "$(quantile muster.ns 95)"
printf '%-34s %10s %10s\n' 'git push, daemon, fetch loop' "$theirs" "$(quantile git.ns 95)"
printf '%-34s %10s\n' 'ratio (aim: at most 0.2)' "$ratio"
printf '%-34s %10s\n' 'private memory of the node, MB' \
	"$([ -z "$memory" ] || awk -v k="$memory" 'BEGIN { printf "%.1f", k / 1024 }')"
printf '{"rounds":%d,"muster":{"median_ms":%s,"p95_ms":%s},"git":{"median_ms":%s,"p95_ms":%s},"ratio":%s,"node_anonymous_kb":%s}\n' \
	"$ROUNDS" "$ours" "$(quantile muster.ns 95)" "$theirs" "$(quantile git.ns 95)" "$ratio" "${memory:-null}"
