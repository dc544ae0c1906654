#!/bin/bash
# share/examples/nginx with Debian's nginx: a client asks without a break while the configuration changes CHANGES times, and no
# request fails; what nginx -t refuses, and what the probe does not hold for, is never what is served for long.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/lib.sh"

CHANGES=${CHANGES:-50}
# As bootstrap unpacks it, or as Debian installs it, where users have no PATH to.
PATH=$PATH:$MUSTER_BIN/nginx/usr/sbin:/usr/sbin
need git nginx
area
cd "$AREA"
port=$(freeport)
web=$(freeport)
example=$top_srcdir/share/examples/nginx
config=admin/var/admin/config

ok() { printf 'ok: %s\n' "$*"; }

nginx_pid() { cat "$AREA/nginx/nginx.pid" 2>/dev/null; }

# nginx is no child of this test: a daemon, ended by its number.
end_all() {
	local code=$? pid
	set +e
	: >"$AREA/enough"
	[ -z "${asking:-}" ] || wait "$asking" 2>/dev/null
	pid=$(nginx_pid)
	if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = nginx ]; then
		kill -TERM "$pid"
		within "$DEADLINE" gone "$pid" || code=1
	fi
	(exit "$code")
	finish
}

# get URI: sets status and text; bash alone, so that many requests fit into little time.
get() {
	local line
	status= text=
	{ exec 3<>"/dev/tcp/127.0.0.1/$web"; } 2>/dev/null || return 1
	printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3 || return 1
	read -r -t 10 -u 3 _ status _ || return 1
	while read -r -t 10 -u 3 line && [ "$line" != $'\r' ]; do :; done
	IFS= read -r -t 10 -u 3 text || return 1
	exec 3>&-
	[ "$status" = 200 ]
}

# The client: one connection a request, until it is enough or 300 s are over. What fails is in `failures`.
client() {
	local asked=0 end=$((SECONDS + 300))
	: >failures
	while [ ! -e enough ] && [ "$SECONDS" -lt "$end" ]; do
		if ! get / || [ "$text" != 'Welcome to the shop' ]; then
			echo "request $asked of /: status $status, $text" >>failures
		fi
		if [ ! -e ends ] && { ! get /status || [[ $text != open* ]]; } && [ ! -e ends ]; then
			echo "request $asked of /status: status $status, $text" >>failures
		fi
		asked=$((asked + 2))
		echo "$asked" >asked
		read -r -t 0.003 -u 9 || true # a pause without another process
	done
}

none_failed() { [ ! -s failures ] || fail "$(wc -l <failures) requests failed: $(head -n 3 failures)"; }

answers() { get "$1" && [ "$text" = "$2" ]; }

# edit OLD NEW: in the profile, as a person does.
edit() {
	grep -qF -- "$1" "$config/shop.xml" || fail "shop.xml does not hold $1"
	sed $'s\x01'"$1"$'\x01'"$2"$'\x01' "$config/shop.xml" >edited
	cat edited >"$config/shop.xml"
}

commit() { muster --home admin commit -m "$1" --wait="$DEADLINE" >out 2>&1 || fail "commit of $1: $(cat out)"; }

# After a swap back the old workers take requests until the hook is through.
swapped_back() { awk '/ swapped back$/ { back = 0; seen = 1 } /: active, / { back = seen } END { exit !back }' node.log; }

# refused STEP WORDS: the node keeps what it has, and so does nginx.
refused() {
	local code=0
	muster --home admin commit -m "$1" --wait="$DEADLINE" >out 2>err || code=$?
	[ "$code" = 1 ] || fail "not refused at $1: $code, $(cat out err)"
	grep -q "rejects the release at $1: .*$2" err || fail "commit says: $(cat err)"
	within "$DEADLINE" field_is node .transactionId "$release" || fail "$1: not kept"
	within "$DEADLINE" answers /status "$served" || fail "$1: not served: $status $text"
	[ "$(muster --home admin nodes --json | jsonget .0.rejected.step)" = "$1" ] || fail "$1: not told at the admin"
	case $1 in activate | health) within "$DEADLINE" swapped_back || fail "$1: not swapped back" ;; esac
}

