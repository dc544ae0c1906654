#!/bin/bash
# Nothing in the clear: secrets get into an admin and its nodes in every way there is, and are then looked for in all that
# the system wrote. And what a node says and does that cannot open them.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

need git
area
cd "$AREA"
port=$(freeport)
source=$AREA/admin/var/admin/config

# Each way a secret can come in has its own.
secrets=()

# secret WAY: a new one in $value.
secret() {
	value=clear-$1-$RANDOM$RANDOM
	secrets+=("$value")
}

# document ID PASSWORD: a configuration with one data source that every role gets.
document() {
	cat <<-EOT
	<config xmlns="http://tail-f.com/ns/config/1.0">
	  <facilities xmlns="https://curity.se/ns/conf/base">
	    <ldap><name>$1</name><password>$2</password></ldap>
	  </facilities>
	</config>
	EOT
}

# objects REPO: every object of a repository, inflated.
objects() { git -C "$1" cat-file --batch-all-objects --batch='%(objectname) %(objecttype)' --buffer; }

# nowhere TEXT: not in any file but what operators put into etc/, not in any object.
nowhere() {
	local repo found repos=0
	found=$(grep -rlaF --exclude-dir=etc -- "$1" . || true)
	[ -z "$found" ] || fail "$1 is in $found"
	while IFS= read -r repo; do
		repo=$(dirname "$repo")
		repos=$((repos + 1))
		! objects "$repo" | grep -qaF -- "$1" || fail "$1 is in an object of $repo"
	done < <(find "$AREA" -name HEAD -path '*git*' ! -path '*/logs/*' ! -path '*/refs/*' -type f)
	[ "$repos" -ge 4 ] || fail "only $repos repositories were found"
}

# What may be written of a daemon's memory, and what others see of it.
outside() {
	local name pid value
	for name in "${!pids[@]}"; do
		pid=${pids[$name]}
		grep -qE '^Max core file size +0 +0 ' "/proc/$pid/limits" || fail "$name may leave a core file"
		[ "$(id -u)" = 0 ] || ! cat "/proc/$pid/environ" >/dev/null 2>&1 || fail "$name can be looked into"
		for value in "${secrets[@]}"; do
			! grep -qaF -- "$value" "/proc/$pid/cmdline" || fail "$value is in a command line"
		done
	done
	# what is asked of them is looked at with the rest
	for name in admin node1 node2; do
		muster --home $name status --json >told.$name 2>&1 || true
		muster --home $name log --json >told.log.$name 2>&1 || true
	done
	muster --home admin nodes --json >told.nodes
	muster --home admin secret list --json >told.secrets
	muster --home admin bundle --role default >told.bundle
	git bundle verify -q told.bundle 2>/dev/null || git -C "$source" bundle verify -q "$AREA/told.bundle"
	rm -rf told.git
	git clone -q --bare told.bundle told.git 2>/dev/null
}

sweep() {
	local value
	outside
	for value in "${secrets[@]}"; do
		nowhere "$value"
	done
	for value in $(tr ',' '\n' <admin/etc/secret) $(sed 's/.*:\([0-9a-f]*\)$/\1/' node1/etc/secret); do
		nowhere "$value"
	done
	nowhere "$keystore"
	echo "   ok: nothing in the clear $*"
}

# reason HOME: why the newest release was rejected.
reason_has() { field "$1" .rejected.reason | grep -qF -- "$2"; }

mkdir -p admin/etc/init node1/etc/init node2/etc/init
cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
secret init
document init "$value" >admin/etc/init/ldap.xml
muster --home admin init --host 127.0.0.1 --port "$port"
[ "$(stat -c %a admin/etc/secret)" = 600 ] || fail 'etc/secret is not the owner'\''s alone'
grep -q '<keystore>muster:1:' "$source/cluster.xml" || fail 'no sealed keystore in the configuration'
for node in node1 node2; do
	(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >$node/etc/init/cluster.xml 2>/dev/null)
