// What `fw status` tells: read from the database, with the warnings that follow from it.
import { z } from 'zod'
import type { Database } from './database.js'
import { FW } from './output.js'
import { counted } from './table.js'

const count = z.coerce.number()

const Organization = z.object({
  organizationId: z.string().nullable(),
  enabled: z.boolean(),
  waiting: count,
  delayed: count,
  running: count,
  deadLetters: count,
  oldestWaitingSeconds: z.coerce.number().nullable(),
  lastRunAt: z.date().nullable(),
  lastBatchSize: z.int().nullable(),
})

const Executor = z.object({
  id: z.string(),
  name: z.string(),
  workflows: z.array(z.string()),
  startedAt: z.date(),
  lastSeenAt: z.date(),
  live: z.boolean(),
})

const Run = z.object({
  id: z.string(),
  organizationId: z.string(),
  executor: z.string().nullable(),
  claimedAt: z.date(),
  finishedAt: z.date().nullable(),
  leaseExpiresAt: z.date(),
  size: z.int(),
  open: z.int(),
  succeeded: z.int(),
  failed: z.int(),
  deadLettered: z.int(),
  released: z.int(),
  lost: z.int(),
})

const Invariant = z.object({ name: z.string(), violations: count, detail: z.string().nullable() })
const Parked = z.object({ workflowName: z.string(), executions: count, executionId: z.string(), reason: z.string() })
const Homeless = z.object({ workflowName: z.string().nullable(), executions: count })

export interface Warning {
  code: 'WORKER_DISABLED' | 'NO_EXECUTOR' | 'UNKNOWN_WORKFLOW' | 'INVALID_MESSAGES' | 'PARKED'
  message: string
  organizationId?: string
  workflowName?: string
}

export interface StatusReport {
  /** The database's time. */
  at: Date
  organizations: z.infer<typeof Organization>[]
  executors: z.infer<typeof Executor>[]
  /** The newest first. */
  runs: z.infer<typeof Run>[]
  warnings: Warning[]
  /** Only when they were asked for. */
  invariants?: z.infer<typeof Invariant>[]
}

/** @param check whether to read the invariants too, which reads everything */
export async function readStatus(database: Database, runs: number, check: boolean): Promise<StatusReport> {
  const { at } = await database.row(z.object({ at: z.date() }), 'select now() as at')
  const organizations = await database.rows(
    Organization,
    `select s.organization_id as "organizationId", s.enabled, s.waiting, s.delayed, s.running, s.dead_letters as "deadLetters",
       extract(epoch from s.oldest_waiting) as "oldestWaitingSeconds", s.last_run_at as "lastRunAt", s.last_batch_size as "lastBatchSize"
     from public.fw_status() s`,
  )
  const executors = await database.rows(
    Executor,
    `select x.id, x.name, x.workflows, x.started_at as "startedAt", x.last_seen_at as "lastSeenAt",
       x.last_seen_at > now() - interval '30 seconds' as live
     from public.fw_executors x where x.stopped_at is null order by x.last_seen_at desc, x.id`,
  )
  const history = await database.rows(
    Run,
    // The ids are in the order of time.
    `select r.id, r.organization_id as "organizationId", x.name as executor, r.claimed_at as "claimedAt",
       r.finished_at as "finishedAt", r.lease_expires_at as "leaseExpiresAt", r.size, r.open, r.succeeded, r.failed,
       r.dead_lettered as "deadLettered", r.released, r.lost
     from public.fw_worker_runs r left join public.fw_executors x on x.id = r.executor_id order by r.id desc limit $1`,
    [runs],
  )
  const homeless = await database.rows(
    Homeless,
    `select q.message ->> 'workflow_name' as "workflowName", count(*) as executions
     from pgmq.q_workflow_execution_queue q
     where not coalesce(q.message ->> 'workflow_name', '') = any (public.fw_live_workflows())
     group by 1 order by 2 desc, 1`,
  )
  const parked = await database.rows(
    Parked,
    `select k.workflow_name as "workflowName", count(*) as executions, min(k.execution_id::text) as "executionId", min(k.reason) as reason
     from public.fw_parked k group by 1 order by 2 desc, 1`,
  )
  const warnings = [...warningsOf(organizations, executors.some(({ live }) => live), homeless), ...parked.map(toWarning)]
  if (!check) return { at, organizations, executors, runs: history, warnings }
  const invariants = await database.rows(Invariant, 'select i.name, i.violations, i.detail from public.fw_invariants i order by i.name')
  return { at, organizations, executors, runs: history, warnings, invariants }
}

function warningsOf(
  organizations: readonly z.infer<typeof Organization>[],
  anyExecutor: boolean,
  homeless: readonly z.infer<typeof Homeless>[],
): Warning[] {
  const warnings: Warning[] = []
  for (const { organizationId, enabled, waiting, delayed } of organizations) {
    if (enabled || waiting + delayed === 0) continue
    if (organizationId === null) {
      warnings.push({ code: 'INVALID_MESSAGES', message: `${counted(waiting + delayed, 'message')} of the queue name no organization` })
    } else {
      const message = `organization ${organizationId}: ${waits(waiting + delayed)} because its worker is disabled: ${FW} enable ${organizationId}`
      warnings.push({ code: 'WORKER_DISABLED', organizationId, message })
    }
  }
  const waiting = organizations.reduce((sum, each) => sum + each.waiting + each.delayed, 0)
  if (!anyExecutor) {
    if (waiting > 0) warnings.push({ code: 'NO_EXECUTOR', message: `${waits(waiting)} and no executor is live: ${FW} run <module>` })
    return warnings
  }
  for (const { workflowName, executions } of homeless) {
    if (workflowName === null) continue
    const message = `workflow '${workflowName}': ${waits(executions)} and no live executor runs it: ${FW} run <module that exports it>`
    warnings.push({ code: 'UNKNOWN_WORKFLOW', workflowName, message })
  }
  return warnings
}

function toWarning({ workflowName, executions, executionId, reason }: z.infer<typeof Parked>): Warning {
  const message = `workflow '${workflowName}': ${counted(executions, 'execution is', 'executions are')} parked, such as ${executionId}: ${reason}. ${executions === 1 ? 'It goes' : 'They go'} on once an executor with code that fits runs`
  return { code: 'PARKED', workflowName, message }
}

function waits(executions: number): string {
  return executions === 1 ? '1 execution waits' : `${executions} executions wait`
}
