#!/bin/bash
# What a cluster of N nodes costs its admin and how fast a release reaches them, beside etcd and git daemon: see README.md here.
# NODES="10 100 1000 10000" ROUNDS=5 RESULTS=FOLDER (where the table, JSON and the picture go; not kept without).
. "${top_srcdir:-$(dirname "$0")/../..}/tests/bench/fleet_lib.sh"

NODES=${NODES:-10 100 1000 10000}
ROUNDS=${ROUNDS:-5}
PEERS=${PEERS:-1000} # watchers of etcd
PATH=$PATH:$MUSTER_BIN/etcd/usr/bin # as bootstrap unpacks it
FETCHES=${FETCHES:-200} # of git daemon
area
trap 'end_all; finish' EXIT
cd "$AREA"

# --- muster ---

# each FILE KEY N: a value for each of N.
each() { awk -v v="$(value "$1" "$2")" -v n="$3" 'BEGIN { printf "%.1f", v / n }'; }

setup_demo() {
	rm -rf admin
	mkdir -p admin/etc/init
	cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
	setup tokens.xml
}

row() { printf '%7s %9s %9s %9s %9s %9s %9s %12s %12s %12s %11s %10s\n' "$@" | tee -a table; }

: >rows.json
row nodes first median last received 'last here' join 'CPU us/node' 'join CPU us' 'nodes CPU us' bytes/node storm
for n in $NODES; do
	setup_demo
	"$FLEET" nodes cluster.xml internal "$n" admin.pid admin/var/admin/config/.git/refs/heads "$ROUNDS" \
		./commit ./restart >row.json 2>fleet.err || { cat fleet.err; tail -5 admin.log; fail "the fleet of $n nodes"; }
	row "$n" "$(value row.json first_ms)" "$(value row.json median_ms)" "$(value row.json last_ms)" \
		"$(value row.json received_last_ms)" "$(value row.json here_last_ms)" "$(value row.json join_ms)" \
		"$(each row.json admin_cpu_us "$n")" "$(value row.json join_cpu_us_per_node)" \
		"$(each row.json nodes_cpu_us "$n")" "$(value row.json memory_per_node)" "$(value row.json storm_ms)"
	packs=$(jsonget .packs.built <before.json)/$(jsonget .packs.hits <before.json) # before the restart
	sed -i "s|}\$|,\"admin_stop_ms\":$(value restart.json stop_ms),\"admin_start_ms\":$(value restart.json start_ms),\"packs_built_and_hits\":\"$packs\"}|" row.json
	cat row.json >>rows.json
	muster --home admin slice --role internal >slice.xml
	teardown
done

# --- etcd: a put of the bytes of a slice, to watchers ---

# cpu PID: processor time of it and of its children that ended, in microseconds.
cpu() {
	awk -v tick="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print ($12 + $13 + $14 + $15) * 1e6 / tick }' "/proc/$1/stat"
}

# It listens before it serves; whoever asks then waits.
etcd_listens() { (exec 3<>"/dev/tcp/127.0.0.1/$client") 2>/dev/null; }

run_etcd() {
	local client peer daemon=
	if ! command -v etcd >/dev/null; then
		echo 'etcd: skipped, neither installed nor unpacked by ./bootstrap bench'
		return
	fi
	client=$(freeport)
	peer=$(freeport)
	etcd --data-dir "$AREA/etcd" --listen-client-urls "http://127.0.0.1:$client" \
		--advertise-client-urls "http://127.0.0.1:$client" --listen-peer-urls "http://127.0.0.1:$peer" \
		--initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer" \
		</dev/null >etcd.log 2>&1 &
	daemon=$!
	others+=("$daemon")
	within "$DEADLINE" etcd_listens || fail 'etcd does not listen'
	"$FLEET" etcd "$client" "$PEERS" "$ROUNDS" slice.xml >etcd.json || fail 'the watchers of etcd'
	kill "$daemon"
	wait "$daemon" 2>/dev/null || true # it was told to end
	etcd_row "etcd, $PEERS watchers, a connection each, ms" ''
	etcd_row "etcd, $PEERS watchers on one connection, ms" one_
}

etcd_row() {
	printf '%-52s %9s %9s %9s\n' "$1" "$(value etcd.json "$2first_ms")" "$(value etcd.json "$2median_ms")" \
		"$(value etcd.json "$2last_ms")" | tee -a table
}

# --- git daemon: the same change, fetched ---

run_git() {
	local port daemon have program from to
	program=$(git --exec-path)/git-daemon
	if ! [ -x "$program" ]; then
		echo 'git daemon: skipped, it is not installed'
		return
	fi
	setup_demo
	for ((i = 1; i <= 20; i++)); do
		./commit "$i"
		within "$DEADLINE" released "$((i + 1))" || fail 'no release for git daemon'
	done
	teardown
	have=$(git -C admin/var/admin/release.git rev-parse internal^)
	port=$(freeport)
	"$program" --listen=127.0.0.1 --port="$port" --base-path="$AREA/admin/var/admin" --export-all --reuseaddr \
		</dev/null >git-daemon.log 2>&1 &
	daemon=$!
	others+=("$daemon")
	within "$DEADLINE" git ls-remote -q "git://127.0.0.1:$port/release.git" >/dev/null 2>&1 ||
		fail 'git daemon does not answer'
	from=$(cpu "$daemon")
	"$FLEET" git 127.0.0.1 "$port" /release.git refs/heads/internal "$have" "$FETCHES" >git.json ||
		fail 'the fetches of git daemon'
	sleep 0.5 # it takes up the children that ended
	to=$(cpu "$daemon")
	kill "$daemon"
	wait "$daemon" 2>/dev/null || true # it was told to end
	git_cpu=$(awk -v f="$from" -v t="$to" -v n="$FETCHES" 'BEGIN { printf "%.0f", (t - f) / n }')
	printf '%-52s %9s\n' "git daemon, CPU for a fetch, us" "$git_cpu" | tee -a table
}

released() { [ "$(field admin .published.roles.internal.sequence || true)" = "$1" ]; }

git_cpu=null
run_etcd
run_git

# --- all of it as JSON, and the picture ---

printf '{%s,"nodes":[%s],"etcd":%s,"git_daemon_cpu_us_per_fetch":%s}\n' "$(machine)" "$(paste -s -d, rows.json)" \
	"$(cat etcd.json 2>/dev/null || echo null)" "$git_cpu" >fleet.json
cat fleet.json
awk -f "$top_srcdir/tests/bench/plot.awk" fleet.json >fleet.svg
keep fleet
