import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { checkpoint, claim, claimOne, contents, enqueue, executor, expireLeases, one, organization, report, reportFailures, sqlDatabase, withSessions, workflow } from '../../support/sql.js'

const database = sqlDatabase()

async function scene() {
  const name = workflow()
  const organizationId = await organization(database)
  const [x, y] = [await executor(database, name), await executor(database, name)]
  const id = one(await enqueue(database, name, organizationId))
  return { organizationId, x, y, id, held: await claimOne(database, x) }
}

const steps = (id: string) => database.query('select * from public.fw_execution_steps where execution_id = $1', [id])

describe('fw_checkpoint', () => {
  test("commits the step with the caller's own writes, and the next attempt has it", async () => {
    const { organizationId, x, id, held } = await scene()
    await database.query('create table if not exists public.ledger (execution_id uuid)')
    await withSessions(database, 1, async (session) => {
      await session.query('begin')
      await session.query('insert into public.ledger values ($1)', [id])
      await checkpoint(session, x, held, { name: 'pay', index: 2, output: { ok: true }, durationMs: 250 })
      await session.query('commit')
    })
    expect(await steps(id)).toMatchObject([
      { node_id: 'pay', step_index: 2, organization_id: organizationId, attempt_number: 1, status: 'completed', output_data: { ok: true }, duration_ms: 250 },
    ])
    await reportFailures(database, x, [{ ...held, delayMs: 0 }])
    expect(await claimOne(database, x)).toMatchObject({ attempt: 2, steps: [{ name: 'pay', output: { ok: true } }] })
  })

  test("leaves neither the step nor the caller's writes after a rollback", async () => {
    const { x, id, held } = await scene()
    await database.query('create table if not exists public.ledger (execution_id uuid)')
    await withSessions(database, 1, async (session) => {
      await session.query('begin')
      await session.query('insert into public.ledger values ($1)', [id])
      await checkpoint(session, x, held, { name: 'pay', index: 0, output: 1 })
      await session.query('rollback')
    })
    expect(await steps(id)).toEqual([])
    expect(await database.query('select from public.ledger where execution_id = $1', [id])).toEqual([])
  })

  test('of a step that is recorded already fails and rewrites nothing', async () => {
    const { x, id, held } = await scene()
    await checkpoint(database, x, held, { name: 'pay', index: 0, output: 'first' })
    await expect(checkpoint(database, x, held, { name: 'pay', index: 0, output: 'second' })).rejects.toMatchObject({ code: 'FW004', message: `execution ${held.execution_id} has recorded step 'pay' already` })
    expect(await steps(id)).toMatchObject([{ output_data: 'first' }])
    await report(database, x, [{ ...held, completed: [{ name: 'pay', index: 0, output: 'third' }] }])
    expect(await steps(id)).toMatchObject([{ output_data: 'first' }])
  })
})

describe('fw_checkpoint raises FW001, and nothing is written,', () => {
  test('after the lease has run out', async () => {
    const { x, held } = await scene()
    await expireLeases(database, [held])
    const before = await contents(database)
    await expect(checkpoint(database, x, held, { name: 'pay', index: 0, output: 1 })).rejects.toMatchObject({
      code: 'FW001',
      message: `batch ${held.batch_id} has lost its lease on execution ${held.execution_id}`,
      detail: "Step 'pay' was not recorded; its transaction is rolled back.",
      hint: 'Stop this run: another executor goes on with the execution.',
    })
    expect(await contents(database)).toEqual(before)
  })

  test('for another executor, another batch and another execution', async () => {
    const { x, y, held } = await scene()
    const step = { name: 'pay', index: 0, output: 1 }
    const before = await contents(database)
    await expect(checkpoint(database, y, held, step)).rejects.toMatchObject({ code: 'FW001' })
    await expect(checkpoint(database, x, { ...held, batch_id: randomUUID() }, step)).rejects.toMatchObject({ code: 'FW001' })
    await expect(checkpoint(database, x, { ...held, execution_id: randomUUID() }, step)).rejects.toMatchObject({ code: 'FW001' })
    expect(await contents(database)).toEqual(before)
  })

  test('for an execution of the batch that has ended while the batch is open, and for one of another batch of the executor', async () => {
    const name = workflow()
    const x = await executor(database, name)
    await enqueue(database, name, await organization(database, { batchSize: 2, concurrency: 2 }), 4)
    const held = await claim(database, x)
    const [ended] = held
    const other = held.find((row) => row.batch_id !== ended?.batch_id)
    if (ended === undefined || other === undefined) throw new Error('two batches were expected')
    await reportFailures(database, x, [{ ...ended, delayMs: 3_600_000 }])
    const before = await contents(database)
    const step = { name: 'pay', index: 0, output: 1 }
    await expect(checkpoint(database, x, ended, step)).rejects.toMatchObject({ code: 'FW001' })
    await expect(checkpoint(database, x, { ...other, batch_id: ended.batch_id }, step)).rejects.toMatchObject({ code: 'FW001' })
    expect(await contents(database)).toEqual(before)
  })

  test('once the execution was reported as done', async () => {
    const { x, held } = await scene()
    await report(database, x, [held])
    await expect(checkpoint(database, x, held, { name: 'pay', index: 0, output: 1 })).rejects.toMatchObject({ code: 'FW001' })
  })
})
