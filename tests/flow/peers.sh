#!/bin/bash
# Who must not get in, and must not disturb, at a real admin: each is refused and told in one line, the admin stays up, and a
# good node gets the next release as if nothing were.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)

# keystore FILE: what a cluster file holds
keystore() { sed -n 's|.*<keystore>\(.*\)</keystore>.*|\1|p' "$1"; }

# rogue CLUSTERFILE WHAT [ARGUMENT...]
rogue() {
	local file=$1 what=$2
	shift 2
	ROGUE_KEYSTORE=$(keystore "$file") "$MUSTER_BIN/tests/flow/rogue" "$what" "$port" "$@"
}

# told WORDS: the admin's log says so in one line more than before
told() {
	local lines
	lines=$(grep -cF -- "$1" admin.log || true)
	[ "$lines" -gt "${seen[$1]:-0}" ] || return 1
	seen[$1]=$lines
}
declare -A seen=()

# must WORDS CLUSTERFILE WHAT [ARGUMENT...]: the rogue sees what it should, and the admin says WORDS
must() {
	local words=$1
	shift
	rogue "$@" || fail "rogue $*"
	within "$DEADLINE" told "$words" || fail "the admin does not say \"$words\" of: rogue $*"
	alive "${pids[admin]}" || fail "the admin is gone after: rogue $*"
}

cluster() { (umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key "$@"); }

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >init.log
cluster >old.xml
# that epoch is over: the same root key under another number is another
sed -i 's/^root 1 /root 2 /' admin/var/admin/cluster.key
cluster >cluster.xml
cluster -r internal >internal.xml
cp cluster.xml node/etc/init/
give_secret admin node default
start admin admin --admin --log-level info
wait_admin admin
start node node --no-admin --service-role default --service-name node1 --no-status
wait_state node RUNNING

tip() { git -C admin/var/admin/release.git rev-parse "refs/heads/$1"; }

# --- who must not get in ---

must 'handshake refused' cluster.xml wrong-key
must 'handshake refused' cluster.xml wrong-admin
must 'epoch 1 is not known' old.xml epoch
must 'epoch 77 is not known' cluster.xml epoch 77
must 'version 2' cluster.xml version
must 'does not let a node join in that role' internal.xml refused rogue default role
must 'is no name for a node' cluster.xml refused ../rogue default name
must 'is no name for a role' cluster.xml refused rogue ../default name
must 'the name node1 belongs to another node' cluster.xml refused node1 default name
[ "$(muster --home admin nodes --json | grep -o '"name"' | wc -l)" = 1 ] ||
	fail 'someone is among the nodes who was refused'

# --- who must not have what is another role's ---

must 'warning serve rogue1: upload-pack: not our ref' cluster.xml foreign rogue1 default want "$(tip internal)"
must 'warning serve rogue1: upload-pack: not our ref' cluster.xml foreign rogue1 default want 1111111111111111111111111111111111111111
rogue cluster.xml foreign rogue1 default have "$(tip internal)" || fail 'a have of another role was acknowledged'

# --- who must not disturb ---

must 'not a Muster channel' cluster.xml garbage 50
must 'a record does not open' cluster.xml bent rogue1 default
must 'messages in half a second' cluster.xml deaf rogue1 default

coproc HALF { ROGUE_KEYSTORE=$(keystore cluster.xml) exec "$MUSTER_BIN/tests/flow/rogue" half-open "$port" 500 2>>"$AREA/half.log"; }
pids[half]=$HALF_PID
read -r -t "$DEADLINE" ready <&"${HALF[0]}" || fail 'half-open connections cannot be made'
[ "$ready" = ready ] || fail 'half-open connections cannot be made'

sed 's|<access-token-ttl>300<|<access-token-ttl>120<|' admin/var/admin/config/tokens.xml >edited
cat edited >admin/var/admin/config/tokens.xml
sed -i 's|Outer network|Outermost network|' admin/var/admin/config/environment.xml
muster --home admin commit -m 'while others disturb' --wait="$DEADLINE" >commit.log 2>&1 || fail "$(cat commit.log)"
wait_sequence node 2
field_is node .admin.connected true || fail 'the node is no longer connected'
stop half || true # by a signal

# the log is of lines, whatever peers sent
! LC_ALL=C grep -q '[[:cntrl:]]' <(tr -d '\n\t' <admin.log) || fail 'a control character in the log'
stop node || fail 'the node did not stop well'
stop admin || fail 'the admin did not stop well'

# --- fewer descriptors than peers: told, and it works ---

(
	ulimit -n 400
	exec musterd --home admin --admin >>few.log 2>&1
) &
pids[few]=$!
wait_admin admin
grep -qF 'the limit of 400 descriptors allows' few.log || fail 'the limit on descriptors is not told'
stop few || fail 'the admin with few descriptors did not stop well'

# a soft limit is raised as far as it may be, and is needed
soft() { awk '/^Max open files/ { print $4 }' "/proc/$1/limits"; }
if [ -r /proc/self/limits ] && [ "$(ulimit -H -n)" != unlimited ] && [ "$(ulimit -H -n)" -gt 1024 ]; then
	(
		ulimit -S -n 1024
		exec musterd --home admin --admin >>raised.log 2>&1
	) &
	pids[raised]=$!
	wait_admin admin
	[ "$(soft "${pids[raised]}")" -gt 1024 ] || fail 'the soft limit on descriptors is not raised'
	stop raised || fail 'the admin with a raised limit did not stop well'
fi
