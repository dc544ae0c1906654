#!/bin/bash
# `make check-long`: the crash tests at every point, not at a sample of them, all at once. Each writes a log beside the build's
# tests, and its result as automake's test driver does; the summary says how many points were tried, and the exit code is 1 when any
# failed. Its arguments are the scripts.
set -u

logs=${MUSTER_BIN:?}/tests/crash
mkdir -p "$logs"
export STEP=1 FIRST=1 FAULTS=${FAULTS:-1000}
declare -A pids=()
code=0

for script; do
	name=$(basename "$script" .sh)
	echo "== $name: $logs/$name.long.log"
	rm -f "$logs/$name.long.trs"
	# bash reads a script as it goes, and this may take hours: who works on the tree meanwhile does not disturb
	cp "$script" "$logs/$name.long.copy"
	(
		begun=$SECONDS
		bash "$logs/$name.long.copy" >"$logs/$name.long.log" 2>&1
		result=$?
		rm -f "$logs/$name.long.copy"
		echo "exit $result after $((SECONDS - begun)) s" >>"$logs/$name.long.log"
		exit "$result"
	) &
	pids[$name]=$!
done
for name in "${!pids[@]}"; do
	result=PASS
	wait "${pids[$name]}" || { result=FAIL; code=1; tail -n 60 "$logs/$name.long.log" >&2; }
	echo ":test-result: $result" >"$logs/$name.long.trs"
done
echo '== summary'
for script; do
	name=$(basename "$script" .sh)
	printf '%-10s %s; %s\n' "$name" "$(grep -aE "^$name: .* tried" "$logs/$name.long.log" || echo 'FAILED')" \
		"$(grep -a '^FAILED: ' "$logs/$name.long.log" | tail -n 1) $(tail -n 1 "$logs/$name.long.log")"
done
exit "$code"