done
keystore=$(sed -n 's/.*<keystore>.*\.\([^.]*\)<\/keystore>/\1/p' node1/etc/init/cluster.xml)
[ ${#keystore} = 43 ] || fail 'no join key found'
start admin admin --admin --log-level debug
wait_admin admin

# a node with its role's key serves; one with nothing is told what it lacks, and gets it by a file alone
give_secret admin node1 default
start node1 node1 --no-admin --service-role default --service-name node1 --no-status --log-level debug
wait_state node1 RUNNING
start node2 node2 --no-admin --service-role internal --service-name node2 --no-status --log-level debug
within "$DEADLINE" reason_has node2 'there is no secret here to open it with' || fail 'node2 does not say what it lacks'
field_is node2 .nodeState IDLE || fail 'node2 serves what it cannot open'
id=$(field node2 .rejected.reason | sed -n 's/.*sealed with key \([0-9a-f]*\).*/\1/p')
muster --home admin nodes --json | grep -qF "sealed with key $id" || fail 'the admin does not say what node2 lacks'
give_secret admin node2 default # of another role
within "$DEADLINE" reason_has node2 'holds only keys of other roles' || fail 'node2 takes the key of another role'
give_secret admin node2 internal
wait_state node2 RUNNING
within "$DEADLINE" eval 'muster --home admin nodes --json | grep -qF "\"$id\""' || fail 'node2 does not report its key'
sweep 'after init'

secret commit
document commit "$value" >"$source/one.xml"
muster --home admin commit -m 'by muster commit' --wait >commit.out
! grep -qF "$value" "$source/one.xml" || fail 'muster commit leaves it in the work tree'
sweep 'after muster commit'

commit() { git -C "$source" -c user.name=Ada -c user.email=ada@example.com "$@"; }

secret git
document git "$value" >"$source/two.xml"
commit add -A
commit commit -q -m 'by plain git'
wait_sequence node1 3
sweep 'after plain git'

secret edit
sed -i "s|<password>[^<]*<|<password>$value<|" "$source/two.xml"
commit commit -q -a -m 'an edit'
wait_sequence node1 4
[ -z "$(git -C "$source" status --porcelain)" ] || fail 'the work tree is not clean'
sweep 'after an edit and git commit'

# a push of a clone that has no filter
secret push
git clone -q "$source" clone
document push "$value" >clone/three.xml
git -C clone add -A
git -C clone -c user.name=Ada -c user.email=ada@example.com commit -q -m 'plain'
! git -C clone push -q origin main 2>push.err || fail 'the push was taken'
grep -qF 'three.xml:3: /facilities/ldap[push]/password: a secret in the clear' push.err || fail "said $(cat push.err)"
rm -rf clone
sweep 'after a push'

# where only the daemon has the secret it seals: for the filter, the hooks and muster commit
mv admin/etc/secret kept
stop admin
MUSTER_CONFIG_SECRET=$(cat kept)
rm kept
export MUSTER_CONFIG_SECRET
start admin admin --admin --log-level debug
echo "$MUSTER_CONFIG_SECRET" >etc.kept
unset MUSTER_CONFIG_SECRET
wait_admin admin
mkdir -p etc && mv etc.kept etc/kept
secret asked
document asked "$value" >"$source/four.xml"
commit add -A
commit commit -q -m 'sealed by the daemon'
wait_sequence node1 5
secret asked2
document asked2 "$value" >"$source/five.xml"
muster --home admin commit -m 'sealed by the daemon too' --wait >commit.out
wait_sequence node1 6
(umask 077 && cat etc/kept >admin/etc/secret)
sweep 'sealed by the daemon'

# by path, and in an editor that shows all secrets open
secret set
printf %s "$value" | muster --home admin set 'facilities/ldap[commit]/password' -
! grep -rqF -- "$value" "$source" || fail 'muster set leaves it in the work tree'
sweep 'after muster set'
muster --home admin commit -m 'by muster set' --wait >commit.out
secret editor
cat >editor <<-EOT
	#!/bin/sh
	grep -q '<password>clear-' "\$1" || exit 1
	[ "\$(stat -f -c %T "\$1")" = tmpfs ] || exit 2
	sed -i 's|<password>[^<]*<|<password>$(printf %s "$value" | sed 's/clear/"clear"/')<|' "\$1"
	sed -i 's|"clear"|clear|' "\$1"
EOT
chmod +x editor
EDITOR=$AREA/editor muster --home admin edit one.xml
! grep -rqF -- "$value" "$source" || fail 'muster edit leaves it in the work tree'
muster --home admin commit -m 'by muster edit' --wait >commit.out
wait_sequence node1 8
grep -qF -- "$value" node1/run/current/config.xml || fail 'the edit did not get to the node'
sweep 'after muster set and muster edit'

# by a parameter: the value is the node'\''s own, and stays in its memory
secret param
echo "LDAP_PASSWORD=$value" >node1/etc/params
echo 'LDAP_PASSWORD=another' >node2/etc/params
document param '#{LDAP_PASSWORD}' >"$source/six.xml"
muster --home admin commit -m 'by a parameter' --wait >commit.out
wait_sequence node1 9
grep -qF -- "$value" node1/run/current/config.xml || fail 'the parameter is not filled'
sweep 'after a parameter'

# stock git writes in other ways too: packs, stashes, merges
secret stash
sed -i "s|<password>[^<]*<|<password>$value<|" "$source/two.xml"
commit stash -q
commit stash pop -q
commit checkout -q -b side
commit commit -q -a -m 'on a branch'
commit checkout -q main
commit commit -q --allow-empty -m 'beside it'
commit merge -q --no-edit side
wait_sequence node1 10
git -C "$source" gc -q --prune=now
git -C admin/var/admin/release.git gc -q 2>/dev/null
sweep 'after a stash, a merge and gc'

# a rotation: neither secret gets out of etc/
stop admin
start admin admin --admin --log-level debug # its secret is in etc/ again
wait_admin admin
muster --home admin secret rotate >rotate.out
give_secret admin node1 default
give_secret admin node2 internal
muster --home admin secret promote --force >promote.out
wait_sequence node1 11
[ "$(tr ',' '\n' <admin/etc/secret | wc -l)" = 2 ] || fail 'there are not two secrets'
sweep 'after a rotation'

# a first start from a complete configuration in etc/init
mkdir -p alone/etc/init
secret etcinit
document etcinit "$value" >alone/etc/init/ldap.xml
cp "$top_srcdir"/tests/fixtures/demo/*.xml alone/etc/init/
rc=0
musterd --home alone --no-admin --service-role default --service-name alone --no-status 2>alone.err || rc=$?
[ "$rc" = 1 ] || fail "a plain secret without a key gave exit $rc"
grep -qF '/facilities/ldap[etcinit]/password: there is no configuration secret' alone.err || fail "said $(cat alone.err)"
(umask 077 && openssl rand -hex 32 2>/dev/null | sed 's/^/role:default:/' >alone/etc/secret)
start alone alone --no-admin --service-role default --service-name alone --no-status
wait_state alone WAITING
grep -q '<password>muster:1:' alone/var/node/current/config.xml || fail 'etc/init was not sealed'
sweep 'after etc/init'

# a secret that others can read: exit 1 at a first start, kept and told later
chmod 644 node1/etc/secret
stop node1
start node1 node1 --no-admin --service-role default --service-name node1 --no-status
within "$DEADLINE" grep -q 'error init secret: not used: .*chmod 600' node1.log || fail 'node1 does not tell'
wait_state node1 RUNNING # by the cluster file in etc/init
chmod 600 node1/etc/secret
rm -rf new && mkdir -p new/etc/init && cp node1/etc/init/cluster.xml new/etc/init/
cp node1/etc/secret new/etc/secret && chmod 644 new/etc/secret
rc=0
musterd --home new --no-admin --service-role default --service-name new --no-status 2>new.err || rc=$?
[ "$rc" = 1 ] || fail "a secret that others can read gave exit $rc"
grep -q 'chmod 600' new.err || fail "said $(cat new.err)"
echo 'secrets: all as it should be'
