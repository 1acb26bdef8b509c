// The time of a claim of 50, called from plain SQL and each in its own transaction, with a short and with a deep backlog.
// Nothing is reported in between, so one organization's 100 slots of 50 are exactly full at the end of 100 claims.
import { open, organization } from '../systems/durable-execution-worker.ts'
import { inDatabase, quantile, settle } from './measuring.ts'
import type { Measurement, SpecOf } from './spec.ts'

const ROOM = 50
const WARM_UP_CLAIMS = 20
const CLAIMED = organization(1)
const WARMING = organization(2)

export async function playClaims(spec: SpecOf<'claims'>, url: string): Promise<Measurement[]> {
  const session = await open(url, { steps: 1, count: spec.backlog }, { enabled: 2 })
  try {
    if (spec.isFilled !== true) await session.fill(spec.backlog)
    await session.fillFor(WARMING, ROOM * WARM_UP_CLAIMS)
    await settle(url)
    const times = await inDatabase(url, async (client) => {
      const { rows } = await client.query<{ id: string }>('select fw_register_executor($1, $2) as id', [
        'claims',
        JSON.stringify([{ name: 'bench' }]),
      ])
      const executor = rows[0]?.id
      const claim = async () => {
        const from = performance.now()
        const { rowCount } = await client.query({
          name: 'claim',
          text: 'select * from fw_claim_batches($1, $2)',
          values: [executor, ROOM],
          rowMode: 'array',
        })
        if (rowCount !== ROOM) throw new Error(`a claim of ${ROOM} got ${rowCount ?? 0}`)
        return performance.now() - from
      }
      await session.setEnabled(CLAIMED, false)
      for (let each = 0; each < WARM_UP_CLAIMS; each++) await claim()
      await session.setEnabled(CLAIMED, true)
      const measured: number[] = []
      for (let each = 0; each < spec.claims; each++) measured.push(await claim())
      return measured
    })
    return [
      { case: `${spec.title}, p50`, value: quantile(times, 0.5), unit: 'ms' },
      { case: `${spec.title}, p99`, value: quantile(times, 0.99), unit: 'ms' },
    ]
  } finally {
    await session.close()
  }
}
