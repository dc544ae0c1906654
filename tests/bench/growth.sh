#!/bin/bash
# What a release costs as one thing grows and all else stays: its size, the roles, the releases before it; and how fast a chain of releases is
# verified. See README.md here.
# N=100 nodes of one role, ROUNDS=5 releases for each point; SIZES, ROLES, HISTORY, CHAIN: other points; RESULTS=FOLDER keeps the table and JSON.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/bench/fleet_lib.sh"

N=${N:-100}
ROUNDS=${ROUNDS:-5}
SIZES=${SIZES-10000 1000000 10000000}
ROLES=${ROLES-1 10 100}
HISTORY=${HISTORY-10 1000 10000} # rising
CHAIN=${CHAIN:-10000}

need git awk
area
trap 'end_all; finish' EXIT
cd "$AREA"

# generate ROLES BYTES: an admin with so many a role.
generate() {
	rm -rf admin
	mkdir -p admin/etc/init
	awk -v roles="$1" -v files=$(($1 + 1)) -v bytes=$(($1 * $2)) -v folder=admin/etc/init \
		-f "$top_srcdir/tests/bench/configuration.awk"
	setup "$(printf '%02d' "$1")-team.xml"
}

# releases FROM UPTO: of role-0, one after the other, each of a commit that changes what ./commit changes. Git starts once for all of them:
# thousands of times it would take longer than the releases.
releases() {
	local LC_ALL=C i watcher file text before after config=admin/var/admin/config
	mkfifo moves
	"$MUSTER_BIN/tests/bench/moved" admin/var/admin/release.git/refs/heads role-0 >moves &
	watcher=$!
	others+=("$watcher")
	exec 9<moves
	rm moves
	read -r -t "$DEADLINE" -u 9 _ || fail 'the releases are not watched'
	file=01-team.xml
	text=$(git -C "$config" show "main:$file")
	before=${text%%<access-token-ttl>*}'<access-token-ttl>'
	after=${text#"$before"}
	after='<'${after#*<}
	exec 8> >(exec git -C "$config" -c core.fsync=none fast-import --quiet)
	others+=("$!")
	printf 'reset refs/heads/main\nfrom refs/heads/main^0\n\n' >&8
	for ((i = $1; i <= $2; i++)); do
		text=$before$((100000 + i))$after
		printf 'commit refs/heads/main\ncommitter bench <bench@example.com> %d +0000\ndata 9\nlifetime\n\n' "$EPOCHSECONDS" >&8
		printf 'M 100644 inline %s\ndata %d\n%s\ncheckpoint\n\n' "$file" "${#text}" "$text" >&8
		read -r -t "$DEADLINE" -u 9 _ || fail "no release $i"
	done
	exec 8>&-
	wait "${others[-1]}" || fail 'fast-import'
	git -C "$config" reset -q --hard # the work tree as well
	kill "$watcher"
	wait "$watcher" 2>/dev/null || true # it was told to end
	exec 9<&-
}

row() { printf '%-28s %9s %9s %9s %9s %14s %12s\n' "$@" | tee -a table; }

# point WORD: with the admin that runs.
point() {
	"$FLEET" nodes cluster.xml role-0 "$N" admin.pid admin/var/admin/config/.git/refs/heads "$ROUNDS" \
		./commit ./restart >row.json 2>fleet.err || { cat fleet.err; tail -5 admin.log; fail "$1"; }
	row "$1" "$(value row.json first_ms)" "$(value row.json median_ms)" "$(value row.json last_ms)" \
		"$(value row.json here_last_ms)" "$(value row.json admin_cpu_us)" "$(value row.json join_ms)"
	printf '{"point":"%s",%s\n' "$1" "$(cut -c2- row.json)" >>rows.json
}

: >rows.json
row "$N nodes, milliseconds" first median last 'last here' 'admin CPU, us' join
for size in $SIZES; do
	generate 1 "$size"
	point "slice of $size bytes"
	teardown
done
for roles in $ROLES; do
	generate "$roles" 10000
	point "$roles roles"
	teardown
done
if [ -n "$HISTORY" ]; then
	generate 1 10000
	made=1 # and the rounds of the points before
	for count in $HISTORY; do
		[ "$count" -le "$made" ] || releases "$((made + 1))" "$count"
		point "after $count releases"
		made=$((count + ROUNDS))
	done
	teardown
fi
"$MUSTER_BIN/tests/bench/chain" "$AREA/chain.git" "$CHAIN" >chain.json || fail 'the chain'
printf '%-52s %9s\n' "a chain of $CHAIN releases, verified in a second" "$(value chain.json chain_per_s)" \
	'the same with the files of each' "$(value chain.json history_per_s)" | tee -a table
printf '{%s,"growth":[%s],"chain":%s}\n' "$(machine)" "$(paste -s -d, rows.json)" "$(cat chain.json)" >growth.json
cat growth.json
keep growth
