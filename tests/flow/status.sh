#!/bin/bash
# The status and metrics endpoints, as a load balancer and a scraper see them.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

area
cd "$AREA"
port=$(freeport)

# http METHOD ADDR:PORT PATH: the whole answer.
http() {
	exec 3<>"/dev/tcp/${2%:*}/${2##*:}" || return 1
	printf '%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$3" "${host:-$2}" >&3
	timeout "${patience:-5}" cat <&3
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
# a name that another's DNS leads here is what a browser would send for a stranger's page
for host in localhost "localhost:${status##*:}" LOCALHOST 127.0.0.1 '[::1]' "[::1]:${status##*:}" ::1; do
	answers 200 GET "$status" /serving
done
for host in example.com "example.com:${status##*:}" localhost.example.com 127.0.0.1.example.com '[::1' ':1' "$(printf '%0100d' 1)"; do
	answers 400 GET "$status" /
	[ "$(body GET "$status" / | tr -d '\r')" = 'Host is neither localhost nor an address' ] || fail "$host is told more"
done
unset host
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

grep -qx 'muster_nodes_unapproved 0' admin.txt || fail 'the admin does not count who waits'

# fields DOCUMENT NAME...: each is there, whatever its value
fields() {
	local document=$1 name
	shift
	for name; do
		grep -q "\"${name##*.}\"" "$document" && jsonget ".$name" <"$document" >/dev/null ||
			fail "$document has no $name: $(cat "$document")"
	done
}
body GET "$status" / >node.json
fields node.json name role nodeState isReady isServing transactionId sequence source activatedAt admin.host admin.port \
	admin.connected admin.lastContact held rejected drift status metrics version
body GET "$(field admin .status)" / >admin.json
fields admin.json cluster head published.source published.at published.roles.default.release published.roles.default.sequence \
	refused nodes.RUNNING held unapproved behind rejected ahead listen ui version
muster --home admin nodes --json >nodes.json
fields nodes.json 0.name 0.role 0.nodeState 0.connected 0.transactionId 0.sequence 0.behind 0.held 0.rejected 0.approved \
	0.firstContact 0.lastContact 0.secretKeys 0.version
muster --home node log --json >log.json
fields log.json 0.sequence 0.release 0.source 0.activatedAt 0.verdict 0.reason

# a pin is told on both sides
metric() { body GET "$1" /metrics | grep -qx "$2"; }
metric "$metrics" 'muster_held{by="admin"} 0' || fail 'held from the beginning'
metric "$metrics" 'muster_approved 1' || fail 'not approved'
muster --home admin rollback --node node1 HEAD >/dev/null
within "$DEADLINE" metric "$metrics" 'muster_held{by="admin"} 1' || fail 'the node does not tell that it is held'
! metric "$metrics" 'muster_held_since_timestamp_seconds 0' || fail 'nor since when'
body GET "$(field node .status)" / >node.json
fields node.json held.by held.release held.since held.reason
within "$DEADLINE" metric "$(field admin .metrics)" 'muster_nodes_held 1' || fail 'the admin does not count it'
muster --home admin resume --node node1 >/dev/null
within "$DEADLINE" metric "$metrics" 'muster_held{by="admin"} 0' || fail 'the node is still held'

# the families are those of the manual, and the other way round
(cat metrics.txt admin.txt) | sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' | sort -u >have
sed -n '/^\.Ss Status and metrics/,/^\.Ss Service/s/^\.It Li \(muster_[a-z_]*\).*/\1/p' "$top_srcdir/man/musterd.8" | sort -u >told
diff told have >differ || fail "musterd(8) tells other metrics: $(cat differ)"

# who holds all connections that it can get keeps no probe from another address away
holders() {
	python3 - "${status%:*}" "${status##*:}" "$@" <<'END' &
import socket, sys, time
held = []
for i in range(80):
    s = socket.socket()
    held.append(s)
    s.bind((sys.argv[3 + i % (len(sys.argv) - 3)], 0))
    try:
        s.connect((sys.argv[1], int(sys.argv[2])))
        s.sendall(b"GET / HTTP/1.1\r\n")
    except OSError:
        pass  # it is one too many
open("holding", "w").close()
time.sleep(60)
END
	pids[holders]=$!
	within "$DEADLINE" test -e holding || fail 'no connections'
	rm holding
}

let_go() {
	kill "${pids[holders]}"
	wait "${pids[holders]}" || true
	unset 'pids[holders]'
}

if command -v python3 >/dev/null; then
	holders 127.0.0.2
	answers 200 GET "$status" /
	let_go
	# and when many hold all there are, it answers again as soon as these have been silent for too long
	holders 127.0.0.{2..9}
	patience=30 answers 200 GET "$status" /
	let_go
fi

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
