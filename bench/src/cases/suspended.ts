// Executions that wait: each was claimed and has suspended itself, as those of an executor do, a thousand in a call.
import { inDatabase } from './measuring.ts'
import { type OwnSession, organization } from '../systems/durable-execution-worker.ts'

const WAITING = organization(1)
const ROOM = 1000
/** None of them wakes during a run. */
const SLEEP_MS = 24 * 60 * 60 * 1000

/**
 * Lets executions of the first organization begin to wait: every other one sleeps for a day, the others wait without a limit for an
 * event of their own. Nothing else of the organization may be visible, and no worker may run.
 * @param each how many of either
 */
export async function suspend(session: OwnSession, url: string, each: number): Promise<void> {
  await session.fillFor(WAITING, 2 * each)
  await inDatabase(url, async (client) => {
    const registered = await client.query<{ id: string }>('select fw_register_executor($1, $2) as id', ['suspended', JSON.stringify([{ name: 'bench' }])])
    const executor = registered.rows[0]?.id
    for (let left = 2 * each; left > 0; ) {
      const claimed = await client.query<{ execution_id: string; batch_id: string }>({
        name: 'claim',
        text: 'select execution_id, batch_id from fw_claim_batches($1, $2)',
        values: [executor, Math.min(ROOM, left)],
      })
      if (claimed.rows.length === 0) throw new Error(`${left} executions that should begin to wait could not be claimed`)
      const suspended = await client.query<{ outcome: string }>({
        name: 'suspend',
        text: `select s.outcome
          from (select array_agg(e.id order by e.place) as ids, array_agg(e.batch_id order by e.place) as batches,
              array_agg(e.place::integer order by e.place) as places,
              array_agg(case when e.place % 2 = 0 then 'sleep' else 'event' end order by e.place) as names,
              array_agg(case when e.place % 2 = 0 then $4::bigint end order by e.place) as times,
              array_agg(case when e.place % 2 = 1 then 'event of ' || e.id end order by e.place) as keys,
              array_fill(0, array[count(*)::integer]) as zeroes, array_fill(null::text, array[count(*)::integer]) as nothing
            from unnest($2::uuid[], $3::uuid[]) with ordinality as e (id, batch_id, place)) a,
          fw_suspend($1, a.ids, a.batches, a.places, a.names, a.zeroes, a.times, a.nothing::timestamptz[], a.keys, a.nothing,
            a.nothing::jsonb[], a.nothing, a.nothing::integer[]) s`,
        values: [executor, claimed.rows.map((row) => row.execution_id), claimed.rows.map((row) => row.batch_id), SLEEP_MS],
      })
      const fenced = suspended.rows.filter(({ outcome }) => outcome !== 'waiting').length
      if (fenced > 0) throw new Error(`${fenced} executions that should begin to wait have lost their lease`)
      left -= claimed.rows.length
    }
    await client.query('select fw_stop_executor($1)', [executor])
    // What they are is a part of the claim that this side makes.
    const { rows } = await client.query<{ asleep: number; listening: number }>(
      `select count(*) filter (where q.vt < 'infinity')::int as asleep, count(*) filter (where q.vt = 'infinity')::int as listening
       from pgmq.q_workflow_execution_queue q
       join fw_workflow_executions e on e.msg_id = q.msg_id and e.status = 'waiting'
       join fw_execution_steps s on s.execution_id = e.id and s.status = 'waiting'`,
    )
    if (rows[0]?.asleep !== each || rows[0].listening !== each) throw new Error(`not all of 2 × ${each} executions wait: ${JSON.stringify(rows[0])}`)
  })
}