setup() {
	mkdir -p admin/etc/init node/etc/init
	cp "$example"/config/*.xml admin/etc/init/
	sed -i "s|<port>8080<|<port>$web<|" admin/etc/init/edge.xml
	muster --home admin init --host 127.0.0.1 --port "$port" >out
	cp -R "$example/config/files" "$example/config/model.conf" "$config/"
	start admin admin --admin --no-status
	wait_admin admin
	commit 'nginx as the consumer'
	(umask 077 && genclust -c 127.0.0.1 -p "$port" -k admin/var/admin/cluster.key >node/etc/init/cluster.xml) 2>out
	give_secret admin node edge
	cp -R "$example"/etc/. node/etc/
	sed -i "s|^prefix=.*|prefix=$AREA/nginx|; s|^nginx=.*|nginx=$(command -v nginx)|" node/etc/nginx.env
	start node node --no-admin --service-role edge --service-name node --no-status
	wait_state node RUNNING
	within "$DEADLINE" field_is node .rejected null || fail "$(muster --home node status)"
	master=$(nginx_pid)
	[ -n "$master" ] || fail "nginx does not run: $(cat node.log)"
	answers / 'Welcome to the shop' || fail "not served: $status $text"
	get /stock/ && fail 'an endpoint that the role does not list is served'
	ok 'the first release starts nginx, which serves the endpoints of the role'
}

changes() {
	local i before=open
	for ((i = 1; i <= CHANGES; i++)); do
		edit ">$before<" ">open $i<"
		before="open $i"
		commit "change $i"
		answers /status "open $i" || fail "change $i is not served: $status $text"
	done
	cp "$config/shop.xml" good.xml
	edit ">$before<" '>open "1" \\ {;}<'
	served='open "1" \ {;}'
	commit 'what nginx might take for its own'
	answers /status "$served" || fail "not as it is written: $status $text"
	cat good.xml >"$config/shop.xml"
	commit 'and back'
	served=$before
	release=$(field node .transactionId)
	[ "$(nginx_pid)" = "$master" ] || fail 'nginx was started anew'
	none_failed
	ok "$CHANGES changes, each served after its commit, no request failed"
}

refusals() {
	cp "$config/shop.xml" good.xml
	# two endpoints with one URI: well for Muster, not for nginx
	edit '<uri>/status<' '<uri>/<'
	refused vet '10-nginx-test: exit status 1'
	grep -q 'vet 10-nginx-test: .*duplicate location' node.log || fail 'what nginx says is not in the log'
	cat good.xml >"$config/shop.xml"
	ok 'what nginx -t refuses is not taken up, and told'
	edit '<text xmlns="urn:example:web">Welcome to the shop</text>' '<redirect/>'
	refused stage 'endpoint shop-home has neither text nor upstream'
	cat good.xml >"$config/shop.xml"
	ok 'what the template refuses is not taken up'
	# the admin's port: nginx -t does not mind, and a reload fails where nobody sees it
	sed -i "s|<port>$web<|<port>$port<|" "$config/edge.xml"
	refused activate '10-nginx-reload: exit status 1'
	grep -q 'activate 10-nginx-reload: nginx did not take it up: .*bind() to 127.0.0.1:' node.log ||
		fail 'what nginx says is not in the log'
	sed -i "s|<port>$port<|<port>$web<|" "$config/edge.xml"
	ok 'what nginx does not take up is swapped back and burnt'
	# nothing listens there: nginx takes it up, and the probe sees it
	edit ">$served<" '>open<'
	edit '<text xmlns="urn:example:web">open</text>' "<upstream xmlns=\"urn:example:web\">http://127.0.0.1:$(freeport)</upstream>"
	muster --home admin set muster/health-timeout 2
	: >ends # until the swap back /status is what nobody serves
	refused health '10-probe: exit status 1'
	grep -q "health 10-probe: http://127.0.0.1:$web/status: 502" node.log || fail 'what the probe says is not in the log'
	[ "$(muster --home node log --json | jsonget .0.verdict)" = burnt ] || fail 'not burnt'
	rm ends
	cat good.xml >"$config/shop.xml"
	edit ">$served<" ">open 1000<"
	served='open 1000'
	commit 'mended'
	answers /status "$served" || fail "not served: $status $text"
	ok 'what the probe does not hold for is swapped back and burnt'
}

trap end_all EXIT
setup
mkfifo pause
exec 9<>pause
client 2>client.log &
asking=$!
changes
refusals
[ "$(nginx_pid)" = "$master" ] || fail 'nginx was started anew'
stop node || fail 'node did not stop cleanly'
answers /status "$served" || fail 'nginx does not outlive the daemon'
start node node --no-admin --service-role edge --service-name node --no-status
wait_state node RUNNING
answers /status "$served" || fail 'a start changed what is served'
ok 'nginx serves on while the daemon is away'
: >enough
wait "$asking" || fail "the client: $(cat client.log)"
[ ! -s client.log ] || fail "the client: $(cat client.log)"
[ "$(cat asked)" -gt $((CHANGES * 10)) ] || fail "the client asked $(cat asked) times only"
none_failed
echo "$CHANGES changes and 4 refused, $(cat asked) requests, $(wc -l <failures) failed"
stop node || fail 'node did not stop cleanly'
stop admin || fail 'admin did not stop cleanly'
