#!/bin/bash
# A node that goes back by itself, with and without its admin: it stays there whatever comes, takes in what is new meanwhile, goes
# on when it is told to, and what cannot be gone back to changes nothing.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
source=admin/var/admin/config

node() { start node node --no-admin --service-role internal --service-name node --no-status "$@"; }

admin() { start admin admin --admin --no-status; }

halt() { stop "$1" || fail "$1 did not stop cleanly"; }

here() { muster --home node "$@"; }

# publish TTL: a release that the node has accepted, whatever it does with it; its id is in release.
publish() {
	sed "s|<access-token-ttl>[^<]*<|<access-token-ttl>$1<|" "$source/tokens.xml" >edited
	cat edited >"$source/tokens.xml"
	muster --home admin commit -m "ttl $1" >/dev/null
	release=$(field admin .published.roles.internal.release)
	within "$DEADLINE" is_accepted "$release" || fail "$1 was not accepted: $(here status)"
}

is_accepted() { [ "$(jsonget .accepted <node/var/node/state)" = "$1" ]; }

active() { field_is node .transactionId "$1"; }

runs() { within "$DEADLINE" active "$1" || fail "runs $(field node .transactionId), not $1: $(here status)"; }

leads_to() { [ "$(readlink node/var/node/current)" = "revisions/$1" ]; }

# failed N: how often the activation of the third one did.
failed() { [ "$(grep -c "error activate $third: failed: 20-burn" node.log)" = "$1" ]; }

held() { field_is node .held.by "$1" && field_is node .held.release "$2"; }

# What a service and the next start could see. The log may get to know an old release again.
snapshot() {
	readlink node/var/node/current
	find -L node/var/node/current node/run/current/ -type f -exec sha256sum {} + | sort
	field node .transactionId
	field node .held.release || true
	wc -l <hooks
}

# no REV WORDS: is refused with just this, and nothing changes.
no() {
	local code=0
	snapshot >before
	here rollback --here "$1" >out 2>err || code=$?
	[ "$code" = 1 ] || fail "rollback to $1: exit code $code"
	[ ! -s out ] && [ "$(wc -l <err)" = 1 ] || fail "rollback to $1 says: $(cat out err)"
	grep -qF "$2" err || fail "rollback to $1 says: $(cat err)"
	snapshot >after
	cmp before after || fail "rollback to $1 changed something: $(diff before after)"
}

