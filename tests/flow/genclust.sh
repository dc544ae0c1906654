#!/bin/bash
# genclust: what it prints, where the private identity goes, and what it refuses.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

area

# expect WHAT COMMAND...
expect() {
	local what=$1
	shift
	"$@" || fail "$what"
}

# exits CODE COMMAND...: its output is in AREA/out and AREA/err.
exits() {
	local want=$1 code=0
	shift
	"$@" >"$AREA/out" 2>"$AREA/err" || code=$?
	[ "$code" = "$want" ] || fail "exit code $code, not $want: $* ($(cat "$AREA/err"))"
}

says() { grep -qF -- "$1" "$AREA/err" || fail "stderr does not say \"$1\": $(cat "$AREA/err")"; }

silent() { [ ! -s "$AREA/out" ] || fail "something on stdout: $(cat "$AREA/out")"; }

value() { sed -n "s|.*<$1>\\(.*\\)</$1>.*|\\1|p" "$2"; }

# part N FILE: of the keystore, divided by dots.
part() { value keystore "$2" | cut -d: -f3 | cut -d. -f"$1"; }

mode() { stat -c %a "$1"; }

# --- wrong usage: exit 2, one line, nothing made ---

usage() {
	exits 2 genclust --home "$AREA/none" "$@"
	silent
	[ "$(wc -l <"$AREA/err")" = 1 ] || fail "not one line: $(cat "$AREA/err")"
}

usage
usage -c ''
usage -c 'two words'
usage -c '-'
usage -c 'a/b'
usage -c '<host>'
usage -c "$(printf '%0300d' 1)"
usage -c a -c b
usage -c a -p 0
usage -c a -p 65536
usage -c a -p -1
usage -c a -p 6789x
usage -c a -p 1 -p 2
usage -c a -r ../x
usage -c a -r common
usage -c a -r ''
usage -c a -r x -r y
usage -c a -k ''
usage -c a -k x -k y
usage -c a surplus
exits 2 genclust --home "$AREA/none" --no-such-option -c a
silent
exits 2 genclust --home "$AREA/none" -c
silent
exits 2 genclust --home "$AREA/none" --home "$AREA/none" -c a
[ ! -e "$AREA/none" ] || fail 'wrong usage made a home'

exits 0 genclust --help
expect 'help fits on one screen' test "$(wc -l <"$AREA/out")" -le 24
exits 0 genclust --version
expect 'version' grep -q '^genclust [0-9]' "$AREA/out"

# --- a fresh home: the key is made, mode 0600, before any server has run ---

home=$AREA/home
exits 0 genclust --home "$home" -c admin.example.com
cp "$AREA/out" "$AREA/first.xml"
says "$home/var/admin/cluster.key"
says 'was made'
key=$home/var/admin/cluster.key
expect 'mode of the key' test "$(mode "$key")" = 600
expect 'host' test "$(value host "$AREA/first.xml")" = admin.example.com
expect 'default port' test "$(value port "$AREA/first.xml")" = 6789
expect 'any role' test "$(part 3 "$AREA/first.xml")" = '*'
expect 'first epoch' test "$(part 2 "$AREA/first.xml")" = 1
expect 'nothing but the document' test "$(head -n 1 "$AREA/first.xml" | cut -c 1-7)" = '<config'
for line in $(cut -d' ' -f2- "$key" | tr ' ' '\n' | grep -E '.{40}'); do
	! grep -qF -- "$line" "$AREA/first.xml" || fail 'a private key in the cluster file'
done

# --- again: the same identity, other places and roles ---

cp "$key" "$AREA/key"
exits 0 genclust --home "$home" -c admin.example.com
cmp "$AREA/out" "$AREA/first.xml" || fail 'not the same again'
says 'lies in'
exits 0 genclust --home "$home" -c 2001:db8::1 -p 7000 -r internal
expect 'port' test "$(value port "$AREA/out")" = 7000
expect 'role' test "$(part 3 "$AREA/out")" = internal
expect 'same cluster' test "$(part 1 "$AREA/out")" = "$(part 1 "$AREA/first.xml")"
expect 'its own join key' test "$(part 6 "$AREA/out")" != "$(part 6 "$AREA/first.xml")"
CONFIG_SERVICE_HOST=from.env exits 0 genclust --home "$home"
expect 'host from the environment' test "$(value host "$AREA/out")" = from.env
CONFIG_SERVICE_HOST=from.env exits 0 genclust --home "$home" -c option.wins
expect 'option over environment' test "$(value host "$AREA/out")" = option.wins
MUSTER_HOME=$home exits 0 genclust -c admin.example.com
cmp "$AREA/out" "$AREA/first.xml" || fail 'MUSTER_HOME is another home'
cmp "$key" "$AREA/key" || fail 'the key was changed'

# --- a key file of one's own: no home is touched ---

exits 0 env -C "$AREA" genclust --home "$AREA/untouched" -c a.example.com -k own.key
expect 'mode of the file' test "$(mode "$AREA/own.key")" = 600
expect 'another cluster' test "$(part 1 "$AREA/out")" != "$(part 1 "$AREA/first.xml")"
[ ! -e "$AREA/untouched" ] || fail 'a home was made'
exits 0 genclust -c admin.example.com -k "$key"
cmp "$AREA/out" "$AREA/first.xml" || fail '-k with the key of the home'

# --- refused: exit 1, one line, nothing on stdout, the file as it was ---

refused() {
	exits 1 genclust "$@"
	silent
	[ "$(wc -l <"$AREA/err")" = 1 ] || fail "not one line: $(cat "$AREA/err")"
}

chmod 644 "$AREA/own.key"
refused -c a -k "$AREA/own.key"
says own.key
chmod 600 "$AREA/own.key"
head -n 2 "$key" >"$AREA/cut.key"
chmod 600 "$AREA/cut.key"
cp "$AREA/cut.key" "$AREA/cut"
refused -c a -k "$AREA/cut.key"
says cut.key
cmp "$AREA/cut.key" "$AREA/cut" || fail 'a damaged key was replaced'
refused -c a -k "$AREA/no/such/folder"
mkdir "$AREA/folder"
refused -c a -k "$AREA/folder"
ln -s "$key" "$AREA/link"
refused -c a -k "$AREA/link"
touch "$AREA/file"
refused --home "$AREA/file" -c a

# Two at once agree on one identity.
for i in 1 2 3 4 5 6 7 8; do
	genclust --home "$AREA/both" -c a.example.com >"$AREA/both.$i" 2>/dev/null &
done
wait
for i in 2 3 4 5 6 7 8; do
	cmp "$AREA/both.1" "$AREA/both.$i" || fail 'two at once made two clusters'
done

# A reader that is gone is told, not taken for success.
if [ -w /dev/full ]; then
	code=0
	genclust --home "$home" -c a >/dev/full 2>"$AREA/err" || code=$?
	expect 'full output' test "$code" = 1
fi
