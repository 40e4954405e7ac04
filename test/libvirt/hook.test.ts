import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DeviceAnswer } from '#src/agent/request.js';
import { TapwallError } from '#src/error.js';
import { answerHook, type HookAgent, type HookRequest } from '#src/libvirt/hook.js';
import { directInterface, domainXml, MAC, metadata, UUID } from './support.js';

type Asked = Parameters<HookAgent['ask']>[0];

const ATTACHED: DeviceAnswer = {
  device: 'macvtap0',
  index: 4,
  state: 'attached',
  filtered: true,
  closed: false,
  policy: 'web',
};

function agentWith(...answers: (DeviceAnswer | TapwallError)[][]): HookAgent & { asked: Asked[] } {
  const asked: Asked[] = [];
  return {
    asked,
    configuration: { domainPolicies: ['web'] },
    ask(request) {
      asked.push(request);
      const next = answers.length > 1 ? answers.shift() : answers[0];
      const error = next?.find((one) => one instanceof TapwallError);
      return error ? Promise.reject(error) : Promise.resolve((next ?? []) as DeviceAnswer[]);
    },
  };
}

function request(domain: string, operation: HookRequest['operation'] = 'start'): HookRequest {
  return { guest: 'web-1', operation, domain, waitMs: 0 };
}

describe('what the hook is answered', () => {
  it('a guest whose devices are filtered', async () => {
    const agent = agentWith([ATTACHED]);
    const inside = '<x:policy>web</x:policy><x:address>203.0.113.7</x:address>';
    const result = await answerHook(agent, request(domainXml({ metadata: metadata(inside) })));
    assert.deepEqual(result, { admitted: true, message: '' });
    assert.deepEqual(agent.asked, [
      {
        request: 'admit',
        guest: { name: 'web-1', uuid: UUID },
        devices: [
          {
            name: 'macvtap0',
            mac: MAC,
            alias: 'net0',
            policy: 'web',
            addresses: [{ family: 4, bytes: Uint8Array.of(203, 0, 113, 7), prefixLength: 32 }],
          },
        ],
        expectMs: 0,
      },
    ]);
  });

  it('a guest without such devices is nobody’s business', async () => {
    const agent = agentWith([]);
    const result = await answerHook(agent, request(domainXml({ devices: '' })));
    assert.equal(result.admitted, true);
    assert.equal(agent.asked.length, 0);
  });

  it('a guest that has ended, whatever is left of its XML', async () => {
    assert.equal((await answerHook(agentWith([]), request('rubbish', 'release'))).admitted, true);
  });

  it('each device that is not filtered, and why', async () => {
    const devices = directInterface() + directInterface({ mac: '52:54:00:aa:bb:02', device: 'macvtap1' });
    const agent = agentWith([
      {
        ...ATTACHED,
        state: 'unmatched',
        filtered: false,
        policy: undefined,
        reason: { code: 'UNMATCHED', message: 'no binding matches the device' },
      },
      {
        ...ATTACHED,
        device: 'macvtap1',
        state: 'closed',
        filtered: false,
        reason: { code: 'ARGUMENT', message: 'it compares addresses', hint: 'Tell some.' },
      },
    ]);
    const { admitted, message } = await answerHook(agent, request(domainXml({ devices })));
    assert.equal(admitted, false);
    assert.equal(
      message,
      'macvtap0: no binding matches the device; macvtap1 cannot have the policy web: it compares addresses. Tell some.',
    );
  });

  it('a device that comes late is waited for, one that never comes is not there', async () => {
    const absent: DeviceAnswer = { device: 'macvtap0', state: 'absent', filtered: false, closed: false };
    const late = agentWith([absent], [absent], [ATTACHED]);
    assert.equal((await answerHook(late, { ...request(domainXml()), waitMs: 5_000 })).admitted, true);
    assert.equal(late.asked.length, 3);
    const never = await answerHook(agentWith([absent]), request(domainXml()));
    assert.match(never.message, /macvtap0 is no macvtap device that tapwall looks at/);
  });

  it('a policy that is not the guest’s to choose', async () => {
    const agent = agentWith([ATTACHED]);
    const xml = domainXml({ metadata: metadata('<x:policy>other</x:policy>') });
    const { admitted, message } = await answerHook(agent, request(xml));
    assert.equal(admitted, false);
    assert.match(message, /policy other, which is not in domain-policies/);
    assert.equal(agent.asked.length, 0);
  });

  it('what the agent has against it, and what is wrong with the XML', async () => {
    const agent = agentWith([new TapwallError('ARGUMENT', 'no room', { hint: 'Tell less.' })]);
    assert.deepEqual(await answerHook(agent, request(domainXml())), {
      admitted: false,
      message: 'no room. Tell less.',
    });
    assert.match((await answerHook(agent, request('<domain'))).message, /not well-formed/);
    const noDevice = domainXml({ devices: directInterface({ device: '' }) });
    assert.match((await answerHook(agent, request(noDevice))).message, /has no device yet/);
  });
});
