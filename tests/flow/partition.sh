#!/bin/bash
# Partitions between a node and its admin: in the middle of a fetch, one way, and of a network that drops packets. The node serves
# on, takes what is newest when it is over, and others are not disturbed. What goes over the wire shows no configuration and no name.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
between=$(freeport)
config=admin/var/admin/config
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.com GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.com

coproc PROXY { exec "$MUSTER_BIN/tests/flow/proxy" "$between" "$port" "$AREA/wire" 2>>"$AREA/proxy.log"; }
pids[proxy]=$PROXY_PID

# proxy WORDS...: what it answers is in ANSWER
proxy() {
	echo "$*" >&"${PROXY[1]}"
	read -r -t "$DEADLINE" ANSWER <&"${PROXY[0]}" || fail "the proxy does not answer: $*"
}
down() { proxy count && echo "${ANSWER#* }"; }

# release BYTES: commits that many which do not compress, for the role of the nodes; the number of its release is RELEASE
RELEASE=1
release() {
	mkdir -p "$config/files/internal"
	head -c "$1" /dev/urandom >"$config/files/internal/blob"
	git -C "$config" add files
	git -C "$config" commit -qm "release of $1 bytes"
	RELEASE=$((RELEASE + 1))
	within "$DEADLINE" field_is admin .published.roles.internal.sequence "$RELEASE" || fail 'it was not published'
}

mkdir -p admin/etc/init near/etc/init far/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >init.log
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >near/etc/init/cluster.xml)
cp -p near/etc/init/cluster.xml far/etc/init/
give_secret admin near internal
give_secret admin far internal
start admin admin --admin --log-level info
wait_admin admin
start near near --no-admin --service-role internal --service-name nearby-machine --no-status
start far far --no-admin --service-role internal --service-name faraway-machine --no-status --log-level debug
wait_state near RUNNING
wait_state far RUNNING
wait_sequence far 1

# A file changed by hand counts over the address that the release has.
(umask 077 && genclust -c 127.0.0.1 -p "$between" -k admin/var/admin/cluster.key >far/cluster.xml)
mv far/cluster.xml far/etc/init/
within "$DEADLINE" field_is far .admin.port "$between" || fail 'far does not go through the proxy'
wait_state far RUNNING

# --- in the middle of a fetch ---

# heals: the connection is the same, and the fetch goes on
proxy after 100000
release 1000000
wait_sequence near "$RELEASE"
before=$(down)
field_is far .sequence 1 || fail 'far has a release of which it got a part'
[ -e far/run/current/config.xml ] || fail 'far serves nothing'
proxy pass
wait_sequence far "$RELEASE"
[ "$(down)" -gt $((before + 500000)) ] || fail 'the rest of the pack did not come after the partition'

# does not heal, and the connections are gone: the node dials again, and nothing of the half stays
proxy after 100000
release 1000000
wait_sequence near "$RELEASE"
proxy cut
within "$DEADLINE" field_is far .nodeState WAITING || fail "far is $(field far .nodeState) without its admin"
field_is far .sequence $((RELEASE - 1)) || fail 'far does not serve what it had'
[ -z "$(find far/var/node -name 'tmp_*' -o -name 'incoming*' | head -n 1)" ] || fail 'a part of a fetch stays'
proxy pass
wait_sequence far "$RELEASE"
wait_state far RUNNING
git -C far/var/node/replica.git fsck --strict >fsck.log 2>&1 || fail "$(cat fsck.log)"

# --- one way ---

# to the node alone: it hears of the release, which is too large to come with the news, and its request does not arrive
proxy block up
release 300000
wait_sequence near "$RELEASE"
field_is far .sequence $((RELEASE - 1)) || fail 'far has what it could not ask for'
field_is far .admin.connected true || fail 'far gave up at once'
proxy pass
wait_sequence far "$RELEASE"

# from the node alone: it hears of nothing, and of the newest one when it is over
proxy block down
release 2000
release 2000
wait_sequence near "$RELEASE"
field_is far .sequence $((RELEASE - 2)) || fail 'far has what it could not hear of'
proxy pass
wait_sequence far "$RELEASE"
wait_state far RUNNING

