// Executors and clients on a test's database, and the ways in which a test waits for and looks at what they do.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { afterEach } from 'vitest'
import { Client } from '../../src/client.js'
import { Executor } from '../../src/executor.js'
import type { ExecutorOptions } from '../../src/executor-options.js'
import type { Workflow } from '../../src/workflow.js'
import { testDatabase, type TestDatabase, type TestDatabaseOptions } from './database.js'
import { one, organization, type Queryable } from './sql.js'

export interface ExecutorDatabase extends TestDatabase {
  /** An executor that has started; it is stopped after the test. Its log is silent unless a logger is given. */
  start: (workflows: Workflow | readonly Workflow[], options?: Partial<ExecutorOptions>) => Promise<Executor>
  /** One that has not started yet. */
  executor: (workflows: Workflow | readonly Workflow[], options?: Partial<ExecutorOptions>) => Executor
  /** On the test's own pool. */
  readonly client: Client
  /** A new organization whose worker is enabled, with many places unless told otherwise. */
  organization: (settings?: Parameters<typeof organization>[1]) => Promise<string>
  /** Starts a script of test/fixtures as a process of its own, which is killed after the test if it still lives. */
  spawn: (script: string, environment?: Record<string, string>) => ChildProcess
}

/** A database for the file whose tests leave no executor and no enabled organization behind. */
export function executorDatabase(options: TestDatabaseOptions = {}): ExecutorDatabase {
  const database = testDatabase({ poolSize: 20, ...options })
  const started: Executor[] = []
  const children: ChildProcess[] = []
  afterEach(async () => {
    await Promise.all(started.splice(0).map((executor) => executor.stop({ timeout: 0 })))
    for (const child of children.splice(0)) await kill(child)
    await database.query('update public.fw_executors set stopped_at = now(), wants_work = false where stopped_at is null')
    await database.query('update public.fw_module_settings set fw_execution_worker_enabled = false where fw_execution_worker_enabled')
  })
  const executor: ExecutorDatabase['executor'] = (workflows, more) => {
    const made = new Executor({ connectionString: database.url, workflows: [workflows].flat(), logger: pino({ level: 'silent' }), ...more })
    started.push(made)
    return made
  }
  let client: Client | undefined
  return {
    get url() {
      return database.url
    },
    get pool() {
      return database.pool
    },
    get client() {
      return (client ??= new Client({ pool: database.pool, onWarning: () => undefined }))
    },
    query: (text, values) => database.query(text, values),
    drop: () => database.drop(),
    executor,
    start: async (workflows, more) => {
      const made = executor(workflows, more)
      await made.start()
      return made
    },
    organization: (settings) => organization(database, { batchSize: 50, concurrency: 10, ...settings }),
    spawn: (script, environment = {}) => {
      const path = fileURLToPath(new URL(`../fixtures/${script}`, import.meta.url))
      const child = spawn(process.execPath, ['--import', 'tsx', path], {
        env: { ...process.env, DATABASE_URL: database.url, FW_LOG_LEVEL: 'silent', ...environment },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      children.push(child)
      return child
    },
  }
}

/** Ends a process at once and returns when it is gone. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/**
 * Returns once the condition holds; fails, saying what did not come true, after `seconds`. While the whole machine stands
 * still nothing can come true, so a longer gap between two looks counts as a second.
 */
export async function until(what: string, condition: () => boolean | Promise<boolean>, seconds = 40): Promise<void> {
  let left = seconds * 1000
  let last = performance.now()
  while (!(await condition())) {
    if (left < 0) throw new Error(`did not happen within ${seconds} s: ${what}`)
    await sleep(10)
    const now = performance.now()
    left -= Math.min(now - last, 1000)
    last = now
  }
}

/** Something that tests wait for and workflows do, or the other way round. */
export interface Gate {
  readonly opened: Promise<void>
  readonly isOpen: boolean
  open: () => void
}

export function gate(): Gate {
  let isOpen = false
  let resolve: () => void = () => undefined
  const opened = new Promise<void>((done) => (resolve = done))
  return {
    opened,
    get isOpen() {
      return isOpen
    },
    open: () => {
      isOpen = true
      resolve()
    },
  }
}

export interface StepRow {
  node_id: string
  step_index: number
  attempt_number: number
  status: string
  output_data: unknown
  duration_ms: number
  started_at: Date
  completed_at: Date
}

/** The recorded steps of an execution, in their order. */
export const steps = (on: Queryable, executionId: string): Promise<StepRow[]> =>
  on.query<StepRow & Record<string, unknown>>('select * from public.fw_execution_steps where execution_id = $1 order by step_index', [executionId])

/** Names of those that have not failed. */
export const stepNames = async (on: Queryable, executionId: string): Promise<string[]> =>
  (await steps(on, executionId)).filter(({ status }) => status !== 'failed').map(({ node_id }) => node_id)

/** Waits until an execution has this status. */
export async function untilStatus(on: Queryable, executionId: string, status: string): Promise<void> {
  await until(`${executionId} is ${status}`, async () => {
    const rows = await on.query<{ status: string }>('select status from public.fw_workflow_executions where id = $1', [executionId])
    return rows[0]?.status === status
  })
}

/** Waits until no execution of the workflow is live. */
export async function untilFinished(on: Queryable, workflowName: string, seconds?: number): Promise<void> {
  await until(`all executions of ${workflowName} have finished`, async () => (await statuses(on, workflowName)).live === 0, seconds)
}

/** How many executions of a workflow are in each state. */
export async function statuses(on: Queryable, workflowName: string): Promise<{ live: number; completed: number; failed: number }> {
  return one(
    await on.query<{ live: number; completed: number; failed: number }>(
      `select count(*) filter (where status in ('queued', 'running', 'waiting', 'retry_pending'))::integer as live,
         count(*) filter (where status = 'completed')::integer as completed, count(*) filter (where status = 'failed')::integer as failed
       from public.fw_workflow_executions where workflow_name = $1`,
      [workflowName],
    ),
  )
}

/** The dead letter of an execution. */
export async function deadLetterOf(on: Queryable, executionId: string): Promise<Record<string, unknown>> {
  return one(
    await on.query<{ message: Record<string, unknown> }>("select message from pgmq.q_workflow_dlq where message ->> 'execution_id' = $1", [executionId]),
  ).message
}

/** Lets the lease of the batch that an execution runs in have run out, as if its executor had vanished 30 seconds ago. */
export async function expireLease(on: Queryable, executionId: string): Promise<void> {
  const rows = await on.query(
    `with run as (
       update public.fw_worker_runs r set lease_expires_at = now() - interval '1 second'
       from public.fw_workflow_executions e where e.id = $1 and r.id = e.batch_id returning r.id, r.lease_expires_at)
     update pgmq.q_workflow_execution_queue q set vt = run.lease_expires_at
     from run join public.fw_workflow_executions e on e.batch_id = run.id
     where e.status = 'running' and q.msg_id = e.msg_id returning q.msg_id`,
    [executionId],
  )
  if (rows.length === 0) throw new Error('the execution holds no lease')
}

/** Ends sessions of executors in this database from the server's side; returns how many. */
export async function terminate(on: Queryable, applicationName: string): Promise<number> {
  const rows = await on.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = $1',
    [applicationName],
  )
  return rows.length
}

/** Names of the package's sessions in this database. */
export async function sessions(on: Queryable): Promise<string[]> {
  const rows = await on.query<{ application_name: string }>(
    "select application_name from pg_stat_activity where datname = current_database() and application_name like 'fw %' order by 1",
  )
  return rows.map(({ application_name }) => application_name)
}

/** Waits until no session of the package is left in this database: the server notices a closed connection a moment later. */
export const untilNoSessions = (on: Queryable): Promise<void> =>
  until('no session of an executor or client is left', async () => (await sessions(on)).length === 0, 10)

/** Gives an organization leases that are shorter than any administrator may set, so that a test need not wait for 30 seconds. */
export async function shortLeases(on: Queryable, organizationId: string, seconds: number): Promise<void> {
  await on.query('alter table public.fw_module_settings disable trigger fw_validate_worker_settings')
  await on.query('update public.fw_module_settings set fw_worker_visibility_timeout_seconds = $2 where organization_id = $1', [organizationId, seconds])
}
