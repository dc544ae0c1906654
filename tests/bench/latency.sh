#!/bin/bash
# How long a small commit takes from `main` moving on the admin to the release being active on a node, beside the same change
# taken by git push, git daemon and a loop of git fetch, checkout and symlink swap, all on this machine. See README.md here.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

ROUNDS=${ROUNDS:-100}
WARM=5 # rounds before those that count

need git awk
area
. "$top_srcdir/tests/bench/rounds.sh"
cd "$AREA"

# rounds FILE COMMAND...: COMMAND gets the number of the round as its last argument.
rounds() {
	local file=$1 i
	shift
	for ((i = 1; i <= WARM + ROUNDS; i++)); do
		round 0 1 "$@" "$i"
		[ "$i" -gt "$WARM" ] || continue
		echo "$took" >>"$file"
		[ -z "$hook" ] || echo "$hooked" >>"$file.hooked"
	done
}

# --- git alone ---

push_change() {
	change author "$1"
	git -C author push -q origin main
}

fetch_for_ever() {
	local now last=
	# it ends with the bench, however that ends
	while kill -0 "$$" 2>/dev/null && [ -d replica ]; do
		git -C replica fetch -q origin main || { sleep 0.1; continue; }
		now=$(git -C replica rev-parse FETCH_HEAD)
		[ "$now" != "$last" ] || continue
		last=$now
		mkdir -p "served/$now"
		git -C replica --work-tree="../served/$now" checkout -q -f "$now" -- .
		ln -s "$now" served/next
		mv -T served/next served/current
	done
}

setup_git() {
	local port daemon=
	port=$(freeport)
	daemon=$(git --exec-path)/git-daemon
	[ -x "$daemon" ] || skip 'git daemon is not installed'
	git init -q -b main author
	cp "$top_srcdir"/tests/fixtures/demo/*.xml author/
	git -C author add -A
	git -C author commit -q -m first
	git clone -q --bare author bare.git
	git -C author remote add origin "$AREA/bare.git"
	# The program itself, and not `git daemon`: the number is that of the one that must end.
	"$daemon" --listen=127.0.0.1 --port="$port" --base-path="$AREA" --export-all --reuseaddr \
		</dev/null >git-daemon.log 2>&1 &
	others+=($!)
	within "$DEADLINE" git ls-remote -q "git://127.0.0.1:$port/bare.git" main >/dev/null 2>&1 ||
		fail 'git daemon does not answer'
	git clone -q --no-checkout "git://127.0.0.1:$port/bare.git" replica
	mkdir served
	fetch_for_ever >fetch.log 2>&1 &
	others+=($!)
	within "$DEADLINE" test -L served/current || fail 'the loop of git fetch does not begin'
}

setup_cluster admin node
# the shell has to start as well, before the file is there
mkdir -p node/etc/activate.d marks
printf '#!/bin/sh\n: >%s/marks/hook\n' "$AREA" >node/etc/activate.d/10-mark
chmod 755 node/etc/activate.d/10-mark
hook=2
watch admin/var/admin/config/.git/refs/heads main node/var/node current marks hook
rounds muster.ns change admin/var/admin/config
memory=$(private_memory "${pids[node]}")
unwatch
hook=
stop node
stop admin

setup_git
watch author/.git/refs/heads main served current
rounds git.ns push_change
unwatch

ours=$(quantile muster.ns 50)
theirs=$(quantile git.ns 50)
ratio=$(ratio "$ours" "$theirs")
hooked=$(quantile muster.ns.hooked 50)
printf '%-34s %10s %10s\n' "$ROUNDS small commits, milliseconds" median '95%'
printf '%-34s %10s %10s\n' 'muster: main moved to active' "$ours" "$(quantile muster.ns 95)"
printf '%-34s %10s %10s\n' 'git push, daemon, fetch loop' "$theirs" "$(quantile git.ns 95)"
printf '%-34s %10s\n' 'ratio (aim: at most 0.2)' "$ratio"
printf '%-34s %10s %10s\n' 'swap to activate.d (aim: under 5)' "$hooked" "$(quantile muster.ns.hooked 95)"
printf '%-34s %10s\n' 'private memory of the node, MB' "$(megabytes "$memory")"
printf '{"rounds":%d,"muster":{"median_ms":%s,"p95_ms":%s},"git":{"median_ms":%s,"p95_ms":%s},"ratio":%s,"swap_to_hook_ms":%s,"node_anonymous_kb":%s}\n' \
	"$ROUNDS" "$ours" "$(quantile muster.ns 95)" "$theirs" "$(quantile git.ns 95)" "$ratio" "$hooked" "${memory:-null}"
