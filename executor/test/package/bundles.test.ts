import { mkdir, readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { executorDatabase } from '../support/executor.js'
import { consumer, PACKAGE, runIn, tool } from './packed.js'

const database = executorDatabase()
let project = ''

/** Enqueues, lists and waits, on the database that DATABASE_URL names; what it prints tells that it got there. */
const PROGRAM = `
  import { Client, ResultTimeoutError, workflow } from 'durable-execution-worker/client'
  import { z } from 'zod'
  const bundled = workflow({ name: 'bundled', input: z.object({ n: z.number() }) }, (ctx, { n }) => n)
  const organizationId = '22222222-2222-4222-8222-222222222222'
  const client = new Client({ connectionString: process.env.DATABASE_URL, onWarning: () => undefined })
  const run = async () => {
    const id = await client.enqueue(bundled, { n: 1 }, { organizationId })
    const { input } = await client.get(id)
    const late = await client.result(id, { timeout: 1 }).catch((error) => error)
    console.log('enqueued', JSON.stringify(input), late instanceof ResultTimeoutError, late.code)
    await client.close()
  }
  run()
`
const PRINTED = 'enqueued {"n":1} true RESULT_TIMEOUT\n'

const MIGRATE = `
  import { migrate, MigrationFilesMissingError } from 'durable-execution-worker'
  migrate({ connectionString: process.env.DATABASE_URL }).then(
    (result) => console.log('success', result),
    (error) => console.log('failed', error instanceof MigrationFilesMissingError, error.code),
  )
`
const REQUIRE = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"

beforeAll(async () => {
  project = await consumer({
    'package.json': '{"type": "module", "private": true}',
    'client.js': PROGRAM,
    'migrate.js': MIGRATE,
    'vite.config.js': "export default { ssr: { noExternal: true }, build: { ssr: 'client.js', outDir: 'vite', emptyOutDir: true }, logLevel: 'warn' }",
  })
})

const node = (file: string) => runIn(project, process.execPath, [file], { DATABASE_URL: database.url })

async function esbuild(file: string, format: 'cjs' | 'esm'): Promise<string> {
  const out = join('out', `${file}.${format === 'cjs' ? 'cjs' : 'mjs'}`)
  const banner = format === 'esm' ? [`--banner:js=${REQUIRE}`] : []
  const bundled = await runIn(project, tool('esbuild'), [`${file}.js`, '--bundle', '--platform=node', `--format=${format}`, `--outfile=${out}`, '--log-level=warning', ...banner])
  expect(bundled).toEqual({ code: 0, output: '' })
  return out
}

describe('durable-execution-worker/client works in a bundle', () => {
  test.each(['cjs', 'esm'] as const)('of esbuild, %s', async (format) => {
    expect(await node(await esbuild('client', format))).toEqual({ code: 0, output: PRINTED })
  })

  test('of Vite, with all that it depends on', async () => {
    expect(await runIn(project, tool('vite'), ['build'])).toMatchObject({ code: 0 })
    expect(await readdir(join(project, 'vite'))).toEqual(['client.js'])
    expect(await node('vite/client.js')).toEqual({ code: 0, output: PRINTED })
  })

  test('with neither executor, migrator nor listener in it', async () => {
    const { output } = await runIn(project, tool('esbuild'), ['client.js', '--bundle', '--platform=node', '--metafile=meta.json', '--outfile=out/meta.cjs', '--log-level=warning'])
    expect(output).toBe('')
    const { output: inputs } = await runIn(project, process.execPath, ['--input-type=commonjs', '-p', "Object.keys(JSON.parse(require('fs').readFileSync('meta.json', 'utf8')).inputs).join('\\n')"])
    const files = inputs.split('\n')
    expect(files.some((file) => file.endsWith('/client-index.js'))).toBe(true)
    expect(files.filter((file) => /pg-listen|graphile|pino|commander|\/migrate\/|\/cli\/|\/executor\.js$|wakeup\.js$/.test(file))).toEqual([])
  })
})

describe('durable-execution-worker/client works without a bundle', () => {
  test('by import', async () => {
    expect(await node('client.js')).toEqual({ code: 0, output: PRINTED })
  })

  test('by require, where no module can be imported', async () => {
    const cjs = PROGRAM.replace(/import (\{.*\}) from ('.*')/g, 'const $1 = require($2)')
    expect(await runIn(project, process.execPath, ['--no-experimental-require-module', '--input-type=commonjs', '-e', cjs], { DATABASE_URL: database.url })).toEqual({ code: 0, output: PRINTED })
  })
})

describe('migrate() in a bundle', () => {
  test.each(['cjs', 'esm'] as const)('of esbuild, %s, finds no files and fails', async (format) => {
    expect(await node(await esbuild('migrate', format))).toEqual({ code: 0, output: 'failed true MIGRATION_FILES_MISSING\n' })
  })

  test('that is told where the files are migrates', async () => {
    await mkdir(join(project, 'files'))
    await symlink(join(PACKAGE, 'sql'), join(project, 'files', 'sql'))
    await symlink(join(PACKAGE, 'migrations'), join(project, 'files', 'migrations'))
    const { migrate } = await import('../../src/migrate/index.js')
    expect(await migrate({ connectionString: database.url, packageRoot: join(project, 'files') })).toMatchObject({ applied: [] })
    await expect(migrate({ connectionString: database.url, packageRoot: project })).rejects.toMatchObject({ code: 'MIGRATION_FILES_MISSING', message: expect.stringContaining(project) as string })
  })
})

afterAll(async () => {
  await database.query('select public.fw_cancel_execution(id) from public.fw_workflow_executions where completed_at is null')
})
