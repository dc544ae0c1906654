#!/bin/bash
# How a daemon starts and starts again: what it serves, with and without an admin; what its hooks are told and when they run; and
# that a kill at any moment loses nothing. SEED=N repeats a run of the kills.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
source=admin/var/admin/config

node() { start node node --no-admin --service-role internal --service-name node --no-status "$@"; }

admin() { start admin admin --admin --no-status; }

halt() { stop "$1" || fail "$1 did not stop cleanly"; }

change() {
	sed "s|<access-token-ttl>[0-9]*<|<access-token-ttl>$1<|" "$source/tokens.xml" >edited
	cat edited >"$source/tokens.xml"
}

# ran N: how often activate.d ran.
ran() { [ "$(grep -c '^MUSTER_RELEASE=' ran 2>/dev/null || true)" = "$1" ]; }

runs() { within "$DEADLINE" ran "$1" || fail "activate.d ran $(grep -c '^MUSTER_RELEASE=' ran) times, not $1"; }

# hook FOLDER NAME: from stdin.
hook() {
	mkdir -p "node/etc/$1"
	{ echo '#!/bin/bash'; cat; } >"node/etc/$1/$2"
	chmod 755 "node/etc/$1/$2"
}

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >cluster.xml 2>/dev/null
give_secret admin node internal

# --- a cluster file alone: IDLE, until the admin is there ---

hook activate.d 10-tell <<EOT
env | sort >>'$AREA/ran'
EOT
cp cluster.xml node/etc/init/
node
wait_state node IDLE
field_is node .isServing false || fail 'IDLE serves'
field_is node .transactionId null || fail 'IDLE has a release'
halt node
node
admin
wait_state node RUNNING
runs 1
release=$(field node .transactionId)
{
	echo "MUSTER_CURRENT=$AREA/node/var/node/current"
	echo MUSTER_NAME=node
	echo "MUSTER_PREVIOUS="
	echo "MUSTER_RELEASE=$release"
	echo MUSTER_ROLE=internal
	echo MUSTER_SEQUENCE=1
	echo "MUSTER_SOURCE=$(git -C "$source" rev-parse HEAD)"
} >wanted
grep -v '^MUSTER_PLAIN=' ran | grep '^MUSTER_' | cmp - wanted || fail "the hook's environment: $(cat ran)"
[ -s "$(sed -n 's/^MUSTER_PLAIN=//p' ran)/config.xml" ] || fail 'MUSTER_PLAIN leads nowhere'
grep -vE '^(MUSTER_[A-Z]+|PATH|PWD|SHLVL|_|OLDPWD)=' ran && fail 'more in the environment'

# --- the admin is away: on it runs, and a restart serves at once, without its hooks ---

halt admin
wait_state node WAITING
halt node
[ -e node/var/node/current/config.xml ] || fail 'a stop took the local copy'
node
wait_state node WAITING
field_is node .transactionId "$release" || fail 'another release after the restart'
ran 1 || fail 'the hooks ran again in the same boot'
halt node
rm node/run/activated
node
wait_state node WAITING
runs 2
halt node
echo "$release 00000000-0000-0000-0000-000000000000" >node/run/activated
node
wait_state node WAITING
runs 3
halt node

# A hook that fails at a reboot (the service may not be up yet) is told, and takes nothing away.
hook activate.d 20-fail <<<'exit 3'
rm node/run/activated
node
wait_state node WAITING
within "$DEADLINE" grep -q '20-fail: exit status 3' node.log || fail 'the failing hook is not told'
field_is node .transactionId "$release" || fail 'a hook that fails at a reboot took the configuration away'
runs 4
rm node/etc/activate.d/20-fail
halt node

# It comes back by itself, with back-off.
node
wait_state node WAITING
admin
wait_state node RUNNING
change 400
muster --home admin commit -m 'after all that' --wait >/dev/null
runs 5
grep -q "^MUSTER_PREVIOUS=$release" ran || fail 'the release before is not named'
release=$(field node .transactionId)

# --- vet.d refuses, and is asked again at SIGHUP ---

hook vet.d 10-no <<EOT
echo "asked about \$1"
[ -e '$AREA/yes' ] && grep -q '>401<' "\$1/config.xml"
EOT
change 401
code=0
muster --home admin commit -m 'vetted' --wait >out 2>err || code=$?
[ "$code" = 1 ] || fail "a rejected release: exit code $code"
grep -q 'rejects the release at vet: 10-no: exit status 1' err || fail "commit says: $(cat err)"
field_is node .rejected.step vet || fail 'not rejected at vet'
field_is node .transactionId "$release" || fail 'it is active'
grep -q 'vet 10-no: asked about' node.log || fail 'what the hook says is not in the log'
touch yes
kill -HUP "${pids[node]}"
wait_sequence node 3
field_is node .rejected null || fail 'still rejected'
rm -r node/etc/vet.d
release=$(field node .transactionId)

