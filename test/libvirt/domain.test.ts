import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { addressText } from '#src/config/address.js';
import { TapwallError } from '#src/error.js';
import { type Domain, parseDomain } from '#src/libvirt/domain.js';
import { directInterface, domainXml, MAC, metadata, UUID } from './support.js';

function choices({ interfaces }: Domain): string[] {
  return interfaces.map(({ choice }) =>
    choice
      ? [`${choice.from} ${choice.policy}`, ...choice.addresses.map(addressText)].join(' ')
      : 'no choice',
  );
}

function refused(xml: string): string {
  try {
    parseDomain(xml);
  } catch (error) {
    assert.ok(error instanceof TapwallError, String(error));
    assert.equal(error.code, 'DOMAIN');
    return error.message;
  }
  assert.fail('it was accepted');
}

describe('a domain', () => {
  it('has a name, a UUID and the interfaces on macvtap devices', () => {
    assert.deepEqual(parseDomain(domainXml()), {
      name: 'web-1',
      uuid: UUID,
      interfaces: [{ device: 'macvtap0', mac: MAC, parent: 'vx0', alias: 'net0', choice: undefined }],
    });
  });

  it('is read whatever else is in it, and whatever its name has', () => {
    const { name, interfaces } = parseDomain(domainXml({ name: 'a&amp;b &lt;c&gt; ü', devices: '' }));
    assert.deepEqual([name, interfaces], ['a&b <c> ü', []]);
  });

  it('may have interfaces without a device, before libvirt has made it', () => {
    const { interfaces } = parseDomain(domainXml({ devices: directInterface({ device: '' }) }));
    assert.equal(interfaces[0]?.device, undefined);
  });

  it('is refused when it is none', () => {
    assert.match(refused(''), /not well-formed|empty/);
    assert.match(refused('<domain>'), /not well-formed/);
    assert.match(refused('<network/>'), /its root is <network>/);
    assert.match(refused("<domain xmlns='urn:x'/>"), /its root is <domain>/);
    assert.match(refused('<domain/>'), /no <name>/);
    assert.match(refused('<domain><name>a</name><uuid>1</uuid></domain>'), /no <uuid>/);
    assert.match(refused(domainXml({ devices: "<interface type='direct'/>" })), /no MAC/);
    assert.match(refused(domainXml({ name: 'x'.repeat(1 << 20) })), /larger than 512 KiB/);
  });

  it('has no entities of its own, from outside or inside', () => {
    const outside = `<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>${domainXml({ name: '&x;' })}`;
    assert.match(refused(outside), /document type/);
    assert.match(refused(domainXml({ name: '&x;' })), /not well-formed/);
  });

  it('is refused or read, whatever the bytes', () => {
    const bits = ['<domain>', '</domain>', '<name>', '<', '>', '&', "'", '"', 'a', '<!--', ']]>', '\0', '/'];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...bits), { maxLength: 40 }), (parts) => {
        try {
          parseDomain(parts.join(''));
        } catch (error) {
          assert.ok(error instanceof TapwallError, String(error));
        }
      }),
    );
  });
});

describe('what a domain asks for', () => {
  const asked = (inside: string, more = '') =>
    choices(parseDomain(domainXml({ metadata: metadata(inside), devices: directInterface({ more }) })));
  const FILTERREF = `<filterref filter='clean-traffic'><parameter name='IP' value='203.0.113.7'/></filterref>`;

  it('stands in the metadata, for all interfaces or for one', () => {
    assert.deepEqual(
      asked('<x:policy> web </x:policy><x:address>203.0.113.7</x:address><x:address>2001:db8::7</x:address>'),
      ['metadata web 203.0.113.7 2001:db8::7'],
    );
    assert.deepEqual(
      asked(
        `<x:policy>web</x:policy><x:interface mac='${MAC.toUpperCase()}'><x:policy>db</x:policy></x:interface>`,
      ),
      ['metadata db'],
    );
  });

  it('is that of tapwall’s namespace alone', () => {
    const other = `<x:guest xmlns:x='urn:other'><x:policy>web</x:policy></x:guest><guest><policy>web</policy></guest>`;
    assert.deepEqual(choices(parseDomain(domainXml({ metadata: other }))), ['no choice']);
    assert.deepEqual(asked('<policy>web</policy>'), ['no choice']);
  });

  it('stands in a filterref as libvirt has it, also in the metadata, where libvirt allows none', () => {
    const more = `<filterref filter='f'><parameter name='IP' value='203.0.113.7'/><parameter name='IPV6' value='2001:db8::7'/><parameter name='MAC' value='${MAC}'/><parameter name='CTRL_IP_LEARNING' value='none'/></filterref>`;
    assert.deepEqual(choices(parseDomain(domainXml({ devices: directInterface({ more }) }))), [
      'filterref f 203.0.113.7 2001:db8::7',
    ]);
    assert.deepEqual(asked(FILTERREF.replaceAll(/<(\/?)(?=[fp])/g, '<$1x:')), [
      'metadata clean-traffic 203.0.113.7',
    ]);
  });

  it('is the nearest: the metadata of the interface, its filterref, the metadata of the guest', () => {
    assert.deepEqual(asked('<x:policy>web</x:policy>', FILTERREF), ['filterref clean-traffic 203.0.113.7']);
    const own = `<x:interface mac='${MAC}'><x:policy>db</x:policy></x:interface>`;
    assert.deepEqual(asked(own, FILTERREF), ['metadata db']);
  });

  it('is refused where it cannot be meant', () => {
    const wrong = (inside: string, more = '') =>
      refused(domainXml({ metadata: metadata(inside), devices: directInterface({ more }) }));
    assert.match(wrong('<x:address>203.0.113.7</x:address>'), /names no policy/);
    assert.match(wrong('<x:policy></x:policy>'), /names no policy/);
    assert.match(wrong('<x:policy>a</x:policy><x:policy>b</x:policy>'), /more than one policy/);
    assert.match(wrong('<x:policy>a</x:policy><x:address>here</x:address>'), /`here` is not an address/);
    assert.match(wrong('<x:interface><x:policy>a</x:policy></x:interface>'), /has no `mac`/);
    const twice = `<x:interface mac='${MAC}'/>`;
    assert.match(wrong(twice + twice), /two <interface>/);
    assert.match(wrong('', '<filterref/>'), /names no filter/);
    const parameter = (name: string, value: string) =>
      wrong('', `<filterref filter='f'><parameter name='${name}' value='${value}'/></filterref>`);
    assert.match(parameter('MAC', '52:54:00:00:00:99'), /is not that of its interface/);
    assert.match(parameter('CTRL_IP_LEARNING', 'dhcp'), /cannot be enforced/);
    assert.match(parameter('IP', '127.0.0.1'), /loopback/);
  });
});
