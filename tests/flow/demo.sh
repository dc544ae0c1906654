#!/bin/bash
# The main job, shown: an admin and two nodes on loopback, a change that arrives where it belongs and only there, a way back, a bad
# release, a kill and an edit that do no harm, and nodes that serve on without their admin. `./bootstrap demo` runs it, and `make check`. With --keep the cluster stays.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

keep=
[ "${1:-}" != --keep ] || keep=yes

say() { printf '\n== %s\n' "$*"; }

# Shows the command, then runs it.
show() {
	local word
	printf '$'
	for word; do
		case $word in
		*[!A-Za-z0-9_./=:-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	printf '\n'
	"$@"
}

# expect WHAT COMMAND...: one thing that must have happened.
expect() {
	local what=$1
	shift
	if "$@"; then
		printf '   ok: %s\n' "$what"
	else
		fail "$what"
	fi
}

setup_admin() {
	say "an admin and its configuration, two service roles: ${AREA}/admin"
	mkdir -p admin/etc/init
	cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
	show muster --home admin init --host 127.0.0.1 --port "$port"
	echo '$ musterd --home admin --admin &'
	start admin admin --admin
	wait_admin admin
	say 'what a node needs to join: the cluster configuration'
	echo "\$ genclust -c 127.0.0.1 -p $port -k admin/var/admin/cluster.key >cluster.xml"
	(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >cluster.xml)
}

# setup_node NAME ROLE
setup_node() {
	say "node $1, role $2"
	mkdir -p "$1/etc/init"
	show cp cluster.xml "$1/etc/init/"
	echo "\$ muster --home admin secret role-key $2 >$1/etc/secret"
	(umask 077 && muster --home admin secret role-key "$2" >"$1/etc/secret")
	echo "\$ musterd --home $1 --no-admin --service-role $2 --service-name $1 --no-status &"
	start "$1" "$1" --no-admin --service-role "$2" --service-name "$1" --no-status
	wait_state "$1" RUNNING
	show muster --home "$1" status
}

# has HOME TEXT: the copy that the node's service reads.
has() { grep -qF -- "$2" "$1/var/node/current/config.xml"; }

lacks() { ! has "$@"; }

# change FILE OLD NEW: an edit in the authoring repository, as a person makes it.
change() {
	local file=admin/var/admin/config/$1
	grep -qF -- "$2" "$file" || fail "$file does not hold $2"
	sed "s|$2|$3|" "$file" >edited
	cat edited >"$file"
	rm edited
	show git -C admin/var/admin/config diff --unified=0
}

# A change to what only internal has.
commit_for_internal() {
	local before1 before2
	before1=$(field node1 .transactionId)
	before2=$(field node2 .transactionId)
	say 'a change that only role internal is concerned with'
	change tokens.xml '<access-token-ttl>300<' '<access-token-ttl>120<'
	show muster --home admin commit -m 'shorter tokens for billing' --wait
	expect 'node2 has a new release' test "$(field node2 .transactionId)" != "$before2"
	expect 'its service reads the new value' has node2 '<access-token-ttl>120</access-token-ttl>'
	expect 'node1 has the release it had' test "$(field node1 .transactionId)" = "$before1"
	expect 'and nothing of that profile' lacks node1 access-token-ttl
}

# And one to what only default has.
commit_for_default() {
	local before1 before2
	before1=$(field node1 .transactionId)
	before2=$(field node2 .transactionId)
	say 'a change that only role default is concerned with'
	change login.xml '<description>Sign in<' '<description>Sign in to the shop<'
	show muster --home admin commit -m 'the login page says where to' --wait
	expect 'node1 has a new release' test "$(field node1 .transactionId)" != "$before1"
	expect 'its service reads the new value' has node1 'Sign in to the shop'
	expect 'node2 has the release it had' test "$(field node2 .transactionId)" = "$before2"
	expect 'and nothing of that profile' lacks node2 'Sign in'
}

show_nodes() {
	say 'what the admin knows'
	show muster --home admin nodes
	expect 'both nodes are there' test "$(muster --home admin nodes --json | jsonget .#)" = 2
}

show_history() {
	say 'the history of role internal, verified by stock git'
	show git -C admin/var/admin/release.git log --show-signature -n 2 internal \
		>history 2>&1 || true
	cat history
	expect 'two good signatures' test "$(grep -c '^Good "git" signature' history)" = 2
	expect 'git verify-commit agrees' \
		git -C admin/var/admin/release.git verify-commit internal
}

held_at() { [ "$(field "$1" .held.release || true)" = "$2" ]; }

# The admin holds a node at the release before, and lets it go.
roll_one_back() {
	local newest before
	newest=$(field node1 .transactionId)
	before=$(git -C admin/var/admin/release.git rev-parse 'default^')
	say 'node1 goes back to the release before, and stays there'
	show muster --home admin rollback --node node1 "$before" --reason 'the sign-in page confuses people'
	within "$DEADLINE" field_is node1 .transactionId "$before" || fail 'node1 did not go back'
	expect 'its service reads the old value' lacks node1 'Sign in to the shop'
	show muster --home admin nodes
	expect 'the admin shows it held' held "$(muster --home admin nodes --json | jsonget '.0.held.by')"
	expect 'node1 says so as well' held_at node1 "$before"
	show muster --home admin resume --node node1
	within "$DEADLINE" field_is node1 .transactionId "$newest" || fail 'node1 did not come back'
	expect 'its service reads the new value' has node1 'Sign in to the shop'
	within "$DEADLINE" field_is node1 .held null || fail 'node1 is still held'
}

held() { [ "$1" = admin ]; }

rejected_as() { [ "$(field "$1" .rejected.release || true)" = "$2" ]; }

# A release that a node's own check of its health does not stand.
burn_one() {
	local good burnt
	good=$(field node2 .transactionId)
	say 'a release with which the service of node2 is not healthy'
	mkdir -p node2/etc/health.d
	cat >node2/etc/health.d/probe <<-'EOT'
		#!/bin/sh
		! grep -q '<access-token-ttl>1</access-token-ttl>' "$MUSTER_PLAIN/config.xml"
	EOT
	chmod +x node2/etc/health.d/probe
	show muster --home admin set 'muster/health-timeout' 2
	show muster --home admin commit -m 'health is asked for two seconds' --wait
	good=$(field node2 .transactionId)
	change tokens.xml '<access-token-ttl>120<' '<access-token-ttl>1<'
	if show muster --home admin commit -m 'tokens for a second' --wait; then
		fail 'a release that burns is said to have arrived'
	fi
	burnt=$(git -C admin/var/admin/release.git rev-parse internal)
	within "$DEADLINE" field_is node2 .transactionId "$good" || fail 'node2 did not swap back'
	expect 'node2 runs the release before' serves node2 "$good"
	expect 'and names what it refuses' rejected_as node2 "$burnt"
	show muster --home node2 log -n 2
	expect 'which is burnt' test "$(muster --home node2 log --json | jsonget '.0.verdict')" = burnt
	change tokens.xml '<access-token-ttl>1<' '<access-token-ttl>120<'
	show muster --home admin commit -m 'as it was' --wait
	expect 'the next one is taken' has node2 '<access-token-ttl>120<'
}

# A node dies in the middle of an update.
kill_one() {
	local newest
	say 'node2 is killed while a release comes'
	change tokens.xml '<access-token-ttl>120<' '<access-token-ttl>150<'
	show muster --home admin commit -m 'while it is killed'
	echo '$ kill -9 node2'
	stop node2 KILL 2>/dev/null || true
	expect 'what current leads to is whole' test -s node2/var/node/current/config.xml
	start node2 node2 --no-admin --service-role internal --service-name node2 --no-status
	newest=$(git -C admin/var/admin/release.git rev-parse internal)
	within "$DEADLINE" field_is node2 .transactionId "$newest" || fail 'node2 did not get it'
	expect 'node2 is back, and has it' has node2 '<access-token-ttl>150<'
}

drifted() { [ "$(field "$1" .drift || echo 0)" -ge 1 ]; }

# Somebody edits the copy of a node.
damage_one() {
	say 'somebody edits the local copy of node1 by hand'
	echo '$ sed -i s/shop/SHOP/ node1/var/node/current/config.xml'
	sed -i 's/Sign in to the shop/Sign in to the SHOP/' node1/var/node/current/config.xml
	within "$DEADLINE" drifted node1 || fail 'node1 does not see it'
	within "$DEADLINE" has node1 'Sign in to the shop' || fail 'node1 does not restore it'
	expect 'it is seen and restored' lacks node1 SHOP
	show muster --home node1 status
}

serves() { field_is "$1" .isServing true && [ "$(field "$1" .transactionId)" = "$2" ]; }

# serves_alone NODE RELEASE VALUE
serves_alone() {
	wait_state "$1" WAITING
	show muster --home "$1" status
	expect "$1 is WAITING and serves the release it had" serves "$1" "$2"
	expect 'its service reads what it read' has "$1" "$3"
}

stop_admin() {
	local release1 release2
	release1=$(field node1 .transactionId)
	release2=$(field node2 .transactionId)
	say 'the admin goes away'
	expect 'the admin has stopped cleanly' stop admin
	serves_alone node1 "$release1" 'Sign in to the shop'
	serves_alone node2 "$release2" '<access-token-ttl>150<'
}

# started PID: when, in ticks since the machine did.
started() { cut -d' ' -f22 "/proc/$1/stat"; }

# The way to stop what stays is a script beside it.
leave_running() {
	local name
	start admin admin --admin
	wait_state node1 RUNNING
	wait_state node2 RUNNING
	{
		echo '#!/bin/bash'
		echo '# Stops the daemons of this demo and removes their files.'
		echo "top_srcdir='$top_srcdir' MUSTER_BIN='$MUSTER_BIN'"
		echo ". '$top_srcdir/tests/flow/lib.sh'"
		echo "AREA='$AREA'"
		for name in "${!pids[@]}"; do
			# The same number may belong to another process by then: not with the same start.
			echo "[ \"\$(cut -d' ' -f22 /proc/${pids[$name]}/stat 2>&1)\" = $(started "${pids[$name]}") ] &&"
			echo "	pids[$name]=${pids[$name]}"
		done
		echo 'true'
		echo 'finish'
	} >"$AREA/stop"
	trap - EXIT INT TERM HUP
	disown -a
	say 'the cluster is left running'
	cat <<-EOT
	PATH=$MUSTER_BIN:\$PATH; cd $AREA
	muster --home admin nodes
	muster --home node1 status
	edit admin/var/admin/config/*.xml, then: muster --home admin commit -m TEXT --wait
	logs: *.log
	to stop it and remove its files: bash $AREA/stop
	EOT
}

need git ssh-keygen
area
cd "$AREA"
port=$(freeport)

setup_admin
setup_node node1 default
setup_node node2 internal
commit_for_internal
commit_for_default
show_nodes
show_history
roll_one_back
burn_one
kill_one
damage_one
stop_admin
say 'all of it happened'
[ -z "$keep" ] || leave_running
