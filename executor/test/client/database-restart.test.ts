import pg from 'pg'
import { pino } from 'pino'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { Client } from '../../src/client.js'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded/index.js'
import { ResultTimeoutError } from '../../src/errors.js'
import { Executor } from '../../src/executor.js'
import { migrate } from '../../src/migrate/index.js'
import { workflow } from '../../src/workflow.js'
import { gate } from '../support/executor.js'
import { testedBinaries } from '../support/postgres/binaries.js'
import { temporaryFolder } from '../support/temporary-folder.js'

let server: EmbeddedPostgres | undefined

afterEach(async () => {
  await server?.stop()
})

const start = async (dataDir: string): Promise<EmbeddedPostgres> =>
  (server = await startEmbeddedPostgres({ ...testedBinaries(), dataDir, settings: { shared_buffers: '32MB', fsync: 'off' } }))

test.each(['its own connections', 'a pool of the caller'])('a result is waited for through a restart of the database, on %s', async (connections) => {
  const dataDir = `${await temporaryFolder(0o777)}/data`
  const { databaseUrl: url } = await start(dataDir)
  await migrate({ connectionString: url, withCurrent: true })
  const go = gate()
  const slow = workflow({ name: 'slow', input: z.object({}) }, async (ctx) => {
    await ctx.step('wait', () => go.opened)
    return 'done'
  })
  const pool = new pg.Pool({ connectionString: url })
  pool.on('error', () => undefined)
  const client = new Client({ ...(connections.startsWith('its') ? { connectionString: url } : { pool }), onWarning: () => undefined })
  const executor = new Executor({ connectionString: url, workflows: [slow], logger: pino({ level: 'silent' }) })
  try {
    const organizationId = '11111111-1111-4111-8111-111111111111'
    await client.saveSettings(organizationId, { enabled: true })
    await executor.start()
    const id = await client.enqueue(slow, {}, { organizationId })
    const before = client.result(id, { timeout: '5m' })
    await server?.stop()
    // Asked for while nothing answers.
    const meanwhile = client.result(id, { timeout: '5m' })
    const tooShort = await client.result(id, { timeout: 300 }).catch((error: unknown) => error)
    expect(tooShort).toBeInstanceOf(ResultTimeoutError)
    expect(tooShort).toMatchObject({ status: undefined, message: `the database could not be asked within 300 ms how execution ${id} stands`, cause: expect.anything() as unknown })
    expect((await start(dataDir)).databaseUrl).toBe(url)
    go.open()
    expect(await before).toBe('done')
    expect(await meanwhile).toBe('done')
  } finally {
    await executor.stop({ timeout: 0 })
    await client.close()
    await pool.end()
  }
})
