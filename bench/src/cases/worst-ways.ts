// What one organization can do that might harm others: each way is done over and over by one session, as long as it is let. What it sends
// and enqueues goes past the product's client, as anybody's SQL does.
import type { Client } from 'pg'

export interface Bad {
  readonly client: Client
  readonly organizationId: string
  /** An organization that exists and has nothing to do with this. */
  readonly stranger: string
  /** Part of the full size, 0 to 1. */
  readonly share: number
}

export interface Way {
  readonly title: string
  /** What must be there before. It is not measured. */
  readonly prepare?: (bad: Bad) => Promise<unknown>
  /** Done again and again, without a pause in between if none is said. */
  readonly again: (bad: Bad, round: number) => Promise<unknown>
  readonly pauseMs?: number
}

const MANY = 30_000
const SENT_BYTES = 600_000_000
/** Characters that JSON writes as six bytes each: as many as input_limit lets in. */
const CONTROLS = 2_790_000

const part = ({ share }: Bad, full: number) => Math.max(1, Math.round(full * share))

const enqueue = ({ client, organizationId }: Bad, workflow: string, input: string, count = 1) =>
  client.query(
    `select count(*) from fw_enqueue_many($1, (select array_agg(${input}) from generate_series(1, $3) i), $2)`,
    [workflow, organizationId, count],
  )

const sendStrays = (bad: Bad, count: number) =>
  bad.client.query(
    `select count(*) from pgmq.send_batch('workflow_execution_queue', (
       select array_agg(jsonb_build_object('organization_id', gen_random_uuid(), 'workflow_name', 'swallow', 'attempt', 1, 'execution_id', gen_random_uuid()))
       from generate_series(1, $1::int)))`,
    [count],
  )

const enqueueForUnknown = (bad: Bad, count: number) =>
  bad.client.query(`select count(fw_enqueue('swallow', '{}', gen_random_uuid())) from generate_series(1, $1::int)`, [count])

const sendRaw = (bad: Bad, characters: number, count: number) =>
  bad.client.query(
    `select count(*) from generate_series(1, $3::int), pgmq.send('workflow_execution_queue', jsonb_build_object(
       'organization_id', $1::uuid, 'workflow_name', 'swallow', 'attempt', 1, 'execution_id', repeat('a', $2::int)))`,
    [bad.organizationId, characters, count],
  )

const forgery = (bad: Bad, round: number) => {
  const batch = `00000000-0000-4000-9000-${String(round % 1000).padStart(12, '0')}`
  return [
    ['fw_work', bad.organizationId],
    ['fw_work', `'${bad.stranger}'`],
    ['fw_batch', `"${batch}"`],
    ['fw_batch', JSON.stringify({ execution_id: bad.organizationId, batch_id: batch })],
    ['fw_batch', '{"match_events": true}'],
    ['fw_work', 'x'.repeat(7000)],
  ][round % 6] ?? []
}

