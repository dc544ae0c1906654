#!/bin/bash
# Slips of the pen in the daily jobs: a name, a path, a revision or a role with a wrong letter, the right command on the wrong
# machine, an option twice. Each is told in one line that says what to do, and changes nothing.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
config=$AREA/admin/var/admin/config

ok() { printf 'ok: %s\n' "$*"; }

# exits CODE COMMAND...: its output is in out and err.
exits() {
	local want=$1 code=0
	shift
	timeout "$DEADLINE" "$@" >out 2>err </dev/null || code=$?
	[ "$code" = "$want" ] || fail "exit code $code, not $want: $* ($(cat out err))"
}

# What the cluster keeps: of the work tree, the releases, pins, keys and what was decided on nodes.
kept() {
	git -C "$config" status --porcelain
	git -C "$config" for-each-ref
	git -C admin/var/admin/release.git for-each-ref
	readlink node/var/node/current
	(find admin/etc admin/var/admin/cluster.key admin/var/admin/audit.log node/etc node/var/admin \
		-type f -exec sha256sum {} + 2>/dev/null || true) | sort
}

# slip CODE WORDS COMMAND...: one line with the words, nothing on stdout, nothing changed.
slip() {
	local want=$1 words=$2
	shift 2
	kept >before
	exits "$want" "$@"
	[ "$(wc -l <err)" = 1 ] && [ ! -s out ] || fail "not one line: $* ($(cat out err))"
	grep -qF -- "$words" err || fail "$* does not say \"$words\": $(cat err)"
	kept >after
	cmp -s before after || fail "$* changed something: $(diff before after)"
}
on_admin() { slip "$1" "$2" muster --home admin "${@:3}"; }
on_node() { slip "$1" "$2" muster --home node "${@:3}"; }

change() {
	sed "s|<access-token-ttl>[0-9]*<|<access-token-ttl>$1<|" "$config/tokens.xml" >edited
	cat edited >"$config/tokens.xml"
}

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
# without -p: the port that the admin was set up with
genclust --home admin -c 127.0.0.1 >node/etc/init/cluster.xml 2>/dev/null
grep -q "<port>$port</port>" node/etc/init/cluster.xml || fail 'genclust prints another port than the admin has'
genclust -k admin/var/admin/cluster.key -c 127.0.0.1 2>/dev/null | grep -q '<port>6789</port>' || fail 'a key has no port'
give_secret admin node internal
start admin admin --admin
wait_admin admin

change 200
exits 0 muster --home admin commit -m 'no node yet' --wait
grep -qx 'no node of these roles is known yet' out || fail "a wait for nobody says $(cat out)"
start node node --no-admin --service-role internal --service-name node1
wait_state node RUNNING

# --- options ---

for command in 'commit -m a -m b' 'check --role a --role a' 'slice --role a --role a' 'diff --role a --role a' \
	'log -n 1 -n 1' 'wait --state IDLE --state IDLE' 'wait --timeout 1 --timeout 1' 'wait --release abcd --release abcd' \
	'wait --sequence 1 --sequence 1' 'rollback --node a --node a HEAD' 'resume --node a --node a' 'bundle --role a --role a' \
	'verify --cluster a --cluster a x' 'restore --from a --from a' 'nodes approve a --key 12345678 --key 12345678'; do
	# shellcheck disable=SC2086
	on_admin 2 'given twice' $command
done
on_admin 2 'wrong option, or no value for it: --mesage; see muster commit --help' commit --mesage x
on_admin 2 'no value for it: -m;' commit -m
on_admin 2 ': -x;' commit -x
on_admin 2 ': --json;' set --json a b
on_admin 2 ': --role;' slice --role
slip 2 ': -home; see muster --help' muster -home admin status
slip 2 ': -x; see muster --help' muster --home admin -x status
slip 2 ': --home; see muster --help' muster --home
slip 2 '"127.0.0.1" is not ADDR:PORT' musterd --home admin --status-listen 127.0.0.1
slip 2 'exclude each other' musterd --home admin --status-listen 127.0.0.1:0 --no-status
ok 'options'

# --- names: of nodes, roles, revisions, actions ---

on_admin 1 'no node is named "nod1"; there is node1' rollback --node nod1 HEAD
on_admin 1 'no node is named "nod1"; there is node1' resume --node nod1
for command in approve revoke forget; do
	on_admin 1 'no node is named "nod1"; there is node1' nodes "$command" nod1
done
on_admin 1 'role internal has no release of nope' rollback --node node1 nope
for rev in HED HEAD~99 0123456789; do
	on_admin 1 "there is no revision \"$rev\" in $config/: git log there lists them" rollback "$rev"
	on_admin 1 "there is no revision \"$rev\"" diff "$rev"
	on_admin 1 "there is no revision \"$rev\"" diff HEAD "$rev"
	on_admin 1 "there is no revision \"$rev\"" check "$rev"
	on_admin 1 "there is no revision \"$rev\"" slice --role internal "$rev"
	on_admin 1 "there is no revision \"$rev\"" publish "$rev"
done
on_admin 1 'there is no role intern in these configurations' diff --role intern
on_admin 1 'there is no role intern' check --role intern
on_admin 1 'there is no role intern' slice --role intern
on_admin 1 'role intern has no releases' bundle --role intern
exits 0 muster --home admin diff --role internal
exits 0 muster --home admin secret role-key intern
grep -q '^role:intern:[0-9a-f]*$' out && grep -q 'there is no role intern in what is published' err ||
	fail "the key of no role is not told: $(cat out err)"
