#!/bin/bash
# Mistakes by people who write a configuration, on all the ways it may come in (muster check, muster commit, plain git), and
# branches that are rewritten: nothing wrong is published, and what is published is never rewound.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
source=admin/var/admin/config
export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.com GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.com

exits() {
	local want=$1 code=0
	shift
	timeout "$DEADLINE" "$@" >out 2>err </dev/null || code=$?
	[ "$code" = "$want" ] || fail "exit code $code, not $want: $* ($(cat out err))"
}

head_of() { git -C "$source" rev-parse HEAD; }

published() { git -C admin/var/admin/release.git for-each-ref --format='%(refname) %(objectname)'; }

one_line() { [ "$(wc -l <err)" = 1 ] || fail "not one line on stderr: $(cat err)"; }

mkdir -p admin/etc/init node/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >/dev/null
genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml 2>/dev/null
give_secret admin node internal
start admin admin --admin --no-status
wait_admin admin
start node node --no-admin --service-role internal --service-name node --no-status
wait_state node RUNNING
release=$(field node .transactionId)

# finding NAME PLACE WORDS: of the work tree as it is now. It is refused on every way, and the work tree is as before then.
finding() {
	local before bad roles
	before=$(head_of)
	roles=$(published)
	exits 1 muster --home admin check
	one_line
	grep -q '^muster: check: ' err || fail "$1: check says: $(cat err)"
	cat out err >said
	grep -F -- "$2" said | grep -qF -- "$3" || fail "$1: check does not say \"$2 … $3\": $(cat said)"
	exits 1 muster --home admin slice --role internal
	exits 1 muster --home admin commit -m "$1"
	cat out err >said
	grep -F -- "$2" said | grep -qF -- "$3" || fail "$1: commit does not say \"$2 … $3\": $(cat said)"
	[ "$(head_of)" = "$before" ] || fail "$1: it was committed"
	# the filter or the hook refuses it, and what goes past them is refused as a publication
	! { git -C "$source" add -A && git -C "$source" commit -q -m "$1"; } 2>said || fail "$1: plain git takes it"
	[ -s said ] || fail "$1: plain git does not say why not"
	git -C "$source" -c filter.muster.clean=cat add -A
	git -C "$source" -c filter.muster.clean=cat commit -q -n -m "$1"
	bad=$(head_of)
	within "$DEADLINE" field_is admin .refused.source "$bad" || fail "$1: plain git is not told as refused"
	field admin .refused.reasons >said
	grep -F -- "$2" said | grep -qF -- "$3" || fail "$1: status does not say \"$2 … $3\": $(cat said)"
	grep -qF -- "$2" admin.log || fail "$1: the log does not say it"
	[ "$(published)" = "$roles" ] || fail "$1: something was published"
	field_is node .transactionId "$release" || fail "$1: the node has another release"
	git -C "$source" reset -q --hard "$before"
	within "$DEADLINE" field_is admin .refused null || fail "$1: still refused after the reset"
	[ "$(published)" = "$roles" ] || fail "$1: the reset published something"
}

bad=$top_srcdir/tests/fixtures/bad
cp "$bad/unclosed.xml" "$source/bad.xml"
finding 'not well-formed' bad.xml: 'not well-formed'
cp "$bad/root.xml" "$source/bad.xml"
finding 'wrong root' bad.xml: root
cp "$bad/duplicate-key.xml" "$source/bad.xml"
finding 'a key twice' bad.xml:6 bad.xml:3
cat >"$source/more.xml" <<-'EOX'
<config xmlns="http://tail-f.com/ns/config/1.0">
  <environments xmlns="https://curity.se/ns/conf/base">
    <environment>
      <base-url>https://other.example.com</base-url>
    </environment>
  </environments>
</config>
EOX
finding 'two values' more.xml:4 environment.xml:
for name in cdata doctype external laughs mixed outside utf8 xinclude; do
	cp "$bad/$name.xml" "$source/bad.xml"
	finding "$name" bad.xml ''
done
# at WORDS: the place of the line of environment.xml that has them.
at() { echo "environment.xml:$(grep -nF -- "$1" "$source/environment.xml" | head -n 1 | cut -d: -f1): "; }

