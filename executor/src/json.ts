// Values on their way into jsonb: what JSON cannot hold is refused with its path, not silently changed.
import { NotJsonError } from './errors.js'

/**
 * The JSON text of a value, fit for jsonb. `undefined` at the top is null; properties that are `undefined` are left out.
 * @param what names the value in the error
 * @throws NotJsonError for what would not come back as it was: functions, symbols, bigints, NaN and infinities, cycles,
 *   dates and other instances of classes, and texts with U+0000 or half of a surrogate pair, which Postgres cannot store
 */
export function toJson(value: unknown, what: string): string {
  if (value === undefined) return 'null'
  check(value, what, '$', [])
  return JSON.stringify(value)
}

function check(value: unknown, what: string, path: string, parents: object[]): void {
  switch (typeof value) {
    case 'boolean':
      return
    case 'string':
      checkText(value, what, path)
      return
    case 'number':
      if (!Number.isFinite(value)) throw new NotJsonError(what, path, String(value))
      return
    case 'object':
      if (value !== null) checkObject(value, what, path, parents)
      return
    default:
      throw new NotJsonError(what, path, `a ${typeof value}`)
  }
}

function checkObject(value: object, what: string, path: string, parents: object[]): void {
  if (parents.includes(value)) throw new NotJsonError(what, path, 'a reference to what contains it')
  if (parents.length > 1000) throw new NotJsonError(what, '$…', 'nested more than 1000 deep')
  parents.push(value)
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const item: unknown = value[index]
      if (item !== undefined) check(item, what, `${path}[${index}]`, parents)
      else throw new NotJsonError(what, `${path}[${index}]`, 'undefined')
    }
  } else {
    const prototype: unknown = Object.getPrototypeOf(value)
    const isPlain = prototype === Object.prototype || prototype === null
    if (!isPlain || 'toJSON' in value) {
      throw new NotJsonError(what, path, `${isPlain ? 'an object with toJSON' : kindOf(prototype)}, which would not come back as one; convert it first`)
    }
    for (const [key, item] of Object.entries(value)) {
      checkText(key, what, path)
      if (item !== undefined) check(item, what, `${path}.${key}`, parents)
    }
  }
  parents.pop()
}

function kindOf(prototype: unknown): string {
  const maker: unknown = typeof prototype === 'object' && prototype !== null && 'constructor' in prototype ? prototype.constructor : undefined
  return typeof maker === 'function' && maker.name !== '' ? `a ${maker.name}` : 'an object of an unknown kind'
}

function checkText(text: string, what: string, path: string): void {
  if (text.includes('\0')) throw new NotJsonError(what, path, 'a text with the character U+0000, which Postgres cannot store')
  if (!text.isWellFormed()) throw new NotJsonError(what, path, 'a text with half of a surrogate pair')
}
