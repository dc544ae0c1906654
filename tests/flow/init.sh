#!/bin/bash
# etc/init after the first start: told when it differs, read again on demand, and looked at while a node runs that has no cluster
# yet. On an admin and on nodes.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
source=admin/var/admin/config

node() {
	local name=$1
	shift
	start "$name" "$name" --no-admin --service-role internal --service-name "$name" --no-status "$@"
}

halt() { stop "$1" || fail "$1 did not stop cleanly"; }

# told NAME PATTERN [TIMES]: since the log was last emptied.
told() { [ "$(grep -c -- "$2" "$1.log" || true)" = "${3:-1}" ]; }

tells() { within "$DEADLINE" told "$@" || fail "$1 does not tell $3 times: $2: $(cat "$1.log")"; }

quiet() { told "$1" "$2" 0 || fail "$1 tells: $(grep -- "$2" "$1.log")"; }

fresh_log() { : >"$1.log"; }

# expect CODE COMMAND...: what it says is in out.
expect() {
	local want=$1 code=0
	shift
	"$@" >out 2>&1 || code=$?
	[ "$code" = "$want" ] || fail "$* gave exit $code, not $want: $(cat out)"
}

says() { grep -q -- "$1" out || fail "not said: $1: $(cat out)"; }

check_node() { musterd --home "$1" --no-admin --service-role internal --service-name "$1" --check "${@:2}"; }

cluster() { genclust -c "$1" -p "$2" -k "$3/var/admin/cluster.key" 2>/dev/null; }

# --- an admin ---

mkdir -p admin/etc/init admin/var admin/run
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
expect 0 musterd --home admin --check
says 'would be set up as a new admin home'
[ ! -e admin/var/admin ] || fail 'a check made something'
sed -i 's/internal-tokens-token/no-such-endpoint/' admin/etc/init/environment.xml
expect 1 musterd --home admin --check
says 'environment.xml:[0-9]*: .*no-such-endpoint'
cp "$top_srcdir"/tests/fixtures/demo/environment.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
start admin admin --admin --no-status
wait_admin admin
halt admin
quiet admin differs
first=$(git -C "$source" rev-parse main)

# Differences are one warning that names the files; the configuration stays.
sed -i 's|<access-token-ttl>300<|<access-token-ttl>500<|' admin/etc/init/tokens.xml
mv admin/etc/init/login.xml .
echo '<config xmlns="http://tail-f.com/ns/config/1.0"/>' >admin/etc/init/extra.xml
differs='differs from what was loaded, and main counts: extra.xml (new), tokens.xml (changed), login.xml (gone)'
expect 0 musterd --home admin --check
says "$differs"
start admin admin --admin --no-status
wait_admin admin
halt admin
tells admin "$differs" 1
[ "$(git -C "$source" rev-parse main)" = "$first" ] || fail 'main moved'

# --force-reload: one commit on top of main, with its files, all others as they were.
rm admin/etc/init/extra.xml
echo 'kept' >"$source/notes.txt"
git -C "$source" add notes.txt
git -C "$source" -c user.name=a -c user.email=a@example.com commit -q -m notes
before=$(git -C "$source" rev-parse main)
expect 0 musterd --home admin --check --force-reload
says 'would commit what etc/init holds on top of main'
[ "$(git -C "$source" rev-parse main)" = "$before" ] || fail 'a check committed'
fresh_log admin
start admin admin --admin --no-status --force-reload
wait_admin admin
after=$(git -C "$source" rev-parse main)
within "$DEADLINE" field_is admin .published.source "$after" || fail 'it is not published'
halt admin
tells admin 'has what etc/init holds, read again' 1
quiet admin differs
[ "$(git -C "$source" rev-parse main~1)" = "$before" ] || fail 'not one commit on top of main'
[ "$(git -C "$source" diff --name-only main~1 main)" = tokens.xml ] || fail "more changed: $(git -C "$source" diff --stat main~1 main)"
git -C "$source" diff --quiet HEAD || fail 'the work tree is not clean'
git -C "$source" show main:tokens.xml | grep -q '>500<' || fail 'not what etc/init holds'
! git -C "$source" grep -q muster-cluster: main || fail 'a keystore in the clear in git'
# Nothing new: no commit.
fresh_log admin
start admin admin --admin --no-status --force-reload
wait_admin admin
halt admin
tells admin 'has what etc/init holds already' 1
[ "$(git -C "$source" rev-parse main)" = "$after" ] || fail 'a commit of nothing'
expect 0 musterd --home admin --check --force-reload
says 'would publish main for'

