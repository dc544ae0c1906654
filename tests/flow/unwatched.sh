#!/bin/bash
# A machine whose limit of inotify watches is reached, from the start or later: the node runs, says so once, and looks at its copies
# and settings from time to time, until there are watches again.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"
. "${top_srcdir}/tests/flow/heal_lib.sh"

need git python3
preload=$MUSTER_BIN/tests/flow/preload.so
[ -e "$preload" ] || skip 'the preloaded library was not built'
! grep -q __asan_init "$MUSTER_BIN/musterd" || skip 'a sanitizer must be the first library'

node() {
	LD_PRELOAD=$preload PRELOAD_NO_WATCH=$AREA/none \
		start node node --no-admin --service-role internal --service-name node --no-status
}

said() { [ "$(grep -c 'looking every 5 seconds instead: .*max_user_watches' node.log)" = "$1" ]; }

touch none
setup
said 1 || fail "not said once: $(grep -c 'looking every' node.log)"
ok 'a node starts and takes releases without watches'
hand 'config.xml: was edited' sed -i 's/301/999/' "$current/config.xml"
hand 'config.xml: was edited' sed -i 's/301/999/' node/run/current/config.xml
ln -sfn /etc "$current"
whole 'the link'
echo '{}' >node/var/node/state
within "$DEADLINE" grep -q accepted node/var/node/state || fail 'the state is not looked at'
# settings as well
cp "$top_srcdir"/tests/fixtures/demo/tokens.xml node/etc/init/
within "$DEADLINE" grep -q 'etc/init differs from what was loaded first' node.log || fail 'etc/init is not looked at'
rm node/etc/init/tokens.xml
cp -p node/etc/secret secret
echo rubbish >node/etc/secret
within "$DEADLINE" grep -q 'init secret: not read again' node.log || fail 'the secret is not looked at'
cp -p secret node/etc/secret
said 1 || fail 'said again'
rm none
within "$DEADLINE" grep -q 'there are watches again' node.log || fail 'no watches again'
quiet
before=$SECONDS
hand 'service.conf: is gone' rm "$current/$conf"
[ "$((SECONDS - before))" -lt 4 ] || fail 'it is not watched'
ok 'and watches again'
# later: new folders cannot be watched
touch none
change 302
commit 'unwatched again'
wait_sequence node "$(field admin .published.roles.internal.sequence)"
remember
within "$DEADLINE" said 2 || fail 'not said'
hand 'config.xml: was edited' sed -i 's/302/999/' "$current/config.xml"
halt node
halt admin
