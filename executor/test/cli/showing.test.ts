import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { PermanentError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, until, untilStatus } from '../support/executor.js'
import { fw } from './fw.js'

const database = executorDatabase()
const input = z.object({ order: z.string() })

const show = async (id: string, ...more: string[]) => {
  const { code, stdout, stderr } = await fw(['executions', 'show', id, ...more], { url: database.url })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

describe('fw executions show tells people', () => {
  it('why one failed: its attempts with step, error, executor and stack, and its steps', async () => {
    const organizationId = await database.organization()
    const failing = workflow({ name: 'charge order', input, retry: { maxAttempts: 2, backoff: { initial: 1, max: 1 } } }, async (ctx) => {
      await ctx.step('reserve stock', () => ({ reserved: 3 }))
      await ctx.step('charge card', function charge() {
        throw Object.assign(new Error(ctx.attempt === 1 ? 'the bank is closed' : 'the card is stolen'), { category: 'EXTERNAL_SERVICE' })
      })
    })
    await database.start(failing, { name: 'worker 7' })
    const id = await database.client.enqueue(failing, { order: 'A7' }, { organizationId })
    await untilStatus(database, id, 'failed')
    const { deadLetterId } = await database.client.get(id)
    const text = await show(id)
    expect(text).toContain(`charge order  ${id}\n`)
    expect(text).toMatch(new RegExp(`^  state +failed for good; its dead letter is ${deadLetterId}$`, 'm'))
    expect(text).toMatch(/^ {2}error +EXTERNAL_SERVICE: the card is stolen$/m)
    expect(text).toMatch(new RegExp(`^  organization +${organizationId}$`, 'm'))
    expect(text).toMatch(/^ {2}attempt +2 of 2$/m)
    expect(text).toMatch(/^ {2}created +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/m)
    expect(text).toMatch(/^ {2}ended +.* UTC, after /m)
    expect(text).toMatch(/^ {2}input +\{"order":"A7"\}$/m)
    const attempts = text.slice(text.indexOf('Failed attempts\n'), text.indexOf('Steps ('))
    expect(attempts).toMatch(/attempt 1 .* in step 'charge card', on worker 7: retry_pending\n {4}EXTERNAL_SERVICE: the bank is closed\n {6}Error: the bank is closed\n {8}at charge /)
    expect(attempts).toMatch(/attempt 2 .* in step 'charge card', on worker 7: failed\n {4}EXTERNAL_SERVICE: the card is stolen\n/)
    expect(attempts.indexOf('bank')).toBeLessThan(attempts.indexOf('stolen'))
    expect(text).toMatch(/^ {2}reserve stock +step +completed +1 +\d{4}.* UTC +\d+ ms +\{"reserved":3\}$/m)
  })

  it('what one waits for, and until when', async () => {
    const organizationId = await database.organization()
    const child = workflow({ name: 'ship', input }, (ctx) => ctx.sleep('2h'))
    const waiting = workflow({ name: 'waits', input }, async (ctx, { order }) => {
      ctx.progress(0.25, 'asked Ada')
      await Promise.all([ctx.waitForEvent(`approved:${order}`, { timeout: '3h' }), ctx.waitForEvent('never'), ctx.sleep('90m'), ctx.invoke(child, { order })])
    })
    await database.start([waiting, child])
    const id = await database.client.enqueue(waiting, { order: 'A7' }, { organizationId })
    await untilStatus(database, id, 'waiting')
    const [invoked] = await database.client.children(id)
    await untilStatus(database, invoked?.id ?? '', 'waiting')
    const text = await show(id)
    expect(text).toMatch(/^ {2}state +waiting for 4 things, listed below$/m)
    expect(text).toMatch(/^ {2}progress +25 %, asked Ada$/m)
    expect(text).toMatch(/^ {2}event 'approved:A7' until \d{4}-.* UTC \(in 2h 59m\)$/m)
    expect(text).toMatch(/^ {2}event 'never', without a limit$/m)
    expect(text).toMatch(/^ {2}a sleep until .* UTC \(in 1h 29m\)$/m)
    expect(text).toContain(`child ${invoked?.id ?? ''} of workflow 'ship', which is waiting`)
    expect(text).toMatch(new RegExp(`^  ${invoked?.id ?? ''} +ship +ship +waiting +1 +-$`, 'm'))
    const ofChild = await show(invoked?.id ?? '')
    expect(ofChild).toMatch(/^ {2}state +waiting for a sleep until .* UTC \(in 1h 59m\)$/m)
    expect(ofChild).toContain(`${id}, in its step 'ship'`)
  })

  it('in which step one is that runs, and when one that failed is tried again', async () => {
    const organizationId = await database.organization()
    const go = gate()
    const running = workflow({ name: 'runs', input }, (ctx) => ctx.step('load', () => go.opened))
    const retried = workflow({ name: 'is retried', input, retry: { backoff: { initial: '10m', max: '10m' } } }, () => {
      throw new Error('later')
    })
    await database.start([running, retried], { name: 'worker 9' })
    const id = await database.client.enqueue(running, { order: 'A7' }, { organizationId })
    const other = await database.client.enqueue(retried, { order: 'A7' }, { organizationId })
    await untilStatus(database, id, 'running')
    await untilStatus(database, other, 'retry_pending')
    const { batchId } = await database.client.get(id)
    await database.query('select public.fw_extend_leases(r.executor_id, array[$1::uuid], array[r.id], array[$2], array[$3::bigint]) from public.fw_worker_runs r where r.id = $4', [id, 'load', 0, batchId])
    expect(await show(id)).toMatch(/^ {2}state +running in step 'load', for \d+s now, on worker 9$/m)
    expect(await show(other)).toMatch(/^ {2}state +to be tried again at .* UTC \((in|.* ago).*\)$/m)
    go.open()
    await untilStatus(database, id, 'completed')
    expect(await show(id)).toMatch(/^ {2}state +completed$/m)
  })

  it('nothing that would move the cursor, whatever lies in names, inputs, errors and stacks', async () => {
    const organizationId = await database.organization()
    const evil = '\u001b[2J\u0007\r\u009b1mevil'
    const nasty = workflow({ name: `nasty${evil}`, input }, async (ctx) => {
      ctx.progress(0.5, evil)
      await ctx.step(`step${evil}`, () => evil)
      throw Object.assign(new PermanentError(evil), { stack: `Error: ${evil}\n    at ${evil}` })
    })
    await database.start(nasty, { name: `worker${evil}` })
    const id = await database.client.enqueue(nasty, { order: evil }, { organizationId, idempotencyKey: evil, metadata: { evil } })
    await untilStatus(database, id, 'failed')
    const text = await show(id)
    expect(text).toContain('evil')
     
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
  })

  it('of thousands of steps only the first ones, and those that failed', async () => {
    const organizationId = await database.organization()
    const child = workflow({ name: 'many child', input: z.number(), retry: { maxAttempts: 1 } }, (_, n) => {
      if (n === 100) throw new Error('the hundredth')
    })
    const many = workflow({ name: 'many', input }, async (ctx) => {
      await ctx.map(Array.from({ length: 120 }, (_, n) => n), child, { concurrency: 120 }).catch(() => undefined)
    })
    await database.start([many, child])
    const id = await database.client.enqueue(many, { order: 'A7' }, { organizationId })
    await untilStatus(database, id, 'completed')
    const text = await show(id)
    expect(text).toContain('Steps (120)')
    expect(text).toMatch(/^ {2}map\[49\] /m)
    expect(text).toMatch(/^ {2}map\[100\] +map item +failed .* the hundredth$/m)
    expect(text).not.toMatch(/^ {2}map\[50\] /m)
    expect(text).toContain('… and 69 more (--json shows all)')
    const json = JSON.parse(await show(id, '--json')) as Record<string, unknown[]>
    expect([json['steps']?.length, json['children']?.length]).toEqual([120, 120])
  })
})

it('fw executions show --json prints all of it as one JSON object', async () => {
  const organizationId = await database.organization()
  const failing = workflow({ name: 'as json', input, retry: { maxAttempts: 2, backoff: { initial: 1, max: 1 } } }, async (ctx) => {
    await ctx.step('a', () => 1)
    throw new Error(`attempt ${ctx.attempt}`)
  })
  const executor = await database.start(failing)
  const id = await database.client.enqueue(failing, { order: 'A7' }, { organizationId })
  await until('it has failed', () => executor.stats.deadLettered === 1)
  const text = await show(id, '--json')
  expect(text.trimEnd().split('\n')).toHaveLength(1)
  expect(JSON.parse(text)).toMatchObject({
    id,
    status: 'failed',
    waitsFor: [],
    steps: [{ name: 'a', kind: 'step', output: 1 }],
    attempts: [{ attempt: 1, error: 'attempt 1', stack: expect.stringContaining('at ') as unknown }, { attempt: 2, error: 'attempt 2' }],
    children: [],
  })
})
