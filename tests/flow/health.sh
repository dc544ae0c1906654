#!/bin/bash
# The site's hooks at their worst, and the settings that bound them: what vet.d refuses, and what activate.d did but health.d does
# not hold for, is kept out, told, and not tried again; what a stop or a kill left undone is made up for.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git setsid
area
cd "$AREA"
port=$(freeport)
config=admin/var/admin/config

node() { start node node --no-admin --service-role internal --service-name node --no-status "$@"; }

halt() { stop "$1" || fail "$1 did not stop cleanly"; }

ok() { printf 'ok: %s\n' "$*"; }

# hook FOLDER NAME: from stdin.
hook() {
	mkdir -p "node/etc/$1"
	{ echo '#!/bin/bash'; cat; } >"node/etc/$1/.new"
	chmod 755 "node/etc/$1/.new"
	mv "node/etc/$1/.new" "node/etc/$1/$2"
}

# change VALUE: of what only this role has.
change() {
	sed "s,<access-token-ttl>[^<]*<,<access-token-ttl>$1<," "$config/tokens.xml" >edited
	cat edited >"$config/tokens.xml"
}

# commit VALUE: a change that must arrive.
commit() {
	change "$1"
	muster --home admin commit -m "ttl $1" --wait="$DEADLINE" >out 2>&1 || fail "commit of $1: $(cat out)"
	release=$(field node .transactionId)
	ttl=$1
}

# bad VALUE STEP WORDS: one that the node must refuse, and keep what it has.
bad() {
	local code=0
	change "$1"
	muster --home admin commit -m "ttl $1" --wait="$DEADLINE" >out 2>err || code=$?
	[ "$code" = 1 ] || fail "$1: exit code $code, not 1: $(cat out err)"
	grep -q "node rejects the release at $2: $3" err || fail "$1: commit says: $(cat err)"
	kept "$1" "$2"
	[ "$(muster --home admin nodes --json | jsonget .0.rejected.step)" = "$2" ] || fail "$1: not told at the admin"
}

# kept WHAT STEP: what was active is, to the service too.
kept() {
	within "$DEADLINE" field_is node .rejected.step "$2" || fail "$1: not rejected at $2"
	within "$DEADLINE" field_is node .transactionId "$release" || fail "$1: not kept"
	within "$DEADLINE" leads_to "$release" || fail "$1: current leads elsewhere"
	within "$DEADLINE" grep -q "<access-token-ttl>$ttl<" node/run/current/config.xml || fail "$1: the plain copy is another"
	within "$DEADLINE" serves "$release" || fail "$1: $(cat served) is served"
	field_is node .nodeState RUNNING || fail "$1: the node does not run"
}

leads_to() { [ "$(readlink node/var/node/current)" = "revisions/$1" ]; }

# What activate.d gave the service last.
serves() { [ "$(cat served)" = "$1" ]; }

# A number that a hook wrote, of a process that must be gone.
gone_from() { within "$DEADLINE" gone "$(cat "$1")" || fail "what $1 names outlives its hook"; }

count() { grep -c -- "$1" node.log || true; }

rounds() { wc -l <rounds 2>/dev/null || echo 0; }

ran_more_than() { [ "$(rounds)" -gt "$1" ]; }

kill_node() {
	kill -KILL "${pids[node]}"
	wait "${pids[node]}" 2>/dev/null || true
	unset 'pids[node]'
}

setup() {
	mkdir -p admin/etc/init node/etc/init "$AREA/empty"
	cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
	muster --home admin init --host 127.0.0.1 --port "$port" >out
	mkdir -p "$config/files/internal"
	echo mark >"$config/files/internal/mark"
	change '#{TTL | 300}'
	start admin admin --admin --no-status
	wait_admin admin
	(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml) 2>/dev/null
	give_secret admin node internal
	hook activate.d 10-serve <<-EOF
	echo "\$MUSTER_RELEASE" >'$AREA/served'
	EOF
	: >rounds
	node
	wait_state node RUNNING
}

