// A database of its own for a test file, and the check that every invariant held in it to the end.
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, inject } from 'vitest'
import { TEMPLATE } from './global-setup.js'

export interface TestDatabase {
  /** Superuser URL of the database. */
  readonly url: string
  readonly pool: pg.Pool
  /** Runs one statement and returns its rows; the caller says of what type they are. */
  query: <Row extends pg.QueryResultRow = Record<string, unknown>>(text: string, values?: unknown[]) => Promise<Row[]>
  /** Closes the pool and removes the database; testDatabase() does it after the file's tests. */
  drop: () => Promise<void>
}

export interface TestDatabaseOptions {
  /** The database to copy. Default: the migrated one. 'template1' is an empty one. */
  template?: string
  /** Check the invariants before the database is dropped. Default: true. */
  checkInvariants?: boolean
  /** Connections of the pool. Default: 10. */
  poolSize?: number
}

/**
 * Call it at the top of a file (or of a describe): makes a database before its tests, and after them checks the invariants
 * and drops it. What it returns can be used inside tests and hooks.
 */
export function testDatabase(options: TestDatabaseOptions = {}): TestDatabase {
  let made: TestDatabase | undefined
  const database = (): TestDatabase => {
    if (made === undefined) throw new Error('the test database is there only inside tests and hooks')
    return made
  }
  beforeAll(async () => {
    made = await createDatabase(options)
  })
  afterAll(async () => {
    if (made === undefined) return
    try {
      if (options.checkInvariants !== false) await expectInvariantsZero(made.pool)
    } finally {
      await made.drop()
    }
  })
  return {
    get url() {
      return database().url
    },
    get pool() {
      return database().pool
    },
    query: (text, values) => database().query(text, values),
    drop: () => database().drop(),
  }
}

/** Makes a database that the caller drops. */
export async function createDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const serverUrl = inject('serverUrl')
  const name = `fw_test_${randomBytes(6).toString('hex')}`
  await onServer(serverUrl, `create database ${name} template ${options.template ?? TEMPLATE}`)
  const target = new URL(serverUrl)
  target.pathname = `/${name}`
  const pool = new pg.Pool({ connectionString: target.href, max: options.poolSize ?? 10 })
  // Tests end sessions on purpose; a query on such a connection still fails.
  pool.on('error', () => undefined)
  let dropping: Promise<void> | undefined
  const drop = async () => {
    await pool.end()
    await onServer(serverUrl, `drop database if exists ${name} with (force)`)
  }
  return {
    url: target.href,
    pool,
    query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
      (await pool.query<Row>(text, values)).rows,
    drop: () => (dropping ??= drop()),
  }
}

/** Fails, naming them, if any row of fw_invariants counts a violation. */
export async function expectInvariantsZero(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ name: string; violations: string; detail: string | null }>(
    'select name, violations, detail from public.fw_invariants order by name',
  )
  expect(rows.length, 'fw_invariants has rows').toBeGreaterThan(0)
  expect(rows.filter(({ violations }) => BigInt(violations) !== 0n), 'violated invariants').toEqual([])
}

async function onServer(serverUrl: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
