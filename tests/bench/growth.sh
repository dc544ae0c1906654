#!/bin/bash
# What a release costs as one thing grows and all else stays: its size, the roles, the releases before it. See README.md here.
# N=100 nodes of one role, ROUNDS=5 releases for each point; SIZES, ROLES, HISTORY: other points.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/bench/fleet_lib.sh"

N=${N:-100}
ROUNDS=${ROUNDS:-5}
SIZES=${SIZES:-10000 1000000 10000000}
ROLES=${ROLES:-1 10 100}
HISTORY=${HISTORY:-10 100 1000}

need git awk
area
trap 'end_all; finish' EXIT
cd "$AREA"

# generate ROLES BYTES: so many a role.
generate() {
	rm -rf admin
	mkdir -p admin/etc/init
	awk -v roles="$1" -v files=$(($1 + 1)) -v bytes=$(($1 * $2)) -v folder=admin/etc/init \
		-f "$top_srcdir/tests/bench/configuration.awk"
	setup "$(printf '%02d' "$1")-team.xml"
}

released() { [ "$(field admin .published.roles.role-0.sequence || true)" = "$1" ]; }

# releases COUNT: until there are so many.
releases() {
	local i
	for ((i = 2; i <= $1; i++)); do
		./commit $((100000 + i))
		within "$DEADLINE" released "$i" || fail "no release $i"
	done
}

row() { printf '%-28s %9s %9s %9s %14s %12s\n' "$@"; }

# point WORD: with the admin that is set up.
point() {
	"$FLEET" nodes cluster.xml role-0 "$N" admin.pid admin/var/admin/config/.git/refs/heads "$ROUNDS" \
		./commit ./restart >row.json 2>fleet.err || { cat fleet.err; tail -5 admin.log; fail "$1"; }
	row "$1" "$(value row.json first_ms)" "$(value row.json median_ms)" "$(value row.json last_ms)" \
		"$(value row.json admin_cpu_us)" "$(value row.json join_ms)"
	printf '{"point":"%s",%s\n' "$1" "$(cut -c2- row.json)" >>rows.json
	teardown
}

: >rows.json
row "$N nodes, milliseconds" first median last 'admin CPU, us' join
for size in $SIZES; do
	generate 1 "$size"
	point "slice of $size bytes"
done
for roles in $ROLES; do
	generate "$roles" 10000
	point "$roles roles"
done
for count in $HISTORY; do
	generate 1 10000
	releases "$count"
	point "after $count releases"
done
printf '{"growth":[%s]}\n' "$(paste -s -d, rows.json)"
