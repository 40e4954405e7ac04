import { distance } from 'fastest-levenshtein';

/**
 * The name that was most likely meant, or undefined if none is close: at most one edit in three characters
 * apart, whatever the case.
 */
export function nearest(written: string, names: Iterable<string>): string | undefined {
  const wanted = written.toLowerCase();
  let best: string | undefined;
  let fewestEdits = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const most = Math.floor(Math.max(name.length, wanted.length) / 3);
    // Also keeps a key of a megabyte away from the quadratic comparison.
    if (Math.abs(name.length - wanted.length) > most) continue;
    const edits = distance(wanted, name.toLowerCase());
    if (edits <= most && edits < fewestEdits) {
      best = name;
      fewestEdits = edits;
    }
  }
  return best;
}

const LONGEST_QUOTE = 80;

/** A user's word inside a message: short, and without the control characters that would reach a terminal. */
export function quote(written: string): string {
  const short = written.length > LONGEST_QUOTE ? `${written.slice(0, LONGEST_QUOTE)}…` : written;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get out.
  const safe = short.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return `\`${safe}\``;
}
