#!/bin/bash
# How long a release takes to reach NODES nodes, at peace and under siege, and what the admin's memory is then: see README.md here.
# NODES=50 ROUNDS=20 SLOW=200 SILENT=1000 HALF=10000 GARBAGE=200 DEAF=1000 SAME=1000
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

NODES=${NODES:-50}
ROUNDS=${ROUNDS:-20}
SLOW=${SLOW:-200} SILENT=${SILENT:-1000} HALF=${HALF:-10000} GARBAGE=${GARBAGE:-200} DEAF=${DEAF:-1000} SAME=${SAME:-1000}

need git awk
export GIT_AUTHOR_NAME=bench GIT_AUTHOR_EMAIL=bench@example.com \
	GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench@example.com
area
cd "$AREA"

# value FILE KEY: of a flat JSON object, a number.
value() { sed -n "s/.*\"$2\":\([0-9.]*\).*/\1/p" "$1"; }

# memory: bytes of the admin's anonymous memory; nothing where it may not be read
memory() { awk '$1 == "Anonymous:" { print $2 * 1024 }' "/proc/${pids[admin]}/smaps_rollup" 2>/dev/null || true; }

# Under siege too: one admin for both, so that both measure the same process and the same store.
port=$(freeport)
mkdir -p admin/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >cluster.xml 2>/dev/null)
cat >commit <<-END
	#!/bin/bash
	cd "$AREA/admin/var/admin/config"
	number=\$((\$(cat "$AREA/number" 2>/dev/null || echo 1000) + 1))
	echo \$number >"$AREA/number"
	sed -i "s|<access-token-ttl>[0-9]*<|<access-token-ttl>\$number<|" tokens.xml
	git commit -q -a -m "lifetime \$number"
END
chmod +x commit
start admin admin --admin --no-status
wait_admin admin
echo "${pids[admin]}" >admin.pid

# fleet OUT: nodes of its own, that come, take ROUNDS releases and go
fleet() {
	"$MUSTER_BIN/tests/bench/fleet" nodes cluster.xml internal "$NODES" admin.pid admin/var/admin/config/.git/refs/heads \
		"$ROUNDS" ./commit /bin/true >"$1" 2>fleet.err || { cat fleet.err; tail -5 admin.log; fail "the fleet of $NODES nodes"; }
}

fleet peace.json
before=$(memory)
SIEGE_KEYSTORE=$(sed -n 's|.*<keystore>\(.*\)</keystore>.*|\1|p' cluster.xml)
export SIEGE_KEYSTORE
tip=$(git -C admin/var/admin/release.git rev-parse refs/heads/internal)
coproc SIEGE { exec "$MUSTER_BIN/tests/bench/siege" "$port" internal "$tip" 600 "$SLOW" "$SILENT" "$HALF" "$GARBAGE" "$DEAF" "$SAME" 2>"$AREA/siege.err"; }
pids[siege]=$SIEGE_PID
read -r -t 120 ready <&"${SIEGE[0]}" || fail "the siege does not begin: $(cat siege.err)"
[ "$ready" = ready ] || fail 'the siege does not begin'
fleet siege.json &
besieged=$!
most=0
while alive "$besieged"; do
	now=$(memory)
	[ "${now:-0}" -le "$most" ] || most=$now
	sleep 0.2
done
wait "$besieged" || fail 'the fleet under siege'
exec {SIEGE[1]}>&-
read -r -t 60 done_all <&"${SIEGE[0]}" || done_all='{}'
within 30 gone "${pids[siege]}" || fail 'the siege does not end'
unset 'pids[siege]'
stop admin || fail 'the admin did not stop well'

printf '%-14s %10s %10s %10s %12s\n' '' first median last 'join (ms)'
for when in peace siege; do
	printf '%-14s %10s %10s %10s %12s\n' "$when" "$(value $when.json first_ms)" "$(value $when.json median_ms)" \
		"$(value $when.json last_ms)" "$(value $when.json join_ms)"
done
ratio=$(awk -v a="$(value siege.json last_ms)" -v b="$(value peace.json last_ms)" 'BEGIN { printf "%.2f", a / b }')
grown=
[ -z "$before" ] || grown=$(((most - before) / 1048576))
echo "under siege to at peace, the last node: $ratio; aim: 1.5 at most"
echo "the admin's memory grew by ${grown:-(unknown)} MB; what was done: $done_all"
printf '{"nodes":%s,"rounds":%s,"peace_ms":%s,"siege_ms":%s,"ratio":%s,"grown_mb":%s,"siege":%s}\n' "$NODES" "$ROUNDS" \
	"$(value peace.json last_ms)" "$(value siege.json last_ms)" "$ratio" "${grown:-null}" "$done_all"
