// One organization does its worst; the work of another one completes beside it, and what went wrong is said.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, untilFinished, untilStatus } from '../support/executor.js'
import { one } from '../support/sql.js'

const database = executorDatabase()

const good = workflow({ name: 'good', input: z.object({ n: z.number() }) }, async (ctx, { n }) => {
  const doubled = await ctx.step('double', () => n * 2)
  await ctx.sleep(1)
  return await ctx.step('add', () => doubled + 1)
})
const bad = workflow({ name: 'bad', input: z.unknown(), retry: { backoff: { initial: 1, max: 1 } } }, async (ctx, input) => {
  const size = await ctx.step('size', () => JSON.stringify(input).length)
  await ctx.sleep(1)
  return size
})

let worst = ''
let other = ''

beforeEach(async () => {
  worst = await database.organization()
  other = await database.organization()
})

afterEach(async () => {
  await database.query("drop trigger if exists poison on public.fw_workflow_executions")
  await database.query('update public.fw_worker_config set results_limit = default, result_limit = default, steps_limit = default')
})

/** Twenty executions of the other organization, enqueued after the worst was done, and what became of them. */
async function othersComplete(): Promise<void> {
  const ids = await database.client.enqueueMany(good, Array.from({ length: 20 }, (_, n) => ({ n })), { organizationId: other })
  const results = await Promise.all(ids.map((id) => database.client.result(id, { timeout: '30s' })))
  expect(results).toEqual(Array.from({ length: 20 }, (_, n) => n * 2 + 1))
}

const claimsFail = async () =>
  one(await database.query<{ is_ok: boolean; detail: string }>("select is_ok, detail from public.fw_health() where subject = 'claims fail'"))

const forgetNotices = () => database.query("delete from public.fw_notices where kind = 'set_aside'")

describe('at the enqueue', () => {
  test('an input of 200 million control characters is refused with the limit, and nothing is enqueued', async () => {
    await expect(database.query("select public.fw_enqueue('bad', to_jsonb(repeat(chr(1), 200000000)), $1)", [worst])).rejects.toMatchObject({
      code: '54000',
      message: expect.stringMatching(/^the input of workflow 'bad' at position 1 has \d+ bytes at least, more than input_limit, which is 16777216$/) as string,
      hint: expect.stringContaining('update fw_worker_config set input_limit') as string,
    })
    expect(await database.query('select from public.fw_workflow_executions where organization_id = $1', [worst])).toEqual([])
    await database.start([good, bad])
    await othersComplete()
  })

  test('numbers of few bytes and a long text are counted as text', async () => {
    const numbers = `[${Array.from({ length: 200 }, () => '1e131071').join()}]`
    await expect(database.query("select public.fw_enqueue('bad', $2, $1)", [worst, numbers])).rejects.toMatchObject({ code: '54000' })
  })

  test.each([
    ['metadata', "p_metadata => to_jsonb(repeat('x', 70000))", /metadata of workflow 'bad' has 70002 bytes, more than metadata_limit, which is 65536/],
    ['a version of the workflow', "p_workflow_version => repeat('1', 201)", /version of workflow 'bad' has 201 characters, more than workflow_version_limit, which is 200/],
  ])('%s beyond the limit is refused', async (_, argument, message) => {
    await expect(database.query(`select public.fw_enqueue('bad', '{}', $1, ${argument})`, [worst])).rejects.toMatchObject({
      code: '54000', message: expect.stringMatching(message) as string,
    })
  })

  test('the name of an executor beyond the limit is refused', async () => {
    await expect(database.start(bad, { name: 'x'.repeat(201) })).rejects.toMatchObject({
      code: '54000', message: expect.stringContaining('the name of the executor has 201 characters, more than executor_name_limit, which is 200') as string,
    })
  })
})

describe('an input that a claim does not hand over', () => {
  test('comes whole to the run, and others are claimed beside it', async () => {
    const control = '\u0001'.repeat(2_000_000)
    const ids = await database.client.enqueueMany(bad, [control, 'x'.repeat(20_000), 'small'], { organizationId: worst })
    await database.start([good, bad])
    await othersComplete()
    const sizes = await Promise.all(ids.map((id) => database.client.result(id, { timeout: '30s' })))
    expect(sizes).toEqual([12_000_002, 20_002, 7])
  })
})

