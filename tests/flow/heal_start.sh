#!/bin/bash
# A node that was damaged while it was stopped: state, replica, revisions, links, key. It starts and serves what can be verified, with
# and without its admin, and never goes back behind what it had accepted.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"
. "${top_srcdir}/tests/flow/heal_lib.sh"

accepted() { jsonget ".$1" <node/var/node/state; }

# again NAME: the node starts, serves the same release, and has counted what it found.
again() {
	local state=${2:-RUNNING}
	node
	wait_state node "$state"
	whole "$1"
	[ "$(accepted accepted)" = "$release" ] || fail "$1: accepted $(accepted accepted), not $release"
	[ "$(accepted sequence)" = "$sequence" ] || fail "$1: accepted sequence $(accepted sequence)"
	field_is node .rejected null || fail "$1: $(field node .rejected.reason)"
}

counted() { within "$DEADLINE" drifted 0 || fail "$1: not counted: $(tail -n 5 node.log)"; }

logged() { tail -n "+$((lines + 1))" node.log | grep -qE "$1"; }

break_it() {
	halt node
	lines=$(wc -l <node.log)
	"$@"
}

lost() { rm -r node/var/node/state node/var/node/state.copy "$@"; }

state() {
	break_it rm node/var/node/state
	again 'no state'
	counted 'no state'
	logged 'taken from its copy, up to sequence 3' || fail 'not told'
	break_it truncate -s 100 node/var/node/state
	again 'half a state'
	counted 'half a state'
	logged 'node/state: damaged' && logged 'taken from its copy' || fail 'not told'
	ok 'a state that is lost or cut is in its copy'
	break_it lost
	again 'no state and no copy'
	counted 'no state and no copy'
	logged 'made anew from what is verified here, up to sequence 3' || fail 'not told'
	break_it truncate -s 100 node/var/node/state node/var/node/state.copy
	again 'half a state and half a copy'
	logged 'node/state: damaged' && logged 'made anew from what is verified' || fail 'not told'
	ok 'else it is made anew from the replica'
	break_it lost node/var/node/replica.git
	again 'no state and no replica'
	within "$DEADLINE" replica_whole || fail 'the replica is not fetched anew'
	ok 'from the revisions, if the replica is lost too'
	break_it lost node/var/node/current
	again 'no state and no current'
	ok 'without the link'
}

# What this node is held at, and what was burnt here, is not lost with the state; nor with the replica besides.
verdicts() {
	local older
	older=$(muster --home node log --json | jsonget .1.release)
	muster --home node rollback --here "$older" --reason 'it stays' >/dev/null
	break_it rm -r node/var/node/state node/var/node/replica.git
	node
	wait_state node RUNNING
	within "$DEADLINE" replica_whole || fail 'the replica is not fetched anew'
	field_is node .transactionId "$older" || fail "not at what it is held at: $(muster --home node status --json)"
	field_is node .held.by node && field_is node .held.reason 'it stays' || fail 'the hold is lost'
	[ "$(accepted accepted)" = "$release" ] || fail 'what was accepted is lower'
	mkdir -p node/etc/activate.d
	printf '#!/bin/sh\necho "$MUSTER_RELEASE" >>"%s/ran"\n[ "$MUSTER_RELEASE" != %s ]\n' "$PWD" "$release" \
		>node/etc/activate.d/10
	chmod +x node/etc/activate.d/10
	muster --home node resume --here >/dev/null
	within "$DEADLINE" field_is node .rejected.step activate || fail "not burnt: $(muster --home node status --json)"
	within "$DEADLINE" field_is node .transactionId "$older" || fail 'not swapped back'
	break_it rm node/var/node/state
	node
	wait_state node RUNNING
	field_is node .rejected.release "$release" || fail "what is burnt is not told: $(muster --home node status --json)"
	field_is node .transactionId "$older" || fail 'what was burnt runs'
	[ "$(grep -c "$release" ran)" = 1 ] || fail 'what was burnt is tried again'
	rm -r node/etc/activate.d
	muster --home node resume --here >/dev/null
	within "$DEADLINE" field_is node .transactionId "$release" || fail 'it does not go on'
	remember
	ok 'what it is held at and what was burnt is not lost with the state'
}

