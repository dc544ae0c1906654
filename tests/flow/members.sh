#!/bin/bash
# Who belongs to the cluster: nodes that are approved, that wait, that are revoked and forgotten, with real nodes and with some that
# mean ill. What was answered holds after a kill.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
source=$AREA/admin/var/admin/config
releases=$AREA/admin/var/admin/release.git

# run EXIT COMMAND...: muster in the admin's home, with this exit code; what it says is in out and err
run() {
	local want=$1 got=0
	shift
	muster --home admin "$@" >out 2>err || got=$?
	[ "$got" = "$want" ] || fail "muster $* gave exit $got, not $want: $(cat out err)"
}

says() { grep -qF -- "$1" out err || fail "\"$1\" is not said, but: $(cat out err)"; }

# rogue CLUSTERFILE WHAT [ARGUMENT...]: does what it must, or the test fails
rogue() {
	local file=$1 what=$2
	shift 2
	ROGUE_KEYSTORE=$(sed -n 's|.*<keystore>\(.*\)</keystore>.*|\1|p' "$file") \
		"$MUSTER_BIN/tests/flow/rogue" "$what" "$port" "$@" || fail "rogue $file $what $*"
}

# node_is NAME PATH VALUE: in muster nodes --json
node_is() {
	local i count
	muster --home admin nodes --json >nodes.json || return 1
	count=$(jsonget '.#' <nodes.json)
	for ((i = 0; i < count; i++)); do
		[ "$(jsonget ".$i.name" <nodes.json)" = "$1" ] || continue
		[ "$(jsonget ".$i$2" <nodes.json)" = "$3" ]
		return
	done
	return 1
}

must_be() { within "$DEADLINE" node_is "$@" || fail "not so: $*: $(cat nodes.json)"; }

is_known() { grep -q "\"name\": \"$1\"" <(muster --home admin nodes --json); }

told() { grep -qF -- "$1" "$AREA/$2.log"; }

must_tell() { within "$DEADLINE" told "$1" "$2" || fail "$2 does not say \"$1\""; }

# kill_admin: right after an answer, and back
kill_admin() {
	stop admin KILL || true
	start admin admin --admin --log-level info
	wait_admin admin
}

# audited COUNT WORDS: that many lines of the audit log say so, by this user
audited() {
	[ "$(grep -cE "^[0-9TZ:-]{20} [^ ]+/$(id -u) $2\$" admin/var/admin/audit.log)" = "$1" ] ||
		fail "not $1 times \"$2\" in the audit log: $(cat admin/var/admin/audit.log)"
}

# approve true|false: the setting, published
approve() {
	printf '<config xmlns="http://tail-f.com/ns/config/1.0"><muster xmlns="urn:muster:1"><approve>%s</approve></muster></config>\n' \
		"$1" >"$source/muster.xml"
	run 0 commit -m "approve $1"
}

cluster() { (umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key "$@"); }

# node NAME ROLE: its home
node() {
	mkdir -p "$1/etc/init"
	cp cluster.xml "$1/etc/init/"
	give_secret admin "$1" "$2"
}

join() { start "$1" "$1" --no-admin --service-role "$2" --service-name "$1" --no-status; }

mkdir -p admin/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >init.log
cluster >cluster.xml
cluster -r internal >internal.xml
cluster -r default >default.xml
cluster -r future >future.xml
node n1 default
node n2 internal
run 3 nodes approve n1
start admin admin --admin --log-level info
wait_admin admin
tip() { git -C "$releases" rev-parse "refs/heads/$1"; }

# --- without approval: who joins is approved, and a name is its key's while that is there ---

join n1 default
wait_state n1 RUNNING
must_be n1 .approved true
rogue cluster.xml refused n1 default name
rogue cluster.xml welcome r1 internal head

# a cluster file of one role is good for that role alone, whether it is configured or not
rogue internal.xml refused r2 default role
rogue internal.xml refused r2 future role
rogue future.xml refused r2 internal role
rogue future.xml welcome r3 future none
rogue internal.xml foreign r1 internal want "$(tip default)"
rogue internal.xml foreign r1 internal have "$(tip default)"
rogue future.xml foreign r3 future want "$(tip default)"
! is_known r2 || fail 'one that was refused is among the nodes'
echo '   ok: without approval'

# --- with it: who is not known waits, and gets nothing ---

approve true
must_tell 'need approval from now on' admin
wait_sequence n1 2
join n2 internal
must_be n2 .approved false
within "$DEADLINE" field_is n2 .admin.connected true || fail 'n2 is not connected'
field_is n2 .nodeState IDLE || fail "n2 is $(field n2 .nodeState)"
field_is n2 .admin.approved false || fail 'n2 does not know that it waits'
muster --home n2 status >out
says 'has to approve this node'
key=$(field n2 .admin.key)
node_is n2 .key "$key" || fail 'the admin and the node name different keys'
run 0 nodes
says "muster nodes approve n2 --key $key"
field_is admin .unapproved 1 || fail "$(field admin .unapproved) are unapproved"
rogue cluster.xml kept-out r4 internal
rogue cluster.xml kept-out r5 default
sed -i 's|<port>8444</port>|<port>8445</port>|' "$source/environment.xml"
run 0 commit -m 'another port' --wait="$DEADLINE"
says 'is not approved'
[ -z "$(git -C n2/var/node/replica.git for-each-ref 2>/dev/null)" ] || fail 'n2 has a release'
field_is n2 .nodeState IDLE || fail 'n2 runs something'

