#!/bin/bash
# The plain copy of a node: parameters, templates, what hooks are told of it, and when a service is not told at all.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

ok() { printf 'ok: %s\n' "$*"; }

config=admin/var/admin/config

# edit FILE OLD NEW
edit() {
	grep -qF -- "$2" "$config/$1" || fail "$1 does not hold $2"
	sed $'s\x01'"$2"$'\x01'"${3//&/\\&}"$'\x01' "$config/$1" >edited
	cat edited >"$config/$1"
	rm edited
}

commit() { muster --home admin commit -m "$1" >>commit.log || fail "commit: $1"; }

plain_has() { grep -qF -- "$2" "node/run/current/$1" 2>/dev/null; }

rejected_at() { field_is node .rejected.step "$1"; }

hooks_ran() { [ "$(wc -l <hooks.log 2>/dev/null || echo 0)" = "$1" ]; }

setup() {
	mkdir -p admin/etc/init node/etc/init node/etc/vet.d node/etc/activate.d
	cp "$top_srcdir"/tests/fixtures/demo/*.xml admin/etc/init/
	muster --home admin init --host 127.0.0.1 --port "$port" >init.log
	mkdir -p "$config/files/common/render.d"
	cat >"$config/files/common/render.d/service.conf.xsl" <<-'EOT'
	<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
	    xmlns:b="https://curity.se/ns/conf/base">
	  <xsl:output method="text"/>
	  <xsl:template match="/">url <xsl:value-of select="//b:base-url"/><xsl:text>
	</xsl:text></xsl:template>
	</xsl:stylesheet>
	EOT
	edit environment.xml 'https://login.example.com' 'https://#{NODE_HOST}:#{NODE_PORT | 8443}'
	cat >node/etc/vet.d/look <<-EOT
	#!/bin/sh
	echo "\$1 \$MUSTER_PLAIN" >>'$AREA/vet.log'
	! grep -q forbidden "\$1/service.conf"
	EOT
	cat >node/etc/activate.d/tell <<-EOT
	#!/bin/sh
	echo "\$MUSTER_SEQUENCE \$MUSTER_PLAIN \$(head -n 1 "\$MUSTER_PLAIN/service.conf")" >>'$AREA/hooks.log'
	EOT
	chmod +x node/etc/vet.d/look node/etc/activate.d/tell
	start admin admin --admin --no-status
	wait_admin admin
	commit 'a template and parameters'
	genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml 2>genclust.log
	give_secret admin node default
	chmod 0600 node/etc/init/cluster.xml
}

parameters() {
	muster --home admin check --role default >listed
	grep -qE '^NODE_HOST  required  environment.xml:[0-9]+: /environments/environment/base-url$' listed ||
		fail "not listed: $(cat listed)"
	grep -qE '^NODE_PORT  default 8443  environment.xml:' listed || fail 'no default listed'
	ok 'check --role lists what the nodes need'
	start node node --no-admin --service-name node --no-status
	within "$DEADLINE" rejected_at check || fail 'not rejected at check'
	field node .rejected.reason | grep -qE \
		'^config.xml:[0-9]+: /environments/environment/base-url: parameter NODE_HOST has no value' ||
		fail "reason: $(field node .rejected.reason)"
	[ ! -e node/run/current ] || fail 'there is a plain copy'
	ok 'a missing parameter refuses the release, with its place'
	echo 'NODE_HOST=n1 x' >params.new
	mv params.new node/etc/params
	wait_state node RUNNING
	plain_has config.xml '<base-url>https://n1 x:8443</base-url>' || fail 'not filled'
	grep -qF '#{NODE_HOST}' node/var/node/current/config.xml || fail 'the revision is not as it was released'
	plain_has service.conf 'url https://n1 x:8443' || fail 'no template was run'
	[ -x node/run/current/files ] || fail 'no files/'
	ok 'with its value it is tried again, filled and rendered'
	[ "$(stat -L -c %a node/run/current)" = 700 ] || fail 'others may read it'
	[ "$(stat -f -L -c %T node/run/current)" = tmpfs ] || fail 'it is not in memory'
	ok 'in memory, for the node alone'
	hooks_ran 1 || fail "hooks: $(cat hooks.log)"
	[ "$(cut -d' ' -f2 hooks.log)" = "$AREA/node/run/current" ] || fail "MUSTER_PLAIN: $(cat hooks.log)"
	[ "$(cut -d' ' -f1 vet.log)" = "$(cut -d' ' -f2 vet.log)" ] || fail 'vet.d: argument and MUSTER_PLAIN'
	[ "$(cut -d' ' -f1 vet.log)" = "$(readlink node/run/current)" ] || fail 'what was vetted is not what runs'
	ok 'hooks are told where it is'
}

# A release with other bytes whose plain copy is the same.
unchanged() {
	local before
	before=$(readlink node/run/current)
	echo '# nothing' >"$config/model.conf"
	commit 'a comment in the model'
	wait_sequence node 3
	wait_state node RUNNING
	hooks_ran 1 || fail 'a hook ran'
	[ "$(readlink node/run/current)" = "$before" ] || fail 'the link moved'
	ok 'a release that changes nothing for the service runs no hook'
}

refusals() {
	local before
	before=$(readlink node/run/current)
	edit environment.xml ':#{NODE_PORT | 8443}' '/forbidden'
	commit 'what the site forbids'
	within "$DEADLINE" rejected_at vet || fail 'not rejected at vet'
	[ "$(readlink node/run/current)" = "$before" ] || fail 'the plain copy changed'
	edit environment.xml '/forbidden' ':#{NODE_PORT | 8443}'
	edit files/common/render.d/service.conf.xsl '"//b:base-url"' '"document(&apos;/etc/passwd&apos;)"'
	! muster --home admin commit -m 'a template that reads a file' >out 2>&1 || fail 'the admin takes document()'
	grep -q '^files/common/render.d/service.conf.xsl:4: document: ' out || fail "the admin says $(cat out)"
	! muster --home admin check >out 2>/dev/null || fail 'check takes document()'
	grep -q '^files/common/render.d/service.conf.xsl:4: document: ' out || fail "check says $(cat out)"
	edit files/common/render.d/service.conf.xsl '"document(&apos;/etc/passwd&apos;)"' '"$nowhere"'
	commit 'a template that fails when it runs'
	within "$DEADLINE" rejected_at stage || fail 'not rejected at stage'
	field node .rejected.reason | grep -q '^files/render.d/service.conf.xsl:4: ' ||
		fail "reason: $(field node .rejected.reason)"
	[ "$(readlink node/run/current)" = "$before" ] || fail 'the plain copy changed'
	edit files/common/render.d/service.conf.xsl '"$nowhere"' '"//b:base-url"'
	commit 'back'
	wait_sequence node 6
	hooks_ran 1 || fail 'a hook ran'
	within "$DEADLINE" one_copy || fail "copies stay: $(ls node/run/plain/)"
	ok 'what is refused leaves the plain copy and no other'
}

one_copy() { [ "$(ls -A node/run/plain/ | wc -l)" = 1 ]; }

changed_parameters() {
	echo 'NODE_HOST=n2' >node/etc/params
	kill -HUP "${pids[node]}"
	within "$DEADLINE" plain_has service.conf 'url https://n2:8443' || fail 'not renewed'
	within "$DEADLINE" hooks_ran 2 || fail "hooks: $(cat hooks.log)"
	field_is node .sequence 6 || fail 'another release'
	echo 'broken' >node/etc/params
	kill -HUP "${pids[node]}"
	within "$DEADLINE" grep -q 'params:1: is no NAME=value' node.log || fail 'not told'
	plain_has service.conf 'url https://n2:8443' || fail 'not kept'
	field_is node .nodeState RUNNING || fail 'not running'
	echo 'NODE_HOST=n2' >node/etc/params
	ok 'new parameters renew it and are told to the hooks, bad ones are refused'
}

restarts() {
	local before
	before=$(readlink node/run/current)
	stop node || fail 'node did not stop cleanly'
	plain_has service.conf 'url https://n2:8443' || fail 'gone with the daemon'
	start node node --no-admin --service-name node --no-status
	wait_state node RUNNING
	hooks_ran 2 || fail 'a hook ran'
	[ "$(readlink node/run/current)" = "$before" ] || fail 'the link moved'
	ok 'it outlives the daemon, and a start changes nothing'
	stop node || fail 'node did not stop cleanly'
	# as after a reboot: memory is empty, and run/ as well on most systems
	remove_plain node
	rm -f node/run/activated
	NODE_HOST=n3 start node node --no-admin --service-name node --no-status
	wait_state node RUNNING
	plain_has service.conf 'url https://n3:8443' || fail 'not made again, or not from the environment'
	within "$DEADLINE" hooks_ran 3 || fail "hooks: $(cat hooks.log)"
	ok 'after a reboot it is made again'
	stop node || fail 'node did not stop cleanly'
	if musterd --home node --no-admin --service-name node --plain-group no-such-group --check 2>refused; then
		fail 'a group that is not there was taken'
	fi
	grep -q 'there is no group "no-such-group"' refused || fail "$(cat refused)"
	PLAIN_GROUP=$(id -g) start node node --no-admin --service-name node --no-status
	wait_state node RUNNING
	[ "$(stat -L -c %a node/run/current)" = 750 ] || fail 'the group may not read it'
	[ "$(stat -L -c %a node/run/current/config.xml)" = 640 ] || fail 'the group may not read its files'
	ok 'a group may read it where the operator says so'
}

need git ssh-keygen stat readlink
area
cd "$AREA"
port=$(freeport)
setup
parameters
unchanged
refusals
changed_parameters
restarts
