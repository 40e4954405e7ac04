/**
 * The compiler's child process. libnftables runs here and nowhere else: on some inputs it aborts, crashes, exits
 * or loops for ever, and then it is only this process that ends.
 */
import { mkdtempSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { loadAddon } from '../kernel/addon.js';
import { linuxKernel } from '../kernel/linux.js';
import { probeKernel } from '../kernel/probe.js';
import type { Markers } from '../program/template.js';
import { addPrefixChain, PREFIX } from './prefix-chain.js';
import {
  ANSWER_DESCRIPTOR,
  type Answer,
  type CompileAnswer,
  type CompiledPass,
  type CompileRequest,
  type ListingRequest,
  READY,
  type Request,
  type TablesRequest,
} from './protocol.js';
import { addStandIn, dumpRuleset, encodeDump, Scratch } from './scratch.js';

const addon = loadAddon();
const kernel = linuxKernel();

/** NFT_CTX_OUTPUT_NUMERIC_PRIO of nftables/libnftables.h would hide `filter`; the listing is for people. */
const NO_OUTPUT_FLAGS = 0;

class Refusal extends Error {}

function runPass(
  request: CompileRequest,
  file: string,
  markers: Markers,
): CompiledPass & { listing?: string } {
  const scratch = new Scratch(kernel);
  try {
    addStandIn(scratch.route, markers.name, markers.index);
    for (const link of markers.links) addStandIn(scratch.route, link.name, link.index);
    const run = (input: string | null, variables: string[]) =>
      addon.runNftables({
        namespace: scratch.namespace.fd,
        input,
        file: input === null ? file : null,
        variables,
        includePaths: request.directory === undefined ? [] : [request.directory],
        json: false,
        dryRun: false,
        outputFlags: NO_OUTPUT_FLAGS,
      });
    const own = Object.entries(request.variables).map(([name, value]) => `${name}=${value}`);
    const start = performance.now();
    const loaded = run(null, [`intf=${markers.name}`, ...own]);
    if (loaded.status !== 0) throw new Refusal(loaded.error);
    const dump = Buffer.from(encodeDump(dumpRuleset(scratch.netfilter))).toString('base64');
    const pass = { dump, elapsedMs: performance.now() - start };
    return request.listing ? { ...pass, listing: run('list ruleset', []).output } : pass;
  } finally {
    scratch.close();
  }
}

function compile(request: CompileRequest): CompileAnswer {
  // libnftables has line numbers, and takes variables, only for a file.
  const { id } = request;
  let folder: string | undefined;
  let file = '';
  try {
    folder = mkdtempSync(join(tmpdir(), 'tapwall-'));
    file = join(folder, 'policy.nft');
    writeFileSync(file, request.text, { mode: 0o600 });
    if (request.directory !== undefined) process.chdir(request.directory);
    const results = request.passes.map((markers) => runPass(request, file, markers));
    const listing = results[0]?.listing;
    return {
      id,
      status: 'compiled',
      passes: results.map(({ dump, elapsedMs }) => ({ dump, elapsedMs })),
      ...(listing === undefined ? {} : { listing }),
    };
  } catch (error) {
    if (error instanceof Refusal) return { id, status: 'refused', file, error: error.message };
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN';
    return {
      id,
      status: 'failed',
      error: { code, message: error instanceof Error ? error.message : String(error) },
    };
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

/** Only raw netlink can make such a chain everywhere: an old libnftables does not know them. */
function listPrefix({ id }: ListingRequest): Answer {
  const scratch = new Scratch(kernel);
  try {
    if (!addPrefixChain(scratch.netfilter)) return { id, status: 'unmade' };
    const { status, output } = addon.runNftables({
      namespace: scratch.namespace.fd,
      input: 'list ruleset',
      file: null,
      variables: [],
      includePaths: [],
      json: false,
      dryRun: false,
      outputFlags: NO_OUTPUT_FLAGS,
    });
    return { id, status: status === 0 && output.includes(`${PREFIX}*`) ? 'listed' : 'not-listed' };
  } finally {
    scratch.close();
  }
}

function listTables({ id, namespace: path, tables }: TablesRequest): Answer {
  const namespace = kernel.openNamespace(path);
  try {
    const text = tables.map((table) => {
      const { output } = addon.runNftables({
        namespace: namespace.fd,
        input: `list table netdev ${table}`,
        file: null,
        variables: [],
        includePaths: [],
        json: false,
        dryRun: false,
        outputFlags: NO_OUTPUT_FLAGS,
      });
      return output;
    });
    return { id, status: 'printed', text: text.join('\n') };
  } finally {
    namespace.close();
  }
}

function answerTo(request: Request): Answer {
  switch (request.kind) {
    case 'compile':
      return compile(request);
    case 'probe':
      return { id: request.id, status: 'probed', capabilities: probeKernel(kernel) };
    case 'list-prefix':
      return listPrefix(request);
    case 'list-tables':
      return listTables(request);
  }
}

function answer(message: Answer | typeof READY): void {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let offset = 0; offset < bytes.length; ) offset += writeSync(ANSWER_DESCRIPTOR, bytes, offset);
}

// Also while libnftables loops: a parent that was killed can end nobody.
addon.endWithParent();
answer(READY);
createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line) as Request;
  answer(answerTo(request));
});