run 1 nodes approve n3
says 'no node is named "n3"'
run 1 nodes approve n2 --key 0123456789abcdef
says "the key of n2 is $key"
run 1 nodes approve n2 --key 0123
run 2 nodes approve
run 2 nodes approve n2 n1
run 2 nodes approve ''
run 2 nodes approve n2 --json
run 2 nodes --key "$key"
run 2 nodes welcome n2
run 2 nodes approve $'n\xff'
node_is n2 .approved false || fail 'n2 is approved by that'
run 0 nodes approve n2 --key "${key:0:12}"
says "n2 is approved: role internal, key $key"
kill_admin
must_be n2 .approved true
wait_state n2 RUNNING
audited 1 "approve n2 role internal key $key"
run 0 nodes approve n2
says 'already'

# one that is connected has it at once
coproc WAITING { rogue cluster.xml waiting r4 internal; }
rogue_pid=$WAITING_PID
read -r -t "$DEADLINE" line <&"${WAITING[0]}" || fail 'r4 does not wait'
[ "$line" = waits ] || fail "r4 says $line"
run 0 nodes approve r4
wait "$rogue_pid" || fail 'r4 does not get what it was approved for'
echo '   ok: approval'

# --- an approved name is that of one key in one role ---

run 1 nodes forget n2
says 'n2 is connected'
stop n2
mkdir stolen
cp -p n2/var/node/node.key stolen/
must_be n2 .connected false
rogue cluster.xml refused n2 internal approval
must_tell 'the name n2 is approved for another key' admin
run 0 nodes
says 'n2 is wanted by another: role internal, key '
ROGUE_NODE_KEY=stolen/node.key rogue cluster.xml refused n2 default approval
must_tell 'the name n2 is approved for another role' admin
node_is n2 .claim.role default || fail 'the last claim is not shown'
node_is n2 .role internal || fail 'the role was changed'
run 0 nodes approve n2
says 'role default'
says 'in the place of who had the name'
ROGUE_NODE_KEY=stolen/node.key rogue cluster.xml welcome n2 default head
ROGUE_NODE_KEY=stolen/node.key rogue cluster.xml refused n2 internal approval
run 0 nodes approve n2 --key "$key"
join n2 internal
wait_state n2 RUNNING
echo '   ok: a name and its key'

# --- revoked: at once, for good, and so is what it knew ---

run 0 nodes revoke n2
says 'is refused for good'
says 'epoch 1 for any role'
says 'epoch 1 for role internal'
says 'secret rotate'
says 'genclust --rotate'
kill_admin
must_tell 'refused this node: the key of this node is revoked' n2
within "$DEADLINE" field_is n2 .nodeState WAITING || fail 'n2 does not serve on'
knows_why() { field n2 .admin.reason | grep -q revoked; }
within "$DEADLINE" knows_why || fail 'n2 does not know why'
must_be n2 .revoked true
node_is n2 .approved false || fail 'n2 is revoked and approved'
run 1 nodes approve n2
says 'for good'
ROGUE_NODE_KEY=stolen/node.key rogue cluster.xml refused other default revoked
audited 1 "revoke n2 role internal key $key"
stop n2
run 0 nodes forget n2
! is_known n2 || fail 'n2 is not forgotten'
kill_admin
! is_known n2 || fail 'n2 is back'
ROGUE_NODE_KEY=stolen/node.key rogue cluster.xml refused n2 internal revoked
run 0 nodes
says "$key  of n2, role internal"
! is_known n2 || fail 'a revoked key made an entry'

# the same machine with a fresh key, and whoever has its join keys, also where nobody else needs approval
approve false
must_tell 'need no approval any more' admin
rm n2/var/node/node.key
join n2 internal
must_be n2 .approved false
within "$DEADLINE" field_is n2 .admin.approved false || fail 'n2 does not know that it waits'
field_is n2 .nodeState WAITING || fail "n2 is $(field n2 .nodeState)"
sequence=$(field n2 .sequence)
rogue cluster.xml kept-out r6 default
rogue internal.xml kept-out r6 internal
rogue default.xml welcome r7 default head
wait_sequence n1 3
field_is n2 .sequence "$sequence" || fail 'n2 got a release'
# nor do such strangers take the name of one that is away
stop n1
must_be n1 .connected false
rogue cluster.xml refused n1 default approval
join n1 default
wait_state n1 RUNNING
run 0 nodes approve n2
wait_state n2 RUNNING
wait_sequence n2 4
echo '   ok: revoked'

# --- forgotten, with its pin ---

run 0 rollback --node n2 HEAD --reason 'for a while'
stop n2
must_be n2 .connected false
git -C "$releases" rev-parse -q --verify refs/pins/n2 >/dev/null || fail 'n2 has no pin'
run 0 nodes forget n2
says 'n2 is forgotten'
! git -C "$releases" rev-parse -q --verify refs/pins/n2 >/dev/null || fail 'its pin is there'
! is_known n2 || fail 'n2 is not forgotten'
audited 2 'forget n2 role internal key [0-9a-f]{32}'
run 1 nodes forget n2
stop n1 || fail 'n1 did not stop well'
stop admin || fail 'the admin did not stop well'

# --- an epoch that is over: nothing but that is said, and its strangers are none of the next ---

sed -i 's/^root 1 .*/root 2 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/' admin/var/admin/cluster.key
cluster >next.xml
start admin admin --admin --log-level info
wait_admin admin
rogue cluster.xml epoch
rogue next.xml epoch 77
rogue next.xml wrong-key
rogue next.xml welcome r8 internal head
ROGUE_NODE_KEY=stolen/node.key rogue next.xml refused n2 internal revoked
stop admin || fail 'the admin did not stop well'

# who was revoked is not forgotten because a file is damaged
cp admin/var/admin/revoked kept
echo x >>admin/var/admin/revoked
! musterd --home admin --admin >damaged.out 2>&1 || fail 'it starts with a damaged list'
grep -q 'admin/revoked' damaged.out || fail "it says $(cat damaged.out)"
