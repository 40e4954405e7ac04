#!/bin/bash
# A kernel and an initial file system for guests of the end-to-end test, out of Debian's packages: guest-image.sh FOLDER.
# The guest sets its interface up, runs the script it is given on its command line, and tells all on its serial port.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
[ -f "$folder/initrd.gz" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
apt-get download -q "$package" >/dev/null
dpkg -x "$package"_*.deb kernel
modules=$(echo kernel/lib/modules/*/kernel)
mkdir -p root/{bin,proc,sys,dev,mod,tmp}
cp /bin/busybox root/bin/
for module in drivers/virtio/virtio drivers/virtio/virtio_ring drivers/virtio/virtio_pci_modern_dev \
  drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci net/core/failover drivers/net/net_failover \
  drivers/net/virtio_net net/core/pktgen; do
  [ ! -f "$modules/$module.ko" ] || cp "$modules/$module.ko" root/mod/
done
cat >root/init <<'INIT'
#!/bin/busybox sh
/bin/busybox mkdir -p /sbin /usr/bin /usr/sbin
/bin/busybox --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net; do
  [ ! -f /mod/$module.ko ] || insmod /mod/$module.ko
done
argument() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
ip link set lo up
ip link set eth0 up
ip addr add "$(argument g_ip)" dev eth0
echo GUEST-READY
argument g_script | base64 -d >/tmp/script
sh /tmp/script
echo GUEST-DONE
exec sleep 100000
INIT
chmod +x root/init
(cd root && find . | cpio -o -H newc --quiet | gzip -1) >initrd.gz
cp kernel/boot/vmlinuz-* "$folder/vmlinuz"
mv initrd.gz "$folder/"
