#!/bin/bash
# The epoch of the cluster key is changed while one node is away: all others move to the new one by themselves, both join as long as
# both are good, who would be cut off is said, and the old one is unknown after its end.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
key=admin/var/admin/cluster.key
source=admin/var/admin/config

# expect_exit CODE COMMAND...: what it prints is in out, what it says in err.
expect_exit() {
	local want=$1 rc=0
	shift
	"$@" >out 2>err || rc=$?
	[ "$rc" = "$want" ] || fail "$* gave exit $rc, not $want: $(cat out err)"
}

says() { grep -q -- "$1" err || fail "does not say \"$1\": $(cat err)"; }

halt() { stop "$1" || fail "$1 did not stop cleanly"; }

begin() { start "$1" "$1" --no-admin --service-role "$2" --service-name "$1" --no-status; }

# join NODE ROLE CLUSTERFILE
join() {
	mkdir -p "$1/etc/init"
	cp "$3" "$1/etc/init/cluster.xml"
	give_secret admin "$1" "$2"
	begin "$1" "$2"
}

cluster() { genclust --home admin -c 127.0.0.1 -p "$port" "$@"; }

# epoch FILE: of the keystore in it
epoch() { sed -n 's|.*<keystore>muster-cluster:1:[^.]*\.\([0-9]*\)\..*|\1|p' "$1"; }

roots() { sed -n 's/^root \([0-9]*\) .*/\1/p' "$key" | tr '\n' ' '; }

# came NODE EPOCH: the node is connected, and came with that
came() {
	local i count
	muster --home admin nodes --json >nodes.json || return 1
	count=$(jsonget '.#' <nodes.json)
	for ((i = 0; i < count; i++)); do
		[ "$(jsonget ".$i.name" <nodes.json)" = "$1" ] || continue
		[ "$(jsonget ".$i.connected" <nodes.json)" = true ] && [ "$(jsonget ".$i.epoch" <nodes.json)" = "$2" ]
		return
	done
	return 1
}

arrives() { within "$DEADLINE" came "$1" "$2" || fail "$1 did not come with epoch $2: $(cat nodes.json)"; }

gone_from_admin() { ! came "$1" 1 && ! came "$1" 2; }

clean() { [ -z "$(git -C "$source" status --porcelain)" ] || fail "the work tree is not clean: $(git -C "$source" status --short)"; }

mkdir -p admin/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
start admin admin --admin --service-role internal --service-name both --no-status
wait_state admin RUNNING
umask 077
cluster >old.xml 2>/dev/null
cluster -r internal >internal.xml 2>/dev/null
join node1 default old.xml
join node2 internal internal.xml
join node3 internal old.xml
for node in both node1 node2 node3; do arrives "$node" 1; done
halt node3
within "$DEADLINE" gone_from_admin node3 || fail 'node3 is not seen to be away'

# --- what is refused changes nothing ---

cp "$key" before.key
expect_exit 2 cluster --rotate --retire
expect_exit 2 cluster --rotate --rotate
expect_exit 2 genclust --home admin --rotate
expect_exit 1 cluster --retire
says 'only one epoch, 1'
[ ! -s out ] || fail 'a refused change printed a cluster file'
echo 'of mine' >"$source/README.md"
expect_exit 1 cluster --rotate
says 'README.md: has changes that are not committed'
rm "$source/README.md"
expect_exit 1 genclust --home nowhere -c a --rotate
[ ! -e nowhere ] || fail 'a home was made'
cmp -s "$key" before.key || fail 'what was refused changed the key'

# --- an epoch that the admin does not know yet ---

