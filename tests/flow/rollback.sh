#!/bin/bash
# Going back: the whole cluster by a commit, and one node by a pin that its admin keeps.
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

# says WORDS: the last run did, on stdout or stderr
says() { grep -qF -- "$1" out err || fail "\"$1\" is not said, but: $(cat out err)"; }

head_of() { git -C "$source" rev-parse main; }

tree_of() { git -C "$source" rev-parse "$1^{tree}"; }

everything() {
	head_of
	git -C "$source" status --porcelain
	git -C "$releases" for-each-ref
}

# refused WORDS REV [ARGUMENT...]: in one line and for WORDS; and nothing is changed
refused() {
	local words=$1 before
	shift
	before=$(everything)
	run 1 rollback "$@"
	[ "$(wc -l <err)" = 1 ] || fail "other than one line is said: $(cat err)"
	says "$words"
	[ "$before" = "$(everything)" ] || fail "rollback $* was refused and changed something"
}

# port_is NUMBER: a new commit that says so
port_is() {
	sed -i "s|<port>84[0-9]*</port>|<port>$1</port>|" "$source/environment.xml"
	run 0 commit -m "port $1"
}

# past GIT-COMMAND...: git without the filter and the hooks
past() {
	git -C "$source" -c filter.muster.clean=cat -c core.hooksPath=/dev/null -c user.name=Ada \
		-c user.email=ada@example.com "$@"
}

# ldap PASSWORD: a file with a secret
ldap() {
	printf '<config xmlns="http://tail-f.com/ns/config/1.0"><facilities xmlns="https://curity.se/ns/conf/base">
	<ldap><name>one</name><password>%s</password></ldap></facilities></config>\n' "$1" >"$source/ldap.xml"
}

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >init.out
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >cluster.xml 2>genclust.out)
cp cluster.xml node/etc/init/
give_secret admin node internal
start admin admin --admin
wait_admin admin
start node node --no-admin --service-role internal --service-name node1 --no-status
wait_state node RUNNING
ldap 'sealed with the first secret'
port_is 8450
good=$(head_of)
port_is 8451

# --- the whole cluster ---

refused 'revision "nosuch"' nosuch
refused 'HEAD~70' HEAD~70
refused 'revision "0123456789012345678901234567890123456789"' 0123456789012345678901234567890123456789
refused 'Muster-' HEAD~1 -m $'back\n\nMuster-Role: internal'
for words in '' 'HEAD HEAD~1' '--node node1' '--node node1 --here HEAD' '--node node1 -m x HEAD' \
	'--node node1 --wait HEAD' '--reason x HEAD' '--wait=x HEAD' '--nosuch HEAD'; do
	# shellcheck disable=SC2086
	run 2 rollback $words
done
run 2 rollback ''

echo '<!-- not done yet -->' >>"$source/environment.xml"
refused 'git stash' HEAD~1
run 0 rollback HEAD
says 'nothing to roll back'
git -C "$source" add environment.xml
refused 'git stash' HEAD~1
git -C "$source" reset -q --hard
echo mine >"$source/notes.txt"
git -C "$source" checkout -q -b elsewhere
refused 'HEAD is on refs/heads/elsewhere' HEAD~1

# what does not pass the checks, and what never should have been committed
sed -i 's|<port>84[0-9]*</port>|<port>none</port>|' "$source/environment.xml"
past commit -q -a -m 'a bad port'
sed -i 's|<port>none</port>|<port>8452</port>|' "$source/environment.xml"
ldap 'left in the clear'
past commit -q -a -m 'a secret in the clear'
past checkout -q main
refused 'cannot be published any more' elsewhere~1
says 'environment.xml:'
refused 'cannot be published any more' elsewhere
says 'ldap.xml'
! grep -qF 'left in the clear' out err || fail 'the secret is printed'

