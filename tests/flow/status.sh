#!/bin/bash
# The status and metrics endpoints, as a load balancer and a scraper see them.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

area
cd "$AREA"
port=$(freeport)

# http METHOD ADDR:PORT PATH: the whole answer.
http() {
	exec 3<>"/dev/tcp/${2%:*}/${2##*:}" || return 1
	printf '%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$3" "$2" >&3
	cat <&3
	exec 3>&-
}

code() { http "$@" | sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p'; }

body() { http "$@" | sed '1,/^\r*$/d'; }

# answers CODE METHOD ADDR:PORT PATH
answers() {
	local got want=$1
	shift
	got=$(code "$@")
	[ "$got" = "$want" ] || fail "$* answered ${got:-nothing}, not $want"
}

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml 2>/dev/null)
give_secret admin node default

# a node without an admin is IDLE: alive, not to be sent work
start node node --no-admin --service-role default --service-name node1
wait_state node IDLE
status=$(field node .status)
metrics=$(field node .metrics)
answers 503 GET "$status" /
answers 503 GET "$status" /serving
body GET "$status" / | jsonget .nodeState | grep -qx IDLE || fail 'the document is not the status'

start admin admin --admin
wait_admin admin
wait_state node RUNNING
answers 200 GET "$status" /
answers 200 GET "$status" /serving
answers 200 HEAD "$status" /
[ -z "$(body HEAD "$status" / | tr -d '\r\n')" ] || fail 'HEAD has a body'
answers 404 GET "$status" /metrics
answers 404 GET "$status" /../etc
answers 405 POST "$status" /
answers 405 DELETE "$status" /serving
[ "$(body GET "$status" / | jsonget .transactionId)" = "$(field node .transactionId)" ] ||
	fail 'the endpoint and muster status differ'

answers 200 GET "$metrics" /metrics
body GET "$metrics" /metrics >metrics.txt
grep -qx 'muster_node_state{state="RUNNING"} 1' metrics.txt || fail 'no state in the metrics'
grep -qx 'muster_release_sequence 1' metrics.txt || fail 'no sequence in the metrics'
! command -v promtool >/dev/null || promtool check metrics <metrics.txt

answers 200 GET "$(field admin .status)" /
body GET "$(field admin .metrics)" /metrics >admin.txt
grep -qx 'muster_nodes{state="RUNNING"} 1' admin.txt || fail 'the admin does not count its node'
grep -q '^muster_role_sequence{role="default"} 1$' admin.txt || fail 'no roles in the metrics'

# the admin goes: the node serves on, and says so
stop admin
wait_state node WAITING
answers 200 GET "$status" /
grep -c . metrics.txt >/dev/null

# a port that is taken is one clear line and exit 1
mkdir -p other/etc/init
cp node/etc/init/cluster.xml other/etc/init/
rc=0
musterd --home other --no-admin --service-name other --status-listen "$status" 2>other.err || rc=$?
[ "$rc" = 1 ] || fail "a taken port gave exit $rc"
grep -q "status: listen: 127.0.0.1 port ${status##*:} cannot be taken" other.err || fail "said: $(cat other.err)"
rc=0
musterd --home other --no-admin --service-name other --status-listen nonsense 2>other.err || rc=$?
[ "$rc" = 2 ] || fail "nonsense as an address gave exit $rc"
echo 'status: all as it should be'
