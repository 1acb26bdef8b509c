// What a handler threw, be it an Error or anything else, as a failed attempt that the database can keep.
import { inspect } from 'node:util'
import { z } from 'zod'
import { ERROR_CATEGORIES, type ErrorCategory, UsageError } from './errors.js'

export interface Failed {
  kind: 'failed'
  error: string
  category: ErrorCategory
  /** Trying again cannot help. */
  permanent: boolean
  /** The step that it came from, if any. */
  step?: string
}

const LONGEST_ERROR = 10_000

/** The text of an error, as it may be kept. */
export type Describe = (thrown: unknown) => string

/** @param options redact: changes each text; errorStacks: a text is the stack where there is one */
export function describer({ redact, errorStacks }: { redact?: (error: string) => string; errorStacks?: boolean }): Describe {
  const text = (thrown: unknown) =>
    errorStacks === true && thrown instanceof Error && typeof thrown.stack === 'string' ? thrown.stack : messageOf(thrown)
  return redact === undefined ? text : (thrown) => redact(text(thrown))
}

/** Never throws, whatever was thrown. */
export function failedBy(thrown: unknown, describe: Describe = messageOf): Failed {
  try {
    return { kind: 'failed', error: storable(describe(thrown)), category: categoryOf(thrown), permanent: isPermanent(thrown) }
  } catch {
    // A text that has not been through the redactor must not be kept.
    const error = describe === messageOf ? storable(inspect(thrown)) : 'an error whose text could not be made'
    return { kind: 'failed', error, category: 'RUNTIME', permanent: false }
  }
}

/** Input that did not pass its schema. */
export function failedByInput(error: z.core.$ZodError): Failed {
  return { kind: 'failed', error: storable(describeIssues(error)), category: 'VALIDATION', permanent: true }
}

/** By the code and not by the class: a workflow may have loaded another copy of the package. */
export function isPermanent(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && (thrown.code === 'PERMANENT' || thrown.code === 'USAGE')
}

function messageOf(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null) return String(thrown)
  if (thrown instanceof z.core.$ZodError) return describeIssues(thrown)
  if ('message' in thrown && typeof thrown.message === 'string' && thrown.message !== '') return thrown.message
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return thrown.errors.map(messageOf).join('; ')
  if (thrown instanceof Error && typeof thrown.name === 'string' && thrown.name !== '') return thrown.name
  return inspect(thrown)
}

/** All issues in one line, each with its path: `cents: Too small: expected number to be >0`. */
export function describeIssues({ issues }: z.core.$ZodError): string {
  return issues.map(({ path, message }) => (path.length === 0 ? message : `${z.core.toDotPath(path)}: ${message}`)).join('; ')
}

function categoryOf(thrown: unknown): ErrorCategory {
  if (thrown instanceof z.core.$ZodError) return 'VALIDATION'
  if (thrown instanceof UsageError) return 'CONFIG'
  const category: unknown = typeof thrown === 'object' && thrown !== null && 'category' in thrown ? thrown.category : undefined
  return ERROR_CATEGORIES.find((known) => known === category) ?? 'RUNTIME'
}

/** Without what Postgres cannot store, and not too long. */
function storable(message: string): string {
  const text = message.replaceAll('\0', '').toWellFormed()
  if (text.length <= LONGEST_ERROR) return text
  // Not between the halves of a surrogate pair.
  const end = /[\uD800-\uDBFF]/.test(text.charAt(LONGEST_ERROR - 1)) ? LONGEST_ERROR - 1 : LONGEST_ERROR
  return `${text.slice(0, end)}…`
}