# it is a new commit with the old files, and a new release
before=$(head_of)
run 0 rollback HEAD~1 --wait
says 'runs it'
[ "$(git -C "$source" rev-parse HEAD~1)" = "$before" ] || fail 'the new commit is not on top of main'
[ "$(tree_of HEAD)" = "$(tree_of "$good")" ] || fail 'it has other files'
git -C "$source" log -1 --format=%B >message
grep -qx "roll back to ${good:0:12}: port 8450" message || fail "it says $(cat message)"
grep -qx 'Muster-Allow-Shrink: yes' message || fail 'no trailer'
[ "$(git -C "$source" status --porcelain)" = '?? notes.txt' ] || fail 'the work tree is not clean'
grep -q '<port>8450</port>' "$source/environment.xml" || fail 'the work tree is not what main is'
field_is node .sequence 4 || fail "the node has release $(field node .sequence)"
field_is node .source "$(head_of)" || fail 'the node has another'

# the same files: says so, no commit
before=$(head_of)
for rev in HEAD "$good" "${good:0:10}"; do
	run 0 rollback "$rev"
	says 'nothing to roll back'
done
[ "$(head_of)" = "$before" ] || fail 'a commit was made for nothing'

# a release, of a role that has a node or of another, stands for the commit that it was made from
for release in "$(git -C "$releases" rev-parse internal~1)" "$(git -C "$releases" rev-parse default~1 | cut -c 1-9)"; do
	want=$(git -C "$releases" log -1 --format=%B "$release" | sed -n 's/^Muster-Source: //p')
	[ "$(tree_of HEAD)" != "$(tree_of "$want")" ] || fail 'it would change nothing'
	run 0 rollback "$release"
	[ "$(tree_of HEAD)" = "$(tree_of "$want")" ] || fail "not the files of release $release"
	git -C "$source" log -1 --format=%s | grep -q "^roll back to ${want:0:12}: " || fail 'another commit is named'
	run 0 rollback HEAD~1
done
refused 'revision "012345678"' 012345678
[ "$(tree_of HEAD)" = "$(tree_of "$good")" ] || fail 'not back where it was'

# over half of a role goes: that is meant; and what was sealed with the secret before opens
{
	printf '<config xmlns="http://tail-f.com/ns/config/1.0"><facilities xmlns="https://curity.se/ns/conf/base">'
	for i in $(seq 300); do printf '<ldap><name>l%s</name><host>h</host></ldap>' "$i"; done
	printf '</facilities></config>\n'
} >"$source/many.xml"
rm "$source/notes.txt"
run 0 commit -m many
run 0 secret rotate
give_secret admin node internal
within "$DEADLINE" eval 'muster --home admin secret promote >promote.out 2>&1' || fail "$(cat promote.out)"
run 0 rollback "$good" -m 'as it was' --wait
says 'runs it'
[ "$(git -C "$source" log -1 --format=%s)" = 'as it was' ] || fail 'the message is another'
[ ! -e "$source/many.xml" ] || fail 'a file that was not there is still there'
[ "$(tree_of HEAD)" = "$(tree_of "$good")" ] || fail 'it has other files'
field_is node .nodeState RUNNING || fail 'the node does not serve it'
echo '   ok: the whole cluster goes back'

# --- one node, as the wire has it ---

# listen NAME: a node that prints what it is told to NAME.heads, and reports what is said with tell
declare -A to=()
listen() {
	local fd
	rm -f "$1.in" "$1.heads"
	mkfifo "$1.in"
	( # what another one reads from must end with this shell's end of it
		for fd in "${to[@]}"; do exec {fd}>&-; done
		ROGUE_KEYSTORE=$(sed -n 's|.*<keystore>\(.*\)</keystore>.*|\1|p' cluster.xml)
		export ROGUE_KEYSTORE
		exec "$MUSTER_BIN/tests/flow/rogue" listen "$port" "$1" internal <"$1.in" >"$1.heads" 2>"$1.err"
	) &
	exec {fd}>"$1.in"
	to[$1]=$fd
	within "$DEADLINE" test -s "$1.heads" || fail "$1 is not told of a head: $(cat "$1.err")"
}

