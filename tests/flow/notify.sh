#!/bin/bash
# What a daemon tells its service manager: ready only when it serves, or when there is nothing to serve for now; its status;
# reloading; stopping; that it is alive. And that a name lookup that hangs does not keep it from stopping.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
source=admin/var/admin/config

# begin NAME OPTION...: as a service; what it tells is in NAME.told.
begin() {
	local name=$1
	shift
	: >"$name.told"
	"$MUSTER_BIN/tests/flow/notified" musterd --home "$name" --no-status "$@" >"$name.told" 2>>"$name.log" </dev/null &
	pids[$name]=$!
}

node() { begin node --no-admin --service-role internal --service-name node; }

halt() { stop "$1" || fail "$1 did not stop cleanly"; }

says() { grep -qE "^[0-9]+ $2" "$1.told"; }

tells() { within "$DEADLINE" says "$1" "$2" || fail "$1 does not tell $2: $(cat "$1.told")"; }

count() { grep -cE "^[0-9]+ $2\$" "$1.told" || true; }

is_count() { [ "$(count "$1" "$2")" = "$3" ]; }

tells_times() { within "$DEADLINE" is_count "$@" || fail "$1 tells $2 $(count "$1" "$2") times, not $3"; }

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml 2>/dev/null
give_secret admin node internal

# --- an admin, once it listens ---

begin admin --admin
tells admin 'READY=1$'
[ -n "$(field admin .cluster)" ] || fail 'ready, and does not answer'
tells admin 'STATUS=admin: [0-9a-f]{12} is published for 2 roles$'
kill -HUP "${pids[admin]}"
tells admin 'RELOADING=1$'
tells admin 'MONOTONIC_USEC=[0-9]+$'
tells_times admin READY=1 2
halt admin
tells admin 'STOPPING=1$'
# one that cannot start is never ready
begin admin --admin --log-level error --force-reload
tells_times admin READY=1 1
halt admin
echo '<oops' >>admin/etc/init/tokens.xml
begin admin --admin --force-reload
code=0
within "$DEADLINE" gone "${pids[admin]}" || fail 'it started'
stop admin || code=$?
[ "$code" = 1 ] || fail "exit code $code"
is_count admin READY=1 0 || fail 'ready, and did not start'

# --- a node with nothing yet: it asked, and waits ---

node
tells node 'STATUS=node of role internal: IDLE, no release yet$'
tells_times node READY=1 1
halt node

# --- the first release: not ready before it serves; one that cannot be served is no reason to wait on ---

cp "$top_srcdir"/tests/fixtures/demo/tokens.xml admin/etc/init/
begin admin --admin
tells_times admin READY=1 1
mkdir -p bad/etc/init bad/etc/activate.d node/etc/activate.d
cp node/etc/init/cluster.xml bad/etc/init/
cp node/etc/secret bad/etc/
printf '#!/bin/bash\nexit 3\n' >bad/etc/activate.d/10-fail
chmod 755 bad/etc/activate.d/10-fail
begin bad --no-admin --service-role internal --service-name bad
tells bad 'STATUS=node of role internal: ERROR, no release yet; newest release rejected: 10-fail: exit status 3$'
tells_times bad READY=1 1
kill -HUP "${pids[bad]}"
tells_times bad READY=1 2
field_is bad .rejected.reason '10-fail: exit status 3' || fail "the reason is $(field bad .rejected.reason)"
halt bad
cat >node/etc/activate.d/10-wait <<EOT
#!/bin/bash
touch '$AREA/runs'
until [ -e '$AREA/go' ]; do sleep 0.05; done
EOT
chmod 755 node/etc/activate.d/10-wait
node
within "$DEADLINE" test -e runs || fail 'the hook does not run'
tells node 'STATUS=node of role internal: BOOTING, no release yet$'
is_count node READY=1 0 || fail 'ready before it serves'
touch go
tells_times node READY=1 1
tells node 'STATUS=node of role internal: RUNNING, sequence 1 \([0-9a-f]{12}\)$'
[ "$(grep -nE ' (READY=1|STATUS=.* RUNNING)' node.told | head -n 1 | cut -d ' ' -f 2)" != READY=1 ] ||
	fail "ready before it tells that it runs: $(cat node.told)"
