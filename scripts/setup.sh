#!/bin/bash
# Brings a checkout to where it can run: system packages, npm packages, the addon, the compiled TypeScript.
# Does only what is not done yet, so the README's commands call it each time.
set -euo pipefail
cd "$(dirname "$0")/.."

# What the addon is built with, and what the tests compare against. Each is probed before anything is installed.
missing=()
need() { # package, command that succeeds when it is there
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
need g++ g++ --version
need cmake cmake --version
need make make --version
need pkg-config pkg-config --version
need libmnl-dev pkg-config --exists libmnl
need libnftables-dev pkg-config --exists libnftables
need util-linux unshare --version
need nftables nft --version
need iproute2 ip -V
need strace strace --version
# What judges the systemd unit; a container may be without.
need systemd systemd-analyze --version
# What judges the manual pages.
need mandoc sh -c 'command -v mandoc'
# What the libvirt hook's script is checked with.
need shellcheck shellcheck --version
# Debian's own Python: another one that stands first in PATH does not see Debian's packages.
need python3-scapy /usr/bin/python3 -c 'import scapy'

if ((${#missing[@]})); then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "tapwall: install these packages first (Debian's names): ${missing[*]}" >&2
    exit 1
  fi
  echo "tapwall: installing ${missing[*]}" >&2
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# npm ci runs the install script (the addon) and the prepare script (TypeScript).
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund
fi
node scripts/build-addon.mjs >/dev/null
npm run --silent build