alone() {
	halt admin
	break_it lost
	again 'no state, no admin' WAITING
	break_it rm "node/var/node/revisions/$release/config.xml"
	again 'damaged revision, no admin' WAITING
	counted 'damaged revision'
	logged 'restored from the replica' || fail 'not told'
	break_it rm -r "node/var/node/revisions/$release"
	again 'no revision, no admin' WAITING
	break_it rm node/var/node/current
	again 'no link, no admin' WAITING
	counted 'no link'
	break_it eval "rm '$current' && mkdir -p '$current/x'"
	again 'a folder in place of the link' WAITING
	break_it eval "mv node/var/node/revisions/$release node/gone && echo x >node/var/node/revisions/$release"
	again 'a file in place of the revision' WAITING
	ok 'the active revision is restored from the replica before it is served'
	older=$(muster --home node log --json | jsonget .1.release)
	cp -a node/var/node node/saved
	break_it eval "rm -r 'node/var/node/revisions/$release' node/var/node/replica.git"
	node
	wait_state node WAITING
	field_is node .transactionId "$older" || fail "not the older one: $(muster --home node status --json)"
	grep -q '>300<' node/run/current/config.xml || fail 'the service has something else'
	[ "$(accepted accepted)" = "$release" ] || fail 'what was accepted is forgotten'
	logged 'an older one that was good is served' || fail 'not told'
	ok 'else an older one that was good'
	break_it eval 'rm -r node/var/node/revisions/*'
	node
	wait_state node ERROR
	ok 'else it is in error'
	start admin admin --admin --no-status
	wait_admin admin
	within "$DEADLINE" field_is node .transactionId "$release" || fail "not again: $(muster --home node status --json)"
	whole 'with the admin'
	within "$DEADLINE" replica_whole || fail 'the replica'
	ok 'until the admin is there'
	halt node
	rm -r node/saved
	node
	wait_state node RUNNING
}

replica() {
	break_it flip "$(packs pack)"
	again 'a flipped bit'
	counted 'a flipped bit'
	within "$DEADLINE" replica_whole || fail 'not fetched anew'
	break_it truncate -s -30 "$(packs pack)"
	again 'a cut pack'
	counted 'a cut pack'
	within "$DEADLINE" replica_whole || fail 'not fetched anew'
	break_it eval 'echo rubbish >node/var/node/replica.git/refs/heads/internal; mkdir -p node/var/node/quarantine.git; echo x >node/var/node/quarantine.git/x; echo x >node/var/node/replica.git/objects/pack/tmp_pack_x'
	again 'bad refs, a rubbish quarantine'
	[ ! -e node/var/node/replica.git/objects/pack/tmp_pack_x ] || fail 'half a pack that a kill left stays'
	within "$DEADLINE" replica_whole || fail 'the branch is not set right'
	break_it eval 'rm -r node/var/node/replica.git; echo x >node/var/node/replica.git'
	again 'a file'
	within "$DEADLINE" replica_whole || fail 'not fetched anew'
	ok 'a damaged replica is found at start and fetched anew'
	# with what was accepted kept: an admin that has less is not followed
	cp -a admin/var/admin/release.git newer.git
	change 302
	commit 'a third'
	sequence=$(field admin .published.roles.internal.sequence)
	wait_sequence node "$sequence"
	remember
	break_it halt admin
	mv admin/var/admin/release.git newest.git
	mv newer.git admin/var/admin/release.git
	rm -r node/var/node/replica.git
	start admin admin --admin --no-status
	wait_admin admin
	node
	wait_state node RUNNING
	within "$DEADLINE" logged 'the admin is behind this node|does not descend from the accepted' || fail 'not told'
	field_is node .transactionId "$release" || fail 'it went back'
	[ "$(accepted sequence)" = "$sequence" ] || fail 'what it accepted went back'
	ok 'what was accepted is kept when the replica is lost'
	halt node
	halt admin
	rm -r admin/var/admin/release.git
	mv newest.git admin/var/admin/release.git
	start admin admin --admin --no-status
	wait_admin admin
	node
	wait_state node RUNNING
	within "$DEADLINE" replica_whole || fail 'not fetched anew from the right admin'
}

# Nothing that is not verified is believed: releases signed by a stranger, and another cluster's, with the state lost.
strangers() {
	halt node
	cp -a node stranger
	rm -f stranger/var/node/state stranger/var/node/state.copy
	mkdir -p other/etc/init
	cp "$top_srcdir"/tests/fixtures/demo/*.xml other/etc/init/
	muster --home other init --host 127.0.0.1 --port "$port" >/dev/null
	genclust -c 127.0.0.1 -p 1 -k other/var/admin/cluster.key >stranger/etc/init/cluster.xml 2>/dev/null
	rm -rf stranger/run
	start stranger stranger --no-admin --service-role internal --service-name stranger --no-status
	within "$DEADLINE" field_is stranger .isServing false || fail 'what a stranger signed is served'
	field_is stranger .transactionId null || fail 'what a stranger signed is active'
	stop stranger || fail 'it did not stop cleanly'
	ok 'with another cluster file nothing of it is believed'
}

key() {
	break_it rm node/var/node/node.key
	node
	wait_state node RUNNING
	logged 'its key is gone: it is another node' || fail 'not told'
	ok 'without its key it is another node'
}

need git python3
setup
sequence=$(field node .sequence)
state
verdicts
alone
replica
key
strangers
halt admin
