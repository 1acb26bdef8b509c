import { afterEach, describe, expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { listening } from '../../support/listening.js'
import { checkpoint, claim, claimOne, enqueue, execution, executor, expireLeases, extend, messages, one, organization, release, report, reportFailures, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

afterEach(async () => {
  await database.query('select public.fw_resume()')
  await expectInvariantsZero(database.pool)
})

const pause = (reason: string | null = 'an upgrade') => database.query('select public.fw_pause($1)', [reason])

const resume = async () => one(await database.query<{ resumed: boolean }>('select public.fw_resume() as resumed')).resumed

const offer = () => database.query('select public.fw_offer_batches()')

async function scene(count = 1, settings = {}) {
  const name = workflow()
  const organizationId = await organization(database, settings)
  const x = await executor(database, name)
  const ids = await enqueue(database, name, organizationId, count)
  return { name, organizationId, x, ids, id: ids[0] ?? '' }
}

describe('while the worker is paused', () => {
  test('nothing new starts: claims return nothing, and nothing is offered', async () => {
    const { organizationId, x, ids } = await scene(3)
    const before = await messages(database, organizationId)
    await pause()
    expect(await claim(database, x)).toEqual([])
    expect(await claim(database, x, 10, [organizationId])).toEqual([])
    expect(await offer()).toEqual([])
    await database.query('select * from public.fw_worker_tick()')
    expect(await messages(database, organizationId)).toEqual(before)
    for (const id of ids) expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0 })
    expect(await resume()).toBe(true)
    expect(await claim(database, x)).toHaveLength(3)
  })

  test('what is running reports as usual: steps, results, failures, releases, leases', async () => {
    const { organizationId, x, ids } = await scene(4)
    const held = await claim(database, x)
    const [a, b, c, d] = held
    if (!a || !b || !c || !d) throw new Error('four were claimed')
    await pause()
    expect(await extend(database, x, held)).toEqual([])
    await checkpoint(database, x, a, { name: 'exact', index: 0, output: 1 })
    expect(await report(database, x, [{ ...a, completed: [{ name: 'a', index: 1, output: 2 }] }])).toEqual([])
    expect(await reportFailures(database, x, [{ ...b, delayMs: 0 }])).toEqual({ [b.execution_id]: 'retry_pending' })
    expect(await reportFailures(database, x, [{ ...c, permanent: true }])).toEqual({ [c.execution_id]: 'failed' })
    expect(await release(database, x, [d])).toEqual([])
    const states = await database.query('select status::text, count(*)::integer from public.fw_workflow_executions where id = any ($1::uuid[]) group by 1 order by 1', [ids])
    expect(states).toEqual([
      { status: 'completed', count: 1 },
      { status: 'failed', count: 1 },
      { status: 'queued', count: 1 },
      { status: 'retry_pending', count: 1 },
    ])
    expect(one(await database.query('select worker_running from public.fw_module_settings where organization_id = $1', [organizationId]))).toEqual({ worker_running: false })
    expect(await claim(database, x)).toEqual([])
  })

  test('work is still enqueued, and leases that are lost are still ended by the tick', async () => {
    const { name, organizationId, x, id } = await scene()
    const held = await claimOne(database, x)
    await pause()
    await enqueue(database, name, organizationId, 2)
    await expireLeases(database, [held])
    await database.query('select * from public.fw_worker_tick()')
    expect(await execution(database, id)).toMatchObject({ status: 'retry_pending', retry_count: 1 })
    expect(await messages(database, organizationId)).toHaveLength(3)
    await resume()
    expect(await claim(database, x)).toHaveLength(3)
  })

  test('an executor that starts is paused as well', async () => {
    const { name } = await scene()
    await pause()
    const late = await executor(database, name)
    expect(await claim(database, late)).toEqual([])
    await resume()
    expect(await claim(database, late)).toHaveLength(1)
  })

  test('an executor that missed the pause learns of it with its next heartbeat, and of its end too', async () => {
    const { x } = await scene()
    await pause()
    await database.query('update public.fw_executors set is_paused = false where id = $1', [x])
    await extend(database, x, [])
    expect(await claim(database, x)).toEqual([])
    await resume()
    await database.query('update public.fw_executors set is_paused = true where id = $1', [x])
    await extend(database, x, [])
    expect(await claim(database, x)).toHaveLength(1)
  })

  test('fw_health says so, since when, why, and how to go on', async () => {
    const health = async () => one(await database.query("select is_ok, detail, hint from public.fw_health() where subject = 'pause'"))
    expect(await health()).toEqual({ is_ok: true, detail: 'not paused', hint: null })
    await pause('an upgrade')
    expect(await health()).toEqual({ is_ok: false, detail: expect.stringMatching(/^paused since \d{4}-.*: an upgrade$/) as unknown, hint: 'select fw_resume() goes on.' })
    await resume()
    await pause(null)
    expect(await health()).toMatchObject({ detail: expect.stringMatching(/: no reason given$/) as unknown })
  })

  test('a second pause keeps the time of the first, and its reason unless it gives one', async () => {
    const config = async () => one(await database.query<{ paused_at: Date; pause_reason: string }>('select paused_at, pause_reason from public.fw_worker_config'))
    await pause('the first')
    const first = await config()
    await pause(null)
    expect(await config()).toEqual(first)
    await pause('the second')
    expect(await config()).toEqual({ ...first, pause_reason: 'the second' })
    await resume()
    expect(await config()).toEqual({ paused_at: null, pause_reason: null })
  })
})

describe('the end of a pause', () => {
  test('wakes the executors', async () => {
    await scene()
    await pause()
    await listening(database, ['fw_work'], async ({ heard }) => {
      expect(await heard()).toEqual([])
      expect(await resume()).toBe(true)
      expect(await heard()).toEqual(['fw_work null'])
    })
  })

  test('without a pause changes nothing', async () => {
    const { x } = await scene()
    expect(await resume()).toBe(true)
    expect(await claim(database, x)).toHaveLength(1)
  })
})

describe('one organization, paused by its toggle', () => {
  test('finishes what runs and starts nothing new, while others go on; enabled again, it goes on and executors hear of it', async () => {
    const { organizationId, x, ids } = await scene(4, { batchSize: 2 })
    const other = await scene(1)
    const held = await claim(database, x)
    expect(held).toHaveLength(2)
    await database.query('UPDATE fw_module_settings SET fw_execution_worker_enabled = false WHERE organization_id = $1', [organizationId])
    expect(await extend(database, x, held)).toEqual([])
    expect(await report(database, x, held)).toEqual([])
    expect(await claim(database, x)).toEqual([])
    expect(await claim(database, x, 10, [organizationId])).toEqual([])
    expect(await report(database, other.x, [await claimOne(database, other.x)])).toEqual([])
    expect(await offer()).toEqual([])
    expect(await messages(database, organizationId)).toHaveLength(2)
    await listening(database, ['fw_work'], async ({ heard }) => {
      await database.query('select public.fw_save_worker_settings($1, true)', [organizationId])
      expect(await heard()).toEqual([`fw_work "${organizationId}"`])
    })
    const rest = await claim(database, x)
    expect([...held, ...rest].map((row) => row.execution_id).sort()).toEqual(ids.toSorted())
    expect(await report(database, x, rest)).toEqual([])
  })
})
