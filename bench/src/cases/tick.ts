// The time of a tick that offers the waiting work of ten organizations, with so many enabled in all. Each is rolled back, so
// all of them find the same.
import { open } from '../systems/durable-execution-worker.ts'
import { inDatabase, median, settle } from './measuring.ts'
import type { Measurement, SpecOf } from './spec.ts'

const WITH_WORK = 10
const EXECUTIONS_EACH = 10
const WARM_UP_TICKS = 5

export async function playTick(spec: SpecOf<'tick'>, url: string): Promise<Measurement[]> {
  const session = await open(url, { steps: 1, count: 0 }, { organizations: WITH_WORK, enabled: spec.enabled })
  try {
    const times = await inDatabase(url, async (client) => {
      // An executor that has found nothing waits for work; without one nothing is offered.
      await client.query('select count(*) from fw_claim_batches(fw_register_executor($1, $2), 1)', ['tick', JSON.stringify([{ name: 'bench' }])])
      await session.fill(WITH_WORK * EXECUTIONS_EACH)
      await settle(url)
      const measured: number[] = []
      for (let each = 0; each < WARM_UP_TICKS + spec.ticks; each++) {
        await client.query('begin')
        const from = performance.now()
        await client.query('select * from fw_worker_tick()')
        measured.push(performance.now() - from)
        const { rows } = await client.query<{ offered: number }>('select batches_offered as offered from fw_worker_ticks')
        if (rows[0]?.offered !== WITH_WORK) throw new Error(`a tick offered ${rows[0]?.offered ?? 'no'} batches, not ${WITH_WORK}`)
        await client.query('rollback')
      }
      return measured.slice(WARM_UP_TICKS)
    })
    return [{ case: spec.title, value: median(times), unit: 'ms' }]
  } finally {
    await session.close()
  }
}
