#!/bin/bash
# Random faults of all kinds on one admin and many nodes. While they go on, every sample finds what must hold at every instant: what
# current names is complete, verified and accepted, and what was accepted is never forgotten. When they cease, all nodes come to the
# newest release without anyone's help, and no secret is in the clear on any disk. FAULTS and NODES are how many; SEED repeats the
# choices (not the times between them).
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

FAULTS=${FAULTS:-60}
NODES=${NODES:-20}
SEED=${SEED:-$RANDOM}
# Seconds after the last fault: the longest back-off, a hook's time limit, and room.
CONVERGE=${CONVERGE:-120}
echo "FAULTS=$FAULTS NODES=$NODES SEED=$SEED"
RANDOM=$SEED
faults=$MUSTER_BIN/tests/crash/faults.so
[ -e "$faults" ] || skip 'the preloaded library was not built'
! grep -q __asan_init "$MUSTER_BIN/musterd" || skip 'a sanitizer must be the first library'
need git
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.com GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.com

area
cd "$AREA"
source=admin/var/admin/config
secret="in-the-clear-$SEED-$$"
proxy=
number=0		   # of the last commit
declare -A role=() frozen=() sick=() unsound=() excused=() count=() accepted=() deployed=()
nodes=()

# Whatever is stopped could not end.
end_all() {
	local code=$? name
	trap - ERR
	set +e
	for name in "${!frozen[@]}"; do
		kill -CONT "${pids[$name]}" 2>/dev/null || true
	done
	# closing its commands is not enough: the daemons have them open as well
	if [ -n "$proxy" ]; then
		kill "$proxy" 2>/dev/null || true
		wait "$proxy" 2>/dev/null || true
	fi
	(exit "$code")
	finish
}

pick() { picked=$(($1 ? RANDOM % $1 : 0)); }
pick_node() { pick "${#nodes[@]}" && node=${nodes[picked]}; }

# --- daemons ---

run_daemon() {
	if [ "$1" = admin ]; then
		start admin admin --admin --no-status
	else
		start "$1" "$1" --no-admin --service-role "${role[$1]}" --service-name "$1" --no-status
	fi
}

# With a disk that fails from some call on, until NAME.good is there.
run_sick() {
	local errnos=(28 5 30 122)
	rm -f "$1.good"
	pick 120
	local at=$((picked + 1))
	pick 4
	LD_PRELOAD=$faults FAULTS_BELOW=$AREA/$1 FAULTS_FAIL=$at:${errnos[picked]} FAULTS_GOOD=$AREA/$1.good run_daemon "$1"
	sick[$1]=1
}

kill_daemon() {
	local pid=${pids[$1]:-}
	[ -n "$pid" ] || return 0
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	unset "pids[$1]" "frozen[$1]" "sick[$1]"
}

# One that is sick may have died since it was looked at.
freeze() {
	[ -n "${pids[$1]:-}" ] || return 0
	if kill -STOP "${pids[$1]}" 2>/dev/null; then
		frozen[$1]=1
	fi
}

thaw() {
	[ -n "${frozen[$1]:-}" ] || return 0
	kill -CONT "${pids[$1]}" 2>/dev/null || true
	unset "frozen[$1]"
}

# Nobody dies by itself, but for a start on a disk that fails.
check_alive() {
	local name code
	for name in "${!pids[@]}"; do
		alive "${pids[$name]}" && continue
		code=0
		wait "${pids[$name]}" 2>/dev/null || code=$?
		[ -n "${sick[$name]:-}" ] || { tail -n 20 "$name.log" >&2; fail "$name died: exit code $code"; }
		unset "pids[$name]" "sick[$name]"
	done
}

# What was broken is mended again: about every second time something.
recover() {
	local name
	for name in admin "${nodes[@]}"; do
		if [ -n "${frozen[$name]:-}${sick[$name]:-}" ] || [ -z "${pids[$name]:-}" ]; then
			pick 3
			[ "$picked" = 0 ] || continue
		else
			continue
		fi
		thaw "$name"
		if [ -n "${sick[$name]:-}" ]; then
			touch "$name.good"
		fi
		if [ -z "${pids[$name]:-}" ]; then
			run_daemon "$name"
		fi
	done
	pick 2
	[ "$picked" = 0 ] || rm -f hang
}

