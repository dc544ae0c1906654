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

# The long options of the help are those of the manual's synopsis, and each is told in the manual.
manuals() {
	local page option command
	for page in muster.1 musterd.8 genclust.1; do
		tr -d '\\' <"$top_srcdir/man/$page" >manual
		sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/p' manual >synopsis
		"${page%.*}" --help >shown
		if [ "$page" = muster.1 ]; then
			for command in $(sed -n 's/^\.Cm \([a-z-]*\).*/\1/p' synopsis | sort -u); do
				muster "$command" --help >>shown
			done
		fi
		grep -oE -- '--[a-z][a-z-]+' shown | sort -u | sed 's/^-//' >help.options
		grep -oE -- '(Fl|\||,) -[a-z][a-z-]+' synopsis | sed 's/.* //' | sort -u >synopsis.options
		while read -r option; do
			grep -qE -- "^\.It (.* )?$option\>|^-$option\>| $option\>" manual || fail "-$option is not in $page"
		done <help.options
		while read -r option; do
			grep -qxe "$option" help.options || fail "-$option of $page is not in the help"
		done <synopsis.options
		[ "$(wc -l <synopsis.options)" -ge 3 ] || fail "no options in $page"
	done
	ok 'manuals have the options'
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
	for command in $(sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/s/^\.Cm \([a-z\\-]*\).*/\1/p' "$top_srcdir/man/muster.1" | tr -d '\\' | sort -u); do
		grep -qE "(^|  )$command +[^ ]" all || fail "$command is not in muster --help"
	done
	for command in $(awk '/^  [a-z]/ { print $1 } substr($0, 39, 3) == "   " && substr($0, 42) { print $0 }' all |
		sed -E 's/^.{41}([a-z-]+) .*/\1/'); do
		exits 0 muster --home nowhere "$command" --help
		fits "muster $command --help"
		tr -d '\\' <"$top_srcdir/man/muster.1" | grep "^\.Cm $command\>" >/dev/null || fail "$command is not in muster(1)"
		count=$((count + 1))
	done
	[ "$count" -ge 18 ] || fail "only $count commands were found"
	manuals
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

# The secret is the daemon's alone: nothing in etc/, and nothing in the environment of commands.
secret_of_daemon() {
	local old new key config=admin/var/admin/config command
	old=$(tr ',' '\n' <admin/etc/secret | head -n 1)
	new=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
	(umask 077 && echo "$new,$old" >admin.secret)
	rm admin/etc/secret
	for command in rotate promote 'promote --force' 'role-key internal' list; do
		# shellcheck disable=SC2086
		exits 3 muster --home admin secret $command
		grep -q 'start musterd --admin' said || fail "without a daemon: $(cat said)"
	done
	MUSTER_CONFIG_SECRET=$old start admin admin --admin
	wait_admin admin
	exits 0 muster --home admin secret list
	grep -qE '^key +[0-9a-f]{8}  seals$' out || fail "list says $(cat out)"
	grep -qE '^secret +sealed +default,internal +/environments/environment/cluster/keystore$' out ||
		fail "list says $(cat out)"
	exits 1 muster --home admin secret rotate
	grep -q 'comes from MUSTER_CONFIG_SECRET of the daemon, and is changed there' said || fail "rotate: $(cat said)"
	! grep -qF "$old" out said || fail 'the secret was shown'
	[ ! -e admin/etc/secret ] || fail 'etc/secret was written'
	exits 0 muster --home admin secret role-key internal
	key=$(cat out)
	[[ $key =~ ^role:internal:[0-9a-f]{64}$ ]] || fail 'role-key gives no key'
	[ "$key" = "$(MUSTER_CONFIG_SECRET=$old muster --home admin secret role-key internal)" ] || fail 'another key'
	! grep -qF "$key" admin.log || fail 'the key is in the log'
	grep -q 'notice control internal: the key of this role was given' admin.log || fail 'not told'
	exits 2 muster --home admin secret role-key ../x
	ok 'commands use the secret of the daemon'

	# the rotation, where it must be done; a file that someone puts into etc/ is not what counts
	(umask 077 && echo "$new" >admin/etc/secret)
	exits 1 muster --home admin secret rotate
	grep -q 'comes from MUSTER_CONFIG_SECRET of the daemon' said || fail "rotate: $(cat said)"
	[ "$(cat admin/etc/secret)" = "$new" ] || fail 'etc/secret was written'
	exits 1 muster --home admin secret promote --force
	rm admin/etc/secret
	stop admin || fail 'the admin did not stop cleanly'
	MUSTER_CONFIG_SECRET=$old,$new start admin admin --admin
	wait_admin admin
	exits 0 muster --home admin secret list
	[ "$(grep -c '^key ' out)" = 2 ] || fail "list says $(cat out)"
	exits 0 muster --home admin secret role-key internal
	[[ $(cat out) =~ ^$key,role:internal:[0-9a-f]{64}$ ]] || fail 'not both keys'
	stop admin || fail 'the admin did not stop cleanly'
	MUSTER_CONFIG_SECRET=$new,$old start admin admin --admin
	wait_admin admin
	exits 0 muster --home admin secret promote
	grep -qE '^key [0-9a-f]{8} seals; commit [0-9a-f]{12}$' out || fail "promote says $(cat out)"
	key=$(sed -n 's/^key \([0-9a-f]*\) seals.*/\1/p' out)
	! grep -rhoE 'muster:1:[0-9a-f]{8}' $config/*.xml | grep -v "$key" || fail 'not all is sealed again'
	exits 0 git -C $config diff --exit-code HEAD
	exits 0 muster --home admin get --reveal facilities/ldap/password
	grep -qx clear-as-day out || fail "it opens to $(cat out)"
	stop admin || fail 'the admin did not stop cleanly'
	ok 'a rotation ends with the keys of the daemon'
}

# etc/secret is root's, as where systemd gives it to the daemon as a credential.
unreadable() {
	local as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	[ "$(id -u)" = 0 ] && command -v setpriv >/dev/null || return 0
	chmod 711 "$AREA"
	# what is built may lie where this user cannot go
	mkdir credentials programs
	cp "$MUSTER_BIN/muster" "$MUSTER_BIN/musterd" programs/
	chmod 755 programs programs/*
	if ! "${as[@]}" test -x "$AREA/programs/muster"; then
		echo "left out: another user cannot enter $AREA"
		return 0
	fi
	cp admin.secret credentials/muster.secret
	cp admin.secret admin/etc/secret
	chmod 600 admin/etc/secret
	chown -R 65534:65534 admin/var admin/run credentials
	exits 3 "${as[@]}" "$AREA/programs/muster" --home "$AREA/admin" secret list
	CREDENTIALS_DIRECTORY=$AREA/credentials "${as[@]}" "$AREA/programs/musterd" --home "$AREA/admin" --admin \
		</dev/null >>"$AREA/admin.log" 2>&1 &
	pids[admin]=$!
	wait_admin admin
	exits 0 "${as[@]}" "$AREA/programs/muster" --home "$AREA/admin" secret list
	exits 1 "${as[@]}" "$AREA/programs/muster" --home "$AREA/admin" secret rotate
	grep -q 'comes from .*/credentials/muster.secret of the daemon' said || fail "rotate: $(cat said)"
	exits 0 "${as[@]}" "$AREA/programs/muster" --home "$AREA/admin" check
	stop admin || fail 'the admin did not stop cleanly'
	ok 'a secret that the user may not read is asked for'
}

help
reboot
secret_of_daemon
unreadable