exits 0 muster --home admin secret role-key internal
[ ! -s err ] || fail "the key of a role says $(cat err)"
on_admin 2 'secret takes rotate' secret rotat
on_admin 1 'muster secret rotate' secret promote
on_node 1 'is no revision: 7 to 40 hex digits' rollback --here HEAD~1
on_node 1 'see muster log' rollback --here abcdef0
on_node 4 "not reached within 0 s: the node is RUNNING with $(field node .transactionId | cut -c1-12), sequence 2" \
	wait --sequence 99 --timeout 0
ok 'names'

# --- files, as a person names them ---

on_admin 1 "tokns.xml: no such file or folder in $config/" commit -m x tokns.xml
for path in '' /etc ../.. "$config/../admin.xml" "$AREA/admin/etc/init/tokens.xml"; do
	change "$((RANDOM + 1000))"
	on_admin 1 'no such file or folder' commit -m x "$path"
done
on_admin 1 'tokns.xml is no file of the configuration' edit tokns.xml
on_admin 1 'say which one: cluster.xml environment.xml facilities.xml login.xml tokens.xml' edit

# takes FOLDER PATH: a commit of just this file, named so from there.
count=400
takes() {
	count=$((count + 1))
	change "$count"
	(cd "$1" && muster --home "$AREA/admin" commit -m "$count" "$2") >out 2>err || fail "commit $2 from $1: $(cat out err)"
	git -C "$config" show HEAD:tokens.xml | grep -q ">$count<" || fail "commit $2 from $1 took something else"
	exits 0 env -C "$1" EDITOR=true muster --home "$AREA/admin" edit "$2"
	grep -qx 'nothing was changed' out || fail "edit $2 from $1: $(cat out err)"
}
mkdir -p "$config/files/common"
ln -s "$config" link
takes "$AREA" tokens.xml
takes "$AREA" ./tokens.xml
takes "$AREA" "$config/tokens.xml"
takes "$AREA" admin/var/admin/config/tokens.xml
takes "$AREA" "$AREA/link/tokens.xml"
takes "$config" tokens.xml
takes "$config/files" ../tokens.xml
takes "$config/files/common" tokens.xml
echo text >"$config/files/common/text"
exits 0 env -C "$config/files" muster --home "$AREA/admin" commit -m 'a folder' common/
rm "$config/files/common/text"
exits 0 env -C "$config/files/common" muster --home "$AREA/admin" commit -m 'one that is gone' text
[ -z "$(git -C "$config" ls-tree -r HEAD files)" ] || fail 'a file that is gone was not committed'
ok 'files'

wait_sequence node "$(field admin .published.roles.internal.sequence)"

# --- the right command on the wrong machine ---

for command in 'commit -m x' check diff 'slice --role internal' 'bundle --role internal' publish 'rollback HEAD' \
	'rollback --node node1 HEAD' 'resume --node node1' 'release-key rotate' 'restore --from .' 'secret list' \
	'secret rotate' 'set a b' 'delete a' 'edit a'; do
	# shellcheck disable=SC2086
	on_node 1 'is no admin home: do this on the admin' $command
done
for command in nodes 'nodes --json' 'nodes approve node1'; do
	# shellcheck disable=SC2086
	on_node 3 'the daemon here is a node and no admin: do this on the admin' $command
done
for command in log 'resume --here' 'rollback --here abcdef0'; do
	# shellcheck disable=SC2086
	on_admin 3 'the daemon here is an admin and no node: do this on the node' $command
done
for change in '' --rotate --retire; do
	# shellcheck disable=SC2086
	slip 1 "is a node's, without a cluster.key: do this on the admin" genclust --home node -c 127.0.0.1 $change
done
[ ! -e node/var/admin ] || fail 'a node became half an admin'

# A port that is taken: the way on is named.
mkdir -p other/etc
cp -r node/etc/. other/etc/
exits 1 musterd --home other --no-admin --service-name other --status-listen "$(field node .status)"
grep -q 'cannot be taken: is it in use? --status-listen names another' err || fail "a taken port: $(cat err)"
stop node && stop admin || fail 'they did not stop cleanly'

# With no daemon these are of one line as well.
for command in nodes status log 'nodes approve node1' 'secret promote'; do
	case $command in secret*) muster --home admin secret rotate >/dev/null ;; esac
	# shellcheck disable=SC2086
	on_admin 3 'start musterd' $command
done
on_admin 1 'no node is named "nod1"' rollback --node nod1 HEAD
on_admin 1 'restore: nowhere: ' restore --from nowhere
on_admin 1 'holds no releases of role intern' restore --from node/var/node/replica.git --role intern
ok 'the wrong machine, and no daemon'

# --- another user's ---

# Root edits in the home of another user: a new file has root's umask.
if [ "$(id -u)" = 0 ]; then
	chmod 755 "$AREA"
	chown -R 65534:65534 admin
	(umask 077 && cp "$config/tokens.xml" "$config/copy.xml")
	for command in check 'commit -m x' 'slice --role internal' diff; do
		# shellcheck disable=SC2086
		exits 1 muster --home admin $command
		grep -q 'copy.xml: user 65534, whose work tree it is in, may not read it' err || fail "$command: $(cat err)"
	done
	rm "$config/copy.xml"
	exits 1 musterd --home admin --no-status
	grep -q 'belongs to user 65534, not 0: start as that user' err || fail "another user's home: $(cat err)"
	exits 0 muster --home admin check
	[ -z "$(find admin -user 0)" ] || fail "root left $(find admin -user 0)"
	ok "another user's home"
fi
