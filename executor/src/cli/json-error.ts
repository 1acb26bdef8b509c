// Where a text stops being JSON. JSON.parse says so only for some errors, and otherwise in every version of Node.
import { EXIT } from './exit-codes.js'
import { CommandFailure } from './failure.js'

const SPACE = /[ \t\n\r]*/y
const SCALAR = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y

/** Offset of the first character that can't be there, or the length of a text that ends too early; undefined for JSON. */
export function jsonErrorAt(text: string): number | undefined {
  let at = 0
  const skip = (pattern: RegExp): boolean => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found !== null) at += found[0].length
    return found !== null
  }
  const token = (character: string): boolean => {
    skip(SPACE)
    if (text[at] !== character) return false
    at += 1
    return true
  }
  /** The items of an array or object, after its opening bracket. */
  const items = (close: string, item: () => boolean): boolean => {
    if (token(close)) return true
    do if (!item()) return false
    while (token(','))
    return token(close)
  }
  const value = (): boolean => {
    if (token('[')) return items(']', value)
    if (token('{')) return items('}', () => (skip(SPACE), skip(STRING)) && token(':') && value())
    return skip(SCALAR)
  }
  if (!value()) return at
  skip(SPACE)
  return at === text.length ? undefined : at
}

/** What is wrong with a text that is not JSON, and a line that points at it. */
export function describeJsonError(text: string): { problem: string; excerpt: string } {
  const at = jsonErrorAt(text) ?? 0
  const found = text.codePointAt(at)
  const problem = found === undefined ? `it ends too early, at position ${at}` : `unexpected ${JSON.stringify(String.fromCodePoint(found))} at position ${at}`
  const start = Math.max(0, at - 30)
  const excerpt = text.slice(start, at + 30).replace(/\s/g, ' ')
  return { problem, excerpt: `${excerpt}\n${' '.repeat(at - start)}^` }
}

/**
 * @param what names the text in the error
 * @param done what was not done about it
 * @throws CommandFailure for a text that is no JSON, showing where
 */
export function refuseOtherThanJson(text: string, what: string, done: string): void {
  try {
    JSON.parse(text)
  } catch (error) {
    const { problem, excerpt } = describeJsonError(text)
    throw new CommandFailure(EXIT.usage, `${what} is not JSON: ${problem}; nothing was ${done}`, { cause: error, hint: excerpt })
  }
}