tell() {
	local name=$1
	shift
	printf '%s\n' "$*" >&"${to[$name]}"
}

# leave NAME: and the admin has seen it
leave() {
	local fd=${to[$1]}
	exec {fd}>&-
	unset "to[$1]"
	must_be "$1" .connected false
}

heads() { wc -l <"$1.heads"; }

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

# pinned NAME ACTION SEQUENCE: its last head carries this pin, which is the one in release.git
pinned() {
	awk 'END { print $3 }' "$1.heads" | base64 -d >pin 2>/dev/null || return 1
	grep -qx "Muster-Node: $1" pin && grep -qx "Muster-Action: $2" pin &&
		grep -qx "Muster-Pin-Sequence: $3" pin && git -C "$releases" cat-file tag "refs/pins/$1" | cmp -s - pin
}

must_be_pinned() { within "$DEADLINE" pinned "$@" || fail "$1 was not told to $2, but: $(cat pin)"; }

text_has() { muster --home admin "$1" | grep -qE -- "$2"; }

listen n1
listen n2
count=$(heads n2)
run 1 rollback --node n7 HEAD
says 'no node is named "n7"; there is n1, n2'
run 1 rollback --node n1 nosuch
says 'nosuch'
run 2 rollback --node n1 --reason $'\xff' HEAD
run 2 resume
run 2 resume --node n1 HEAD
run 1 resume --node n7
run 0 resume --node n1
says 'n1 is not held'
[ "$(awk '{ print $3 }' n1.heads | sort -u)" = - ] || fail 'a pin was sent that nobody made'

run 0 rollback --node n1 HEAD~1 --reason 'it loses sessions'
says 'n1 is held at release'
must_be_pinned n1 hold 1
grep -qx 'Muster-Reason: it loses sessions' pin || fail 'without its reason'
git -C "$releases" verify-tag refs/pins/n1 2>verify.out || fail "stock git: $(cat verify.out)"
must_be n1 .held.pending true
must_be n1 .held.by admin
must_be n1 .held.reason 'it loses sessions'
must_be n2 .held null
text_has nodes '^n1 .*hold pending +it loses sessions$' || fail 'muster nodes does not show it'
text_has status '^held +1 nodes?$' || fail 'muster status does not count it'

# it is neither waited for nor forgotten
tell n2 state=RUNNING sequence=99
port_is 8460
sed -i 's|8460|8461|' "$source/environment.xml"
run 0 commit -m 'port 8461' --wait=20
grep -qE '^n1 +internal +is held' out || fail "commit --wait does not name it: $(cat out)"
must_be_pinned n1 hold 1
[ "$(awk '{ print $3 }' n2.heads | sort -u)" = - ] || fail 'n2 got a pin that is not for it'
[ "$(heads n2)" -gt "$count" ] || fail 'n2 was told nothing'

release=$(git -C "$releases" rev-parse 'refs/pins/n1^{commit}')
tell n1 state=RUNNING pin-sequence=1 held-by=admin held-release="$release" held-since=1700000000 held-reason=so
must_be n1 .held.pending false
must_be n1 .held.release "$release"
must_be n1 .held.since 2023-11-14T22:13:20Z
text_has nodes '^n1 .*by the admin +so$' || fail 'muster nodes does not show it'

# a hold of its own: the admin cannot end it, and says so
tell n2 state=RUNNING held-by=node held-reason=mine
must_be n2 .held.by node
run 1 resume --node n2
says 'muster resume --here'
text_has status '^held +2 nodes$' || fail 'muster status does not count them'

run 0 resume --node n1
says 'n1 follows its role again'
must_be_pinned n1 follow 2
tell n1 state=RUNNING pin-sequence=2
must_be n1 .held null
run 0 resume --node n1
says 'n1 is not held'

