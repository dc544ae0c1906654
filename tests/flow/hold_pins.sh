#!/bin/bash
# Pins on the node's side: what the admin's signed word does to a node, and that nothing else does (A14): an admin that means ill,
# with the cluster's own private identity, sends it. And that going back brings no retired key back (A1).
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
hostile=$MUSTER_BIN/tests/flow/hostile
role=internal

node() { start node node --no-admin --service-role "$role" --service-name node --no-status; }

halt() { stop "$1" || fail "$1 did not stop cleanly"; }

here() { muster --home node "$@"; }

say() { printf '%s\n' "$1" >&"${HOSTILE[1]}"; }

# answered WHAT: the line that it says to it.
answered() {
	local answer
	say "$1"
	read -r -t "$DEADLINE" answer <&"${HOSTILE[0]}" || fail "the hostile admin does not take $1"
}

# offer NAME: a release; sets release and sequence.
offer() {
	say "$1"
	read -r -t "$DEADLINE" release sequence <&"${HOSTILE[0]}" || fail "the hostile admin did not make $1"
}

# pin [HOW ACTION NODE RELEASE SEQUENCE]
pin() { answered "pin $*"; }

active() { field_is node .transactionId "$1"; }

runs() { within "$DEADLINE" active "$1" || fail "runs $(field node .transactionId), not $1: $(here status)"; }

is_accepted() { [ "$(jsonget .accepted <node/var/node/state)" = "$1" ]; }

accepts() { within "$DEADLINE" is_accepted "$1" || fail "$1 was not accepted: $(here status)"; }

is_held() { field_is node .held.by "$1" && field_is node .held.release "$2"; }

held() { within "$DEADLINE" is_held "$1" "$2" || fail "not held by $1 at $2: $(here status)"; }

is_told() {
	case $(field node .rejected.reason || true) in
	*"$1"*) field_is node .rejected.step verify ;;
	*) false ;;
	esac
}

snapshot() {
	readlink node/var/node/current
	find -L node/var/node/current -type f -exec sha256sum {} + | sort
	field node .transactionId
	field node .held.release || true
	jsonget .pinSequence <node/var/node/state
	wc -l <hooks
}

refusals() { grep -c ' error verify node: pin refused, kept' node.log || true; }

# bad WORDS HOW ACTION NODE RELEASE SEQUENCE: is refused at verify with these words, told once, and changes nothing.
bad() {
	local words=$1 before
	shift
	pin
	within "$DEADLINE" field_is node .rejected null || fail 'told as rejected though nothing is sent'
	snapshot >before
	before=$(refusals)
	pin "$@"
	within "$DEADLINE" is_told "$words" || fail "pin $*: not told as \"$words\": $(here status)"
	pin "$@"
	# what comes after it was looked at later
	offer good
	accepts "$release"
	[ "$(refusals)" = $((before + 1)) ] || fail "pin $*: told $(($(refusals) - before)) times"
	if [ "$(field node .held)" = null ]; then
		runs "$release"
	else
		snapshot >after
		cmp -s before after || fail "pin $*: the node changed: $(diff before after)"
	fi
	is_told "$words" || fail "pin $*: not told any more"
}

mkdir -p admin/etc/init node/etc/init node/etc/activate.d evil/var
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
start admin admin --admin --no-status
wait_admin admin
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml) 2>/dev/null
give_secret admin node "$role"
printf '#!/bin/bash\necho "$MUSTER_RELEASE" >>"%s/hooks"\n' "$AREA" >node/etc/activate.d/10-tell
chmod 755 node/etc/activate.d/10-tell
node
wait_sequence node 1
halt admin
cp -R admin/var/admin evil/var/admin
coproc HOSTILE { exec "$hostile" evil "$port" "$role" 2>"$AREA/hostile.log"; }
pids[hostile]=$HOSTILE_PID
read -r -t "$DEADLINE" release sequence <&"${HOSTILE[0]}" || fail 'the hostile admin does not start'
runs "$release"
first=$release
offer good
second=$release
runs "$second"
offer good
third=$release
runs "$third"
nobody=$(printf '%040d' 7)

# --- a good one holds, new releases are accepted and stay away, and a restart changes nothing ---

