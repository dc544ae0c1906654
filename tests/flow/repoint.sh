#!/bin/bash
# A node is pointed to another address of its admin, and given another key epoch: by hand with a file in etc/init, and by a
# release. It takes both without a restart, and what leads nowhere strands it neither at once nor after a restart.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
closed=$(freeport)
source=admin/var/admin/config

node() { start node node --no-admin --service-role internal --service-name node --no-status; }

halt() { stop "$1" || fail "$1 did not stop cleanly"; }

tells() { within "$DEADLINE" grep -q -- "$1" node.log || fail "the node does not tell: $1"; }

# point HOST PORT: a cluster file for the node, as an editor writes it.
point() {
	genclust -c "$1" -p "$2" -k admin/var/admin/cluster.key >node/etc/init/.cluster.new 2>/dev/null
	mv node/etc/init/.cluster.new node/etc/init/cluster.xml
}

# at HOST: registered there.
is_at() { field_is node .admin.host "$1" && field_is node .admin.connected true; }

at() { within "$DEADLINE" is_at "$1" || fail "it is at $(field node .admin.host), not $1: $(cat node.log)"; }

# release HOST SECONDS: the configuration says where the admin is; and one more thing, so that there is something to wait for.
release() {
	muster --home admin set environments/environment/cluster/host "$1" >/dev/null
	sed -i "s|<access-token-ttl>[0-9]*<|<access-token-ttl>$2<|" "$source/tokens.xml"
	muster --home admin commit -m "$1" >/dev/null
}

has() { within "$DEADLINE" grep -q ">$1<" node/var/node/current/config.xml || fail "the release with $1 did not come"; }

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
point 127.0.0.1 "$port"
give_secret admin node internal
start admin admin --admin --no-status
wait_admin admin
node
wait_state node RUNNING

# --- by hand ---

point localhost "$port"
at localhost
release 127.0.0.1 401
has 401
is_at localhost || fail 'a release took the address away that was given by hand'
halt node
node
at localhost
# one that leads nowhere: told, and the one of the configuration serves
point 127.0.0.1 "$closed"
tells "the admin is reached on port $port as the configuration says; not on 127.0.0.1 port $closed, as etc/init says: no admin"
wait_state node RUNNING
is_at 127.0.0.1 || fail 'not at the address of the configuration'
# and mended
point localhost "$port"
at localhost
rm node/etc/init/cluster.xml
at 127.0.0.1

# --- by a release ---

release localhost 402
has 402
at localhost
release nowhere.invalid 403
has 403
tells 'the admin is reached on port .* as the configuration that worked before says; not on nowhere.invalid'
at localhost
# what is wrong there does not keep the next release away, nor does a restart
release nowhere.invalid 404
has 404
is_at localhost || fail 'a bad address that is no news is tried again'
halt node
node
at localhost
release 127.0.0.1 405
has 405
at 127.0.0.1
kill -0 "${pids[node]}" || fail 'it was started anew'
halt node
node
at 127.0.0.1

# --- a key epoch ---

# The second epoch comes with a release, while the first still holds; then the first ends.
key=admin/var/admin/cluster.key
root=$(head -c 32 /dev/urandom | base64 -w 0 | tr '+/' '-_' | tr -d '=')
halt admin
sed -i "s|^root 1 |root 2 $root\n&|" "$key"
start admin admin --admin --no-status
wait_state node RUNNING
release 127.0.0.1 406
has 406
tells 'is where the admin is now, says the configuration'
wait_state node RUNNING
halt admin
sed -i '/^root 1 /d' "$key"
wait_state node WAITING
start admin admin --admin --no-status
wait_state node RUNNING
halt node
node
wait_state node RUNNING
halt admin
halt node