# The settings: of the cluster, checked, in the slice.
settings() {
	local setting
	for setting in 'health-timeout 0' 'health-timeout 3601' 'hook-timeout 1s' 'hook-timeout 0' 'keep-revisions 1' \
		'keep-revisions 1000' 'approve maybe' 'health-timout 1'; do
		# shellcheck disable=SC2086
		set -- $setting
		printf '<config xmlns="http://tail-f.com/ns/config/1.0"><muster xmlns="urn:muster:1">\n<%s>%s</%s></muster></config>\n' \
			"$1" "$2" "$1" >"$config/settings.xml"
		muster --home admin check >out 2>err && fail "$setting is not refused"
		grep -q "^settings.xml:2: /muster/$1: " out || fail "check says: $(cat out)"
		muster --home admin commit -m 'a bad setting' >out 2>err && fail "$setting is committed"
	done
	rm "$config/settings.xml"
	muster --home admin set muster/health-timeout 3
	muster --home admin set muster/hook-timeout 1
	muster --home admin set muster/keep-revisions 2
	muster --home admin check >out || fail "$(cat out)"
	commit 301
	grep -q '<muster xmlns="urn:muster:1">' node/var/node/current/config.xml || fail 'the slice has no settings'
	[ "$(muster --home node get muster/health-timeout 2>/dev/null || muster --home admin get muster/health-timeout)" = 3 ] ||
		fail 'get does not say what set did'
	ok 'settings are checked and travel'
}

vet() {
	hook vet.d 10 <<<'echo "not this one"; exit 9'
	bad 310 vet '10: exit status 9'
	grep -q 'vet 10: not this one' node.log || fail 'what it says is not in the log'
	hook vet.d 10 <<-EOF
	trap '' TERM INT HUP
	sleep 600 & echo \$! >'$AREA/sleeper'; wait; wait
	EOF
	bad 311 vet '10: did not end within 1000 ms and was killed'
	gone_from sleeper
	hook vet.d 10 <<-EOF
	for i in {1..50}; do (sleep 600 & sleep 600 & wait) & done
	sleep 600 & echo \$! >'$AREA/sleeper'
	exit 3
	EOF
	bad 312 vet '10: exit status 3'
	gone_from sleeper
	hook vet.d 10 <<<'while :; do echo fill fill fill; echo fill fill fill >&2; done'
	bad 313 vet '10: did not end within 1000 ms and was killed'
	[ "$(count 'fill fill fill')" -le 200 ] || fail "$(count 'fill fill fill') lines of one hook are in the log"
	grep -q 'vet 10: its further output is dropped' node.log || fail 'that output is dropped is not told'
	hook vet.d 10 <<<'head -c 3000000 /dev/zero; kill -KILL $$'
	bad 314 vet '10: killed by signal 9'
	hook vet.d 10 <<<'exit 0'
	hook vet.d 20 </dev/null
	printf '#!/no/such/program\n' >node/etc/vet.d/20
	bad 315 vet '20: exit status 126'
	rm -r node/etc/vet.d
	commit 316
	ok 'vet.d that fails, hangs, forks, fills its output, dies, cannot be run'
}

