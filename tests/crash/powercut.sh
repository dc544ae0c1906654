#!/bin/bash
# A power cut during the setting up of an admin, from commit to publication, during a rotation of the secret, during a node's first
# start, and on a node's way from fetch to activate. Each runs once, and what it does to files is recorded (record.c); then the disk
# is made as a cut may leave it (powercut.c): what was synced and nothing else, and what was synced with any part of the rest. From
# each it is the old or the new one, complete, and it goes on; after the end nothing of what was done is lost.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

# Every STEPth point, from FIRST on: a sample that differs from run to run, or with STEP=1 FIRST=1 all of them. SEED: of the random
# model.
STEP=${STEP:-19}
FIRST=${FIRST:-$((RANDOM % STEP + 1))}
SEED=${SEED:-$RANDOM}
ONLY=${ONLY:-init commit rotate promote first update}
echo "STEP=$STEP FIRST=$FIRST SEED=$SEED"
library=$MUSTER_BIN/tests/crash/record.so
powercut=$MUSTER_BIN/tests/crash/powercut
verified=$MUSTER_BIN/tests/crash/verified
[ -e "$library" ] || skip 'the preloaded library was not built'
! grep -q __asan_init "$MUSTER_BIN/musterd" || skip 'a sanitizer must be the first library'

area
cd "$AREA"
port=$(freeport)
tried=0
at=0 # the change that is looked at

# recorded NAME COMMAND...: runs it on the home NAME, whose state before becomes NAME.base.
recorded() {
	local name=$1
	shift
	cp -a "$name" "$name.base"
	LD_PRELOAD=$library RECORD_LOG=$AREA/$name.record RECORD_BELOW=$AREA/$name "$@"
}

# What is in memory only is gone after a cut, and the machine has another boot id.
reboot() {
	remove_plain "$1"
	if [ -e "$1/run/activated" ]; then
		sed -i 's/ [0-9a-f]\{8\}-/ 00000000-/' "$1/run/activated"
	fi
}

# The record is complete: all of it, replayed, is what the program left.
record_is_whole() {
	"$powercut" "$1.base" "$1.record" build whole 1000000 all
	diff -r --no-dereference --exclude='*.sock' "$1" whole >diff.log 2>&1 || { cat diff.log >&2; fail "$1: changes are missing in the record"; }
	rm -rf whole
}

# point NAME CHECK N MODEL [SEED]
point() {
	local name=$1 check=$2 n=$3
	shift 3
	at=$n
	"$powercut" "$name.base" "$name.record" build cut "$n" "$@"
	reboot cut
	"$check" cut || {
		"$powercut" "$name.base" "$name.record" list | sed -n "$((n > 8 ? n - 8 : 1)),$((n + 2))p" >&2
		fail "$name: after a power cut at change $n, model $*"
	}
	tried=$((tried + 1))
	remove_plain "$AREA/cut"
	rm -rf cut
}

# points NAME CHECK FINAL: FINAL is CHECK when all was done.
points() {
	local name=$1 check=$2 final=$3 counts syncs n count=$tried
	record_is_whole "$name"
	read -r -a counts < <("$powercut" "$name.base" "$name.record" count)
	mapfile -t syncs < <("$powercut" "$name.base" "$name.record" syncs)
	point "$name" "$final" "${counts[0]}" strict
	# between two syncs the strict model has the same disk
	for ((n = FIRST - 1; n < counts[1]; n += STEP)); do
		point "$name" "$check" "${syncs[n]}" strict
	done
	for ((n = FIRST; n <= counts[0]; n += STEP)); do
		point "$name" "$check" "$n" random $((SEED + n))
	done
	echo "$name: $((tried - count)) points in ${counts[0]} changes with ${counts[1]} syncs"
}

quietly() { "$@" >again.log 2>&1 || { cat again.log >&2; return 1; }; }

# As after any git that lost power in a repository that people work in: its locks are removed by hand.
remove_git_locks() {
	if [ -d "$1/var/admin/config/.git" ]; then
		find "$1/var/admin/config/.git" -name '*.lock' -delete
	fi
}

