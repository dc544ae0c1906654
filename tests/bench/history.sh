#!/bin/bash
# Whole daemons through RELEASES releases, each fetched and activated before the next: afterwards a commit takes as long as with ten
# releases, packs and revisions are few, a start is quick and the node small. See README.md here; ROUNDS=0 leaves the times out.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

RELEASES=${RELEASES:-10000}
ROUNDS=${ROUNDS:-100}
STARTS=${STARTS:-10}

need git awk
area
. "$top_srcdir/tests/bench/rounds.sh"
cd "$AREA"

# releases ADMIN FROM UPTO NUMBER: one after another; NUMBER is that of the ADMIN's main among what is watched.
releases() {
	local i
	for ((i = $2; i <= $3; i++)); do
		# git's own syncs are not what is measured, and take longer than all else
		round "$4" $(($4 + 1)) change "$1/var/admin/config" "$i" -c core.fsync=none
		if [ -t 1 ] && ((i % 100 == 0)); then
			printf '\r%d of %d ' "$i" "$3"
		fi
	done
}

# No git of its own is at work while rounds are measured, nor left when the bench ends.
quiet_git() {
	git -C "$1/var/admin/config" config gc.autoDetach false
	git -C "$1/var/admin/config" config maintenance.auto false
}

few() { [ "$(find "$1" -maxdepth 1 -name "$2" | wc -l)" -le "$3" ]; }

must_be_few() {
	# packs are joined after the release is told
	within "$DEADLINE" few "$@" || fail "$1 has $(find "$1" -maxdepth 1 -name "$2" | wc -l) of $2, over $3"
}

# starts HOME FILE WORDS OPTION...: STARTS times, until the log has these words.
starts() {
	local home=$1 file=$2 words=$3 i
	shift 3
	for ((i = 0; i < STARTS; i++)); do
		"$MUSTER_BIN/tests/bench/ready" "$words" musterd --home "$home" "$@" >>"$file" || fail "$home does not start"
	done
}

setup_cluster old_admin old_node
quiet_git old_admin
setup_cluster new_admin new_node
quiet_git new_admin
watch old_admin/var/admin/config/.git/refs/heads main old_node/var/node current \
	new_admin/var/admin/config/.git/refs/heads main new_node/var/node current

begun=$SECONDS
releases old_admin 2 "$RELEASES" 0
if [ -t 1 ]; then
	printf '\r'
fi
echo "$RELEASES releases, one by one, in $((SECONDS - begun)) s"
field_is old_node .sequence "$RELEASES" || wait_sequence old_node "$RELEASES"
must_be_few old_node/var/node/replica.git/objects/pack '*.pack' 10
must_be_few old_node/var/node/replica.git/objects '??' 64 # of loose objects
must_be_few old_admin/var/admin/release.git/objects/pack '*.pack' 10
# ten, and while one is staged another
must_be_few old_node/var/node/revisions '*' 12
muster verify --cluster old_node/etc/init/cluster.xml --role internal old_node/var/node/replica.git >/dev/null ||
	fail 'the history does not verify'
echo "packs: $(find old_node/var/node/replica.git/objects/pack -name '*.pack' | wc -l) in the replica," \
	"$(find old_admin/var/admin/release.git/objects/pack -name '*.pack' | wc -l) in release.git"
[ "$ROUNDS" -gt 0 ] || exit 0

releases new_admin 2 10 2
# in turns: both meet the same disturbances
for ((i = 1; i <= ROUNDS; i++)); do
	round 0 1 change old_admin/var/admin/config $((RELEASES + i))
	echo "$took" >>old.ns
	round 2 3 change new_admin/var/admin/config $((10 + i))
	echo "$took" >>new.ns
done
memory=$(private_memory "${pids[old_node]}")
unwatch
for name in old_node new_node old_admin new_admin; do
	stop "$name" || fail "$name did not stop"
done
as_node=(--no-admin --service-role internal --service-name node --no-status)
starts old_node old_node.ns ': active, sequence' "${as_node[@]}"
starts new_node new_node.ns ': active, sequence' "${as_node[@]}"
starts old_admin old_admin.ns 'admin listens on' --admin --no-status
starts new_admin new_admin.ns 'admin listens on' --admin --no-status

old=$(quantile old.ns 50)
new=$(quantile new.ns 50)
printf '%-44s %10s %10s\n' 'median milliseconds' "$RELEASES" 10
printf '%-44s %10s %10s\n' 'main moved to active' "$old" "$new"
printf '%-44s %10s\n' 'ratio (aim: at most 1.2)' "$(ratio "$old" "$new")"
printf '%-44s %10s %10s\n' 'start of the node to active (aim: 100)' "$(quantile old_node.ns 50)" "$(quantile new_node.ns 50)"
printf '%-44s %10s %10s\n' 'start of the admin to listening (aim: 100)' "$(quantile old_admin.ns 50)" "$(quantile new_admin.ns 50)"
printf '%-44s %10s\n' 'private memory of the node, MB (aim: 12)' "$(megabytes "$memory")"
printf '{"releases":%d,"rounds":%d,"median_ms":%s,"median_ms_of_10":%s,"ratio":%s,"node_start_ms":%s,"admin_start_ms":%s,"node_anonymous_kb":%s}\n' \
	"$RELEASES" "$ROUNDS" "$old" "$new" "$(ratio "$old" "$new")" "$(quantile old_node.ns 50)" "$(quantile old_admin.ns 50)" \
	"${memory:-null}"
