#!/bin/bash
# Builds and runs a benchmark: bash scripts/bench.sh attach|event|flat|leak|packet [arguments]. Needs root: everything happens in
# network namespaces of its own, and nothing may touch the machine's (which the variable below enforces).
set -euo pipefail
cd "$(dirname "$0")/.."
benchmark=${1:-}
case $benchmark in
  attach | flat) programs=(floor) ;;
  event) programs=(event/observer) ;;
  leak) programs=(leak/flooder) ;;
  packet) programs=(packet/pump) ;;
  *)
    echo "usage: bash scripts/bench.sh attach|event|flat|leak|packet [arguments]; --help tells which" >&2
    exit 2
    ;;
esac
shift
if [ "$(id -u)" != 0 ]; then
  echo "tapwall: the benchmarks need root, to make network namespaces and macvtap devices" >&2
  exit 1
fi
node_modules/.bin/tsc --build tsconfig.json bench/tsconfig.json
for program in "${programs[@]}"; do
  mkdir -p "dist-bench/$(dirname "$program")"
  # shellcheck disable=SC2046 # pkg-config gives several words
  "${CC:-cc}" -std=c11 -O2 -pthread -Wall -Wextra -Wpedantic -Werror -o "dist-bench/$program" "bench/$program.c" \
    $(pkg-config --cflags --libs libmnl)
done
export TAPWALL_FORBID_HOST_NAMESPACE=1
exec node --enable-source-maps "dist-bench/$benchmark/main.js" "$@"
