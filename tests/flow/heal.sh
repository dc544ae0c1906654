#!/bin/bash
# A node whose local copy and plain copy another hand changes while it runs: each change is noticed, counted, told to the admin and
# undone; a hook runs only where the service may have read it.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"
. "${top_srcdir}/tests/flow/heal_lib.sh"

revision() {
	local before
	before=$(hooks)
	hand 'config.xml: was edited' sed -i 's/301/999/' "$current/config.xml"
	hand 'service.conf: was edited' eval "echo two >'$current/$conf'"
	hand 'service.conf: is gone' rm "$current/$conf"
	hand 'extra: was added' touch "$current/files/extra"
	hand 'folder: was added' mkdir "$current/folder"
	quiet
	hand 'run.sh: has another mode' chmod 644 "$current/$exe"
	hand 'config.xml: has another mode' chmod 666 "$current/config.xml"
	hand 'release: was edited' eval "echo >>'$current/release'"
	hand 'is gone' rm -r "node/var/node/revisions/$release"
	hand 'is gone' mv node/var/node/revisions node/var/node/elsewhere
	rm -r node/var/node/elsewhere
	quiet
	hand 'config.xml: is no file' eval "rm '$current/config.xml' && mkfifo '$current/config.xml'"
	[ "$(hooks)" = "$before" ] || fail 'hooks ran, and what the service reads did not change'
}

no_drift() {
	local now
	now=$(drift)
	cat "$current/config.xml" >same
	cat same >"$current/config.xml"
	touch "$current/$conf"
	cat node/run/current/config.xml >same
	cat same >node/run/current/config.xml
	rm same
	sleep 1
	[ "$(drift)" = "$now" ] || fail "the same bytes are no drift: $(tail -n 5 node.log)"
	ok 'the same bytes are no drift'
}

plain() {
	local before
	before=$(hooks)
	hand 'config.xml: was edited' sed -i 's/301/999/' node/run/current/config.xml
	[ "$(hooks)" -gt "$before" ] || fail 'the service may have read it, and is not told'
	hand 'service.conf: is gone' rm "node/run/current/$conf"
	hand 'x: was added' touch node/run/current/x
	hand 'config.xml: has another mode' chmod 644 node/run/current/config.xml
	quiet
	hand 'leads elsewhere' ln -sfn /etc node/run/current
	hand 'the link is gone' rm node/run/current
	paused 'the link is gone' eval 'rm node/run/current && mkdir node/run/current && touch node/run/current/x'
	hand 'is gone' eval 'rm -r "$(readlink node/run/current)"'
}

links() {
	paused 'is no link any more' eval "rm '$current' && mkdir '$current' && touch '$current/config.xml'"
	paused 'is no link any more' eval "rm '$current' && echo x >'$current'"
	hand 'No such file' rm "$current"
	hand 'leads to /etc' ln -sfn /etc "$current"
	hand 'no name of a revision' ln -sfn revisions/none "$current"
}

need git python3
setup
revision
no_drift
plain
links
quiet
halt node
halt admin
