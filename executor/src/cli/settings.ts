// `fw enable` and `fw disable`: whether the worker of an organization starts work, and how much of it.
import type { Command } from 'commander'
import { uuid, wholeNumber } from './arguments.js'
import { withClient } from './client.js'
import { addDatabaseOption, type DatabaseOptions } from './database.js'
import { print, printJson } from './output.js'

interface SettingsOptions extends DatabaseOptions {
  batchSize?: number
  visibilityTimeout?: number
  concurrency?: number
  json?: boolean
}

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
      const { batchSize, visibilityTimeout: seconds, concurrency } = options
      const { visibilityTimeoutMs, ...saved } = await withClient(options, (client) =>
        client.saveSettings(organizationId, {
          enabled,
          ...(batchSize === undefined ? {} : { batchSize }),
          ...(seconds === undefined ? {} : { visibilityTimeout: seconds * 1000 }),
          ...(concurrency === undefined ? {} : { concurrency }),
        }),
      )
      const visibilityTimeout = visibilityTimeoutMs / 1000
      if (options.json === true) {
        printJson({ organizationId, ...saved, visibilityTimeout })
        return
      }
      print(
        `${saved.enabled ? 'enabled' : 'disabled'} ${organizationId}: batch size ${saved.batchSize}, ` +
          `visibility timeout ${visibilityTimeout} s, concurrency ${saved.concurrency}`,
      )
    })
}
