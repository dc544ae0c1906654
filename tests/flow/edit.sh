#!/bin/bash
# get, set, delete, edit and diff, on an admin without a daemon, then get on a node.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

ok() { printf 'ok: %s\n' "$*"; }

config=admin/var/admin/config
env=environments/environment
roles=$env/services/service-role

m() { muster --home admin "$@"; }

# refused CODE TEXT COMMAND...: with that exit code, TEXT on stderr, and the work tree as it was.
refused() {
	local want=$1 text=$2 code=0
	shift 2
	cp -r "$config" before
	"$@" >out 2>err </dev/null || code=$?
	[ "$code" = "$want" ] || fail "$*: exit $code, not $want: $(cat err)"
	grep -qF -- "$text" err || fail "$*: says $(cat err), not $text"
	diff -r before "$config" >differs || fail "$*: $(cat differs)"
	rm -rf before
}

expect() {
	local want=$1
	shift
	"$@" >out 2>err || fail "$*: $(cat err)"
	[ "$(cat out)" = "$want" ] || fail "$*: $(cat out), not $want"
}

area
cd "$AREA"
port=$(freeport)
mkdir -p admin/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
m init --host 127.0.0.1 --port "$port" >init.log

expect 'Outer network' m get "$roles[default]/location"
expect $'default\ninternal' m get "$roles/id"
m get "$roles[default]" | grep -q '^  <location>Outer network</location>$' || fail 'no XML of an element'
refused 1 'there is nothing' m get nothing
refused 1 'is no path' m get 'a//b'
refused 2 'one path' m get
ok 'get'

expect 'environment.xml' m set "$roles[default]/location" 'Outer & other'
expect 'Outer & other' m get "$roles[default]/location"
expect 'it is so already' m set "$roles[default]/location" 'Outer & other'
echo 'from stdin' | m set "$roles[default]/extra" - >out || fail 'set from stdin'
expect 'from stdin' m get "$roles[default]/extra"
expect 'environment.xml' m delete "$roles[default]/extra"
refused 1 'there is no such place' m delete "$roles[default]/extra"
refused 1 'is several: say which' m set "$roles/location" x
refused 1 'is a secret: give it on standard input' m set "$env/zone/password" hunter2
echo hunter2 | m set "$env/zone/password" - >out || fail 'a secret from stdin'
expect '(secret)' m get "$env/zone/password"
expect 'hunter2' m get --reveal "$env/zone/password"
grep -rq hunter2 "$config" && fail 'in the clear in the work tree'
grep -q '<password>muster:1:' "$config/environment.xml" || fail 'not sealed'
sealed=$(m get "$env/zone/../password" 2>&1) && fail "a path with ..: $sealed"
m get "$env/zone" | grep -q '<password>(secret)<' || fail 'shown above it'
refused 2 'a path and a value' m set "$env/base-url"
refused 2 'one path' m delete
[ "$(git -C "$config" diff --numstat | cut -f1,2 | tr '\t' ' ')" = '4 1' ] ||
	fail "more was changed than was said: $(git -C "$config" diff)"
ok 'set and delete'

m diff >out || fail 'diff'
cat >want <<EOT
~ /$roles[default]/location: Outer network -> Outer & other
+ /$env/zone/password: (secret)
EOT
diff <(sort want) <(sort out) >differs || fail "diff: $(cat differs)"
m diff --role internal >out
grep -q 'location' out && fail "the other role's: $(cat out)"
m diff --reveal | grep -qF 'password: hunter2' || fail 'reveal'
m delete "$env/zone" >out
m commit -m 'one change' >commit.log || fail 'commit'
[ -z "$(m diff)" ] || fail "a difference after the commit: $(m diff)"
expect "~ /$roles[default]/location: Outer network -> Outer & other" m diff HEAD~1 HEAD
expect "~ /$roles[default]/location: Outer & other -> Outer network" m diff HEAD HEAD~1
expect "~ /$roles[default]/location: Outer network -> Outer & other" m diff HEAD~1
refused 1 'no-such-revision' m diff no-such-revision
refused 2 'two revisions at most' m diff a b c
refused 2 'no name for a role' m diff --role a/b
ok 'diff'

# --- edit: the editor is a script that is given the copy ---

printf '#!/bin/sh\nstat -f -c %%T "$1" >>"%s/seen"\nsed -i "$EDIT" "$1"\n' "$AREA" >editor
chmod +x editor
export EDITOR="$AREA/editor --" VISUAL=
printf '#!/bin/sh\n[ "$1" = -- ] && shift\nstat -f -c %%T "$1" >>"%s/seen"\nsed -i "$EDIT" "$1"\n' "$AREA" >editor
EDIT='s/Inner network/Inner/' expect 'environment.xml' m edit environment.xml
expect 'Inner' m get "$roles[internal]/location"
[ "$(cat seen)" = tmpfs ] || fail "the copy was on $(cat seen)"
EDIT='' expect 'nothing was changed' m edit environment.xml
# secrets are open in the copy, and sealed as they were in what is not touched
echo hunter2 | m set "$env/zone/password" - >out
cp "$config/environment.xml" before
EDIT='' expect 'nothing was changed' m edit environment.xml
cmp before "$config/environment.xml" || fail 'sealed otherwise'
rm before
EDIT='s/hunter2/hunter3/' expect 'environment.xml' m edit environment.xml
expect 'hunter3' m get --reveal "$env/zone/password"
grep -rq 'hunter[23]' "$config" && fail 'in the clear in the work tree'
m delete "$env/zone" >out
export EDIT='s/internal-tokens-token/no-such-endpoint/'
refused 1 'nothing was changed' m edit environment.xml
grep -q '^environment.xml:[0-9]*: .*no-such-endpoint' out || fail "no finding: $(cat out)"
export EDIT='s/<config/<konfig/'
refused 1 'nothing was changed' m edit environment.xml
refused 1 'say which one: ' m edit
refused 1 'no file of the configuration' m edit nothing.xml
refused 1 'no file of the configuration' m edit ../cluster.key
EDITOR=false refused 1 'the editor failed' m edit environment.xml
ls -d /dev/shm/muster-edit-* 2>/dev/null && fail 'a copy stays'
ok 'edit'

# --- on a node ---

start admin admin --admin --no-status
wait_admin admin
mkdir -p node/etc/init
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml) 2>genclust.log
(umask 077 && m secret role-key default >node/etc/secret)
start node node --no-admin --service-name node --no-status
wait_state node RUNNING
expect 'Outer & other' muster --home node get "$roles[default]/location"
expect '(secret)' muster --home node get "$env/cluster/keystore"
muster --home node get --reveal "$env/cluster/keystore" >out || fail 'reveal on a node'
grep -q '^muster-cluster:1:' out || fail "revealed: $(cat out)"
refused 1 'no admin home' muster --home node set "$env/base-url" x
refused 1 'no admin home' muster --home node diff
ok 'get on a node'
