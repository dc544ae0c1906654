#!/bin/bash
# Some hundred releases, one by one: packs stay few, ten revisions are kept, and all of the history verifies. The bench of the same
# name goes to ten thousand, and measures.
RELEASES=${RELEASES:-120} ROUNDS=0 exec bash "${top_srcdir:-$(dirname "$0")/../..}/tests/bench/history.sh"