cp before.key early.key
expect_exit 0 genclust -c 127.0.0.1 -p "$port" -k early.key --rotate
mv out early.xml
[ "$(epoch early.xml)" = 2 ] || fail 'the early file has no new epoch'
# who joins with it waits, says why, and is not lost
join hasty default early.xml
says_early() { grep -q "$1" hasty.log; }
within "$DEADLINE" says_early 'no admin: ' || fail "hasty does not say what is wrong: $(cat hasty.log)"
wait_state hasty IDLE
! came hasty 1 && ! came hasty 2 || fail 'hasty came with an epoch that the admin does not know'
cp old.xml hasty/etc/init/.new
mv hasty/etc/init/.new hasty/etc/init/cluster.xml
arrives hasty 1
wait_state hasty RUNNING
# who has a release goes on with the keystore in that, also after a restart
cp early.xml hasty/etc/init/.new
mv hasty/etc/init/.new hasty/etc/init/cluster.xml
within "$DEADLINE" says_early 'the admin is reached on port .* as the configuration' || fail "not told: $(cat hasty.log)"
arrives hasty 1
wait_state hasty RUNNING
halt hasty
begin hasty default
wait_state hasty RUNNING
arrives hasty 1
halt hasty
hasty_gone() { ! came hasty 1; }
within "$DEADLINE" hasty_gone || fail 'hasty is not seen to be away'
muster --home admin nodes forget hasty >/dev/null

# --- the new epoch ---

expect_exit 0 cluster --rotate
mv out new.xml
says 'Epoch 2 of the cluster key begins; epoch 1 is good'
says 'main has the new keystore in commit'
[ "$(epoch new.xml)" = 2 ] || fail 'the printed file is not of the new epoch'
[ "$(roots)" = '2 1 ' ] || fail "cluster.key has the epochs $(roots)"
clean
git -C "$source" log -1 --format=%s | grep -q '^Epoch 2 of the cluster key$' || fail 'there is no commit'
! git -C "$source" grep -q 'muster-cluster:1:' main || fail 'the keystore is in the clear in git'
cp "$key" after.key
expect_exit 1 cluster --rotate
says 'two epochs already, 2 and 1'
cmp -s "$key" after.key || fail 'a second change in a row was made'

# who is there moves by itself, and is still there after a restart
for node in both node1 node2; do arrives "$node" 2; done
halt node1
begin node1 default
arrives node1 2
wait_state node1 RUNNING
# both join
join node4 default new.xml
arrives node4 2
join node5 default old.xml
arrives node5 2

# --- the end of the old one ---

expect_exit 0 cluster --retire
says '^cut off: node3$'
[ "$(grep -c '^cut off' err)" = 1 ] || fail "too many are cut off: $(cat err)"
says 'Epoch 1 of the cluster key has ended; 2 is good'
[ "$(epoch out)" = 2 ] || fail 'the printed file is not of the epoch that is left'
[ "$(roots)" = '2 ' ] || fail "cluster.key has the epochs $(roots)"
expect_exit 1 cluster --retire
for node in both node1 node2 node4 node5; do arrives "$node" 2; done
begin node3 internal
told() { grep -q 'a newer cluster file is needed' node3.log; }
within "$DEADLINE" told || fail "node3 does not say what it needs: $(cat node3.log)"
wait_state node3 WAITING
gone_from_admin node3 || fail 'node3 came with an epoch that has ended'
cp new.xml node3/etc/init/.new
mv node3/etc/init/.new node3/etc/init/cluster.xml
arrives node3 2
wait_state node3 RUNNING

# --- without a daemon ---

halt admin
expect_exit 0 cluster --rotate
[ "$(roots)" = '3 2 ' ] || fail "cluster.key has the epochs $(roots)"
clean
expect_exit 0 cluster --retire
says '^cut off: node1$'
[ "$(roots)" = '3 ' ] || fail "cluster.key has the epochs $(roots)"

# a file that no admin has
cp before.key lone.key
expect_exit 0 genclust -c a -k lone.key --rotate
[ "$(epoch out)" = 2 ] || fail 'the lone file has no new epoch'
expect_exit 0 genclust -c a -k lone.key --retire
[ "$(grep -c '^root ' lone.key)" = 1 ] || fail 'the lone file has both epochs'
expect_exit 1 genclust -c a -k nothere.key --rotate
[ ! -e nothere.key ] || fail 'a change made a key'
expect_exit 0 genclust --home early -c a
expect_exit 0 genclust --home early -c a --rotate
[ "$(epoch out)" = 2 ] || fail 'a home that is not set up has no new epoch'
echo 'epochs: all but the one that was away moved by themselves'
