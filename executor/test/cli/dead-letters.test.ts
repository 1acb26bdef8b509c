import { beforeEach, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { claimOne, deadLetter, enqueue, execution, executor, organization, sendRaw, workflow } from '../support/sql.js'
import { fw } from './fw.js'

const database = testDatabase()

interface Dead {
  msgId: string
  executionId: string
}

/** An execution of the organization that has failed for good. */
async function dead(organizationId: string, error = 'it broke'): Promise<Dead> {
  const name = workflow()
  const by = await executor(database, name)
  const [executionId] = await enqueue(database, name, organizationId)
  const msgId = await deadLetter(database, by, await claimOne(database, by), error)
  return { msgId, executionId: executionId ?? '' }
}

const dlq = (...args: string[]) => fw(['dlq', ...args], { url: database.url })

beforeEach(async () => {
  await database.query('delete from pgmq.q_workflow_dlq')
})

describe('fw dlq list', () => {
  it('says so when there are none', async () => {
    expect(await dlq('list')).toEqual({ code: 0, stdout: 'no dead letters\n', stderr: '' })
    expect((await dlq('list', '--json')).stdout).toBe('[]\n')
  })

  it('shows each in a line, the newest first, whatever its error contains', async () => {
    const acme = await organization(database)
    const first = await dead(acme, 'broken\n\u001b[2Jtwice')
    const second = await dead(acme)
    const { stdout } = await dlq('list')
    const lines = stdout.trimEnd().split('\n')
    expect(lines.map((line) => line.trim().split(/ +/)[0])).toEqual(['MSG_ID', second.msgId, first.msgId])
    expect(lines[2]).toMatch(/broken \[2Jtwice$/)
    expect(lines[2]).toContain(acme)
  })

  it('lists those of one organization, and says when there are more than the limit', async () => {
    const acme = await organization(database)
    const letters = [await dead(acme), await dead(acme), await dead(await organization(database))]
    const all = await dlq('list', '--json', '--organization', acme)
    expect(all.stderr).toBe('')
    expect((JSON.parse(all.stdout) as Dead[]).map(({ msgId }) => msgId)).toEqual([letters[1]?.msgId, letters[0]?.msgId])
    const one = await dlq('list', '--json', '--organization', acme, '--limit', '1')
    expect((JSON.parse(one.stdout) as Dead[]).map(({ msgId }) => msgId)).toEqual([letters[1]?.msgId])
    expect(one.stderr).toContain('more than 1')
  })

  it('prints everything that is known with --json', async () => {
    const acme = await organization(database)
    const { msgId, executionId } = await dead(acme, 'it broke')
    const [letter] = JSON.parse((await dlq('list', '--json')).stdout) as Record<string, unknown>[]
    expect(letter).toMatchObject({ msgId, executionId, organizationId: acme, error: 'it broke', errorCategory: 'RUNTIME', rejected: false, attempt: '1' })
    expect(Object.keys(letter ?? {}).sort()).toEqual(
      ['attempt', 'enqueuedAt', 'error', 'errorCategory', 'executionId', 'executor', 'failedAt', 'message', 'msgId', 'organizationId', 'rejected', 'step', 'workflowName'].sort(),
    )
    expect(letter).toMatchObject({ message: { execution_id: executionId } })
  })
})

describe('fw dlq retry', () => {
  it('puts the named ones back on the queue', async () => {
    const acme = await organization(database, { enabled: true })
    const letters = [await dead(acme), await dead(acme), await dead(acme)]
    const ids = letters.slice(0, 2).map(({ msgId }) => msgId)
    expect(await dlq('retry', ...ids)).toEqual({ code: 0, stdout: 'retried 2 dead letters\n', stderr: '' })
    const statuses = await Promise.all(letters.map(async ({ executionId }) => (await execution(database, executionId)).status))
    expect(statuses).toEqual(['queued', 'queued', 'failed'])
  })

  it('retries the others when one is not there, and fails', async () => {
    const { msgId, executionId } = await dead(await organization(database))
    const { code, stdout, stderr } = await dlq('retry', '987654321', msgId)
    expect({ code, stdout }).toEqual({ code: 1, stdout: 'retried 1 dead letter\n' })
    expect(stderr).toContain('not retried: there is no dead letter 987654321\n')
    expect(stderr).toContain('1 of 2 were not retried')
    expect(await execution(database, executionId)).toMatchObject({ status: 'queued' })
  })

  it('retries all, or all of an organization', async () => {
    const [acme, other] = [await organization(database), await organization(database)]
    const letters = [await dead(acme), await dead(other), await dead(acme)]
    expect((await dlq('retry', '--all', '--organization', acme)).stdout).toBe('retried 2 dead letters\n')
    expect(await database.query('select msg_id from public.fw_dlq')).toEqual([{ msg_id: letters[1]?.msgId }])
    expect((await dlq('retry', '--all')).stdout).toBe('retried 1 dead letter\n')
    expect((await dlq('retry', '--all')).stdout).toBe('retried 0 dead letters\n')
  })

  it('retries all, also when somebody has sent a scalar, a list or a null among them', async () => {
    const acme = await organization(database)
    const { executionId } = await dead(acme)
    for (const message of [42, 'words', [1, 2], null, true]) await sendRaw(database, message, 'workflow_dlq')
    await database.query("select pgmq.send('workflow_dlq', null)")
    const last = await dead(acme)
    expect((await dlq('list')).code).toBe(0)
    expect(await dlq('retry', '--all')).toEqual({ code: 0, stdout: 'retried 8 dead letters\n', stderr: '' })
    for (const id of [executionId, last.executionId]) expect(await execution(database, id)).toMatchObject({ status: 'queued' })
    // What is no message goes the way of all such: the next tick dead-letters it again, as rejected.
    await database.query('select * from public.fw_worker_tick()')
    const back = await database.query("select count(*)::integer as total from public.fw_dlq where rejected and message ? 'original'")
    expect(back).toEqual([{ total: 6 }])
    for (const look of ['fw_health()', 'fw_status()', 'fw_check_dlq_threshold()', "fw_dlq_purge('0')"]) await database.query(`select * from public.${look}`)
  })

  it('retries more than fit one statement', async () => {
    const acme = await organization(database, { enabled: false })
    for (const part of [1, 2]) {
      await database.query(
        `select pgmq.send_batch('workflow_dlq', array(select jsonb_build_object('organization_id', $1::text, 'n', n, 'part', $2::integer)
           from generate_series(1, 400) n))`,
        [acme, part],
      )
    }
    expect((await dlq('retry', '--all', '--organization', acme)).stdout).toBe('retried 800 dead letters\n')
    expect(await database.query('select count(*)::integer as left from public.fw_dlq')).toEqual([{ left: 0 }])
    await database.query("delete from pgmq.q_workflow_execution_queue where message ? 'part'")
  })

  it('retries all others when one of them was put back by hand', async () => {
    const acme = await organization(database)
    const letters = [await dead(acme), await dead(acme)]
    const byHand = letters[0]?.executionId ?? ''
    await database.query("update public.fw_workflow_executions set status = 'completed' where id = $1", [byHand])
    const { code, stdout, stderr } = await dlq('retry', '--all')
    expect({ code, stdout }).toEqual({ code: 1, stdout: 'retried 1 dead letter\n' })
    expect(stderr).toContain(`execution ${byHand} of dead letter`)
    expect(await execution(database, letters[1]?.executionId ?? '')).toMatchObject({ status: 'queued' })
  })
})

describe('fw dlq purge', () => {
  it('discards those that are older and prints how many', async () => {
    await dead(await organization(database))
    const old = await sendRaw(database, { old: true }, 'workflow_dlq')
    await database.query("update pgmq.q_workflow_dlq set enqueued_at = now() - interval '31 days' where msg_id = $1", [old])
    expect(await dlq('purge', '--older-than', '30 days')).toEqual({ code: 0, stdout: 'purged 1 dead letter\n', stderr: '' })
    expect(await dlq('purge', '--older-than', '30 days')).toMatchObject({ stdout: 'purged 0 dead letters\n' })
    expect((JSON.parse((await dlq('list', '--json')).stdout) as unknown[]).length).toBe(1)
  })

  it.each(['a while', '-1 day'])('refuses the age %j', async (age) => {
    await dead(await organization(database))
    const { code, stdout, stderr } = await dlq('purge', `--older-than=${age}`)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^error: /)
    expect((JSON.parse((await dlq('list', '--json')).stdout) as unknown[]).length).toBe(1)
  })
})
