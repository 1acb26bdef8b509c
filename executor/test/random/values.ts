// The values that random programs pass around: how they are made, shown as text, and what must become of them when they are kept.

/** What a side effect is told: which branch asks, its how-manieth operation it is, and all that the branch has seen so far. */
export interface Argument {
  readonly by: string
  readonly n: number
  readonly name: string
  /** A hash of everything that the branch has seen, in its order. So each argument depends on each earlier result. */
  readonly carry: string
  readonly what?: string
}

export const SHAPES = ['object', 'nothing', 'number', 'text', 'list', 'null'] as const
export type Shape = (typeof SHAPES)[number] | 'keys'

/** Numbers from 0 to below 1 that follow from the seed. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A number that follows from the text. */
export function hash(text: string): number {
  let state = 0x811c9dc5
  for (let at = 0; at < text.length; at++) state = Math.imul(state ^ text.charCodeAt(at), 0x01000193)
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
  return (state ^ (state >>> 13)) >>> 0
}

/** A value as text, in which everything can be told apart that a program could: the order of keys, undefined, and -0. */
export function show(value: unknown): string {
  if (value === undefined) return 'undefined'
  if (Object.is(value, -0)) return '-0'
  if (Array.isArray(value)) return `[${value.map(show).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${show(item)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

/**
 * What a handler must get of a value in each run: keys in the order of jsonb (by their length in bytes, then by their bytes), no
 * property that is undefined, null for undefined in a list, 0 for -0. Undefined at the top stays.
 */
export function kept(value: unknown): unknown {
  return value === undefined ? undefined : inside(value)
}

function inside(value: unknown): unknown {
  if (value === undefined) return null
  if (Object.is(value, -0)) return 0
  if (Array.isArray(value)) return value.map(inside)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  entries.sort(([one], [other]) => {
    const [first, second] = [Buffer.from(one), Buffer.from(other)]
    return first.length - second.length || Buffer.compare(first, second)
  })
  return Object.fromEntries(entries.map(([key, item]) => [key, inside(item)]))
}

const KEYS = ['zebra', 'ant', 'é', 'b', '10', '9', 'ox', 'Yak', 'zz', 'aardvark', 'ü1']

/** What a side effect with this argument returns. It is as it comes: with keys in odd order, and what JSON does not have. */
export function makeValue(argument: Argument, shape: Shape, item?: number): unknown {
  const number = hash(`${show(argument)} ${item}`)
  const tag = `${argument.by}:${argument.n}${item === undefined ? '' : `[${item}]`}`
  switch (shape) {
    case 'object':
      return number % 2 === 0
        ? { zebra: number, tag, ant: { yy: undefined, x: -0, aaa: [number % 7] }, gone: undefined, b: null }
        : { zz: tag, b: -0, a: undefined, list: [1, undefined, { z: 1, y: 2 }], aa: number, 7: 'seven' }
    case 'nothing':
      return undefined
    case 'number':
      return number % 3 === 0 ? -0 : number
    case 'text':
      return `${tag} ${number}`
    case 'list':
      return [tag, undefined, -0, { later: number, early: true }]
    case 'null':
      return null
    case 'keys': {
      const keys = [...KEYS].sort((one, other) => hash(`${number} ${one}`) - hash(`${number} ${other}`)).slice(0, 2 + (number % 3))
      return Object.fromEntries(keys.map((key, at) => [key, `${tag} ${at}`]))
    }
  }
}
