#!/bin/bash
# Content that must never be activated: an admin that means ill, with the cluster's own private identity, offers a node that
# has a good configuration one bad release after the other. Each must be kept out and told, and the node must take what is
# good afterwards. With PUSH=push what it offers comes with the news of it, unasked.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
hostile=$MUSTER_BIN/tests/flow/hostile
role=internal

# what NODE: the line of status that matters here.
rejected() { field node ".rejected.$1" || true; }

# offer NAME: sets release and sequence.
offer() {
	printf '%s\n' "$1" >&"${HOSTILE[1]}"
	read -r -t "$DEADLINE" release sequence <&"${HOSTILE[0]}" || fail "the hostile admin did not make $1"
}

active() { field_is node .transactionId "$1"; }

# All that a service could see.
snapshot() {
	readlink node/var/node/current
	find -L node/var/node/current -type f -exec sha256sum {} + | sort
	field node .transactionId
}

is_told() { [ "$(rejected release)" = "$release" ] && [ "$(rejected step)" = "$1" ]; }

# bad NAME STEP WORDS
bad() {
	local logged
	snapshot >before
	logged=$(wc -l <node.log)
	offer "$1"
	within "$DEADLINE" is_told "$2" ||
		fail "$1: not refused at $2: $(muster --home node status --json)"
	case $(rejected reason) in
	*"$3"*) ;;
	*) fail "$1: refused because \"$(rejected reason)\", not \"$3\"" ;;
	esac
	[ "$(tail -n "+$((logged + 1))" node.log | grep -c " error $2 .*release refused, kept")" = 1 ] ||
		fail "$1: not one line in the log: $(tail -n "+$((logged + 1))" node.log)"
	snapshot >after
	cmp -s before after || fail "$1: the node changed: $(diff before after)"
	field_is node .nodeState RUNNING || fail "$1: the node does not run"
	[ ! -e node/var/node/quarantine.git/refs/heads/x ] || fail 'a stray ref'
}

# good NAME
good() {
	offer "$1"
	within "$DEADLINE" active "$release" ||
		fail "a good release after $2 did not arrive: $(muster --home node status --json)"
	field_is node .sequence "$sequence" || fail "not sequence $sequence"
	within "$DEADLINE" field_is node .rejected null || fail "still told as rejected: $(rejected reason)"
}

# --- a good configuration from a real admin ---

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
start admin admin --admin --no-status
wait_admin admin
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml) 2>/dev/null
give_secret admin node "$role"
start node node --no-admin --service-role "$role" --service-name node --no-status ${PUSH:+--log-level debug}
wait_state node RUNNING
sed -i 's|<access-token-ttl>300<|<access-token-ttl>301<|' admin/var/admin/config/tokens.xml
muster --home admin commit -m 'a second release' --wait >/dev/null
field_is node .sequence 2 || fail 'the real admin does not work'
stop admin || fail 'the admin did not stop cleanly'

# --- the hostile one takes its place ---

mkdir -p evil/var
cp -R admin/var/admin evil/var/admin
coproc HOSTILE { exec "$hostile" evil "$port" "$role" ${PUSH:+push} 2>"$AREA/hostile.log"; }
pids[hostile]=$HOSTILE_PID
read -r -t "$DEADLINE" release sequence <&"${HOSTILE[0]}" || fail 'the hostile admin does not start'
within "$DEADLINE" active "$release" || fail 'the hostile admin is not believed with a good release either'

if [ -n "${PUSH:-}" ]; then
	good good 'the first'
	grep -q 'came with the news' node.log || fail 'what was pushed is not used'
	# what is wrong with a pack that was not asked for is not the release's fault: it is asked for
	for what in bytes base; do
		printf 'bend %s\n' "$what" >&"${HOSTILE[1]}"
		read -r -t "$DEADLINE" answer <&"${HOSTILE[0]}" && [ "$answer" = "bent $what" ] || fail "not bent: $what"
		good good "a pushed pack with bent $what"
		! grep -q "error .* ${release:0:12}: release refused" node.log || fail "refused for bent $what of what was pushed"
	done
	grep -q 'warning fetch .*failed, tried again later' node.log || fail 'a damaged pack was believed'
fi
count=0
while IFS=$'\t' read -r name step words; do
	case $name in
	retired)
		# from here on another key signs
		good announce "$name"
		good rotate "$name"
		;;
	esac
	bad "$name" "$step" "$words"
	[ "$name" = retired ] || good "$([ "$name" = retired-chain ] && echo restore || echo good)" "$name"
	count=$((count + 1))
done < <("$hostile" --list)
[ "$count" -ge 40 ] || fail "only $count offences"

# Two in a row, and the first again: nothing wears off.
bad unsigned verify 'is not signed'
bad skipped verify 'follows sequence'
bad unsigned verify 'is not signed'
good good 'two in a row'

# Nothing that came with a refused release stays for the next one to rely on.
bad stray verify 'does not reach it'
bad relies verify 'not found'
good good 'what relied on it'

# A restart in the middle of it: the same refusal, and the same configuration at once.
bad sibling verify 'does not descend'
stop node || fail 'the node did not stop cleanly'
start node node --no-admin --service-role "$role" --service-name node --no-status
wait_state node RUNNING
within "$DEADLINE" is_told verify || fail 'after a restart it is not refused'
good good 'a restart'

# --- the real admin is back: first behind the node, then with all it needs ---

exec {HOSTILE[1]}>&-
within "$DEADLINE" gone "${pids[hostile]}" || fail 'the hostile admin does not end'
unset 'pids[hostile]'
[ ! -s hostile.log ] || fail "the hostile admin says: $(cat hostile.log)"
last=$release
start admin admin --admin --no-status
within "$DEADLINE" field_is node .rejected.sequence 2 || fail 'an admin that is behind is not told'
active "$last" || fail 'the node went back'
stop admin || fail 'the admin did not stop cleanly'
rm -rf admin/var/admin/release.git
cp -R evil/var/admin/release.git admin/var/admin/release.git
start admin admin --admin --no-status
wait_admin admin
wait_state node RUNNING
sed -i 's|<access-token-ttl>301<|<access-token-ttl>302<|' admin/var/admin/config/tokens.xml
# each good one of the hostile admin had an element more
muster --home admin commit -m 'a good one' --allow-shrink --wait >/dev/null
grep -q '<access-token-ttl>302<' node/var/node/current/config.xml || fail 'the real admin is not followed any more'
field_is node .rejected null || fail 'something is still told as rejected'
stop node || fail 'the node did not stop cleanly'
stop admin || fail 'the admin did not stop cleanly'