# --- activate.d refuses: swapped back, burnt, not tried again ---

hook activate.d 20-burn <<'EOT'
! grep -q '>402<' "$MUSTER_CURRENT/config.xml"
EOT
change 402
muster --home admin commit -m 'burns' --wait >/dev/null 2>&1 && fail 'a burnt release is no success'
within "$DEADLINE" field_is node .rejected.step activate || fail 'not rejected at activate'
within "$DEADLINE" field_is node .transactionId "$release" || fail 'not swapped back'
[ "$(readlink node/var/node/current)" = "revisions/$release" ] || fail 'current leads elsewhere'
[ "$(muster --home node log --json | jsonget .0.verdict)" = burnt ] || fail 'the log does not say burnt'
tried=$(grep -c '20-burn: exit status 1' node.log)
kill -HUP "${pids[node]}"
halt node
node
wait_state node RUNNING
field_is node .rejected.step activate || fail 'what is burnt is not told after a restart'
field_is node .transactionId "$release" || fail 'another release after the restart'
[ "$(grep -c '20-burn: exit status 1' node.log)" = "$tried" ] || fail 'a burnt release was tried again'

# Killed while the hook of a bad release runs: the next start goes back to what was good.
hook activate.d 20-burn <<EOT
grep -q '>403<' "\$MUSTER_CURRENT/config.xml" || exit 0
[ -e '$AREA/in' ] && exit 1
touch '$AREA/in'
sleep 600 &
echo "\$!" >'$AREA/sleeper'
wait
EOT
change 403
muster --home admin commit -m 'hangs' >/dev/null
within "$DEADLINE" test -s sleeper || fail 'the hook does not run'
field_is node .isServing true || fail 'a hook stops the node'
kill -KILL "${pids[node]}"
wait "${pids[node]}" 2>/dev/null || true
unset 'pids[node]'
within "$DEADLINE" gone "$(cat sleeper)" || fail 'the hook outlives the daemon'
[ "$(readlink node/var/node/current)" != "revisions/$release" ] || fail 'killed too early'
node
wait_state node RUNNING
within "$DEADLINE" field_is node .transactionId "$release" || fail 'it did not go back'
within "$DEADLINE" field_is node .rejected.sequence 5 || fail 'it is not told as burnt'
rm node/etc/activate.d/20-burn

# SIGTERM while a hook runs: a clean stop at once, and the activation is made up for.
rm -f sleeper
hook activate.d 20-slow <<EOT
grep -q '>404<' "\$MUSTER_CURRENT/config.xml" || exit 0
[ -e '$AREA/slept' ] && exit 0
touch '$AREA/slept'
sleep 600 &
echo "\$!" >'$AREA/sleeper'
wait
EOT
change 404
muster --home admin commit -m 'slow' >/dev/null
within "$DEADLINE" test -s sleeper || fail 'the hook does not run'
halt node
within "$DEADLINE" gone "$(cat sleeper)" || fail 'the hook outlives the daemon'
node
wait_sequence node 6
field_is node .rejected null || fail 'the stop burnt it'
rm node/etc/activate.d/20-slow
# and while vet.d is asked
rm -f sleeper
hook vet.d 10-slow <<EOT
[ -e '$AREA/vetted' ] && exit 0
touch '$AREA/vetted'
sleep 600 &
echo "\$!" >'$AREA/sleeper'
wait
EOT
change 405
muster --home admin commit -m 'slow to vet' >/dev/null
within "$DEADLINE" test -s sleeper || fail 'the hook does not run'
halt node
within "$DEADLINE" gone "$(cat sleeper)" || fail 'the hook outlives the daemon'
node
wait_sequence node 7
rm -r node/etc/vet.d

# current moved by hand: what is no revision is undone, what verifies is activated.
ln -sfn revisions/none node/var/node/current.new
mv -T node/var/node/current.new node/var/node/current
within "$DEADLINE" test -e node/var/node/current/config.xml || fail 'current leads nowhere'
[ "$(readlink node/var/node/current)" = "revisions/$(field node .transactionId)" ] || fail 'not what is active'
rm node/var/node/current
within "$DEADLINE" test -e node/var/node/current/config.xml || fail 'current is gone'

