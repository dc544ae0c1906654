#!/bin/bash
# muster verify: a whole release history, offline; a good one passes, and the fault of a bad one is named with its release.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
role=internal

exits() {
	local want=$1 code=0
	shift
	timeout "$DEADLINE" "$@" >out 2>err </dev/null || code=$?
	[ "$code" = "$want" ] || fail "exit code $code, not $want: $* ($(cat out err))"
}

mkdir -p admin/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 >/dev/null
genclust -c 127.0.0.1 -k admin/var/admin/cluster.key >cluster.xml 2>/dev/null
genclust -c 127.0.0.1 -k other.key >other.xml 2>/dev/null
muster --home admin publish >/dev/null
for ttl in 301 302; do
	sed -i "s|<access-token-ttl>[0-9]*<|<access-token-ttl>$ttl<|" admin/var/admin/config/tokens.xml
	muster --home admin commit -m "ttl $ttl" >/dev/null
done
git=admin/var/admin/release.git

# --- good ---

exits 0 muster verify --cluster cluster.xml "$git"
grep -qx 'internal  3 releases verified' out && grep -qx 'default  1 releases verified' out || fail "$(cat out)"
[ ! -s err ] || fail "$(cat err)"
exits 0 muster verify --cluster cluster.xml --role internal "$git"
[ "$(cat out)" = 'internal  3 releases verified' ] || fail "$(cat out)"
git clone -q --bare "$git" clone.git
exits 0 muster verify --cluster cluster.xml clone.git

# --- not to be verified ---

exits 1 muster verify --cluster cluster.xml --role nobody "$git"
grep -q '^muster: verify: .* holds no releases of role nobody' err || fail "$(cat err)"
exits 1 muster verify --cluster none.xml "$git"
exits 1 muster verify --cluster cluster.xml admin
exits 1 muster verify --cluster other.xml "$git"
grep -q '^muster: verify: role default: release .* no key of the cluster file signed it' err || fail "$(cat err)"
printf '<config' >broken.xml
exits 1 muster verify --cluster broken.xml "$git"
grep -q broken.xml err || fail "$(cat err)"
git init -q --bare empty.git
exits 1 muster verify --cluster cluster.xml empty.git

# --- every offence, at the tip and below one that is good ---

count=0
while IFS=$'\t' read -r name step _; do
	case $name in
	# these are faults of a place in a history, or of a pack, and no history has them
	older | older-as-newer | sibling | rewound | new-history | stray | retired | retired-chain) continue ;;
	esac
	[ "$step" = verify ] || continue
	rm -rf bad
	mkdir -p bad/var
	cp -R admin/var/admin bad/var/admin
	release=$("$MUSTER_BIN/tests/flow/hostile" --make bad "$role" "$name") || fail "$name could not be made"
	exits 1 muster verify --cluster cluster.xml --role "$role" bad/var/admin/release.git
	[ "$(wc -l <err)" = 1 ] && [ ! -s out ] || fail "$name: not one line: $(cat out err)"
	case $name in
	# the fault is the release below it
	on-unsigned | on-foreign) release=$(git -C bad/var/admin/release.git rev-parse "$release^") ;;
	esac
	grep -q "^muster: verify: role $role: release ${release:0:12}" err || fail "$name: not named: $(cat err)"
	count=$((count + 1))
done < <("$MUSTER_BIN/tests/flow/hostile" --list)
[ "$count" -ge 25 ] || fail "only $count offences"

# A hole in the history, and a damaged object.
rm -rf bad
mkdir -p bad/var
cp -R admin/var/admin bad/var/admin
# a publication is a pack: its objects one by one, to lose and damage them
unpack() {
	local pack
	for pack in "$1"/objects/pack/*.pack; do
		[ -e "$pack" ] || continue
		mv "$pack" "${pack%.pack}".idx "$AREA"
		git -C "$1" unpack-objects -q <"$AREA/${pack##*/}"
	done
}
unpack bad/var/admin/release.git
first=$(git -C "$git" rev-list --max-parents=0 internal)
rm -f "bad/var/admin/release.git/objects/${first:0:2}/${first:2}"
exits 1 muster verify --cluster cluster.xml --role "$role" bad/var/admin/release.git
grep -q "release ${first:0:12}" err || fail "a hole is not named: $(cat err)"
blob=$(git -C "$git" rev-parse "$first:config.xml")
rm -rf bad/var/admin
cp -R admin/var/admin bad/var/admin
unpack bad/var/admin/release.git
chmod u+w "bad/var/admin/release.git/objects/${blob:0:2}/${blob:2}"
printf 'x' >"bad/var/admin/release.git/objects/${blob:0:2}/${blob:2}"
exits 1 muster verify --cluster cluster.xml --role "$role" bad/var/admin/release.git
grep -q "release ${first:0:12}" err || fail "a damaged file is not named: $(cat err)"
