import { stringify } from 'yaml';
import { TapwallError } from '../error.js';
import type { Configuration } from './configuration.js';
import { parseConfiguration } from './load.js';
import type { ConfigurationObject } from './whole-schema.js';

/**
 * Checks a configuration that a program has made: an object with the keys of the file. It is written as YAML and read
 * as a file is, so that both mean the same; mistakes are told at their place in that text, with the line.
 * @param file its name in messages; policies' files are relative to its folder. The working directory unless given.
 * @throws SourceError CONFIG with every problem; TapwallError CONFIG for what YAML cannot hold, such as a cycle.
 */
export function createConfiguration(object: ConfigurationObject, file = 'configuration'): Configuration {
  return parseConfiguration(asYaml(object), file);
}

function asYaml(object: ConfigurationObject): string {
  try {
    // A line that is folded would be another line to nft.
    return stringify(object, { aliasDuplicateObjects: false, lineWidth: 0, blockQuote: 'literal' });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TapwallError('CONFIG', `the configuration cannot be written as YAML: ${reason}`, { cause });
  }
}
