/**
 * Names that others choose (a link's name, a process's) may hold what a terminal takes for a command: escape sequences, or
 * characters that turn the direction of writing round. Such a name could hide a line of a list, or write another.
 */

/** Controls but tab and newline (U+009B begins a sequence by itself), what turns directions, line separators. */
const UNSEEN = /(?![\t\n])[\p{Cc}\p{Bidi_Control}\u2028\u2029\ufeff]/gu;

/** A text for a terminal: what would act on it instead of being seen is written as `\u001b`. */
export function visible(text: string): string {
  return text.replace(UNSEEN, escaped);
}

/** The same for what must stay on one line. */
export function visibleLine(text: string): string {
  return visible(text).replace(/[\t\n]/g, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
