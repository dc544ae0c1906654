#!/bin/bash
# The configuration secret is rotated on a cluster of three nodes while one is away: nobody is lost, and nobody is left
# behind unseen.
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

begin() { start "$1" "$1" --no-admin --service-role "$2" --service-name "$1" --no-status; }

mkdir -p admin/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
start admin admin --admin
wait_admin admin
for node in node1:default node2:internal node3:internal; do
	role=${node#*:} node=${node%:*}
	mkdir -p "$node/etc/init"
	(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >"$node/etc/init/cluster.xml" 2>/dev/null)
	give_secret admin "$node" "$role"
	begin "$node" "$role"
	wait_state "$node" RUNNING
done
away() { muster --home admin nodes --json | grep -q '"connected": false'; }
stop node3
within "$DEADLINE" away || fail 'node3 is not seen to be away'
old=$(cut -c1-64 admin/etc/secret)

expect_exit 2 muster --home admin secret
expect_exit 2 muster --home admin secret rotate now
expect_exit 2 muster --home admin secret role-key
expect_exit 2 muster --home admin secret role-key ..
expect_exit 2 muster --home admin secret list --force
expect_exit 1 muster --home node1 secret list
expect_exit 1 muster --home admin secret promote
grep -q 'no rotation has begun' out || fail "said $(cat out)"

# the new secret opens and does not seal yet; all three lack it
expect_exit 0 muster --home admin secret rotate
for node in node1 node2 node3; do
	grep -q "^  $node " out || fail "rotate does not name $node: $(cat out)"
done
grep -q '^  node3 .*away' out || fail 'rotate does not say that node3 is away'
! grep -qF "$old" out || fail 'rotate prints a secret'
[ "$(tr ',' '\n' <admin/etc/secret | wc -l)" = 2 ] || fail 'there is no second secret'
[ "$(cut -c1-64 admin/etc/secret)" = "$old" ] || fail 'the old secret does not seal any more'
before=$(cat admin/etc/secret)
expect_exit 0 muster --home admin secret rotate
[ "$(cat admin/etc/secret)" = "$before" ] || fail 'a second rotate makes a third secret'
expect_exit 1 muster --home admin secret promote
grep -q '3 nodes could not open' out || fail "said $(cat out)"
[ "$(cat admin/etc/secret)" = "$before" ] || fail 'a refused promote changed something'

# two are given it, and take it without a restart
give_secret admin node1 default
give_secret admin node2 internal
only_node3() {
	muster --home admin secret rotate >out && grep -q '^  node3 ' out && ! grep -qE '^  node[12] ' out
}
within "$DEADLINE" only_node3 || fail "the new keys are not reported: $(cat out)"
expect_exit 0 muster --home admin secret list
grep -qE '^key +[0-9a-f]{8}  seals$' out && grep -qE '^key +[0-9a-f]{8}  next$' out || fail "list says $(cat out)"
grep -qE '^secret +sealed +default,internal +/environments/environment/cluster/keystore$' out || fail "list says $(cat out)"
expect_exit 1 muster --home admin secret promote
expect_exit 0 muster --home admin secret promote --force
wait_sequence node1 2
wait_sequence node2 2
wait_state node1 RUNNING
[ "$(cut -c1-64 admin/etc/secret)" != "$old" ] || fail 'the old secret still seals'
grep -q "$old" admin/etc/secret || fail 'the old secret is gone, and old commits with it'
expect_exit 1 muster --home admin secret promote
git -C admin/var/admin/config diff --quiet || fail 'the work tree is not clean'

# node3 comes back: keeps what it has and says why, until it is given the key
release=$(readlink node3/var/node/current)
begin node3 internal
told() { field node3 .rejected.reason | grep -q 'sealed with key [0-9a-f]*, which is not in .*etc/secret'; }
within "$DEADLINE" told || fail 'node3 does not tell what it lacks'
[ "$(readlink node3/var/node/current)" = "$release" ] || fail 'node3 lost what it had'
field_is node3 .isServing true || fail 'node3 does not serve'
give_secret admin node3 internal
wait_sequence node3 2
expect_exit 0 muster --home admin secret list --json
[ "$(jsonget '.nodes.#' <out)" = 3 ] || fail "list says $(cat out)"
for node in node1 node2 node3; do
	wait_state "$node" RUNNING
done

# nobody lacks anything: the next rotation goes without --force
expect_exit 0 muster --home admin secret rotate
give_secret admin node1 default
give_secret admin node2 internal
give_secret admin node3 internal
within "$DEADLINE" muster --home admin secret promote >out 2>&1 || fail "the second promote: $(cat out)"
for node in node1 node2 node3; do
	wait_sequence "$node" 3
done
echo 'rotate: nobody was lost'
