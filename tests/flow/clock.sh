#!/bin/bash
# The wall clock jumps by decades, either way, while admin and node run and while they are stopped: they go on publishing and
# activating, and the history verifies. Nothing waits for a time that is not to come.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
preload=$MUSTER_BIN/tests/flow/preload.so
[ -e "$preload" ] || skip 'the preloaded library was not built'
! grep -q __asan_init "$MUSTER_BIN/musterd" || skip 'a sanitizer must be the first library'

area
cd "$AREA"
port=$(freeport)
source=admin/var/admin/config
years=$((20 * 31557600))
count=0

node() { start node node --no-admin --service-role internal --service-name node; }

admin() { start admin admin --admin --no-status; }

# The release that the next change makes is soon active, and told with the time that it is now.
goes_on() {
	local before=$SECONDS
	wait_state node RUNNING
	count=$((count + 1))
	sed "s|<access-token-ttl>[0-9]*<|<access-token-ttl>$((300 + count))<|" "$source/tokens.xml" >edited
	cat edited >"$source/tokens.xml"
	muster --home admin commit -m "$1" --wait="$DEADLINE" >/dev/null || fail "$1: not published and active"
	grep -q ">$((300 + count))<" node/run/current/config.xml || fail "$1: not what the service reads"
	[ "$((SECONDS - before))" -lt 20 ] || fail "$1: took $((SECONDS - before)) s"
	wait_state node RUNNING
	field_is node .rejected null || fail "$1: $(field node .rejected.reason)"
	case $(field node .activatedAt) in
	"$2"*) ;;
	*) fail "$1: activated at $(field node .activatedAt), not $2" ;;
	esac
}

year() { date -u -d "@$(($(date +%s) + $1))" +%Y; }

mkdir -p admin/etc/init node/etc/init
mkdir time
echo 0 >time/clock
# the daemons may read what a link in etc/ leads to, and the folder it is in
ln -s ../../time/clock admin/etc/clock
ln -s ../../time/clock node/etc/clock
export LD_PRELOAD=$preload PRELOAD_CLOCK=$AREA/time/clock
jump() { (unset LD_PRELOAD; echo "$1" >time/clock.new; mv time/clock.new time/clock); }
now() { (unset LD_PRELOAD; year "$1"); }
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml 2>/dev/null
give_secret admin node internal
admin
wait_admin admin
node
wait_state node RUNNING
goes_on 'as it is' "$(now 0)"
jump "$years"
goes_on 'forward' "$(now "$years")"
jump "-$years"
goes_on 'back' "$(now "-$years")"
# with the link lost in between, and back-off under way
stop admin || fail 'the admin did not stop cleanly'
wait_state node WAITING
jump "$years"
admin
goes_on 'forward, with the admin away' "$(now "$years")"
stop node || fail 'the node did not stop cleanly'
jump "-$years"
node
wait_state node RUNNING
goes_on 'back, while the node was stopped' "$(now "-$years")"
stop admin || fail 'the admin did not stop cleanly'
stop node || fail 'the node did not stop cleanly'
jump 0
admin
node
wait_state node RUNNING
goes_on 'and right again' "$(now 0)"
stop node || fail 'the node did not stop cleanly'
stop admin || fail 'the admin did not stop cleanly'
muster verify --cluster node/etc/init/cluster.xml admin/var/admin/release.git >/dev/null || fail 'the history does not verify'
