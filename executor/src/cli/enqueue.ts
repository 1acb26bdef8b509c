// `fw enqueue`: enqueues one execution, and with --wait stays for its result.
import type { Command } from 'commander'
import { z } from 'zod'
import { checkIdempotencyKey } from '../keys.js'
import { type ObstacleRow, obstaclesOf } from '../obstacles.js'
import { duration, uuid } from './arguments.js'
import { withClient } from './client.js'
import { addDatabaseOption, databaseUrl, type DatabaseOptions, withDatabase } from './database.js'
import { refuseOtherThanJson } from './json-error.js'
import { FW, note, print, printJson, shellWord } from './output.js'
import { printResult, WAIT_MS } from './result.js'

interface EnqueueOptions extends DatabaseOptions {
  organization: string
  idempotencyKey?: string
  /** Milliseconds. */
  delay?: number
  /** Milliseconds; true for the default. */
  wait?: number | true
  json?: boolean
}

const Enqueued = z.object({ id: z.guid() })

export function addEnqueueCommand(program: Command): void {
  addDatabaseOption(program.command('enqueue'))
    .summary('enqueue an execution')
    .description('Enqueues one execution of a workflow for an organization and prints its id; with --wait, its result.')
    .argument('<workflow>', 'name of the workflow')
    .argument('<input>', "its input as JSON, such as '{\"name\":\"Ada\"}'")
    .requiredOption('--organization <uuid>', 'the organization that it belongs to (any uuid)', uuid)
    .option('--idempotency-key <key>', 'with a key that was used before, nothing is enqueued and the first id comes back')
    .option('--delay <duration>', 'do not start it before, such as 10m', duration)
    .option('--wait [timeout]', 'wait for the result, at most this long (default: 1m), and print it as JSON', duration)
    .option('--json', 'print {"id":…}, and with --wait also status and output, or error')
    .action(enqueue)
}

async function enqueue(workflow: string, input: string, options: EnqueueOptions): Promise<void> {
  const url = databaseUrl(options)
  refuseOtherThanJson(input, 'the input', 'enqueued')
  if (options.idempotencyKey !== undefined) checkIdempotencyKey(options.idempotencyKey)
  const { id } = await withDatabase(url, async (database) => {
    // The text goes as it is: parsed and written again, it could lose the last digits of a number.
    const enqueued = await database.row(
      Enqueued,
      'select public.fw_enqueue($1, $2::jsonb, $3, $4, make_interval(secs => $5)) as id',
      [workflow, input, options.organization, options.idempotencyKey ?? null, (options.delay ?? 0) / 1000],
    )
    if (options.wait !== undefined) note(`enqueued ${enqueued.id}`)
    else if (options.json === true) printJson(enqueued)
    else print(enqueued.id)
    for (const obstacle of await obstaclesOf(database.sql, enqueued.id)) warn(obstacle)
    return enqueued
  })
  const { wait } = options
  if (wait !== undefined) await withClient(options, (client) => printResult(client, id, wait === true ? WAIT_MS : wait, options.json === true), () => undefined)
}

/** Says why it may not start: it is not an error, but whoever waits for it should know. */
function warn({ kind, detail, hint, workflow, organizationId }: ObstacleRow): void {
  switch (kind) {
    case 'organization_disabled':
      note(`warning: ${detail}; this waits until it is enabled: ${FW} enable ${organizationId}`)
      break
    case 'no_executor':
      note(`warning: no live executor runs workflow ${shellWord(workflow)}; this waits for one: ${FW} run <module>`)
      break
    case 'paused':
    case 'slots_full':
      note(`warning: ${detail}; ${hint}`)
      break
  }
}