# --- what was on the wire ---

[ "$(stat -c %s wire)" -gt 2000000 ] || fail 'the capture is too small to say anything'
grep -aqF MUSTER wire || fail 'the capture is not of the channel'
head -c 64 "$config/files/internal/blob" >needle
for word in faraway-machine nearby-machine internal default release register refs/heads PACK \
	'http://tail-f.com' 'Inner network' 'login.example.com' internal-tokens-introspect '<config' 'files/' muster.digest; do
	! grep -aqF -- "$word" wire || fail "the wire shows \"$word\""
done
stop far || fail 'far did not stop well'
exec {PROXY[1]}>&- || true
unset 'pids[proxy]'
stop near || fail 'near did not stop well'

# --- a real network, where there may be one: packets are dropped, and no one is told ---

[ "$(id -u)" = 0 ] && command -v ip >/dev/null || { echo 'no network namespaces without root and ip: that part is left out'; exit 0; }
space=muster-$$
clean() {
	local code=$?
	set +e # or what was called for ends here, before the daemons do
	[ -z "${pids[far]:-}" ] || stop far || true # by now it says nothing
	[ -z "${pids[admin]:-}" ] || stop admin || true
	ip netns del "$space-a" 2>/dev/null || true
	ip netns del "$space-b" 2>/dev/null || true
	return "$code"
}
trap 'clean; finish' EXIT
network() {
	ip netns add "$space-a" && ip netns add "$space-b" &&
		ip -n "$space-a" link add veth0 type veth peer name veth0 netns "$space-b" &&
		ip -n "$space-a" addr add 10.77.0.1/24 dev veth0 && ip -n "$space-b" addr add 10.77.0.2/24 dev veth0 &&
		ip -n "$space-a" link set veth0 up && ip -n "$space-b" link set veth0 up &&
		ip -n "$space-a" link set lo up && ip -n "$space-b" link set lo up
}
network 2>netns.log || { echo "no network namespaces here: $(head -n 1 netns.log)"; exit 0; }
stop admin || fail 'the admin did not stop well'

# within_space SPACE NAME HOME OPTION...: as start does
within_space() {
	local in=$1 name=$2 home=$3
	shift 3
	ip netns exec "$space-$in" musterd --home "$home" "$@" </dev/null >>"$AREA/$name.log" 2>&1 &
	pids[$name]=$!
}
(umask 077 && genclust -c 10.77.0.1 -p "$port" -k admin/var/admin/cluster.key >far/etc/init/cluster.xml)
within_space a admin admin --admin --no-status --log-level info
wait_admin admin
within_space b far far --no-admin --service-role internal --service-name faraway-machine --no-status
wait_state far RUNNING

# what far sends is dropped: a route to nowhere; then what the admin sends; then both, with nothing left of the link
drop() { ip -n "$space-$1" route add blackhole "$2" metric 0 && ip -n "$space-$1" route flush cache; }
# A new connection from far to the admin is made, or not.
reaches() { timeout 1 ip netns exec "$space-b" bash -c ": </dev/tcp/10.77.0.1/$port" 2>/dev/null; }
heal() { ip -n "$space-$1" route del blackhole "$2"; }
for side in b a; do
	other=10.77.0.$([ "$side" = a ] && echo 2 || echo 1)/32
	reaches || fail 'the network is not one'
	drop "$side" "$other"
	! reaches || fail 'nothing is dropped'
	release 300000
	field_is far .sequence $((RELEASE - 1)) || fail "far has what was dropped ($side)"
	heal "$side" "$other"
	wait_sequence far "$RELEASE"
done
ip -n "$space-a" link set veth0 down
! reaches || fail 'the network is not down'
release 300000
field_is far .sequence $((RELEASE - 1)) || fail 'far has what was dropped'
ip -n "$space-a" link set veth0 up
wait_sequence far "$RELEASE"
wait_state far RUNNING
stop far || fail 'far did not stop well'
stop admin || fail 'the admin did not stop well'