describe('results', () => {
  test('that are together larger than results_limit end the execution with the limit in its error, and nobody else', async () => {
    await database.query('update public.fw_worker_config set results_limit = 1000000')
    const hoarder = workflow({ name: 'hoarder', input: z.unknown(), retry: { backoff: { initial: 1, max: 1 } } }, async (ctx) => {
      for (let n = 0; n < 40; n++) await ctx.step('keep', () => 'x'.repeat(31_000))
      await ctx.sleep(1)
    })
    const id = await database.client.enqueue(hoarder, null, { organizationId: worst })
    await database.start([good, hoarder])
    await othersComplete()
    await expect(database.client.result(id, { timeout: '30s' })).rejects.toThrow(/together have \d+ characters, more than results_limit, which is 1000000/)
    expect(one(await database.query('select retry_count from public.fw_workflow_executions where id = $1', [id]))).toEqual({ retry_count: 0 })
  })

  test('that were recorded before the limit was lowered are refused when the execution resumes, and go on once it is raised', async () => {
    const slow = workflow({ name: 'slow', input: z.unknown() }, async (ctx) => {
      for (let n = 0; n < 40; n++) await ctx.step('keep', () => 'x'.repeat(31_000))
      await ctx.waitForEvent(`go ${worst}`)
      return 'went on'
    })
    const id = await database.client.enqueue(slow, null, { organizationId: worst })
    const executor = await database.start([good, slow])
    await untilStatus(database, id, 'waiting')
    await executor.stop()
    await database.query('update public.fw_worker_config set results_limit = 1000000')
    const next = await database.start([good, slow])
    await database.client.emit(worst, `go ${worst}`)
    await expect(database.client.result(id, { timeout: '30s' })).rejects.toThrow('more than results_limit, which is 1000000')
    await othersComplete()
    await database.query('update public.fw_worker_config set results_limit = default')
    await database.query('select public.fw_dlq_retry(dlq_msg_id) from public.fw_workflow_executions where id = $1', [id])
    await expect(database.client.result(id, { timeout: '30s' })).resolves.toBe('went on')
    await next.stop()
  })

  test('of more steps than steps_limit are refused', async () => {
    await database.query('update public.fw_worker_config set steps_limit = 1000')
    const endless = workflow({ name: 'endless', input: z.unknown(), retry: { maxAttempts: 1 } }, async (ctx) => {
      await Promise.all(Array.from({ length: 1200 }, (_, n) => ctx.step(`step ${n}`, () => n)))
    })
    const id = await database.client.enqueue(endless, null, { organizationId: worst })
    await database.start([good, endless])
    await othersComplete()
    await expect(database.client.result(id, { timeout: '60s' })).rejects.toThrow(/more than steps_limit, which is 1000/)
  })

  test('of thousands of steps come back whole and in order, in pages', async () => {
    const long = workflow({ name: 'long', input: z.unknown() }, async (ctx) => {
      const kept: string[] = []
      for (let n = 0; n < 300; n++) kept.push(await ctx.step('keep', () => `${n} ${'x'.repeat(20_000)}`))
      await ctx.sleep(1)
      return kept.map((text) => Number.parseInt(text))
    })
    const id = await database.client.enqueue(long, null, { organizationId: worst })
    await database.start([good, long])
    await othersComplete()
    expect(await database.client.result(id, { timeout: '60s' })).toEqual(Array.from({ length: 300 }, (_, n) => n))
  })
})

describe('raw messages', () => {
  test('with an execution_id of 40 million characters go to the archive, with a small dead letter, and stop no claim', async () => {
    const { send: messageId } = one(await database.query<{ send: string }>(
      `select pgmq.send('workflow_execution_queue', jsonb_build_object('organization_id', $1::uuid, 'workflow_name', 'bad', 'attempt', 1,
         'execution_id', repeat('a', 40000000))) as send`, [worst]))
    await database.start([good, bad])
    await othersComplete()
    await expect.poll(async () => database.query(
      `select d.message ->> 'error' as error, (select pg_column_size(a.message) > 1000 from pgmq.a_workflow_execution_queue a where a.msg_id = $1) as is_kept
       from pgmq.q_workflow_dlq d where d.message ->> 'archived_msg_id' = $1::text`, [messageId])).toEqual([
      { error: 'the message takes up more than 32768 bytes', is_kept: true },
    ])
  })

  test('with an attempt that is a long text stop no claim', async () => {
    await database.query(
      `select pgmq.send('workflow_execution_queue', jsonb_build_object('organization_id', $1::uuid, 'workflow_name', 'bad', 'attempt', repeat('1', 30000),
         'execution_id', gen_random_uuid())) from generate_series(1, 50)`, [worst])
    await database.start([good, bad])
    await othersComplete()
  })
})

