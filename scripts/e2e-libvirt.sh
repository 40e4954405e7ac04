#!/bin/bash
# tapwall on a host with a real libvirtd and real guests, in namespaces of their own: installs libvirt and qemu, makes a
# guest, and runs test/e2e. As root, on Debian.
set -euo pipefail
cd "$(dirname "$0")/.."
# No package for a program that is there already: of another distribution, say.
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need libvirtd libvirt-daemon
need libvirtd libvirt-daemon-system
need virsh libvirt-clients
need qemu-system-x86_64 qemu-system-x86
need qemu-img qemu-utils
need cpio cpio
need busybox busybox-static
[ -e /usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so ] || missing+=(libvirt-daemon-driver-qemu)
if ((${#missing[@]})); then
  echo "tapwall: installing ${missing[*]}" >&2
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
npm run --silent build:test
image=${TAPWALL_GUEST_IMAGE:-build/guest}
bash test/e2e/guest-image.sh "$image"
export TAPWALL_GUEST_IMAGE=$PWD/$image TAPWALL_FORBID_HOST_NAMESPACE=1 TZ=UTC LC_ALL=C.UTF-8
case $image in /*) TAPWALL_GUEST_IMAGE=$image ;; esac
node --enable-source-maps --test --test-reporter="${TAPWALL_TEST_REPORTER:-spec}" dist-test/e2e/libvirt.e2e.js
