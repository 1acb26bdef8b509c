// The error of a step as it is recorded, and as every run of the handler sees it: the run in which the step failed gets the same copy
// as those that come after, so no run decides otherwise.
import * as errors from './errors.js'
import { Defer } from './defer.js'
import { toJson } from './json.js'
import { isError, readItems, readProperty, readText } from './untrusted-values.js'

/** JSON. */
export interface RecordedError {
  message: string
  name?: string | undefined
  /** Name of the nearest class that every run knows. */
  base?: string | undefined
  stack?: string | undefined
  /** Its own properties, such as `code`, as far as JSON can hold them. */
  properties?: Record<string, unknown> | undefined
  cause?: RecordedError | undefined
  errors?: RecordedError[] | undefined
  /** What was thrown is no error; this is it, as far as JSON can hold it. */
  thrown?: { value: unknown } | undefined
}

type ErrorClass = abstract new (...args: never[]) => Error

const KNOWN: readonly ErrorClass[] = [
  Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError, AggregateError, Defer,
  errors.WorkerError, errors.PermanentError, errors.EventTimeoutError, errors.ChildFailedError, errors.NotJsonError,
  errors.StepTimeoutError, errors.UsageError, errors.UnknownExecutionError, errors.ExecutionFailedError, errors.ResultTimeoutError,
]
const BY_NAME = new Map(KNOWN.map((known) => [known.name, known]))
const BY_PROTOTYPE = new Map<unknown, string>(KNOWN.map((known) => [known.prototype, known.name]))

const DEEPEST = 5
const MOST = 20
const LONGEST_TEXT = 10_000

/** What is kept of a thrown value. Never throws. @param redact changes each text, so that no secret is kept */
export function recordError(thrown: unknown, redact: (text: string) => string = (text) => text, depth = 0): RecordedError {
  try {
    return record(thrown, redact, depth)
  } catch {
    return { message: 'an error that cannot be looked at' }
  }
}

function record(thrown: unknown, redact: (text: string) => string, depth: number): RecordedError {
  if (typeof thrown !== 'object' || thrown === null || !isError(thrown)) {
    const text = typeof thrown === 'string' ? storable(redact(thrown)) : undefined
    const value = text ?? kept(thrown, redact)
    return { message: text ?? storable(redact(value === undefined ? String(thrown) : JSON.stringify(value))), thrown: { value } }
  }
  const [name, message, stack] = [readText(thrown, 'name'), readText(thrown, 'message'), readText(thrown, 'stack')]
  const properties: Record<string, unknown> = {}
  for (const key of Object.keys(thrown).slice(0, MOST)) {
    if (['name', 'message', 'stack', 'cause', 'errors', '__proto__'].includes(key)) continue
    const value = kept(readProperty(thrown, key), redact)
    if (value !== undefined) properties[key] = value
  }
  const recorded: RecordedError = { message: storable(redact(message ?? '')) }
  if (name !== undefined && name !== 'Error') recorded.name = storable(redact(name))
  const base = baseOf(thrown)
  if (base !== 'Error') recorded.base = base
  if (stack !== undefined) recorded.stack = storable(redact(stack))
  if (Object.keys(properties).length > 0) recorded.properties = properties
  if (depth >= DEEPEST) return recorded
  const cause = readProperty(thrown, 'cause')
  if (cause !== undefined) recorded.cause = recordError(cause, redact, depth + 1)
  const gathered = readItems(readProperty(thrown, 'errors'), MOST)
  if (gathered.length > 0) recorded.errors = gathered.map((each) => recordError(each, redact, depth + 1))
  return recorded
}

/** The error as a handler sees it, in every run alike. */
export function errorFrom(recorded: RecordedError): unknown {
  if (recorded.thrown !== undefined) return recorded.thrown.value
  const base = BY_NAME.get(recorded.base ?? 'Error') ?? Error
  const error = new Error(recorded.message)
  Object.setPrototypeOf(error, base.prototype as object)
  const hidden = (key: string, value: unknown) => Object.defineProperty(error, key, { value, writable: true, configurable: true, enumerable: false })
  hidden('stack', recorded.stack ?? `${recorded.name ?? 'Error'}: ${recorded.message}`)
  if (recorded.name !== undefined && error.name !== recorded.name) hidden('name', recorded.name)
  if (recorded.cause !== undefined) hidden('cause', errorFrom(recorded.cause))
  if (recorded.errors !== undefined) hidden('errors', recorded.errors.map(errorFrom))
  return Object.assign(error, recorded.properties)
}

function baseOf(error: object): string {
  for (let prototype: unknown = Object.getPrototypeOf(error); typeof prototype === 'object' && prototype !== null; prototype = Object.getPrototypeOf(prototype)) {
    const known = BY_PROTOTYPE.get(prototype)
    if (known !== undefined) return known
  }
  // Of another realm: by its name.
  const name = readText(error, 'name')
  return name !== undefined && BY_NAME.has(name) ? name : 'Error'
}

/** The value as JSON keeps it; undefined for what it cannot keep, or what is too long. */
function kept(value: unknown, redact: (text: string) => string): unknown {
  if (value === undefined) return undefined
  try {
    const text = toJson(value, 'a property')
    if (text === undefined || text.length > LONGEST_TEXT) return undefined
    return typeof value === 'string' ? storable(redact(value)) : (JSON.parse(redact(text)) as unknown)
  } catch {
    return undefined
  }
}

/** Without what Postgres cannot store, and not too long. */
function storable(text: string): string {
  const whole = text.replaceAll('\0', '').toWellFormed()
  return whole.length <= LONGEST_TEXT ? whole : `${whole.slice(0, LONGEST_TEXT).toWellFormed()}...`
}
