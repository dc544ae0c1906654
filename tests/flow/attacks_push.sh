#!/bin/bash
# The same offences as in attacks_a.sh, by an admin that does not wait until it is asked.
PUSH=push
. "${top_srcdir:-$(dirname "$0")/../..}/tests/flow/attacks_a.sh"