# --- faults ---

# commit TEXT: the text is in the configuration of every role, and says to the nodes' hooks what to do.
commit() {
	number=$((number + 1))
	rm -f "$source"/.git/index.lock
	sed "s|<base-url>.*</base-url>|<base-url>https://$1-$number.example.com</base-url>|" pristine/environment.xml \
		>"$source/environment.xml.new"
	if [ "$1" = unchecked ]; then
		sed -i 's|<port>844.</port>|<port>banana</port>|' "$source/environment.xml.new"
	fi
	mv "$source/environment.xml.new" "$source/environment.xml"
	timeout 60 git -C "$source" commit -q -n -a -m "$1 $number" >git.log 2>&1 || { cat git.log >&2; fail "commit $number"; }
}

fault_commit() { commit good; }
fault_unchecked() { commit unchecked; }
fault_vet() { commit vetfails; }
fault_hook() { commit hookfails; }
fault_hang() { touch hang && commit hangs; }
fault_kill() { pick_node && kill_daemon "$node"; }
fault_kill_and_start() { pick_node && kill_daemon "$node" && run_daemon "$node"; }
fault_restart() {
	local code=0
	pick_node
	[ -n "${pids[$node]:-}" ] || return 0
	thaw "$node"
	within "$DEADLINE" minds_or_gone "${pids[$node]}" || fail "$node does not mind signals"
	stop "$node" || code=$?
	[ "$code" = 0 ] || [ -n "${sick[$node]:-}" ] || fail "$node stopped with exit code $code"
	unset "sick[$node]"
	run_daemon "$node"
}
fault_freeze() { pick_node && freeze "$node"; }
fault_full() { pick_node && kill_daemon "$node" && run_sick "$node"; }
# minds SIGNAL PID: it catches that one; before, at its very start, the signal ends it. What this shell catches is caught by its
# children, too, until they are musterd.
minds() {
	local caught program
	read -r program 2>/dev/null <"/proc/$2/comm" && [ "$program" = musterd ] || return 1
	caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$2/status" 2>/dev/null) || return 1
	[ -n "$caught" ] && (((16#$caught >> ($1 - 1)) & 1))
}
minds_or_gone() { minds 15 "$1" || gone "$1"; }
# Whoever does not mind it yet has not read its files either.
hang_up() {
	local pid=${pids[$1]:-}
	if [ -n "$pid" ] && minds 1 "$pid"; then
		kill -HUP "$pid" 2>/dev/null || true
	fi
}
# Whatever was published by now may be left again for an older one: its local copy, or its link to it, is not what the node made, or
# no plain copy can be made of it any more.
excuse() { excused[$1]=$((number + 1)); }
fault_params() {
	pick_node
	echo "VALUE=$RANDOM" >"$node/etc/params"
	hang_up "$node"
}
# A value twice: no plain copy can be made.
fault_bad_params() {
	pick_node
	excuse "$node"
	printf 'VALUE=1\nVALUE=2\n' >"$node/etc/params"
	hang_up "$node"
}
fault_kill_admin() { kill_daemon admin; }
fault_kill_and_start_admin() { kill_daemon admin && run_daemon admin; }
fault_freeze_admin() { freeze admin; }
fault_full_admin() { kill_daemon admin && run_sick admin; }
fault_cut() { pick 100 && echo "cut $picked" >&8; }
fault_stall() { pick 1000 && echo "stall $picked" >&8; }
fault_lose() { pick 1000 && echo "lose $picked" >&8; }
fault_refuse() { pick 1000 && echo "refuse $picked" >&8; }

# damage PATH: a file there, or below it, is changed, cut or removed. Fine if there is none.
damage() {
	local files size
	mapfile -t files < <(find "$1" -type f 2>/dev/null | sort)
	[ "${#files[@]}" -gt 0 ] || return 0
	pick "${#files[@]}"
	local file=${files[picked]}
	size=$(stat -c %s "$file" 2>/dev/null) || return 0
	chmod u+w "$file" 2>/dev/null || return 0
	pick 3
	case $picked in
	0) rm -f "$file" ;;
	1) truncate -s $((size / 2)) "$file" 2>/dev/null || true ;;
	2)
		pick $((size + 1))
		printf '\377' | dd of="$file" bs=1 seek="$picked" conv=notrunc status=none 2>/dev/null || true
		;;
	esac
}
# What is damaged may be found so until it is mended.
fault_damage_quarantine() { pick_node && damage "$node/var/node/quarantine.git"; }
fault_damage_replica() { pick_node && damage "$node/var/node/replica.git"; }
fault_damage_revisions() { pick_node && excuse "$node" && unsound[$node]=1 && damage "$node/var/node/revisions"; }
fault_damage_state() { pick_node && excuse "$node" && unsound[$node]=1 && damage "$node/var/node/state"; }
fault_damage_plain() { pick_node && damage "$(readlink "$node/run/current" || echo "$node/none")"; }
fault_damage_current() {
	local to=(revisions/none /etc ..)
	pick_node
	excuse "$node"
	unsound[$node]=1
	pick 4
	rm -f "$node/var/node/current"
	[ "$picked" = 3 ] || ln -s "${to[picked]}" "$node/var/node/current" 2>/dev/null || true
}

