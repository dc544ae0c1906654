#!/bin/bash
# A false admin that has a cluster file, and more: the join keys of both epochs and all releases, but not the admin's private keys (B5).
# No node talks to it. One that has the key of the channel as well is talked to, and cannot sign (what it forges: attacks_a.sh). Neither
# changes what a node runs.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
key=var/admin/cluster.key

# own WORD: the lines of that word in the stolen key file are the thief's own
own() {
	grep -v "^$1 " "false/$key" >kept || fail 'no other line is left'
	grep "^$1 " "thief/$key" >mine || fail "no $1 in a key file"
	(umask 077 && cat kept mine >changed) && mv changed "false/$key"
}

snapshot() {
	readlink node/var/node/current
	find -L node/var/node/current node/var/node/replica.git/refs -type f -exec sha256sum {} + | sort
	jsonget .accepted <node/var/node/state
	field node .transactionId
}

kept() {
	snapshot >after
	cmp -s before after || fail "$1: the node changed: $(diff before after)"
}

mkdir -p admin/etc/init node/etc/init thief/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
cp "$top_srcdir"/tests/fixtures/demo/*.xml thief/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
muster --home thief init --host 127.0.0.1 --port "$port" >/dev/null
start admin admin --admin --no-status
wait_admin admin
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k "admin/$key" >node/etc/init/cluster.xml) 2>/dev/null
give_secret admin node internal
start node node --no-admin --service-role internal --service-name node --no-status --log-level info
wait_state node RUNNING
stop admin || fail 'the admin did not stop cleanly'
snapshot >before

# --- without the admin's keys ---

cp -a admin false
own channel
own release
told=$(grep -c 'is this cluster file its own' node.log) || true
start false false --admin --no-status
within "$DEADLINE" eval '[ "$(grep -c "is this cluster file its own" node.log)" -gt $told ]' ||
	fail "not told: $(tail -n 5 node.log)"
field_is node .nodeState WAITING || fail "$(field node .nodeState): not one without an admin"
[ "$(muster --home false nodes --json | jsonget .0.connected)" != true ] || fail 'the false admin has a node'
kept 'without the keys'
stop false || fail 'it did not stop cleanly'

# --- with the channel's ---

cp -p "admin/$key" "false/$key"
own release
start false false --admin --no-status
wait_state node RUNNING
within "$DEADLINE" grep -q 'names no key of cluster.key' false.log || fail "it signs: $(tail -n 5 false.log)"
kept 'with the key of the channel'
stop false || fail 'it did not stop cleanly'

# --- and the real one is still the admin ---

sed -i 's|<access-token-ttl>300<|<access-token-ttl>301<|' admin/var/admin/config/tokens.xml
muster --home admin commit -m 'a second release' >/dev/null 2>&1 || true
start admin admin --admin --no-status
wait_sequence node 2
grep -q '<access-token-ttl>301<' node/var/node/current/config.xml || fail 'another second release'
stop node || fail 'the node did not stop cleanly'
stop admin || fail 'the admin did not stop cleanly'