# Probes that fail at first, and what they say.
holds_later() {
	hook health.d 10-probe <<-EOF
	echo "\$MUSTER_RELEASE \$(cat "\$MUSTER_PLAIN/files/mark")" >>'$AREA/rounds'
	echo 'is not up'
	[ -e '$AREA/up' ]
	EOF
	hook health.d 20-other <<-EOF
	[ \$# = 0 ] && env | grep -c '^MUSTER_' >'$AREA/variables'
	EOF
	: >rounds
	change 320
	muster --home admin commit -m 'waits' --wait="$DEADLINE" >out 2>err &
	committing=$!
	within "$DEADLINE" ran_more_than 1 || fail 'no second round'
	field_is node .transactionId "$release" || fail 'active before it is healthy'
	[ ! -e variables ] || fail 'a later hook runs in a round that failed'
	# the next one comes while the first is waited for: that one ends first
	change 321
	muster --home admin commit -m 'the next' >>out 2>&1
	: >up
	wait "$committing" || fail "not taken up: $(cat err)"
	wait_sequence node "$(field admin .published.roles.internal.sequence)"
	[ "$(muster --home node log --json | jsonget .1.verdict)" = past ] || fail 'the first was never active'
	[ "$(cat variables)" = 8 ] || fail "$(cat variables) variables"
	grep -q '^[0-9a-f]* mark$' rounds || fail "$(cat rounds)"
	[ "$(count 'health 10-probe: is not up')" = 2 ] || fail "not one line each: $(grep health node.log)"
	release=$(field node .transactionId)
	ok 'health.d is asked until it holds, the next release waits, the log is not filled'
	rm up
	: >rounds
	echo '# nothing' >"$config/model.conf"
	muster --home admin commit -m 'nothing for the service' --wait="$DEADLINE" >out 2>&1 || fail "$(cat out)"
	release=$(field node .transactionId)
	serves "$release" && fail 'hooks ran for nothing'
	[ "$(rounds)" = 0 ] || fail 'health.d ran for nothing'
	: >up
	commit 322
	ok 'a plain copy that is the same is not asked about'
}

burns() {
	local tried
	hook activate.d 20-hang <<-EOF
	grep -q '>329<' "\$MUSTER_CURRENT/config.xml" || exit 0
	trap '' TERM INT HUP
	sleep 600 & echo \$! >'$AREA/sleeper'; wait; wait
	EOF
	bad 329 activate '20-hang: did not end within 1000 ms and was killed'
	gone_from sleeper
	[ "$(muster --home node log --json | jsonget .0.verdict)" = burnt ] || fail 'not burnt by a hang'
	rm node/etc/activate.d/20-hang
	ok 'activate.d that hangs: swapped back, burnt'
	hook health.d 10-probe <<-EOF
	echo "\$MUSTER_RELEASE" >>'$AREA/rounds'
	echo 'asked'
	! grep -q '>33[0-9]<' "\$MUSTER_CURRENT/config.xml"
	EOF
	: >rounds
	bad 330 health 'not within 3 s: 10-probe: exit status 1'
	[ "$(muster --home node log --json | jsonget .0.verdict)" = burnt ] || fail 'not burnt'
	[ "$(grep -c 'error health .*failed: not within' node.log)" = 1 ] || fail 'not one line in the log'
	tried=$(grep -vc "$release" rounds)
	[ "$tried" -ge 2 ] && [ "$tried" -le 3 ] || fail "$tried rounds in 3 s"
	kill -HUP "${pids[node]}"
	halt node
	node
	wait_state node RUNNING
	kept 'after a restart' health
	[ "$(grep -vc "$release" rounds)" = "$tried" ] || fail 'what is burnt was tried again'
	# a hang costs one hook-timeout a round, and no more than health-timeout
	hook health.d 10-probe <<-EOF
	grep -q '>33[0-9]<' "\$MUSTER_CURRENT/config.xml" || exit 0
	echo >>'$AREA/rounds'
	sleep 600 & echo \$! >'$AREA/sleeper'; wait
	EOF
	: >rounds
	SECONDS=0
	bad 331 health 'not within 3 s: 10-probe: did not end within [0-9]* ms and was killed'
	[ "$SECONDS" -le 20 ] || fail "$SECONDS s for a probe that hangs"
	[ "$(rounds)" -ge 2 ] || fail 'a hang takes more than hook-timeout of health-timeout'
	gone_from sleeper
	ok 'health.d that fails or hangs: swapped back, burnt, not tried again'
	# the service dies, and does not come back after the swap back either: told, and that is all
	hook health.d 10-probe <<<'exit 1'
	bad 332 health 'not within 3 s: 10-probe: exit status 1'
	within "$DEADLINE" grep -q "error health $release: after the swap back: not within 3 s" node.log ||
		fail 'that it does not hold after the swap back is not told'
	kept 'after the swap back' health
	echo TTL=9 >node/etc/params
	hook health.d 10-probe <<<'exit 0'
	commit '#{TTL | 1}'
	hook health.d 10-probe <<<'exit 1'
	echo TTL=8 >node/etc/params
	within "$DEADLINE" grep -q "error health $release: with the new plain copy: not within 3 s" node.log ||
		fail 'that it does not hold with new parameters is not told'
	field_is node .rejected null && leads_to "$release" || fail 'new parameters took the release away'
	rm node/etc/params
	[ "$(count 'current was moved on')" = 0 ] || fail 'what had failed was activated once more before the swap back'
	ok 'after a swap back, and with new parameters, it is told and nothing more'
}

stops() {
	hook health.d 10-probe <<<'exit 0'
	commit 340
	# between two rounds
	rm -f up
	hook health.d 10-probe <<-EOF
	echo >>'$AREA/rounds'
	[ -e '$AREA/up' ]
	EOF
	muster --home admin set muster/health-timeout 600
	change 341
	: >rounds
	muster --home admin commit -m 'stopped' >out 2>&1
	within "$DEADLINE" ran_more_than 0 || fail 'health.d does not run'
	SECONDS=0
	halt node
	[ "$SECONDS" -le 20 ] || fail "the stop took $SECONDS s"
	: >up
	node
	wait_sequence node "$(field admin .published.roles.internal.sequence)"
	field_is node .rejected null || fail 'the stop burnt it'
	release=$(field node .transactionId)
	ttl=341
	serves "$release" || fail 'the activation was not made up for'
	# and within one, by a kill: what does not hold then either is burnt
	hook health.d 10-probe <<-EOF
	grep -q '>342<' "\$MUSTER_CURRENT/config.xml" || exit 0
	[ ! -e '$AREA/slept' ] || exit 4
	: >'$AREA/slept'
	sleep 600 & echo \$! >'$AREA/sleeper.new'; mv '$AREA/sleeper.new' '$AREA/sleeper'; wait
	EOF
	rm -f sleeper
	muster --home admin set muster/health-timeout 2
	muster --home admin set muster/hook-timeout 30
	change 342
	muster --home admin commit -m 'killed' >out 2>&1
	within "$DEADLINE" test -s sleeper || fail 'health.d does not run'
	kill_node
	gone_from sleeper
	leads_to "$release" && fail 'killed too early'
	node
	wait_state node RUNNING
	kept 'after a kill' health
	ok 'a stop or a kill in between is made up for'
	# a hook-timeout beyond health-timeout does not make that longer
	hook health.d 10-probe <<-EOF
	grep -q '>344<' "\$MUSTER_CURRENT/config.xml" || exit 0
	sleep 600 & echo \$! >'$AREA/sleeper'; wait
	EOF
	SECONDS=0
	bad 344 health 'not within 2 s: 10-probe: did not end within [0-9]* ms and was killed'
	[ "$SECONDS" -le 20 ] || fail "$SECONDS s for a probe that hangs"
	gone_from sleeper
	# current moved away by hand: the rest of the time is not waited for
	hook health.d 10-probe <<-EOF
	[ "\$MUSTER_RELEASE" != '$release' ] || exit 0
	echo >>'$AREA/rounds'
	exit 1
	EOF
	muster --home admin set muster/health-timeout 3600
	change 343
	: >rounds
	muster --home admin commit -m 'moved' >out 2>&1
	within "$DEADLINE" ran_more_than 0 || fail 'health.d does not run'
	ln -s "revisions/$release" node/var/node/moved
	mv -T node/var/node/moved node/var/node/current
	within "$DEADLINE" grep -q 'current was moved on meanwhile' node.log || fail 'a swap by hand waits for health.d'
	[ "$(muster --home node log --json | jsonget .0.verdict)" != burnt ] || fail 'it was burnt for another hand'
	ok 'a swap by hand ends the wait'
}

revisions() { [ "$(find node/var/node/revisions -mindepth 1 -maxdepth 1 | wc -l)" -le "$1" ]; }

setup
settings
vet
holds_later
burns
stops
rm -rf node/etc/health.d
muster --home admin set muster/keep-revisions 3
for ttl in 350 351 352 353; do
	commit "$ttl"
done
within "$DEADLINE" revisions 3 || fail "revisions: $(ls node/var/node/revisions)"
muster --home admin set muster/keep-revisions 5
for ttl in 360 361 362; do
	commit "$ttl"
done
revisions 3 && fail 'fewer revisions than the setting says'
revisions 5 || fail "revisions: $(ls node/var/node/revisions)"
halt node
halt admin
