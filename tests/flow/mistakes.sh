#!/bin/bash
# Mistakes by people who start a daemon or set one up: each ends with the exit code that the manual names and one sentence,
# and nothing is changed. (What they write into a configuration is mistakes_config.sh's.)
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
chmod 755 .
port=$(freeport)

# exits CODE COMMAND...: its output is in out and err.
exits() {
	local want=$1 code=0
	shift
	timeout "$DEADLINE" "$@" >out 2>err </dev/null || code=$?
	[ "$code" = "$want" ] || fail "exit code $code, not $want: $* ($(cat out err))"
}

# One sentence of the program itself (the log may say more), with the words.
says() {
	[ "$(grep -c "^$1: " err)" = 1 ] || fail "not one line of $1: $(cat err)"
	grep -F -- "$2" err | grep -q "^$1: " || fail "$1 does not say \"$2\": $(cat err)"
}

# What a home keeps; the lock file tells nothing.
state_of() { (cd "$1" && find etc var -not -name lock -not -name '*.sock' \( -type f -exec sha256sum {} + -o -type l -printf '%p %l\n' \) 2>/dev/null | sort); }

# refused HOME WORDS OPTION...: a daemon that must not start, and changes nothing there.
refused() {
	local home=$1 words=$2
	shift 2
	state_of "$home" >before
	exits 1 musterd --home "$home" --no-status "$@"
	says musterd "$words"
	state_of "$home" >after
	cmp -s before after || fail "a refused start changed $home: $(diff before after)"
}

# --- usage: 2 and one line, nothing made ---

usage() {
	exits 2 musterd --home none --no-status "$@"
	[ "$(wc -l <err)" = 1 ] && [ ! -s out ] || fail "not one line on stderr: $* ($(cat out err))"
	[ ! -e none ] || fail "wrong usage made a home: $*"
}

usage --bogus
grep -q -- --bogus err || fail "the option is not named: $(cat err)"
usage --service-role
usage --service-role ../x
usage --service-role common
usage --service-role a --service-role b
usage --service-name 'two words' --service-role a
usage --service-name a --service-name b
usage --admin --no-admin
usage --log-level loud
usage --log-level info --log-level debug
usage --home other
usage surplus
ADMIN=maybe usage
SERVICE_ROLE=a/b usage
LOGGING_LEVEL=loud usage
for command in '' 'no-such-command' '--no-such-option status' '--home a --home b status' 'status surplus' 'status --bogus' \
	'init --port 0' 'init --port 65536' 'init surplus' 'check a b' 'check --role a --role b' 'commit --wait=soon' \
	'commit --bogus' 'publish a b' 'nodes surplus' 'slice' 'slice --role a b c' 'verify' 'verify --cluster x' \
	'log -n x' 'log surplus' 'wait --timeout x' 'wait --state LOST' 'wait --sequence x' 'wait --release xyz' \
	'wait surplus' 'request' 'request environments' \
	'request environments environment generate-cluster host' \
	'request environments environment generate-cluster host a port 0'; do
	# shellcheck disable=SC2086
	exits 2 muster $command
	[ "$(wc -l <err)" = 1 ] && [ ! -s out ] || fail "not one line on stderr: muster $command ($(cat out err))"
done

# --- a home that is none ---

touch file
exits 1 musterd --home file --no-admin
says musterd file
exits 1 musterd --home /proc/none --no-admin
says musterd /proc/none
for command in 'check' 'commit -m x' 'publish' 'slice --role a'; do
	# shellcheck disable=SC2086
	exits 1 muster --home none $command
	says muster none
	[ ! -e none ] || fail "muster $command made a home"
done
for command in 'status' 'nodes' 'log'; do
	exits 3 muster --home none "$command"
	says muster 'start musterd'
done
exits 3 muster --home none wait --timeout 0
long=$AREA/$(printf '%0100d' 0)
mkdir -p "$long"
exits 1 muster --home "$long" status
says muster 'too long'

# --- an admin, and a node with a good configuration ---

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
exits 1 muster --home admin init
says muster 'set up already'
key=admin/var/admin/cluster.key
genclust -c 127.0.0.1 -p "$port" -k "$key" >cluster.xml 2>/dev/null
genclust -c 127.0.0.1 -p "$port" -k other.key >other.xml 2>/dev/null
genclust -c 127.0.0.1 -p "$port" -k "$key" -r default >default.xml 2>/dev/null
cp cluster.xml node/etc/init/
give_secret admin node internal
node() { musterd --home node --no-admin --service-role internal --service-name node --no-status "$@"; }