# Refused, with what is wrong, and nothing changes: by the checks, uncommitted work, another branch, another cluster.
refused() {
	fresh_log admin
	start admin admin --admin --no-status --force-reload
	stop_code=0
	within "$DEADLINE" gone "${pids[admin]}" || fail 'it runs all the same'
	stop admin || stop_code=$?
	[ "$stop_code" = 1 ] || fail "exit code $stop_code"
	grep -q -- "$1" admin.log || fail "not said: $1: $(cat admin.log)"
	expect 1 musterd --home admin --check --force-reload
	says "$1"
	[ "$(git -C "$source" rev-parse HEAD)" = "$after" ] || fail 'a commit all the same'
}
sed -i 's/internal-tokens-token/no-such-endpoint/' admin/etc/init/environment.xml
refused 'environment.xml:[0-9]*: .*no-such-endpoint'
git -C "$source" diff --quiet HEAD || fail 'the work tree was touched'
cp "$top_srcdir"/tests/fixtures/demo/environment.xml admin/etc/init/
sed -i 's|<access-token-ttl>500<|<access-token-ttl>600<|' admin/etc/init/tokens.xml
echo 'mine' >"$source/notes.txt"
refused 'changes that are not committed'
[ "$(cat "$source/notes.txt")" = mine ] || fail 'work was thrown away'
git -C "$source" checkout -q notes.txt
git -C "$source" checkout -q -b side
refused 'main is not checked out'
git -C "$source" checkout -q main
mkdir other
muster --home other init --host 127.0.0.1 --port 1 >/dev/null
cluster 127.0.0.1 1 other >admin/etc/init/other.xml
refused 'other.xml is of cluster'
rm admin/etc/init/other.xml

# A cluster file there moves the admin's address; its keystore is sealed.
cluster moved.example.com "$port" admin >admin/etc/init/cluster.xml
fresh_log admin
start admin admin --admin --no-status --force-reload
wait_admin admin
halt admin
git -C "$source" show main:cluster.xml | grep -q '<host>moved.example.com<' || fail 'the address did not move'
git -C "$source" show main:cluster.xml | grep -q '<keystore>muster:1:' || fail 'the keystore is not sealed'
cluster 127.0.0.1 "$port" admin >admin/etc/init/cluster.xml
start admin admin --admin --no-status --force-reload
wait_admin admin
halt admin

# --- a node without a cluster ---

