/** One policy compiled twice with different markers: what a program is built from. */
import assert from 'node:assert/strict';
import { addStandIn, dumpRuleset, encodeDump } from '#src/compiler/scratch.js';
import { loadAddon } from '#src/kernel/addon.js';
import type { Markers } from '#src/program/template.js';
import { messagesOf, onHost, writeFixture } from './capture-host.js';
import { fixturePath } from './hex.js';
import { firstMarkers, secondMarkers } from './markers.js';

function capture(name: string, markers: Markers): void {
  onHost((host) => {
    addStandIn(host.route, markers.name, markers.index);
    for (const link of markers.links) addStandIn(host.route, link.name, link.index);
    const { status, error } = loadAddon().runNftables({
      namespace: host.namespace.fd,
      input: null,
      file: fixturePath('rulesets/policy.nft'),
      variables: [`intf=${markers.name}`],
      includePaths: [],
      json: false,
      dryRun: false,
      outputFlags: 0,
    });
    assert.equal(status, 0, error);
    const command = `nft -D intf=${markers.name} -f rulesets/policy.nft, and what the kernel then dumps`;
    writeFixture(`policy/${name}`, command, messagesOf(encodeDump(dumpRuleset(host.netfilter))));
  });
}

export function capturePolicy(): void {
  capture('first', firstMarkers);
  capture('second', secondMarkers);
}
