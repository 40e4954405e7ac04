#!/bin/bash
# Shows that what npm would publish works: packs it, judges it, installs it into an empty project, with each of the two
# builds of the addon, and runs an example there. Nothing of this checkout is used but the tools that judge.
set -euo pipefail
cd "$(dirname "$0")/.."
checkout=$PWD
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

npm run --silent build
npm run --silent build:man
npm pack --silent --ignore-scripts --pack-destination "$folder" >/dev/null
tarball=("$folder"/tapwall-*.tgz)

# Nothing that only this checkout needs, and all that the package promises.
tar -tzf "${tarball[0]}" | sort >"$folder/list"
for path in dist/index.js dist/index.d.ts dist/man/tapwall.8 dist/man/tapwall.yaml.5 schema/tapwall.schema.json \
  examples/fake-kernel.test.mjs native/CMakeLists.txt binding.gyp docs/reference/configuration.md LICENSE; do
  grep -qx "package/$path" "$folder/list" || { echo "tapwall: the package lacks $path" >&2; exit 1; }
done
if grep -E '^package/(node_modules|test|build|dist-test|api|\.ci)/' "$folder/list" >&2; then
  echo "tapwall: the package has files that are of no use to anybody" >&2
  exit 1
fi

npx --no-install publint run "${tarball[0]}" --strict
# require() of an ES module works in every Node that the package is for, which the rule does not know of.
npx --no-install attw "${tarball[0]}" --profile node16 --ignore-rules cjs-resolves-to-esm

mkdir "$folder/service"
cd "$folder/service"
npm init --yes >/dev/null
# The install script of the package builds the addon with cmake-js.
npm install --silent --no-audit --no-fund "${tarball[0]}"

cat >service.cjs <<'JS'
const { Compiler, TapwallError } = require('tapwall');
const text = 'table netdev t {\n chain in { type filter hook ingress device $intf priority 0; policy accept;\n }\n}\n';
const compiler = new Compiler();
compiler
  .compile({ name: 'p', file: 'p.nft', text, directory: undefined, variables: {} })
  .then(({ program }) => console.log('require, addon, libnftables:', program.tables.join(), program.digest.length))
  .finally(() => compiler.close());
if (!(new TapwallError('CONFIG', 'x') instanceof Error)) throw new Error('TapwallError');
JS
cat >service.mts <<'TS'
import { Agent, type AgentEvent, createConfiguration, type StreamedEvent } from 'tapwall';

export async function main(signal: AbortSignal): Promise<string[]> {
  const configuration = createConfiguration({ policies: { a: { default: 'drop' } }, bindings: [] });
  const agent = await Agent.start(configuration, { signal });
  agent.on('attached', ({ device, policy }) => [device.length, policy.length]);
  const tell = (event: AgentEvent): void => void event;
  agent.on('event', tell);
  // @ts-expect-error: there is no event of that name
  agent.on('attachd', tell);
  const names: StreamedEvent['event'][] = [];
  for await (const { event } of agent.events({ signal, limit: 10 })) names.push(event);
  return names;
}
TS
"$checkout/node_modules/.bin/tsc" --noEmit --strict --module nodenext --target es2022 --types node \
  --typeRoots "$checkout/node_modules/@types" service.mts

try_it() {
  echo "== $1"
  node service.cjs
  node --test --test-reporter=dot node_modules/tapwall/examples/fake-kernel.test.mjs
  npx --no-install tapwall --version
  npx --no-install tapwall check node_modules/tapwall/examples/tapwall.yaml
}
try_it "installed from the tarball, addon built by cmake-js"

rm -r node_modules/tapwall/build
# npx, so that node-gyp knows where npm was told that the headers are.
(cd "$checkout" && npx --no-install node-gyp rebuild --directory "$folder/service/node_modules/tapwall" \
  >"$folder/gyp.log" 2>&1) || { cat "$folder/gyp.log" >&2; exit 1; }
try_it "the same, addon built by node-gyp"