describe('an execution that the database cannot work with', () => {
  /** A trigger that somebody added: it refuses to let these executions run. */
  async function poisoned(ids: readonly string[], when = "new.status = 'running'"): Promise<void> {
    await database.query(
      `create or replace function public.poison() returns trigger language plpgsql as $$ begin raise exception 'poisoned %', old.id; end $$`)
    await database.query(
      `create trigger poison before update on public.fw_workflow_executions for each row
       when (old.id in (${ids.map((id) => `'${id}'`).join()}) and ${when}) execute function public.poison()`)
  }

  test('is set aside with the reason, while all others are claimed; and fw_health says so', async () => {
    const ids = await database.client.enqueueMany(bad, Array.from({ length: 30 }, () => 'x'), { organizationId: worst })
    const [, , sick = '', ...more] = ids
    await poisoned([sick, more.at(-1) ?? ''])
    await database.start([good, bad])
    await othersComplete()
    await untilFinished(database, 'bad')
    const ended = await database.query<{ id: string; status: string; last_error: string | null; is_dead: boolean }>(
      'select id, status, last_error, dlq_msg_id is not null as is_dead from public.fw_workflow_executions where organization_id = $1 and status <> $2', [worst, 'completed'])
    expect(ended.map(({ id }) => id).sort()).toEqual([sick, more.at(-1)].sort())
    for (const { id, status, last_error: error, is_dead: isDead } of ended) {
      expect({ status, error, isDead }).toEqual({
        status: 'failed', error: `set aside, because the database could not work with it (P0001): poisoned ${id}`, isDead: true,
      })
    }
    const { is_ok: isOk, detail } = await claimsFail()
    expect(isOk).toBe(false)
    expect(detail).toContain('2 things were set aside in the last day: execution')
    await forgetNotices()
    expect(await claimsFail()).toMatchObject({ is_ok: true })
  })

  test('and whose end cannot be written either is hidden for an hour, and stops nobody', async () => {
    const [sick = ''] = await database.client.enqueueMany(bad, ['x', 'y'], { organizationId: worst })
    await poisoned([sick], 'true')
    await database.start([good, bad])
    await othersComplete()
    await expect.poll(async () => database.query(
      `select e.status, q.vt > now() + interval '50 minutes' as is_hidden
       from public.fw_workflow_executions e join pgmq.q_workflow_execution_queue q on q.msg_id = e.msg_id where e.id = $1`, [sick])).toEqual([
      { status: 'queued', is_hidden: true },
    ])
    await database.query('drop trigger poison on public.fw_workflow_executions')
    await database.client.cancel(sick, 'the test is over')
    await forgetNotices()
  })

  test('does not keep the tick from offering the work of others', async () => {
    const ids = await database.client.enqueueMany(bad, ['x', 'y', 'z'], { organizationId: worst })
    await database.client.enqueue(good, { n: 1 }, { organizationId: other })
    await poisoned([ids[1] ?? ''])
    const executorId = one(await database.query<{ id: string }>(
      `select public.fw_register_executor('waits', '[{"name": "good"}, {"name": "bad"}]', 4) as id`)).id
    await database.query('update public.fw_executors set wants_work = true where id = $1', [executorId])
    await database.query('select * from public.fw_worker_tick()')
    const offered = await database.query<{ organization_id: string; open: number }>(
      'select organization_id, sum(open)::int as open from public.fw_worker_runs where finished_at is null group by 1 order by 2', [])
    expect(offered).toContainEqual({ organization_id: other, open: 1 })
    expect(one(await database.query('select status from public.fw_workflow_executions where id = $1', [ids[1]]))).toEqual({ status: 'failed' })
    await database.query('drop trigger poison on public.fw_workflow_executions')
    await database.query('update public.fw_executors set stopped_at = now()')
    await database.start([good, bad])
    await untilFinished(database, 'bad')
    await forgetNotices()
  })

  test('does not keep the tick from ending the lost leases of others', async () => {
    const [sick = '', well = ''] = await database.client.enqueueMany(bad, ['x', 'y'], { organizationId: worst })
    const executorId = one(await database.query<{ id: string }>(`select public.fw_register_executor('vanishes', '[{"name": "bad"}]', 4) as id`)).id
    await database.query('select * from public.fw_claim_batches($1, 10)', [executorId])
    await database.query("update pgmq.q_workflow_execution_queue set vt = now() - interval '5 minutes'")
    await database.query("update public.fw_worker_runs set lease_expires_at = now() - interval '5 minutes' where finished_at is null")
    await database.query('update public.fw_executors set stopped_at = now()')
    await poisoned([sick], "new.status = 'retry_pending'")
    await database.query('select * from public.fw_worker_tick()')
    expect(await database.query('select id, status from public.fw_workflow_executions where id = any ($1) order by id', [[sick, well].sort()])).toEqual([
      { id: sick, status: 'failed' }, { id: well, status: 'retry_pending' },
    ].sort((a, b) => (a.id < b.id ? -1 : 1)))
    const tick = one(await database.query<{ errors: string[] }>('select errors from public.fw_worker_ticks order by id desc limit 1'))
    expect(tick.errors.join()).toContain('lost leases could not be ended together (P0001): poisoned')
    await database.query('drop trigger poison on public.fw_workflow_executions')
    await database.client.cancel(well, 'the test is over')
    await forgetNotices()
  })

  test('does not keep the watchdog from ending others that are late', async () => {
    const ids = await database.client.enqueueMany(bad, ['w', 'x', 'y', 'z'], { organizationId: worst })
    const executorId = one(await database.query<{ id: string }>(`select public.fw_register_executor('hangs', '[{"name": "bad"}]', 4) as id`)).id
    await database.query('select * from public.fw_claim_batches($1, 10)', [executorId])
    const [sick = '', sicker = ''] = ids
    await database.query("update public.fw_workflow_executions set deadline_at = now() - interval '1 minute' where id = any ($1)", [ids])
    await database.query('update public.fw_executors set stopped_at = now()')
    await poisoned([sick, sicker], "new.status in ('timed_out', 'failed')")
    const ended = await database.query<{ execution_id: string; outcome: string }>('select execution_id, outcome from public.fw_check_deadlines()')
    expect(ended.map(({ execution_id: id, outcome }) => `${id} ${outcome}`).sort()).toEqual(ids.slice(2).map((id) => `${id} fail`).sort())
    expect(await claimsFail()).toMatchObject({ is_ok: false, detail: expect.stringContaining('2 things were set aside') as string })
    await database.query('drop trigger poison on public.fw_workflow_executions')
    await database.query('select from public.fw_check_deadlines()')
    expect(await database.query('select distinct status from public.fw_workflow_executions where id = any ($1)', [ids])).toEqual([{ status: 'timed_out' }])
    await forgetNotices()
  })
})

