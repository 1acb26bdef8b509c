import { randomBytes, randomUUID } from 'node:crypto'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { z } from 'zod'
import { Client, Executor, workflow } from '../../src/index.js'
import { migrate } from '../../src/migrate/index.js'
import { expectInvariantsZero } from '../support/database.js'

/** Makes a database of this encoding, hands over its URL, and removes it. */
async function inDatabaseOf(encoding: string, work: (url: string) => Promise<void>): Promise<void> {
  const admin = new pg.Client({ connectionString: inject('serverUrl') })
  await admin.connect()
  const name = `fw_test_${randomBytes(6).toString('hex')}`
  try {
    await admin.query(`create database ${name} template template0 encoding '${encoding}' lc_collate 'C' lc_ctype 'C'`)
    const url = new URL(inject('serverUrl'))
    url.pathname = `/${name}`
    await work(url.href)
  } finally {
    await admin.query(`drop database if exists ${name} with (force)`)
    await admin.end()
  }
}

const greet = workflow({ name: 'greet', input: z.object({ name: z.string() }) }, async (ctx, { name }) => ctx.step('greet', () => `Salut ${name}`))
const breaks = workflow({ name: 'breaks', input: z.object({}), retry: { maxAttempts: 1 } }, async (ctx) => ctx.step('break', () => Promise.reject(new Error('x'.repeat(50_000)))))

test.each(['LATIN1', 'SQL_ASCII'])('a database of encoding %s migrates, runs executions, and keeps errors that had to be cut', async (encoding) => {
  await inDatabaseOf(encoding, async (url) => {
    await migrate({ connectionString: url, withCurrent: true })
    const pool = new pg.Pool({ connectionString: url, max: 2 })
    pool.on('error', () => undefined)
    const organizationId = randomUUID()
    await pool.query('select public.fw_save_worker_settings($1, true)', [organizationId])
    const client = new Client({ connectionString: url })
    const executor = new Executor({ connectionString: url, workflows: [greet, breaks] })
    await executor.start()
    try {
      const greeted = await client.enqueue(greet, { name: encoding === 'LATIN1' ? 'Zo\u00eb' : 'Zoe' }, { organizationId })
      expect(await client.result(greeted, { timeout: '30s' })).toBe(encoding === 'LATIN1' ? 'Salut Zo\u00eb' : 'Salut Zoe')
      const broken = await client.enqueue(breaks, {}, { organizationId })
      await expect(client.result(broken, { timeout: '30s' })).rejects.toThrow(/x{1000,}/)
    } finally {
      await executor.stop()
      await client.close()
      await expectInvariantsZero(pool)
      await pool.end()
    }
  })
})
