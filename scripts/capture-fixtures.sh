#!/bin/sh
# Captures test/fixtures/ anew: what nft and the running kernel say for the rulesets in test/fixtures/rulesets, link
# events, and refusals. Needs root, nft, iproute2 and strace. Everything happens in network namespaces that are gone
# afterwards. `git diff` then shows what another kernel or another nft does differently; process ids, port ids,
# remaining times and the order of hash sets differ every time.
set -eu
cd "$(dirname "$0")/.."

for tool in unshare nsenter strace nft ip; do
	command -v "$tool" >/dev/null || { echo "capture-fixtures.sh: there is no $tool" >&2; exit 2; }
done
npx tsc --build tsconfig.json test/tsconfig.json
# The namespace of the captures is made inside this one: a mistake cannot reach the machine's own.
exec unshare --net -- node dist-test/fixtures-support/capture.js
