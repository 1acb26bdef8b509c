import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { startEmbeddedPostgres } from '../../src/embedded/index.js'
import { committedChain } from '../../src/migrate/chain.js'
import { createDatabase, testDatabase, type TestDatabase } from '../support/database.js'
import { fixture, fw } from './fw.js'

const database = testDatabase()
const COMMITTED = await committedChain(fileURLToPath(new URL('../../../migrations/committed', import.meta.url)))

const made: TestDatabase[] = []

async function fresh(template?: string): Promise<TestDatabase> {
  const created = await createDatabase(template === undefined ? {} : { template })
  made.push(created)
  return created
}

afterAll(async () => {
  await Promise.all(made.map((each) => each.drop()))
})

describe('fw migrate', () => {
  it('sets up an empty database, tells what it applied, and finds nothing to do the second time', async () => {
    const { url, query } = await fresh('template1')
    const first = await fw(['migrate', '--with-current'], { url })
    expect(first.stderr).toContain('functions')
    const told = COMMITTED.length === 0 ? ['up to date: no migration was missing'] : [...COMMITTED.map(({ filename }) => `applied ${filename}`), 'up to date']
    expect(first).toMatchObject({ code: 0, stdout: `${told.join('\n')}\n` })
    expect(await query('select current from public.fw_api_version()')).toEqual([{ current: 4 }])

    expect(await fw(['migrate'], { url })).toMatchObject({ code: 0, stdout: 'up to date: no migration was missing\n' })
    expect(await fw(['status'], { url })).toMatchObject({ code: 0 })
  })

  it('renews the functions', async () => {
    await database.query('drop function public.fw_status()')
    expect((await fw(['status'], { url: database.url })).code).toBe(3)
    expect((await fw(['migrate'], { url: database.url })).code).toBe(0)
    expect((await fw(['status'], { url: database.url })).code).toBe(0)
  })

  it('says how to get pgmq on a server without it', async () => {
    const server = await startEmbeddedPostgres({ extensions: false, settings: { shared_buffers: '32MB', fsync: 'off' } })
    try {
      const { code, stdout, stderr } = await fw(['migrate'], { url: server.databaseUrl })
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
      expect(stderr).toContain('create extension pgmq')
    } finally {
      await server.stop()
    }
  })
})

describe('a database that does not fit', () => {
  it.each([['status'], ['dlq', 'list'], ['run', fixture('workflows.js')], ['enable', '3f0d7c1e-90a5-4c1b-8a54-8f9f5a0f7a11']])(
    'without the schema sends fw %s to fw migrate',
    async (...args) => {
      const { code, stdout, stderr } = await fw(args, { url: (await fresh('template1')).url })
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
      expect(stderr).toContain('fw migrate')
    },
  )

  it('with a newer schema asks for an upgrade', async () => {
    const { url, query } = await fresh()
    await query(`create or replace function public.fw_api_version(out current integer, out oldest_supported integer)
                 language sql immutable as 'select 1001, 1000'`)
    const { code, stderr } = await fw(['status'], { url })
    expect(code).toBe(3)
    expect(stderr).toContain('upgrade durable-execution-worker')
  })
})
