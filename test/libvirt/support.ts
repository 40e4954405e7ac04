/** Domain XML as libvirt 9 gives it to its hooks, shortened. */
export const UUID = '0d6e7c0a-3a4b-4a52-9d6c-0f4f5d8a1b2c';
export const MAC = '52:54:00:aa:bb:01';

export interface DomainSketch {
  name?: string;
  metadata?: string;
  /** Elements of `<devices>`. */
  devices?: string;
}

export function domainXml({
  name = 'web-1',
  metadata = '',
  devices = directInterface(),
}: DomainSketch = {}): string {
  return `<domain type='qemu' id='1'>
  <name>${name}</name>
  <uuid>${UUID}</uuid>
  <metadata>${metadata}</metadata>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='bridge'><mac address='52:54:00:00:00:09'/><source bridge='br0'/><target dev='vnet0'/></interface>
    ${devices}
  </devices>
</domain>
`;
}

export function directInterface({ mac = MAC, device = 'macvtap0', more = '' } = {}): string {
  const target = device === '' ? '' : `<target dev='${device}'/>`;
  return `<interface type='direct'>
      <mac address='${mac}'/>
      <source dev='vx0' mode='bridge'/>
      ${target}
      <model type='virtio'/>
      <alias name='net0'/>${more}
    </interface>`;
}

export function metadata(inside: string): string {
  return `<x:guest xmlns:x='urn:tapwall:libvirt:1'>${inside}</x:guest>`;
}