export const ways: readonly Way[] = [
  {
    title: 'a session that only computes',
    again: (bad) => bad.client.query('select count(*) from generate_series(1, $1::int)', [part(bad, 300_000)]),
  },
  {
    title: 'inputs as large as the limit, and beyond it',
    again: async (bad, round) => {
      if (round % 4 < 3) return await enqueue(bad, 'swallow', `to_jsonb(repeat(chr(1), ${part(bad, CONTROLS)}))`)
      return await enqueue(bad, 'swallow', `to_jsonb(repeat(chr(1), ${part(bad, 200_000_000)}))`).catch(refused)
    },
  },
  {
    title: 'thousands of results of 31 KB, and a sleep',
    // Results together as large as results_limit, then more.
    again: (bad, round) => enqueue(bad, 'hoard', `jsonb_build_object('results', ${part(bad, round % 2 === 0 ? 2000 : 9000)})`),
    pauseMs: 500,
  },
  {
    title: 'raw messages of 140 MB and 1 MB',
    again: (bad, round) => (round % 20 === 0 ? sendRaw(bad, part(bad, 140_000_000), 1) : sendRaw(bad, part(bad, 1_000_000), 5)),
  },
  {
    title: '600 MB of text sent',
    again: (bad) => {
      const text = Buffer.alloc(part(bad, SENT_BYTES), 'x')
      return bad.client.query('select fw_enqueue($1, to_jsonb($2::text), $3)', ['swallow', text, bad.organizationId]).catch(refused)
    },
  },
  {
    title: '30,000 stray messages, and more',
    prepare: (bad) => sendStrays(bad, part(bad, MANY)),
    again: (bad) => sendStrays(bad, part(bad, 300)),
    pauseMs: 20,
  },
  {
    title: 'messages of 30,000 organizations that nobody has enabled, and more',
    prepare: (bad) => enqueueForUnknown(bad, part(bad, MANY)),
    again: (bad) => enqueueForUnknown(bad, part(bad, 100)),
    pauseMs: 20,
  },
  {
    title: '2,000 sleeping executions of as many organizations, waking in one second',
    prepare: (bad) =>
      bad.client.query(
        `with made as (
           insert into fw_module_settings (organization_id, fw_execution_worker_enabled) select gen_random_uuid(), true from generate_series(1, $1::int)
           returning organization_id)
         select count(fw_enqueue('swallow', '{}', m.organization_id, p_delay => interval '3 seconds')) from made m`,
        [part(bad, 2000)],
      ),
    again: () => Promise.resolve(),
    pauseMs: 100,
  },
  {
    title: 'outputs that the database refuses',
    again: (bad) => enqueue(bad, 'overflow', `'{}'::jsonb`),
    pauseMs: 250,
  },
  {
    title: 'failures with errors as long as error_limit',
    prepare: (bad) => enqueue(bad, 'fail', `'{}'::jsonb`, part(bad, 2000)),
    again: (bad) => enqueue(bad, 'fail', `'{}'::jsonb`, 10),
    pauseMs: 100,
  },
  {
    title: 'a map of 10,000 children',
    again: (bad, round) => (round === 0 ? enqueue(bad, 'fan', `jsonb_build_object('children', ${part(bad, 10_000)})`) : Promise.resolve()),
    pauseMs: 100,
  },
  {
    title: 'a flood of forged notifications',
    again: async (bad, round) => {
      const payloads = Array.from({ length: 60 }, (_, place) => forgery(bad, round * 60 + place))
      await bad.client.query('select count(pg_notify(n ->> 0, n ->> 1)) from unnest($1::jsonb[]) n', [payloads.map((each) => JSON.stringify(each))])
    },
  },
  {
    title: 'its own rows locked for long',
    prepare: async (bad) => {
      await enqueue(bad, 'linger', `'{}'::jsonb`, 30)
      for (let running = 0; running === 0; ) {
        const { rows } = await bad.client.query<{ running: number }>(
          `select count(*)::int as running from fw_workflow_executions where organization_id = $1 and status = 'running'`, [bad.organizationId])
        running = rows[0]?.running ?? 0
      }
      // Neither the reports of what runs nor the claims of what waits get at them.
      await bad.client.query('begin')
      await bad.client.query('select from fw_module_settings where organization_id = $1 for update', [bad.organizationId])
      await bad.client.query('select from fw_workflow_executions where organization_id = $1 for update', [bad.organizationId])
      await bad.client.query('select from fw_worker_runs where organization_id = $1 for update', [bad.organizationId])
      await bad.client.query(`select from pgmq.q_workflow_execution_queue where message ->> 'organization_id' = $1 for update`, [bad.organizationId])
    },
    again: (bad) => bad.client.query('select'),
    pauseMs: 100,
  },
  {
    title: 'events as large as the limit, for those who wait',
    again: async (bad, round) => {
      await enqueue(bad, 'listen', `jsonb_build_object('key', 'large ${round}')`)
      await bad.client.query('select fw_emit_event($1, $2, to_jsonb(repeat(chr(1), $3::int)))', [bad.organizationId, `large ${round}`, part(bad, CONTROLS)])
    },
  },
  {
    title: 'cancelling what runs and what waits, over and over',
    again: async (bad) => {
      await enqueue(bad, 'hang', `'{}'::jsonb`, 30)
      await bad.client.query(
        `select count(fw_cancel_execution(e.id, repeat('x', 1000))) from fw_workflow_executions e
         where e.organization_id = $1 and e.status in ('queued', 'running')`,
        [bad.organizationId],
      )
    },
  },
  {
    title: '2,000 deadlines missed at once',
    prepare: async (bad) => {
      const count = part(bad, 2000)
      await enqueue(bad, 'fail later', `'{}'::jsonb`, count)
      // They have their deadline from their first attempt on.
      for (let failed = 0; failed < count; ) {
        const { rows } = await bad.client.query<{ failed: number }>(
          `select count(*)::int as failed from fw_workflow_executions where organization_id = $1 and status = 'retry_pending'`, [bad.organizationId])
        failed = rows[0]?.failed ?? 0
      }
      await bad.client.query(`update fw_workflow_executions set deadline_at = now() where organization_id = $1`, [bad.organizationId])
    },
    again: (bad) => bad.client.query('select count(*) from fw_check_deadlines(500)'),
    pauseMs: 50,
  },
  {
    title: 'results of 4 MB, one after the other',
    again: (bad) => enqueue(bad, 'haul', `'{}'::jsonb`),
    pauseMs: 250,
  },
]

/** What is refused is what was to be tried. */
function refused(error: unknown): void {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('54')) return
  throw error
}