mkdir -p node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml node/etc/init/
node node
wait_state node WAITING
field_is node .admin null || fail 'an admin out of nothing'
halt node
quiet node differs
rm -r node/etc/init/*
node node
wait_state node WAITING
halt node
tells node 'differs from what was loaded first, and the last configuration counts: environment.xml (gone), facilities.xml (gone)' 1
cp "$top_srcdir"/tests/fixtures/demo/*.xml node/etc/init/
sed -i 's|<access-token-ttl>300<|<access-token-ttl>500<|' node/etc/init/tokens.xml
expect 0 check_node node
says 'differs from what was loaded first.*: tokens.xml (changed) '
says 'its last configuration init-'
expect 0 check_node node --force-reload
says 'is read again and counts from now on'
says 'would serve the configuration in etc/init'
fresh_log node
node node
wait_state node WAITING
tells node 'differs from what was loaded first' 1
grep -q '>300<' node/var/node/current/config.xml || fail 'etc/init was read again'

# While it runs: a complete configuration that is dropped there is told, and activated by SIGHUP alone.
serves() { grep -q "<access-token-ttl>$1<" node/var/node/current/config.xml && grep -q "<access-token-ttl>$1<" node/run/current/config.xml; }
sed -i 's|<access-token-ttl>500<|<access-token-ttl>501<|' node/etc/init/tokens.xml
tells node 'is not activated before SIGHUP: .*tokens.xml (changed)' 1
serves 300 || fail 'etc/init was activated'
kill -HUP "${pids[node]}"
within "$DEADLINE" serves 501 || fail 'SIGHUP does not read etc/init again'
tells node 'etc/init is read again and counts from now on' 1
field_is node .held null || fail 'what etc/init holds is taken for a rollback'
# what is wrong there is told, and what is served stays
sed -i 's|<access-token-ttl>501<|<access-token-ttl>502<|' node/etc/init/tokens.xml
sed -i '0,\|<endpoints>|s|<endpoints>|<endpoints>nowhere</endpoints>&|' node/etc/init/environment.xml
kill -HUP "${pids[node]}"
tells node 'init.*not read again: .*environment.xml:[0-9]*: .*"nowhere" is not defined' 1
serves 501 || fail 'a mistake in etc/init is served'
cp "$top_srcdir"/tests/fixtures/demo/environment.xml node/etc/init/
kill -HUP "${pids[node]}"
within "$DEADLINE" serves 502 || fail 'SIGHUP reads etc/init once only'
field_is node .drift 0 || fail "its own hand is told as another's: $(cat node.log)"
field_is node .nodeState WAITING || fail 'it does not serve on'
# and the next start has nothing to say of it
halt node
fresh_log node
node node
wait_state node WAITING
serves 502 || fail 'the start serves something else'
quiet node 'differs from what was loaded first'
halt node

# The folder is taken away and comes later, with a cluster file in it: the node joins without a restart.
rm -r node/etc/init
give_secret admin node internal
fresh_log node
node node
wait_state node WAITING
start admin admin --admin --no-status
wait_admin admin
mkdir node/etc/init
cluster 127.0.0.1 "$port" admin >node/etc/init/cluster.xml
wait_state node RUNNING
wait_sequence node 4
tells node 'the cluster file in etc/init is new: admin 127.0.0.1' 1
field_is node .admin.port "$port" || fail 'the admin is not in the status'
pid=${pids[node]}

# One of another cluster: told once, ignored; and refused at a start.
cluster 127.0.0.1 1 other >node/etc/init/cluster.xml
tells node 'is of another cluster and is ignored' 1
kill -HUP "$pid"
tells node 'what was refused is tried again' 1
field_is node .nodeState RUNNING || fail 'another cluster disturbs'
# what is no cluster file at all is told, too
echo '<oops' >node/etc/init/cluster.xml
tells node 'cluster.xml:[0-9]' 1
field_is node .nodeState RUNNING || fail 'a mistake disturbs'
halt node
told node 'is of another cluster and is ignored' || fail 'told again'
cluster 127.0.0.1 1 other >node/etc/init/cluster.xml
expect 1 check_node node
says 'is of another cluster than the cluster file in'
code=0
node node
within "$DEADLINE" gone "${pids[node]}" || fail 'it starts with the file of another cluster'
stop node || code=$?
[ "$code" = 1 ] || fail "exit code $code"

# --force-reload adopts it: nothing of the first cluster is left but the plain copy that runs.
fresh_log node
node node --force-reload
wait_state node IDLE
tells node 'the local copy is of another cluster: starting anew' 1
[ ! -e node/var/node/current ] || fail 'the old configuration is still current'
field_is node .admin.port 1 || fail 'not the new cluster'
[ "$(muster --home node log --json | jsonget '.#')" = 0 ] || fail 'the old releases are still known'
halt node
node node
wait_state node IDLE
halt node
cluster 127.0.0.1 "$port" admin >node/etc/init/cluster.xml
node node --force-reload
wait_state node RUNNING
wait_sequence node 4
halt node

# --- mounted as Kubernetes does: ..data moves ---

mkdir -p mount/first pod/etc
cp "$top_srcdir"/tests/fixtures/demo/*.xml mount/first/
echo '<config xmlns="http://tail-f.com/ns/config/1.0"/>' >mount/first/cluster.xml
ln -s first mount/..data
for file in mount/first/*.xml; do
	ln -s "..data/${file##*/}" "mount/${file##*/}"
done
ln -s ../../mount pod/etc/init
give_secret admin pod internal
node pod
wait_state pod WAITING
cp -r mount/first mount/second
cluster 127.0.0.1 "$port" admin >mount/second/cluster.xml
ln -s second mount/..data.new
mv -T mount/..data.new mount/..data
wait_state pod RUNNING
wait_sequence pod 4
halt pod
halt admin
