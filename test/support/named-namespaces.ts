/** Names for network namespaces in a folder of the test's own: the machine's /run/netns is none of its business. */
import { mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NamespaceHandle } from '#src/kernel/kernel.js';

export class NamedNamespaces {
  readonly folder = mkdtempSync(join(tmpdir(), 'tapwall-netns-'));

  /** What `namespaces` of a configuration takes. */
  get glob(): string {
    return `${this.folder}/*`;
  }

  /** What the agent calls the namespace. */
  name(entry: string): string {
    return `${this.folder}/${entry}`;
  }

  add(entry: string, { path }: NamespaceHandle): string {
    symlinkSync(path, join(this.folder, entry));
    return this.name(entry);
  }

  /** The name means another namespace at once. */
  replace(entry: string, { path }: NamespaceHandle): void {
    symlinkSync(path, join(this.folder, '.next'));
    renameSync(join(this.folder, '.next'), join(this.folder, entry));
  }

  remove(entry: string): void {
    unlinkSync(join(this.folder, entry));
  }

  /** All names go. */
  clear(): void {
    for (const entry of readdirSync(this.folder)) this.remove(entry);
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
