#!/bin/bash
# The daemon is walled in (musterd(8), Security) and does its work; its hooks are not, and get no environment but their own.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)

mkdir -p admin/etc/init node/etc/init node/etc/activate.d secrets
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
muster --home admin init --host 127.0.0.1 --port "$port" >init.log
(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml)
# a secret that is mounted is a link out of the home
give_secret admin node default
mv node/etc/secret secrets/role
ln -s ../../secrets/role node/etc/secret

# status PID WORD: a number of /proc/PID/status
status() { awk -v word="$2:" '$1 == word { print $2 }' "/proc/$1/status"; }

# A hook does what no daemon may: it runs programs, and writes and reads wherever its user may.
cat >node/etc/activate.d/50-reload <<END
#!/bin/bash
set -e
env | sort >"$AREA/hook.env"
ls -l /proc/self/fd >"$AREA/hook.files"
printf '%s %s\n' "\$(awk '\$1 == "NoNewPrivs:" { print \$2 }' /proc/self/status)" \
	"\$(awk '\$1 == "Seccomp_filters:" { print \$2 }' /proc/self/status)" >"$AREA/hook.walls"
cat "$AREA/secrets/outside" >"$AREA/hook.read"
ls / >/dev/null
date >"$AREA/hook.ran"
END
chmod +x node/etc/activate.d/50-reload
echo outside >secrets/outside

start admin admin --admin --log-level debug
wait_admin admin
export STRANGE_SECRET=not-for-hooks GIT_TRACE=0 LD_BIND_NOW=1
exec {stray}</dev/null
start node node --no-admin --service-role default --service-name node1 --no-status --log-level debug
exec {stray}<&-
unset STRANGE_SECRET GIT_TRACE LD_BIND_NOW
wait_state node RUNNING
wait_sequence node 1
within "$DEADLINE" test -s hook.ran || fail 'the hook did not do its work'
[ "$(cat hook.read)" = outside ] || fail 'the hook cannot read a file outside of the home'

# nothing but PATH and what the manual names (the shell adds PWD, SHLVL, _)
! grep -vE '^(PATH|MUSTER_(NAME|ROLE|RELEASE|SEQUENCE|SOURCE|PREVIOUS|CURRENT|PLAIN)|PWD|SHLVL|_)=' hook.env ||
	fail 'a hook has more in its environment'
[ "$(grep -c '^MUSTER_' hook.env)" = 8 ] || fail "a hook lacks variables: $(cat hook.env)"

# nothing is open in it but /dev/null, where its output goes, and what ls itself opens
[ "$(grep -c ' -> ' hook.files)" = 4 ] || fail "a hook has more files open: $(cat hook.files)"

# --- the walls stand ---

up=$(grep -ohE 'walls around files: (yes|no), around system calls: (yes|no)' node.log | head -n 1)
case $up in
*'system calls: yes')
	for name in admin node; do
		[ "$(status "${pids[$name]}" NoNewPrivs)" = 1 ] || fail "$name may gain privileges"
		[ "$(status "${pids[$name]}" Seccomp)" = 2 ] || fail "$name has no filter"
		own=$(status "${pids[$name]}" Seccomp_filters)
		[ "$own" = $(($(status self Seccomp_filters) + 1)) ] || fail "$name has $own filters"
	done
	[ "$(cat hook.walls)" = "$(status self NoNewPrivs) $(status self Seccomp_filters)" ] ||
		fail "the hook is walled in: $(cat hook.walls)"
	;;
esac

# --- and work goes on: another secret by the same link, another release ---

grep -q 'walls around files' admin.log || fail 'the admin does not tell of its walls'
mv secrets/role secrets/role.old
(umask 077 && cat secrets/role.old >secrets/role.new)
mv secrets/role.new secrets/role
rm -f hook.ran
sed -i 's|<access-token-ttl>300<|<access-token-ttl>120<|' admin/var/admin/config/tokens.xml
sed -i 's|Outer network|Outermost network|' admin/var/admin/config/environment.xml
muster --home admin commit -m 'behind walls' --wait="$DEADLINE" >commit.log 2>&1 || fail "$(cat commit.log)"
wait_sequence node 2
within "$DEADLINE" test -s hook.ran || fail 'the hook did not run for the next release'
kill -HUP "${pids[node]}" "${pids[admin]}"
within "$DEADLINE" grep -q 'what was refused is tried again' node.log || fail 'no reload'

# what the link leads to now is nowhere that it led to at the start: told, and mended by a restart
case $up in
*'around files: yes'*)
	mkdir elsewhere
	mv secrets/role elsewhere/role
	ln -sfn ../../elsewhere/role node/etc/secret
	kill -HUP "${pids[node]}"
	within "$DEADLINE" grep -q 'secret: Permission denied' node.log || fail 'a secret out of reach is not told'
	stop node || fail 'the node did not stop well'
	start node node --no-admin --service-role default --service-name node1 --no-status --log-level debug
	wait_state node RUNNING
	! sed '1,/stopping on signal/d' node.log | grep -q 'Permission denied' || fail 'it is out of reach after a restart'
	;;
esac
stop node || fail 'the node did not stop well'
stop admin || fail 'the admin did not stop well'
