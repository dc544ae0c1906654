#!/bin/bash
# The serving engine, with stock git as the client: clone, fetch what is new, fetch nothing, and what is not to be had.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"

export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.com GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.com
export GIT_TERMINAL_PROMPT=0 GIT_PROTOCOL=

# git as a client that may run our program; version 0 is what libgit2 speaks, 2 must fall back to it
client() { git -c protocol.ext.allow=always "$@"; }
url() { printf 'ext::%s/tests/flow/servepack %s refs/heads/%s' "$MUSTER_BIN" "$AREA/a.git" "$1"; }

# release ROLE TEXT: a commit on top of the role's branch
release() {
	git -C "w-$1" checkout -q "$1"
	mkdir -p "w-$1/files/deep/er"
	printf '%s\n' "$2" >"w-$1/config.xml"
	printf '%s\n' "$2 $2" >"w-$1/files/deep/er/f"
	git -C "w-$1" add -A
	git -C "w-$1" commit -q -m "$2"
	git -C "w-$1" push -q ../a.git "$1"
}

git init -q --bare a.git
for role in web ledger; do
	git init -q -b "$role" "w-$role"
	git -C "w-$role" commit -q --allow-empty -m first
	for i in 1 2 3 4 5; do release "$role" "$role $i"; done
done

same() { [ "$(git -C "$1" rev-parse "$2")" = "$(git -C a.git rev-parse "refs/heads/$3")" ] || fail "$1 is not at $3"; }

for version in 0 1 2; do
	client -c protocol.version=$version clone -q --bare "$(url web)" "clone$version" || fail "clone with version $version"
	git -C "clone$version" fsck --full --strict --no-dangling || fail "clone with version $version is damaged"
	same "clone$version" refs/heads/web web
done
[ "$(git -C clone0 for-each-ref --format='%(refname)')" = refs/heads/web ] || fail 'more than one ref was shown'
git -C clone0 cat-file -e "$(git -C a.git rev-parse ledger)" 2>/dev/null && fail 'objects of another role came along'

# what is new, and only that
before=$(git -C clone0 count-objects -v | sed -n 's/^in-pack: //p')
release web 'web 6'
release web 'web 7'
client -C clone0 -c fetch.unpackLimit=1 fetch -q "$(url web)" +refs/heads/web:refs/heads/web || fail 'fetch'
git -C clone0 fsck --full --strict --no-dangling || fail 'damaged after a fetch'
same clone0 refs/heads/web web
after=$(git -C clone0 count-objects -v | sed -n 's/^in-pack: //p')
[ $((after - before)) -lt "$before" ] || fail "a fetch of two releases brought $((after - before)) objects"

# nothing new
client -C clone0 fetch -q "$(url web)" +refs/heads/web:refs/heads/web || fail 'fetch of nothing'
same clone0 refs/heads/web web

# a client with thousands of commits of its own, none of them in common
git init -q --bare stranger
git -C stranger fast-import --quiet < <(
	for i in $(seq 1 3000); do
		printf 'commit refs/heads/own\ncommitter Ada <ada@example.com> %d +0000\ndata 2\nx\n' $((1700000000 + i))
	done
)
client -C stranger fetch -q "$(url web)" +refs/heads/web:refs/heads/web || fail 'fetch without anything in common'
git -C stranger fsck --full --no-dangling || fail 'damaged without anything in common'
same stranger refs/heads/web web

# one that has another role's history gets nothing by it but its own
client -C stranger fetch -q ./../a.git +refs/heads/ledger:refs/heads/ledger
release web 'web 8'
client -C stranger fetch -q "$(url web)" +refs/heads/web:refs/heads/web || fail 'fetch with a foreign history'
git -C stranger fsck --full --no-dangling || fail 'damaged with a foreign history'
same stranger refs/heads/web web

# not to be had: another role's tip, an older release, by id
for oid in "$(git -C a.git rev-parse ledger)" "$(git -C a.git rev-parse web~1)"; do
	git init -q --bare greedy
	! client -C greedy fetch -q "$(url web)" "$oid" 2>greedy.log || fail "$oid was to be had"
	! git -C greedy cat-file -e "$oid" 2>/dev/null || fail "$oid is there"
	rm -rf greedy
done
! client -C clone0 fetch -q "$(url web)" refs/heads/ledger 2>greedy.log || fail 'the branch of another role was to be had'
# git takes all of it, or nothing, where there is no shallow
git init -q --bare shallow
client -C shallow fetch -q --depth 1 "$(url web)" +refs/heads/web:refs/heads/web 2>shallow.log || true
case $(git -C shallow for-each-ref) in
'') ;;
*) [ "$(git -C shallow rev-list --count web)" = "$(git -C a.git rev-list --count web)" ] || fail 'a shallow fetch was to be had' ;;
esac

# a role without a release
client clone -q --bare "$(url nothing)" empty 2>empty.log || fail 'a clone of nothing'
[ -z "$(git -C empty for-each-ref)" ] || fail 'a role without a release shows something'
