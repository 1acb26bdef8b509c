// The stack of an error for people to read: with those of its causes and of the errors that it gathers, each short enough that
// none hides the others. Never throws, whatever was thrown.
import { isError, readItems, readProperty, readText } from './untrusted-values.js'

const MOST_SECTIONS = 8
const MOST_GATHERED = 3
const MOST_FRAMES = 30
const LONGEST_HEAD = 1000
const LONGEST_FRAME = 500

/**
 * @param messageOf the text of what has no stack
 * @param redact changes each part, or says with undefined that nothing may be kept
 * @returns undefined when neither the error nor a cause of it has a stack
 */
export function stackOf(thrown: unknown, messageOf: (thrown: unknown) => string, redact: (text: string) => string | undefined): string | undefined {
  const seen = new Set<unknown>()
  const parts: string[] = []
  const found = { stack: false }
  const add = (label: string, error: unknown): boolean => {
    if (seen.has(error)) return true
    if (seen.size >= MOST_SECTIONS) {
      parts.push('... and more causes')
      return true
    }
    seen.add(error)
    const stack = readText(error, 'stack')
    found.stack ||= stack !== undefined && stack !== ''
    const text = redact(stack === undefined || stack === '' ? messageOf(error) : stack)
    if (text === undefined) return false
    parts.push(`${label}${shortened(text)}`)
    if (typeof error !== 'object' || error === null) return true
    const gathered = isError(error) ? readItems(readProperty(error, 'errors'), MOST_GATHERED) : []
    if (!gathered.every((each, at) => add(`error ${at + 1} of it: `, each))) return false
    const cause = readProperty(error, 'cause')
    return cause === undefined || add('caused by: ', cause)
  }
  return add('', thrown) && found.stack ? parts.join('\n') : undefined
}

/** The name and message, not too long, and the frames below, not too many. */
function shortened(stack: string): string {
  const first = stack.search(/^ +at /m)
  if (first < 0) return cut(stack, LONGEST_HEAD)
  const frames = stack.slice(first, first + MOST_FRAMES * 2 * LONGEST_FRAME).trimEnd().split('\n')
  const shown = frames.slice(0, MOST_FRAMES).map((frame) => cut(frame, LONGEST_FRAME))
  if (frames.length > MOST_FRAMES) shown.push('    ... and more frames')
  return [cut(stack.slice(0, first).trimEnd(), LONGEST_HEAD), ...shown].join('\n')
}

function cut(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest)}...`
}
