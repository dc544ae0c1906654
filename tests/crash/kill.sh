#!/bin/bash
# kill -9 at every call that changes a file, of setting up an admin, of a publication, of a commit, of a rotation of the secret and of
# the keys, of a node's first start, of a node's way from fetch to activate, and of its way back and on again, by itself and by a
# pin: after a restart it is the old or the new one, complete, and it goes on.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/crash/lib.sh"

# with_kill N HOME COMMAND...: dies at the Nth call that changes something below HOME. 137 when it did.
with_kill() {
	local n=$1 home=$2
	shift 2
	LD_PRELOAD=$faults FAULTS_BELOW=$AREA/$home FAULTS_KILL=$n "$@"
}

# points NAME HOME SETUP RUN CHECK: for each point: SETUP makes HOME, RUN dies there, CHECK demands what must hold.
points() {
	local name=$1 home=$2 setup=$3 run=$4 check=$5 n=$FIRST code count=0
	while :; do
		remove_plain "${AREA:?}/$home"
		rm -rf "${AREA:?}/$home"
		"$setup"
		code=0
		"$run" "$n" >run.log 2>&1 || code=$?
		"$check" "$n" || fail "$name: after a kill at call $n"
		[ "$code" = 137 ] || break
		count=$((count + 1))
		n=$((n + STEP))
	done
	[ "$code" = 0 ] || { cat run.log >&2; fail "$name: exit $code without a kill"; }
	[ "$count" -gt 0 ] || fail "$name: nothing was killed"
	echo "$name: $count points"
	tried=$((tried + count))
}

# --- muster init ---

init_setup() { fresh init; }
init_run() { with_kill "$1" init muster --home init init --host 127.0.0.1 --port "$port"; }
init_check() {
	muster --home init init --host 127.0.0.1 --port "$port" >again.log 2>&1 ||
		grep -q 'set up already\|is there\|refus' again.log || { cat again.log >&2; return 1; }
	muster --home init check >again.log 2>&1 || { cat again.log >&2; return 1; }
	muster --home init publish >again.log 2>&1 || { cat again.log >&2; return 1; }
	git -C init/var/admin/config diff --quiet HEAD || { echo 'the work tree differs' >&2; return 1; }
}

# --- muster publish ---

publish_setup() { cp -a template publish; }
publish_run() { with_kill "$1" publish muster --home publish publish; }
publish_check() {
	local role
	muster --home publish publish >again.log 2>&1 || { cat again.log >&2; return 1; }
	muster verify --cluster cluster.xml publish/var/admin/release.git >again.log 2>&1 ||
		{ cat again.log >&2; return 1; }
	for role in default internal; do
		[ "$(git -C publish/var/admin/release.git rev-list --count "$role")" = 2 ] ||
			{ echo "role $role has not two releases" >&2; return 1; }
	done
	git -C publish/var/admin/release.git fsck --strict >again.log 2>&1 || { cat again.log >&2; return 1; }
}

# --- muster commit ---

# no_locks HOME: stock git is not held up, and nothing lies about.
no_locks() {
	local left
	left=$(cd "$1/var/admin/config" && find .git \( -name '*.lock' ! -name muster.lock -o -name muster.index -o -name muster.ref \))
	[ -z "$left" ] || { echo "$left is left" >&2; return 1; }
}

