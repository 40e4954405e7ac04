// A service of your own with the agent inside: HTTP tells what each VM sent and received, and closes and opens nothing by itself.
//
//   node examples/http-service.mjs CONFIGURATION [--namespace NAME|PATH] [--port NUMBER]
//
//   GET /devices   what the kernel holds for each device
//   GET /events    what happens from now on, one JSON object a line, until the client goes
//   PUT /          a configuration as JSON, with the keys of the file, put in force at once
//
// It listens on 127.0.0.1 only, and asks nobody who he is: put your own authentication before it.
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { Agent, createConfiguration, linuxKernel, loadConfiguration, TapwallError } from 'tapwall';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { namespace: { type: 'string' }, port: { type: 'string', default: '0' } },
});
const [file] = positionals;
if (file === undefined)
  throw new Error('usage: http-service.mjs CONFIGURATION [--namespace NAME] [--port NUMBER]');

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stopping.abort());

const namespace = values.namespace === undefined ? undefined : linuxKernel().openNamespace(values.namespace);
const agent = await Agent.start(loadConfiguration(file), {
  signal: stopping.signal,
  ...(namespace && { namespace }),
});
// The thread that filters is gone, and the filters are not: a service manager should start the service again.
agent.on('error', (error) => {
  console.error('the agent ended:', error.code, error.message);
  process.exit(1);
});
agent.on('failed', ({ device, error, closed }) => {
  console.error(`${device} has no filter: ${error.message}; it is ${closed ? 'closed' : 'OPEN'}`);
});

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    if (!(error instanceof TapwallError)) console.error(error);
    if (response.headersSent) return response.destroy();
    const body = error instanceof TapwallError ? error.toJSON() : { code: 'UNKNOWN', message: 'see the log' };
    send(response, error instanceof TapwallError ? 422 : 500, body);
  });
});

async function answer(request, response) {
  switch (`${request.method} ${request.url}`) {
    case 'GET /devices':
      return send(response, 200, agent.status());
    case 'GET /events':
      return await follow(response);
    case 'PUT /':
      // Nothing changes unless all of it compiles; what a client does not wait for is given up.
      await agent.apply(createConfiguration(await readJson(request), file), { signal: closing(response) });
      return send(response, 200, { ok: true });
    default:
      return send(response, 404, { code: 'NOT_FOUND', message: `${request.method} ${request.url}` });
  }
}

/** A client that reads too slowly is told how many events it has missed; the agent does not wait for it. */
async function follow(response) {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' }).flushHeaders();
  for await (const event of agent.events({ signal: closing(response), limit: 1_000 })) {
    if (!response.write(`${JSON.stringify(event)}\n`)) {
      await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
    }
  }
  response.end();
}

/** Aborts when the client goes. */
function closing(response) {
  const controller = new AbortController();
  response.once('close', () => controller.abort());
  return controller.signal;
}

const LARGEST_BODY = 1024 * 1024;

async function readJson(request) {
  let text = '';
  for await (const part of request.setEncoding('utf8')) {
    text += part;
    if (text.length > LARGEST_BODY) throw new TapwallError('CONFIG', 'more than 1 MiB');
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TapwallError('CONFIG', `not JSON: ${cause.message}`, { cause });
  }
}

function send(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
}

server.listen(Number(values.port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});

stopping.signal.addEventListener('abort', async () => {
  server.close();
  // The filters stay; the next start takes them over.
  await agent.stop();
  server.closeAllConnections();
  namespace?.close();
});
