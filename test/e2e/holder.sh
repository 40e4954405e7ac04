#!/bin/bash
# Runs as the first process of network, mount and PID namespaces of its own, and makes a host for libvirt out of them:
# holder.sh FOLDER. Whatever is started in there ends with it.
set -euo pipefail
state=$1
mount --make-rprivate /
for pair in etc:/etc/libvirt var:/var/lib/libvirt log:/var/log/libvirt cache:/var/cache/libvirt; do
  mount --bind "$state/${pair%%:*}" "${pair#*:}"
done
# That of this network namespace.
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/libvirt /run/lock /var/lib/libvirt/qemu /var/lib/libvirt/images
# A private /dev: the machine's names tap nodes by an index that is unique in one network namespace only.
devices=$state/dev
mount -t tmpfs -o mode=755 tmpfs "$devices"
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
  IFS=: read -r name major minor <<<"$node"
  mknod -m 666 "$devices/$name" c "$major" "$minor"
done
mkdir -p "$devices"/{net,pts,shm}
mknod -m 666 "$devices/net/tun" c 10 200
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$devices/pts"
ln -s pts/ptmx "$devices/ptmx"
ln -s /proc/self/fd "$devices/fd"
mount --rbind "$devices" /dev

ip link set lo up
# The guests' devices stand on vx0; vx1 is the world: the gateway and a machine of the LAN.
ip link add vx0 type veth peer name vx1
# Nobody but guests speaks IPv6: the host would ask for routers through the cable, ever again.
for link in vx0 vx1; do echo 1 >/proc/sys/net/ipv6/conf/$link/disable_ipv6; done
ip link set vx0 up
ip link set vx1 up
ip addr add 10.78.0.1/24 dev vx1
ip addr add 10.78.0.50/24 dev vx1
echo ready
# What udev does, fast enough for libvirt, which waits a fifth of a second; and as the first process it reaps the others.
exec /usr/bin/python3 -c '
import glob, os, signal, stat, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    for file in glob.glob("/sys/class/net/*/tap[0-9]*/dev"):
        node = "/dev/" + file.split("/")[-2]
        try:
            major, minor = open(file).read().split(":")
            device = os.makedev(int(major), int(minor))
            if os.path.exists(node):
                if os.stat(node).st_rdev == device:
                    continue
                os.unlink(node)
            os.mknod(node, stat.S_IFCHR | 0o600, device)
        except OSError:
            pass
    time.sleep(0.003)
'
