// Values on their way into jsonb and out of it. What jsonb would give back otherwise than it was is made so at once (the order of keys,
// -0, `undefined` in an array), so the run that made a value sees what later runs see; what cannot be kept is refused with its path.
import { NotJsonError } from './errors.js'

const ASCII = /^[\u0001-\u007f]*$/

/** A value as every run sees it, and its JSON text; `undefined` has none. */
export interface Kept<Value> {
  value: Value
  text: string | undefined
}

/**
 * A value as jsonb keeps it.
 * @param what names the value in the error
 * @returns a copy with the keys of objects in the order of jsonb, without properties that are `undefined`, with null for `undefined` in
 *   an array and 0 for -0; and its JSON text. `undefined` itself is kept as no text
 * @throws NotJsonError for what would not come back: functions, symbols, bigints, NaN and infinities, cycles, dates and other
 *   instances of classes, arrays with properties, and texts with U+0000 or half of a surrogate pair, which Postgres cannot store
 */
export function keep<Value>(value: Value, what: string): Kept<Value> {
  if (value === undefined) return { value, text: undefined }
  const copy = copyOf(value, what, '$', [])
  return { value: copy as Value, text: JSON.stringify(copy) }
}

/**
 * The JSON text of a value, as keep() has it; undefined for `undefined`.
 * @throws NotJsonError
 */
export function toJson(value: unknown, what: string): string | undefined {
  return keep(value, what).text
}

/**
 * The JSON text of a value where there must be one: `undefined` is null.
 * @throws NotJsonError
 */
export function toJsonText(value: unknown, what: string): string {
  return keep(value, what).text ?? 'null'
}

function copyOf(value: unknown, what: string, path: string, parents: object[]): unknown {
  switch (typeof value) {
    case 'boolean':
      return value
    case 'string':
      checkText(value, what, path)
      return value
    case 'number':
      if (!Number.isFinite(value)) throw new NotJsonError(what, path, String(value))
      return value === 0 ? 0 : value
    case 'object':
      return value === null ? null : copyOfObject(value, what, path, parents)
    default:
      throw new NotJsonError(what, path, `a ${typeof value}`)
  }
}

function copyOfObject(value: object, what: string, path: string, parents: object[]): unknown {
  if (parents.includes(value)) throw new NotJsonError(what, path, 'a reference to what contains it')
  if (parents.length > 1000) throw new NotJsonError(what, '$...', 'nested more than 1000 deep')
  parents.push(value)
  const copy = Array.isArray(value) ? copyOfArray(value, what, path, parents) : copyOfPlain(value, what, path, parents)
  parents.pop()
  return copy
}

function copyOfArray(value: readonly unknown[], what: string, path: string, parents: object[]): unknown[] {
  // Indexes come first among the keys.
  const last = Object.keys(value).at(-1)
  if (last !== undefined && !/^\d+$/.test(last)) throw new NotJsonError(what, `${path}.${last}`, 'a property of an array, which JSON cannot hold')
  const copy: unknown[] = []
  for (let index = 0; index < value.length; index++) {
    const item = value[index]
    copy.push(item === undefined ? null : copyOf(item, what, `${path}[${index}]`, parents))
  }
  return copy
}

function copyOfPlain(value: object, what: string, path: string, parents: object[]): object {
  if (!isPlain(value) || 'toJSON' in value) {
    throw new NotJsonError(what, path, `${isPlain(value) ? 'an object with toJSON' : kindOf(value)}, which would not come back as one; convert it first`)
  }
  const copy: Record<string, unknown> = {}
  for (const key of inOrder(Object.keys(value))) {
    checkText(key, what, path)
    const item = value[key as keyof typeof value] as unknown
    if (item === undefined) continue
    const kept = copyOf(item, what, `${path}.${key}`, parents)
    if (key === '__proto__') Object.defineProperty(copy, key, { value: kept, enumerable: true, configurable: true, writable: true })
    else copy[key] = kept
  }
  return copy
}

/** Also of another realm, as under some test runners. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return true
  return typeof prototype === 'object' && Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf')
}

/** The order that jsonb gives to keys: the shorter first, in bytes, and those of one length by their bytes. */
function inOrder(keys: string[]): string[] {
  for (let at = 1; at < keys.length; at++) {
    if (compareKeys(keys[at - 1] ?? '', keys[at] ?? '') > 0) return keys.sort(compareKeys)
  }
  return keys
}

function compareKeys(a: string, b: string): number {
  if (ASCII.test(a) && ASCII.test(b)) return a.length - b.length || (a < b ? -1 : 1)
  const [bytesOfA, bytesOfB] = [Buffer.from(a), Buffer.from(b)]
  return bytesOfA.length - bytesOfB.length || Buffer.compare(bytesOfA, bytesOfB)
}

function kindOf(value: object): string {
  const prototype: unknown = Object.getPrototypeOf(value)
  const maker: unknown = typeof prototype === 'object' && prototype !== null && 'constructor' in prototype ? prototype.constructor : undefined
  return typeof maker === 'function' && maker.name !== '' ? `a ${maker.name}` : 'an object of an unknown kind'
}

function checkText(text: string, what: string, path: string): void {
  if (text.includes('\0')) throw new NotJsonError(what, path, 'a text with the character U+0000, which Postgres cannot store')
  if (!text.isWellFormed()) throw new NotJsonError(what, path, 'a text with half of a surrogate pair')
}
