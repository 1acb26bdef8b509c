import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { Client } from '../../src/client.js'
import { Executor } from '../../src/executor.js'
import type { ExecutorOptions } from '../../src/executor-options.js'
import { workflow } from '../../src/workflow.js'
import { containerDatabase, describeContainer, psql, untilIdle } from '../support/container.js'
import { gate, until, untilStatus } from '../support/executor.js'
import { enqueue, messages, one, organization } from '../support/sql.js'

describeContainer('the tick, every minute by pg_cron', () => {
  const database = containerDatabase()
  const echo = workflow({ name: 'echo', input: z.object({}) }, () => 'echoed')
  const started: Executor[] = []

  async function start(options: Pick<ExecutorOptions, 'workflows' | 'pollInterval'>): Promise<void> {
    const executor = new Executor({ connectionString: database.url, ...options })
    started.push(executor)
    await executor.start()
  }

  afterEach(async () => {
    await Promise.all(started.splice(0).map((executor) => executor.stop({ timeout: 0 })))
    await database.query('select public.fw_install_cron_jobs()')
  })

  test('it brings work to an executor that never heard of it and does not look by itself', async () => {
    const organizationId = await organization(database)
    await start({ workflows: [echo], pollInterval: '1d' })
    await untilIdle(database)
    // Nobody asks to be told while this is enqueued, so no NOTIFY is sent.
    const id = await psql(database.container,
      'update fw_executors set wants_work = false',
      `select fw_enqueue('echo', '{}', '${organizationId}')`,
      'update fw_executors set wants_work = true where stopped_at is null')
    expect(await new Client({ pool: database.pool }).result(id, { timeout: '3m' })).toBe('echoed')
    // The tick had claimed it.
    const claims = await database.query(
      `select t.driver from public.fw_workflow_executions e
       join public.fw_worker_runs r on r.id = e.batch_id
       join public.fw_worker_ticks t on t.batches_offered > 0 and r.claimed_at between t.started_at - interval '1 second' and t.started_at + t.duration
       where e.id = $1`, [id])
    expect(claims).toEqual([{ driver: 'pg_cron' }])
    const runs = await database.query("select distinct status from cron.job_run_details where command = 'select public.fw_worker_tick()' and end_time is not null")
    expect(runs).toEqual([{ status: 'succeeded' }])
  })

  test('unscheduling its job pauses: what runs finishes, nothing new starts, messages stay; scheduling it goes on', async () => {
    const go = gate()
    const held = workflow({ name: 'held', input: z.object({}) }, async (ctx) => {
      await ctx.step('wait', () => go.opened)
      return 'held'
    })
    const organizationId = await organization(database, { concurrency: 10 })
    await start({ workflows: [echo, held], pollInterval: 200 })
    const running = one(await enqueue(database, 'held', organizationId))
    await untilStatus(database, running, 'running')

    expect(await psql(database.container, "select cron.unschedule('process-workflow-queue')")).toBe('t')
    await until('the executor has heard of it', async () => (await database.query('select from public.fw_executors where is_paused and stopped_at is null')).length === 1)
    const waiting = await enqueue(database, 'echo', organizationId, 3)
    go.open()
    await untilStatus(database, running, 'completed')
    // Long enough for many polls and for a heartbeat.
    await sleep(12_000)
    expect(await database.query('select distinct status::text from public.fw_workflow_executions where id = any ($1::uuid[])', [waiting])).toEqual([{ status: 'queued' }])
    expect(await messages(database, organizationId)).toHaveLength(3)
    expect(await database.query("select is_ok from public.fw_health() where subject = 'pause'")).toEqual([{ is_ok: false }])

    await psql(database.container, "select cron.schedule('process-workflow-queue', '* * * * *', 'select public.fw_worker_tick()')")
    for (const id of waiting) await untilStatus(database, id, 'completed')
  })
})
