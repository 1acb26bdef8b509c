// What was kept before there were limits, and is larger than what the driver can hold: an error or a gap says so, and no process ends by it.
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { TooLargeError } from '../../src/errors.js'
import { workflow } from '../../src/workflow.js'
import { fw } from '../cli/fw.js'
import { executorDatabase } from '../support/executor.js'

const database = executorDatabase()
const known = workflow({ name: 'kept before', input: z.object({}) }, () => Promise.resolve('done'))

/** JSON of six times as many bytes, made by the server. */
const controls = (count: number) => `to_jsonb(repeat(chr(1), ${count}))`

/** An execution that has ended, with what these assignments say. */
async function ended(set: string): Promise<string> {
  const organizationId = await database.organization({ enabled: false })
  const id = await database.client.enqueue(known, {}, { organizationId })
  await database.query(
    `with gone as (delete from pgmq.q_workflow_execution_queue where message ->> 'execution_id' = $1)
     update public.fw_workflow_executions set status = 'completed', started_at = now(), completed_at = now(), ${set} where id = $1::uuid`, [id])
  return id
}

async function addStep(id: string, name: string, index: number, output: string): Promise<void> {
  await database.query(
    `insert into public.fw_execution_steps (execution_id, organization_id, node_id, step_index, attempt_number, status, started_at, completed_at, output_data)
     select id, organization_id, $2, $3, 1, 'completed', now(), now(), ${output} from public.fw_workflow_executions where id = $1`, [id, name, index])
}

describe('an output of 300 MB', () => {
  it('is refused by result() and get() with its size and how to read it; all else is told', { timeout: 240_000 }, async () => {
    const id = await ended(`output = ${controls(50_000_000)}`)
    for (const call of [() => database.client.result(id), () => database.client.get(id)]) {
      const error = await call().then(() => undefined, (thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(TooLargeError)
      expect(error).toMatchObject({ code: 'TOO_LARGE', message: expect.stringMatching(/ has 3\d{8} bytes; one answer may have 268435456\. .*output #> '\{path\}'/) as string })
    }
    expect(await database.client.get(id, { values: false })).toMatchObject({ id, status: 'completed', output: undefined })
    expect(await database.client.summaries({ workflow: known, limit: 1 })).toMatchObject([{ id }])
    await expect(database.client.list({ workflow: known, limit: 1 })).rejects.toBeInstanceOf(TooLargeError)
  })
})

describe('an output of which even Postgres can make no text', () => {
  it('is refused in the same way', { timeout: 240_000 }, async () => {
    const id = await ended(`output = ${controls(200_000_000)}`)
    await expect(database.client.get(id)).rejects.toMatchObject({ code: 'TOO_LARGE', bytes: undefined })
    expect(await database.client.get(id, { values: false })).toMatchObject({ id, status: 'completed' })
  })
})

describe('a result of a step of 300 MB', () => {
  it('is refused with its page; the page without outputs is there', async () => {
    const id = await ended("output = '1'")
    await addStep(id, 'large', 0, controls(50_000_000))
    await expect(database.client.steps(id)).rejects.toBeInstanceOf(TooLargeError)
    expect(await database.client.steps(id, { values: false })).toMatchObject([{ name: 'large', output: null }])
  })
})

describe('fw executions', () => {
  it('shows and lists what has an error, an output and steps that the driver cannot hold', async () => {
    const id = await ended(`last_error = repeat('e', 300000000), output = ${controls(50_000_000)}`)
    await addStep(id, 'small', 0, "'7'")
    await addStep(id, 'large', 1, controls(50_000_000))
    const shown = await fw(['executions', 'show', id], { url: database.url })
    expect(shown).toMatchObject({ code: 0, stderr: '' })
    expect(shown.stdout).toMatch(/^ {2}left out +input, output and metadata: what was asked for has 3\d{8} bytes/m)
    expect(shown.stdout).toMatch(/^ {2}small .* 7$/m)
    expect(shown.stdout).toMatch(/^ {2}large .* too large to be read at once$/m)
    const listed = await fw(['executions', 'list', '--limit', '1'], { url: database.url })
    expect(listed).toMatchObject({ code: 0, stdout: expect.stringContaining(id) as string })
  }, 240_000)
})

describe('fw dlq list', () => {
  it('lists a dead letter that the driver cannot hold, with what is left out and where it is', async () => {
    await database.query(`select pgmq.send('workflow_dlq', jsonb_build_object('error', repeat(chr(1), 50000000)))`)
    const table = await fw(['dlq', 'list'], { url: database.url })
    expect(table).toMatchObject({ code: 0, stderr: '' })
    const { code, stdout } = await fw(['dlq', 'list', '--json'], { url: database.url })
    expect(code).toBe(0)
    expect(stdout).toContain('the message is too large to be shown: select message from pgmq.q_workflow_dlq where msg_id = ')
    await database.query("select pgmq.purge_queue('workflow_dlq')")
  }, 240_000)
})