# --- the admin ---

# What admins must always do: the next commit is published, all of it is sound.
admin_goes_on() {
	local role count
	count=$(git -C "$1/var/admin/release.git" rev-list --count internal)
	sed -i 's|<access-token-ttl>[0-9]*<|<access-token-ttl>4711<|' "$1/var/admin/config/tokens.xml"
	quietly muster --home "$1" commit -m next || return 1
	[ "$(git -C "$1/var/admin/release.git" rev-list --count internal)" = $((count + 1)) ] ||
		{ echo 'the next commit made no release' >&2; return 1; }
	genclust --home "$1" -c 127.0.0.1 -p "$port" >cluster.cut 2>/dev/null
	quietly muster verify --cluster cluster.cut "$1/var/admin/release.git" || return 1
	quietly git -C "$1/var/admin/release.git" fsck --strict || return 1
	quietly git -C "$1/var/admin/config" fsck --strict || return 1
	quietly git -C "$1/var/admin/config" diff --quiet HEAD || { echo 'the work tree differs' >&2; return 1; }
	for role in default internal; do
		git -C "$1/var/admin/release.git" rev-parse -q --verify "$role" >/dev/null ||
			{ echo "role $role has no release" >&2; return 1; }
	done
}

init_check() {
	remove_git_locks "$1"
	muster --home "$1" init --host 127.0.0.1 --port "$port" >again.log 2>&1 ||
		grep -q 'set up already\|is there\|refus' again.log || { cat again.log >&2; return 1; }
	quietly muster --home "$1" publish || return 1
	admin_goes_on "$1"
}
init_done() {
	cmp "$1/var/admin/cluster.key" init/var/admin/cluster.key || return 1
	cmp "$1/etc/secret" init/etc/secret || return 1
	same_ref "$1" init config refs/heads/main || return 1
	init_check "$1"
}

# same_ref HOME HOME REPOSITORY REF
same_ref() {
	[ "$(git -C "$1/var/admin/$3" rev-parse "$4")" = "$(git -C "$2/var/admin/$3" rev-parse "$4")" ] ||
		{ echo "$4 of $3 was lost" >&2; return 1; }
}

# Before any command of ours looks: what plain git cannot read is not complete, even if a commit would mend it.
plain_git_reads() { quietly git -C "$1/var/admin/config" status --porcelain; }

commit_check() {
	remove_git_locks "$1"
	plain_git_reads "$1" || return 1
	quietly muster --home "$1" commit -m again || return 1
	quietly muster --home "$1" publish || return 1
	[ "$(git -C "$1/var/admin/release.git" rev-list --count internal)" = 2 ] ||
		{ echo 'internal has not two releases' >&2; return 1; }
	admin_goes_on "$1"
}
commit_done() {
	local ref
	same_ref "$1" commit config refs/heads/main || return 1
	# what nodes were told of must not be made another time
	for ref in refs/heads/default refs/heads/internal; do
		same_ref "$1" commit release.git "$ref" || return 1
	done
	commit_check "$1"
}

secret_check() {
	remove_git_locks "$1"
	plain_git_reads "$1" || return 1
	quietly muster --home "$1" check HEAD || return 1
	quietly muster --home "$1" secret rotate || return 1
	quietly muster --home "$1" secret promote --force || return 1
	quietly muster --home "$1" check HEAD || return 1
	admin_goes_on "$1"
}
rotate_done() {
	cmp "$1/etc/secret" rotate/etc/secret || return 1
	secret_check "$1"
}
promote_done() {
	cmp "$1/etc/secret" promote/etc/secret || return 1
	same_ref "$1" promote config refs/heads/main || return 1
	secret_check "$1"
}

wanted() { [[ " $ONLY " == *" $1 "* ]]; }

mkdir -p init/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml init/etc/init/
quietly recorded init muster --home init init --host 127.0.0.1 --port "$port"
! wanted init || points init init_check init_done