# Killed while the replica's branch moved: its lock is no one's.
halt node
touch node/var/node/replica.git/refs/heads/internal.lock node/var/node/replica.git/packed-refs.lock
mkdir -p node/var/node/quarantine.git node/var/node/revisions/half.tmp
touch node/var/node/state.0123456789abcdef.tmp
node
wait_state node RUNNING
change 406
muster --home admin commit -m 'after the locks' --wait >/dev/null
wait_sequence node 8

# --- a complete configuration in etc/init serves without an admin ---

mkdir -p alone/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml alone/etc/init/
start alone alone --no-admin --service-role internal --service-name alone --no-status
wait_state alone WAITING
field_is alone .admin null || fail 'an admin out of nothing'
case $(field alone .transactionId) in init-*) ;; *) fail 'not from etc/init' ;; esac
field_is alone .sequence 0 && field_is alone .source null || fail 'a release out of nothing'
grep -q internal-tokens alone/var/node/current/config.xml || fail 'not its configuration'
grep -q customer-login alone/var/node/current/config.xml && fail 'the configuration of another role'
halt alone
start alone alone --no-admin --service-role internal --service-name alone --no-status
wait_state alone WAITING
halt alone
# another one at its start again only when told to
sed -i 's|<access-token-ttl>300<|<access-token-ttl>500<|' alone/etc/init/tokens.xml
start alone alone --no-admin --service-role internal --service-name alone --no-status
wait_state alone WAITING
grep -q '>300<' alone/var/node/current/config.xml || fail 'etc/init was read again'
halt alone
start alone alone --no-admin --service-role internal --service-name alone --no-status --force-reload
wait_state alone WAITING
grep -q '>500<' alone/var/node/current/config.xml || fail 'etc/init was not read again'
halt alone
# and then it joins a cluster
cp cluster.xml alone/etc/init/
give_secret admin alone internal
start alone alone --no-admin --service-role internal --service-name alone --no-status
wait_state alone RUNNING
wait_sequence alone 8
halt alone

# --- both in one process ---

mkdir -p both/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml both/etc/init/
muster --home both init --host not-this-machine.invalid --port "$(freeport)" >/dev/null
for round in 1 2; do
	start both both --admin --service-role default --service-name both --no-status
	wait_state both RUNNING
	field_is both .admin.host 127.0.0.1 || fail 'not over loopback'
	within "$DEADLINE" field_is both .adminNode.nodes.RUNNING 1 || fail 'the admin half does not see the node half'
	[ -n "$(field both .adminNode.cluster)" ] || fail 'no document of the admin'
	halt both
done

# --- kills ---

halt node
halt admin
SEED=${SEED:-$RANDOM}
RANDOM=$SEED
echo "seed $SEED"
node
admin
wait_state node RUNNING

kill_now() {
	kill -KILL "${pids[$1]}" 2>/dev/null || true
	wait "${pids[$1]}" 2>/dev/null || true
	unset "pids[$1]"
}

same_everywhere() {
	[ "$(field admin .published.roles.internal.release)" = "$(field node .transactionId)" ] &&
		grep -q ">$1<" node/var/node/current/config.xml
}

for round in $(seq "${ROUNDS:-30}"); do
	change $((1000 + round))
	muster --home admin commit -m "round $round" >/dev/null 2>&1 &
	committing=$!
	sleep "0.0$((RANDOM % 100))" 
	victim=$((RANDOM % 3))
	[ "$victim" = 0 ] || kill_now node
	[ "$victim" = 1 ] || kill_now admin
	wait "$committing" || true
	[ -e node/var/node/current/config.xml ] || fail "round $round: current leads nowhere"
	[ "$victim" = 0 ] || node
	[ "$victim" = 1 ] || admin
	if [ $((round % 5)) = 0 ]; then
		wait_admin admin
		# a commit that the kill came before is made again
		muster --home admin commit -m "round $round" >/dev/null
		within "$DEADLINE" same_everywhere $((1000 + round)) ||
			fail "round $round: $(muster --home admin status; muster --home node status)"
	fi
done
halt node
halt admin
muster verify --cluster cluster.xml admin/var/admin/release.git >/dev/null || fail 'the history does not verify'
[ -z "$(find node/var/node -name '*.tmp')" ] || fail "left over: $(find node/var/node -name '*.tmp')"
git -C node/var/node/replica.git fsck --strict --no-dangling >/dev/null 2>&1 || fail 'the replica is damaged'
