// What the tests of deadlines have in common.
import type { TestDatabase } from '../../support/database.js'
import { type Claimed, claimOne, enqueue, executor, makeVisible, one, organization, type Policy, type Queryable, workflow } from '../../support/sql.js'

export interface Scene {
  name: string
  organizationId: string
  /** An executor that knows the workflow. */
  x: string
  id: string
}

/** One execution of a workflow of its own, not claimed yet. */
export async function scene(on: TestDatabase, timeout: Policy = {}, settings: Parameters<typeof organization>[1] = {}): Promise<Scene> {
  const name = workflow()
  const organizationId = await organization(on, settings)
  const x = await executor(on, name, timeout)
  return { name, organizationId, x, id: one(await enqueue(on, name, organizationId)) }
}

/** A scene whose execution runs. */
export async function running(on: TestDatabase, timeout: Policy = {}): Promise<Scene & { held: Claimed }> {
  const made = await scene(on, timeout)
  return { ...made, held: await claimOne(on, made.x) }
}

export interface Outcome extends Record<string, unknown> {
  execution_id: string
  organization_id: string
  outcome: string
}

export const check = (on: Queryable, most = 1000): Promise<Outcome[]> => on.query<Outcome>('select * from public.fw_check_deadlines($1)', [most])

/** What the watchdog did with one execution. */
export const outcomesOf = (rows: readonly Outcome[], id: string): string[] => rows.filter((row) => row.execution_id === id).map((row) => row.outcome)

/** Sets the deadline of an execution to this many minutes from now. */
export async function deadlineIn(on: Queryable, id: string, minutes: number): Promise<void> {
  one(await on.query('update public.fw_workflow_executions set deadline_at = now() + make_interval(secs => $2::double precision * 60) where id = $1 and deadline_at is not null returning id', [id, minutes]))
}

export interface Deadlines extends Record<string, unknown> {
  deadline_at: Date | null
  deadline_warned_at: Date | null
  started_at: Date | null
}

export const deadlines = async (on: Queryable, id: string): Promise<Deadlines> =>
  one(await on.query<Deadlines>('select deadline_at, deadline_warned_at, started_at from public.fw_workflow_executions where id = $1', [id]))

/** Minutes from the first start to the deadline. */
export async function minutesToDeadline(on: Queryable, id: string): Promise<number> {
  const { started_at, deadline_at } = await deadlines(on, id)
  if (started_at === null || deadline_at === null) throw new Error('it has not started')
  return (deadline_at.getTime() - started_at.getTime()) / 60_000
}

export interface Notice extends Record<string, unknown> {
  id: string
  kind: string
  organization_id: string | null
  execution_id: string | null
  message: string
}

export const notices = (on: Queryable, executionId: string): Promise<Notice[]> =>
  on.query<Notice>('select id, kind, organization_id, execution_id, message from public.fw_notices where execution_id = $1 order by id', [executionId])

export const isRunning = async (on: Queryable, organizationId: string): Promise<boolean> =>
  one(await on.query<{ worker_running: boolean }>('select worker_running from public.fw_module_settings where organization_id = $1', [organizationId])).worker_running

/** Lets an execution wait for new children of these workflows, and for an hour, side by side; returns the children, in order. */
export async function invoke(on: Queryable, x: string, held: Claimed, workflows: readonly string[]): Promise<string[]> {
  const names = [...workflows.map((_, at) => `${held.execution_id} ${held.batch_id} ${at}`), `sleep ${held.batch_id}`]
  const of = <T>(child: T, sleep: T) => [...workflows.map(() => child), sleep]
  const rows = await on.query<{ outcome: string }>(
    `select outcome from public.fw_suspend($1, array[$2::uuid], array[$3::uuid], array_fill(1, array[cardinality($4::text[])]), $4, $5::integer[],
       $6::bigint[], array_fill(null::timestamptz, array[cardinality($4::text[])]), array_fill(null::text, array[cardinality($4::text[])]), $7::text[], $8::jsonb[],
       array_fill(null::text, array[cardinality($4::text[])]), array_fill(null::integer, array[cardinality($4::text[])]))`,
    [x, held.execution_id, held.batch_id, names, names.map((_, at) => at), of<number | null>(null, 3_600_000), [...workflows, null], of<string | null>('{}', null)],
  )
  if (one(rows).outcome !== 'waiting') throw new Error('it does not wait')
  const children = await on.query<{ child_id: string }>(
    'select child_id from public.fw_execution_steps where execution_id = $1 and node_id = any ($2) and child_id is not null order by step_index', [held.execution_id, names])
  return children.map(({ child_id }) => child_id)
}

export interface Family extends Scene {
  organizationId: string
  /** The parent, which runs again although its child has not finished. */
  held: Claimed
  childName: string
  child: string
  childHeld: Claimed
}

/** A parent that runs again, because something else that it waited for is over, and its child, which runs too: each in a batch of its own. */
export async function family(on: TestDatabase, timeout: Policy = {}, childTimeout: Policy = {}): Promise<Family> {
  const childName = workflow()
  const { name, organizationId, id } = await scene(on, timeout, { concurrency: 5 })
  const policies = [{ name, ...timeout }, { name: childName, ...childTimeout }]
  const x = one(await on.query<{ id: string }>('select public.fw_register_executor($1, $2) as id', ['test', JSON.stringify(policies)])).id
  const child = one(await invoke(on, x, await claimOne(on, x), [childName]))
  const childHeld = await claimOne(on, x)
  await makeVisible(on, [id])
  return { name, organizationId, x, id, held: await claimOne(on, x), childName, child, childHeld }
}