# A reload is over when the node says so.
kill -HUP "${pids[node]}"
tells node 'RELOADING=1$'
tells_times node READY=1 2
# What is burnt stays so, and is told on.
printf '#!/bin/bash\n! grep -q ">501<" "$MUSTER_CURRENT/config.xml"\n' >node/etc/activate.d/20-burn
chmod 755 node/etc/activate.d/20-burn
sed -i 's|<access-token-ttl>[0-9]*<|<access-token-ttl>501<|' "$source/tokens.xml"
muster --home admin commit -m 'burns' >/dev/null
tells node 'STATUS=node of role internal: RUNNING, sequence 1 .*; newest release rejected: 20-burn: exit status 1$'
kill -HUP "${pids[node]}"
tells_times node READY=1 3
field_is node .rejected.reason '20-burn: exit status 1' || fail 'a reload forgets what is burnt'
# every change of the state, a refusal too, in one line
sed -i 's|<access-token-ttl>[0-9]*<|<access-token-ttl>#{NOWHERE}<|' "$source/tokens.xml"
muster --home admin commit -m 'a parameter that no one has' >/dev/null
tells node 'STATUS=node of role internal: RUNNING, sequence 1 .*; newest release rejected: .*NOWHERE'
halt admin
tells node 'STATUS=node of role internal: WAITING, sequence 1 '
is_count node READY=1 3 || fail 'ready is told once a start, once a reload'
halt node
tells node 'STOPPING=1$'
# with its local copy, whether the admin is there or not
node
tells node 'READY=1$'
says node 'STATUS=.* WAITING, sequence 1' || fail 'ready, and does not serve'
halt node

# --- a role that is not configured ---

sed -i 's|#{NOWHERE}|500|' "$source/tokens.xml"
mkdir -p none/etc/init
cp node/etc/init/cluster.xml none/etc/init/
begin admin --admin
tells_times admin READY=1 1
begin none --no-admin --service-role nothing --service-name none
tells_times none READY=1 1
tells none 'STATUS=node of role nothing: IDLE, no release yet$'
within "$DEADLINE" field_is none .admin.connected true || fail 'not connected'
halt none
halt admin

# --- alive: at half of what the manager waits ---

export WATCHDOG_USEC=1000000
node
watched() { [ "$(count node WATCHDOG=1)" -ge 4 ]; }
within "$DEADLINE" watched || fail 'the watchdog is not told'
halt node
awk '/ WATCHDOG=1$/ { if (last && $1 - last > 900000000) exit 1; last = $1 }' node.told || fail "late: $(cat node.told)"
export WATCHDOG_PID=1
node
tells_times node READY=1 1
halt node
is_count node WATCHDOG=1 0 || fail 'the watchdog of another process'
unset WATCHDOG_USEC WATCHDOG_PID

# --- nobody listens: that is no error ---

for socket in '' @ relative /nowhere/socket "/$(printf '%0200d' 0)"; do
	NOTIFY_SOCKET=$socket start node node --no-admin --service-role internal --service-name node --no-status
	wait_state node WAITING
	halt node
done

# --- a lookup that hangs ---

grep -q __asan_init "$MUSTER_BIN/musterd" && exit 0 # a sanitizer must be the first library
genclust -c hang.invalid -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml 2>/dev/null
begun=$SECONDS
LD_PRELOAD=$MUSTER_BIN/tests/flow/hang.so start node node --no-admin --service-role internal --service-name node --no-status
wait_state node WAITING
field_is node .admin.host hang.invalid || fail 'not the address that hangs'
halt node
[ $((SECONDS - begun)) -lt 8 ] || fail 'it waited for the lookup'
# whatever holds the lock is gone, and the next start is sound
cp none/etc/init/cluster.xml node/etc/init/
node
tells_times node READY=1 1
halt node
# as well when the start fails after it began
genclust -c hang.invalid -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml 2>/dev/null
code=0
LD_PRELOAD=$MUSTER_BIN/tests/flow/hang.so timeout 20 musterd --home node --no-admin --service-role internal \
	--service-name node --status-listen 192.0.2.1:1 >out 2>&1 || code=$?
[ "$code" = 1 ] || fail "a start that fails while a lookup hangs: exit $code: $(cat out)"