cp -a init template
quietly muster --home template publish

cp -a template commit
sed -i 's/8443/8447/; s/8444/8448/' commit/var/admin/config/environment.xml
quietly recorded commit muster --home commit commit -m 'both roles'
! wanted commit || points commit commit_check commit_done

cp -a template rotate
quietly recorded rotate muster --home rotate secret rotate
! wanted rotate || points rotate secret_check rotate_done

cp -a rotate promote
quietly recorded promote muster --home promote secret promote --force
! wanted promote || points promote secret_check promote_done

# --- a node ---

as_node=(--no-admin --service-role internal --service-name node)

node_check() {
	local deadline=$DEADLINE
	if [ -d "$1/var/node" ]; then
		quietly "$verified" "$1" || return 1
	fi
	if [ -L "$1/var/node/current" ]; then
		quietly musterd --home "$1" "${as_node[@]}" --check || return 1
	fi
	# what the service was told of is not taken back
	if ((at >= told)) && [ "$(readlink "$1/var/node/current")" != "$target" ]; then
		echo 'the hooks ran, and the swap was lost' >&2
		return 1
	fi
	start node "$1" "${as_node[@]}"
	within "$deadline" field_is "$1" .sequence 2 || { tail -n 20 node.log >&2; echo 'stands still' >&2; return 1; }
	within 10 field_is "$1" .nodeState RUNNING || { echo "is $(field "$1" .nodeState)" >&2; return 1; }
	stop node || { echo 'did not stop' >&2; return 1; }
}
update_check() {
	[ -L "$1/var/node/current" ] || { echo 'the configuration is gone' >&2; return 1; }
	node_check "$1"
}
first_done() {
	cmp "$1/var/node/node.key" first/var/node/node.key || return 1
	node_check "$1"
}

# record_node NAME: until it has the second release. An activation hook leaves a mark in the record, since it must not run before
# the swap is on the disk.
told=0    # the change that is this mark
target='' # where current leads then
record_node() {
	mkdir -p "$1/etc/activate.d"
	cat >"$1/etc/activate.d/tell" <<-EOT
		#!/bin/sh
		export LD_PRELOAD=$library RECORD_LOG=$AREA/$1.record RECORD_BELOW=$AREA/$1
		rm -f $AREA/$1/told
		exec sh -c ': >$AREA/$1/told'
	EOT
	chmod 755 "$1/etc/activate.d/tell"
	cp -a "$1" "$1.base"
	LD_PRELOAD=$library RECORD_LOG=$AREA/$1.record RECORD_BELOW=$AREA/$1 start node "$1" "${as_node[@]}"
	wait_sequence "$1" 2
	stop node
	remove_plain "$1"
	told=$("$powercut" "$1.base" "$1.record" list | awk '$2 == "C" && $3 == "told" { n = $1 } END { print n }')
	[ -n "$told" ] || fail "$1: the hook left no mark"
	target=$(readlink "$1/var/node/current")
}

if wanted first || wanted update; then
	# long after the first one another may have that port
	port=$(freeport)
	mkdir -p admin/etc/init update/etc/init
	cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
	quietly muster --home admin init --host 127.0.0.1 --port "$port"
	genclust --home admin -c 127.0.0.1 -p "$port" >update/etc/init/cluster.xml 2>/dev/null
	start admin admin --admin
	wait_admin admin
	give_secret admin update internal
	cp -a update first
	start node update "${as_node[@]}"
	wait_sequence update 1
	stop node
	remove_plain update
	sed -i 's/8444/8448/' admin/var/admin/config/environment.xml
	quietly muster --home admin commit -m second
	within "$DEADLINE" field_is admin .published.roles.internal.sequence 2 || fail 'the second release was not published'
	if wanted first; then
		record_node first
		points first node_check first_done
	fi
	if wanted update; then
		record_node update
		points update update_check update_check
	fi
fi
echo "powercut: $tried points tried"
