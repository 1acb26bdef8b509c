import { describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { claim, enqueue, executor, one, organization, workflow } from '../support/sql.js'
import { fw } from './fw.js'

const database = testDatabase()
const name = workflow()

/** An execution whose message somebody has deleted. */
async function stranded(): Promise<string> {
  const [id = ''] = await enqueue(database, name, await organization(database))
  await database.query("select pgmq.delete('workflow_execution_queue', (select msg_id from public.fw_workflow_executions where id = $1))", [id])
  return id
}

const hasMessage = async (id: string) =>
  one(
    await database.query<{ there: boolean }>(
      'select exists (select from pgmq.q_workflow_execution_queue q join public.fw_workflow_executions e on e.msg_id = q.msg_id where e.id = $1) as there', [id]),
  ).there

describe('fw repair', () => {
  it('says that there is nothing to mend', async () => {
    expect(await fw(['repair'], { url: database.url })).toEqual({ code: 0, stdout: '', stderr: expect.stringContaining('there is nothing to mend') as unknown })
  })

  it('says what it would mend and changes nothing, until it is told to', async () => {
    const id = await stranded()
    const said = await fw(['repair'], { url: database.url })
    expect(said.stdout).toMatch(new RegExp(`^message missing of ${id}: queued, and its message is not in the queue`))
    expect(said.stderr).toContain('Nothing was changed. `fw repair --apply` mends it.')
    expect(await hasMessage(id)).toBe(false)
    const { stdout } = await fw(['repair', '--apply', '--json'], { url: database.url })
    expect(JSON.parse(stdout)).toMatchObject({ what: 'message missing', executionId: id })
    expect(await hasMessage(id)).toBe(true)
    expect((await fw(['repair'], { url: database.url })).stdout).toBe('')
  })
})

describe('fw after-restore', () => {
  it('does nothing before it is told that no executor works', async () => {
    const x = await executor(database, name)
    const { code, stderr } = await fw(['after-restore'], { url: database.url })
    expect({ code, said: stderr.includes('fw after-restore --yes') }).toEqual({ code: 2, said: true })
    expect(await database.query('select from public.fw_executors where id = $1 and stopped_at is null', [x])).toHaveLength(1)
  })

  it('fences the executors of the old place, and sets sequences past what is in use', async () => {
    const x = await executor(database, name)
    await enqueue(database, name, await organization(database))
    await database.query("select setval('pgmq.q_workflow_execution_queue_msg_id_seq', 1)")
    const { code, stdout } = await fw(['after-restore', '--yes'], { url: database.url })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^sequence: pgmq\.q_workflow_execution_queue/m)
    expect(stdout).toMatch(/^executors: /m)
    await expect(claim(database, x, 1)).rejects.toMatchObject({ message: expect.stringContaining('has stopped') as unknown })
    const [id = ''] = await enqueue(database, name, await organization(database))
    expect(await hasMessage(id)).toBe(true)
  })
})
