import { makeProgram } from '../cli/commands.js';
import { exitStatusOf } from '../cli/output.js';
import { ERROR_CODES } from '../error.js';
import { METRICS } from '../metrics/catalogue.js';
import { VERSION } from '../version.js';
import { commandHelps, helpBlocks } from './command-help.js';
import { sectionsOf } from './configuration-keys.js';
import { configurationJsonSchema } from './json-schema.js';
import { commandPage, configurationPage } from './manual-page.js';
import { commandReference, configurationReference, errorReference, metricReference } from './reference.js';

/** Files by their path in the package. */
export type Pages = Readonly<Record<string, string>>;

/** The pages that are kept in the repository, to be read there. */
export async function keptPages(): Promise<Pages> {
  const schema = configurationJsonSchema();
  const program = await makeProgram(() => {});
  const statuses = helpBlocks(program).flatMap((block) => (block.kind === 'lines' ? block.lines : []));
  return {
    'docs/reference/configuration.md': configurationReference(sectionsOf(schema)),
    'docs/reference/commands.md': commandReference(commandHelps(program), statuses),
    'docs/reference/errors.md': errorReference(ERROR_CODES, exitStatusOf),
    'docs/reference/metrics.md': metricReference(METRICS),
    'schema/tapwall.schema.json': `${JSON.stringify(schema, undefined, 2)}\n`,
  };
}

/**
 * The pages of the manual, which are made anew by each build.
 * @param date as 2026-11-26, for their foot.
 */
export async function manualPages(date: string): Promise<Pages> {
  const program = await makeProgram(() => {});
  const foot = { source: `tapwall ${VERSION}`, date };
  const help = { description: program.description(), blocks: helpBlocks(program) };
  return {
    'dist/man/tapwall.8': commandPage(help, commandHelps(program), foot),
    'dist/man/tapwall.yaml.5': configurationPage(sectionsOf(configurationJsonSchema()), foot),
  };
}
