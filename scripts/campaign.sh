#!/bin/bash
# Compiles and runs what takes longer than a test may: bash scripts/campaign.sh campaign|fuzz|soak [arguments]. Needs root: all
# happens in network namespaces of its own, and none may be the machine's (which the variable below enforces).
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-}
case $program in
  campaign | fuzz | soak) ;;
  *)
    echo "usage: bash scripts/campaign.sh campaign|fuzz|soak [arguments]; --help tells which" >&2
    exit 2
    ;;
esac
shift
if [ "$(id -u)" != 0 ]; then
  echo "tapwall: this needs root, to make network namespaces and macvtap devices" >&2
  exit 1
fi
npm run --silent build:test
export TAPWALL_FORBID_HOST_NAMESPACE=1
exec node --enable-source-maps --expose-gc "dist-test/$program/main.js" "$@"
