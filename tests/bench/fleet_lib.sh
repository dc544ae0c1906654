# What fleet.sh, growth.sh and siege.sh share: an admin that the simulated nodes of `fleet` dial, its commits and restarts as programs, and what
# is said of the machine.
# shellcheck shell=bash
# shellcheck disable=SC2034 # it is read before what uses it
. "${top_srcdir:-$(dirname "${BASH_SOURCE[0]}")/../..}/tests/flow/lib.sh"

FLEET=$MUSTER_BIN/tests/bench/fleet

need git awk
export GIT_AUTHOR_NAME=bench GIT_AUTHOR_EMAIL=bench@example.com \
	GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench@example.com

others=()
end_all() {
	local code=$? pid
	set +e # or what was called for ends here, before the daemons do
	[ ! -s "$AREA/admin.pid" ] || others+=("$(cat "$AREA/admin.pid")")
	for pid in "${others[@]}"; do
		kill "$pid" 2>/dev/null || continue
		within 20 gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true # it was told to end
	done
	others=()
	return "$code"
}

# setup FILE: an admin of what is in admin/etc/init; each commit changes the first access-token-ttl of FILE. Nothing is left of the one before.
setup() {
	port=$(freeport)
	rm -f admin.log
	muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
	(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >cluster.xml 2>/dev/null)
	cat >restart <<-END
		#!/bin/bash
		# The admin stops, and another begins; done when it listens.
		cd "$AREA"
		begun=
		before=\$(grep -c 'admin listens on' admin.log 2>/dev/null)
		if [ -s admin.pid ]; then
			muster --home admin status --json >before.json
			begun=\$(date +%s%N)
			kill "\$(cat admin.pid)"
			# one that ended and that nobody has waited for yet is gone as well
			while grep -qs '^State:.[^ZX]' "/proc/\$(cat admin.pid)/status"; do sleep 0.01; done
			ended=\$(date +%s%N)
		fi
		musterd --home admin --admin --no-status </dev/null >>admin.log 2>&1 &
		echo \$! >admin.pid
		for ((i = 0; i < 3000; i++)); do
			[ "\$(grep -c 'admin listens on' admin.log 2>/dev/null)" = "\${before:-0}" ] || break
			sleep 0.01
		done
		[ -z "\$begun" ] || printf '{"stop_ms":%d,"start_ms":%d}\n' \$(((ended - begun) / 1000000)) \
			\$(((\$(date +%s%N) - ended) / 1000000)) >restart.json
		disown
	END
	cat >commit <<-END
		#!/bin/bash
		cd "$AREA/admin/var/admin/config"
		sed -i "0,/<access-token-ttl>[0-9]*</s//<access-token-ttl>\$((1000 + \$1))</" "$1"
		# git's own syncs are not what is measured, nor what it does beside from time to time
		git -c core.fsync=none -c gc.auto=0 -c maintenance.auto=false commit -q -a -m "lifetime \$1"
	END
	chmod +x restart commit
	rm -f admin.pid
	./restart
	wait_admin admin
}

teardown() {
	local pid
	pid=$(cat admin.pid)
	kill "$pid"
	within "$DEADLINE" gone "$pid" || fail 'the admin does not stop'
	rm -f admin.pid
}

# value FILE KEY: of a flat JSON object, a number.
value() { sed -n "s/.*[{,]\"$2\":\([0-9.]*\).*/\1/p" "$1"; }


# Of a JSON object, what tells the machine and the time.
machine() {
	printf '"date":"%s","processors":%s,"processor":"%s","memory_kb":%s,"kernel":"%s","version":"%s"' "$(date -u +%FT%TZ)" \
		"$(getconf _NPROCESSORS_ONLN)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1 | tr -d '"\\')" \
		"$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)" "$(uname -r)" "$(muster --version | head -n 1)"
}

# keep NAME: what there is of table, NAME.json and NAME.svg goes to the folder RESULTS, if one is wanted.
keep() {
	local name=$1
	[ -n "$results" ] || return 0
	{
		printf '%s\n' "$(date -u +%FT%TZ), $(getconf _NPROCESSORS_ONLN) of $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo |
			head -n 1), Linux $(uname -r), $(muster --version | head -n 1)"
		cat table
	} >"$results/$name.txt"
	cp "$name.json" "$results/"
	[ ! -f "$name.svg" ] || cp "$name.svg" "$results/"
}

# Made before anything runs, and found from any folder.
results=${RESULTS:-}
if [ -n "$results" ]; then
	mkdir -p "$results"
	results=$(cd "$results" && pwd)
fi