# Edits, a secret in the clear and a new file.
commit_setup() {
	cp -a template commit
	sed -i 's/8447/8449/' commit/var/admin/config/*.xml
	cat >commit/var/admin/config/ldap.xml <<-'EOT'
	<config xmlns="http://tail-f.com/ns/config/1.0"><facilities xmlns="https://curity.se/ns/conf/base">
	<ldap><name>a</name><password>clear-as-day</password></ldap></facilities></config>
	EOT
}
commit_run() { with_kill "$1" commit muster --home commit commit -m killed; }
commit_check() {
	local config=commit/var/admin/config
	# what there is is whole: the commit before, or this one
	git -C $config fsck --strict >again.log 2>&1 || { cat again.log >&2; return 1; }
	muster --home commit check HEAD >again.log 2>&1 || { cat again.log >&2; return 1; }
	muster --home commit commit -m again >again.log 2>&1 || { cat again.log >&2; return 1; }
	[ "$(git -C $config rev-list --count HEAD)" = 3 ] || { echo 'not one commit' >&2; return 1; }
	no_locks commit || return 1
	[ -z "$(git -C $config status --porcelain)" ] || { git -C $config status >&2; return 1; }
	! git -C $config cat-file --batch-all-objects --batch --buffer | grep -qaF clear-as-day ||
		{ echo 'a secret in the clear is in git' >&2; return 1; }
	muster --home commit publish >again.log 2>&1 || { cat again.log >&2; return 1; }
	muster verify --cluster cluster.xml commit/var/admin/release.git >again.log 2>&1 || { cat again.log >&2; return 1; }
	git -C commit/var/admin/release.git log -1 default | grep -q "Muster-Source: $(git -C $config rev-parse HEAD)" ||
		{ echo 'not published' >&2; return 1; }
	# and so does stock git
	echo >>$config/ldap.xml
	PATH=$MUSTER_BIN:$PATH git -C $config -c user.name=t -c user.email=t commit -qam 'with git' >again.log 2>&1 ||
		{ cat again.log >&2; return 1; }
}

# --- muster secret ---

# Whatever was done: the secret can be read, all that is in main opens, and going on ends it.
secret_check() {
	muster --home "$1" check HEAD >again.log 2>&1 || { cat again.log >&2; return 1; }
	muster --home "$1" secret rotate >again.log 2>&1 || { cat again.log >&2; return 1; }
	[ "$(tr ',' '\n' <"$1/etc/secret" | wc -l)" = "$2" ] || { echo 'secrets were lost or are too many' >&2; return 1; }
	muster --home "$1" secret promote --force >again.log 2>&1 || { cat again.log >&2; return 1; }
	muster --home "$1" check HEAD >again.log 2>&1 || { cat again.log >&2; return 1; }
	git -C "$1/var/admin/config" diff --quiet HEAD || { echo 'the work tree differs' >&2; return 1; }
	no_locks "$1" || return 1
	muster verify --cluster cluster.xml "$1/var/admin/release.git" >again.log 2>&1 || { cat again.log >&2; return 1; }
}
rotate_setup() { cp -a template rotate; }
rotate_run() { with_kill "$1" rotate muster --home rotate secret rotate; }
rotate_check() { secret_check rotate 2; }
promote_setup() {
	cp -a template promote
	muster --home promote secret rotate >/dev/null
}
promote_run() { with_kill "$1" promote muster --home promote secret promote --force; }
# Once it is over the next rotation is another one.
promote_check() {
	if [ -e promote/var/admin/secret.next ]; then secret_check promote 2; else secret_check promote 3; fi
}

# --- the cluster's keys ---

# Whatever was done: going on ends it with one key, which signs what follows, and who knows the first key can follow.
release_key_setup() { cp -a template release_key; }
release_key_run() { with_kill "$1" release_key muster --home release_key release-key rotate; }
release_key_check() {
	muster --home release_key publish >again.log 2>&1 || { cat again.log >&2; return 1; }
	[ "$(grep -c '^release ' release_key/var/admin/cluster.key)" = 1 ] || { echo 'two keys are left' >&2; return 1; }
	muster --home release_key release-key rotate >again.log 2>&1 || { cat again.log >&2; return 1; }
	[ "$(grep -c '^release ' release_key/var/admin/cluster.key)" = 1 ] || { echo 'two keys are left' >&2; return 1; }
	muster verify --cluster cluster.xml release_key/var/admin/release.git >again.log 2>&1 ||
		{ cat again.log >&2; return 1; }
}

# Whatever was done: once more makes the new epoch, or says that it is there; and it can end.
epoch_setup() { cp -a template epoch; }
epoch_run() { with_kill "$1" epoch genclust --home epoch -c 127.0.0.1 -p "$port" --rotate; }
epoch_check() {
	find epoch/var/admin/config/.git -name '*.lock' -delete
	genclust --home epoch -c 127.0.0.1 -p "$port" --rotate >again.log 2>&1 ||
		grep -q 'two epochs already, 2 and 1' again.log || { cat again.log >&2; return 1; }
	[ "$(grep -c '^root ' epoch/var/admin/cluster.key)" = 2 ] || { echo 'there are not two epochs' >&2; return 1; }
	[ -z "$(git -C epoch/var/admin/config status --porcelain)" ] || { echo 'the work tree is not clean' >&2; return 1; }
	git -C epoch/var/admin/config log --format=%s | grep -q '^Epoch 2 ' || { echo 'there is no commit' >&2; return 1; }
	muster --home epoch publish >again.log 2>&1 || { cat again.log >&2; return 1; }
	genclust --home epoch -c 127.0.0.1 -p "$port" --retire >again.log 2>&1 || { cat again.log >&2; return 1; }
}

# --- a node ---

# node_with N HOME: runs a node until it has release 2, or dies.
node_with() {
	local pid code=0
	LD_PRELOAD=$faults FAULTS_BELOW=$AREA/$2 FAULTS_KILL=$1 \
		musterd --home "$2" --no-admin --service-role internal --service-name node >node.log 2>&1 </dev/null &
	pid=$!
	pids[killed]=$pid
	within "$DEADLINE" settled "$pid" "$2" || { cat node.log >&2; fail "the node got nowhere"; }
	kill -TERM "$pid" 2>/dev/null || true
	wait "$pid" || code=$?
	unset 'pids[killed]'
	return "$code"
}
settled() { gone "$1" || field_is "$2" .sequence 2; }
node_check() {
	# what is current verifies, or there is none yet
	if [ -e "$2/var/node/current" ]; then
		musterd --home "$2" --no-admin --service-role internal --service-name node --check >again.log 2>&1 ||
			{ cat again.log >&2; return 1; }
	fi
	start node "$2" --no-admin --service-role internal --service-name node
	wait_sequence "$2" 2
	wait_state "$2" RUNNING
	stop node
}

first_setup() { mkdir -p first/etc/init && cp cluster.xml first/etc/init/ && give_secret admin first internal; }
first_run() { node_with "$1" first; }
first_check() { node_check "$1" first; }

update_setup() { copy_home node1 update; }
update_run() { node_with "$1" update; }
update_check() { node_check "$1" update; }

# --- a node that goes back, and on again ---

has() { gone "$1" || field_is "$2" .sequence "$3"; }

# moved_with N HOME FROM TO [COMMAND...]: runs a node that has release FROM until it has TO, which the command brings about, or dies.
moved_with() {
	local pid code=0 n=$1 home=$2 from=$3 to=$4
	shift 4
	LD_PRELOAD=$faults FAULTS_BELOW=$AREA/$home FAULTS_KILL=$n \
		musterd --home "$home" --no-admin --service-role internal --service-name node >node.log 2>&1 </dev/null &
	pid=$!
	pids[killed]=$pid
	if [ $# -gt 0 ]; then
		within "$DEADLINE" has "$pid" "$home" "$from" || { cat node.log >&2; fail "the node does not serve release $from"; }
		muster --home "$home" "$@" >said.log 2>&1 || gone "$pid" || within 5 gone "$pid" || { cat said.log node.log >&2; fail "$* failed"; }
	fi
	within "$DEADLINE" has "$pid" "$home" "$to" || { cat node.log >&2; fail "the node does not come to release $to"; }
	kill -TERM "$pid" 2>/dev/null || true
	wait "$pid" || code=$?
	unset 'pids[killed]'
	return "$code"
}

# either HOME: what is current is complete, the old one or the new one, and so it starts
either() {
	musterd --home "$1" --no-admin --service-role internal --service-name node --check >again.log 2>&1 ||
		{ cat again.log >&2; return 1; }
	start node "$1" --no-admin --service-role internal --service-name node
	wait_state "$1" RUNNING
	case $(field "$1" .sequence) in # one look: it may be on its way
	1 | 2) ;;
	*)
		muster --home "$1" status >&2
		return 1
		;;
	esac
}

first_release() { git -C admin/var/admin/release.git rev-parse internal~1; }

back_setup() { copy_home node2 back; }
back_run() { moved_with "$1" back 2 1 rollback --here "$(first_release)"; }
back_check() {
	either back || return 1
	muster --home back rollback --here "$(first_release)" >again.log 2>&1 || { cat again.log >&2; return 1; }
	wait_sequence back 1
	field_is back .held.by node || { echo 'it is not held' >&2; return 1; }
	stop node
}

on_setup() { copy_home node3 on; }
on_run() { moved_with "$1" on 1 2 resume --here; }
on_check() {
	either on || return 1
	muster --home on resume --here >again.log 2>&1 || { cat again.log >&2; return 1; }
	wait_sequence on 2
	field_is on .held null || { echo 'it is held' >&2; return 1; }
	stop node
}

pinned_setup() { copy_home node2 pinned; }
pinned_run() { moved_with "$1" pinned 2 1; }
pinned_check() {
	either pinned || return 1
	wait_sequence pinned 1
	within "$DEADLINE" field_is pinned .held.by admin || { echo 'it is not held' >&2; return 1; }
	stop node
}

# In node2 a node that has both releases, and in node3 one that went back from there and stays.
make_held() {
	copy_home node1 node2
	start node node2 --no-admin --service-role internal --service-name node
	wait_sequence node2 2
	wait_state node2 RUNNING
	stop node
	copy_home node2 node3
	start node node3 --no-admin --service-role internal --service-name node
	wait_state node3 RUNNING
	muster --home node3 rollback --here "$(first_release)" >/dev/null
	stop node
}

points init init init_setup init_run init_check
make_template
points publish publish publish_setup publish_run publish_check
points commit commit commit_setup commit_run commit_check
STEP=1 FIRST=1 points 'secret rotate' rotate rotate_setup rotate_run rotate_check
points 'secret promote' promote promote_setup promote_run promote_check
points 'release-key rotate' release_key release_key_setup release_key_run release_key_check
points 'genclust --rotate' epoch epoch_setup epoch_run epoch_check

make_node
points 'first start' first first_setup first_run first_check
points 'fetch to activate' update update_setup update_run update_check
make_held
points 'rollback --here' back back_setup back_run back_check
points 'resume --here' on on_setup on_run on_check
muster --home admin rollback --node node "$(first_release)" >/dev/null
points 'a pin' pinned pinned_setup pinned_run pinned_check
echo "kill: $tried points tried"
