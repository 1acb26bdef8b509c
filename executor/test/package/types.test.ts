import { beforeAll, describe, expect, test } from 'vitest'
import { consumer, runIn, tool } from './packed.js'

const OPTIONS = { strict: true, skipLibCheck: false, noEmit: true, module: 'nodenext', moduleResolution: 'nodenext', target: 'es2022', types: ['node'], exactOptionalPropertyTypes: true }

/** Programs of the user's project, a file each: they are compiled together, for that takes its time. */
const files: Record<string, string> = {}
let said: string[] = []

beforeAll(async () => {
  const project = await consumer({
    'package.json': '{"type": "module", "private": true}',
    'tsconfig.json': JSON.stringify({ compilerOptions: OPTIONS, files: Object.keys(files) }),
    ...files,
  })
  said = (await runIn(project, tool('tsc'), ['--project', '.'])).output.split(/\n(?=\S)/)
})

/** Adds a program; the function that it returns gives what the compiler says about it. */
function program(text: string): () => string {
  const name = `program-${Object.keys(files).length}.ts`
  files[name] = text
  return () => said.filter((line) => line.startsWith(`${name}(`)).join('\n')
}

const HEAD = `
  import { workflow, type Context, type Workflow } from 'durable-execution-worker'
  import { z } from 'zod'
  const input = z.object({ order: z.string() })
`

describe("a user's strict project, which checks the libraries too,", () => {
  const all = program(`
    import * as everything from 'durable-execution-worker'
    import * as client from 'durable-execution-worker/client'
    import * as embedded from 'durable-execution-worker/embedded'
    export { everything, client, embedded }
  `)

  test('compiles with all that the package exports', () => {
    expect(all()).toBe('')
    expect(said.filter((line) => !line.startsWith('program-') && line.trim() !== '')).toEqual([])
  })

  const duration = (value: string) =>
    program(`
      import type { Duration } from 'durable-execution-worker'
      import type { Duration as ClientDuration } from 'durable-execution-worker/client'
      type IsAny<T> = 0 extends 1 & T ? true : false
      export const isAny: IsAny<Duration> | IsAny<ClientDuration> = false
      export const some: Duration[] = [250, '250ms', '1.5s', '10 minutes', '2H', '7d', '1y', '100']
      export const one: Duration = ${value}
    `)
  const [good, text, other] = [duration("'10m'"), duration("'a while'"), duration('true')]

  test('knows a duration from anything else', () => {
    expect(good()).toBe('')
    expect(text()).toMatch(/^\S+\(7,\d+\): error TS2322: Type '"a while"' is not assignable/)
    expect(other()).toContain('error TS2322')
  })

  const catching = program(`
        import { ForeignMigrationsError, migrate, MigrationFilesMissingError, PgmqMissingError, PrivilegesMissingError, SchemaDivergedError, SchemaNewerError, SqlFileError, WorkerError } from 'durable-execution-worker'
        export const isOurs = (error: unknown): string | undefined =>
          error instanceof SqlFileError ? error.file
            : [ForeignMigrationsError, MigrationFilesMissingError, PgmqMissingError, PrivilegesMissingError, SchemaDivergedError, SchemaNewerError].some((known) => error instanceof known) && error instanceof WorkerError ? error.code : undefined
        export const applied: Promise<string[]> = migrate({ connectionString: '' }).then((result) => result.applied)
  `)

  test('can catch each error of migrate by its class', () => {
    expect(catching()).toBe('')
  })
})

describe('a handler whose output JSON cannot hold is refused by the compiler, which says where', () => {
  const refused: [string, string, string][] = [
    ['a Date', '() => new Date()', 'output is a Date'],
    ['a Date in a promise', 'async () => ({ at: new Date() })', 'output.at is a Date'],
    ['a Date that may be null, in a list', "async (ctx) => ({ lines: await ctx.step('a', () => 1), deep: [{ at: null as Date | null }] })", 'output.deep[].at is a Date'],
    ['an optional Date', '(): { at?: Date } => ({})', 'output.at is a Date'],
    ['a bigint', '() => ({ count: 1n })', 'output.count is a bigint'],
    ['a function', '() => ({ again: () => 1 })', 'output.again is a function'],
    ['a Map', '() => ({ all: new Map([[1, 2]]) })', 'output.all is a Map, a Set, bytes or the like'],
    ['bytes', "() => Buffer.from('')", 'output is a Map, a Set, bytes or the like'],
    ['a symbol', "() => [Symbol('x')]", 'output[] is a symbol'],
  ]
  test.each(refused.map(([what, handler, where]) => ({ what, where, refusal: program(`${HEAD} export const made = workflow({ name: 'a', input }, ${handler})`) })))('$what', ({ where, refusal }) => {
    expect(refusal()).toMatch(/^\S+\(\d+,\d+\): error TS2/)
    expect(refusal()).toContain(`NotJson<"${where}">`)
  })
})

const accepted = program(`${HEAD}
      interface Tree { name: string; children: Tree[]; parent?: Tree | undefined }
      interface Row { readonly ids: readonly number[]; note?: string }
      type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
      const nothing = workflow({ name: 'a', input }, async (ctx, { order }) => { await ctx.step('x', () => order) })
      export const void_: Same<typeof nothing, Workflow<{ order: string }, void>> = true
      export const made = [
        workflow({ name: 'a', input }, () => undefined),
        workflow({ name: 'a', input }, async (): Promise<Tree> => ({ name: '', children: [] })),
        workflow({ name: 'a', input }, (): Row => ({ ids: [] })),
        workflow({ name: 'a', input }, (): unknown => new Date()),
        workflow({ name: 'a', input }, () => JSON.parse('1')),
        workflow({ name: 'a', input }, (): Record<string, unknown> => ({})),
        workflow({ name: 'a', input }, (): never => { throw new Error('') }),
        workflow({ name: 'a', input }, (_, given) => given),
        workflow({ name: 'a', input }, (_, given) => (given.order === '' ? null : ([given, 1, 'x'] as const))),
        workflow({ name: 'a', input }, (): object => ({})),
        workflow({ name: 'a', input }, (): string & { readonly brand?: 'id' } => 'id'),
      ]
      // Functions around it that do not know the type yet.
      export function either<T>(handle: (ctx: Context) => T | Promise<T>) { return workflow({ name: 'a', input }, handle) }
      export function awaited<T>(handle: () => Promise<T>) { return workflow({ name: 'a', input }, async () => await handle()) }
      export function wrapped<T>(handle: () => Promise<T>) { return workflow({ name: 'a', input }, async () => ({ items: [await handle()] })) }
      const known = either(() => ({ sum: 1 }))
      export const typed: Same<typeof known, Workflow<{ order: string }, { sum: number }>> = true
`)

test('what JSON can hold, and what may be anything, is not refused, and keeps its type', () => {
  expect(accepted()).toBe('')
})
