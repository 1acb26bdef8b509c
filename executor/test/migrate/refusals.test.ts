import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { startEmbeddedPostgres } from '../../src/embedded/index.js'
import { migrate } from '../../src/migrate/index.js'
import { createDatabase, type TestDatabase } from '../support/database.js'
import { packageFolder } from '../support/package-folder.js'

const made: TestDatabase[] = []

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await createDatabase({ template: 'template1' })
  made.push(database)
  return database
}

afterEach(async () => {
  await Promise.all(made.splice(0).map((database) => database.drop()))
})

const ONE = 'create table public.one (n int);'
const TWO = 'create table public.two (n int);'
const MARKED = { 'sql/functions/marker.sql': "create or replace function public.marker() returns int language sql as 'select 1';" }

async function expectUntouched(database: TestDatabase): Promise<void> {
  expect(await database.query("select 1 where to_regprocedure('public.marker()') is not null")).toEqual([])
}

describe('a migrate refuses, and changes nothing,', () => {
  it('where a newer version has migrated', async () => {
    const database = await emptyDatabase()
    await migrate({ connectionString: database.url, packageRoot: await packageFolder([ONE, TWO]) })
    await expect(migrate({ connectionString: database.url, packageRoot: await packageFolder([ONE], MARKED) })).rejects.toMatchObject({
      code: 'SCHEMA_NEWER',
      message: expect.stringContaining('1 migrations more, up to 000002.sql') as unknown,
    })
    await expectUntouched(database)
  })

  it('where another application has its history', async () => {
    const database = await emptyDatabase()
    await migrate({ connectionString: database.url, packageRoot: await packageFolder(['create table public.theirs (n int);']) })
    await expect(
      migrate({ connectionString: database.url, packageRoot: await packageFolder([ONE, TWO], MARKED) }),
    ).rejects.toMatchObject({ code: 'FOREIGN_MIGRATIONS' })
    await expectUntouched(database)
    expect(await database.query('select filename from graphile_migrate.migrations')).toHaveLength(1)
  })

  it('where the history went another way after a common start', async () => {
    const database = await emptyDatabase()
    await migrate({ connectionString: database.url, packageRoot: await packageFolder([ONE, 'select 1;']) })
    await expect(
      migrate({ connectionString: database.url, packageRoot: await packageFolder([ONE, TWO], MARKED) }),
    ).rejects.toMatchObject({ code: 'SCHEMA_DIVERGED' })
    await expectUntouched(database)
  })

  it('where the role may not create pgmq, and says who should', async () => {
    const database = await emptyDatabase()
    const role = `fw_test_${randomBytes(6).toString('hex')}`
    await database.query(`create role ${role} login password 'secret'`)
    try {
      const url = new URL(database.url)
      url.username = role
      url.password = 'secret'
      await expect(migrate({ connectionString: url.href })).rejects.toMatchObject({
        code: 'PGMQ_MISSING',
        message: expect.stringContaining('superuser') as unknown,
      })
    } finally {
      await database.query(`drop role ${role}`)
    }
  })

  it('on a server without pgmq, and says how to install it', async () => {
    const server = await startEmbeddedPostgres({ extensions: false, settings: { shared_buffers: '32MB' } })
    try {
      await expect(migrate({ connectionString: server.databaseUrl })).rejects.toMatchObject({
        code: 'PGMQ_MISSING',
        message: expect.stringMatching(/Postgres 18[^]*create extension pgmq/) as unknown,
      })
    } finally {
      await server.stop()
    }
  })
})