start admin admin --admin --no-status
wait_admin admin
start node node --no-admin --service-role internal --service-name node --no-status
wait_state node RUNNING

# --- two daemons in one home, and two of one port ---

second() {
	exits 1 musterd --home "$1" --no-status "${@:2}"
	says musterd "in use by process ${pids[$1]}:"
}
second node --no-admin --service-role internal
second node --no-admin --service-role default
second node --admin
second admin --admin
exits 1 muster --home admin publish
says muster "in use by process ${pids[admin]}:"
exits 1 muster --home node init
says muster "in use by process ${pids[node]}:"
field_is node .nodeState RUNNING || fail 'the node was disturbed'

mkdir -p twin/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml twin/etc/init/
muster --home twin init --host 127.0.0.1 --port "$port" >/dev/null
# for all that the node is to become below
echo "$(cat admin/etc/secret),$(cat twin/etc/secret)" >node/etc/secret
exits 1 musterd --home twin --admin --no-status
says musterd "port $port: address already in use"
stop admin || fail 'the admin did not stop cleanly'

# The same port in other hands: the node neither believes them nor goes away.
start twin twin --admin --no-status
within "$DEADLINE" grep -q 'no admin: the admin closed the connection in the handshake: is this cluster file its own?' \
	node.log || fail "an admin with another key is not told: $(tail -n 3 node.log)"
wait_state node WAITING
field_is node .isServing true || fail 'the node does not serve on'
[ "$(muster --home twin nodes --json | jsonget .#)" = 0 ] || fail 'the twin knows the node'
stop twin || fail 'the twin did not stop cleanly'
stop node || fail 'the node did not stop cleanly'

# --- another role, another cluster ---

refused node 'the local copy is of role internal, not default' --no-admin --service-role default
grep -q -- --force-reload err || fail 'the way on is not named'
cp default.xml node/etc/init/cluster.xml
refused node 'the local copy is of role internal, not default' --no-admin --service-role default
cp other.xml node/etc/init/cluster.xml
refused node 'the local copy is of another cluster' --no-admin --service-role internal
grep -q -- --force-reload err || fail 'the way on is not named'

# A node that has a configuration serves it whatever stands in etc/init; it tells what is wrong there.
serves_with() {
	start node node --no-admin --service-role internal --service-name node --no-status
	wait_state node WAITING
	grep -qF -- "$1" node.log || fail "\"$1\" is not told"
	stop node || fail 'the node did not stop cleanly'
}
head -c 200 cluster.xml >node/etc/init/cluster.xml
serves_with 'cluster.xml'
cp default.xml node/etc/init/cluster.xml
serves_with 'the cluster file is for role default, this node is of role internal'
rm node/etc/init/cluster.xml
serves_with 'no admin'

# --force-reload adopts: another role, and another cluster.
cp cluster.xml node/etc/init/
start admin admin --admin --no-status
wait_admin admin
start node node --no-admin --service-role default --service-name node --no-status --force-reload
wait_state node RUNNING
grep -q 'Sign in' node/var/node/current/config.xml || fail 'the new role is not adopted'
stop node && stop admin || fail 'they did not stop cleanly'
genclust -c 127.0.0.1 -p "$port" -k twin/var/admin/cluster.key >node/etc/init/cluster.xml 2>/dev/null
start twin twin --admin --no-status
wait_admin twin
start node node --no-admin --service-role default --service-name node --no-status --force-reload
wait_state node RUNNING
[ "$(field twin .nodes.RUNNING)" = 1 ] || fail 'the new cluster is not adopted'
stop node && stop twin || fail 'they did not stop cleanly'
start node node --no-admin --service-role default --service-name node --no-status
wait_state node WAITING
stop node || fail 'the node did not stop cleanly'

# A damaged state is told, and made anew from what is verified.
printf '{' >node/var/node/state
start node node --no-admin --service-role default --service-name node --no-status
wait_state node WAITING
grep -q 'error init state: .*node/state: damaged' node.log || fail 'a damaged state is not told'
stop node || fail 'it did not stop cleanly'

# --- the cluster file ---

