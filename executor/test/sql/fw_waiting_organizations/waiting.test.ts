import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rowsRead, watchedSession } from '../../support/plans.js'
import { claim, enqueue, executor, one, organization, release, sendRaw, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase({ checkInvariants: false })

const waiting = () => database.query<{ organization_id: string; enabled: boolean; oldest: Date }>('select * from public.fw_waiting_organizations()')

describe('organizations that wait', () => {
  test('are those with work that could start now, enabled or not, and since when', async () => {
    const name = workflow()
    const [enabled, disabled, delayed, running, idle] = [
      await organization(database),
      await organization(database, { enabled: false }),
      await organization(database),
      await organization(database),
      await organization(database),
    ]
    await enqueue(database, name, running)
    const x = await executor(database, name)
    const held = await claim(database, x)
    await enqueue(database, name, enabled, 3)
    await enqueue(database, name, disabled, 2)
    await database.query("select public.fw_enqueue($1, '{}', $2, p_delay => '1 hour')", [name, delayed])
    await database.query("update pgmq.q_workflow_execution_queue set vt = vt - interval '1 hour' where msg_id = (select min(msg_id) from pgmq.q_workflow_execution_queue where message ->> 'organization_id' = $1)", [enabled])
    const oldest = async (id: string) =>
      one(await database.query<{ vt: Date }>("select min(vt) as vt from pgmq.q_workflow_execution_queue where message ->> 'organization_id' = $1", [id])).vt
    const rows = await waiting()
    const byId = new Map(rows.map((row) => [row.organization_id, row]))
    expect(byId).toEqual(
      new Map([
        [enabled, { organization_id: enabled, enabled: true, oldest: await oldest(enabled) }],
        [disabled, { organization_id: disabled, enabled: false, oldest: await oldest(disabled) }],
      ]),
    )
    expect(byId.has(idle)).toBe(false)
    await release(database, x, held)
    expect((await waiting()).map((row) => row.organization_id)).toContain(running)
  })

  test('are not made up from messages that name no organization, or one that there is not', async () => {
    const before = await waiting()
    await sendRaw(database, 'nonsense')
    await sendRaw(database, { organization_id: 'nobody' })
    await sendRaw(database, { organization_id: '00000000-0000-0000-0000-000000000000' })
    await sendRaw(database, { organization_id: before[0]?.organization_id.toUpperCase() })
    expect(await waiting()).toEqual(before)
  })
})

describe('with 50,000 messages of ten organizations, and 10,000 that have none', () => {
  beforeAll(async () => {
    await database.query('select public.fw_save_worker_settings(gen_random_uuid(), true) from generate_series(1, 10000)')
    for (let i = 0; i < 10; i++) await enqueue(database, workflow(), await organization(database), 5000)
    await database.query('analyze')
  })
  afterAll(() => database.query("select pgmq.purge_queue('workflow_execution_queue')"))

  test('it looks at a few messages of each that has some, and at no other organization', async () => {
    const watched = await watchedSession(database)
    try {
      const plans = await watched.plansOf(async () => {
        const rows = await watched.on.query('select * from public.fw_waiting_organizations()')
        expect(rows.length).toBeGreaterThanOrEqual(10)
      })
      expect(plans.filter((plan) => plan.includes('Seq Scan'))).toEqual([])
      const [messages, organizations] = [rowsRead(plans, 'q_workflow_execution_queue'), rowsRead(plans, 'fw_module_settings')]
      expect(messages).toBeGreaterThan(9)
      expect(messages).toBeLessThan(200)
      expect(organizations).toBeGreaterThan(9)
      expect(organizations).toBeLessThan(50)
    } finally {
      await watched.end()
    }
  })
})
