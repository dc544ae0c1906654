#!/bin/bash
# How long a node takes from the start of its process to serving what is on its disk, with the admin away: the times it tells
# its service manager that it is ready. See README.md here.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

ROUNDS=${ROUNDS:-21}

need git awk
area
cd "$AREA"
port=$(freeport)

# one FILE: starts the node, adds the nanoseconds until it is ready, stops it.
one() {
	local told
	: >told
	"$MUSTER_BIN/tests/flow/notified" musterd --home node --no-admin --service-role internal --service-name node \
		--no-status >told 2>>node.log </dev/null &
	pids[node]=$!
	within "$DEADLINE" grep -q ' READY=1$' told || fail 'it is not ready'
	told=$(awk '/ READY=1$/ { print $1; exit }' told)
	grep -q 'STATUS=.*WAITING, sequence [1-9]' told || fail 'ready, and it does not serve'
	stop node || fail 'it did not stop cleanly'
	[ -z "${1:-}" ] || echo "$told" >>"$1"
}

# quantile FILE PERCENT: in milliseconds.
quantile() {
	sort -n "$1" | awk -v p="$2" '{ v[NR] = $1 } END { i = int((NR - 1) * p / 100 + 0.5) + 1; printf "%.2f", v[i] / 1e6 }'
}

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml 2>/dev/null)
give_secret admin node internal
start admin admin --admin --no-status
wait_admin admin
start node node --no-admin --service-role internal --service-name node --no-status
wait_state node RUNNING
stop node
stop admin

one # what the first start writes counts once
for ((i = 0; i < ROUNDS; i++)); do
	one warm.ns
done
median=$(quantile warm.ns 50)
printf '%-40s %10s %10s\n' "$ROUNDS starts, milliseconds" median '95%'
printf '%-40s %10s %10s\n' 'warm local copy to serving (aim: 50)' "$median" "$(quantile warm.ns 95)"
printf '{"rounds":%d,"start":{"median_ms":%s,"p95_ms":%s}}\n' "$ROUNDS" "$median" "$(quantile warm.ns 95)"