# fresh WORDS: a new node with what is in fresh.xml.
fresh() {
	rm -rf new
	mkdir -p new/etc/init
	[ ! -e fresh.xml ] || mv fresh.xml new/etc/init/cluster.xml
	refused new "$1" --no-admin --service-role internal --service-name new
	[ ! -e new/var/node ] || fail "a refused start left $(find new/var/node)"
	grep -F "$keystore" err && fail 'the keystore is on stderr'
	true
}
keystore=$(sed -n 's|.*<keystore>\(.*\)</keystore>.*|\1|p' cluster.xml)
fresh 'nothing to start from'
grep -q genclust err || fail 'what to do is not said'
: >fresh.xml
fresh cluster.xml
for size in 1 100 300 400; do
	head -c "$size" cluster.xml >fresh.xml
	fresh cluster.xml
done
for part in 1 2 3 4 5 6; do
	# each part of the keystore with one character less
	cut=$(printf '%s' "${keystore#muster-cluster:1:}" | awk -F. -v OFS=. -v n="$part" '{ $n = substr($n, 2); print }')
	sed "s|$keystore|muster-cluster:1:$cut|" cluster.xml >fresh.xml
	fresh etc/init
done
sed "s|muster-cluster:1:|muster-cluster:2:|" cluster.xml >fresh.xml
fresh etc/init
sed "s|<keystore>.*</keystore>||" cluster.xml >fresh.xml
fresh 'no keystore'
sed "s|<host>.*</host>||" cluster.xml >fresh.xml
fresh host
sed "s|<port>.*</port>|<port>70000</port>|" cluster.xml >fresh.xml
fresh port
for theirs in 'v:S.qBqavxAmsyBznx==.K3fwIN5TaoktQ3fwY/SseG==.PDVYVHiSAuRX' \
	'data:application/pkcs12;aes,v:S.qBqavxAmsyBznx==.K3fwIN5TaoktQ3fwY/SseG==.PDVYVHiSAuRX'; do
	sed "s|$keystore|$theirs|" cluster.xml >fresh.xml
	fresh 'another product'
done
corpus=$top_srcdir/../shared/corpus/cluster/cluster-config.xml
if [ -e "$corpus" ]; then
	cp "$corpus" fresh.xml
	fresh 'another product'
fi
cp default.xml fresh.xml
fresh 'genclust -r internal'
mkdir -p two/etc/init
cp cluster.xml two/etc/init/a.xml
cp other.xml two/etc/init/b.xml
refused two 'b.xml' --no-admin --service-role internal

# A complete configuration with a mistake: file and line of the operator's own.
rm -rf new && mkdir -p new/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml new/etc/init/
sed -i 's|>internal-tokens-token</endpoints>|>no-such-endpoint</endpoints>|' new/etc/init/environment.xml
refused new 'environment.xml:' --no-admin --service-role internal
grep -q no-such-endpoint err || fail 'the endpoint is not named'

# --- the admin's key ---

cp other.xml admin/etc/init/cluster.xml
refused admin cluster --admin
[ "$(grep -oE '[0-9a-f]{32}' err | sort -u | wc -l)" = 2 ] || fail "not both clusters are named: $(cat err)"
rm admin/etc/init/cluster.xml
mv "$key" kept.key
refused admin 'restore it from a backup' --admin
head -n 2 kept.key >"$key"
chmod 600 "$key"
refused admin cluster.key --admin
cp kept.key "$key"
chmod 644 "$key"
refused admin cluster.key --admin
chmod 600 "$key"
start admin admin --admin --no-status
wait_admin admin
stop admin || fail 'the admin did not stop cleanly'

# --- other users ---

as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && "${as_nobody[@]}" test -r "$AREA/admin" 2>/dev/null; then
	exits 1 "${as_nobody[@]}" musterd --home twin --admin --no-status
	says musterd 'ermission denied'
	chown -R 65534:65534 admin/var admin/etc
	refused admin 'belongs to user 65534, not 0: start as that user' --admin
	mkdir -p fixed/etc fixed/var fixed/run
	chown -R 65534:65534 fixed
	chmod 500 fixed/var
	exits 1 "${as_nobody[@]}" musterd --home fixed --admin --no-status
	says musterd 'fixed/var is not writable: Permission denied'
	[ -z "$(find fixed -mindepth 2)" ] || fail "a refused start left $(find fixed -mindepth 2)"
	# a command of root becomes that user first
	sed -i 's|<access-token-ttl>300<|<access-token-ttl>299<|' admin/var/admin/config/tokens.xml
	muster --home admin check
	muster --home admin commit -m 'by root' >/dev/null
	muster --home admin publish >/dev/null
	[ -z "$(find admin/var -user 0)" ] || fail "files of root's: $(find admin/var -user 0)"
else
	echo 'not root, no setpriv, or below a folder of root alone: homes of other users are not tried' >&2
fi
