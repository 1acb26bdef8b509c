// `fw enable` and `fw disable`: whether the worker of an organization starts work, and how much of it.
import type { Command } from 'commander'
import { z } from 'zod'
import { uuid, wholeNumber } from './arguments.js'
import { addDatabaseOption, databaseUrl, type DatabaseOptions, withDatabase } from './database.js'
import { print, printJson } from './output.js'

interface SettingsOptions extends DatabaseOptions {
  batchSize?: number
  visibilityTimeout?: number
  concurrency?: number
  json?: boolean
}

const Saved = z.object({ enabled: z.boolean(), batchSize: z.int(), visibilityTimeout: z.int(), concurrency: z.int() })

/** What fw_save_worker_settings takes for "as it is". */
const UNCHANGED = -2147483648

export function addSettingsCommands(program: Command): void {
  addSettingsCommand(program, 'enable', true)
    .summary("let an organization's work start")
    .description("Enables the worker of an organization: its work starts. Settings that are left out stay as they are.")
  addSettingsCommand(program, 'disable', false)
    .summary("keep an organization's work from starting")
    .description('Disables the worker of an organization: nothing new starts, what is running finishes. Work can still be enqueued.')
}

function addSettingsCommand(program: Command, name: string, enabled: boolean): Command {
  // The database knows the ranges.
  const whole = wholeNumber(0, 2147483647)
  return addDatabaseOption(program.command(name))
    .argument('<organization>', 'uuid of the organization', uuid)
    .option('--batch-size <number>', 'executions in a batch, 1 to 50 (at first 10)', whole)
    .option('--visibility-timeout <seconds>', 'how long a lease lasts unless it is extended, 30 to 600 (at first 30)', whole)
    .option('--concurrency <number>', 'batches in flight, 1 to 100 (at first 1)', whole)
    .option('--json', 'print {"organizationId", "enabled", "batchSize", "visibilityTimeout", "concurrency"}')
    .action(async (organizationId: string, options: SettingsOptions) => {
      const saved = await withDatabase(databaseUrl(options), (database) =>
        database.row(
          Saved,
          `select s.fw_execution_worker_enabled as enabled, s.fw_worker_batch_size as "batchSize",
             s.fw_worker_visibility_timeout_seconds as "visibilityTimeout", s.fw_worker_concurrency as concurrency
           from public.fw_save_worker_settings($1, $2, $3, $4, $5) s`,
          [
            organizationId,
            enabled,
            options.batchSize ?? UNCHANGED,
            options.visibilityTimeout ?? UNCHANGED,
            options.concurrency ?? UNCHANGED,
          ],
        ),
      )
      if (options.json === true) {
        printJson({ organizationId, ...saved })
        return
      }
      print(
        `${saved.enabled ? 'enabled' : 'disabled'} ${organizationId}: batch size ${saved.batchSize}, ` +
          `visibility timeout ${saved.visibilityTimeout} s, concurrency ${saved.concurrency}`,
      )
    })
}
