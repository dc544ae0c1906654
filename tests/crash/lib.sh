# What the crash tests share: read by each at its beginning, in place of tests/flow/lib.sh, which it reads.
# shellcheck shell=bash
. "${top_srcdir:-$(dirname "${BASH_SOURCE[0]}")/../..}/tests/flow/lib.sh"

# Every STEPth point, from FIRST on: a sample that differs from run to run, or with STEP=1 FIRST=1 all of them.
STEP=${STEP:-27}
FIRST=${FIRST:-$((RANDOM % STEP + 1))}
echo "STEP=$STEP FIRST=$FIRST"
faults=$MUSTER_BIN/tests/crash/faults.so
[ -e "$faults" ] || skip 'the preloaded library was not built'
! grep -q __asan_init "$MUSTER_BIN/musterd" || skip 'a sanitizer must be the first library'

area
cd "$AREA"
port=$(freeport)
tried=0

fresh() { mkdir -p "$1/etc/init" && cp "$top_srcdir"/tests/fixtures/demo/*.xml "$1/etc/init/"; }

# The home template, of an admin that has published and has a commit for both roles to publish; cluster.xml is for its nodes.
make_template() {
	fresh template
	muster --home template init --host 127.0.0.1 --port "$port" >/dev/null
	muster --home template publish >/dev/null
	sed -i 's/8443/8447/; s/8444/8448/' template/var/admin/config/*.xml
	git -C template/var/admin/config -c user.name=t -c user.email=t commit -qam 'both roles'
	genclust --home template -c 127.0.0.1 -p "$port" >cluster.xml 2>/dev/null
}

# From the template an admin that runs and has two releases, and in node1 a node that has the first of them.
make_node() {
	cp -a template admin
	git -C admin/var/admin/config reset -q --hard HEAD~1
	start admin admin --admin
	wait_admin admin
	mkdir -p node1/etc/init
	cp cluster.xml node1/etc/init/
	give_secret admin node1 internal
	start node1 node1 --no-admin --service-role internal --service-name node
	wait_sequence node1 1
	stop node1
	git -C admin/var/admin/config reset -q --hard 'HEAD@{1}'
	within "$DEADLINE" field_is admin .published.roles.internal.sequence 2 || fail 'the second release was not published'
}
