# For the tests of a node that heals itself: an admin and a node of one role, and another hand. Sourced after lib.sh.
# shellcheck shell=bash

area
cd "$AREA"
port=$(freeport)
source=admin/var/admin/config
current=node/var/node/current

ok() { printf 'ok: %s\n' "$*"; }

node() { start node node --no-admin --service-role internal --service-name node --no-status "$@"; }

halt() { stop "$1" || fail "$1 did not stop cleanly"; }

change() {
	sed "s|<access-token-ttl>[0-9]*<|<access-token-ttl>$1<|" "$source/tokens.xml" >edited
	cat edited >"$source/tokens.xml"
}

commit() { muster --home admin commit -m "$1" --wait >/dev/null || fail "commit: $1"; }

# What a service sees, and what is on the disk for it.
copy() { (cd "$1" && find . -printf '%y %m %p\n' | sort && find . -type f -exec sha256sum {} + | sort); }

remember() {
	copy "$current/" >want.revision
	copy node/run/current/ >want.plain
	release=$(field node .transactionId)
}

is_whole() {
	[ "$(readlink "$current")" = "revisions/$release" ] || return 1
	copy "$current/" 2>/dev/null | cmp -s - want.revision || return 1
	copy node/run/current/ 2>/dev/null | cmp -s - want.plain
}

whole() {
	within "$DEADLINE" is_whole ||
		fail "$1: not restored: $(copy "$current/" | diff - want.revision; copy node/run/current/ | diff - want.plain)"
	field_is node .transactionId "$release" || fail "$1: another release"
}

drift() { field node .drift; }

drifted() { [ "$(drift)" -gt "$1" ]; }

# What the admin was told last.
told_admin() { [ "$(muster --home admin nodes --json | jsonget .0.drift)" = "$(drift)" ]; }

# hand WORDS COMMAND...: another hand does that; it is told as WORDS.
hand() {
	local words=$1 before logged
	shift
	before=$(drift)
	logged=$(wc -l <node.log)
	"$@" || fail "$*"
	within "$DEADLINE" drifted "$before" || fail "$words: not noticed"
	whole "$words"
	tail -n "+$((logged + 1))" node.log | grep -qE "watch .*changed by another hand: .*$words" ||
		fail "$words: not in the log: $(tail -n "+$((logged + 1))" node.log)"
	within "$DEADLINE" told_admin || fail "$words: the admin is not told: $(muster --home admin nodes --json)"
	ok "$words"
}

# The same while the node looks the other way.
paused() {
	local words=$1
	shift
	hand "$words" eval "kill -STOP '${pids[node]}'; $(printf '%q ' "$@"); kill -CONT '${pids[node]}'"
}

# Nothing goes on: what was restored is no drift itself.
still() {
	local now
	now=$(drift)
	sleep 0.6
	[ "$(drift)" = "$now" ]
}

quiet() { within "$DEADLINE" still || fail 'drift without end'; }

setup() {
	mkdir -p admin/etc/init node/etc/init node/etc/activate.d
	cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
	muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
	mkdir -p "$source/files/common/conf"
	echo 'one' >"$source/files/common/conf/service.conf"
	printf '#!/bin/sh\n' >"$source/files/common/run.sh"
	chmod 755 "$source/files/common/run.sh"
	cat >node/etc/activate.d/tell <<-EOT
	#!/bin/sh
	echo "\$MUSTER_SEQUENCE" >>'$AREA/hooks.log'
	EOT
	chmod 755 node/etc/activate.d/tell
	start admin admin --admin --no-status
	wait_admin admin
	commit 'files' 2>/dev/null || muster --home admin commit -m files >/dev/null
	genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >cluster.xml 2>/dev/null
	cp cluster.xml node/etc/init/
	give_secret admin node internal
	node
	wait_state node RUNNING
	change 301
	commit 'a second'
	wait_sequence node "$(field admin .published.roles.internal.sequence)"
	remember
	[ -s "$current/files/common/conf/service.conf" ] || [ -s "$current/files/conf/service.conf" ] ||
		fail "no files: $(copy "$current/")"
	conf=$(cd "$current" && find files -name service.conf)
	exe=$(cd "$current" && find files -name run.sh)
	field_is node .drift 0 || fail "drift without a hand: $(cat node.log)"
}

replica_whole() {
	git -C node/var/node/replica.git fsck --strict --no-dangling >/dev/null 2>&1 &&
		[ "$(git -C node/var/node/replica.git rev-parse refs/heads/internal 2>/dev/null)" = "$release" ]
}

flip() {
	python3 - "$1" <<-'EOT'
	import os, sys
	os.chmod(sys.argv[1], 0o600)
	with open(sys.argv[1], 'r+b') as f:
	    f.seek(os.path.getsize(sys.argv[1]) // 2)
	    byte = f.read(1)
	    f.seek(-1, 1)
	    f.write(bytes([byte[0] ^ 0x10]))
	EOT
}

packs() { find node/var/node/replica.git/objects/pack -name "*.$1" | head -n 1; }

hooks() { wc -l <hooks.log; }
