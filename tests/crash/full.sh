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

# From here on what begins with a PATH cannot be written while the file good is not there.
# alone PATH: the node runs, with that fault to come
alone() {
	touch good
	LD_PRELOAD=$faults FAULTS_BELOW=$1 FAULTS_FAIL=1:28 FAULTS_GOOD=$AREA/good \
		start alone alone --no-admin --service-role internal --service-name node
	within "$DEADLINE" field_is alone .nodeState RUNNING || fail 'alone: does not run'
	tried=$((tried + 1))
}

# release: one more of the admin
sequence=2
release() {
	sequence=$((sequence + 1))
	sed -i "s/84[0-9][0-9]</84$((50 + sequence))</" admin/var/admin/config/*.xml
	git -C admin/var/admin/config -c user.name=t -c user.email=t commit -qam "release $sequence"
	within "$DEADLINE" field_is admin .published.roles.internal.sequence "$sequence" || fail 'alone: not published'
}

told() { within "$DEADLINE" grep -q "$1" alone.log || fail "alone: does not say: $1"; }

saved() { [ "revisions/$(jsonget .active <alone/var/node/state)" = "$1" ]; }

# The state: nothing is deployed before it is known to be accepted, and what became active is in it once it can be.
state_alone() {
	local newest older
	alone "$AREA/alone/var/node/state"
	older=$(readlink alone/var/node/current)
	rm good
	release
	told 'verify .*: failed, tried again later'
	field_is alone .sequence $((sequence - 1)) || fail 'alone: deployed before its acceptance was on the disk'
	touch good
	wait_sequence alone "$sequence"
	newest=$(readlink alone/var/node/current)
	within "$DEADLINE" saved "$newest" || fail 'alone: the state is not what runs'
	rm good
	ln -sfn "$older" alone/var/node/current
	told 'report node: written again later'
	saved "$newest" || fail 'alone: the state was written'
	touch good
	within "$DEADLINE" saved "$older" || fail 'alone: the state is not written when it can be'
	muster --home alone resume --here >/dev/null
	wait_sequence alone "$sequence"
	stop alone || fail 'alone: did not stop cleanly'
}

swapped_to() { [ "$(readlink alone/var/node/current)" = "$1" ]; }

# The way back from a release that fails.
swap_alone() {
	local older
	mkdir -p alone/etc/activate.d
	printf '#!/bin/sh\n[ "$MUSTER_SEQUENCE" != %s ] || { rm -f "%s/good"; exit 1; }\n' $((sequence + 1)) "$AREA" \
		>alone/etc/activate.d/10
	chmod 755 alone/etc/activate.d/10
	alone "$AREA/alone/var/node/current"
	older=$(readlink alone/var/node/current)
	release
	told 'cannot swap back, tried again later'
	touch good
	within "$DEADLINE" swapped_to "$older" || fail 'alone: not swapped back'
	within "$DEADLINE" field_is alone .rejected.step activate || fail 'alone: the release is not burnt'
	stop alone || fail 'alone: did not stop cleanly'
	rm -r alone/etc/activate.d
}

# The link to the plain copy: not the fault of the release.
plain_alone() {
	alone "$AREA/alone/run/current"
	rm good
	release
	told 'no plain copy, tried again later'
	field_is alone .rejected null || fail 'alone: the release is refused for what the disk did'
	touch good
	wait_sequence alone "$sequence"
	stop alone || fail 'alone: did not stop cleanly'
}

# A start on a disk that takes nothing: what is there is served, and a cluster file that was put there meanwhile counts.
start_alone() {
	mkdir "alone/var/node/revisions/left.tmp"
	genclust --home template -c 127.1 -p "$port" >alone/etc/init/cluster.xml 2>/dev/null
	LD_PRELOAD=$faults FAULTS_BELOW=$AREA/alone/var/node/ FAULTS_FAIL=1:30 \
		start alone alone --no-admin --service-role internal --service-name node
	within "$DEADLINE" field_is alone .nodeState RUNNING || fail 'alone: a start on a disk that takes nothing does not serve'
	told 'init state: cannot be written now'
	told 'what a stop left cannot be removed now'
	field_is alone .sequence $((sequence - 1)) || fail "alone: serves $(field alone .sequence)"
	field_is alone .admin.host 127.1 || fail "alone: the new cluster file does not count, but $(field alone .admin.host)"
	stop alone || fail 'alone: did not stop cleanly'
	tried=$((tried + 1))
}

make_template
points publish publication
make_node
points 'fetch to activate' update
remove_plain alone
cp -a update alone
state_alone
plain_alone
swap_alone
start_alone
echo "full: $tried points tried"