# while it is away; and across a restart of the admin
leave n1
run 0 rollback --node n1 "$good"
says 'when it is back'
must_be n1 .held.pending true
leave n2
stop admin
run 0 rollback --node n2 HEAD
says 'no daemon runs'
run 1 rollback --node n7 HEAD
says 'no node is named "n7"; there is n1, n2'
run 0 resume --node node1
says 'node1 is not held'
start admin admin --admin
wait_admin admin
listen n1
must_be_pinned n1 hold 3
listen n2
must_be_pinned n2 hold 1
must_be n1 .held.pending true
# numbers go on above what a node has, whatever this admin knows
tell n1 state=RUNNING pin-sequence=40 held-by=admin
must_be n1 .held.pending false
run 0 resume --node n1
must_be_pinned n1 follow 41
leave n1
leave n2
echo '   ok: one node is held by a pin'

# --- one node, a real one ---

# node_at RELEASE: node1 serves it, and says that its admin holds it
node_at() { field_is node .transactionId "$1" && field_is node .held.by admin && field_is node .nodeState RUNNING; }

# must_hold: what its pin names; the admin knows
must_hold() {
	release=$(git -C "$releases" rev-parse 'refs/pins/node1^{commit}')
	within "$DEADLINE" node_at "$release" || fail "node1 is not held: $(muster --home node status --json)"
	must_be node1 .held.pending false
	must_be node1 .held.by admin
	must_be node1 .transactionId "$release"
}

# must_follow: it serves what its role has
must_follow() {
	within "$DEADLINE" field_is node .transactionId "$(git -C "$releases" rev-parse refs/heads/internal)" ||
		fail "node1 does not follow: $(muster --home node status --json)"
	must_be node1 .held null
	field_is node .held null || fail 'node1 says that it is held'
}

must_follow
run 0 rollback --node node1 "$good" --reason 'seen in the logs'
must_hold
field_is node .held.reason 'seen in the logs' || fail 'the node does not know why'
[ "$release" != "$(git -C "$releases" rev-parse refs/heads/internal)" ] || fail 'it is held at the newest'
port_is 8462
run 0 rollback HEAD~1 --wait=30
grep -qE '^node1 +internal +is held' out || fail "--wait does not name it: $(cat out)"
must_hold
# both may stop in between
stop node
start node node --no-admin --service-role internal --service-name node1 --no-status
must_hold
stop admin
start admin admin --admin
wait_admin admin
must_hold
run 0 resume --node node1
must_follow

# what was asked for while it was away
stop node
must_be node1 .connected false
run 0 rollback --node node1 "$good"
says 'when it is back'
start node node --no-admin --service-role internal --service-name node1 --no-status
must_hold
stop node
must_be node1 .connected false
run 0 resume --node node1
says 'when it is back'
start node node --no-admin --service-role internal --service-name node1 --no-status
must_follow

# its own hold wins over a pin, and is not ended from here
muster --home node rollback --here "$good" --reason mine >here.out
must_be node1 .held.by node
run 1 resume --node node1
says 'muster resume --here'
run 0 rollback --node node1 HEAD
says 'has a hold of its own'
must_be node1 .held.by node
muster --home node resume --here >here.out
must_hold
run 0 resume --node node1
must_follow
echo '   ok: a node is held by its admin'

# without a daemon the whole cluster goes back as well
stop admin
before=$(tree_of HEAD~1)
run 0 rollback HEAD~1
[ "$(tree_of HEAD)" = "$before" ] || fail 'it has other files'
run 3 rollback HEAD~1 --wait
says 'no daemon runs'
mkdir empty
got=0
muster --home empty rollback HEAD >out 2>err || got=$?
[ "$got" = 1 ] || fail "a rollback where there is nothing gave exit $got"
got=0
muster --home node rollback --node node1 HEAD >out 2>err || got=$?
[ "$got" = 1 ] || fail "a pin by what is no admin gave exit $got"
says 'is no admin home'
echo 'rollback: all as it should be'
