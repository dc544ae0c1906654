#!/bin/bash
# Public configurations of the seed product, as they are: committed on an admin, cut for their roles, and on their nodes.
# Skipped where they are not beside the source tree.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
corpus=${MUSTER_CORPUS:-$top_srcdir/../shared/corpus}
[ -d "$corpus" ] || skip 'the corpus is not there'
area
cd "$AREA"

exits() {
	local want=$1 code=0
	shift
	timeout "$DEADLINE" "$@" >out 2>err </dev/null || code=$?
	[ "$code" = "$want" ] || fail "exit code $code, not $want: $* ($(cat out err))"
}

# roles_of FILE...
roles_of() {
	sed -n '/<service-role/,/<\/service-role>/s|.*<id>\(.*\)</id>.*|\1|p' "$@" | sort -u
}

# cluster NAME FILE...: an admin that is set up with nothing but Muster's own, and the files committed on it.
cluster() {
	local name=$1 port
	shift
	port=$(freeport)
	mkdir -p "$name"
	muster --home "$name/admin" init --host 127.0.0.1 --port "$port" >/dev/null
	start "$name-admin" "$name/admin" --admin --no-status
	wait_admin "$name/admin"
	genclust -c 127.0.0.1 -p "$port" -k "$name/admin/var/admin/cluster.key" >"$name/cluster.xml" 2>/dev/null
	cp "$@" "$name/admin/var/admin/config/"
}

# join NAME NODE ROLE
join() {
	mkdir -p "$1/$2/etc/init"
	cp "$1/cluster.xml" "$1/$2/etc/init/"
	give_secret "$1/admin" "$1/$2" "$3"
	# a value for every parameter of the configuration
	grep -oh '#{[A-Za-z_0-9]*' "$1"/admin/var/admin/config/*.xml | sed 's/#{//; s/$/=1/' | sort -u >"$1/$2/etc/params" || true
	start "$1-$2" "$1/$2" --no-admin --service-role "$3" --service-name "$2" --no-status --log-level info
}

halt() {
	local name
	for name in "${!pids[@]}"; do
		case $name in "$1"-*) stop "$name" || fail "$name did not stop cleanly" ;; esac
	done
}

# arrives NAME FILE...: on a node of each role.
arrives() {
	local name=$1 role roles
	shift
	roles=$(roles_of "$@")
	[ -n "$roles" ] || fail "$name has no roles"
	cluster "$name" "$@"
	exits 0 muster --home "$name/admin" check
	exits 0 muster --home "$name/admin" commit -m "$name"
	for role in $roles; do
		join "$name" "node-$role" "$role"
		wait_state "$name/node-$role" RUNNING
		muster --home "$name/admin" slice --role "$role" >slice
		cmp -s slice "$name/node-$role/var/node/current/config.xml" || fail "$name: $role did not get its slice"
		grep -q 'tail-f.com/ns/config' slice || fail "$name: $role got nothing"
	done
	[ "$(muster --home "$name/admin" nodes --json | jsonget .#)" = "$(wc -w <<<"$roles")" ] || fail "$name: nodes are missing"
	echo "ok: $name: $# files, arrived at a node of each role:" $roles
}

for file in "$corpus"/whole/*.xml; do
	name=$(basename "$file" .xml)
	arrives "$name" "$file"
	halt "$name"
done
arrives kubernetes "$corpus"/kubernetes/*.xml
halt kubernetes

# --- two roles: what is taken from one does not wake the other ---

arrives two-roles "$corpus"/two-roles/*.xml
first=$(roles_of "$corpus"/two-roles/*.xml | grep -v '^internal$' | head -n 1)
before=$(field "two-roles/node-$first" .transactionId)
logged=$(wc -c <"two-roles-node-$first.log")
internal=$(field two-roles/node-internal .transactionId)
file=$(grep -l '<id>internal</id>' two-roles/admin/var/admin/config/*.xml | head -n 1)
endpoint=$(sed -n '/<id>internal<\/id>/,/<\/service-role>/s|.*<endpoints>\(.*\)</endpoints>.*|\1|p' "$file" | tail -n 1)
grep -qF "$endpoint" two-roles/node-internal/var/node/current/config.xml || fail "$endpoint did not arrive"
awk -v endpoint="<endpoints>$endpoint</endpoints>" '
	/<id>internal<\/id>/ { ours = 1 }
	/<\/service-role>/ { ours = 0 }
	!(ours && index($0, endpoint))' "$file" >edited
cmp -s edited "$file" && fail 'nothing was taken'
cat edited >"$file"
exits 0 muster --home two-roles/admin commit -m "internal loses $endpoint" --wait
grep -q "^node-internal .*runs it" out || fail "internal did not follow: $(cat out)"
[ "$(field two-roles/node-internal .transactionId)" != "$internal" ] || fail 'internal has the release it had'
grep -qF "<endpoints>$endpoint</endpoints>" two-roles/node-internal/var/node/current/config.xml && fail "$endpoint stayed"
[ "$(field "two-roles/node-$first" .transactionId)" = "$before" ] || fail "$first has another release"
[ "$(wc -c <"two-roles-node-$first.log")" = "$logged" ] || fail "$first was woken: $(tail -n 3 "two-roles-node-$first.log")"
halt two-roles
echo "ok: two-roles: $endpoint is gone from internal, and $first was not woken"

# --- what is wrong is refused, with its places ---

cluster gitops "$corpus"/gitops/*.xml
code=0
muster --home gitops/admin check >out 2>err || code=$?
[ "$code" = 1 ] || fail "gitops: exit code $code"
[ "$(wc -l <out)" = 3 ] || fail "gitops: not three findings: $(cat out)"
grep -q '^muster: check: 3 findings' err || fail "gitops: $(cat err)"
while IFS=: read -r file line _ rest; do
	name=$(sed -n 's|.*endpoint "\([^"]*\)" is not defined by any profile.*|\1|p' <<<"$rest")
	[ -n "$name" ] || fail "gitops: another finding: $rest"
	sed -n "${line}p" "$corpus/gitops/$file" | grep -qF ">$name<" || fail "gitops: $name is not at $file:$line"
done <out
exits 1 muster --home gitops/admin commit -m gitops
halt gitops
echo 'ok: gitops: refused, each dangling endpoint with its file and line'

mkdir -p theirs/etc/init
cp "$corpus/cluster/cluster-config.xml" theirs/etc/init/
exits 1 muster --home theirs init
grep -q 'another product' err || fail "the keystore of the seed product: $(cat err)"
[ ! -e theirs/var/admin/config ] || fail 'it was set up nevertheless'
exits 1 musterd --home theirs --no-admin --no-status
grep -q 'another product' err || fail "the keystore of the seed product: $(cat err)"