kinds=(
	commit commit commit commit commit commit unchecked vet hook hang
	kill kill kill_and_start kill_and_start restart restart freeze freeze full params bad_params
	kill_admin kill_and_start_admin freeze_admin full_admin
	cut cut cut stall lose refuse
	damage_quarantine damage_replica damage_replica damage_revisions damage_revisions damage_state damage_plain damage_current
)

# --- what must hold ---

sample() {
	local homes=() home name sequence newest
	for home in "${!unsound[@]}"; do
		if "$MUSTER_BIN/tests/crash/verified" "$home" >/dev/null 2>&1; then
			unset "unsound[$home]"
		fi
	done
	for home in "${nodes[@]}"; do
		if [ -z "${unsound[$home]:-}" ] && [ -d "$home/var/node" ]; then
			homes+=("$home")
		fi
	done
	"$MUSTER_BIN/tests/crash/verified" "${homes[@]}" >sample 2>sample.err ||
		{ cat sample.err >&2; fail 'a node has what it must not have'; }
	while read -r home name sequence newest; do
		[ "$newest" -ge "${accepted[$home]:-0}" ] ||
			fail "$home had accepted release ${accepted[$home]}, and now $newest"
		# back only from what failed when it was activated, or what another hand touched
		[ "$sequence" -ge "${deployed[$home]:-0}" ] || grep -q '"burnt"' "$home/var/node/state" ||
			[ "${deployed[$home]}" -le "${excused[$home]:-0}" ] ||
			fail "$home ran release ${deployed[$home]}, and now $sequence"
		accepted[$home]=$newest
		deployed[$home]=$sequence
	done <sample
	samples=$((samples + ${#homes[@]}))
}

no_secret() {
	local repo
	! grep -rlF "$secret" admin "${nodes[@]}" ./*.log || fail 'a secret is in the clear on the disk'
	for repo in "$source/.git" admin/var/admin/release.git n*/var/node/replica.git n*/var/node/quarantine.git; do
		! git --git-dir="$repo" cat-file --batch --batch-all-objects 2>/dev/null | grep -qaF "$secret" ||
			fail "a secret is in the clear in $repo"
	done
}

# --- the cluster ---

set_up() {
	local port name i
	port=$(freeport)
	mkdir -p admin/etc/init
	cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
	sed -i "s|<no-authentication>true</no-authentication>|<secret>$secret</secret>|" admin/etc/init/tokens.xml
	sed -i "s|<environment>|<environment><cluster><admin-listening-host>127.0.0.1</admin-listening-host><host>127.0.0.2</host><port>$port</port></cluster>|" \
		admin/etc/init/environment.xml
	muster --home admin init --host 127.0.0.2 --port "$port" >/dev/null
	rm -r admin/etc/init
	mkdir pristine
	cp "$source/environment.xml" pristine/
	genclust -k admin/var/admin/cluster.key -c 127.0.0.2 -p "$port" >cluster.xml 2>/dev/null
	mkfifo commands
	SEED=$SEED "$MUSTER_BIN/tests/crash/proxy" 127.0.0.2 "$port" 127.0.0.1 "$port" <commands >proxy.log 2>&1 &
	proxy=$!
	exec 8>commands
	within "$DEADLINE" grep -qs ready proxy.log || fail 'the proxy does not listen'
	run_daemon admin
	wait_admin admin
	for ((i = 1; i <= NODES; i++)); do
		name=n$i
		nodes+=("$name")
		role[$name]=$([ $((i % 3)) = 0 ] && echo default || echo internal)
		mkdir -p "$name/etc/init" "$name/etc/vet.d" "$name/etc/activate.d"
		cp cluster.xml "$name/etc/init/"
		give_secret admin "$name" "${role[$name]}"
		set_hooks "$name"
		run_daemon "$name"
	done
}

set_hooks() {
	cat >"$1/etc/vet.d/10-vet" <<-EOT
		#!/bin/sh
		! grep -q '//vetfails-' "\$1/config.xml"
	EOT
	cat >"$1/etc/activate.d/10-activate" <<-EOT
		#!/bin/sh
		grep -q '//hookfails-' "\$MUSTER_PLAIN/config.xml" && exit 1
		grep -q '//hangs-' "\$MUSTER_PLAIN/config.xml" || exit 0
		while [ -e $AREA/hang ]; do sleep 0.1; done
	EOT
	chmod 755 "$1"/etc/*.d/*
}

# The newest release of each role, as the admin's branches have it.
converged() {
	local name
	# one look at the links, before the daemons are asked
	for name in "${nodes[@]}"; do
		[ "$(readlink "$name/var/node/current" 2>/dev/null)" = "revisions/${newest[${role[$name]}]}" ] || return 1
	done
	for name in "${nodes[@]}"; do
		field_is "$name" .transactionId "${newest[${role[$name]}]}" && field_is "$name" .nodeState RUNNING || return 1
	done
}

cease() {
	local name
	rm -f hang
	for name in admin "${nodes[@]}"; do
		touch "$name.good"
		thaw "$name"
	done
	check_alive
	for name in admin "${nodes[@]}"; do
		if [ -z "${pids[$name]:-}" ]; then
			run_daemon "$name"
		fi
	done
	for name in "${nodes[@]}"; do
		rm -f "$name/etc/params"
	done
	commit good
	within "$CONVERGE" field_is admin .published.source "$(git -C "$source" rev-parse HEAD)" ||
		fail 'the admin has not published the last commit'
}

trap end_all EXIT
set_up
samples=0
for name in "${nodes[@]}"; do
	wait_state "$name" RUNNING
done
sample
for ((i = 1; i <= FAULTS; i++)); do
	pick "${#kinds[@]}"
	kind=${kinds[picked]}
	echo "$i $kind" >>faults.log
	"fault_$kind"
	count[$kind]=$((${count[$kind]:-0} + 1))
	pick 15
	sleep "0.$(printf '%02d' "$picked")"
	check_alive
	recover
	if ((i % 5 == 0)); then
		sample
	fi
done
cease
declare -A newest=()
for name in default internal; do
	newest[$name]=$(git -C admin/var/admin/release.git rev-parse "$name")
done
begun=$SECONDS
if ! within "$CONVERGE" converged; then
	for name in "${nodes[@]}"; do
		echo "$name (${role[$name]}): $(field "$name" .nodeState) $(readlink "$name/var/node/current") $(field "$name" .rejected.reason)" >&2
	done
	fail 'not all nodes came to the newest release'
fi
echo "converged in $((SECONDS - begun)) s, at commit $number"
check_alive
sample
[ "${#unsound[@]}" = 0 ] || fail "not mended: ${!unsound[*]}"
no_secret
for kind in "${!count[@]}"; do
	echo "$kind: ${count[$kind]}"
done | sort | paste -sd' '
echo "chaos: $FAULTS faults tried on $NODES nodes, $samples samples"