pin good hold node "$second" 5
held admin "$second"
runs "$second"
field_is node .held.reason 'because I can' || fail 'another reason'
field_is node .rejected null || fail 'a good pin is rejected'
offer good
accepts "$release"
active "$second" || fail 'a pinned node deployed a new release'
pin good hold node "$second" 5
[ "$(grep -c 'pin 5 of the admin' node.log)" = 1 ] || fail 'the same pin again is told again'
halt node
exec {HOSTILE[1]}>&-
within "$DEADLINE" gone "${pids[hostile]}" || fail 'the hostile admin does not end'
unset 'pids[hostile]'
node
wait_state node WAITING
is_held admin "$second" && active "$second" || fail 'the pin did not survive a restart without the admin'
code=0
here resume --here 2>err || code=$?
[ "$code" = 1 ] && grep -q "it is the admin that holds this node, at ${second:0:12}: muster resume --node" err ||
	fail "resume of a pin: exit code $code: $(cat err)"
is_held admin "$second" || fail 'a resume here ended the hold of the admin'
coproc HOSTILE { exec "$hostile" evil "$port" "$role" 2>"$AREA/hostile.log"; }
pids[hostile]=$HOSTILE_PID
read -r -t "$DEADLINE" release sequence <&"${HOSTILE[0]}" || fail 'the hostile admin does not start again'
accepts "$release"
is_held admin "$second" || fail 'no pin is no follow'

# --- what must not count, while it is held and while it is not ---

for round in held free; do
	bad 'is for node other' good hold other "$first" 20
	bad 'has sequence 4, accepted here was' good hold node "$first" 4
	bad 'has sequence 5, accepted here was' good hold node "$first" 5
	bad 'is not signed' unsigned hold node "$first" 20
	bad 'the signature is not over these bytes' reason hold node "$first" 20
	bad 'is of another cluster' cluster hold node "$first" 20
	bad 'is signed by a key that the newest release here does not name' foreign hold node "$first" 20
	bad 'is signed by a key that the newest release here does not name' foreign follow node "$first" 20
	bad 'was never accepted here' good hold node "$nobody" 20
	bad 'its sequence is out of range' good hold node "$first" 9223372036854775808
	bad 'is no base64' non/sense
	[ "$round" = held ] || continue
	pin good follow node "$second" 6
	within "$DEADLINE" field_is node .held null || fail 'it does not follow again'
	runs "$release"
	# what held is an older pin now
	bad 'has sequence 5, accepted here was 6' good hold node "$second" 5
done
newest=$release

# --- the node's own hold wins, and the pin counts when that is over ---

here rollback --here "$third" >/dev/null || fail 'no rollback'
pin good hold node "$second" 7
within "$DEADLINE" grep -q 'pin 7 of the admin: held at .*, once the hold made here is ended' node.log || fail 'the pin is not taken'
is_held node "$third" && active "$third" || fail 'a pin wins over the hold made here'
here resume --here >out
grep -q "the admin's counts again, at ${second:0:12}" out || fail "resume says: $(cat out)"
held admin "$second"
runs "$second"
here rollback --here "$third" >/dev/null || fail 'no rollback of a node that is pinned'
is_held node "$third" && active "$third" || fail 'not back'
pin good follow node "$second" 8
within "$DEADLINE" grep -q 'pin 8 of the admin: follows again, once the hold made here is ended' node.log || fail 'follow is not taken'
is_held node "$third" || fail 'follow ended the hold made here'
here resume --here >/dev/null
runs "$newest"

# --- one whose release fails: still held, what ran runs, told; mended, it is there ---

printf '#!/bin/bash\n! [ -e "%s/no" ]\n' "$AREA" >node/etc/activate.d/20-no
chmod 755 node/etc/activate.d/20-no
touch no
pin good hold node "$second" 9
within "$DEADLINE" field_is node .rejected.step activate || fail 'a pin whose release fails is not told'
runs "$newest"
is_held admin "$second" || fail 'a pin ends with a failure'
halt node
rm no
node
wait_state node RUNNING
is_held admin "$second" && active "$newest" || fail 'another release after the restart'
field_is node .rejected.release "$second" || fail 'what is burnt is not told after a restart'
code=0
here resume --here >out 2>err || code=$?
[ "$code" = 1 ] && grep -q '^1 burnt release may be tried again' out || fail "resume of a burnt pin: $(cat out err)"
runs "$second"
held admin "$second"
field_is node .rejected null || fail 'still rejected'
pin good follow node "$second" 10
runs "$newest"

