// Texts as they may be written to a terminal. What comes from a workflow, a message or the database may hold sequences that move the cursor,
// change the title of the window, or turn the order of what is read around.

/**
 * Control characters (C0 but for tab and line feed, DEL, C1) and characters that only steer how others are shown: marks and overrides of
 * direction, invisible ones, separators of lines and paragraphs, tags, halves of surrogate pairs.
 */
const STEERING =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Surrogate}/gu

/** Colours and the like, which are no loss. Whatever is left of another sequence is shown. */
const COLOURS = /\u001b\[[\d;]*m/g

/** The same text without anything that steers a terminal: colours are left out, each other such character is shown as its number. */
export function printable(text: string): string {
  // No sequence can come together by what is left out: every escape character that remains is replaced.
  return text.replace(COLOURS, '').replace(STEERING, escaped)
}

/** JSON with these characters escaped, so that it means the same and steers no terminal. */
export function printableJson(json: string): string {
  return json.replace(STEERING, escaped)
}

/** The same in one line: each run of such characters, tabs and line feeds is a space. */
export function inOneLine(text: string): string {
  return text.replace(STEERING, '\n').replace(/[\t\n]+/g, ' ')
}

/** As in JSON, which has it by halves beyond U+FFFF. */
function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')
}
