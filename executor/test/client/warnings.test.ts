import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Client } from '../../src/client.js'
import { ResultTimeoutError } from '../../src/errors.js'
import type { ClientWarning } from '../../src/obstacles.js'
import { workflow } from '../../src/workflow.js'
import { executorDatabase, gate, until } from '../support/executor.js'

const database = executorDatabase()
const echo = workflow({ name: 'echo', input: z.object({}) }, () => 'done')

/** A client, and what it has warned of. */
function listening(): { client: Client; warnings: ClientWarning[]; kinds: () => string[] } {
  const warnings: ClientWarning[] = []
  const client = new Client({ connectionString: database.url, onWarning: (warning) => warnings.push(warning) })
  return { client, warnings, kinds: () => warnings.map(({ kind }) => kind) }
}

describe('an enqueue warns, and succeeds', () => {
  test("when the organization's worker is off, and when no live executor knows the workflow", async () => {
    const { client, warnings } = listening()
    const organizationId = randomUUID()
    await client.enqueue(echo, {}, { organizationId })
    await client.close()
    expect(warnings).toEqual([
      {
        kind: 'organization_disabled',
        workflow: 'echo',
        organizationId,
        detail: `the worker of organization ${organizationId} is disabled`,
        hint: `select fw_save_worker_settings('${organizationId}', true) enables it.`,
        message: expect.stringContaining(`work of workflow 'echo' for organization ${organizationId} waits: the worker of organization`) as string,
      },
      expect.objectContaining({ kind: 'no_executor', detail: "no live executor runs workflow 'echo'" }),
    ])
  })

  test('in one line without anything that steers a terminal, whatever the workflow is called', async () => {
    const { client, warnings } = listening()
    const name = 'x\u001b]0;title\u0007\u202e\nerror: all is lost'
    await client.enqueue(name, {}, { organizationId: await database.organization() })
    await client.close()
    expect(warnings.map(({ workflow: of }) => of)).toEqual([name])
    expect(warnings[0]?.message).toMatch(/^work of workflow 'x \]0;title error: all is lost' for organization [^\u0000-\u001f\u202e]*$/)
  })

  test('when all slots of the organization are taken', async () => {
    const go = gate()
    const slow = workflow({ name: 'slow', input: z.object({}) }, async (ctx) => {
      await ctx.step('wait', () => go.opened)
    })
    await database.start(slow)
    const organizationId = await database.organization({ batchSize: 1, concurrency: 1 })
    const first = await database.client.enqueue(slow, {}, { organizationId })
    await until('it runs', async () => (await database.client.get(first)).status === 'running')
    const { client, kinds } = listening()
    const second = await client.enqueue(slow, {}, { organizationId })
    await client.close()
    expect(kinds()).toEqual(['slots_full'])
    go.open()
    await database.client.result(second)
  })

  test('of many in one call, once', async () => {
    const { client, kinds } = listening()
    await client.enqueueMany('nobody runs it', [1, 2, 3], { organizationId: await database.organization() })
    await client.close()
    expect(kinds()).toEqual(['no_executor'])
  })

  test('once in a minute for each workflow and organization', async () => {
    const { client, kinds } = listening()
    const [a, b] = [await database.organization(), await database.organization()]
    for (const [at, organizationId] of [a, b].entries()) {
      await until('it is warned of', async () => {
        await client.enqueue(echo, {}, { organizationId })
        return kinds().length === at + 1
      })
    }
    let looks = 0
    // Long enough for another look, if there were one.
    for (const until = performance.now() + 1000; performance.now() < until; looks++) await client.enqueue(echo, {}, { organizationId: looks % 2 === 0 ? a : b })
    expect(looks).toBeGreaterThan(2)
    await client.close()
    expect(kinds()).toEqual(['no_executor', 'no_executor'])
  })

  test('not, when nothing keeps it from starting', async () => {
    await database.start(echo)
    const { client, warnings } = listening()
    const organizationId = await database.organization()
    expect(await client.result(await client.enqueue(echo, {}, { organizationId }))).toBe('done')
    await client.close()
    expect(warnings).toEqual([])
  })

  test('also when the warning itself throws', async () => {
    const client = new Client({
      connectionString: database.url,
      onWarning: () => {
        throw new Error('the logger is broken')
      },
    })
    expect(await client.enqueue(echo, {}, { organizationId: randomUUID() })).toMatch(/^[0-9a-f-]{36}$/)
    await client.close()
  })

  test('by a warning of the process, unless it is told otherwise', async () => {
    const heard: Error[] = []
    const hear = (warning: Error) => heard.push(warning)
    process.on('warning', hear)
    const client = new Client({ connectionString: database.url })
    await client.enqueue(echo, {}, { organizationId: randomUUID() })
    await client.close()
    await until('both were heard', () => heard.length === 2)
    process.off('warning', hear)
    expect(heard.map(({ name, message }) => [name, message.includes('waits: ')])).toEqual([
      ['DurableExecutionWarning', true],
      ['DurableExecutionWarning', true],
    ])
  })
})

describe('a result that does not come', () => {
  test('says in its timeout what keeps the execution from starting', async () => {
    const organizationId = randomUUID()
    const id = await database.client.enqueue(echo, {}, { organizationId })
    const failure = await database.client.result(id, { timeout: 50 }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ResultTimeoutError)
    expect(failure).toMatchObject({
      code: 'RESULT_TIMEOUT',
      status: 'queued',
      obstacles: [{ kind: 'organization_disabled' }, { kind: 'no_executor', detail: "no live executor runs workflow 'echo'" }],
      message: expect.stringMatching(
        new RegExp(`^execution ${id} is still queued after 50 ms; it goes on: the worker of organization ${organizationId} is disabled \\(select fw_save`),
      ) as string,
    })
  })

  test('is warned of while somebody waits, for who has not enqueued it', async () => {
    const id = await database.client.enqueue(echo, {}, { organizationId: await database.organization() })
    const { client, kinds } = listening()
    const result = client.result(id)
    await until('it is warned of', () => kinds().length > 0)
    expect(kinds()).toEqual(['no_executor'])
    await database.start(echo)
    expect(await result).toBe('done')
    await client.close()
  })
})