# The same at vet: it is tried again when it is told to.
mkdir node/etc/vet.d
printf '#!/bin/bash\n[ "$MUSTER_RELEASE" != %s ]\n' "$second" >node/etc/vet.d/10-no
chmod 755 node/etc/vet.d/10-no
pin good hold node "$second" 11
within "$DEADLINE" field_is node .rejected.step vet || fail 'a pin whose release is refused is not told'
is_held admin "$second" && active "$newest" || fail 'what ran does not run'
offer good
accepts "$release"
field_is node .rejected.step vet || fail 'not told any more'
rm -r node/etc/vet.d
kill -HUP "${pids[node]}"
runs "$second"
within "$DEADLINE" field_is node .rejected null || fail 'still told'
pin good follow node "$second" 12
newest=$release
runs "$newest"

# One that is burnt already: told by every pin to it, and not tried again.
touch no
pin good hold node "$second" 13
within "$DEADLINE" field_is node .rejected.step activate || fail 'a pin whose release fails is not told'
runs "$newest"
rm no
pin good follow node "$second" 14
within "$DEADLINE" field_is node .rejected null || fail 'what nothing leads to is still told'
tried=$(grep -c "error activate $second: failed" node.log)
pin good hold node "$second" 15
held admin "$second"
within "$DEADLINE" field_is node .rejected.release "$second" || fail "a pin to what is burnt is not told: $(here status)"
field_is node .rejected.step activate && active "$newest" || fail "a pin to what is burnt: $(here status)"
[ "$(grep -c "error activate $second: failed" node.log)" = "$tried" ] || fail 'what is burnt is tried again'
# nor is it forgotten over a rollback that fails
touch no
code=0
here rollback --here "$third" >out 2>err || code=$?
[ "$code" = 1 ] && grep -q 'failed at activate' err || fail "a rollback whose hook fails: $(cat out err)"
rm no
runs "$newest"
within "$DEADLINE" field_is node .rejected.release "$second" || fail "a pin to what is burnt is told no more: $(here status)"
here resume --here >/dev/null 2>&1 || true # it held nothing here, but forgets what is burnt
runs "$second"
within "$DEADLINE" field_is node .rejected null || fail 'still rejected'
pin good follow node "$second" 16
runs "$newest"

# --- an admin that stalls a fetch does not stall the way back ---

answered stall
offer good
newest=$release
is_fetching() { [ -e node/var/node/quarantine.git/HEAD ] && ! is_accepted "$newest"; }
within "$DEADLINE" is_fetching || fail 'it does not fetch'
SECONDS=0
here rollback --here "$third" >/dev/null || fail 'no rollback while a fetch stalls'
[ "$SECONDS" -lt 30 ] || fail 'the rollback waited for the fetch'
is_held node "$third" && active "$third" || fail 'not back'
accepts "$newest"
here resume --here >/dev/null
runs "$newest"

# --- a retired key stays retired, wherever the node is (A1) ---

offer announce
runs "$release"
offer rotate
runs "$release"
newest=$release
here rollback --here "$second" >/dev/null || fail 'no rollback behind the rotation'
offer retired
is_refused() { field_is node .rejected.release "$1" && field_is node .rejected.step verify; }
within "$DEADLINE" is_refused "$release" || fail "a release by a retired key after a rollback: $(here status)"
is_accepted "$newest" || fail 'the rollback took back what was accepted'
offer good
accepts "$release"
newest=$release
bad 'is signed by a key that the newest release here does not name' retired hold node "$first" 20
here resume --here >/dev/null
runs "$release"
newest=$release

# --- away for long: the pin is signed by a key, and names a release, that this node is still to hear of ---

halt node
before=$newest
offer announce
middle=$release
offer rotate
offer good
newest=$release
answered "since $before"
pin good hold node "$middle" 20
node
wait_state node RUNNING
held admin "$middle"
runs "$middle"
is_accepted "$newest" || fail 'the newest was not accepted'
if grep -q "$newest" hooks; then
	fail 'the newest was deployed on the way'
fi
pin good follow node "$middle" 21
runs "$newest"
field_is node .held null && field_is node .rejected null || fail "in the end: $(here status)"
[ ! -s hostile.log ] || fail "the hostile admin says: $(cat hostile.log)"
halt node
