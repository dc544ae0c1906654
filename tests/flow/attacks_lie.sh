#!/bin/bash
# An admin that means ill tells of releases that do not exist, while its branch has one that this node knows: one that runs already
# is not vetted again, and one that was burnt does not run again, however often it is told (A12).
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
hostile=$MUSTER_BIN/tests/flow/hostile
role=internal

# offer WHAT: sets release and sequence.
offer() {
	printf '%s\n' "$1" >&"${HOSTILE[1]}"
	read -r -t "$DEADLINE" release sequence <&"${HOSTILE[0]}" || fail "the hostile admin did not take $1"
}

active() { field_is node .transactionId "$1"; }

is_burnt() { field_is node .rejected.release "$release" && field_is node .rejected.step activate; }

passed_over() { [ "$(grep -c 'not deployed: .* had it before' node.log)" = "$1" ]; }

hook() {
	mkdir -p "node/etc/$1"
	printf '#!/bin/sh\necho "$MUSTER_RELEASE" >>"%s/%s"\n[ ! -e "%s/bad" ]\n' "$AREA" "$1" "$AREA" >"node/etc/$1/10"
	chmod +x "node/etc/$1/10"
}

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
start admin admin --admin --no-status
wait_admin admin
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml) 2>/dev/null
give_secret admin node "$role"
hook vet.d
hook activate.d
start node node --no-admin --service-role "$role" --service-name node --no-status --log-level info
wait_state node RUNNING
stop admin || fail 'the admin did not stop cleanly'

mkdir -p evil/var
cp -R admin/var/admin evil/var/admin
coproc HOSTILE { exec "$hostile" evil "$port" "$role" 2>"$AREA/hostile.log"; }
pids[hostile]=$HOSTILE_PID
read -r -t "$DEADLINE" release sequence <&"${HOSTILE[0]}" || fail 'the hostile admin does not start'
within "$DEADLINE" active "$release" || fail 'the hostile admin is not believed with a good release'
good=$release

# --- what runs already ---

vetted=$(wc -l <vet.d)
for i in 1 2 3; do
	offer "lie $((sequence + i))"
	within "$DEADLINE" passed_over "$i" || fail "not passed over: $(tail -n 5 node.log)"
done
[ "$(wc -l <vet.d)" = "$vetted" ] || fail 'what runs is vetted again'
[ "$(grep -c "^$good\$" activate.d)" = 1 ] || fail 'what runs is activated again'

# --- what was burnt ---

release=
chmod -x node/etc/vet.d/10
touch bad
offer good
within "$DEADLINE" is_burnt || fail "not burnt: $(muster --home node status --json)"
burnt=$release
[ "$burnt" != "$good" ] || fail 'no new release'
within "$DEADLINE" active "$good" || fail 'not swapped back'
rm bad
for i in 4 5 6; do
	offer "lie $((sequence + i))"
	within "$DEADLINE" passed_over "$i" || fail "not passed over: $(tail -n 5 node.log)"
done
active "$good" || fail 'a burnt release runs'
[ "$(muster --home node log --json | jsonget .0.verdict)" = burnt ] || fail 'what was burnt is not any more'
[ "$(grep -c "^$burnt\$" activate.d)" = 1 ] || fail 'a burnt release was activated again'
[ "$(jsonget .accepted <node/var/node/state)" = "$burnt" ] || fail 'what was accepted is accepted no more'

# Another one is refused meanwhile: what was burnt is again the newest that may run, and is not to for that.
offer unsigned
within "$DEADLINE" field_is node .rejected.release "$release" || fail 'unsigned, and not refused'
field_is node .rejected.step verify || fail "not refused at verify: $(muster --home node status --json)"

# --- and a good one counts again ---

offer good
within "$DEADLINE" active "$release" || fail 'what is good is not taken any more'
[ "$(grep -c "^$burnt\$" activate.d)" = 1 ] || fail 'a burnt release was activated again, after another was refused'
[ "$(grep -c "error activate $burnt: failed" node.log)" = 1 ] || fail 'a burnt release was staged and swapped to again'
exec {HOSTILE[1]}>&-
within "$DEADLINE" gone "${pids[hostile]}" || fail 'the hostile admin does not end'
unset 'pids[hostile]'
[ ! -s hostile.log ] || fail "the hostile admin says: $(cat hostile.log)"
stop node || fail 'the node did not stop cleanly'
