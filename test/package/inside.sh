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
# Of macvtap0 and what was sent to it: packets that passed, and that the policy dropped.
passed() { counted admitted; }
dropped() { counted policy; }
counted() { tapwall counters macvtap0 --json | grep -o '"ingress":.*"egress"' | grep -oP "\"$1\":{\"packets\":\K\d+" || echo 0; }
# An agent takes over what another has left: the device keeps its filter.
take_over() {
  stop_agent
  run_agent "$1"
  grep -q '"event":"attached","device":"macvtap0".*"kept":true' "$1" || fail "the device was not kept: $(cat "$1")"
}
# In place of systemd's: it notes what it is told to do.
told() { grep -qx "$1" /tmp/systemctl || fail "systemctl was not told '$1': $(cat /tmp/systemctl)"; }

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
cat >/etc/tapwall/tapwall.yaml <<'YAML'
# of mine
policies:
  most: { guards: [mac, ethertype], ingress: udp dport 10 drop, default: accept }
bindings:
  - { device: "*", policy: most }
YAML
run_agent /tmp/first
# A packet that passes and one that must not, a millisecond, for as long as all of the following takes.
(
  sent=0
  while [ ! -e /tmp/enough ]; do
    echo x >/dev/udp/10.0.0.2/9
    echo x >/dev/udp/10.0.0.2/10
    sent=$((sent + 1))
    sleep 0.001
  done
  echo "$sent" >/tmp/sent
) &
sender=$!
tapwall libvirt install
mkdir -p /run/systemd/system
printf '#!/bin/sh\necho "$@" >>/tmp/systemctl\n' >/usr/bin/systemctl
chmod 755 /usr/bin/systemctl
# As systemctl enable does.
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -s /lib/systemd/system/tapwall.service /etc/systemd/system/multi-user.target.wants/
before=$(passed)

echo "upgrade to a version with another configuration, while packets flow"
dpkg --force-confold -i /second.deb >/dev/null
[ "$(dpkg-query -Wf '${Version}' tapwall)" = "$(dpkg-deb -f /second.deb Version)" ] || fail "nothing was upgraded"
told "try-restart tapwall.service"
take_over /tmp/second
grep -q "^# of mine" /etc/tapwall/tapwall.yaml || fail "the configuration was replaced"
grep -q "^# of the second" /etc/tapwall/tapwall.yaml.dpkg-dist || fail "the new configuration was not put beside it"
[ -e /etc/systemd/system/multi-user.target.wants/tapwall.service ] || fail "the service is not enabled any more"
tapwall libvirt status || fail "the hook is gone"

echo "and back again"
: >/tmp/systemctl
dpkg --force-confold -i /first.deb >/dev/null 2>&1
[ "$(dpkg-query -Wf '${Version}' tapwall)" = "$(dpkg-deb -f /first.deb Version)" ] || fail "nothing was downgraded"
told "try-restart tapwall.service"
take_over /tmp/third
touch /tmp/enough
wait "$sender"
sent=$(cat /tmp/sent)
[ "$(passed)" -ge "$sent" ] || fail "of $sent packets that may pass the filter counted $(passed)"
[ "$(dropped)" -eq "$sent" ] || fail "of $sent packets that may not the filter dropped $(dropped)"
echo "$before packets counted before, $(passed) after, $sent sent; $(dropped) of $sent others dropped: none was missed"
grep -q "^# of mine" /etc/tapwall/tapwall.yaml || fail "the configuration was replaced"

echo "remove"
stop_agent
: >/tmp/systemctl
dpkg -r tapwall >/tmp/removed
told "stop tapwall.service"
grep -q "removed tapwall" /tmp/removed || fail "the tables were not removed: $(cat /tmp/removed)"
[ ! -e /etc/libvirt/hooks/qemu.d/50-tapwall ] || fail "the hook is left"
[ ! -e /usr/lib/tapwall ] || fail "left: $(find /usr/lib/tapwall)"
grep -q "^# of mine" /etc/tapwall/tapwall.yaml || fail "the configuration is gone"

echo "install once more, and purge"
dpkg --force-confold -i /second.deb >/dev/null
grep -q "^# of mine" /etc/tapwall/tapwall.yaml || fail "the configuration was replaced"
dpkg -P tapwall >/dev/null
[ ! -e /etc/tapwall ] || fail "left: $(find /etc/tapwall)"
[ ! -e /etc/systemd/system/multi-user.target.wants/tapwall.service ] || fail "the service is enabled still"
[ -z "$(find / -xdev -name '*tapwall*' -not -path '/proc/*' -not -path '/usr/share/doc/*')" ] ||
  fail "left: $(find / -xdev -name '*tapwall*')"
! dpkg -s tapwall >/dev/null 2>&1 || fail "dpkg knows it still"

echo "install over nothing: the configuration of the package, and an upgrade replaces what nobody changed"
dpkg -i /first.deb >/dev/null
dpkg -i /second.deb >/dev/null
grep -q "^# of the second" /etc/tapwall/tapwall.yaml || fail "the configuration is the old one"
dpkg -P tapwall >/dev/null
