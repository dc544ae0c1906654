#!/bin/bash
# A node whose state, key and replica another hand damages while it runs, a hand that never stops, and events that are lost: what
# was accepted stays so, and what is missing is fetched again.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"
. "${top_srcdir}/tests/flow/heal_lib.sh"

state() {
	hand 'is gone' rm node/var/node/state
	within "$DEADLINE" test -s node/var/node/state || fail 'no state'
	hand 'was edited' eval 'echo "{}" >node/var/node/state'
	within "$DEADLINE" grep -q accepted node/var/node/state || fail 'no state'
	cp node/var/node/node.key key
	rm node/var/node/node.key
	within "$DEADLINE" grep -q 'node.key: removed by another hand' node.log || fail 'the key is not told'
	cp key node/var/node/node.key
}

tried_again() { [ "$(grep -c 'cannot be restored now' node.log)" -gt $((tries + 1)) ]; }

replica() {
	hand 'its releases are gone' rm -rf node/var/node/replica.git
	within "$DEADLINE" replica_whole || fail 'the replica is not fetched anew'
	hand 'object .*' eval 'flip "$(packs pack)"'
	within "$DEADLINE" replica_whole || fail 'a flipped bit: not fetched anew'
	hand 'object .*' eval 'flip "$(packs idx)"'
	within "$DEADLINE" replica_whole || fail 'a flipped bit in an index: not fetched anew'
	# The look may come while it goes.
	hand '(its releases are gone|object not found)' eval 'rm -r node/var/node/replica.git/objects/pack'
	within "$DEADLINE" replica_whole || fail 'no packs: not fetched anew'
	# gone at the moment that a release arrives
	rm -rf node/var/node/replica.git
	change 302
	commit 'without a replica'
	wait_sequence node "$(field admin .published.roles.internal.sequence)"
	remember
	within "$DEADLINE" replica_whole || fail 'not whole after the release'
	field_is node .rejected null || fail 'a release was refused for it'
	ok 'a replica that is gone when a release comes'
	# while the admin is away: refilled when it is back
	halt admin
	rm -rf node/var/node/replica.git
	lines=$(wc -l <node.log)
	sed -i 's/302/999/' "$current/config.xml"
	within "$DEADLINE" grep -q 'cannot be restored now' node.log || fail 'not told that there is nothing to restore from'
	tries=$(grep -c 'cannot be restored now' node.log)
	within "$DEADLINE" tried_again || fail 'it is not tried again'
	[ "$(tail -n "+$lines" node.log | grep -c 'config.xml: was edited')" = 1 ] || fail 'the same drift is told again and again'
	start admin admin --admin --no-status
	wait_admin admin
	whole 'with the replica fetched anew'
	replica_whole || fail 'the replica'
	ok 'an edit while the replica is gone and the admin away'
}

loop() {
	local i before
	before=$(drift)
	for i in $(seq 400); do
		echo "$i" >"$current/files/loop"
		sleep 0.01
	done
	rm -f "$current/files/loop"
	[ "$(($(drift) - before))" -le 14 ] || fail "a hand in a loop had $(($(drift) - before)) looks"
	field_is node .nodeState RUNNING || fail 'starved'
	change 303
	commit 'after the loop'
	wait_sequence node "$(field admin .published.roles.internal.sequence)"
	remember
	whole 'after a hand in a loop'
	ok 'a hand that edits in a loop'
}

need_space() { [ "$(cat /proc/sys/fs/inotify/max_queued_events)" -le 20000 ]; }

overflow() {
	need_space || { ok 'the queue of inotify is long here: no overflow'; return; }
	kill -STOP "${pids[node]}"
	python3 - node/var/node "$(cat /proc/sys/fs/inotify/max_queued_events)" <<-'EOT'
	import os, sys
	a, b = os.path.join(sys.argv[1], 'a'), os.path.join(sys.argv[1], 'b')
	for i in range(int(sys.argv[2]) // 4 + 100):
	    for path in a, b:
	        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
	        os.unlink(path)
	EOT
	rm node/run/current
	rm -r node/var/node/replica.git
	echo '{}' >node/var/node/state
	cp -p node/etc/secret secret
	echo rubbish >node/etc/secret
	cp "$top_srcdir"/tests/fixtures/demo/tokens.xml node/etc/init/
	kill -CONT "${pids[node]}"
	within "$DEADLINE" grep -q 'events were lost: looking at everything' node.log || fail 'no overflow'
	within "$DEADLINE" grep -q 'init secret: not read again' node.log || fail 'an overflow: the secret is not looked at'
	cp -p secret node/etc/secret
	within "$DEADLINE" grep -q 'etc/init differs from what was loaded first' node.log || fail 'an overflow: etc/init is not looked at'
	rm node/etc/init/tokens.xml
	within "$DEADLINE" grep -q accepted node/var/node/state || fail 'an overflow: the state is not looked at'
	whole 'after an overflow'
	within "$DEADLINE" replica_whole || fail 'an overflow: the replica is not looked at'
	quiet
	ok 'an overflow of the queue means a look at everything'
}

need git python3
setup
state
replica
loop
overflow
halt node
halt admin
