#!/bin/bash
# Builds and runs the benchmark: bash scripts/bench.sh [arguments], or --help. To measure it needs root: everything happens
# in network namespaces of its own, and nothing may touch the machine's (which the variable below enforces).
set -euo pipefail
cd "$(dirname "$0")/.."
npm run --silent build
export TAPWALL_FORBID_HOST_NAMESPACE=1
exec node --enable-source-maps dist-bench/main.js "$@"
