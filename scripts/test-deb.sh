#!/bin/bash
# Installs the Debian package in a bare Debian 12 of its own, runs it there, upgrades, downgrades, removes and purges it. As
# root, on Debian, with a mirror of Debian's in reach; the bare system is kept in build/ for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\n== %s\n' "$*"; }
fail() {
  echo "test-deb: $*" >&2
  exit 1
}
install_tools() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap lintian >/dev/null; }
if ! { command -v debootstrap && command -v lintian; } >/dev/null; then
  install_tools 2>/dev/null || { apt-get update -qq && install_tools; } ||
    fail "debootstrap and lintian are not here and cannot be installed; a mirror of Debian's must be in reach"
fi

say "packages of two revisions"
first=$(bash scripts/package-deb.sh 1)
second=$(bash scripts/package-deb.sh 2)
say "lintian"
lintian --allow-root --fail-on error "$first"
# The second brings along another configuration than the first.
changed=$(mktemp -d)
trap 'rm -rf "$changed"' EXIT
dpkg-deb --raw-extract "$second" "$changed"
echo "# of the second revision" >>"$changed/etc/tapwall/tapwall.yaml"
dpkg-deb --root-owner-group -Znone --build "$changed" "$changed.deb" >/dev/null

bare=build/debian-12.tar
if [ ! -f "$bare" ]; then
  say "a bare Debian 12"
  # From where this system has its own packages.
  # shellcheck disable=SC2016
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 2>/dev/null | grep -m1 '/debian/*$' || true)
  fresh=$(mktemp -d)
  trap 'rm -rf "$changed" "$changed.deb" "$fresh"' EXIT
  debootstrap --variant=minbase bookworm "$fresh" "${mirror:-http://deb.debian.org/debian}" >"$fresh.log" 2>&1 ||
    fail "no bare Debian 12 can be made from ${mirror:-http://deb.debian.org/debian}; debootstrap's last words: $(tail -3 "$fresh.log")"
  tar -cf "$bare.new" -C "$fresh" .
  mv "$bare.new" "$bare"
  rm -rf "$fresh" "$fresh.log"
fi
tree=$(mktemp -d)
trap 'rm -rf "$changed" "$changed.deb" "$tree"' EXIT
tar -xf "$bare" -C "$tree"
# Apt's own user reads in there, too.
chmod 755 "$tree"
cp "$first" "$tree/first.deb"
cp "$changed.deb" "$tree/second.deb"
cp test/package/inside.sh "$tree/inside.sh"
cp --remove-destination /etc/resolv.conf /etc/hosts "$tree/etc/"

say "install, with what it depends on and nothing else"
# iproute2 is for the test. No service is started: there is no systemd in there.
unshare --mount --pid --fork chroot "$tree" bash -euc '
  mount -t proc proc /proc
  mount -t devpts devpts /dev/pts
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o Acquire::Check-Valid-Until=false update >/dev/null
  apt-get -qq install -y --no-install-recommends iproute2 >/dev/null
  apt-get -qq install -y --no-install-recommends /first.deb >/dev/null
  dpkg -s tapwall | grep -x "Status: install ok installed"
'

say "run, upgrade, downgrade, remove and purge, in a network namespace of its own"
# shellcheck disable=SC2016
unshare --mount --pid --net --fork bash -euc '
  mount --make-rprivate /
  mount -t proc proc "$1/proc"
  mount -t sysfs sys "$1/sys"
  mount -t tmpfs -o mode=755 dev "$1/dev"
  for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9; do
    IFS=: read -r name major minor <<<"$node"
    mknod -m 666 "$1/dev/$name" c "$major" "$minor"
  done
  ln -s /proc/self/fd "$1/dev/fd"
  mount -t tmpfs run "$1/run"
  env -i PATH="$PATH" LC_ALL=C.UTF-8 chroot "$1" bash /inside.sh
' bash "$tree"
echo "the package installs, runs, upgrades, downgrades, is removed and purged"
