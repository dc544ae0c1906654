#!/bin/bash
# What people on the admin trip over: the help, commands before any daemon has run, a secret that only the daemon has.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)

ok() { printf 'ok: %s\n' "$*"; }

# exits CODE COMMAND...: its output in out, what it says on stderr in said.
exits() {
	local want=$1 code=0
	shift
	"$@" >out 2>said </dev/null || code=$?
	[ "$code" = "$want" ] || fail "exit $code, not $want: $*: $(cat out said)"
}

# fits NAME: what is in out fits on a screen.
fits() {
	[ -s out ] || fail "$1 says nothing"
	[ "$(wc -l <out)" -le 24 ] || fail "$1: over 24 lines: $(cat out)"
	! awk 'length($0) > 80' out | grep . || fail "$1: over 80 columns"
}

help() {
	local program command count=0
	for program in muster musterd genclust; do
		exits 0 "$program" --help
		fits "$program --help"
		[ ! -s said ] || fail "$program --help: $(cat said)"
	done
	# each command of the synopsis is in the help, and has a help of its own, wherever it is run
	exits 0 muster --help
	cp out all
	for command in $(sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/s/^\.Cm \([a-z]*\).*/\1/p' "$top_srcdir/man/muster.1" | sort -u); do
		grep -qE "(^|  )$command +[^ ]" all || fail "$command is not in muster --help"
	done
	for command in $(awk '/^  [a-z]/ { print $1 } substr($0, 39, 3) == "   " && substr($0, 42) { print $0 }' all |
		sed -E 's/^.{41}([a-z]+) .*/\1/'); do
		exits 0 muster --home nowhere "$command" --help
		fits "muster $command --help"
		grep -q "^\.Cm $command\>" "$top_srcdir/man/muster.1" || fail "$command is not in muster(1)"
		count=$((count + 1))
	done
	[ "$count" -ge 18 ] || fail "only $count commands were found"
	exits 0 muster secret rotate --help
	grep -q '^usage: muster secret ' out || fail 'no help after an action'
	for command in filter hook; do
		exits 0 muster "$command" --help
	done
	exits 2 muster diff --wrong
	grep -q 'see muster diff --help$' said || fail "$(cat said)"
	exits 2 muster nothing --help
	exits 2 muster ''
	ok 'help fits on one screen'
}

# What git calls works before any daemon has made run/, as after a reboot.
reboot() {
	local config=admin/var/admin/config
	mkdir -p admin/etc/init
	cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
	exits 0 muster --home admin init --host 127.0.0.1 --port "$port"
	rm -r admin/run
	cat >$config/ldap.xml <<-'EOT'
	<config xmlns="http://tail-f.com/ns/config/1.0">
	  <facilities xmlns="https://curity.se/ns/conf/base">
	    <ldap><name>a</name><password>clear-as-day</password></ldap>
	  </facilities>
	</config>
	EOT
	exits 0 git -C $config add -A
	git -C $config show :ldap.xml | grep -q '<password>muster:1:' || fail 'git add did not seal it'
	exits 0 git -C $config -c user.name=a -c user.email=a@b commit -m 'with plain git'
	! grep -q clear-as-day $config/ldap.xml || fail 'it is in the clear after the commit'
	exits 0 git clone -q $config clone
	exits 0 git -C clone -c user.name=a -c user.email=a@b commit --allow-empty -m 'from a clone'
	exits 0 git -C clone push origin HEAD:refs/heads/other
	[ ! -e admin/run ] || fail 'git made run/'
	exits 0 muster --home admin check
	exits 0 muster --home admin get environments/environment/base-url
	exits 0 muster --home admin publish
	exits 3 muster --home admin status
	exits 3 muster --home admin nodes
	grep -q 'start musterd' said || fail "$(cat said)"
	ok 'commands work without run/'
}

help
reboot
