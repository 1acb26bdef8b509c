import { describe, expect, test } from 'vitest'
import { type Claimed, claim, claimAsIs, enqueue, executor, one, organization, report, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

/** Claims and completes until nothing is left or the caller has seen enough; returns the organizations in the order served. */
async function drain(x: string, room: number, enough: (served: readonly Claimed[]) => boolean): Promise<Claimed[]> {
  const served: Claimed[] = []
  for (let idle = 0; idle < 100 && !enough(served); ) {
    const claimed = await claimAsIs(database, x, room)
    idle = claimed.length === 0 ? idle + 1 : 0
    served.push(...claimed)
    await report(database, x, claimed)
  }
  return served
}

describe('round robin', () => {
  test('serves organizations in turn, a batch each, from the one after the last served', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizations: string[] = []
    for (let i = 0; i < 5; i++) organizations.push(await organization(database, { batchSize: 2 }))
    for (const organizationId of organizations) await enqueue(database, name, organizationId, 4)
    const turns: (string | undefined)[] = []
    for (let i = 0; i < 10; i++) {
      const claimed = await claim(database, x, 2)
      expect(new Set(claimed.map((row) => row.organization_id)).size).toBe(1)
      expect(claimed).toHaveLength(2)
      turns.push(claimed[0]?.organization_id)
      await report(database, x, claimed)
    }
    const round = organizations.toSorted()
    expect(turns).toEqual([...round, ...round])
  })

  test('gives each organization a batch before any gets a second, when one claim serves them all', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const organizations: string[] = []
    for (let i = 0; i < 4; i++) organizations.push(await organization(database, { batchSize: 5, concurrency: 10 }))
    for (const organizationId of organizations) await enqueue(database, name, organizationId, 50)
    const claimed = await claim(database, x, 20)
    for (const organizationId of organizations) {
      expect(claimed.filter((row) => row.organization_id === organizationId)).toHaveLength(5)
    }
  })

  test('lets the next claim go on where full batches left off, also past organizations that are full', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const busy = await organization(database, { batchSize: 1 })
    await enqueue(database, name, busy, 10)
    expect(await claim(database, x, 1)).toHaveLength(1)
    const free = await organization(database, { batchSize: 1 })
    const id = one(await enqueue(database, name, free))
    const claimed = await claim(database, x, 1)
    expect(claimed.map((row) => row.execution_id)).toEqual([id])
  })
})

// Room for one batch at a time is the hardest: every claim must decide for one organization.
test.for([10, 50])('one organization with 20,000 waiting does not starve fifty with ten each, with room for %i', async (room) => {
  const name = workflow()
  const x = await executor(database, name)
  const large = await organization(database)
  await enqueue(database, name, large, 20_000)
  // The executor knows the large one well before the others come.
  await drain(x, room, (served) => served.length >= 500)
  for (let i = 0; i < 50; i++) await enqueue(database, name, await organization(database), 10)
  const isSmall = (row: Claimed) => row.organization_id !== large
  const served = await drain(x, room, (so) => so.filter(isSmall).length === 500 || so.length > 5_000)
  expect(served.filter(isSmall)).toHaveLength(500)
  expect(served.findLastIndex(isSmall) - 500).toBeLessThan(2_000)
})

test('ten thousand enabled organizations without work are not visited', async () => {
  const name = workflow()
  const x = await executor(database, name)
  await database.query(
    `insert into public.fw_module_settings (organization_id, fw_execution_worker_enabled)
     select gen_random_uuid(), true from generate_series(1, 10000)`,
  )
  const working = [await organization(database), await organization(database)].sort()
  const later = await organization(database)
  for (const organizationId of working) await enqueue(database, name, organizationId)
  await database.query("select public.fw_enqueue($1, '{}', $2, p_delay => '1 hour')", [name, later])
  const next = one(
    await database.query<{ organizations: string[]; is_all: boolean }>("select organizations, is_all from public.fw_next_organizations('', 100000, true)"),
  )
  expect(next).toEqual({ organizations: working, is_all: true })
  const claimed = await claim(database, x)
  expect(claimed.map((row) => row.organization_id).sort()).toEqual(working)
  await report(database, x, claimed)
  expect(one(await database.query('select organizations, is_all from public.fw_next_organizations($1, 100000, false)', ['']))).toEqual({
    organizations: [],
    is_all: true,
  })
})
