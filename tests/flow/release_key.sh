#!/bin/bash
# The key that signs releases is changed while one node is away and one is pinned: nobody is lost, new nodes join with a new
# cluster file and with an old one, and what the retired key signs is refused, by who ran the old releases too.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
releases=admin/var/admin/release.git

# expect_exit CODE COMMAND...: what it says is in out.
expect_exit() {
	local want=$1 rc=0
	shift
	"$@" >out 2>&1 || rc=$?
	[ "$rc" = "$want" ] || fail "$* gave exit $rc, not $want: $(cat out)"
}

begin() { start "$1" "$1" --no-admin --service-role "$2" --service-name "$1" --no-status; }

halt() { stop "$1" || fail "$1 did not stop cleanly"; }

# join NODE ROLE CLUSTERFILE
join() {
	mkdir -p "$1/etc/init"
	cp "$3" "$1/etc/init/cluster.xml"
	give_secret admin "$1" "$2"
	begin "$1" "$2"
}

keys() { grep -c '^release ' admin/var/admin/cluster.key; }
one_key() { [ "$(keys)" = 1 ]; }

# release TEXT: something new for every role
release() {
	mkdir -p admin/var/admin/config/files/common
	echo "$1" >admin/var/admin/config/files/common/motd
	muster --home admin commit -m "$1" >/dev/null
}

pin_sequence() { git -C "$releases" cat-file tag refs/pins/node2 | sed -n 's/^Muster-Pin-Sequence: //p'; }

mkdir -p admin/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
start admin admin --admin --no-status
wait_admin admin
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key) >old.xml 2>/dev/null
cp admin/var/admin/cluster.key old.key
join node1 default old.xml
join node2 internal old.xml
join node3 internal old.xml
for node in node1 node2 node3; do wait_state "$node" RUNNING; done
release second
for node in node1 node2 node3; do wait_sequence "$node" 2; done
halt node3

expect_exit 2 muster --home admin release-key
expect_exit 2 muster --home admin release-key now
expect_exit 2 muster --home admin release-key rotate now
expect_exit 1 muster --home node1 release-key rotate
cmp -s old.key admin/var/admin/cluster.key || fail 'what was refused changed the key'

# --- the change ---

expect_exit 0 muster --home admin rollback --node node2 HEAD
[ "$(pin_sequence)" = 1 ] || fail 'there is no pin'
held() { field_is node2 .held.by admin && field_is node2 .sequence 2; }
within "$DEADLINE" held || fail 'node2 is not held'
expect_exit 0 muster --home admin release-key rotate
grep -q 'the old key is retired; pins signed again: 1$' out || fail "said $(cat out)"
one_key || fail 'the old key is still there'
! grep -qF "$(grep '^release ' old.key)" admin/var/admin/cluster.key || fail 'it is the old key'
[ "$(pin_sequence)" = 2 ] || fail 'the pin was not signed again'
wait_sequence node1 4
git -C "$releases" log --format=%G? default | grep -qv G && fail 'stock git does not verify every release'
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key) >new.xml 2>/dev/null
for file in old.xml new.xml; do
	expect_exit 0 muster verify --cluster "$file" "$releases"
done
# the pin of the retired key and the one that was signed again are one hold
confirmed() { [ "$(muster --home admin nodes --json | jsonget '.1.held.pending')" = false ]; }
within "$DEADLINE" confirmed || fail "node2 did not take the pin that was signed again: $(cat node2.log)"
held || fail 'node2 left where it is held'
field_is node2 .rejected null || fail "node2 refuses something: $(field node2 .rejected.reason)"
halt node2
begin node2 internal
within "$DEADLINE" held || fail 'a restart ended the hold'
expect_exit 0 muster --home admin resume --node node2
wait_sequence node2 4

# --- who was away, and who is new ---

begin node3 internal
wait_sequence node3 4
join node4 internal new.xml
join node5 default old.xml
wait_sequence node4 4
wait_sequence node5 4
release third
for node in node1 node2 node3 node4 node5; do wait_sequence "$node" 5; done

# --- a change that was killed is ended by the next start ---

for node in node2 node3 node5; do halt "$node"; done
halt admin
fresh=$(head -c 32 /dev/urandom | base64 -w 0 | tr '+/' '-_' | tr -d '=')
sed -i "0,/^release /s//release $fresh\nrelease /" admin/var/admin/cluster.key
[ "$(keys)" = 2 ] || fail 'the key file is not as a kill leaves it'
start admin admin --admin --no-status
within "$DEADLINE" one_key || fail 'the start does not end the change'
grep -q "^release $fresh$" admin/var/admin/cluster.key || fail 'it ended with the old key'
wait_sequence node1 7
wait_sequence node4 7
# --- what the retired key signs, after node1 went back to what that key released ---

expect_exit 0 muster --home node1 rollback --here "$(git -C "$releases" rev-parse default~5)"
back() { field_is node1 .held.by node && field_is node1 .sequence 2; }
within "$DEADLINE" back || fail 'node1 is not back'
halt admin
halt node4 # the hostile admin talks with one node
mkdir -p evil/var
cp -R admin/var/admin evil/var/admin
cp old.key evil/var/admin/cluster.key
coproc HOSTILE { exec "$MUSTER_BIN/tests/flow/hostile" evil "$port" default 2>"$AREA/hostile.log"; }
pids[hostile]=$HOSTILE_PID
read -r -t "$DEADLINE" bad _ <&"${HOSTILE[0]}" || fail 'the hostile admin does not start'
told() { [ "$(field node1 .rejected.release || true)" = "$bad" ] && field node1 .rejected.reason | grep -q 'is signed by a key'; }
within "$DEADLINE" told || fail "node1 does not refuse the retired key: $(muster --home node1 status --json)"
back || fail 'node1 left what it had'
field_is node1 .nodeState RUNNING || fail 'node1 does not run'
stop hostile || true
expect_exit 0 muster --home node1 resume --here
wait_sequence node1 7

# --- and without a daemon ---

expect_exit 0 muster --home admin release-key rotate
one_key || fail 'two keys are left'
expect_exit 0 muster verify --cluster old.xml "$releases"

start admin admin --admin --no-status
wait_sequence node1 9
begin node4 internal
wait_sequence node4 9
begin node2 internal
wait_sequence node2 9
echo 'release_key: nobody was lost, and the old key signs nothing'
