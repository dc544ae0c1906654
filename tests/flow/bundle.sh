#!/bin/bash
# A bundle in a new node's etc/init: verified like a fetch, it seeds the replica, and nothing of it is fetched again; a bad one is told
# and does no harm.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

change() {
	sed -i "s|<access-token-ttl>[0-9]*<|<access-token-ttl>$1<|" admin/var/admin/config/tokens.xml
	muster --home admin commit -m "lifetime $1" >/dev/null
}

# node NAME: a home that knows the cluster.
node() {
	mkdir -p "$1/etc/init"
	cp cluster.xml "$1/etc/init/"
	give_secret admin "$1" internal
}

run_node() { start "$1" "$1" --no-admin --service-role internal --service-name "$1" --no-status; }

packs() { find "$1/var/node/replica.git/objects/pack" -name '*.pack' 2>/dev/null | wc -l; }

tip() { git -C "$1" rev-parse -q --verify refs/heads/internal; }

says() { grep -qF -- "$2" "$1.log"; }

fails() { # fails CODE TEXT COMMAND...
	local want=$1 text=$2 code=0
	shift 2
	"$@" >out 2>err </dev/null || code=$?
	[ "$code" = "$want" ] || fail "$*: exit $code instead of $want: $(cat err)"
	grep -qF -- "$text" err || fail "$*: \"$(cat err)\" instead of \"$text\""
}

need git
area
cd "$AREA"
port=$(freeport)
mkdir -p admin/etc/init other/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
cp "$top_srcdir"/tests/fixtures/demo/*.xml other/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >cluster.xml 2>/dev/null)
muster --home admin publish >/dev/null
change 201
change 202
release=admin/var/admin/release.git

# --- writing ---
muster --home admin bundle --role internal >internal.bundle
muster --home admin bundle --role default >default.bundle
git -C "$release" bundle verify -q ../../../../internal.bundle
git clone -q -b internal internal.bundle clone
[ "$(git -C clone rev-parse HEAD)" = "$(tip "$release")" ] || fail 'the bundle holds another release'
fails 2 '--role' muster --home admin bundle
fails 2 '--role' muster --home admin bundle --role internal default
fails 2 'twice' muster --home admin bundle --role internal --role default
fails 2 'no name' muster --home admin bundle --role ../x
fails 1 'role nobody has no releases' muster --home admin bundle --role nobody
fails 1 '' muster --home nowhere bundle --role internal
code=0
muster --home admin bundle --role internal >/dev/full 2>err || code=$?
[ "$code" = 1 ] || fail "a full disk: exit $code"

# --- a node that has the bundle, while there is no admin ---
node good
cp internal.bundle good/etc/init/
run_node good
within "$DEADLINE" says good 'releases up to sequence 3 taken' || fail 'the bundle was not taken'
[ "$(tip good/var/node/replica.git)" = "$(tip "$release")" ] || fail 'the replica is at another release'
[ "$(packs good)" = 1 ] || fail 'not one pack in the replica'
stop good || fail 'the node did not stop cleanly'

# --- bad ones: cut off, of another cluster, of another role only, no bundle at all ---
muster --home other init --host 127.0.0.1 --port "$port" >/dev/null
muster --home other publish >/dev/null
node bad
head -c 1500 internal.bundle >bad/etc/init/1.bundle
muster --home other bundle --role internal >bad/etc/init/2.bundle
cp default.bundle bad/etc/init/3.bundle
echo hello >bad/etc/init/4.bundle
mkdir bad/etc/init/5.bundle
run_node bad
within "$DEADLINE" says bad '5.bundle: not used' || fail 'the folder was not told'
for number in 1 2 4; do
	grep -qE "error init $number.bundle: not used" bad.log || fail "bundle $number was not told"
done
[ -z "$(tip bad/var/node/replica.git)" ] || fail 'a bad bundle was taken'
[ "$(packs bad)" = 0 ] || fail 'something of a bad bundle stayed'
stop bad || fail 'the node did not stop cleanly'

# --- with the admin there: the release of the bundle is deployed without a fetch, and the next one is fetched ---
start admin admin --admin
wait_admin admin
run_node good
run_node bad
wait_sequence good 3
wait_sequence bad 3
[ "$(packs good)" = 1 ] || fail 'what the bundle had was fetched again'
says good 'releases up to sequence' || fail 'the log is gone'
[ "$(grep -c 'releases up to sequence' good.log)" = 1 ] || fail 'the bundle was taken twice'
change 203
wait_sequence good 4
wait_sequence bad 4
[ "$(tip good/var/node/replica.git)" = "$(tip "$release")" ] || fail 'the replica does not follow'
