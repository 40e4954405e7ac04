#!/bin/bash
# What scripts/test-deb.sh does inside a bare Debian with tapwall installed, in namespaces of its own.
set -euo pipefail
fail() {
  echo "FAILED: $*" >&2
  exit 1
}
run_agent() {
  tapwall run --config /etc/tapwall/tapwall.yaml --json >"$1" &
  agent=$!
  for _ in $(seq 300); do
    if grep -q '"event":"ready"' "$1"; then return; fi
    sleep 0.1
  done
  fail "the agent did not get ready: $(cat "$1")"
}
stop_agent() {
  # The shell of /usr/bin/tapwall has become Node.
  kill -TERM "$agent"
  wait "$agent"
}
# Of macvtap0 and what was sent to it: packets that passed.
passed() { tapwall counters macvtap0 --json | grep -o '"ingress":{[^}]*' | grep -oP '"packets":"?\K\d+' | head -1; }

tapwall --version
[ ! -e /etc/systemd/system/multi-user.target.wants/tapwall.service ] || fail "the service was enabled"
command -v node nft && fail "this is no bare Debian"
tapwall check /etc/tapwall/tapwall.yaml
tapwall doctor
tapwall demo >/tmp/demo || fail "$(cat /tmp/demo)"
tail -2 /tmp/demo
bash -n /usr/share/bash-completion/completions/tapwall

ip link set lo up
ip link add vx0 type veth peer name vx1
ip link set vx0 up
ip link set vx1 up
ip addr add 10.0.0.1/24 dev vx1
ip link add link vx0 name macvtap0 address 52:54:00:00:00:01 type macvtap mode bridge
ip link set macvtap0 up
ip neigh add 10.0.0.2 lladdr 52:54:00:00:00:01 dev vx1
run_agent /tmp/first
# A packet a millisecond, for as long as all of the following takes.
(
  sent=0
  while [ ! -e /tmp/enough ]; do
    echo x >/dev/udp/10.0.0.2/9
    sent=$((sent + 1))
    sleep 0.001
  done
  echo "$sent" >/tmp/sent
) &
sender=$!
echo "# of mine" >>/etc/tapwall/tapwall.yaml
tapwall libvirt install --config /etc/tapwall/tapwall.yaml

echo "upgrade, while packets flow"
before=$(passed)
dpkg -i /second.deb >/dev/null
[ "$(dpkg-query -Wf '${Version}' tapwall)" != "$(dpkg-deb -f /first.deb Version)" ] || fail "nothing was upgraded"
# What systemd would do in postinst.
stop_agent
run_agent /tmp/second
grep -q '"event":"attached","device":"macvtap0".*"kept":true' /tmp/second || fail "the device was not kept: $(cat /tmp/second)"
touch /tmp/enough
wait "$sender"
after=$(passed)
[ "$after" -ge "$(cat /tmp/sent)" ] || fail "of $(cat /tmp/sent) packets the filter counted $after"
echo "$before packets counted before, $after after, $(cat /tmp/sent) sent: none was missed"
grep -q "^# of mine" /etc/tapwall/tapwall.yaml || fail "the configuration was replaced"
tapwall libvirt status || fail "the hook is gone"

echo "remove"
stop_agent
dpkg -r tapwall >/tmp/removed
grep -q "removed tapwall" /tmp/removed || fail "the tables were not removed: $(cat /tmp/removed)"
[ ! -e /etc/libvirt/hooks/qemu.d/50-tapwall ] || fail "the hook is left"
[ ! -e /usr/lib/tapwall ] || fail "left: $(find /usr/lib/tapwall)"
grep -q "^# of mine" /etc/tapwall/tapwall.yaml || fail "the configuration is gone"

echo "purge"
dpkg -P tapwall >/dev/null
[ ! -e /etc/tapwall ] || fail "left: $(find /etc/tapwall)"
! dpkg -s tapwall >/dev/null 2>&1 || fail "dpkg knows it still"
