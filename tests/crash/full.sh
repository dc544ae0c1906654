#!/bin/bash
# A disk that is full, over quota, read-only or broken from some call on, during a publication and on a node's way from fetch to
# activate: what runs goes on running, and once the disk is good again all goes on without anyone's help.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/crash/lib.sh"

errnos=(28 5 30 122) # ENOSPC EIO EROFS EDQUOT

# publication N ERRNO: 0 when nothing failed any more.
publication() {
	local code=0
	rm -rf publish
	cp -a template publish
	LD_PRELOAD=$faults FAULTS_BELOW=$AREA/publish FAULTS_FAIL=$1:$2 \
		muster --home publish publish >run.log 2>&1 || code=$?
	[ "$code" -le 1 ] || { cat run.log >&2; fail "publish: exit $code when call $1 fails with $2"; }
	[ "$code" = 0 ] || grep -q '^muster: publish: ' run.log || fail "publish: says nothing when call $1 fails with $2"
	muster --home publish publish >again.log 2>&1 || { cat again.log >&2; fail "publish: not good again after call $1"; }
	muster verify --cluster cluster.xml publish/var/admin/release.git >again.log 2>&1 ||
		{ cat again.log >&2; fail "publish: releases do not verify after call $1"; }
	return "$code"
}

serving() { field_is update .isServing true; }

# update N ERRNO: 1 when the fault was met before the new release ran.
update() {
	local failed=0
	remove_plain update
	rm -rf update good
	copy_home node1 update
	LD_PRELOAD=$faults FAULTS_BELOW=$AREA/update FAULTS_FAIL=$1:$2 FAULTS_GOOD=$AREA/good FAULTS_LOG=$AREA/calls \
		start update update --no-admin --service-role internal --service-name node
	# a home whose lock cannot be made is a start that fails; else what is on the disk is served
	if ! within 10 eval "serving || gone ${pids[update]}"; then
		fail "update: neither serves nor ends when call $1 fails with $2"
	fi
	if gone "${pids[update]}"; then
		failed=1
		grep -q '^musterd: ' update.log || fail "update: ends without a word when call $1 fails with $2"
		touch good
		stop update || true
		start update update --no-admin --service-role internal --service-name node
	fi
	# the fault is met, or the release ran before it could be
	within "$DEADLINE" eval "field_is update .sequence 2 || grep -q '^$1 ' calls" || fail "update: stands still at call $1"
	field_is update .sequence 2 || failed=1
	within 10 serving || fail "update: does not serve when call $1 fails with $2"
	touch good
	wait_sequence update 2
	[ "$(field update .nodeState)" = RUNNING ] || fail "update: is $(field update .nodeState) after call $1"
	stop update || fail "update: did not stop cleanly after call $1"
	rm -f calls
	return "$failed"
}

# points NAME FUNCTION: each point with one of the error numbers, until none is met any more.
points() {
	local n=$FIRST count=0
	until "$2" "$n" "${errnos[$((count % ${#errnos[@]}))]}"; do
		count=$((count + 1))
		n=$((n + STEP))
	done
	[ "$count" -gt 0 ] || fail "$1: no fault was met"
	echo "$1: $count points"
	tried=$((tried + count))
}

make_template
points publish publication
make_node
points 'fetch to activate' update
echo "full: $tried points tried"