sed -i 's|>internal-tokens-token</endpoints>|>no-such-endpoint</endpoints>|' "$source/environment.xml"
finding 'undefined endpoint' "$(at no-such-endpoint)" 'is not defined by any profile'
sed -i '0,/<protocol>http</s//<protocol>https</' "$source/environment.xml"
finding 'https without key store' "$(at '>https<')" 'service-role[default]/protocol: https without a key store'
sed -i 's|<port>8444</port>|&\n          <zone>nowhere</zone>|' "$source/environment.xml"
finding 'undefined zone' "$(at nowhere)" 'is not in services/zones/zone'
mkdir "$source/schema"
cat >"$source/schema/site.rng" <<-'EOX'
<grammar xmlns="http://relaxng.org/ns/structure/1.0" datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
  <start><ref name="any"/></start>
  <define name="any">
    <element>
      <choice><anyName><except><name ns="https://curity.se/ns/conf/base">location</name></except></anyName></choice>
      <zeroOrMore><attribute><anyName/></attribute></zeroOrMore>
      <mixed>
        <zeroOrMore>
          <choice>
            <ref name="any"/>
            <element name="location" ns="https://curity.se/ns/conf/base"><data type="string"><param name="pattern">[A-Z].* network</param></data></element>
          </choice>
        </zeroOrMore>
      </mixed>
    </element>
  </define>
</grammar>
EOX
sed -i 's|>Inner network<|>somewhere<|' "$source/environment.xml"
finding 'schema' "$(at somewhere)" 'may not be the value here (schema/site.rng)'
[ "$(head_of)" = "$(field admin .head)" ] || fail 'the head is another'

# --- rewritten branches: a new release on top, and told ---

# rewritten WHAT: what was done moved main away from what was published.
rewritten() {
	local old=$release
	sequence=$((sequence + 1))
	within "$DEADLINE" field_is admin .published.source "$(head_of)" || fail "$1: not published"
	within "$DEADLINE" field_is node .source "$(head_of)" || fail "$1: did not arrive"
	release=$(field node .transactionId)
	[ "$(field node .sequence)" = "$sequence" ] || fail "$1: not the next sequence"
	[ "$(git -C admin/var/admin/release.git rev-parse "$release^")" = "$old" ] || fail "$1: not on top"
	grep -q "main: was rewritten: $(head_of | cut -c1-12)" admin.log || fail "$1: not told: $(tail -n 3 admin.log)"
	field_is node .rejected null || fail "$1: the node rejects it"
}

change() {
	sed "s|<access-token-ttl>[0-9]*<|<access-token-ttl>$1<|" "$source/tokens.xml" >edited
	cat edited >"$source/tokens.xml"
}

change 301
muster --home admin commit -m 'one' --wait >/dev/null
change 302
muster --home admin commit -m 'two' --wait >/dev/null
release=$(field node .transactionId)
sequence=$(field node .sequence)

git -C "$source" reset -q --hard HEAD~1
rewritten reset
grep -q '>301<' node/var/node/current/config.xml || fail 'the reset is not what the node runs'

change 303
git -C "$source" commit -q -a --amend -m 'one, amended'
rewritten amend

git clone -q "$source" clone
sed -i 's|<access-token-ttl>303<|<access-token-ttl>304<|' clone/tokens.xml
git -C clone commit -q -a --amend -m 'pushed by force'
if git -C clone push -q origin main 2>/dev/null; then fail 'a push without force rewrote main'; fi
git -C clone push -q --force origin main 2>err || fail "push: $(cat err)"
rewritten 'push --force'
[ "$(head_of)" = "$(git -C clone rev-parse HEAD)" ] || fail 'main is not what was pushed'

git -C "$source" checkout -q -b side HEAD~1
change 305
git -C "$source" commit -q -a -m 'on the side'
git -C "$source" checkout -q main
git -C "$source" rebase -q -X ours side >/dev/null 2>&1 || fail 'rebase'
rewritten rebase

# The history of releases is one line that anyone may verify.
muster verify --cluster node/etc/init/cluster.xml admin/var/admin/release.git >out || fail 'the history does not verify'
git -C admin/var/admin/release.git rev-list --merges --all | grep . && fail 'a merge among the releases'
stop node && stop admin || fail 'they did not stop cleanly'