describe('what cannot run', () => {
  /** How often the index of the queue is looked into by one walk. */
  async function looks(): Promise<{ organizations: string[]; looks: number }> {
    return await database.pool.connect().then(async (session) => {
      try {
        await session.query('begin')
        const before = await scans()
        const { rows } = await session.query<{ organizations: string[] }>("select organizations from public.fw_next_organizations('', 100, true)")
        const after = await scans()
        await session.query('rollback')
        return { organizations: rows[0]?.organizations ?? [], looks: after - before }
      } finally {
        session.release()
      }
      async function scans(): Promise<number> {
        const { rows } = await session.query<{ scans: string }>(
          "select idx_scan as scans from pg_stat_xact_user_tables where schemaname = 'pgmq' and relname = 'q_workflow_execution_queue'")
        return Number(rows[0]?.scans ?? 0)
      }
    })
  }

  test('because nobody has enabled its organization, or there is none, is not walked over', async () => {
    await database.query("select public.fw_enqueue('bad', '{}', gen_random_uuid()) from generate_series(1, 3000)")
    await database.query(
      `select pgmq.send('workflow_execution_queue', jsonb_build_object('organization_id', gen_random_uuid(), 'execution_id', gen_random_uuid()))
       from generate_series(1, 3000)`)
    const id = await database.client.enqueue(good, { n: 1 }, { organizationId: other })
    const found = await looks()
    expect(found.organizations).toEqual([other])
    expect(found.looks).toBeGreaterThan(0)
    expect(found.looks).toBeLessThan(20)
    // The tick finds them out, and so do the claims, a few at a time.
    await database.query('select * from public.fw_worker_tick()')
    await database.query('select * from public.fw_worker_tick()')
    expect(one(await database.query<{ count: number }>("select count(*)::int as count from pgmq.q_workflow_dlq where message ->> 'error' like 'there is no execution%'")).count).toBeGreaterThanOrEqual(3000)
    await database.start([good, bad])
    expect(await database.client.result(id, { timeout: '30s' })).toBe(3)
    await database.query("delete from pgmq.q_workflow_dlq where message ->> 'error' like 'there is no execution%'")
    await database.query("select public.fw_end_executions(array_agg(e.id), array_agg('cancelled'::public.fw_execution_status), array_agg('over'::text), array_agg('RUNTIME'::text), array_agg(false)) from public.fw_workflow_executions e where e.status = 'queued'")
  })
})
