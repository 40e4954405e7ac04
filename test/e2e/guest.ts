/** Guests as libvirt wants them described. */
export interface GuestSketch {
  name: string;
  uuid?: string;
  mac: string;
  /** With its length: `10.78.0.2/24`. */
  address: string;
  /** Of the world outside: a shell script. */
  script?: string;
  metadata?: string;
  /** Where vmlinuz and initrd.gz are. */
  image: string;
  serialLog: string;
}

export function guestXml(sketch: GuestSketch): string {
  const { name, mac, uuid = uuidOf(mac), address, script = '', metadata = '', image, serialLog } = sketch;
  const encoded = Buffer.from(script).toString('base64');
  return `<domain type='qemu'>
  <name>${name}</name>
  <uuid>${uuid}</uuid>
  <metadata>${metadata}</metadata>
  <memory unit='MiB'>160</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>${image}/vmlinuz</kernel>
    <initrd>${image}/initrd.gz</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 g_ip=${address} g_script=${encoded}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='direct'>
      <mac address='${mac}'/>
      <source dev='vx0' mode='bridge'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
    <serial type='file'><source path='${serialLog}' append='on'/></serial>
    <memballoon model='none'/>
    <controller type='usb' model='none'/>
  </devices>
</domain>
`;
}

/** The same for each definition of a guest. */
function uuidOf(mac: string): string {
  return `00000000-0000-4000-8000-${mac.replaceAll(':', '')}`;
}

/** Says on the serial port whether an address answers: `PING ADDRESS yes`. */
export function pings(...addresses: string[]): string {
  return addresses
    .map(
      (address) =>
        `if ping -c 2 -W 2 ${address} >/dev/null; then echo PING ${address} yes; else echo PING ${address} no; fi`,
    )
    .join('\n');
}
