#!/bin/bash
# How long a publication takes, step by step, of generated configurations of 1 MB and 10 MB, and that one which changes nothing
# in any slice writes nothing. See README.md here.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

ROUNDS=${ROUNDS:-15} # publications of each size; a third as many that change no slice
STEPS='load check slice seal sign publish'

need git awk
export GIT_AUTHOR_NAME=bench GIT_AUTHOR_EMAIL=bench@example.com \
	GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench@example.com

# published HOME: the newest commit is.
published() { field_is "$1" .published.source "$(git -C "$1/var/admin/config" rev-parse HEAD)"; }

# commit_and_publish HOME MESSAGE
commit_and_publish() {
	git -C "$1/var/admin/config" commit -q -a -m "$2"
	within "$DEADLINE" published "$1" || fail "not published: $2 ($(tail -n 3 "$1.log"))"
}

# times LOG: of the last publication in it, a line each: step and milliseconds, their sum, and that of processor time.
times() {
	awk -v steps="$STEPS" '
		/ debug (load|check|slice|seal|sign|publish) .*: took [0-9.]+ ms, [0-9.]+ ms of processor time$/ {
			took[$3] = $6
			busy[$3] = $8
		}
		END {
			n = split(steps, names, " ")
			for (i = 1; i <= n; i++) {
				print names[i], took[names[i]]
				sum += took[names[i]]
				all += busy[names[i]]
			}
			print "sum", sum
			print "busy", all
		}' "$1"
}

# everything HOME: each file of the releases with its time and content.
everything() {
	find "$1/var/admin/release.git" -type f -printf '%p %T@ %C@ ' -exec sha256sum {} \; | sort
	find "$1/var/admin/release.git" -type d -printf '%p %T@ %C@\n' | sort
}

# measure NAME FILES BYTES SECRETS: the medians go to NAME.STEP.
measure() {
	local name=$1 file i step took
	mkdir -p "$name/etc/init"
	awk -v files="$2" -v bytes="$3" -v secrets="$4" -v folder="$name/etc/init" -f "$top_srcdir/tests/bench/configuration.awk"
	muster --home "$name" init --host 127.0.0.1 --port "$(freeport)" >/dev/null
	start "$name" "$name" --admin --no-status --log-level debug
	wait_admin "$name"
	file=$name/var/admin/config/01-team.xml
	# before the others: after some of them the daemon packs the repository anew, when it has time
	everything "$name" >before
	for ((i = 1; i <= ROUNDS / 3; i++)); do
		sed -i '2i\  <!-- said to those who read this file -->' "$file"
		commit_and_publish "$name" "comment $i"
		times "$name.log" | sed -n 's/^sum //p' >>"$name.unchanged"
	done
	everything "$name" >after
	cmp -s before after || fail "$name: what changes no slice wrote: $(diff before after)"
	for ((i = 1; i <= ROUNDS; i++)); do
		sed -i "0,/<access-token-ttl>[0-9]*</s//<access-token-ttl>$((1000 + i))</" "$file"
		commit_and_publish "$name" "lifetime $i"
		while read -r step took; do
			echo "$took" >>"$name.$step"
		done < <(times "$name.log")
	done
	stop "$name"
}

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.1f", v[int((NR + 1) / 2)] }'; }

# row WORD FILE: of both sizes.
row() { printf '%-34s %10s %10s\n' "$1" "$(median "small.$2")" "$(median "large.$2")"; }

area
cd "$AREA"
measure small 10 1000000 200
measure large 100 10000000 2000

ratio=$(awk -v a="$(median large.sum)" -v b="$(median small.sum)" 'BEGIN { printf "%.1f", a / b }')
printf '%-34s %10s %10s\n' 'milliseconds, median' '1 MB' '10 MB'
for step in $STEPS; do
	row "$step" "$step"
done
row 'a publication (aim: 150, 1500)' sum
row 'of it processor time' busy
row 'one that changes no slice' unchanged
printf '%-34s %21s\n' '10 MB to 1 MB (aim: under 12)' "$ratio"
printf '{"rounds":%d,"small_ms":%s,"large_ms":%s,"ratio":%s}\n' "$ROUNDS" "$(median small.sum)" "$(median large.sum)" "$ratio"
