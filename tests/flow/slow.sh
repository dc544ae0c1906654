#!/bin/bash
# A slow disk: between the failure of a release and the swap back, current still leads to what failed, and that is not
# activated once more.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
! grep -q __asan_init "$MUSTER_BIN/musterd" || skip 'a sanitizer must be the first library'
port=$(freeport)

mkdir -p admin/etc/init node/etc/init node/etc/activate.d
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml 2>/dev/null
give_secret admin node internal
start admin admin --admin --no-status
wait_admin admin
HANG_RENAME=300 LD_PRELOAD=$MUSTER_BIN/tests/flow/hang.so \
	start node node --no-admin --service-role internal --service-name node --no-status
wait_sequence node 1
cat >node/etc/activate.d/10-burn <<'EOT'
#!/bin/bash
! grep -q '>402<' "$MUSTER_CURRENT/config.xml"
EOT
chmod 755 node/etc/activate.d/10-burn
sed -i 's|<access-token-ttl>[0-9]*<|<access-token-ttl>402<|' admin/var/admin/config/tokens.xml
muster --home admin commit -m burns >/dev/null
within "$DEADLINE" grep -q 'swap .*: swapped back' node.log || fail 'not swapped back'
actives() { [ "$(grep -c 'active, sequence 1$' node.log)" = 2 ]; }
within "$DEADLINE" actives || fail 'what was before is not active again'
! grep -q 'active, sequence 2' node.log || fail 'a release that failed was activated'
[ "$(grep -c 'failed: 10-burn' node.log)" = 1 ] || fail 'it was tried again'
field_is node .rejected.step activate || fail 'it is not told as rejected'
stop node || fail 'the node did not stop cleanly'
stop admin || fail 'the admin did not stop cleanly'
