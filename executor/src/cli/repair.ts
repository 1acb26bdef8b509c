// `fw repair` and `fw after-restore`: what was done to the queues by hand, and what a copy of the database needs before work goes on.
import type { Command } from 'commander'
import { z } from 'zod'
import { addDatabaseOption, databaseUrl, type DatabaseOptions, withDatabase } from './database.js'
import { EXIT } from './exit-codes.js'
import { CommandFailure } from './failure.js'
import { FW, note, print, printJson } from './output.js'
import { counted, oneLine } from './table.js'

interface RepairOptions extends DatabaseOptions {
  apply?: boolean
  json?: boolean
}

interface AfterRestoreOptions extends DatabaseOptions {
  yes?: boolean
  json?: boolean
}

const Mended = z.object({ what: z.string(), executionId: z.string().nullable(), organizationId: z.string().nullable(), detail: z.string() })

const Done = z.object({ what: z.string(), detail: z.string() })

export function addRepairCommands(program: Command): void {
  addDatabaseOption(program.command('repair'))
    .summary('mend what was done to the queues by hand')
    .description(
      'Says what would be mended in the queues: messages that were deleted or hidden, dead letters that somebody has sent. With --apply it mends all of it; ' +
        'the tick does the same, a little each minute.',
    )
    .option('--apply', 'mend it; without this nothing is changed')
    .option('--json', 'print one JSON object for each thing')
    .action(repair)
  addDatabaseOption(program.command('after-restore'))
    .summary('let a copy of the database go on')
    .description(
      'For a copy of the database that goes on in another place, after a switch-over by logical replication or a restore. Sequences go on after the highest ' +
        'number in use, executors of the old place are fenced, the jobs are given to the pg_cron that is here. Safe to repeat while no executor runs.',
    )
    .option('--yes', 'no executor works on this database now: all that are registered count as stopped')
    .option('--json', 'print one JSON object for each thing that was done')
    .action(afterRestore)
}

async function repair(options: RepairOptions): Promise<void> {
  const found = await withDatabase(databaseUrl(options), (database) =>
    database.rows(
      Mended,
      'select what, execution_id as "executionId", organization_id as "organizationId", detail from public.fw_repair(p_dry_run => $1)',
      [options.apply !== true],
    ),
  )
  for (const each of found) {
    if (options.json === true) printJson(each)
    else print(`${each.what}${each.executionId === null ? '' : ` of ${each.executionId}`}: ${oneLine(each.detail)}`)
  }
  if (found.length === 0) note('The queues are as they should be: there is nothing to mend.')
  else if (options.apply === true) note(`${counted(found.length, 'thing was', 'things were')} mended.`)
  else note(`Nothing was changed. \`${FW} repair --apply\` mends ${found.length === 1 ? 'it' : `all ${found.length}`}.`)
}

async function afterRestore(options: AfterRestoreOptions): Promise<void> {
  if (options.yes !== true) {
    throw new CommandFailure(EXIT.usage, 'this fences every executor that is registered with this database; nothing was changed', {
      hint: `Stop the executors, then run \`${FW} after-restore --yes\`.`,
    })
  }
  const done = await withDatabase(databaseUrl(options), (database) => database.rows(Done, 'select what, detail from public.fw_after_restore()'))
  for (const each of done) {
    if (options.json === true) printJson(each)
    else print(`${each.what}: ${oneLine(each.detail)}`)
  }
  note(done.length === 0 ? 'There was nothing to do. Executors may start.' : 'This database may go on: executors may start.')
}
