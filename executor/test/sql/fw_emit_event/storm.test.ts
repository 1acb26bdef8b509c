import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { expectInvariantsZero } from '../../support/database.js'
import { claimAsIs, enqueue, executor, organization, report, type Session, sqlDatabase, withSessions, workflow } from '../../support/sql.js'
import { emit, waitFor } from './scene.js'

const database = sqlDatabase()

const EXECUTIONS = 12
/** Two for each key. */
const EVENTS = 80
const keyOf = (place: number) => `item ${Math.floor(place / 2)}`
const LEVELS = ['read committed', 'repeatable read', 'serializable']
const SERIALIZATION_FAILURE = '40001'
const LOCKED = '55P03'

test('events and waits in transactions of every isolation level: each execution receives every event, each once', async () => {
  const name = workflow()
  const organizationId = await organization(database, { batchSize: 50, concurrency: 10 })
  const x = await executor(database, name)
  await enqueue(database, name, organizationId, EXECUTIONS)
  let isDone = false

  /** As one who has to try again what was refused. */
  const inTransaction = async (session: Session, level: string, work: () => Promise<unknown>) => {
    for (;;) {
      try {
        await session.query(`begin isolation level ${level}`)
        await session.query('select count(*) from public.fw_events')
        await sleep(randomInt(15))
        await work()
        await sleep(randomInt(15))
        await session.query('commit')
        return
      } catch (error) {
        await session.query('rollback')
        if (!(error instanceof Error && 'code' in error && (error.code === SERIALIZATION_FAILURE || error.code === LOCKED))) throw error
      }
    }
  }
  let emitted = 0
  let waitsFor = 0
  const tell = async (session: Session) => {
    while (emitted < EVENTS && !isDone) {
      // While the first are waiting for it, and others begin to.
      if (emitted > waitsFor + 1) await sleep(2)
      else {
        const place = emitted++
        await inTransaction(session, LEVELS[randomInt(3)] as string, () => emit(session, organizationId, keyOf(place), place))
      }
    }
  }
  // One or two waits at a time, until all has come.
  const work = async (session: Session) => {
    while (!isDone) {
      for (const row of await claimAsIs(session, x, 3)) {
        const have = row.steps?.filter((step) => !('waiting' in step)).length ?? 0
        if (have >= EVENTS) await report(session, x, [{ ...row, output: row.steps?.map(({ output }) => output) }])
        else {
          const keys = have % 2 === 0 && randomInt(2) === 0 ? [keyOf(have), keyOf(have)] : [keyOf(have)]
          waitsFor = Math.max(waitsFor, have)
          await inTransaction(session, LEVELS[randomInt(2)] as string, () => waitFor(session, x, row, keys, null, have))
        }
      }
      await sleep(randomInt(5))
    }
  }
  const look = async (session: Session) => {
    while (!isDone) {
      await session.query('select public.fw_match_events()')
      await sleep(randomInt(100))
    }
  }
  const wait = async (session: Session) => {
    const deadline = Date.now() + 90_000
    while (!isDone) {
      const [left] = await session.query<{ count: string }>("select count(*) from public.fw_workflow_executions where organization_id = $1 and status <> 'completed'", [organizationId])
      isDone = left?.count === '0' || Date.now() > deadline
      await sleep(50)
    }
  }
  await withSessions(database, 9, async (a, b, c, d, e, f, g, h, i) => {
    const ends = await Promise.allSettled([tell(a), tell(b), tell(c), work(d), work(e), work(f), look(g), look(h), wait(i)])
    isDone = true
    for (const end of ends) if (end.status === 'rejected') throw end.reason
  })
  const outputs = await database.query<{ status: string; output: number[] | null }>(
    'select status::text, output from public.fw_workflow_executions where organization_id = $1', [organizationId])
  const all = Array.from({ length: EVENTS }, (_, at) => at)
  expect(outputs.map(({ output }) => output?.toSorted((p, q) => p - q))).toEqual(Array.from({ length: EXECUTIONS }, () => all))
  await expectInvariantsZero(database.pool)
}, 120_000)
