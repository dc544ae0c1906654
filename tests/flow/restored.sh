#!/bin/bash
# The admin is gone for long, comes back empty, from an older copy, and under another address: the nodes serve all the time, never
# go back, and say so; the admin shows it, and goes on above what they have.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)

# expect_exit CODE COMMAND...: what it says is in out.
expect_exit() {
	local want=$1 rc=0
	shift
	"$@" >out 2>&1 || rc=$?
	[ "$rc" = "$want" ] || fail "$* gave exit $rc, not $want: $(cat out)"
}

halt() { stop "$1" || fail "$1 did not stop cleanly"; }

begin() { start node node --no-admin --service-role internal --service-name node --no-status; }

release() {
	sed -i "s|<access-token-ttl>[0-9]*<|<access-token-ttl>$1<|" admin/var/admin/config/tokens.xml
	muster --home admin commit -m "ttl $1" >/dev/null
}

# point PORT: a cluster file for the node
point() {
	(umask 077 && genclust -c 127.0.0.1 -p "$1" -k admin/var/admin/cluster.key) >node/etc/init/.new 2>/dev/null
	mv node/etc/init/.new node/etc/init/cluster.xml
}

serves() { field_is node .isServing true || fail "the node does not serve while $1"; }

has() { grep -q ">$1<" node/var/node/current/config.xml; }

ahead() { [ "$(muster --home admin status --json | jsonget .ahead)" = "$1" ]; }

connected() { muster --home admin nodes --json | grep -q '"connected": true'; }

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
point "$port"
give_secret admin node internal
start admin admin --admin --no-status
wait_admin admin
begin
wait_state node RUNNING
release 301
wait_sequence node 2
within "$DEADLINE" ahead 0 || fail 'a node that follows is told as ahead'
halt admin
cp -a admin copy
start admin admin --admin --no-status
wait_admin admin
release 302
wait_sequence node 3
git clone -q admin/var/admin/config clone 2>/dev/null

# --- gone ---

halt admin
wait_state node WAITING
serves 'the admin is gone'
# a restart without an admin as well
halt node
begin
wait_state node WAITING
serves 'nobody is there'
field_is node .sequence 3 || fail 'a start without an admin lost the release'

# --- back from an older copy ---

mv admin newer
cp -a copy admin
start admin admin --admin --no-status
wait_state node RUNNING
within "$DEADLINE" ahead 1 || fail 'the admin does not see that the node is ahead'
expect_exit 0 muster --home admin nodes
grep -q 'muster restore --from' out || fail "nodes does not say what to do: $(cat out)"
expect_exit 0 muster --home admin status
grep -q '^ahead .*muster restore --from' out || fail "status does not say what to do: $(cat out)"
tells() { field node .rejected.reason | grep -q "$1"; }
within "$DEADLINE" tells 'the admin is behind this node: it offers sequence 2' || fail "the node does not say what it is offered: $(muster --home node status --json)"
field_is node .sequence 3 || fail 'the node went back'
has 302 || fail 'the node has older files'
# whatever else is forgotten or runs here, it stays so, and is said
still_told() {
	within "$DEADLINE" tells 'the admin is behind this node: it offers sequence 2' ||
		fail "after $1 the node does not say what it is offered: $(muster --home node status)"
}
first=$(git -C node/var/node/replica.git rev-parse internal~2)
newest=$(git -C node/var/node/replica.git rev-parse internal)
kill -HUP "${pids[node]}"
still_told SIGHUP
muster --home node resume --here >/dev/null || fail 'no resume'
still_told 'a resume'
for release in "$first" "$newest"; do
	muster --home node rollback --here "$release" >/dev/null || fail "no rollback to $release"
	field_is node .transactionId "$release" || fail "$release does not run"
	still_told "a rollback to $release"
done
muster --home node resume --here >/dev/null || fail 'no resume after a rollback'
still_told 'the end of a rollback'
has 302 || fail 'the node went back after a resume'
expect_exit 1 muster --home admin restore --from node/var/node/replica.git
grep -q 'lock\|in use\|run' out || fail "a running daemon is not told: $(cat out)"
halt admin

# another line that begins there is refused, and what is refused changes nothing
cp -a admin other
sed -i 's|<access-token-ttl>[0-9]*<|<access-token-ttl>399<|' other/var/admin/config/tokens.xml
muster --home other commit -m 'another' >/dev/null
expect_exit 1 muster --home other restore --from node/var/node/replica.git
grep -q 'does not descend' out || fail "said $(cat out)"

expect_exit 2 muster --home admin restore
expect_exit 2 muster --home admin restore --from x --role ..
expect_exit 1 muster --home admin restore --from nowhere
expect_exit 1 muster --home admin restore --from node/var/node/replica.git --role default
expect_exit 0 muster --home admin restore --from node/var/node/replica.git
grep -q '^internal .*sequence 3 .*was 2' out || fail "said $(cat out)"
grep -q 'which main does not have' out || fail "does not say that main is older: $(cat out)"
expect_exit 0 muster --home admin restore --from node/var/node/replica.git
grep -q '^internal .*nothing newer' out || fail "said $(cat out)"
git -C admin/var/admin/config pull -q "$AREA/clone" main
start admin admin --admin --no-status
wait_admin admin
within "$DEADLINE" ahead 0 || fail 'still ahead'
field_is node .sequence 3 || fail 'the same files made a new release'
within "$DEADLINE" field_is node .rejected null || fail 'offered what it runs, the node still tells of an older one'
release 303
wait_sequence node 4
has 303 || fail 'the node does not have the next release'
within "$DEADLINE" field_is node .rejected null || fail 'the node still tells that it was offered older ones'

# --- back empty: the keys and the configuration, but no releases ---

halt admin
rm -rf admin/var/admin/release.git admin/var/admin/state admin/var/admin/nodes admin/var/admin/contacts
expect_exit 0 muster --home admin publish
grep -q 'release.git: is gone and made anew' out || fail "does not say that every role begins again: $(cat out)"
rm -rf admin/var/admin/release.git admin/var/admin/state
expect_exit 0 muster --home admin restore --from node/var/node/replica.git
grep -q '^internal .*sequence 4 .*was 0' out || fail "said $(cat out)"
start admin admin --admin --no-status
wait_admin admin
release 304
wait_sequence node 5

# --- back under another address ---

halt admin
wait_state node WAITING
port=$(freeport)
sed -i "/<cluster>/,/<\/cluster>/s|<port>[0-9]*<|<port>$port<|" admin/var/admin/config/*.xml
muster --home admin commit -m 'another port' >/dev/null
start admin admin --admin --no-status
wait_admin admin
serves 'the admin moved'
halt node
point "$port"
begin
wait_sequence node 6
within "$DEADLINE" connected || fail 'the node did not find the admin'
wait_state node RUNNING
echo 'restored: never back, and above what was there'
