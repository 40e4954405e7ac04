import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TapwallError } from '../error.js';

/** Where the addon is built, and beside it the program that libvirt's hook runs; the order is that of addon.ts. */
const FOLDERS = ['Debug', 'Release'].map((name) =>
  fileURLToPath(new URL(`../../build/${name}/`, import.meta.url)),
);

/**
 * The program that libvirt's hook runs (native/hook).
 * @throws TapwallError ADDON_LOAD when it was not built.
 */
export function hookProgram(): string {
  const path = FOLDERS.map((folder) => join(folder, 'tapwall-libvirt-hook')).find(existsSync);
  if (path) return path;
  throw new TapwallError('ADDON_LOAD', `there is no tapwall-libvirt-hook in ${FOLDERS.join(' or ')}`, {
    hint: "It is built with the addon: run 'npm rebuild tapwall' (in a checkout: 'npm run build:addon').",
  });
}