# hook FOLDER NAME: from stdin.
hook() {
	mkdir -p "node/etc/$1"
	{ echo '#!/bin/bash'; cat; } >"node/etc/$1/.$2"
	chmod 755 "node/etc/$1/.$2"
	mv "node/etc/$1/.$2" "node/etc/$1/$2"
}

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
cp "$top_srcdir"/tests/fixtures/demo/*.xml node/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml) 2>/dev/null
give_secret admin node internal
hook activate.d 10-tell <<EOT
echo "\$MUSTER_RELEASE \$MUSTER_PREVIOUS" >>'$AREA/hooks'
EOT

code=0
here rollback --here 1234567 2>err || code=$?
[ "$code" = 3 ] || fail "rollback without a daemon: exit code $code"
code=0
here resume --here 2>err || code=$?
[ "$code" = 3 ] || fail "resume without a daemon: exit code $code"
for wrong in 'rollback --here' 'rollback --here 1234567 1234567' 'resume' 'resume --here 1234567' 'rollback --there 1234567'; do
	code=0
	# shellcheck disable=SC2086
	here $wrong 2>err || code=$?
	[ "$code" = 2 ] || fail "$wrong: exit code $code"
done

admin
wait_admin admin
node
wait_sequence node 1
first=$(field node .transactionId)
publish 302
second=$release
runs "$second"
publish 303
third=$release
runs "$third"

# --- what cannot be gone back to ---

no 123456 'is no revision'
no HEAD~1 'is no revision'
no init-abc 'is no revision'
no "$(printf '%040d' 7)" 'is no release that was accepted here'
no init-0123456789 'there is no revision'
no "$(git -C "$source" rev-parse HEAD^{tree})" 'nor the source of one'
here resume --here >out || fail 'nothing to resume is a failure'
grep -q 'was not held here' out || fail "resume says: $(cat out)"

# --- back, with the admin there; what is new is accepted and not deployed ---

here rollback --here "${second:0:9}" --reason 'sessions are lost' >out || fail 'no rollback'
grep -q "^$second runs here and stays, sequence 2: muster resume" out || fail "rollback says: $(cat out)"
active "$second" || fail 'it does not run yet'
held node "$second" && field_is node .held.reason 'sessions are lost' || fail 'not held'
[ "$(tail -n 1 hooks)" = "$second $third" ] || fail "the hooks were told: $(tail -n 1 hooks)"
grep -q '<access-token-ttl>302<' node/run/current/config.xml || fail 'another plain copy'
field_is node .isServing true && field_is node .nodeState RUNNING || fail 'it does not serve'
here status | grep -q "^held .* by the node at $second, since 2.*: sessions are lost$" || fail "status says: $(here status)"
field_is node .rejected null || fail 'something is told as rejected'
# on_admin PATH VALUE: what the admin shows of the node.
on_admin() { [ "$(muster --home admin nodes --json | jsonget ".0$1")" = "$2" ]; }
within "$DEADLINE" on_admin .held.by node || fail 'the admin does not show who holds it'
on_admin .held.release "$second" && on_admin .held.reason 'sessions are lost' && on_admin .held.pending false ||
	fail "the admin shows: $(muster --home admin nodes --json)"
publish 304
publish 305
fifth=$release
active "$second" || fail 'a new release was deployed'
[ ! -e "node/var/node/revisions/$fifth" ] || fail 'a new release was staged'
git -C node/var/node/replica.git cat-file -e "$fifth^{tree}" || fail 'a new release is not in the replica'

# --- it survives a stop, a kill and a reboot ---

halt node
node
wait_state node RUNNING
[ "$(tail -n 1 hooks)" = "$second $third" ] || fail 'the hooks ran again'
kill -KILL "${pids[node]}"
wait "${pids[node]}" 2>/dev/null || true
unset 'pids[node]'
rm node/run/activated
node
wait_state node RUNNING
runs "$second"
held node "$second" || fail 'the hold did not survive'
publish 306
sixth=$release
active "$second" || fail 'a new release was deployed after a restart'

# --- on again, without the admin ---

halt admin
wait_state node WAITING
here resume --here >out || fail 'no resume'
grep -q 'is ended: this node follows' out || fail "resume says: $(cat out)"
runs "$sixth"
field_is node .held null || fail 'still held'

# --- back without the admin: to a source, to what is not staged any more, to etc/init, to another one while held, to stay ---

rm -r "node/var/node/revisions/$first"
here rollback --here "$(git -C "$source" rev-parse HEAD~5)" >/dev/null || fail 'no rollback to a source'
active "$first" && held node "$first" || fail 'not back at the first one'
grep -q '<access-token-ttl>300<' node/run/current/config.xml || fail 'another plain copy'
init=$(basename node/var/node/revisions/init-*)
here rollback --here "$init" >/dev/null || fail 'no rollback to etc/init'
active "$init" && held node "$init" || fail 'not back at etc/init'
field_is node .sequence 0 && field_is node .source null || fail 'etc/init has a release'
halt node
node
wait_state node WAITING
active "$init" && held node "$init" || fail 'not at etc/init after a restart'
here rollback --here "$third" >/dev/null || fail 'no rollback while held'
active "$third" && held node "$third" || fail 'not at the third one'
here resume --here >/dev/null
runs "$sixth"
ran=$(wc -l <hooks)
here rollback --here "$sixth" --reason 'as it is' >/dev/null || fail 'it cannot be held where it is'
held node "$sixth" || fail 'not held where it is'
[ "$(wc -l <hooks)" = "$ran" ] || fail 'hooks ran for what runs'
here resume --here >/dev/null

# --- what does not pass the checks any more (D7) ---

echo 'TTL=307' >node/etc/params
admin
wait_state node RUNNING
publish '#{TTL}'
seventh=$release
runs "$seventh"
grep -q '<access-token-ttl>307<' node/run/current/config.xml || fail 'no parameter'
publish 308
eighth=$release
runs "$eighth"
rm node/etc/params
no "$seventh" "is refused at check, and nothing was changed: config.xml"
field_is node .rejected null || fail 'a rollback that fails is no release that is rejected'
hook vet.d 10-no <<EOT
! grep -q '>303<' "\$1/config.xml"
EOT
no "$third" 'is refused at vet, and nothing was changed: 10-no: exit status 1'
here rollback --here "$sixth" >/dev/null
no "$third" 'is refused at vet'
held node "$sixth" || fail 'the hold is lost to a rollback that fails'
rm -r node/etc/vet.d
here resume --here >/dev/null
runs "$eighth"

# --- one whose activation fails is burnt, until it is mended ---

hook activate.d 20-burn <<EOT
! grep -q '>303<' "\$MUSTER_CURRENT/config.xml"
EOT
code=0
here rollback --here "$third" >out 2>err || code=$?
[ "$code" = 1 ] || fail "a rollback whose hook fails: exit code $code"
grep -q 'failed at activate, and what was active is so again: 20-burn: exit status 1' err || fail "rollback says: $(cat err)"
runs "$eighth"
within "$DEADLINE" leads_to "$eighth" || fail 'not swapped back'
field_is node .held null || fail 'held at what failed'
no "$third" 'is burnt, its activation failed'
rm node/etc/activate.d/20-burn
no "$third" 'is burnt, its activation failed'
here resume --here >out
grep -q '^1 burnt release may be tried again$' out || fail "resume says: $(cat out)"
here rollback --here "$third" >/dev/null || fail 'what was mended is not tried again'
active "$third" || fail 'not at the third one'
here resume --here >/dev/null
runs "$eighth"

# The same for one of the admin's.
hook activate.d 20-burn <<EOT
! grep -q '>309<' "\$MUSTER_CURRENT/config.xml"
EOT
publish 309
ninth=$release
within "$DEADLINE" field_is node .rejected.release "$ninth" || fail 'not rejected'
runs "$eighth"
rm node/etc/activate.d/20-burn
here resume --here >/dev/null || fail 'no resume without a hold'
runs "$ninth"
within "$DEADLINE" field_is node .rejected null || fail 'still rejected'

# --- the real admin's pin, and the hold made here before it ---

muster --home admin rollback --node node "$sixth" --reason 'a pin' >/dev/null
within "$DEADLINE" held admin "$sixth" || fail "not pinned: $(here status)"
runs "$sixth"
within "$DEADLINE" on_admin .held.pending false || fail 'the pin is pending'
on_admin .held.by admin && on_admin .held.release "$sixth" && on_admin .held.reason 'a pin' ||
	fail "the admin shows: $(muster --home admin nodes --json)"
here rollback --here "$third" >/dev/null || fail 'no rollback of a node that is pinned'
within "$DEADLINE" on_admin .held.by node || fail 'the admin does not see that'
here resume --here >/dev/null
runs "$sixth"
muster --home admin resume --node node >/dev/null
within "$DEADLINE" field_is node .held null || fail 'it does not follow again'
runs "$ninth"
within "$DEADLINE" on_admin .held null || fail 'the admin still shows it as held'

# --- current moved by hand counts as a rollback ---

move() {
	ln -sfn "revisions/$1" node/var/node/current.new
	mv -T node/var/node/current.new node/var/node/current
}

move "$third"
within "$DEADLINE" held node "$third" || fail "moved by hand: $(here status)"
active "$third" || fail 'not what it was moved to'
field_is node .held.reason 'var/node/current was moved by hand' || fail 'the reason is another one'
publish 310
tenth=$release
active "$third" || fail 'a new release was deployed'
move "$sixth"
within "$DEADLINE" held node "$sixth" || fail 'moved on by hand'
here resume --here >/dev/null
runs "$tenth"
halt node
move "$third"
node
wait_state node RUNNING
within "$DEADLINE" held node "$third" || fail 'moved while no daemon ran'
runs "$third"
here resume --here >/dev/null
runs "$tenth"
# what is no revision of this node, and what is burnt, is undone
move "$(printf '%040d' 7)"
within "$DEADLINE" test -e node/var/node/current/config.xml || fail 'current leads nowhere'
hook activate.d 20-burn <<EOT
! grep -q '>303<' "\$MUSTER_CURRENT/config.xml"
EOT
for round in 2 3; do
	move "$third"
	within "$DEADLINE" failed "$round" || fail "round $round: burnt by hand"
	within "$DEADLINE" leads_to "$tenth" || fail 'not swapped back'
done
runs "$tenth"
# nor is it tried again once its hook would take it: whoever mended that says so
rm node/etc/activate.d/20-burn
ran=$(grep -c "^$third " hooks)
move "$third"
within "$DEADLINE" failed 4 || fail 'what is burnt is tried again'
within "$DEADLINE" leads_to "$tenth" || fail 'not swapped back from what is burnt'
runs "$tenth"
[ "$(grep -c "^$third " hooks)" = "$ran" ] || fail 'a hook ran for what is burnt'
field_is node .held null && field_is node .rejected null || fail "held at what failed: $(here status)"

# --- a kill on the way: the hold is on the disk before the swap, and not before vet passed ---

kill_now() {
	kill -KILL "${pids[node]}"
	wait "${pids[node]}" 2>/dev/null || true
	unset 'pids[node]'
}

here resume --here >/dev/null
for folder in vet.d activate.d; do
	rm -f hanging
	hook "$folder" 20-hang <<EOT
[ "\$MUSTER_RELEASE" = "$third" ] && [ ! -e '$AREA/hanging' ] || exit 0
touch '$AREA/hanging'
sleep 600
EOT
	here rollback --here "$third" --reason killed >out 2>err &
	waiting=$!
	within "$DEADLINE" test -e hanging || fail "$folder does not run"
	kill_now
	code=0
	wait "$waiting" || code=$?
	[ "$code" = 3 ] || fail "the daemon is killed at $folder: exit code $code"
	node
	wait_state node RUNNING
	if [ "$folder" = vet.d ]; then
		active "$tenth" && field_is node .held null || fail 'held though vet did not pass'
	else
		runs "$third"
		held node "$third" && field_is node .held.reason killed || fail "not held after a kill: $(here status)"
	fi
	rm "node/etc/$folder/20-hang"
done
here resume --here >/dev/null
runs "$tenth"
# and between the two
halt node
sed -i "s|\"here\": null|\"here\": {\"release\": \"$third\", \"since\": 1, \"reason\": \"-\"}|" node/var/node/state
node
wait_state node RUNNING
runs "$third"
held node "$third" || fail 'not held after a kill before the swap'
# who wants etc/init does not want that
halt node
node --force-reload
wait_state node RUNNING
runs "$tenth"
field_is node .held null || fail 'held after a forced reload'

# --- a rollback does not wait for what is under way, but for what cannot be stopped ---

hook vet.d 10-slow <<EOT
touch '$AREA/vetting'
until [ -e '$AREA/vetted' ]; do sleep 0.05; done
EOT
publish 311
within "$DEADLINE" test -e vetting || fail 'vet.d does not run'
# again when it came while the other was still answered
back() {
	until here rollback --here "$sixth" >out 2>err; do
		grep -q 'is under way' err || return 1
		sleep 0.05
	done
}
back &
waiting=$!
is_busy() { ! here resume --here >/dev/null 2>busy; }
within "$DEADLINE" is_busy || fail 'two at once'
grep -q 'another rollback or resume is under way' busy || fail "two at once: $(cat busy)"
touch vetted
wait "$waiting" || fail "no rollback while another release is vetted: $(cat err)"
held node "$sixth" && active "$sixth" || fail 'not back from what was vetted'
halt node
halt admin
