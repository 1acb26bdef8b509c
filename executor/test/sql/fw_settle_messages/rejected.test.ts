import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type Claimed, claim, enqueue, execution, executor, messages, one, organization, report, sendRaw, sqlDatabase, workflow } from '../../support/sql.js'

const database = sqlDatabase()

/** The dead letters that a test has caused, by what their message was. */
async function deadLetters(messageIds: string[]): Promise<Record<string, unknown>[]> {
  expect(await database.query('select from pgmq.q_workflow_execution_queue where msg_id = any ($1::bigint[])', [messageIds])).toEqual([])
  return database.query('select error, error_category, rejected, failed_at, message from public.fw_dlq order by msg_id desc limit $1', [messageIds.length])
}

interface Scene {
  name: string
  own: string
  foreign: string
  idle: string
}

interface Odd {
  message: unknown
  error: string
}

const odd: [string, (scene: Scene) => Odd | Promise<Odd>][] = [
  ['a number', () => ({ message: 42, error: 'the message is not a JSON object' })],
  ['a text', () => ({ message: 'hello', error: 'the message is not a JSON object' })],
  ['an array', () => ({ message: [{ execution_id: randomUUID() }], error: 'the message is not a JSON object' })],
  ['JSON null', () => ({ message: null, error: 'the message is not a JSON object' })],
  ['true', () => ({ message: true, error: 'the message is not a JSON object' })],
  ['an empty object', () => ({ message: {}, error: 'the message has no execution_id' })],
  ['an object without execution_id', ({ own }) => ({ message: { organization_id: own, attempt: 1 }, error: 'the message has no execution_id' })],
  ['an object with execution_id null', ({ own }) => ({
    message: { organization_id: own, execution_id: null },
    error: 'the message has no execution_id',
  })],
  ['an execution_id that is no uuid', ({ own }) => ({
    message: { organization_id: own, execution_id: "o'ne" },
    error: "execution_id 'o''ne' is not a uuid",
  })],
  ['an execution_id that is a number', ({ own }) => ({ message: { organization_id: own, execution_id: 7 }, error: "execution_id '7' is not a uuid" })],
  ['an execution that is not there', ({ own }) => {
    const execution_id = randomUUID()
    return { message: { organization_id: own, execution_id, attempt: 1 }, error: `there is no execution ${execution_id}` }
  }],
  ["another organization's execution", async ({ name, own, foreign }) => {
    const execution_id = one(await enqueue(database, name, foreign))
    return { message: { organization_id: own, execution_id, attempt: 1 }, error: `execution ${execution_id} does not belong to organization ${own}` }
  }],
  ['no organization_id', async ({ name, foreign }) => {
    const execution_id = one(await enqueue(database, name, foreign))
    return { message: { execution_id, attempt: 1 }, error: 'the message has no organization_id' }
  }],
  ['an unknown organization', async ({ name, foreign }) => {
    const execution_id = one(await enqueue(database, name, foreign))
    const organization_id = randomUUID()
    return { message: { execution_id, organization_id }, error: `execution ${execution_id} does not belong to organization ${organization_id}` }
  }],
  ['an unknown organization and an unknown execution', () => {
    const execution_id = randomUUID()
    return { message: { execution_id, organization_id: randomUUID() }, error: `there is no execution ${execution_id}` }
  }],
  ['an organization_id in capitals', async ({ name, foreign }) => {
    const execution_id = one(await enqueue(database, name, foreign))
    const organization_id = foreign.toUpperCase()
    return { message: { execution_id, organization_id }, error: `execution ${execution_id} does not belong to organization ${organization_id}` }
  }],
  ['an organization_id without hyphens, of an organization that has no other work', ({ idle }) => {
    const execution_id = randomUUID()
    return { message: { execution_id, organization_id: idle.replaceAll('-', '') }, error: `there is no execution ${execution_id}` }
  }],
  ['an organization_id that is no uuid', async ({ name, foreign }) => {
    const execution_id = one(await enqueue(database, name, foreign))
    return { message: { execution_id, organization_id: '' }, error: `execution ${execution_id} does not belong to organization ` }
  }],
]

