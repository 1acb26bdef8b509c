// What JSON cannot hold, for the compiler: so a handler that would fail when it returns does not compile.

/** Objects nested deeper than this are not looked at, so that types that contain themselves come to an end. */
type Deepest = 5

/**
 * Where in a type something is that does not come back from JSON as it was, in words; `never` where there is nothing. `any` and `unknown`
 * may be anything, and are looked at when they are there.
 */
export type NotJsonIn<Value, Path extends string, Depth extends unknown[] = []> = Depth['length'] extends Deepest
  ? never
  : unknown extends Value
    ? never
    : Value extends string | number | boolean | null | undefined
      ? never
      : Value extends bigint
        ? `${Path} is a bigint`
        : Value extends symbol
          ? `${Path} is a symbol`
          : Value extends Date
            ? `${Path} is a Date`
            : Value extends { readonly [Symbol.toStringTag]: string }
              ? `${Path} is a Map, a Set, bytes or the like`
              : Value extends (...given: never[]) => unknown
                ? `${Path} is a function`
                : Value extends readonly (infer Item)[]
                  ? NotJsonIn<Item, `${Path}[]`, [...Depth, 1]>
                  : Value extends object
                    ? { [Key in keyof Value & string]-?: NotJsonIn<Value[Key], `${Path}.${Key}`, [...Depth, 1]> }[keyof Value & string]
                    : never

/** What the compiler asks for in the place of a value that is not JSON; nothing has it. */
export interface NotJson<Where extends string> {
  readonly 'JSON cannot hold it': Where
}

/** `true` for what is JSON, and for what may be anything; `never` for what is not. */
type IsJson<Value> = [NotJsonIn<Value, ''>] extends [never] ? true : never

/**
 * Asks for nothing of what is JSON, and for the impossible of what is not. Asked this way round, the compiler lets a type pass that is a
 * parameter of a function around it, and so not known yet.
 */
export type MustBeJson<Value, Path extends string> = [IsJson<Value>] extends [never] ? NotJson<NotJsonIn<Value, Path>> : unknown
