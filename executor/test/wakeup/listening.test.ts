import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterEach, describe, expect, test } from 'vitest'
import { Wakeup } from '../../src/wakeup.js'
import { testDatabase } from '../support/database.js'
import { sessions, until } from '../support/executor.js'
import { type Proxy, startProxy } from '../support/proxy.js'

const database = testDatabase()
const wakeups: Wakeup[] = []
const proxies: Proxy[] = []
const unversioned = '00000000-0000-0000-0000-0000000000aa'

afterEach(async () => {
  await Promise.all(wakeups.splice(0).map((each) => each.stop()))
  await Promise.all(proxies.splice(0).map((each) => each.close()))
})

function listener(connectionString: string) {
  const heard: string[] = []
  const wakeup = new Wakeup({
    connectionString,
    logger: pino({ level: 'silent' }),
    onWork: (organizationId) => heard.push(`work ${organizationId ?? 'of anyone'}`),
    onBatch: (batchId) => heard.push(`batch ${batchId}`),
    onEnded: ({ executionId }) => heard.push(`ended ${executionId}`),
    onUnmatched: () => heard.push('events'),
  })
  wakeups.push(wakeup)
  return { wakeup, heard }
}

async function through(): Promise<Proxy> {
  const proxy = await startProxy(database.url)
  proxies.push(proxy)
  return proxy
}

describe('what is notified', () => {
  test('arrives with the id of the organization or batch, whatever version of uuid that is', async () => {
    const { wakeup, heard } = listener(database.url)
    await wakeup.start()
    await database.query('select pg_notify($1, to_json($2::uuid)::text)', ['fw_work', unversioned])
    await database.query('select pg_notify($1, to_json($2::uuid)::text)', ['fw_batch', unversioned])
    await until('both are heard', () => heard.length === 4)
    expect(heard).toEqual(['work of anyone', 'events', `work ${unversioned}`, `batch ${unversioned}`])
  })

  test('of events that somebody may have missed arrives', async () => {
    const { wakeup, heard } = listener(database.url)
    await wakeup.start()
    const before = heard.length
    await database.query('select public.fw_note_unmatched_keys(array[$1::uuid], array[$2])', [unversioned, 'k'])
    await until('it is heard', () => heard.length > before)
    expect(heard.slice(before)).toEqual(['events'])
    await database.query('select public.fw_match_events()')
  })

  test('and makes no sense is survived', async () => {
    const { wakeup, heard } = listener(database.url)
    await wakeup.start()
    for (const payload of ['', 'not json', '{"a":', '42', '"not a uuid"']) {
      await database.query('select pg_notify($1, $2)', ['fw_batch', payload])
      await database.query('select pg_notify($1, $2)', ['fw_work', payload])
    }
    await database.query('select pg_notify($1, to_json($2::uuid)::text)', ['fw_batch', unversioned])
    await until('the good one is heard', () => heard.includes(`batch ${unversioned}`))
    expect(heard.filter((each) => each.startsWith('batch'))).toEqual([`batch ${unversioned}`])
  })
})

describe('a listener', () => {
  test('that cannot connect at first starts all the same, and listens once it can', async () => {
    const proxy = await through()
    proxy.cut()
    const { wakeup, heard } = listener(proxy.url)
    await wakeup.start()
    expect(heard).toEqual([])
    proxy.restore()
    await until('it is connected', () => heard.length > 0)
    await database.query('select pg_notify($1, to_json($2::uuid)::text)', ['fw_batch', unversioned])
    await until('it listens', () => heard.includes(`batch ${unversioned}`))
  })

  test('that is stopped while it cannot connect leaves nothing behind', async () => {
    const proxy = await through()
    const { wakeup, heard } = listener(proxy.url)
    await wakeup.start()
    proxy.cut()
    await until('the session has ended', async () => (await sessions(database)).length === 0)
    await wakeup.stop()
    const before = heard.length
    // One try may be under way.
    await sleep(500)
    const { attempts } = proxy
    await sleep(1500)
    expect(proxy.attempts).toBe(attempts)
    proxy.restore()
    await sleep(1500)
    expect(await sessions(database)).toEqual([])
    expect(heard.length).toBe(before)
  })

  test('that is stopped twice is stopped', async () => {
    const { wakeup } = listener(database.url)
    await wakeup.start()
    await wakeup.stop()
    await wakeup.stop()
    await until('the session has ended', async () => (await sessions(database)).length === 0)
  })
})
