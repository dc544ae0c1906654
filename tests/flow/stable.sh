#!/bin/bash
# What is not changed does not change: slices that any XML parser takes, a change of one value that is one line wherever it is
# kept, a commit of nothing that is none, and two roles that get what is theirs. Without daemons.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git xmllint
corpus=${MUSTER_CORPUS:-$top_srcdir/../shared/corpus}
area
cd "$AREA"

# setup NAME FILE...: an admin whose first published commit is these files as they are.
setup() {
	local name=$1
	shift
	mkdir "$name"
	muster --home "$name" init --host 127.0.0.1 --port 6789 >/dev/null
	cp "$@" "$name/var/admin/config/"
	muster --home "$name" commit -m "$name" >out 2>err || fail "$name: $(cat out err)"
}

roles_of() { git -C "$1/var/admin/release.git" for-each-ref --format='%(refname:short)' refs/heads; }

refs() { git -C "$1/var/admin/config" rev-parse HEAD; git -C "$1/var/admin/release.git" for-each-ref; }

well_formed() {
	local role
	[ -n "$(roles_of "$1")" ] || fail "$1: no releases"
	for role in $(roles_of "$1"); do
		muster --home "$1" slice --role "$role" >slice.xml
		xmllint --noout --nonet slice.xml 2>err || fail "$1: slice of $role: $(cat err)"
		git -C "$1/var/admin/release.git" show "$role:config.xml" >released.xml
		cmp -s slice.xml released.xml || fail "$1: the slice of $role is not what was released"
	done
}

# Twice: with nothing changed, and with files that were only written again.
committed_again() {
	local before
	before=$(refs "$1")
	muster --home "$1" commit -m again >out 2>err || fail "$1: a commit of nothing: $(cat out err)"
	grep -qx 'nothing to commit' out || fail "$1: a commit of nothing says: $(cat out err)"
	find "$1/var/admin/config" -name '*.xml' -exec touch {} +
	muster --home "$1" commit -m again >out 2>err || fail "$1: a commit of touched files: $(cat out err)"
	muster --home "$1" publish >out 2>err || fail "$1: publish: $(cat out err)"
	[ "$(refs "$1")" = "$before" ] || fail "$1: a commit of nothing made something"
	echo "ok: $1: xmllint takes its slices of" $(roles_of "$1") "and a commit without a change makes nothing"
}

# one_line REPOSITORY REV OLD NEW: the commit differs from the one before it in one line, of this value.
one_line() {
	git -C "$1" diff -U0 "$2~1" "$2" >diff
	[ "$(grep -c '^[-+][^-+]' diff)" = 2 ] && grep -q "^-.*>$3<" diff && grep -q "^+.*>$4<" diff || fail "$1 $2: $(cat diff)"
}

# change NAME FILE ELEMENT: its first value, once and again; every role that has it gets one line each time.
change() {
	local name=$1 file=$1/var/admin/config/$2 role value before new
	value=$(sed -n "s|.*<$3>\(.*\)</$3>.*|\1|p" "$file" | head -n 1)
	[ -n "$value" ] || fail "$name: there is no $3 in $2"
	for new in 1001 1002; do
		refs "$name" >before
		sed -i "0,\\|<$3>$value</$3>|s||<$3>$new</$3>|" "$file"
		muster --home "$name" commit -m "$new" >out 2>err || fail "$name: $(cat out err)"
		one_line "$name/var/admin/config" HEAD "$value" "$new"
		before=0
		for role in $(roles_of "$name"); do
			git -C "$name/var/admin/release.git" show-ref | grep -qF "$(grep "refs/heads/$role\$" before | cut -c1-40) " && continue
			one_line "$name/var/admin/release.git" "$role" "$value" "$new"
			before=$((before + 1))
		done
		[ "$before" -gt 0 ] || fail "$name: the change of $3 made no release"
		value=$new
	done
	echo "ok: $name: two changes of $3, one line each in the repository and in the slices of $before roles"
}

for name in demo shop; do
	setup "$name" "$top_srcdir/tests/fixtures/$name"/*
	well_formed "$name"
	committed_again "$name"
done
change demo tokens.xml access-token-ttl

if ! [ -d "$corpus" ]; then
	echo 'the corpus is not there: only the fixtures were tried'
	exit 0
fi
for file in "$corpus"/whole/*.xml; do
	name=$(basename "$file" .xml)
	setup "$name" "$file"
	well_formed "$name"
	committed_again "$name"
done
for name in kubernetes two-roles; do
	setup "$name" "$corpus/$name"/*.xml
	well_formed "$name"
	committed_again "$name"
done
change two-roles token-service-internal.xml description

# --- what the role internal of two-roles is given, and nothing else ---

muster --home two-roles slice --role internal >slice.xml

# is WANT STEP...: the texts at the end of these steps of local names, from anywhere, are these words.
is() {
	local want=$1 path=/ step got
	shift
	for step; do
		path="$path/*[local-name()='$step']"
	done
	got=$(xmllint --xpath "$path/text()" slice.xml 2>/dev/null | tr '\n' ' ') || true
	[ "${got% }" = "$want" ] || fail "internal: $* is \"$got\", not \"$want\""
}

is token-service-internal profiles profile id
is 'internal-token-service-anonymous internal-token-service-introspect internal-token-service-token' endpoints endpoint id
is internal service-role id
is 'internal-token-service-anonymous internal-token-service-introspect internal-token-service-token' service-role endpoints
is default-datasource data-sources data-source id
is default-datasource token-issuers default-token-issuer default-data-source
is default-signing-key signing-keys signing-key id
is default-signing-key jwt-issuer-settings signing-key-id
is default-account-manager account-managers account-manager id
for word in authentication-service nacm aaa admin-service credential-manager authorization-manager server-keystore; do
	! grep -qE "<$word[ >/]|>$word" slice.xml || fail "internal: $(grep -E "<$word[ >/]|>$word" slice.xml)"
done
echo 'ok: two-roles: internal has its profile with what that refers to, and nothing else'
