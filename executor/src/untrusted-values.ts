// Looking at values that somebody else made, as whatever a handler throws: a getter may throw, a proxy may be revoked, a prototype
// may be missing or come from another realm. Nothing here throws.
import { types } from 'node:util'

/** A property of anything; undefined where there is none, or where it cannot be read. */
export function readProperty(value: unknown, name: string): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined
  try {
    return (value as Record<string, unknown>)[name]
  } catch {
    return undefined
  }
}

/** A property that is a text; undefined for any other. */
export function readText(value: unknown, name: string): string | undefined {
  const found = readProperty(value, name)
  return typeof found === 'string' ? found : undefined
}

/** Whether a value is of the class; false where its prototypes cannot be looked at. */
export function isInstance<Instance>(value: unknown, constructor: abstract new (...args: never[]) => Instance): value is Instance {
  try {
    return value instanceof constructor
  } catch {
    return false
  }
}

/** Whether a value is an error, also one that was made in another realm, as under some test runners. */
export function isError(value: unknown): value is Error {
  return types.isNativeError(value) || isInstance(value, Error)
}

/** The items of an array, at most so many; none for anything else. */
export function readItems(value: unknown, most: number): unknown[] {
  try {
    return Array.isArray(value) ? Array.prototype.slice.call(value, 0, most) : []
  } catch {
    return []
  }
}
