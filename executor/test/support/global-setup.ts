// One Postgres for the whole test run, with a migrated template that each test file's database is copied from. An embedded one
// of the version that FW_TEST_POSTGRES names (15 to 18; default: 18), or the server that FW_TEST_SERVER_URL names (superuser; its
// database fw_template is made anew).
import type { TestProject } from 'vitest/node'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/embedded/index.js'
import { migrate } from '../../src/migrate/index.js'
import { testedBinaries } from './postgres/binaries.js'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Superuser URL of the server's database postgres. */
    serverUrl: string
  }
}

export const TEMPLATE = 'fw_template'

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const own = process.env['FW_TEST_SERVER_URL']
  const server =
    own === undefined
      ? await startEmbeddedPostgres({ ...testedBinaries(), settings: { fsync: 'off', max_connections: '200' } })
      : { databaseUrl: own, stop: () => Promise.resolve() }
  try {
    await makeTemplate(server.databaseUrl)
  } catch (error) {
    await server.stop()
    throw error
  }
  project.provide('serverUrl', server.databaseUrl)
  return server.stop
}

async function makeTemplate(serverUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl })
  await client.connect()
  try {
    await client.query(`drop database if exists ${TEMPLATE} with (force)`)
    await client.query(`create database ${TEMPLATE}`)
    const url = new URL(serverUrl)
    url.pathname = `/${TEMPLATE}`
    await migrate({ connectionString: url.href, withCurrent: true })
    // Nobody connects to it any more: a database can't be copied while it is in use.
    await client.query(`alter database ${TEMPLATE} allow_connections false`)
  } finally {
    await client.end()
  }
}
