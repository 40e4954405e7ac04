/** Writes what is made from the source: `--man` for the manual pages alone. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { keptPages, manualPages } from './pages.js';

const ROOT = new URL('../../', import.meta.url);

/** As reproducible builds have it: the seconds since 1970 of what is built. */
const epoch = process.env['SOURCE_DATE_EPOCH'];
const date = (epoch === undefined ? new Date() : new Date(Number(epoch) * 1000)).toISOString().slice(0, 10);

const pages = { ...(process.argv.includes('--man') ? {} : await keptPages()), ...(await manualPages(date)) };
for (const [path, text] of Object.entries(pages)) {
  const file = fileURLToPath(new URL(path, ROOT));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
