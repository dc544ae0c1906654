#!/bin/bash
# The main job, shown: an admin and two nodes on loopback, a change that arrives where it belongs and only there, and
# nodes that serve on without their admin. `./bootstrap demo` runs it, and `make check`. With --keep the cluster stays.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

keep=
[ "${1:-}" != --keep ] || keep=yes

say() { printf '\n== %s\n' "$*"; }

# Shows the command, then runs it.
show() {
	printf '$ %s\n' "$*"
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
	say "an admin with two roles, in admin/ (cluster port $port)"
	mkdir -p "$admin/etc/init"
	cp "$top_srcdir"/tests/fixtures/demo/*.xml "$admin/etc/init/"
	show muster --home "$admin" init --host 127.0.0.1 --port "$port"
	start admin "$admin" --admin
	wait_admin "$admin"
}

# setup_node NAME HOME ROLE: what it needs is the cluster configuration, and a name and a role.
setup_node() {
	say "node $1, role $3"
	mkdir -p "$2/etc/init"
	(umask 077 && genclust -c 127.0.0.1 -p "$port" -k "$admin/var/admin/cluster.key" \
		>"$2/etc/init/cluster.xml")
	echo "\$ genclust -c 127.0.0.1 -p $port -k admin/var/admin/cluster.key >$1/etc/init/cluster.xml"
	echo "\$ musterd --no-admin --service-role $3 --service-name $1"
	start "$1" "$2" --no-admin --service-role "$3" --service-name "$1" --no-status
	wait_state "$2" RUNNING
	printf '   %s: %s, release %s\n' "$1" "$(field "$2" .nodeState)" "$(field "$2" .transactionId)"
}

# has HOME TEXT: the copy that the node's service reads.
has() { grep -qF -- "$2" "$1/var/node/current/config.xml"; }

lacks() { ! has "$@"; }

# change FILE OLD NEW: an edit in the authoring repository, as a person makes it.
change() {
	local file=$admin/var/admin/config/$1
	grep -qF -- "$2" "$file" || fail "$file does not hold $2"
	sed "s|$2|$3|" "$file" >"$AREA/edited"
	cat "$AREA/edited" >"$file"
	rm "$AREA/edited"
	show git -C "$admin/var/admin/config" diff --unified=0
}

# A change to what only internal has.
commit_for_internal() {
	local before1 before2
	before1=$(field "$node1" .transactionId)
	before2=$(field "$node2" .transactionId)
	say 'a change that only role internal is concerned with'
	change tokens.xml '<access-token-ttl>300<' '<access-token-ttl>120<'
	show muster --home "$admin" commit -m 'shorter tokens for billing' --wait
	expect 'node2 has a new release' test "$(field "$node2" .transactionId)" != "$before2"
	expect 'its service reads the new value' has "$node2" '<access-token-ttl>120</access-token-ttl>'
	expect 'node1 has the release it had' test "$(field "$node1" .transactionId)" = "$before1"
	expect 'and nothing of that profile' lacks "$node1" access-token-ttl
}

# And one to what only default has.
commit_for_default() {
	local before1 before2
	before1=$(field "$node1" .transactionId)
	before2=$(field "$node2" .transactionId)
	say 'a change that only role default is concerned with'
	change login.xml '<description>Sign in<' '<description>Sign in to the shop<'
	show muster --home "$admin" commit -m 'the login page says where to' --wait
	expect 'node1 has a new release' test "$(field "$node1" .transactionId)" != "$before1"
	expect 'its service reads the new value' has "$node1" 'Sign in to the shop'
	expect 'node2 has the release it had' test "$(field "$node2" .transactionId)" = "$before2"
	expect 'and nothing of that profile' lacks "$node2" 'Sign in'
}

show_nodes() {
	say 'what the admin knows'
	show muster --home "$admin" nodes
	expect 'both nodes are there' test "$(muster --home "$admin" nodes --json | jsonget .#)" = 2
}

show_history() {
	say 'the history of role internal, verified by stock git'
	show git -C "$admin/var/admin/release.git" log --show-signature -n 2 internal \
		>"$AREA/history" 2>&1 || true
	cat "$AREA/history"
	expect 'two good signatures' test "$(grep -c '^Good "git" signature' "$AREA/history")" = 2
	expect 'git verify-commit agrees' \
		git -C "$admin/var/admin/release.git" verify-commit internal
}

serves() { field_is "$1" .isServing true && [ "$(field "$1" .transactionId)" = "$2" ]; }

# serves_alone NAME HOME RELEASE VALUE
serves_alone() {
	wait_state "$2" WAITING
	expect "$1 is WAITING and serves $3" serves "$2" "$3"
	expect "$1: its service reads what it read" has "$2" "$4"
}

stop_admin() {
	local release1 release2
	release1=$(field "$node1" .transactionId)
	release2=$(field "$node2" .transactionId)
	say 'the admin goes away'
	expect 'the admin has stopped cleanly' stop admin
	serves_alone node1 "$node1" "$release1" 'Sign in to the shop'
	serves_alone node2 "$node2" "$release2" '<access-token-ttl>120<'
}

# The way to stop what stays is a script beside it.
leave_running() {
	local name
	start admin "$admin" --admin
	wait_admin "$admin"
	{
		echo '#!/bin/bash'
		echo '# Stops the daemons of this demo and removes their files.'
		echo "top_srcdir='$top_srcdir' MUSTER_BIN='$MUSTER_BIN'"
		echo ". '$top_srcdir/tests/flow/lib.sh'"
		echo "AREA='$AREA'"
		for name in "${!pids[@]}"; do
			# A number that the system has given to another process since is left alone.
			echo "grep -qsF '$AREA/$name' /proc/${pids[$name]}/cmdline && pids[$name]=${pids[$name]}"
		done
		echo 'true'
		echo 'finish'
	} >"$AREA/stop"
	trap - EXIT INT TERM HUP
	disown -a
	say 'the cluster is left running'
	cat <<-EOT
	PATH=$MUSTER_BIN:\$PATH
	muster --home $admin nodes
	muster --home $node1 status
	edit $admin/var/admin/config/*.xml, then: muster --home $admin commit -m TEXT --wait
	logs: $AREA/*.log
	stop it and remove its files: bash $AREA/stop
	EOT
}

need git ssh-keygen
area
admin=$AREA/admin
node1=$AREA/node1
node2=$AREA/node2
port=$(freeport)

setup_admin
setup_node node1 "$node1" default
setup_node node2 "$node2" internal
commit_for_internal
commit_for_default
show_nodes
show_history
stop_admin
say 'all of it happened'
[ -z "$keep" ] || leave_running
