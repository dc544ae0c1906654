# What fleet.sh and growth.sh share: an admin that the simulated nodes of `fleet` dial, and its commits and restarts as programs.
# shellcheck shell=bash
. "${top_srcdir:-$(dirname "${BASH_SOURCE[0]}")/../..}/tests/flow/lib.sh"

FLEET=$MUSTER_BIN/tests/bench/fleet

need git awk
export GIT_AUTHOR_NAME=bench GIT_AUTHOR_EMAIL=bench@example.com \
	GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench@example.com

others=()
end_all() {
	local code=$? pid
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
			while kill -0 "\$(cat admin.pid)" 2>/dev/null; do sleep 0.01; done
		fi
		musterd --home admin --admin --no-status </dev/null >>admin.log 2>&1 &
		echo \$! >admin.pid
		for ((i = 0; i < 3000; i++)); do
			[ "\$(grep -c 'admin listens on' admin.log 2>/dev/null)" = "\${before:-0}" ] || break
			sleep 0.01
		done
		[ -z "\$begun" ] || echo "down for \$(((\$(date +%s%N) - begun) / 1000000)) ms" >>restarts.log
		disown
	END
	cat >commit <<-END
		#!/bin/bash
		cd "$AREA/admin/var/admin/config"
		sed -i "0,/<access-token-ttl>[0-9]*</s//<access-token-ttl>\$((1000 + \$1))</" "$1"
		git commit -q -a -m "lifetime \$1"
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

