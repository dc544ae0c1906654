#!/bin/sh
# Holds the tree to its rules (CONTRIBUTING.md, "The tree"): one line a fault, exit 1 if there is one. Works in a checkout, in
# an unpacked tarball and from any folder; the argument is another tree to look at.
set -u
export LC_ALL=C

cd "${1:-${top_srcdir:-$(dirname "$0")/..}}" || exit 2
[ -d src ] || { echo "tree.sh: no src/ in $(pwd)" >&2; exit 2; }

# A build in the source tree leaves this one generated file there.
sources=$(find src -name '*.[ch]' ! -path src/config/model_data.h | sort)
[ -n "$sources" ] || { echo 'tree.sh: no sources' >&2; exit 2; }

# Lengths: a body opens with { and closes with } in column 1.
lengths() {
	# The names have no blanks (checked below).
	# shellcheck disable=SC2086
	awk '
		function end_of_file() {
			if (lines > 600)
				printf "%s: %d lines, at most 600\n", file, lines
		}
		FNR == 1 { end_of_file(); file = FILENAME; start = 0; name = "?" }
		{ lines = FNR }
		/^[A-Za-z_][^;]*\(/ && !/^#/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
		/^\{/ { start = FNR }
		/^\}/ {
			if (start && FNR - start - 1 > 80)
				printf "%s:%d: %s has %d lines, at most 80\n", FILENAME, start, name, FNR - start - 1
			start = 0
		}
		END { end_of_file() }' $sources
}

# 100 columns, of characters: the bytes in UTF-8 that go on with one do not count.
columns() {
	for file in $sources $(find tests -name '*.[ch]' | sort); do
		expand -t 8 "$file" | awk -v file="$file" '
			{ gsub(/[\200-\277]/, "") }
			length($0) > 100 { printf "%s:%d: %d columns, at most 100\n", file, FNR, length($0) }'
	done
}

# The code alone, `FILE:LINE:code`: comments and what stands in quotes are taken out.
code() {
	# shellcheck disable=SC2086
	awk '
		FNR == 1 { comment = 0 }
		{
			text = $0; out = ""
			while (text != "") {
				if (comment) {
					i = index(text, "*/")
					if (!i) { text = ""; break }
					text = substr(text, i + 2); comment = 0; out = out " "
				} else if (match(text, /\/\*|\/\/|"|'\''/)) {
					out = out substr(text, 1, RSTART - 1)
					opened = substr(text, RSTART, RLENGTH)
					text = substr(text, RSTART + RLENGTH)
					if (opened == "//") break
					if (opened == "/*") { comment = 1; continue }
					while (text != "" && substr(text, 1, 1) != opened)
						text = substr(text, substr(text, 1, 1) == "\\" ? 3 : 2)
					text = substr(text, 2); out = out opened opened
				} else {
					out = out text; text = ""
				}
			}
			print FILENAME ":" FNR ":" out
		}' $sources
}

banned_calls() {
	code | grep -E '(^|[^A-Za-z0-9_])(alloca|strcpy|strcat|sprintf|vsprintf|gets|system|popen|tmpnam|mktemp)[[:space:]]*\(' |
		sed 's/^\([^:]*:[0-9]*\):[[:space:]]*/\1: banned call: /'
	code | grep -E '(^|[^A-Za-z0-9_])uv_fs_event_(t|init|start)' |
		sed 's/^\([^:]*:[0-9]*\):[[:space:]]*/\1: loses inotify overflows: /'
}

# Includes point downwards; admin and node stand side by side and never meet.
includes() {
	# shellcheck disable=SC2086
	awk '
		BEGIN {
			n = split("core crypto config repo channel admin node control http cli", names, " ")
			for (i = 1; i <= n; i++)
				rank[names[i]] = i
			rank["node"] = rank["admin"]
			rank["control"] = rank["http"] = rank["cli"] = 8
		}
		/^[ \t]*#[ \t]*include[ \t]*"/ {
			split(FILENAME, parts, "/")
			from = parts[3] == "" ? "main" : parts[2]
			to = $0
			sub(/^[^"]*"/, "", to); sub(/".*/, "", to)
			if (to !~ /\//) {
				printf "%s:%d: \"%s\" is not named from the root of src\n", FILENAME, FNR, to
				next
			}
			sub(/\/.*/, "", to)
			if (!(to in rank) || (from != "main" && !(from in rank)))
				printf "%s:%d: %s is no folder of the design\n", FILENAME, FNR, to in rank ? from : to
			else if (from != "main" && rank[to] > rank[from])
				printf "%s:%d: %s/ includes upwards, from %s/\n", FILENAME, FNR, from, to
			else if (rank[to] == rank["admin"] && rank[from] == rank["admin"] && to != from)
				printf "%s:%d: %s/ and %s/ never include each other\n", FILENAME, FNR, from, to
		}' $sources
}

# only HEADER PLACES: a library is known in one place.
only() {
	# shellcheck disable=SC2086
	grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]$1" $sources /dev/null |
		grep -vE "^src/($2)" | sed "s|^\([^:]*:[0-9]*\):.*|\1: $1 does not belong here|"
}

foreign_headers() {
	only 'sodium' 'crypto/|channel/noise\.c'
	only 'git2' 'repo/|channel/(transport|uploadpack)\.c'
	only 'libxml/' 'config/'
	only 'libxslt/' 'config/'
	only 'microhttpd' 'http/'
}

# A step is one word: in the table, as the name of its file, in the log.
steps() {
	for table in src/admin/cycle.c src/node/cycle.c; do
		[ -f "$table" ] || continue
		words=$(step_words "$table")
		[ -n "$words" ] || echo "$table: no table of steps found"
		for word in $words; do
			for folder in "$(dirname "$table")" src/config src/repo; do
				[ -f "$folder/$word.c" ] && continue 2
			done
			echo "$table: step $word has no file of that name"
		done
	done
}

# The first string of each row: {"word", function}, several may stand on a line.
step_words() {
	sed -n '/ steps\[\] = {$/,/^};/p' "$1" | grep -oE '\{(\.name = )?"[a-z]+"' | sed 's/.*"\([a-z]*\)"/\1/'
}

# Every source is built (or the tarball would lack it), and every test run.
listed() {
	for file in $sources; do
		grep -qE "(^|[[:space:]])$file([[:space:]]|\$)" Makefile.am || echo "$file: not in Makefile.am"
	done
	for file in tests/unit/test_*.c; do
		[ -f "$file" ] || continue
		grep -qE "(^|[[:space:]])${file%.c}([[:space:]]|\$)" Makefile.am || echo "$file: not in Makefile.am"
	done
	for file in tests/fuzz/fuzz_*.c; do
		[ -f "$file" ] || continue
		grep -qE "(^|[[:space:]])${file%.c}([[:space:]]|\$)" Makefile.am || echo "$file: not in Makefile.am"
	done
	for file in tests/flow/*.sh tests/bench/*.sh; do
		[ -f "$file" ] || continue
		grep -qE "(^|[[:space:]])$file([[:space:]]|\$)" Makefile.am || echo "$file: not in Makefile.am"
	done
}

# Every harness has inputs to replay, few and small; no inputs are without a harness.
corpora() {
	for file in tests/fuzz/fuzz_*.c; do
		[ -f "$file" ] || continue
		name=${file#tests/fuzz/fuzz_}
		folder=tests/fuzz/corpus/${name%.c}
		count=$(find "$folder" -type f 2>/dev/null | wc -l)
		[ "$count" -gt 0 ] || echo "$file: no corpus in $folder/"
		[ "$count" -le 30 ] || echo "$folder: $count inputs, at most 30"
	done
	for folder in tests/fuzz/corpus/*/; do
		[ -d "$folder" ] || continue
		name=$(basename "$folder")
		[ -f "tests/fuzz/fuzz_$name.c" ] || echo "tests/fuzz/corpus/$name: no harness tests/fuzz/fuzz_$name.c"
	done
	find tests/fuzz/corpus -type f -size +32k 2>/dev/null | sed 's/$/: an input of over 32 kB/'
}

# Nothing of the machine it was written on.
home_paths() {
	files=$(find src tests man share etc .ci -type f 2>/dev/null; ls -d ./*.md bootstrap configure.ac Makefile.am NEWS 2>/dev/null)
	# shellcheck disable=SC2086
	grep -nIE '(^|[^A-Za-z0-9_.>)}])/(home|root|work|Users)/[A-Za-z0-9]' $files /dev/null |
		sed 's/^\([^:]*:[0-9]*\):.*/\1: a path of one machine/'
}

names() {
	find src tests -name '*[!A-Za-z0-9._-]*' | sed 's/$/: no such characters in a name/'
}

faults=$(names; lengths; columns; banned_calls; includes; foreign_headers; steps; listed; corpora; home_paths)
[ -z "$faults" ] && exit 0
printf '%s\n' "$faults"
exit 1
