import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { claim, enqueue, executor, organization, report } from '../support/sql.js'
import { fw } from './fw.js'

const database = testDatabase()

it('lists executions, and in pages', async () => {
  const organizationId = await organization(database)
  const ids = await enqueue(database, 'ship', organizationId, 3)
  const first = await fw(['executions', 'list', '--organization', organizationId, '--limit', '2'], { url: database.url })
  expect(first.stdout).toMatch(/^ID +WORKFLOW +STATUS/)
  expect(first.stdout).toContain('queued')
  const json = await fw(['executions', 'list', '--organization', organizationId, '--status', 'queued', 'running', '--json'], { url: database.url })
  const listed = json.stdout.trim().split('\n').map((line) => (JSON.parse(line) as { id: string }).id)
  expect(listed.toSorted()).toEqual(ids.toSorted())
  const [last = ''] = listed.slice(1)
  expect(first.stderr).toContain(`--before ${last}`)
  const second = await fw(['executions', 'list', '--organization', organizationId, '--before', last], { url: database.url })
  expect(second.stdout).toContain(listed[2])
  expect(second.stdout).not.toContain(listed[1])
  const none = await fw(['executions', 'list', '--organization', randomUUID()], { url: database.url })
  expect(none.stdout).toBe('no executions\n')
})

it('shows one, cancels it once, and says so of one that is not there', async () => {
  const [id = ''] = await enqueue(database, 'ship', await organization(database))
  expect(await fw(['executions', 'cancel', id, '--reason', 'sold out'], { url: database.url })).toMatchObject({ code: 0, stdout: `cancelled ${id}\n` })
  const shown = await fw(['executions', 'show', id, '--json'], { url: database.url })
  expect(JSON.parse(shown.stdout)).toMatchObject({ id, status: 'cancelled', error: 'cancelled: sold out' })
  const again = await fw(['executions', 'cancel', id], { url: database.url })
  expect(again).toMatchObject({ code: 1, stdout: '' })
  expect(again.stderr).toContain('had finished before')
  const unknown = await fw(['executions', 'show', randomUUID()], { url: database.url })
  expect(unknown.code).toBe(1)
  expect(unknown.stderr).toContain('there is no execution')
})

it('waits for the result of one, and says when it failed, when it has not finished in time, and when it is not there', async () => {
  const [done = '', cancelled = '', unfinished = ''] = await enqueue(database, 'ship', await organization(database), 3)
  const x = await executor(database, 'ship')
  const held = (await claim(database, x)).filter((each) => each.execution_id === done)
  expect(await report(database, x, held.map((each) => ({ ...each, output: { sent: 1 } })))).toEqual([])
  await database.query('select public.fw_cancel_execution($1)', [cancelled])
  expect(await fw(['executions', 'result', done], { url: database.url })).toMatchObject({ code: 0, stdout: '{"sent":1}\n' })
  const asJson = await fw(['executions', 'result', cancelled, '--json'], { url: database.url })
  expect(asJson.code).not.toBe(0)
  expect(JSON.parse(asJson.stdout)).toMatchObject({ id: cancelled, status: 'cancelled' })
  const late = await fw(['executions', 'result', unfinished, '--timeout', '100ms'], { url: database.url })
  expect(late).toMatchObject({ stdout: '' })
  expect(late.code).not.toBe(0)
  const unknown = await fw(['executions', 'result', randomUUID()], { url: database.url })
  expect(unknown.code).toBe(1)
  expect(unknown.stderr).toContain('there is no execution')
})

it('emits an event, and refuses what is no JSON or has no key', async () => {
  const organizationId = await organization(database)
  const emitted = await fw(['emit', 'approved', '{"by":"Ada"}', '--organization', organizationId], { url: database.url })
  expect(emitted.code).toBe(0)
  expect(await database.query('select key, payload from public.fw_events where id = $1', [emitted.stdout.trim()])).toEqual([{ key: 'approved', payload: { by: 'Ada' } }])
  const broken = await fw(['emit', 'approved', '{by}', '--organization', organizationId], { url: database.url })
  expect(broken.code).toBe(2)
  expect(broken.stderr).toContain('is not JSON')
  const empty = await fw(['emit', '', '--organization', organizationId], { url: database.url })
  expect(empty.code).toBe(2)
  expect(empty.stderr).toContain('1 to 200 characters, not 0')
})
