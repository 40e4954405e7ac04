#!/bin/bash
# Installs the Debian package in a bare Debian 12 of its own, runs it there, upgrades, removes and purges it. As root, on
# Debian, with debootstrap; the bare system is kept in build/ for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in debootstrap lintian; do
  command -v "$tool" >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$tool" >/dev/null
done
say() { printf '\n== %s\n' "$*"; }

say "packages of two revisions"
first=$(bash scripts/package-deb.sh 1)
second=$(bash scripts/package-deb.sh 2)
say "lintian"
lintian --allow-root --fail-on error "$first"

bare=build/debian-12.tar
if [ ! -f "$bare" ]; then
  say "a bare Debian 12"
  fresh=$(mktemp -d)
  debootstrap --variant=minbase bookworm "$fresh" >/dev/null
  tar -cf "$bare" -C "$fresh" .
  rm -rf "$fresh"
fi
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
tar -xf "$bare" -C "$tree"
cp "$first" "$tree/first.deb"
cp "$second" "$tree/second.deb"
cp test/package/inside.sh "$tree/inside.sh"
cp --remove-destination /etc/resolv.conf /etc/hosts "$tree/etc/"

say "install, with what it depends on and nothing else"
# iproute2 is for the test. No service is started: there is no systemd in there.
unshare --mount --pid --fork chroot "$tree" bash -euc '
  mount -t proc proc /proc
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o Acquire::Check-Valid-Until=false update >/dev/null
  apt-get -qq install -y --no-install-recommends iproute2 >/dev/null
  apt-get -qq install -y --no-install-recommends /first.deb >/dev/null
  dpkg -s tapwall | grep -x "Status: install ok installed"
'

say "run, upgrade, remove and purge, in a network namespace of its own"
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
echo "the package installs, runs, upgrades, is removed and purged"
