// What a handler threw, be it an Error or anything else, as a failed attempt that the database can keep. Nothing here throws,
// whatever was thrown.
import { inspect } from 'node:util'
import { z } from 'zod'
import { ERROR_CATEGORIES, type ErrorCategory } from './errors.js'
import { stackOf } from './stacks.js'
import { isError, isInstance, readItems, readProperty, readText } from './untrusted-values.js'

export interface Failed {
  kind: 'failed'
  error: string
  category: ErrorCategory
  /** Trying again cannot help. */
  permanent: boolean
  /** The stack, with those of the causes. Undefined for what has none, as a text that was thrown. */
  stack?: string
  /** The step that the error came from. Undefined when it came from none, or that is not known. */
  step?: string
}

const LONGEST_TEXT = 10_000
const MOST_ERRORS = 20
const UNREADABLE = 'something was thrown of which no text can be made'
const UNREDACTED = 'an error whose text could not be made'

/** The texts of an error, as they may be kept. */
export interface Describe {
  /** Its message, or what comes nearest to one. */
  (thrown: unknown): string
  /** Its stack, and those of its causes; undefined when there is none. */
  stack?: (thrown: unknown) => string | undefined
}

/** A redactor that never throws, and gives nothing that has not been through the one of the user. */
export function safeRedactor(redact: ((error: string) => string) | undefined): (text: string) => string {
  if (redact === undefined) return (text) => text
  return (text) => {
    try {
      const redacted: unknown = redact(text)
      return typeof redacted === 'string' ? redacted : UNREDACTED
    } catch {
      return UNREDACTED
    }
  }
}

/** @param options redact: changes each text; errorStacks: a text is the stack where there is one */
export function describer({ redact, errorStacks }: { redact?: (error: string) => string; errorStacks?: boolean }): Describe {
  /** A text that has not been through the redactor must not be kept. */
  const checked = (text: string): string | undefined => {
    if (redact === undefined) return text
    try {
      const redacted: unknown = redact(text)
      return typeof redacted === 'string' ? redacted : undefined
    } catch {
      return undefined
    }
  }
  const textOf = (thrown: unknown) => (errorStacks === true && isError(thrown) ? readText(thrown, 'stack') : undefined) ?? messageOf(thrown)
  const message = (thrown: unknown) => checked(textOf(thrown)) ?? UNREDACTED
  return Object.assign(message, { stack: (thrown: unknown) => stackOf(thrown, messageOf, checked) })
}

const asItIs = describer({})

export function failedBy(thrown: unknown, describe: Describe = asItIs): Failed {
  const failed: Failed = { kind: 'failed', error: storable(describe(thrown)), category: categoryOf(thrown), permanent: isPermanent(thrown) }
  const stack = describe.stack?.(thrown)
  if (stack !== undefined) failed.stack = storable(stack)
  return failed
}

/** Input that did not pass its schema: what the schema says may hold what was in the input. */
export function failedByInput(error: z.core.$ZodError, redact: (text: string) => string): Failed {
  return { kind: 'failed', error: storable(redact(describeIssues(error))), category: 'VALIDATION', permanent: true }
}

/** By the code and not by the class: a workflow may have loaded another copy of the package. */
export function isPermanent(thrown: unknown): boolean {
  const code = isError(thrown) ? readProperty(thrown, 'code') : undefined
  return code === 'PERMANENT' || code === 'USAGE'
}

function messageOf(thrown: unknown, depth = 0): string {
  const issues = issuesOf(thrown)
  if (issues !== undefined) return describeIssues({ issues })
  const message = readText(thrown, 'message')
  if (message !== undefined && message !== '') return message
  if ((typeof thrown !== 'object' && typeof thrown !== 'function') || thrown === null) return String(thrown)
  const errors = depth < 3 && isError(thrown) ? readItems(readProperty(thrown, 'errors'), MOST_ERRORS) : []
  if (errors.length > 0) return errors.map((error) => messageOf(error, depth + 1)).join('; ')
  const name = isError(thrown) ? readText(thrown, 'name') : undefined
  return name !== undefined && name !== '' ? name : attempt(() => inspect(thrown))
}

function attempt(make: () => string): string {
  try {
    return make()
  } catch {
    return UNREADABLE
  }
}

const Issues = z.array(z.object({ path: z.array(z.union([z.string(), z.number()])), message: z.string() })).nonempty()

type Issue = Pick<z.core.$ZodIssue, 'path' | 'message'>

/** The issues of a ZodError; also of another copy of zod, or of one that was recorded with its step: they are its message, as JSON. */
function issuesOf(thrown: unknown): readonly Issue[] | undefined {
  if (!isError(thrown) || !['ZodError', '$ZodError'].includes(readText(thrown, 'name') ?? '')) return undefined
  try {
    return Issues.safeParse(JSON.parse(readText(thrown, 'message') ?? '')).data
  } catch {
    return undefined
  }
}

/** All issues in one line, each with its path: `cents: Too small: expected number to be >0`. */
export function describeIssues({ issues }: { issues: readonly Issue[] }): string {
  return issues.map(({ path, message }) => (path.length === 0 ? message : `${z.core.toDotPath(path)}: ${message}`)).join('; ')
}

function categoryOf(thrown: unknown): ErrorCategory {
  if (isInstance(thrown, z.core.$ZodError) || issuesOf(thrown) !== undefined) return 'VALIDATION'
  const category = readProperty(thrown, 'category')
  const known = ERROR_CATEGORIES.find((each) => each === category)
  return known ?? (isError(thrown) && readProperty(thrown, 'code') === 'USAGE' ? 'CONFIG' : 'RUNTIME')
}

/** A text without what Postgres cannot store, and not too long. */
export function storable(text: string, longest = LONGEST_TEXT): string {
  const whole = text.replaceAll('\0', '').toWellFormed()
  // Not between the halves of a surrogate pair.
  return whole.length <= longest ? whole : `${whole.slice(0, /[\uD800-\uDBFF]/.test(whole.charAt(longest - 1)) ? longest - 1 : longest)}...`
}