describe('a message sent by hand is moved to the dead letters with the reason, and blocks nothing behind it:', () => {
  test.for(odd)('%s', async ([, make]) => {
    const name = workflow()
    const x = await executor(database, name)
    const own = await organization(database)
    // The foreign organization is disabled: its execution has to stay as it is.
    const foreign = await organization(database, { enabled: false })
    const { message, error } = await make({ name, own, foreign, idle: await organization(database) })
    const strangers = await messages(database, foreign)
    const messageId = await sendRaw(database, message)
    const good = await enqueue(database, name, own, 3)

    const claimed: Claimed[] = []
    for (let i = 0; i < 2; i++) claimed.push(...(await claim(database, x)))
    expect(claimed.map((row) => row.execution_id).sort()).toEqual(good.toSorted())
    const letter = one(await deadLetters([messageId]))
    expect(letter).toMatchObject({ error, error_category: 'VALIDATION', rejected: true })
    expect(Date.parse(String(letter['failed_at']))).not.toBeNaN()
    expect(letter['message']).toMatchObject(typeof message === 'object' && message !== null && !Array.isArray(message) ? message : { original: message })
    expect(await messages(database, foreign)).toEqual(strangers)
    expect(await report(database, x, claimed)).toEqual([])
    // It does not come back.
    expect(await claim(database, x)).toEqual([])
  })

  test('SQL NULL', async () => {
    const x = await executor(database, workflow())
    const { id } = one(await database.query<{ id: string }>("select pgmq.send('workflow_execution_queue', null::jsonb) as id"))
    await claim(database, x)
    expect(one(await deadLetters([id]))).toMatchObject({ error: 'the message is not a JSON object', message: { original: null } })
  })

  test('three hundred of all kinds at once, and the good ones between them all run', async () => {
    const name = workflow()
    const x = await executor(database, name)
    const own = await organization(database)
    const good: string[] = []
    const sent: string[] = []
    for (let i = 0; i < 100; i++) {
      sent.push(await sendRaw(database, i), await sendRaw(database, { organization_id: own, i }), await sendRaw(database, { organization_id: `nobody-${i}` }))
      if (i % 10 === 0) good.push(...(await enqueue(database, name, own)))
    }
    const claimed: Claimed[] = []
    for (let i = 0; i < 20; i++) {
      const batch = await claim(database, x)
      claimed.push(...batch)
      await report(database, x, batch)
    }
    expect(claimed.map((row) => row.execution_id).sort()).toEqual(good.toSorted())
    expect(await deadLetters(sent)).toHaveLength(300)
  })
})

test('a foreign message does not touch the execution that it names', async () => {
  const name = workflow()
  const x = await executor(database, name)
  const [own, other] = [await organization(database, { batchSize: 1 }), await organization(database, { batchSize: 1 })]
  const id = one(await enqueue(database, name, own))
  await sendRaw(database, { execution_id: id, organization_id: other, workflow_name: name, attempt: 1 })
  const claimed = [...(await claim(database, x)), ...(await claim(database, x))]
  expect(claimed.map((row) => [row.execution_id, row.organization_id])).toEqual([[id, own]])
  expect(await report(database, x, claimed)).toEqual([])
  expect(await execution(database, id)).toMatchObject({ status: 'completed', organization_id: own })
})

test('a message whose organization was changed by hand does not run its execution for that organization', async () => {
  const name = workflow()
  const x = await executor(database, name)
  const [own, other] = [await organization(database), await organization(database)]
  const id = one(await enqueue(database, name, own))
  await database.query(
    "update pgmq.q_workflow_execution_queue set message = jsonb_set(message, '{organization_id}', to_jsonb($2::text)) where message ->> 'execution_id' = $1",
    [id, other],
  )
  expect([...(await claim(database, x)), ...(await claim(database, x))]).toEqual([])
  expect(await execution(database, id)).toMatchObject({ status: 'queued', organization_id: own })
  const letter = one(await database.query('select error from public.fw_dlq where execution_id = $1', [id]))
  expect(letter).toEqual({ error: `execution ${id} does not belong to organization ${other}` })
  // Sent again as it should be, it runs.
  await sendRaw(database, { execution_id: id, organization_id: own, workflow_name: name, attempt: 1 })
  const claimed = await claim(database, x)
  expect(claimed.map((row) => row.execution_id)).toEqual([id])
  expect(await report(database, x, claimed)).toEqual([])
})

test('the work of an organization whose settings row was deleted waits, and runs once it is enabled again', async () => {
  const name = workflow()
  const x = await executor(database, name)
  const organizationId = await organization(database)
  const id = one(await enqueue(database, name, organizationId))
  await database.query('delete from public.fw_module_settings where organization_id = $1', [organizationId])
  expect(await claim(database, x)).toEqual([])
  expect(await claim(database, x)).toEqual([])
  expect(await execution(database, id)).toMatchObject({ status: 'queued', retry_count: 0 })
  const rows = await database.query('select fw_execution_worker_enabled from public.fw_module_settings where organization_id = $1', [organizationId])
  expect(rows).toEqual([{ fw_execution_worker_enabled: false }])
  await database.query('select public.fw_save_worker_settings($1, true)', [organizationId])
  expect(one(await claim(database, x))).toMatchObject({ execution_id: id, attempt: 1 })
})
