// Parses what is given on the command line; commander names the option or argument in the error.
import { InvalidArgumentError } from 'commander'
import { z } from 'zod'
import { type Duration, toMilliseconds } from '../duration.js'

const LARGEST_ID = 2n ** 63n - 1n

/** Any uuid that Postgres would take in its usual form, whatever its version. */
export const uuid = (text: string): string =>
  checked(z.guid().toLowerCase(), text, 'It is not a uuid, such as 0199a2b4-1c00-7000-8000-00000000acde.')

/** A number of a queue message. */
export const messageId = (text: string): string =>
  checked(
    z.string().refine((digits) => /^\d{1,19}$/.test(digits) && BigInt(digits) <= LARGEST_ID),
    text,
    'It is not the number of a message; `fw dlq list` shows them.',
  )

/** A parser of whole numbers from `low` to `high`. */
export const wholeNumber =
  (low: number, high: number = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const range = high === Number.MAX_SAFE_INTEGER ? `from ${low}` : `from ${low} to ${high}`
    return checked(z.string().regex(/^\d+$/).transform(Number).pipe(z.int().min(low).max(high)), text, `It is not a whole number ${range}.`)
  }

/** A duration such as '10m', in milliseconds. A number without a unit could mean anything, so only 0 goes without. */
export function duration(text: string): number {
  if (text !== '0' && /^[\d.]*$/.test(text)) throw new InvalidArgumentError(`It has no unit; write it as ${text || 5}ms, ${text || 5}s or ${text || 5}m.`)
  try {
    return toMilliseconds(text as Duration, 'it')
  } catch {
    throw new InvalidArgumentError("It is not a duration, such as 250ms, 1s, 10m, 2h or 7d.")
  }
}

function checked<Output>(schema: z.ZodType<Output, string>, text: string, problem: string): Output {
  const result = schema.safeParse(text)
  if (!result.success) throw new InvalidArgumentError(problem)
  return result.data
}
