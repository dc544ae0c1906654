#!/bin/bash
# Peers that disturb in every way at once, fewer of them than tests/bench/siege.sh has: the admin's memory stays bounded, and its nodes
# get the next releases.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
config=admin/var/admin/config
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.com GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.com
GROWTH_MAX=64 # MB: 50 deaf nodes with 256 kB each, half-open handshakes with 1 kB, packs, and what malloc keeps

# release BYTES: commits that many which do not compress; the number of its release is RELEASE
RELEASE=1
release() {
	mkdir -p "$config/files/internal"
	head -c "$1" /dev/urandom >"$config/files/internal/blob"
	git -C "$config" add files
	git -C "$config" commit -qm "release of $1 bytes"
	RELEASE=$((RELEASE + 1))
	within "$DEADLINE" field_is admin .published.roles.internal.sequence "$RELEASE" || fail 'it was not published'
}

# memory: kB of the admin's anonymous memory; nothing where it may not be read
memory() { awk '$1 == "Anonymous:" { print $2 }' "/proc/${pids[admin]}/smaps_rollup" 2>/dev/null || true; }

mkdir -p admin/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >init.log
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >cluster.xml)
start admin admin --admin --log-level info
wait_admin admin
for node in node1 node2 node3; do
	mkdir -p "$node/etc/init"
	cp cluster.xml "$node/etc/init/"
	give_secret admin "$node" internal
	start "$node" "$node" --no-admin --service-role internal --service-name "$node" --no-status
done
# 4 MB for each of those that ask for it and read nothing: more than the kernel holds for them
release 4000000
for node in node1 node2 node3; do wait_sequence "$node" "$RELEASE"; done
before=$(memory)

SIEGE_KEYSTORE=$(sed -n 's|.*<keystore>\(.*\)</keystore>.*|\1|p' cluster.xml)
export SIEGE_KEYSTORE
tip=$(git -C admin/var/admin/release.git rev-parse refs/heads/internal)
# 20 slow, 100 silent, 1500 half-open, 50 of garbage a second, 100 deaf, and one that asks 50 times for 4 MB
coproc SIEGE { exec "$MUSTER_BIN/tests/bench/siege" "$port" internal "$tip" 300 20 100 1500 50 100 50 2>"$AREA/siege.err"; }
pids[siege]=$SIEGE_PID
read -r -t "$DEADLINE" ready <&"${SIEGE[0]}" || fail "the siege does not begin: $(cat siege.err)"
[ "$ready" = ready ] || fail 'the siege does not begin'

for _ in 1 2 3; do
	release 2000
	for node in node1 node2 node3; do wait_sequence "$node" "$RELEASE"; done
	now=$(memory)
	echo "anonymous memory: ${before:-?} kB before, ${now:-?} kB now"
	if [ -n "$before" ] && [ -n "$now" ] && ! grep -q __asan_init "$MUSTER_BIN/musterd"; then
		[ $(((now - before) / 1024)) -lt "$GROWTH_MAX" ] || fail "the admin grew by $(((now - before) / 1024)) MB"
	fi
done
for node in node1 node2 node3; do
	field_is "$node" .admin.connected true || fail "$node is no longer connected"
	! grep -q 'not connected\|lost' "$node.log" || fail "$node lost its admin"
done
exec {SIEGE[1]}>&-
read -r -t "$DEADLINE" done_all <&"${SIEGE[0]}" || fail "the siege ended early: $(cat siege.err)"
unset 'pids[siege]'
echo "$done_all"
case $done_all in
*'"same":0'* | *'"garbage":0'*) fail "there was no siege: $done_all" ;;
esac
grep -q 'messages in half a second' admin.log || fail 'no one of those that ask on and on was closed'
stop admin || fail 'the admin did not stop well'
