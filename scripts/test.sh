#!/bin/bash
# Compiles and runs all tests, or the compiled test files given as arguments. Needs root: every test makes
# network namespaces of its own, and none may act on the machine's (which the variable below enforces).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
  echo "tapwall: the tests need root, to make network namespaces and macvtap devices" >&2
  exit 1
fi
# For the pages that the benchmark writes; nothing else needs a browser.
if [ ! -x /usr/bin/chromium ]; then
  echo "tapwall: installing chromium for the tests" >&2
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi
# For metrics, alerts and the dashboard. The package would start a server; its one program is all that is wanted.
if ! command -v promtool >/dev/null && [ ! -x build/tools/promtool ]; then
  echo "tapwall: fetching promtool for the tests" >&2
  apt-get update -qq
  fetched=$(mktemp -d)
  (cd "$fetched" && apt-get download -qq prometheus >/dev/null && dpkg-deb -x prometheus_*.deb .)
  install -D -m 755 "$fetched/usr/bin/promtool" build/tools/promtool
  rm -r "$fetched"
fi
export PATH=$PATH:$PWD/build/tools
npm run --silent build:test
export TAPWALL_FORBID_HOST_NAMESPACE=1
export TZ=UTC LC_ALL=C.UTF-8
if (($#)); then files=("$@"); else mapfile -t files < <(find dist-test -name '*.test.js' | sort); fi
# A compiled test whose source is gone would go on passing.
for file in "${files[@]}"; do
  source=test/${file#dist-test/}
  [ -e "${source%.js}.ts" ] || { echo "tapwall: $file has no source any more; remove dist-test" >&2; exit 1; }
done
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
status=0
node --enable-source-maps --test --test-concurrency=1 \
  --test-reporter="${TAPWALL_TEST_REPORTER:-spec}" --test-reporter-destination=stdout \
  --test-reporter=./scripts/count-reporter.mjs --test-reporter-destination="$counts" \
  "${files[@]}" || status=$?
cat "$counts"
# A test that cannot run here has shown nothing.
grep -q ', 0 skipped$' "$counts" || status=1
exit "$status"
