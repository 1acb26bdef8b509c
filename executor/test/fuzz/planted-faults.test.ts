// The fuzzer finds what is wrong: functions are replaced by others with a fault, each of its own kind.
import { describe, expect, test } from 'vitest'
import { sqlDatabase, one } from '../support/sql.js'
import { fuzz } from './fuzzer.js'

const SEED = 15

describe.each([
  {
    fault: 'a function that forgets whose batch it is',
    replaced: 'fw_lock_leases',
    text: ' and r.executor_id = p_executor_id',
    by: '',
    only: ['fw_report', 'fw_extend_leases'],
    found: /^the work of a bystander ended otherwise than undisturbed/,
  },
  {
    fault: 'a function that fails by accident where an argument is NULL',
    replaced: 'fw_emit_event',
    text: 'if p_organization_id is null then',
    by: 'if false then',
    only: ['fw_emit_event'],
    found: /^an error that nobody has meant: 23502 null value in column "organization_id"/,
  },
  {
    fault: 'a function that leaves the batch open',
    replaced: 'fw_release',
    text: 'set open = r.open - t.total, released',
    by: 'set open = r.open, released',
    only: ['fw_release', 'fw_claim_batches'],
    found: /^(open_places_differ|batch_does_not_add_up): /,
  },
  {
    fault: 'a function that says nothing of what to do',
    replaced: 'fw_claim_batches',
    text: "hint = 'Pass how many executions the executor can take, 0 for none.'",
    by: "detail = 'It is.'",
    only: ['fw_claim_batches'],
    found: /^an error that does not say what to do: 22023 the room is/,
  },
])('the fuzzer finds', ({ fault, replaced, text, by, only, found }) => {
  const database = sqlDatabase({ checkInvariants: false })

  test(fault, { timeout: 120_000 }, async () => {
    const { definition } = one(await database.query<{ definition: string }>("select pg_get_functiondef(p.oid) as definition from pg_catalog.pg_proc p where p.proname = $1", [replaced]))
    expect(definition).toContain(text)
    await database.query(definition.replace(text, by))
    const { problems } = await fuzz(database, { seed: SEED, calls: 200, only })
    expect(problems.filter((problem) => found.test(problem)), problems.join('\n')).not.toEqual([])
  })
})

describe('without a fault', () => {
  const database = sqlDatabase()
  test('it finds none in these functions', { timeout: 120_000 }, async () => {
    const { problems } = await fuzz(database, { seed: SEED, calls: 100, only: ['fw_extend_leases', 'fw_emit_event', 'fw_release', 'fw_claim_batches'] })
    expect(problems.join('\n')).toBe('')
  })
})
